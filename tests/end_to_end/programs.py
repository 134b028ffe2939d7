"""The programs under test as Python objects: start, listen to their JSON events, stop.

Everything here waits on conditions with a deadline, never on a sleep."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Under sanitizers or on a loaded machine TBT_E2E_SCALE=0.25 takes a quarter of
# the data and four times the patience.
SCALE = min(1.0, float(os.environ.get("TBT_E2E_SCALE", "1")))


def scaled(size, least=1):
    """A size or count that may shrink with TBT_E2E_SCALE."""
    return max(least, int(size * SCALE))


def patience(seconds):
    """A time-out that grows as TBT_E2E_SCALE shrinks."""
    return seconds / SCALE


def find_program(name):
    """The absolute path of tbt-client or tbt-tracker, by the environment or the usual build folders."""
    variable = name.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    folder = name.split("-")[1]
    places = [ROOT / build / folder / name for build in ("build-test", "build")]
    for place in places:
        if place.exists():
            return str(place)
    raise FileNotFoundError("%s: not built; looked for %s, or set %s" % (name, " and ".join(map(str, places)), variable))


def memory_kib(pid, key="VmHWM"):
    """A figure of /proc/PID/status in KiB: VmHWM the peak, VmRSS the present; 0 when the process is gone."""
    try:
        for line in Path("/proc/%d/status" % pid).read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_seconds(pid):
    """User and system time of a living process."""
    fields = Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """A child whose two outputs are collected line by line by threads of their own."""

    def __init__(self, argv, name, cwd=None, env=None):
        self.argv = [os.fspath(a) for a in argv]
        self.name = name
        self.changed = threading.Condition()
        self.out, self.err = [], []  # lines as bytes, without the newline
        self.open_pipes = 2
        self.killed_by_us = False
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, cwd=cwd, env=env, start_new_session=True)
        self.pid = self.process.pid
        self.readers = [threading.Thread(target=self._read, args=a, daemon=True)
                        for a in ((self.process.stdout, self._out_line), (self.process.stderr, self.err.append))]
        for reader in self.readers:
            reader.start()

    def _read(self, pipe, take):
        for line in pipe:
            with self.changed:
                take(line.rstrip(b"\n"))
                self.changed.notify_all()
        pipe.close()
        with self.changed:
            self.open_pipes -= 1
            self.changed.notify_all()

    def _out_line(self, line):
        self.out.append(line)

    def wait_until(self, condition, what, timeout=30):
        """Wait till `condition()` gives something true and return it; fail when the process or the time ends."""
        deadline = time.monotonic() + patience(timeout)
        with self.changed:
            while True:
                found = condition()
                if found:
                    return found
                left = deadline - time.monotonic()
                if self.open_pipes == 0:
                    raise AssertionError("%s ended before %s\n%s" % (self.name, what, self.tail()))
                if left <= 0:
                    raise AssertionError("%s: no %s within %g s\n%s" % (self.name, what, patience(timeout), self.tail()))
                self.changed.wait(min(left, 0.1))  # it may be about something else than the output

    @property
    def alive(self):
        return self.process.poll() is None

    def wait(self, timeout=30):
        """Wait for the end and return the exit status."""
        try:
            status = self.process.wait(patience(timeout))
        except subprocess.TimeoutExpired:
            raise AssertionError("%s did not end within %g s\n%s" % (self.name, patience(timeout), self.tail())) from None
        for reader in self.readers:
            reader.join(5)
        return status

    def signal(self, number):
        if self.alive:
            os.kill(self.pid, number)

    def kill(self):
        """kill -9, as a power cut does it to a process."""
        self.killed_by_us = True
        self.signal(signal.SIGKILL)
        self.process.wait()
        for reader in self.readers:
            reader.join(5)

    def terminate(self, timeout=6):
        """SIGTERM, and the promise to be gone within 5 s of it."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    @property
    def stderr(self):
        with self.changed:
            return b"\n".join(self.err).decode("utf-8", "replace")

    def tail(self, count=12):
        """The last lines of both outputs, for the report of a failed test."""
        with self.changed:
            told = [line for line in self.out if b'"event":"progress"' not in line]
            shown = [b"$ " + " ".join(self.argv).encode("utf-8", "surrogateescape")] + told[-count:] + \
                [b"stderr: " + line for line in self.err[-count:]]
        return b"\n".join(line[:400] for line in shown).decode("utf-8", "replace")

    def finish(self):
        """End it whatever happened, and return what went wrong with the program itself, or None."""
        status = self.process.poll()
        if status is None:
            self.killed_by_us = True
            self.signal(signal.SIGCONT)
            self.kill()
        for reader in self.readers:
            reader.join(5)
        for mark in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:"):
            if mark in self.stderr:
                return "%s: %s\n%s" % (self.name, mark, self.stderr[-4000:])
        if status is not None and status < 0 and not self.killed_by_us:
            return "%s died by signal %d\n%s" % (self.name, -status, self.tail())
        return None


