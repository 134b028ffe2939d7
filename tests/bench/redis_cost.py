#!/usr/bin/env python3
"""What a tracker with its swarms in Redis costs beside one in memory: announces a
second, processor time of the tracker and of Redis, memory for each peer.

    redis_cost.py TRACKER LOAD [SECONDS]

TRACKER: tbt-tracker of a release build.  LOAD: the load generator, which takes
`udp|http IP PORT --swarms N --peers N --numwant N --secs N | --populate 1` and prints JSON.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

TRACKER, LOAD = map(os.path.abspath, sys.argv[1:3])
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 4
SHAPES = [(100000, 2), (1000, 10), (1000, 100), (100, 1000)]


def cpu(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(path, *words):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words]))
        return s.recv(65536).decode()


def used_memory(path):
    return int(ask(path, "INFO", "memory").split("used_memory:")[1].split()[0])


def load(mode, port, swarms, peers, *more):
    out = subprocess.run([LOAD, mode, "127.0.0.1", str(port), "--swarms", str(swarms), "--peers", str(peers), *map(str, more)],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def measure(kind, folder):
    path = os.path.join(folder, "socket")
    redis = None
    store = "memory:"
    if kind != "memory":
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            tcp = s.getsockname()[1]
        redis = subprocess.Popen(["redis-server", "--port", str(tcp), "--unixsocket", path, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
        store = "unix:" + path if kind == "unix" else "redis://127.0.0.1:%d" % tcp
        while not os.path.exists(path):
            time.sleep(0.05)
    tracker = subprocess.Popen([TRACKER, "serve", "--listen", "127.0.0.1:0", "--store", store, "--json"], stdout=subprocess.PIPE)
    port = json.loads(tracker.stdout.readline())["port"]
    try:
        for swarms, peers in SHAPES:
            if redis:
                ask(path, "FLUSHALL")
            before = used_memory(path) if redis else 0
            load("udp", port, swarms, peers, "--populate", 1, "--conns", 4, "--window", 32, "--numwant", 0)
            grown = used_memory(path) - before if redis else 0
            for mode in ("udp", "http"):
                started = cpu(tracker.pid), cpu(redis.pid) if redis else 0
                r = load(mode, port, swarms, peers, "--secs", SECONDS, "--conns", 4 if mode == "udp" else 32, "--window", 32)
                done = max(r["ok"] + r.get("malformed", 0), 1)
                spent = cpu(tracker.pid) - started[0], cpu(redis.pid) - started[1] if redis else 0
                print("| %s | %d x %d | %s | %.0f | %.2f | %.2f | %s | %s |" % (
                    kind, swarms, peers, mode, done / SECONDS, spent[0] / done * 1e5, spent[1] / done * 1e5, r.get("p99_us"),
                    "%.0f" % (grown / swarms / peers) if redis else ""), flush=True)
    finally:
        tracker.terminate()
        tracker.wait()
        if redis:
            redis.terminate()
            redis.wait()


print("| store | swarms x peers | by | announces/s | tracker, CPU s for 100,000 | Redis, the same | p99 us | bytes a peer in Redis |\n" + "| --- " * 8 + "|")
for kind in ("memory", "tcp", "unix"):
    with tempfile.TemporaryDirectory() as folder:
        measure(kind, folder)
