"""Announces on trackers, one after the other, again and again: what each takes.

Each tracker is filled with the peers of all swarms, then loaded for a few
seconds by tests/bench/tracker_load.c, which checks every reply.  Processor time
is what to compare: requests a second depend on how much of the machine the load
itself takes.  "wrong" are replies that miss peers or name strange ones;
"selves" are those that tell a peer of itself.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

MODES = ("udp", "http", "http-close")
COLUMNS = ("CPU s/100k", "per_s", "p50_us", "p99_us", "p999_us", "wrong",
           "lost", "selves")
SETTLE_S = 20


def free_port():
    with socket.socket() as tcp, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        return tcp.getsockname()[1]


def tbt(build, port, _folder):
    return [build / "tracker" / "tbt-tracker", "serve", "--listen",
            f"127.0.0.1:{port}"]


def opentracker(build, port, folder):
    """Debian's wants a list of torrents, and gives up being root."""
    folder.chmod(0o755)
    return ["opentracker", "-i", "127.0.0.1", "-p", str(port), "-P", str(port),
            "-d", folder, "-w", "hashes"]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(port, process):
    for _ in range(SETTLE_S * 20):
        if process.poll() is not None:
            raise RuntimeError("it ended at once")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("it does not listen")


def run(command, load, mode, shape, seconds, folder):
    """The figures of one run against a tracker of its own."""
    swarms, peers = shape.split("x")
    port = free_port()
    numbers = ["--swarms", swarms, "--peers", peers]
    with open(folder / "hashes", "w", encoding="ascii") as out:
        subprocess.run([load, "--hashes", *numbers], stdout=out, check=True)
    with subprocess.Popen(command(port, folder), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port, process)
            before = cpu_s(process.pid)
            done = subprocess.run(
                [load, mode, f"127.0.0.1:{port}", *numbers, "--seconds",
                 str(seconds)], capture_output=True, text=True, check=False)
            took = cpu_s(process.pid) - before
        finally:
            process.terminate()
    if not done.stdout:
        raise RuntimeError(done.stderr.strip())
    figures = json.loads(done.stdout)
    announces = figures["good"] + figures["wrong"]
    announces += int(swarms) * int(peers)  # the filling
    figures["CPU s/100k"] = took / announces * 1e5
    return figures


def print_table(mode, shape, rows):
    print(f"\n{mode}, {shape} (swarms x peers), median of "
          f"{max(map(len, rows.values()))}")
    print(" " * 12 + "".join(f"{name:>12}" for name in COLUMNS))
    for name, runs in rows.items():
        medians = (statistics.median(r[c] for r in runs) for c in COLUMNS)
        print(f"{name:12}" + "".join(
            f"{value:12.2f}" if c == COLUMNS[0] else f"{value:12.0f}"
            for c, value in zip(COLUMNS, medians)))


def main(arguments, build, make):
    parser = argparse.ArgumentParser(
        prog="scripts/bench tracker", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=int, default=2, metavar="N")
    parser.add_argument("--shapes", default="1x10000,1000x50,10000x5",
                        metavar="SWARMSxPEERS,...")
    parser.add_argument("--modes", default=",".join(MODES), metavar="NAMES",
                        help="of " + ",".join(MODES))
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR",
                        help="take what is built here already, with "
                        "-Dbench=true")
    options = parser.parse_args(arguments)
    if not options.build:
        make()
    build = options.build or build
    load = build / "tests" / "tracker_load"

    commands = {"tbt": lambda *a: tbt(build, *a)}
    if shutil.which("opentracker"):
        commands["opentracker"] = lambda *a: opentracker(build, *a)
    for shape in options.shapes.split(","):
        for mode in options.modes.split(","):
            rows = {name: [] for name in commands}
            for _ in range(options.runs):
                for name, command in commands.items():
                    with tempfile.TemporaryDirectory() as folder:
                        try:
                            rows[name].append(run(
                                command, load, mode, shape, options.seconds,
                                pathlib.Path(folder)))
                        except RuntimeError as error:
                            print(f"{name}: {error}", file=sys.stderr)
            print_table(mode, shape, {n: r for n, r in rows.items() if r})
    return 0
