"""--download-limit and --upload-limit, measured in bytes of blocks on the wire by peers of our own."""
import socket
import struct
import threading
import time

import pytest

from fakepeer import BLOCK, CHOKE, INTERESTED, REQUEST, UNCHOKE, Seeder, message
from programs import SCALE, cpu_seconds
from test_web_seed import PIECE as WEB_PIECE
from test_web_seed import WebServer
from torrents import make_torrent

KIB, MIB = 1 << 10, 1 << 20
SECONDS = 10
FRAME = BLOCK + 13  # a PIECE with its header


class Meter:
    """Bytes of content as they pass: each one noted with its time."""

    def __init__(self):
        self.lock = threading.Lock()
        self.samples = []  # (time, bytes)

    def add(self, count):
        with self.lock:
            self.samples.append((time.monotonic(), count))

    def began(self):
        with self.lock:
            return self.samples[0][0] if self.samples else None

    def between(self, start, end):
        with self.lock:
            return sum(count for at, count in self.samples if start <= at < end)

    def total(self):
        return self.between(0, float("inf"))


class Taker:
    """A leech that asks for block after block, many at once, and drops what comes."""

    AHEAD = 64

    def __init__(self, lab, seeder, torrent, source="127.0.0.9"):
        self.meter = Meter()
        self.torrent = torrent
        self.connection = lab.dial(seeder, torrent, source=source, timeout=120)
        self.connection.shake_hands(pieces=())
        self.connection.become_unchoked()
        self.next = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _ask(self, count):
        per_piece = self.torrent.piece_length // BLOCK
        blocks = self.torrent.size // BLOCK
        out = []
        for _ in range(count):
            piece, block = divmod(self.next % blocks, per_piece)
            out.append(message(REQUEST, struct.pack(">III", piece, block * BLOCK, BLOCK)))
            self.next += 1
        self.connection.send_raw(b"".join(out))

    def _run(self):
        sock, buffer = self.connection.sock, bytearray(MIB)
        sock.settimeout(None)
        received = asked = 0
        try:
            while True:
                due = self.AHEAD - (asked - received // FRAME)
                if due >= self.AHEAD // 4:
                    self._ask(due)
                    asked += due
                count = sock.recv_into(buffer)
                if not count:
                    return
                received += count
                self.meter.add(count * BLOCK / FRAME)
        except Exception:
            pass  # closed, by either side


def large_torrent(lab, name, size, piece_length=MIB):
    """A file with nothing in it, which costs neither time nor memory."""
    content = lab.path(name)
    content.parent.mkdir(parents=True, exist_ok=True)
    with open(content, "wb") as f:
        f.truncate(size)
    return content, make_torrent(content, lab.path(content.name + ".torrent"), piece_length)


def seeder_for(lab, name, size, *arguments):
    content, torrent = large_torrent(lab, "source/" + name, size)
    return lab.seed(torrent, content, *arguments), torrent


class Giver(Seeder):
    """A seeder of zeros that answers at once and notes what it gives."""

    def __init__(self, torrent, **kw):
        self.meter = Meter()
        super().__init__(torrent, bytes(BLOCK), answer=self._give, **kw)

    def _give(self, c, piece, begin, data):
        length = min(BLOCK, self.torrent.piece_size(piece) - begin)
        self.meter.add(length)
        c.send_block(piece, begin, self.content[:length])


def giver(lab, torrent, **kw):
    return lab.serve(Giver(torrent, **kw))


def wait_begun(meters, timeout=60):
    """When the first of them began, once all have."""
    deadline = time.monotonic() + timeout
    while not all(m.began() for m in meters):
        assert time.monotonic() < deadline, "nothing comes"
        time.sleep(0.01)
    return min(m.began() for m in meters)


def measure_each(meters, seconds=SECONDS):
    """Bytes of each within so many seconds from its first one on."""
    wait_begun(meters)
    time.sleep(seconds)
    return [m.between(m.began(), m.began() + seconds) for m in meters]


def measure(meters, seconds=SECONDS):
    """The same, from the first one of all on."""
    start = wait_begun(meters)
    time.sleep(max(0, start + seconds + 0.2 - time.monotonic()))
    return [m.between(start, start + seconds) for m in meters]


def assert_kept(got, rate, seconds=SECONDS, slack=0.05):
    """Within 5 %; a block more or less depends on when it is looked."""
    allowed = max(rate * seconds * slack, BLOCK)
    assert abs(got - rate * seconds) <= allowed, "%.4f of the limit" % (got / (rate * seconds))


RATES = {"16K": 16 * KIB, "50K": 50 * KIB, "1M": MIB, "20M": 20 * MIB}


def test_an_upload_limit_is_kept(lab):
    takers = {}
    for rate in RATES:
        seeder, torrent = seeder_for(lab, rate, 32 * MIB, "--upload-limit", rate)
        takers[rate] = Taker(lab, seeder, torrent)
    for rate, got in zip(takers, measure_each([t.meter for t in takers.values()])):
        assert_kept(got, RATES[rate])


def test_a_download_limit_is_kept(lab):
    content, torrent = large_torrent(lab, "source/zeros", 256 * MIB)
    givers = {}
    for rate in RATES:
        givers[rate] = giver(lab, torrent)
        lab.leech(torrent, lab.path("out" + rate), "--download-limit", rate, peers=[givers[rate]])
    for rate, got in zip(givers, measure_each([g.meter for g in givers.values()])):
        assert_kept(got, RATES[rate])


@pytest.mark.skipif(SCALE < 1, reason="sanitizers are slower than the limit")
@pytest.mark.parametrize("side", ["upload", "download"])
def test_a_high_limit_is_kept(lab, side):
    """What is faster than that is not held back by this either: see test_transfer."""
    rate, seconds = 100 * MIB, 4
    content, torrent = large_torrent(lab, "source/zeros", 700 * MIB)
    if side == "upload":
        meters = [Taker(lab, lab.seed(torrent, content, "--upload-limit", "100M"), torrent).meter]
    else:
        givers = [giver(lab, torrent, host="127.0.0.%d" % i) for i in (2, 3)]
        lab.leech(torrent, lab.path("out"), "--download-limit", "100M", peers=givers)
        meters = [g.meter for g in givers]
    assert sum(measure(meters, seconds)) <= rate * seconds * 1.05


@pytest.mark.parametrize("rate, seconds", [(64 * KIB, 20), (4 * MIB, 10)])
def test_an_upload_limit_is_shared_fairly(lab, rate, seconds):
    seeder, torrent = seeder_for(lab, "shared", 32 * MIB, "--upload-limit", str(rate))
    # The choker's slots are another matter: as many as are sure to be served at once.
    takers = [Taker(lab, seeder, torrent, source="127.0.1.%d" % i) for i in range(1, 5)]
    before = cpu_seconds(seeder.pid)
    shares = measure([t.meter for t in takers], seconds)
    assert_kept(sum(shares), rate, seconds)
    assert max(shares) - min(shares) <= max(2 * BLOCK, 0.05 * max(shares)), shares
    assert cpu_seconds(seeder.pid) - before < (0.2 if rate < MIB else 1) / SCALE


def test_a_download_limit_is_shared_by_fast_peers_and_leaves_nothing_to_a_slow_one_unused(lab):
    rate = 400 * KIB
    content, torrent = large_torrent(lab, "source/zeros", 64 * MIB)
    slow = giver(lab, torrent, host="127.0.0.2", rate=20 * KIB)
    fast = [giver(lab, torrent, host="127.0.0.%d" % i) for i in (3, 4, 5)]
    leech = lab.leech(torrent, lab.path("out"), "--download-limit", str(rate), peers=[slow, *fast])
    leech.wait_until(lambda: len(leech.all("peer")) >= 4, "four peers")
    shares = measure([g.meter for g in (slow, *fast)])
    assert_kept(sum(shares), rate)
    assert shares[0] > 0.5 * 20 * KIB * SECONDS, shares
    assert min(shares[1:]) > 0.9 * max(shares[1:]), shares


def test_a_download_limit_holds_over_torrents_and_web_seeds_together(lab):
    rate = 600 * KIB
    meter = Meter()

    def answer(handler, path, data, first, last):
        """By and by, so that what is counted has gone out."""
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))
        handler.send_header("Content-Length", str(last + 1 - first))
        handler.end_headers()
        for at in range(first, last + 1, 2048):
            part = data[at:min(at + 2048, last + 1)]
            handler.wfile.write(part)
            meter.add(len(part))

    first, torrent = large_torrent(lab, "source/first", 24 * MIB)
    givers = [giver(lab, torrent, host="127.0.0.%d" % i) for i in (2, 3)]
    tracker = lab.http_tracker(peers=[g.address for g in givers])
    torrent = make_torrent(first, torrent.path, MIB, tracker.url)
    web = lab.serve(WebServer(lab.path("source"), answer))
    second = lab.path("source/second")
    with open(second, "wb") as f:
        f.truncate(24 * MIB)
    by_web = make_torrent(second, lab.path("second.torrent"), WEB_PIECE, **{"url-list": web.url})
    lab.client("leech", torrent.path, by_web.path, "--output", lab.path("out"), "--download-limit", str(rate))
    shares = measure([meter, *[g.meter for g in givers]])
    assert_kept(sum(shares), rate, slack=0.08)  # a web server's socket holds some
    assert min(shares) > 0.8 * max(shares), shares


