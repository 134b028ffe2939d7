"""A BitTorrent peer in Python that says exactly what a test wants said.

`Connection` speaks the wire protocol and nothing more.  `Listener` hands each
connection it accepts to a function.  `Seeder` is a listener that shares a
content honestly; its misbehaviours replace single steps of that.

Give each bad peer an address of its own in 127/8: addresses are banned, and
the honest peers must not sit on the same one."""
import os
import socket
import struct
import threading
import time

from programs import patience
from torrents import bdecode, bencode

PROTOCOL = b"\x13BitTorrent protocol"
CHOKE, UNCHOKE, INTERESTED, NOT_INTERESTED, HAVE, BITFIELD, REQUEST, PIECE, CANCEL, PORT = range(10)
SUGGEST, HAVE_ALL, HAVE_NONE, REJECT, ALLOWED_FAST = 13, 14, 15, 16, 17
EXTENDED = 20
FAST_BIT, EXTENDED_BIT, DHT_BIT = (7, 0x04), (5, 0x10), (7, 0x01)  # byte and mask in the reserved bytes
BLOCK = 16384


class Closed(Exception):
    """The other side went away."""


def reserved_bytes(fast=True, extended=True, dht=False):
    bits = bytearray(8)
    for wanted, (byte, mask) in ((fast, FAST_BIT), (extended, EXTENDED_BIT), (dht, DHT_BIT)):
        if wanted:
            bits[byte] |= mask
    return bytes(bits)


def new_peer_id():
    return b"-PY0001-" + os.urandom(6).hex().encode()


def message(kind, payload=b""):
    return struct.pack(">IB", 1 + len(payload), kind) + payload


