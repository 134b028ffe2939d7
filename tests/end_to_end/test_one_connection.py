"""Two peers keep one connection, however many they have dialled: both have to keep the same, and one dials again when none lives."""
import queue
import socket
import threading
import time

import pytest

from fakepeer import EXTENDED, Closed
from lab import finish_equal
from programs import patience

SMALLEST, LARGEST = b"\0" * 20, b"\xff" * 20
HANDSHAKE = 68


@pytest.fixture
def shared(lab):
    content = lab.noise_file("source/file.bin", 300000)
    return content, lab.torrent(content, 32768)


def meet(connection, peer_id):
    """Exchange handshakes."""
    connection.send_handshake(peer_id=peer_id)
    connection.receive_handshake()


def is_talked_to(connection):
    """Whether this connection is taken for good: it is told of extensions.  False: closed without a word."""
    try:
        connection.receive_until(EXTENDED)
        return True
    except Closed:
        return False


def lives(connection, seconds=1):
    return connection.wait_closed(seconds) is None


class SlowRoad:
    """A way to another port that delays what passes: the first handshake in each direction, and what follows."""

    def __init__(self, port, forth=(0, 0), back=(0, 0)):
        self.port, self.forth, self.back = port, forth, back
        self.errors, self.accepted, self.ends = [], 0, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            far = socket.create_connection(("127.0.0.1", self.port))
            self.ends += [near, far]
            for way in ((near, far, self.forth), (far, near, self.back)):
                threading.Thread(target=self._carry, args=way, daemon=True).start()

    @staticmethod
    def _carry(source, target, delays):
        try:
            hands = b""
            while len(hands) < HANDSHAKE and (part := source.recv(HANDSHAKE - len(hands))):
                hands += part
            time.sleep(patience(delays[0]))
            target.sendall(hands)
            rest = source.recv(65536)
            time.sleep(patience(delays[1]))
            while rest:
                target.sendall(rest)
                rest = source.recv(65536)
        except OSError:
            pass
        finally:
            try:
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def stop(self):
        for end in (self.socket, *self.ends):
            end.close()


def test_who_dials_twice_keeps_the_one_it_met_first(lab, shared):
    """The leech meets the seed on the first road first, the seed meets the leech on the second."""
    content, torrent = shared
    leech = lab.leech(torrent, lab.path("out"))
    one = lab.serve(SlowRoad(leech.port, back=(1, 0)))
    two = lab.serve(SlowRoad(leech.port, forth=(0.5, 0), back=(0, 1)))
    lab.seed(torrent, content, "--peer", one.address, "--peer", two.address)
    finish_equal(leech, content, lab.path("out"))
    assert (one.accepted, two.accepted) == (1, 1)  # nobody had to dial again


def test_the_second_visit_goes_on_when_the_first_ends(lab, shared):
    content, torrent = shared
    seeder = lab.seed(torrent, content)
    first, second = lab.dial(seeder, torrent), lab.dial(seeder, torrent)
    meet(first, SMALLEST)
    assert is_talked_to(first)
    meet(second, SMALLEST)
    second.send_pieces(())  # it may speak before it is answered
    first.close()
    assert is_talked_to(second)
    second.become_unchoked()
    assert second.fetch(0) == content.read_bytes()[:torrent.piece_length]


@pytest.mark.parametrize("closes", [False, True])
def test_of_two_visits_the_first_stays(lab, shared, closes):
    content, torrent = shared
    seeder = lab.seed(torrent, content)
    first, second = lab.dial(seeder, torrent), lab.dial(seeder, torrent)
    meet(first, SMALLEST)
    assert is_talked_to(first)
    meet(second, SMALLEST)
    if closes:
        second.close()
    else:
        assert not is_talked_to(second)
    assert lives(first)


def test_a_peer_with_two_addresses_is_met_once(lab, shared):
    _, torrent = shared
    both = threading.Barrier(2)
    talked_to = queue.Queue()

    def script(c):
        c.receive_handshake()
        both.wait(patience(20))
        c.send_handshake(peer_id=SMALLEST)
        talked_to.put(is_talked_to(c))
        c.receive_until(-1, timeout=60)

    one, two = (lab.peer(torrent, script, host=host) for host in ("127.0.0.2", "127.0.0.3"))
    leech = lab.leech(torrent, lab.path("out"), peers=(one, two), stay=True)
    assert sorted(talked_to.get(timeout=patience(30)) for _ in range(2)) == [False, True]
    assert len(leech.all("peer", lambda e: e["state"] == "connected")) == 1


def both_dial(lab, torrent, theirs, we_first):
    """What tbt has dialled and what the other side has, as connections that were met in that order."""
    dialled = []
    go, met = threading.Event(), threading.Event()

    def script(c):
        c.receive_handshake()
        go.wait(patience(20))
        c.send_handshake(peer_id=theirs)
        dialled.append(c)
        met.set()
        threading.Event().wait(patience(60))

    peer = lab.peer(torrent, script)
    leech = lab.leech(torrent, lab.path("out"), peers=(peer,), stay=True)
    visit = lab.dial(leech, torrent)
    peer.wait_accepted()
    if not we_first:
        meet(visit, theirs)
        assert is_talked_to(visit)
    go.set()
    assert met.wait(patience(20))
    if we_first:
        assert is_talked_to(dialled[0])
        meet(visit, theirs)
    return dialled[0], visit


@pytest.mark.parametrize("we_first", [False, True])
def test_when_both_have_dialled_the_larger_id_keeps_its_own(lab, shared, we_first):
    ours, theirs = both_dial(lab, shared[1], SMALLEST, we_first)
    assert theirs.wait_closed(10) is not None
    assert lives(ours)


@pytest.mark.parametrize("keeps", ["first", "second", "both"])
@pytest.mark.parametrize("we_first", [False, True])
def test_when_both_have_dialled_the_smaller_id_waits_for_the_larger(lab, shared, we_first, keeps):
    ours, theirs = both_dial(lab, shared[1], LARGEST, we_first)
    first, second = (ours, theirs) if we_first else (theirs, ours)
    if keeps == "second":
        first.close()
        assert is_talked_to(second)
        return
    if keeps == "first":
        second.close()
    else:
        assert second.wait_closed(10) is not None
    assert lives(first)


@pytest.mark.parametrize("has_all", [False, True])
def test_a_seed_dials_again_who_went_without_all(lab, has_all):
    """It has nothing from the tracker but the address, and the other side may not know where the seed is."""
    content = lab.noise_file("source/file.bin", 300000)
    tracker = lab.http_tracker()
    torrent = lab.torrent(content, 32768, tracker.url)

    def script(c):
        c.receive_handshake()
        c.send_handshake()
        c.send_pieces(range(torrent.piece_count) if has_all else ())
        is_talked_to(c)

    peer = lab.peer(torrent, script)
    tracker.peers.append(peer.address)
    lab.seed(torrent, content)
    peer.wait_accepted()
    if has_all:
        time.sleep(patience(7))
        assert len(peer.accepted) == 1
    else:
        peer.wait_accepted(2)
        assert peer.accepted[1] - peer.accepted[0] > 4
