"""Child processes that are watched: scripts/bench, check.py and idle.py."""

import os
import pathlib
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 600


class Program:
    """A child process whose processor time and memory are watched."""

    def __init__(self, command, log, env=None):
        self.log = log
        self.name = pathlib.Path(str(command[0])).name
        self.began = time.monotonic()
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [str(c) for c in command], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out,
                env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        self.cpu_s = 0.0
        self.switches = 0  # voluntary, known at its end
        self.peak = {"RssAnon": 0, "VmHWM": 0}  # KiB
        self.status = None
        self.read = 0  # bytes of the log

    def look(self):
        """Note what it has used so far; whether it still runs."""
        if self.status is not None:
            return False
        try:
            lines = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            for line in lines.splitlines():
                key, _, value = line.partition(":")
                if key in self.peak:
                    self.peak[key] = max(self.peak[key],
                                         int(value.split()[0]))
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
            fields = stat.rpartition(")")[2].split()
            self.cpu_s = (int(fields[11]) + int(fields[12])) / TICKS
        except OSError:
            pass
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
            self.process.returncode = self.status
            self.cpu_s = usage.ru_utime + usage.ru_stime
            self.switches = usage.ru_nvcsw
        return self.status is None

    def new_lines(self):
        """Whole lines printed since the last call, as bytes."""
        with open(self.log, "rb") as log:
            log.seek(self.read)
            lines = log.read().split(b"\n")[:-1]
        self.read += sum(len(line) + 1 for line in lines)
        return lines

    def wait_until(self, condition, what):
        """Seconds from its start until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            runs = self.look()
            if condition():
                return time.monotonic() - self.began
            if not runs or time.monotonic() > deadline:
                self.stop()
                tail = pathlib.Path(self.log).read_text(errors="replace")
                raise RuntimeError(
                    f"{self.name} did not {what}:\n{tail[-2000:]}")
            time.sleep(0.01)

    def wait_for_end(self):
        seconds = self.wait_until(lambda: self.status is not None, "end")
        if self.status != 0:
            tail = pathlib.Path(self.log).read_text(errors="replace")
            raise RuntimeError(
                f"{self.name} ended with {self.status}:\n{tail[-2000:]}")
        return seconds

    def stop(self):
        if self.look():
            self.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 10
            while self.look() and time.monotonic() < deadline:
                time.sleep(0.01)
        if self.look():
            self.process.kill()
            self.process.wait()
