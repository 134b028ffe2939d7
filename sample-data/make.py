#!/usr/bin/env python3
"""Make the sample data again: the same bytes each time.

    sample-data/make.py [path to tbt-client]

With the path (or TBT_CLIENT in the environment) the .torrent files are made
too; without it only the content.  It takes about half a minute, most of it
for drawing.  Everything here is the project's own: see story.py, picture.py.
"""

import math
import os
import pathlib
import struct
import subprocess
import sys

import jpeg
import picture
import story

HERE = pathlib.Path(__file__).resolve().parent
ANNOUNCE = "http://127.0.0.1:6969/announce"

POEM_RUSSIAN = """Кит

Плывёт по морю белый кит,
он никуда не поспешит.
У каждого частица есть,
и вместе можно всё прочесть.
"""

POEM_CHINESE = """白鲸

海上白鲸来，
分享不分财。
各自存一片，
合起全书开。
"""


def write(path, content):
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(f"{path.relative_to(HERE)}: {len(content)} bytes")


def soundings(count):
    """Depths in metres along a line, as 16-bit numbers: a file that is no
    text."""
    depths = (int(40 + 2000 * picture.noise(i / 900, 1)
                  + 60 * picture.noise(i / 13, 2)) for i in range(count))
    return b"".join(struct.pack(">H", d) for d in depths)


def chart(title, seed):
    """A chart of some islands, as SVG."""
    teller = story.Teller(seed)
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 700">',
             f"<title>{title}</title>",
             '<rect width="1000" height="700" fill="#dfeaf0"/>']
    for _ in range(9):
        x, y = teller.number(80, 920), teller.number(80, 620)
        for ring in range(6, 0, -1):
            points = []
            for step in range(36):
                radius = ring * 9 + teller.number(0, 5)
                dx = radius * math.cos(step * math.pi / 18)
                dy = radius * math.sin(step * math.pi / 18)
                points.append(f"{x + dx:.1f},{y + dy:.1f}")
            colour = "#c9b48a" if ring < 3 else "none"
            lines.append(f'<polygon points="{" ".join(points)}" '
                         f'fill="{colour}" stroke="#557"/>')
        lines.append(f'<text x="{x}" y="{y}">'
                     f"{teller.pick(story.PLACES)}</text>")
    return "\n".join(lines + ["</svg>", ""]).encode()


def make_folder():
    write("moby/READ ME.txt",
          b"A sea chest: what was left of the voyage.\n"
          b"Made by sample-data/make.py to be shared with tbt.\n")
    for day, page in enumerate(story.log_book(20, 3), 1):
        write(f"moby/log/day {day}.txt", page.encode())
    write("moby/log/all/voyage.txt", story.story("The Log of the Kestrel", 21, 60_000))
    write("moby/charts/skerries.svg", chart("The Seven Skerries", 22))
    write("moby/charts/far/ice edge.svg", chart("The Ice Edge", 23))
    write("moby/charts/far/unknown waters.txt", b"")
    write("moby/charts/far/soundings.dat", soundings(50_000))
    write("moby/songs/кит.txt", POEM_RUSSIAN.encode())
    write("moby/songs/白鲸.txt", POEM_CHINESE.encode())
    write("moby/pictures/whale.jpg",
          jpeg.encode(480, 320, picture.draw(480, 320), 88))


def make_torrents(client):
    for name in ("moby.txt", "moby.jpg", "moby"):
        subprocess.run(
            [client, "create", HERE / name, "--announce", ANNOUNCE,
             "--output", HERE / f"{name}.torrent", "--force", "--no-date"],
            check=True)


def main():
    client = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TBT_CLIENT")
    write("moby.txt", story.story("Moby, or The Voyage of the Kestrel", 1, 1_200_000))
    write("moby.jpg", jpeg.encode(1120, 744, picture.draw(1120, 744), 93))
    make_folder()
    if client:
        make_torrents(client)
    else:
        print("no tbt-client given: the .torrent files are left as they are")


main()
