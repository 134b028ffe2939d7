#!/usr/bin/python3
"""What tbt-client takes when little or nothing happens, and when all do.

    tests/bench/idle.py BUILD [--folder DIR] [--only NAMES]

BUILD is a release build with -Dbench=true.  Prints resident memory, the part
of it that is not file pages, and the share of a core, beside what they may be;
the exit status is 1 when one is above.  By hand, like scripts/bench --check:

    peers      1,000 connected peers that say nothing
    torrents   500 torrents seeded by one process, and nobody comes
    large      the start with 100 GB in 16 MiB and 1 TB in 1 MiB pieces
    one, many  a leech at full speed from 1 and from 64 seeders
"""

import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import socket
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "end_to_end"))

from program import Program  # noqa: E402
from torrents import Torrent, make_torrent  # noqa: E402

KIB, MIB = 1 << 10, 1 << 20
QUIET = ["--bind", "127.0.0.1", "--port", "0", "--no-dht", "--no-lsd",
         "--no-portmap", "--json"]
WATCH_S = 10
SETTLE_S = 3
all_good = True


def show(what, value, most, unit):
    global all_good
    all_good = all_good and value <= most
    print(f"{what:48}{value:8.2f} {unit:8} at most {most:<6.4g}"
          f"{'ok' if value <= most else 'FAIL'}", flush=True)


def start(client, folder, command, *options):
    return Program([client, command, *options, *QUIET], folder / "log")


def wait_for(program, kind, count=1):
    """The last of so many events of a kind."""
    found = []

    def there():
        for line in program.new_lines():
            event = json.loads(line)
            if event["event"] == kind:
                found.append(event)
        return len(found) >= count

    program.wait_until(there, f"say {kind}")
    return found[-1]


def listening_port(program):
    return wait_for(program, "listening")["port"]


def resident_mib(program):
    text = pathlib.Path(f"/proc/{program.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in text.splitlines()
                if line.startswith("VmRSS"))


def watch_idle(program, what):
    time.sleep(SETTLE_S)
    program.look()
    before_s = program.cpu_s
    time.sleep(WATCH_S)
    program.look()
    show(f"{what}: resident", resident_mib(program), 100, "MiB")
    show(f"{what}: processor", 100 * (program.cpu_s - before_s) / WATCH_S, 1,
         "% of one")


def idle_peers(_build, client, folder):
    content = folder / "content"
    content.write_bytes(os.urandom(MIB))
    torrent = make_torrent(content, folder / "t", 16 * KIB)
    program = start(client, folder, "seed", folder / "t", "--file", content,
                    "--workers", "1000")
    peers = []
    try:
        port = listening_port(program)
        hello = (b"\x13BitTorrent protocol" + bytes([0, 0, 0, 0, 0, 16, 0, 4])
                 + torrent.info_hash + b"-XX0000-")
        for _ in range(1000):
            peers.append(socket.create_connection(("127.0.0.1", port)))
            peers[-1].sendall(hello + os.urandom(12))
        for peer in peers:
            if not peer.recv(68):
                raise RuntimeError("a peer was turned away")
        watch_idle(program, "1,000 idle peers")
    finally:
        for peer in peers:
            peer.close()
        program.stop()


def idle_torrents(_build, client, folder):
    torrents = []
    for i in range(500):
        content = folder / f"content{i}"
        content.write_bytes(os.urandom(64 * KIB))
        torrents.append(folder / f"{i}.torrent")
        # Nobody answers there: the announcers try again now and then.
        make_torrent(content, torrents[-1], 16 * KIB,
                     announce="http://127.0.0.1:9/announce")
    here = os.getcwd()
    os.chdir(folder)
    program = start(client, folder, "seed", *torrents)
    os.chdir(here)
    try:
        wait_for(program, "checked", 500)
        watch_idle(program, "500 torrents seeded")
    finally:
        program.stop()


def large(_build, client, folder):
    for name, length, piece_length in (
            ("100 GB in 16 MiB pieces", 100 * 10**9, 16 * MIB),
            ("1 TB in 1 MiB pieces", 10**12, MIB)):
        count = -(-length // piece_length)
        Torrent(folder / "t", {"info": {
            "name": "content", "length": length,
            "piece length": piece_length,
            "pieces": random.Random(1).randbytes(20 * count)}})
        program = start(client, folder, "leech", folder / "t",
                        "--output", folder / "out")
        try:
            wait_for(program, "checked")
            seconds = time.monotonic() - program.began
            time.sleep(1)
            show(f"{name}: start", seconds, 1, "s")
            # What any torrent takes, and 40 bytes a piece.
            show(f"{name}: resident", resident_mib(program),
                 16 + 40 * count / MIB, "MiB")
        finally:
            program.stop()
        shutil.rmtree(folder / "out")


def at_full_speed(build, client, folder, seeders, most_mib):
    content = folder / "content"
    with open(content, "wb") as out:
        for _ in range(64):
            out.write(os.urandom(16 * MIB))
    make_torrent(content, folder / "t", MIB)
    programs, peers = [], []
    try:
        for i in range(seeders):
            # An address each: a client may be wary of many at one.
            address = f"127.0.1.{i + 1}"
            program = Program([build / "tests" / "limit_seed", folder / "t",
                               content, f"{address}:0"], folder / f"seed{i}")
            programs.append(program)
            lines = []
            program.wait_until(
                lambda p=program, l=lines: l.extend(p.new_lines()) or l,
                "listen")
            peers += ["--peer", f"{address}:{int(lines[0])}"]
        program = start(client, folder, "leech", folder / "t", "--output",
                        folder / "out", "--seed-time", "0", *peers)
        programs.append(program)
        program.wait_for_end()
        show(f"full speed, {seeders} seeders: not file pages",
             program.peak["RssAnon"] / 1024, most_mib, "MiB")
    finally:
        for program in programs:
            program.stop()
    shutil.rmtree(folder / "out")


JOBS = {
    "peers": idle_peers,
    "torrents": idle_torrents,
    "large": large,
    "one": lambda *where: at_full_speed(*where, 1, 80),
    "many": lambda *where: at_full_speed(*where, 64, 100),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path,
                        default=pathlib.Path("/dev/shm"))
    parser.add_argument("--only", default=",".join(JOBS), metavar="NAMES")
    options = parser.parse_args()
    build = options.build.resolve()

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    for name in options.only.split(","):
        folder = pathlib.Path(
            tempfile.mkdtemp(prefix="tbt-idle-", dir=options.folder))
        try:
            JOBS[name](build, build / "client" / "tbt-client", folder)
        finally:
            shutil.rmtree(folder)
    return 0 if all_good else 1


sys.exit(main())
