"""The laboratory of a test: a folder in memory, and programs and peers that are stopped whatever happens."""
import itertools
import os
import socket
import subprocess
from pathlib import Path

import pytest

from fakepeer import Connection, Listener, Seeder
from httptracker import HttpTracker
from programs import Client, Process, Tracker, run_command
from torrents import differences, make_torrent, noise, write_tree


def free_port(host="127.0.0.1"):
    """A TCP port that is free now, for those who must know it beforehand."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, 0))
        return s.getsockname()[1]


class Lab:
    """Starts things for one test, and ends them."""

    def __init__(self, folder):
        self.folder = folder
        self.processes, self.servers, self.mounts = [], [], []
        self.counter = itertools.count(1)

    def path(self, name):
        return self.folder / name

    def write(self, name, files):
        """Files to share, below the folder `name` of their own parent: see write_tree."""
        return write_tree(self.path(name), files)

    def noise_file(self, name, size, seed=0):
        return self.write(name, noise(size, seed))

    def torrent(self, content, piece_length=32768, announce=None, name=None, **kw):
        out = self.path(name or "%d-%s.torrent" % (next(self.counter), Path(content).name))
        return make_torrent(content, out, piece_length, announce, **kw)

    def keep(self, process):
        self.processes.append(process)
        return process

    def _name(self, kind):
        return "%s %d" % (kind, next(self.counter))

    def tracker(self, *arguments, **kw):
        """tbt-tracker, listening."""
        tracker = self.keep(Tracker(*arguments, name=self._name("tracker"), **kw))
        tracker.port  # waits for it
        return tracker

    def client(self, command, *arguments, **kw):
        return self.keep(Client(command, arguments, name=self._name(command), **kw))

    def seed(self, torrent, content, *arguments, **kw):
        """tbt-client seed, checked and listening."""
        seeder = self.client("seed", torrent.path, "--file", content, *arguments, **kw)
        seeder.wait_for("listening")
        seeder.wait_for("checked")
        return seeder

    def leech(self, torrent, folder, *arguments, peers=(), stay=False, **kw):
        """tbt-client leech; it exits when complete unless it is to `stay`."""
        more = [a for p in peers for a in ("--peer", getattr(p, "address", p))]
        if not stay:
            more += ["--seed-time", "0"]
        return self.client("leech", torrent.path, "--output", folder, *arguments, *more, **kw)

    def command(self, *arguments, program="tbt-client", **kw):
        """Run to the end; see programs.Finished."""
        return run_command(program, arguments, **kw)

    def process(self, argv, name, **kw):
        return self.keep(Process(argv, name, **kw))

    def peer(self, torrent, script, **kw):
        return self.serve(Listener(torrent, script, **kw))

    def seeder(self, torrent, content, **kw):
        """A seeder in Python; on 127.0.0.2 unless `host` says otherwise."""
        return self.serve(Seeder(torrent, content, **kw))

    def http_tracker(self, **kw):
        return self.serve(HttpTracker(**kw))

    def serve(self, server):
        self.servers.append(server)
        return server

    def dial(self, client, torrent, source="127.0.0.9", **kw):
        """A connection from another address to a tbt-client."""
        return self.serve_connection(Connection.dial(client.port, torrent, source=source, **kw))

    def serve_connection(self, connection):
        connection.stop = connection.close
        connection.errors = []
        return self.serve(connection)

    def small_disk(self, name, size):
        """A file system of its own with `size` bytes."""
        place = self.path(name)
        place.mkdir()
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tbt-test", place],
                                               stderr=subprocess.DEVNULL).returncode:
            pytest.skip("needs the right to mount")
        self.mounts.append(place)
        return place

    def remount(self, place, options):
        subprocess.run(["mount", "-o", "remount," + options, place], check=True)

    def close(self):
        """Stop everything; returns what went wrong with the programs themselves."""
        troubles = [p.finish() for p in reversed(self.processes)]
        for server in self.servers:
            server.stop()
            troubles += getattr(server, "errors", [])
        for place in self.mounts:
            subprocess.run(["umount", "-l", place])
        return [t for t in troubles if t]


def finish_equal(leech, content, folder, timeout=60):
    """The leech ends by itself with 0 and the right bytes, and leaves nothing else behind."""
    status = leech.wait(timeout)
    assert status == 0, leech.tail()
    assert differences(content, Path(folder) / Path(content).name) == []
    left = sorted(p.name for p in Path(folder).iterdir())
    assert left == [Path(content).name], "left in the folder: %s" % left
