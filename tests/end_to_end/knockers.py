"""Hosts that connect, perhaps shake hands, say no more, and come back as soon as they are closed."""
import errno
import itertools
import os
import selectors
import socket
import threading
import time

from fakepeer import PROTOCOL
from programs import patience


class Knockers:
    """`count` connections at any time to a port of 127.0.0.1, from these addresses in turn; with a torrent they shake hands for it."""

    def __init__(self, port, count, sources, torrent=None):
        self.port, self.count, self.torrent = port, count, torrent
        self.sources = itertools.cycle(sources)
        self.knocks = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        """All of them knock."""
        self.thread.start()
        deadline = time.monotonic() + patience(30)
        while self.knocks < self.count:
            assert time.monotonic() < deadline, "only %d of %d could knock" % (self.knocks, self.count)
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def run(self):
        with selectors.DefaultSelector() as selector:
            while not self.stopped.is_set():
                for _ in range(self.count - len(selector.get_map())):
                    self.knock(selector)
                for key, events in selector.select(0.01):
                    self.go_on(selector, key.fileobj, events)
            for key in list(selector.get_map().values()):
                key.fileobj.close()

    def knock(self, selector):
        s = socket.socket()
        s.setblocking(False)
        try:
            s.bind((next(self.sources), 0))
            if s.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
                raise OSError("refused")
        except OSError:
            s.close()
            return
        selector.register(s, selectors.EVENT_WRITE)

    def go_on(self, selector, s, events):
        try:
            if events & selectors.EVENT_WRITE:
                if self.torrent:
                    s.send(PROTOCOL + bytes(8) + self.torrent.info_hash + os.urandom(20))
                self.knocks += 1
                selector.modify(s, selectors.EVENT_READ)
            elif not s.recv(65536):
                raise ConnectionError("closed")
        except OSError:
            selector.unregister(s)
            s.close()