@pytest.mark.slow
def test_a_block_takes_its_time_under_the_lowest_limit_and_nobody_is_dropped(lab):
    content, torrent = large_torrent(lab, "source/zeros", 4 * MIB)
    seeder = lab.seed(torrent, content, "--upload-limit", "1K")
    takers = [Taker(lab, seeder, torrent, source="127.0.1.%d" % i) for i in (1, 2)]
    giving = giver(lab, torrent)
    leech = lab.leech(torrent, lab.path("out"), "--download-limit", "1K", peers=[giving])
    busy = {p: cpu_seconds(p.pid) for p in (seeder, leech)}
    shares = measure([t.meter for t in takers], 40)
    assert [round(s / BLOCK) for s in shares] == [2, 1]  # at 0 and 16 s; at 32 s, when its turn came
    assert giving.meter.total() == 3 * BLOCK
    assert leech.find("peer", lambda e: e["state"] == "closed") is None
    # What a user wonders about meanwhile has its answer.
    assert {e["reason"] for e in leech.all("stalled")} == {"the download limit of 1024 bytes a second is used up; 1 peer waits for it"}
    assert seeder.find("peer", lambda e: e["state"] == "closed") is None
    assert all(cpu_seconds(p.pid) - before < 0.5 / SCALE for p, before in busy.items())


