"""Who is uploaded to when more peers want it than can be served well."""
import collections
import struct
import threading
import time

import pytest

from fakepeer import BLOCK, CHOKE, INTERESTED, PIECE, REJECT, REQUEST, UNCHOKE, Closed, Connection
from programs import patience

KIB = 1024
PIECE_LENGTH = 4 * BLOCK
PIECES = 400


class Taker:
    """A peer that takes pieces [0, PIECES / 2) round and round, with `depth` requests under way, and gives what it
    is asked for at `gives` bytes a second, or nothing."""

    def __init__(self, torrent, port, number, data=None, gives=0, fast=True, depth=8):
        self.data, self.gives, self.fast, self.depth = data, gives, fast, depth
        self.host = "127.0.1.%d" % number
        self.taken = self.rejected = self.lost = 0
        self.chokes = self.unchokes = 0
        self.open = collections.OrderedDict()  # requests under way
        self.owed = collections.deque()
        self.next = 0
        self.ended = False
        self.errors = []
        self.changed = threading.Condition()
        self.connection = Connection.dial(port, torrent, source=self.host, timeout=300)
        self.connection.shake_hands(pieces=range(torrent.piece_count) if gives else (), fast=fast)
        self.connection.send(INTERESTED)
        if gives:
            self.connection.send(UNCHOKE)
            threading.Thread(target=self._give, daemon=True).start()
        threading.Thread(target=self._take, daemon=True).start()

    def stop(self):
        self.ended = True
        self.connection.close()

    def wait_until(self, condition, what, timeout):
        with self.changed:
            if not self.changed.wait_for(condition, patience(timeout)):
                raise AssertionError("%s: no %s within %g s" % (self.host, what, patience(timeout)))

    def _ask(self):
        while not self.connection.choked and len(self.open) < self.depth:
            block = (self.next // 4 % (PIECES // 2), self.next % 4 * BLOCK)
            self.next += 1
            self.open[block] = None
            self.connection.request(*block)

    def _take(self):
        try:
            while True:
                kind, payload = self.connection.receive()
                with self.changed:
                    self._heard(kind, payload)
                    self.changed.notify_all()
                self._ask()
        except (Closed, TimeoutError):
            pass
        except AssertionError as e:
            self.errors.append("%s: %s" % (self.host, e))

    def _heard(self, kind, payload):
        if kind in (PIECE, REJECT):
            block = struct.unpack(">II", payload[:8])
            assert block in self.open, "answered twice, or never asked"
            del self.open[block]
            if kind == PIECE:
                self.taken += len(payload) - 8
            else:
                self.rejected += 1
        elif kind == CHOKE:
            self.chokes += 1
            if not self.fast:
                self.lost += len(self.open)
                self.open.clear()
        elif kind == UNCHOKE:
            self.unchokes += 1
        elif kind == REQUEST:
            self.owed.append(struct.unpack(">III", payload))

    def _give(self):
        try:
            while not self.ended:
                if not self.owed:
                    time.sleep(0.02)
                    continue
                piece, begin, length = self.owed.popleft()
                self.connection.send_block(piece, begin, self.data[piece * PIECE_LENGTH + begin:][:length])
                time.sleep(length / self.gives)
        except Closed:
            pass


class Choking:
    def __init__(self, lab):
        self.lab = lab
        self.content = lab.noise_file("source/thing", PIECES * PIECE_LENGTH)
        self.data = self.content.read_bytes()
        self.torrent = lab.torrent(self.content, PIECE_LENGTH)

    def takers(self, client, numbers, **kw):
        return [self.lab.serve(Taker(self.torrent, client.port, n, **kw)) for n in numbers]

    def seed(self, limit):
        return self.lab.seed(self.torrent, self.content, "--upload-limit", limit)


@pytest.fixture
def choking(lab):
    return Choking(lab)


def test_a_slot_that_becomes_free_is_given_at_once(choking):
    seeder = choking.seed("100K")
    takers = choking.takers(seeder, range(1, 5))
    for t in takers:
        t.wait_until(lambda: t.taken > 0, "block", 20)
    late, = choking.takers(seeder, [5])
    time.sleep(1)
    assert late.connection.choked, "there are more slots than 4 of 100 KiB/s"
    takers[0].stop()
    late.wait_until(lambda: late.unchokes, "slot", 5)
    late.wait_until(lambda: late.taken > 0, "block", 20)


@pytest.mark.slow
@pytest.mark.parametrize("fast", [True, False])
def test_who_is_choked_is_told_what_is_not_coming(choking, fast):
    seeder = choking.seed("200K")
    takers = choking.takers(seeder, range(1, 7), fast=fast, depth=40)
    deadline = time.monotonic() + patience(60)
    while not (choked := [t for t in takers if t.chokes]):
        assert time.monotonic() < deadline, "nobody is choked though two wait"
        time.sleep(0.1)
    for t in choked:
        if fast:  # each request has one answer
            t.wait_until(lambda: t.unchokes > t.chokes or not t.open, "answer to %d requests" % len(t.open), 20)
            assert t.rejected > 0
        else:
            assert t.rejected == 0 and t.lost > 0


@pytest.mark.slow
def test_everybody_has_a_turn(choking):
    seeder = choking.seed("200K")
    takers = choking.takers(seeder, range(1, 8))
    deadline = time.monotonic() + patience(100)
    while not all(t.taken > 0 for t in takers):
        assert time.monotonic() < deadline, "never served: %s" % [t.host for t in takers if not t.taken]
        time.sleep(0.2)


@pytest.mark.slow
def test_who_gives_nothing_gets_little(choking):
    """Five that give and five that do not want more than the limit allows: the latter share one slot of four."""
    half = choking.data[:len(choking.data) // 2]
    choking.lab.write("out/thing", half + bytes(len(half)))
    leech = choking.lab.leech(choking.torrent, choking.lab.path("out"), "--upload-limit", "200K", stay=True)
    freeloaders = choking.takers(leech, range(1, 6))
    givers = choking.takers(leech, range(11, 16), data=choking.data, gives=30 * KIB)
    time.sleep(22)  # two rounds: the rates are known
    before = [t.taken for t in givers + freeloaders]
    time.sleep(30)
    taken = [t.taken - b for t, b in zip(givers + freeloaders, before)]
    assert not leech.all("complete"), "too fast to be seen"
    assert sum(taken) > 30 * 200 * KIB / patience(1.3)
    assert sum(taken[:5]) > 2 * sum(taken[5:]), taken


@pytest.mark.slow
def test_nobody_is_choked_while_the_line_is_free(choking):
    seeder = choking.lab.seed(choking.torrent, choking.content)
    takers = choking.takers(seeder, range(1, 21), depth=2)
    for t in takers:
        t.wait_until(lambda: t.taken > 0, "block", 5)
    time.sleep(12)
    assert [t.chokes for t in takers] == [0] * 20