def bitfield_of(pieces, count):
    bits = bytearray(-(-count // 8))
    for i in pieces:
        bits[i // 8] |= 0x80 >> i % 8
    return bytes(bits)


def pieces_of(bitfield, count):
    return {i for i in range(count) if bitfield[i // 8] & 0x80 >> i % 8}


class Connection:
    """One TCP connection, spoken message by message.  All waiting ends in TimeoutError or Closed."""

    def __init__(self, sock, torrent, timeout=20):
        self.sock, self.torrent = sock, torrent
        self.sock.settimeout(patience(timeout))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer_id = new_peer_id()
        self.their_reserved = self.their_id = None
        self.choked = True  # by them
        self.they_have = set()
        self.sending = threading.Lock()

    @classmethod
    def dial(cls, port, torrent, host="127.0.0.1", source=None, timeout=20):
        sock = socket.create_connection((host, port), patience(timeout), (source, 0) if source else None)
        return cls(sock, torrent, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    # Bytes

    def send_raw(self, data):
        try:
            with self.sending:
                self.sock.sendall(data)
        except TimeoutError:
            raise
        except OSError as e:
            raise Closed(str(e)) from None

    def receive_raw(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.sock.recv(count - len(data))
            except TimeoutError:
                raise
            except OSError as e:
                raise Closed(str(e)) from None
            if not part:
                raise Closed("after %d of %d bytes" % (len(data), count))
            data += part
        return data

    def wait_closed(self, seconds):
        """Read and drop until the other side closes; returns how long that took, or None if it did not."""
        started = time.monotonic()
        deadline = started + patience(seconds)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                if not self.sock.recv(65536):
                    return time.monotonic() - started
            except TimeoutError:
                return None
            except OSError:
                return time.monotonic() - started

    # Handshakes

    def send_handshake(self, fast=True, extended=True, info_hash=None, peer_id=None, protocol=PROTOCOL, dht=False):
        self.fast = fast
        self.send_raw(protocol + reserved_bytes(fast, extended, dht) + (info_hash or self.torrent.info_hash) +
                      (peer_id or self.peer_id))

    def receive_handshake(self):
        data = self.receive_raw(68)
        if data[:20] != PROTOCOL:  # some try an encrypted one first
            raise Closed("not the plain protocol")
        if data[28:48] != self.torrent.info_hash:
            raise AssertionError("a handshake for another torrent: %r" % data)
        self.their_reserved, self.their_id = data[20:28], data[48:]

    def they_can(self, bit):
        return bool(self.their_reserved[bit[0]] & bit[1])

    def shake_hands(self, pieces=None, **kw):
        """Both handshakes, then our pieces (None: say nothing of them)."""
        self.send_handshake(**kw)
        self.receive_handshake()
        if pieces is not None:
            self.send_pieces(pieces)

    def send_pieces(self, pieces):
        pieces = set(pieces)
        self.send(BITFIELD, bitfield_of(pieces, self.torrent.piece_count))

    # Messages

    def send(self, kind, payload=b""):
        self.send_raw(message(kind, payload))

    def receive(self):
        """The next message as (kind, payload); keep-alives are skipped, chokes and haves noted."""
        length = 0
        while length == 0:
            length, = struct.unpack(">I", self.receive_raw(4))
        if length > 1 << 21:
            raise AssertionError("a message of %d bytes" % length)
        kind, payload = self.receive_raw(1)[0], self.receive_raw(length - 1)
        count = self.torrent.piece_count
        if kind in (CHOKE, UNCHOKE):
            self.choked = kind == CHOKE
        elif kind == HAVE:
            self.they_have.add(struct.unpack(">I", payload)[0])
        elif kind == BITFIELD:
            self.they_have = pieces_of(payload, count)
        elif kind == HAVE_ALL:
            self.they_have = set(range(count))
        return kind, payload

    def receive_until(self, *kinds, timeout=20):
        """The next message of these kinds; others pass by."""
        deadline = time.monotonic() + patience(timeout)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no message of kind %s" % (kinds,))
            self.sock.settimeout(left)
            kind, payload = self.receive()
            if kind in kinds:
                return kind, payload

    def extended_handshake(self, **keys):
        self.send(EXTENDED, b"\0" + bencode({"m": {}, **keys}))

    def request(self, piece, begin=0, length=BLOCK):
        self.send(REQUEST, struct.pack(">III", piece, begin, length))

    def send_block(self, piece, begin, data):
        self.send(PIECE, struct.pack(">II", piece, begin) + data)

    # Doing what an honest leech does

    def become_unchoked(self, timeout=20):
        self.send(INTERESTED)
        while self.choked:
            self.receive_until(UNCHOKE, timeout=timeout)

    def fetch(self, piece, timeout=20):
        """Download one piece; fails on reject or choke."""
        size = self.torrent.piece_size(piece)
        wanted = {b: min(BLOCK, size - b) for b in range(0, size, BLOCK)}
        for begin, length in wanted.items():
            self.request(piece, begin, length)
        got = {}
        while len(got) < len(wanted):
            kind, payload = self.receive_until(PIECE, REJECT, CHOKE, timeout=timeout)
            assert kind == PIECE, "refused by a message of kind %d" % kind
            index, begin = struct.unpack(">II", payload[:8])
            assert index == piece and len(payload) - 8 == wanted[begin]
            got[begin] = payload[8:]
        return b"".join(got[b] for b in sorted(got))


def fetch_piece(port, torrent, piece=0, host="127.0.0.1", source=None, timeout=20):
    """What an honest newcomer gets: one piece over a fresh connection."""
    with Connection.dial(port, torrent, host, source, timeout) as c:
        c.shake_hands(pieces=())
        c.become_unchoked(timeout)
        return c.fetch(piece, timeout)


def has_extension_handshake(payload):
    """The dictionary of an extended handshake message, or None."""
    return bdecode(payload[1:]) if payload[:1] == b"\0" else None


class Listener:
    """Accepts connections on an address and runs script(connection) for each in a thread."""

    def __init__(self, torrent, script, host="127.0.0.2", port=0):
        self.torrent, self.script, self.host = torrent, script, host
        self.accepted = []  # monotonic times
        self.errors = []    # what scripts raised, Closed and time-outs apart
        self.changed = threading.Condition()
        self.connections = []
        self.stopping = False
        self.socket = socket.create_server((host, port), backlog=256,
                                           family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)

    def _accept(self):
        while not self.stopping:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            connection = Connection(sock, self.torrent, timeout=300)
            with self.changed:
                self.accepted.append(time.monotonic())
                self.connections.append(connection)
                self.changed.notify_all()
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            self.script(connection)
        except (Closed, TimeoutError):
            pass
        except Exception as e:  # told to the test at the end
            if not self.stopping:
                self.errors.append("%s: %s: %s" % (self.address, type(e).__name__, e))
        finally:
            connection.close()

    def wait_until(self, condition, what, timeout=30):
        """Wait for something that this peer's threads tell of by `changed`."""
        deadline = time.monotonic() + patience(timeout)
        with self.changed:
            while not condition():
                left = deadline - time.monotonic()
                assert left > 0, "%s: no %s within %g s" % (self.address, what, patience(timeout))
                self.changed.wait(left)

    def wait_accepted(self, count=1, timeout=30):
        self.wait_until(lambda: len(self.accepted) >= count, "%d connections" % count, timeout)

    def drop_all(self):
        with self.changed:
            connections = list(self.connections)
        for connection in connections:
            connection.close()

    def stop(self):
        self.stopping = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.drop_all()


class Seeder(Listener):
    """Shares `content` (bytes) with who asks.

    have     which pieces (default all); rate: bytes a second over all connections
    answer   called as answer(connection, piece, begin, data) instead of send_block
    unchoke  whoever is interested: True at once, False never, an Event once it is set
    """

    def __init__(self, torrent, content, host="127.0.0.2", port=0, have=None, rate=None, answer=None, unchoke=True,
                 fast=True, extended=True):
        self.content = content
        self.have = set(range(torrent.piece_count)) if have is None else set(have)
        self.rate = rate
        self.answer = answer or (lambda c, piece, begin, data: c.send_block(piece, begin, data))
        self.unchoke, self.fast, self.extended = unchoke, fast, extended
        self.sent = 0         # bytes of content
        self.requests = []    # (piece, begin), in the order asked
        self.interests = 0    # how many said so
        self.haves_seen = []  # of the other side
        self.due = 0.0
        self.budget = threading.Lock()
        super().__init__(torrent, self.serve, host, port)

    def serve(self, c, shaken=False, silent=False):
        """Serve a connection to its end.  shaken: handshakes are done; silent: our pieces are told, too."""
        if not shaken:
            c.receive_handshake()
            c.send_handshake(self.fast, self.extended)
        if not silent:
            c.send_pieces(self.have)
        if not shaken and c.they_can(EXTENDED_BIT) and self.extended:
            c.extended_handshake(v="fakepeer")
        while True:
            kind, payload = c.receive()
            if kind == INTERESTED:
                self._interested(c)
            elif kind == HAVE:
                with self.changed:
                    self.haves_seen.append(struct.unpack(">I", payload)[0])
                    self.changed.notify_all()
            elif kind == REQUEST:
                self._request(c, *struct.unpack(">III", payload))

    def _interested(self, c):
        with self.changed:
            self.interests += 1
            self.changed.notify_all()
        if isinstance(self.unchoke, threading.Event):
            if not self.unchoke.wait(patience(60)):
                return
        elif not self.unchoke:
            return
        c.send(UNCHOKE)

    def _request(self, c, piece, begin, length):
        if piece not in self.have or begin + length > self.torrent.piece_size(piece):
            raise AssertionError("asked for %d %d %d, which we never said to have" % (piece, begin, length))
        self._throttle(length)
        at = piece * self.torrent.piece_length + begin
        with self.changed:
            self.requests.append((piece, begin))
            self.sent += length
            self.changed.notify_all()
        self.answer(c, piece, begin, self.content[at:at + length])

    def _throttle(self, length):
        if not self.rate:
            return
        with self.budget:
            self.due = max(self.due, time.monotonic() - 0.05) + length / self.rate
            wait = self.due - time.monotonic()
        if wait > 0:
            time.sleep(wait)


# Misbehaviours, for Seeder(answer=...)

def corrupt(connection, piece, begin, data):
    connection.send_block(piece, begin, bytes([data[0] ^ 0xff]) + data[1:])


def corrupt_first_block(connection, piece, begin, data):
    (corrupt if begin == 0 else Connection.send_block)(connection, piece, begin, data)


def mute(connection, piece, begin, data):
    pass


def wrong_offset(connection, piece, begin, data):
    connection.send_block(piece, begin + 1, data)