def test_an_upload_limit_leaves_our_requests_alone(lab):
    """A block that waits for the limit does not hold up what we ask for."""
    content, torrent = large_torrent(lab, "source/zeros", 16 * MIB, 256 * KIB)
    asked = []

    def trade(c, piece, begin, data):
        length = min(BLOCK, torrent.piece_size(piece) - begin)
        c.send_block(piece, begin, bytes(length))
        if trader.haves_seen:
            asked or c.send(INTERESTED)
            asked.append(trader.haves_seen[0])
            if len(asked) < 100:
                c.request(asked[-1])

    trader = lab.seeder(torrent, bytes(BLOCK), answer=trade, rate=4 * MIB)
    started = time.monotonic()
    leech = lab.leech(torrent, lab.path("out"), "--upload-limit", "1K", peers=[trader], stay=True)
    leech.wait_complete()
    assert time.monotonic() - started < 10 / SCALE and len(asked) > 100


def test_what_a_peer_was_asked_for_in_vain_does_not_count(lab):
    """One that chokes us instead of answering, again and again, takes nothing from the others' share."""
    rate = 200 * KIB
    content, torrent = large_torrent(lab, "source/zeros", 16 * MIB)

    def tease(c):
        c.receive_handshake()
        c.send_handshake()
        c.send_pieces(range(torrent.piece_count))
        c.receive_until(INTERESTED)
        while True:
            c.send(UNCHOKE)
            kind, _ = c.receive_until(REQUEST, timeout=60)
            c.send(CHOKE)

    teaser = lab.peer(torrent, tease, host="127.0.0.7")
    honest = giver(lab, torrent)
    lab.leech(torrent, lab.path("out"), "--download-limit", str(rate), peers=[teaser, honest])
    assert_kept(measure([honest.meter])[0], rate, slack=0.1)


def test_who_connects_and_is_asked_for_nothing_takes_nothing_of_a_download_limit(lab):
    rate = 64 * KIB
    content, torrent = large_torrent(lab, "source/zeros", 16 * MIB)
    honest = giver(lab, torrent)
    leech = lab.leech(torrent, lab.path("out"), "--download-limit", str(rate), peers=[honest])
    wait_begun([honest.meter])
    for i in range(20):  # as many blocks would be half of what is measured
        lab.dial(leech, torrent, source="127.0.1.%d" % (i + 1)).shake_hands(pieces=())
    assert_kept(measure([honest.meter])[0], rate, slack=0.1)
