"""redis-server as a program of a test: alone on a port or a Unix socket, slow, or three masters as a cluster."""
import contextlib
import itertools
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import free_port
from programs import patience


class RedisServer:
    """One redis-server with nothing on disk."""

    count = itertools.count(1)

    def __init__(self, lab, *options, port=None, unix=False):
        if not shutil.which("redis-server"):
            pytest.skip("no redis-server")
        self.lab, self.options = lab, options
        self.folder = lab.path("redis-%d" % next(self.count))
        self.folder.mkdir()
        self.port = 0 if unix else port or free_port()
        self.path = self.folder / "socket"
        self.start()

    @property
    def url(self):
        return "redis://127.0.0.1:%d" % self.port if self.port else "unix:%s" % self.path

    def start(self):
        self.process = self.lab.process(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.path, "--save", "", "--dir", self.folder, *self.options],
            "redis-server", cwd=self.folder)
        deadline = time.monotonic() + patience(10)
        while True:
            try:
                self.command("PING")
                return
            except OSError:
                assert time.monotonic() < deadline and self.process.alive, self.process.tail()
                time.sleep(0.01)

    def command(self, *words):
        """A command of text, and the first line or bulk string of its reply."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(patience(10))
            s.connect(str(self.path))
            words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            with s.makefile("rb") as f:
                line = f.readline().rstrip()
                if line[:1] == b"$" and line != b"$-1":
                    return f.read(int(line[1:]))
        if not line or line.startswith(b"-"):
            raise OSError(line.decode() or "closed")
        return line[1:]

    def kill(self):
        self.process.kill()

    def hang(self):
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        self.process.signal(signal.SIGCONT)


class SlowRedis:
    """What stands before a Redis and hands each answer on after `delay` seconds."""

    def __init__(self, redis, delay=0):
        self.redis, self.delay = redis, delay
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                outer, _ = self.listener.accept()
                inner = socket.create_connection(("127.0.0.1", self.redis.port))
            except OSError:
                return
            threading.Thread(target=self._pass, args=(outer, inner, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(inner, outer, True), daemon=True).start()

    def _pass(self, source, target, slow):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if slow:
                    time.sleep(self.delay)
                target.sendall(data)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.listener.close()


def cluster_of_three(lab):
    """Three masters that share all slots."""
    masters = [RedisServer(lab, "--cluster-enabled", "yes", "--cluster-node-timeout", "20000", "--cluster-port", str(free_port())) for _ in range(3)]
    made = subprocess.run(["redis-cli", "--cluster", "create", *("127.0.0.1:%d" % m.port for m in masters), "--cluster-yes"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=patience(60))
    assert made.returncode == 0, made.stdout.decode() + made.stderr.decode()
    deadline = time.monotonic() + patience(20)
    while not all(b"cluster_state:ok" in m.command("CLUSTER", "INFO") for m in masters):
        assert time.monotonic() < deadline, "the cluster does not come to be"
        time.sleep(0.02)
    return masters
