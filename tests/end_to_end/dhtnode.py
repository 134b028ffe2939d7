"""A node of the DHT in Python, on a UDP port of loopback, which keeps what it was sent."""
import hashlib
import os
import socket
import threading
import time

from programs import patience
from torrents import bdecode, bencode


def compact(host, port):
    return socket.inet_aton(host) + port.to_bytes(2, "big")


class DhtNode:
    """Answers every query as a lone node would; `peers` are (host, port) that it names for any torrent."""

    def __init__(self, host="127.0.0.1", peers=(), answer=None):
        self.id = hashlib.sha1(os.urandom(8)).digest()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(0.1)
        self.host, self.port = self.socket.getsockname()
        self.peers, self.answer = peers, answer
        self.changed = threading.Condition()
        self.raw, self.queries, self.replies = [], [], []  # bytes; (query, from) decoded
        self.errors = []
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return "%s:%d" % (self.host, self.port)

    def _run(self):
        while not self.ended:
            try:
                data, source = self.socket.recvfrom(4096)
            except socket.timeout:
                continue
            with self.changed:
                self.raw.append(data)
                packet = bdecode(data)
                (self.queries if packet[b"y"] == b"q" else self.replies).append((packet, source))
                self.changed.notify_all()
            if packet[b"y"] == b"q":
                self._reply(packet, source)

    def _reply(self, query, source):
        reply = {"id": self.id}
        if query[b"q"] in (b"get_peers", b"find_node"):
            reply["nodes"] = b""
        if query[b"q"] == b"get_peers":
            reply["token"] = b"tokentok"
            if self.peers:
                reply["values"] = [compact(*p) for p in self.peers]
        packet = bencode({"t": query[b"t"], "y": "r", "r": reply, "ip": compact(*source)})
        self.socket.sendto(self.answer(packet) if self.answer else packet, source)

    def asked(self, name):
        """The arguments of the queries of that name."""
        return [q[b"a"] for q, _ in list(self.queries) if q[b"q"] == name]

    def wait_asked(self, name, count=1, timeout=20):
        deadline = time.monotonic() + patience(timeout)
        with self.changed:
            while True:
                found = self.asked(name)
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                assert left > 0, "no %s within %g s; got %s" % (name, patience(timeout), [q[b"q"] for q, _ in self.queries])
                self.changed.wait(left)

    def mentions(self, text):
        """Was this, an info hash for example, in any packet that came?"""
        with self.changed:
            return any(text in data for data in self.raw)

    def send(self, port, packet, host="127.0.0.1"):
        self.socket.sendto(packet if isinstance(packet, bytes) else bencode(packet), (host, port))

    def stop(self):
        self.ended = True
        self.thread.join(5)
        self.socket.close()