class JsonProcess(Process):
    """A program started with --json: its standard output is a row of events."""

    def __init__(self, *args, **kw):
        self.events = []
        super().__init__(*args, **kw)

    def _out_line(self, line):
        self.out.append(line)
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": "not JSON", "line": line}
        self.events.append(event)

    def find(self, event, where=None, start=0):
        with self.changed:
            for e in self.events[start:]:
                if e.get("event") == event and (where is None or where(e)):
                    return e
        return None

    def all(self, event, where=None):
        with self.changed:
            return [e for e in self.events if e.get("event") == event and (where is None or where(e))]

    def wait_for(self, event, where=None, timeout=30, start=0):
        """The first such event from number `start` on, waiting for it if need be."""
        return self.wait_until(lambda: self.find(event, where, start), "event '%s'" % event, timeout)


def loopback(bind="127.0.0.1", port=0, dht=False):
    """The options that keep a client on this machine; port None: whichever it takes by itself."""
    where = [] if port is None else ["--port", str(port)]
    return ["--bind", bind, *where, *([] if dht else ["--no-dht"]), "--no-lsd", "--no-portmap"]


def slow_disk(seconds, call="pread64", path=None):
    """A prefix for a command: each `call`, by default a read from a file, takes so long; of `path` alone, if given."""
    if not shutil.which("strace"):
        pytest.skip("no strace")
    no_leaks = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # of no use under a tracer
    return ["env", "ASAN_OPTIONS=" + no_leaks, "strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=" + call,
            "-e", "inject=%s:delay_enter=%d" % (call, seconds * 1e6), *(["-P", path] if path else [])]


class Client(JsonProcess):
    """tbt-client leech or seed, on loopback, with nothing but what the test gives it."""

    def __init__(self, command, arguments, bind="127.0.0.1", port=0, name=None, prefix=(), dht=False, **kw):
        super().__init__([*prefix, find_program("tbt-client"), command, *arguments, "--json", *loopback(bind, port, dht)],
                         name or command, **kw)
        self.bind = bind

    @property
    def port(self):
        """Where it listens, once it answers there: connections are closed while the content is checked."""
        self.wait_for("checked")
        return self.wait_for("listening")["port"]

    @property
    def address(self):
        """What another client's --peer takes."""
        return ("[%s]:%d" if ":" in self.bind else "%s:%d") % (self.bind, self.port)

    def wait_complete(self, timeout=60):
        return self.wait_for("complete", timeout=timeout)


class Tracker(JsonProcess):
    """tbt-tracker serve on a free port of loopback."""

    def __init__(self, *arguments, listen="127.0.0.1:0", name="tracker", prefix=(), **kw):
        where = ["--listen", listen] if listen else []
        super().__init__([*prefix, find_program("tbt-tracker"), "serve", *where, *arguments, "--json"], name, **kw)
        self.host = listen.rpartition(":")[0] if listen else "127.0.0.1"

    @property
    def port(self):
        return self.wait_for("listening", lambda e: e["protocol"] == "http")["port"]

    @property
    def base(self):
        return "http://%s:%d" % (self.host, self.port)

    @property
    def url(self):
        return self.base + "/announce"


def is_refusal(status, err, program="tbt-client"):
    lines = err.splitlines()
    return status in (1, 2) and len(lines) == 1 and lines[0].startswith(program + ": ") and len(lines[0]) > len(program) + 6


class Finished:
    """How a command that ran to its end went."""

    def __init__(self, program, status, out, err, seconds, peak_kib):
        self.program, self.status, self.out, self.err = program, status, out, err
        self.seconds, self.peak_kib = seconds, peak_kib

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def refused(self):
        """It failed as programs should: 1 or 2, and one line that says what and why."""
        return is_refusal(self.status, self.err, self.program)

    def __repr__(self):
        return "<status %d, %.2f s, %d KiB\nstdout: %s\nstderr: %s>" % (
            self.status, self.seconds, self.peak_kib, self.out[:2000], self.err[:2000])


def run_command(program, arguments, timeout=20, **kw):
    """Run a program to its end, noting time and peak memory (polled: ru_maxrss would begin at our own size)."""
    started = time.monotonic()
    process = Process([find_program(program), *arguments], program, **kw)
    peak = 0
    deadline = started + patience(timeout)
    try:
        while process.alive:
            peak = max(peak, memory_kib(process.pid))
            if time.monotonic() > deadline:
                raise AssertionError("%s did not end within %g s\n%s" % (" ".join(process.argv), patience(timeout), process.tail()))
            try:
                process.process.wait(0.002)
            except subprocess.TimeoutExpired:
                pass
        seconds = time.monotonic() - started
    finally:
        trouble = process.finish()
    assert trouble is None, trouble
    out = b"\n".join(process.out) + (b"\n" if process.out else b"")
    return Finished(program, process.process.returncode, out.decode("utf-8", "surrogateescape"), process.stderr, seconds, peak)
