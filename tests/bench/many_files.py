#!/usr/bin/python3
"""A folder of many small files: how long until the last piece is here, and how
long until all is safe on disk.

    tests/bench/many_files.py FOLDER BUILD... [--files N] [--size BYTES]
                              [--runs N]

FOLDER is on a real disk, and is not cleaned up before the end: to remove many
files keeps a disk busy.  BUILDs (release) are compared, run by run.
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time

from program import Program

QUIET = ["--bind", "127.0.0.1", "--no-dht", "--no-lsd", "--no-portmap",
         "--json"]


def events(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def make_files(folder, files, size):
    for i in range(files):
        if i % 200 == 0:
            at = folder / f"d{i // 200}"
            at.mkdir(parents=True)
        (at / f"f{i}").write_bytes(os.urandom(size))


def one_run(client, torrent, port, folder):
    """Seconds to the last piece, and to the end."""
    log = folder.with_suffix(".log")
    os.sync()
    time.sleep(1)  # what others left in the disk's queue
    leech = Program([client, "leech", torrent, "--output", folder, "--peer",
                     f"127.0.0.1:{port}", "--port", "0", "--seed-time", "0",
                     *QUIET], log)
    leech.wait_for_end()
    began = events(log)[0]["time"]
    when = {e["event"]: e["time"] - began for e in events(log)}
    return when["piece"], when["complete"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("builds", type=pathlib.Path, nargs="+")
    parser.add_argument("--files", type=int, default=20000, metavar="N")
    parser.add_argument("--size", type=int, default=3000, metavar="BYTES")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    options = parser.parse_args()
    clients = {str(b): b.resolve() / "client" / "tbt-client"
               for b in options.builds}
    results = {name: [] for name in clients}

    with tempfile.TemporaryDirectory(
            prefix="tbt-files-", dir=options.folder) as folder:
        here = pathlib.Path(folder)
        make_files(here / "content", options.files, options.size)
        client = next(iter(clients.values()))
        Program([client, "create", here / "content", "--output",
                 here / "torrent"], here / "create.log").wait_for_end()
        log = here / "seed.log"
        seed = Program([client, "seed", here / "torrent", "--file",
                        here / "content", "--port", "0", *QUIET], log)
        try:
            seed.wait_until(lambda: any(e["event"] == "checked"
                                        for e in events(log)), "check")
            port = next(e["port"] for e in events(log)
                        if e["event"] == "listening")
            for run in range(options.runs):
                for i, name in enumerate(clients):
                    results[name].append(one_run(
                        clients[name], here / "torrent", port,
                        here / f"out{run}-{i}"))
        finally:
            seed.stop()

    print(f"{options.files} files of {options.size} bytes: median of "
          f"{options.runs}, and all")
    for name, runs in results.items():
        print(f"{name:20}{statistics.median(r[0] for r in runs):7.2f} s to the "
              f"last piece,{statistics.median(r[1] for r in runs):7.2f} s to "
              "the end  ", ", ".join("%.2f" % r[1] for r in runs))


main()
