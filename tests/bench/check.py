"""scripts/bench --check: is tbt as near to the machine's limit as it was?

A leecher and a seeder are compared with peers that do the least the protocol
allows (limit_leech.c, limit_seed.c), in one run, so that it does not matter
how fast the machine is; and system calls, locks and sleeps are counted a GiB.
For use by hand, on a machine that has nothing else to do: other work takes
more from whoever uses more threads.
"""

import json
import shutil
import statistics
import subprocess

from program import Program

MIB, GIB = 1 << 20, 1 << 30
QUIET = ["--bind", "127.0.0.1", "--port", "0", "--no-dht", "--no-lsd",
         "--no-portmap", "--json"]

# What is measured, and how it may be: at least, or at most.  Ratios are to the
# limit; counts are a GiB of content.  The bounds lie below what was measured
# (docs/benchmarks.md) by what a machine at work makes of it, so that a failure
# means something: they are not the goals.
AT_LEAST = {"leech MB/s": 0.80, "seed MB/s": 0.70}
AT_MOST = {
    "leech CPU s/GiB": 1.25,
    "seed CPU s/GiB": 1.30,
    "leech system calls": 25000,
    "leech futex calls": 6000,
    "leech locks": 35000,
    "leech locks waited for": 500,
    "leech sleeps": 6000,
    "seed system calls": 32000,  # with the check of the content
    "seed futex calls": 2000,
    "seed locks": 56000,
    "seed locks waited for": 50,
    "seed sleeps": 2000,
}


class Bench:
    def __init__(self, build, folder, content, torrent):
        self.client = build / "client" / "tbt-client"
        self.tests = build / "tests"
        self.folder, self.content, self.torrent = folder, content, torrent
        self.size = content.stat().st_size
        self.out = folder / "leech"

    # Seeders, each as (program, port).

    def limit_seed(self, _before, env):
        program = Program([self.tests / "limit_seed", self.torrent,
                           self.content, "127.0.0.1:0"],
                          self.folder / "seed.log", env)
        lines = []
        program.wait_until(
            lambda: lines.extend(program.new_lines()) or lines, "listen")
        return program, int(lines[0])

    def tbt_seed(self, before, env):
        program = Program([*before, self.client, "seed", self.torrent,
                           "--file", self.content, *QUIET],
                          self.folder / "seed.log", env)
        events = {}

        def is_ready():
            for line in program.new_lines():
                event = json.loads(line)
                events[event["event"]] = event
            return "listening" in events and "checked" in events

        program.wait_until(is_ready, "check its content")
        return program, events["listening"]["port"]

    # Leechers, as commands.

    def limit_leech(self, port):
        return [self.tests / "limit_leech", self.torrent,
                self.out / self.content.name, f"127.0.0.1:{port}"]

    def limit_sink(self, port):
        return [self.tests / "limit_leech", self.torrent, "-",
                f"127.0.0.1:{port}"]

    def tbt_leech(self, port):
        return [self.client, "leech", self.torrent, "--output", self.out,
                "--peer", f"127.0.0.1:{port}", "--seed-time", "0", *QUIET]

    def transfer(self, seed, leech, *, before_seed=(), before_leech=(),
                 seed_env=None, leech_env=None):
        """One transfer: figures of both sides."""
        self.out.mkdir()
        # As much memory as will be written, so that no run pays for the host
        # giving pages to a virtual machine.
        shutil.copyfile(self.content, self.out / "warm")
        (self.out / "warm").unlink()
        seeder, port = seed(before_seed, seed_env)
        try:
            seeder.look()
            seed_began_s = seeder.cpu_s
            leecher = Program([*before_leech, *leech(port)],
                              self.folder / "leech.log", leech_env)
            seconds = leecher.wait_for_end()
            seeder.look()
            seed_s = seeder.cpu_s - seed_began_s
        finally:
            seeder.stop()
        self.same_bytes()
        shutil.rmtree(self.out)
        gib = self.size / GIB
        return {
            "MB/s": self.size / seconds / 1e6,
            "leech CPU": leecher.cpu_s / gib,
            "seed CPU": seed_s / gib,
            "leech sleeps": leecher.switches / gib,
            "seed sleeps": seeder.switches / gib,
        }

    def same_bytes(self):
        got = self.out / self.content.name
        if got.exists() and subprocess.run(
                ["cmp", "-s", self.content, got], check=False).returncode:
            raise RuntimeError(f"{got}: not what was seeded")


