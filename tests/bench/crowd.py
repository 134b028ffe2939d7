#!/usr/bin/python3
"""A crowd behind one seed that is slow: how long until all have everything, and
how many copies the seed had to send.

    tests/bench/crowd.py BUILD [--leeches N] [--size MIB] [--limit RATE]
                         [--runs N] [--kinds tbt,tbt-rarest,aria2]

BUILD is a release build.  The seed is tbt with --upload-limit RATE; all is over
loopback and in memory.  One copy at RATE is the least that is possible.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import tempfile

from program import Program

MIB = 1 << 20
QUIET = ["--bind", "127.0.0.1", "--port", "0", "--no-dht", "--no-lsd",
         "--no-portmap", "--json"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def events(folder):
    lines = (folder / "log").read_text().splitlines()
    return [json.loads(line) for line in lines]


class Tbt:
    def __init__(self, client, order):
        self.client, self.order = client, order

    def leech(self, torrent, folder):
        return [self.client, "leech", torrent, "--output", folder / "out",
                "--order", self.order, *QUIET]

    def complete(self, folder):
        return b'"event":"complete"' in (folder / "log").read_bytes()


class Aria2:
    def leech(self, torrent, folder):
        hook = folder / "hook"
        hook.write_text(f'#!/bin/sh\n: >"{folder}/complete"\n')
        hook.chmod(0o755)
        return ["aria2c", "--no-conf", "--quiet=true", "--dir", folder / "out",
                "--interface=127.0.0.1", f"--listen-port={free_port()}",
                "--enable-dht=false", "--bt-enable-lpd=false",
                "--file-allocation=none", "--bt-max-peers=0",
                "--bt-request-peer-speed-limit=10000M", "--seed-ratio=0",
                f"--on-bt-download-complete={hook}", torrent]

    def complete(self, folder):
        return (folder / "complete").exists()


def one_run(kind, options, folder):
    """Seconds, and copies that the seed sent."""
    content, torrent = folder / "content", folder / "content.torrent"
    content.write_bytes(os.urandom(options.size * MIB))
    at = f"127.0.0.1:{free_port()}"
    programs = [Program([options.tracker, "serve", "--listen", at],
                        folder / "tracker.log")]
    try:
        made = Program([options.client, "create", content, "--output", torrent,
                        "--announce", f"http://{at}/announce"],
                       folder / "create.log")
        made.wait_for_end()
        seed = Program([options.client, "seed", torrent, "--file", content,
                        "--upload-limit", options.limit, *QUIET],
                       folder / "log")
        programs.append(seed)
        seed.wait_until(
            lambda: any(e["event"] == "announce" for e in events(folder)),
            "announce")

        folders = [folder / str(i) for i in range(options.leeches)]
        for leech in folders:
            leech.mkdir()
            programs.append(Program(kind.leech(torrent, leech), leech / "log"))
        seconds = programs[2].wait_until(
            lambda: all(kind.complete(leech) for leech in folders), "complete")
        seed.stop()
        sent = [e["uploaded"] for e in events(folder)
                if e["event"] == "stopped"][-1]
    finally:
        for program in reversed(programs):
            program.stop()
    return seconds, sent / content.stat().st_size


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--leeches", type=int, default=8, metavar="N")
    parser.add_argument("--size", type=int, default=64, metavar="MIB")
    parser.add_argument("--limit", default="20M", metavar="RATE")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--kinds", default="tbt,tbt-rarest,aria2")
    options = parser.parse_args()
    options.client = options.build.resolve() / "client" / "tbt-client"
    options.tracker = options.build.resolve() / "tracker" / "tbt-tracker"
    kinds = {"tbt": Tbt(options.client, "sequential"),
             "tbt-rarest": Tbt(options.client, "rarest")}
    if shutil.which("aria2c"):
        kinds["aria2"] = Aria2()

    names = [name for name in options.kinds.split(",") if name in kinds]
    results = {name: [] for name in names}
    for _ in range(options.runs):
        for name in names:
            with tempfile.TemporaryDirectory(
                    prefix="tbt-crowd-", dir="/dev/shm") as folder:
                results[name].append(
                    one_run(kinds[name], options, pathlib.Path(folder)))
    print(f"{options.leeches} leeches, {options.size} MiB, a seed of "
          f"{options.limit}/s: median of {options.runs}")
    for name, runs in results.items():
        print(f"{name:12}{statistics.median(r[0] for r in runs):7.2f} s"
              f"{statistics.median(r[1] for r in runs):7.2f} copies")


main()