def count_calls(bench, seed, leech, side):
    """System calls a GiB by `side`; all, and those for locks."""
    counts = bench.folder / "calls"
    trace = ["strace", "-D", "-f", "-c", "-o", counts]
    bench.transfer(seed, leech, **{f"before_{side}": trace})
    calls = {}
    for line in counts.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit():
            calls[words[-1]] = int(words[3]) * GIB / bench.size
    return sum(n for name, n in calls.items() if name != "total"), \
        calls.get("futex", 0)


def count_locks(bench, seed, leech, side):
    """Mutexes locked a GiB by `side`; all, and those that were held."""
    counts = bench.folder / "locks"
    env = {"LD_PRELOAD": str(bench.tests / "count_locks.so"),
           "TBT_LOCKS": str(counts)}
    bench.transfer(seed, leech, **{f"{side}_env": env})
    return [int(n) * GIB / bench.size for n in counts.read_text().split()]


def measure(bench, runs, say):
    """Name -> (figure of tbt, figure of the limit or None)."""
    pairs = {
        "limit leech": (bench.limit_seed, bench.limit_leech),
        "leech": (bench.limit_seed, bench.tbt_leech),
        "limit seed": (bench.limit_seed, bench.limit_sink),
        "seed": (bench.tbt_seed, bench.limit_sink),
    }
    rows = {name: [] for name in pairs}
    for run in range(runs):
        for name, (seed, leech) in pairs.items():
            say(f"run {run + 1} of {runs}: {name}")
            rows[name].append(bench.transfer(seed, leech))

    def median(name, key):
        return statistics.median(row[key] for row in rows[name])

    figures = {}
    for side in "leech", "seed":
        for key, what in ("MB/s", "MB/s"), (f"{side} CPU", "CPU s/GiB"):
            figures[f"{side} {what}"] = (
                median(side, key), median(f"limit {side}", key))
        seed, leech = pairs[side]
        if shutil.which("strace"):
            say(f"counting the system calls: {side}")
            calls, futexes = count_calls(bench, seed, leech, side)
            figures[f"{side} system calls"] = (calls, None)
            figures[f"{side} futex calls"] = (futexes, None)
        say(f"counting the locks: {side}")
        locks, waited = count_locks(bench, seed, leech, side)
        figures[f"{side} locks"] = (locks, None)
        figures[f"{side} locks waited for"] = (waited, None)
        figures[f"{side} sleeps"] = (median(side, f"{side} sleeps"), None)
    return figures


def judge(figures):
    """Print the table; whether all is within bounds."""
    good = True
    print(f"{'':24}{'tbt':>10}{'limit':>10}{'ratio':>8}   allowed")
    for name, (ours, limit) in figures.items():
        digits = 2 if "CPU" in name else 0
        line = f"{name:24}{ours:10.{digits}f}"
        if limit is not None:
            line += f"{limit:10.{digits}f}{ours / limit:8.2f}"
        else:
            line += " " * 18
        value = ours if limit is None else ours / limit
        if name in AT_LEAST:
            bound, sign = AT_LEAST[name], ">="
            ok = value >= bound
        else:
            bound, sign = AT_MOST[name], "<="
            ok = value <= bound
        good = good and ok
        print(f"{line}   {sign} {bound:<9g}{'ok' if ok else 'FAIL'}")
    return good


def check(build, folder, content, torrent, runs, say):
    """Measure and judge; the exit status."""
    bench = Bench(build, folder, content, torrent)
    return 0 if judge(measure(bench, runs, say)) else 1
