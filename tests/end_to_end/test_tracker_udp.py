"""tbt-tracker over UDP (BEP 15), asked by hand: packets right and wrong, and what it sends to whom."""
import json
import os
import shutil
import socket
import struct
import time
import urllib.request

import pytest

from lab import free_port
from programs import Tracker, cpu_seconds, patience

MAGIC = 0x41727101980
HASH = bytes(range(0x20, 0x34))
OTHER = bytes(range(0x60, 0x74))
CONNECT, ANNOUNCE, SCRAPE, ERROR = range(4)
NONE, COMPLETED, STARTED, STOPPED = range(4)


def udp_port(tracker):
    return tracker.wait_for("listening", lambda e: e["protocol"] == "udp")["port"]


class Asker:
    """One UDP socket that asks a tracker."""

    def __init__(self, tracker, source=None, host=None, port=None):
        self.host = (host or tracker.host).strip("[]")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self.v6 = family == socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(patience(5))
        if source:
            self.socket.bind((source, 0))
        self.socket.connect((self.host, port or udp_port(tracker)))
        self.transaction = 1000
        self.id = None

    def send(self, packet):
        self.socket.send(packet)

    def receive(self, timeout=None):
        if timeout is not None:
            self.socket.settimeout(timeout)
        return self.socket.recv(4096)

    def ask(self, packet):
        self.send(packet)
        return self.receive()

    def is_silent_on(self, packet):
        """No answer comes; shown by the answer to the next question coming first."""
        self.send(packet)
        self.send(struct.pack(">QII", MAGIC, CONNECT, 0xfeed))
        return self.receive()[:8] == struct.pack(">II", CONNECT, 0xfeed)

    def connect(self):
        self.transaction += 1
        answer = self.ask(struct.pack(">QII", MAGIC, CONNECT, self.transaction))
        action, transaction, self.id = struct.unpack(">IIQ", answer)
        assert (action, transaction) == (CONNECT, self.transaction)
        return self

    def announce_packet(self, number=1, left=100, event=STARTED, numwant=50, hash=HASH, port=None, id=None, ip=0):
        self.transaction += 1
        return struct.pack(">QII20s20sQQQIIIIH", self.id if id is None else id, ANNOUNCE, self.transaction, hash,
                           b"-PY0001-%012d" % number, 0, left, 0, event, ip, 7, numwant & 0xffffffff,
                           10000 + number if port is None else port)

    def announce(self, *args, **kw):
        """(interval, leechers, seeders, [(address, port)])"""
        answer = self.ask(self.announce_packet(*args, **kw))
        action, transaction = struct.unpack(">II", answer[:8])
        assert (action, transaction) == (ANNOUNCE, self.transaction), answer
        size = 18 if self.v6 else 6
        assert (len(answer) - 20) % size == 0 and len(answer) <= (1452 if self.v6 else 1472)
        family = socket.AF_INET6 if self.v6 else socket.AF_INET
        peers = [(socket.inet_ntop(family, answer[i:i + size - 2]), *struct.unpack(">H", answer[i + size - 2:i + size]))
                 for i in range(20, len(answer), size)]
        return (*struct.unpack(">III", answer[8:20]), peers)

    def scrape_packet(self, *hashes, id=None):
        self.transaction += 1
        return struct.pack(">QII", self.id if id is None else id, SCRAPE, self.transaction) + b"".join(hashes)

    def scrape(self, *hashes):
        """[(seeders, completed, leechers)]"""
        answer = self.ask(self.scrape_packet(*hashes))
        assert struct.unpack(">II", answer[:8]) == (SCRAPE, self.transaction), answer
        return [struct.unpack(">III", answer[i:i + 12]) for i in range(8, len(answer), 12)]


def error_of(answer, transaction):
    assert struct.unpack(">II", answer[:8]) == (ERROR, transaction), answer
    return answer[8:].decode()


@pytest.fixture(params=["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"])
def tracker(request, lab):
    """A tracker in each family, on one address and on all of them."""
    tracker = lab.tracker(listen=request.param)
    tracker.host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(tracker.host, tracker.host)
    return tracker


def test_udp_listens_on_the_same_port_number(tracker):
    assert udp_port(tracker) == tracker.port


def test_peers_find_each_other_but_never_themselves(tracker):
    asker = Asker(tracker).connect()
    me = "::1" if asker.v6 else "127.0.0.1"
    assert asker.announce(1) == (1800, 1, 0, [])
    assert asker.announce(2) == (1800, 2, 0, [(me, 10001)])
    assert asker.announce(1, event=NONE) == (1800, 2, 0, [(me, 10002)])
    assert sorted(asker.announce(3, left=0)[3]) == [(me, 10001), (me, 10002)]
    assert asker.announce(2, event=STOPPED)[3] == []
    assert asker.announce(1, event=NONE) == (1800, 1, 1, [(me, 10003)])


def test_seeders_are_told_of_seeders_only_when_they_name_a_number(tracker):
    asker = Asker(tracker).connect()

    def found(**more):
        return sorted(port for _, port in asker.announce(4, left=0, **more)[3])

    for n, left in ((1, 0), (2, 0), (3, 5)):
        asker.announce(n, left=left)
    assert found(numwant=-1) == [10003]
    assert found(numwant=1) == [10003]
    assert found(numwant=50) == [10001, 10002, 10003]


def test_each_question_of_a_burst_is_answered(tracker):
    asker = Asker(tracker).connect()
    swarms = [bytes([n]) * 20 for n in range(4)]
    for n, swarm in enumerate(swarms):
        for peer in range(10 * n):
            asker.announce(peer, hash=swarm)
    entry = 18 if asker.v6 else 6
    for _ in range(4):
        expected = []
        for i in range(50):  # as many answers as a socket holds; some of one length side by side
            n = i // 7 % 4
            asker.send(asker.announce_packet(999, hash=swarms[n], numwant=200))
            expected.append((ANNOUNCE, asker.transaction, 20 + 10 * n * entry))
        answers = [asker.receive() for _ in expected]
        assert [(*struct.unpack(">II", a[:8]), len(a)) for a in answers] == expected


def test_scrape_answers_in_the_order_asked(tracker):
    asker = Asker(tracker).connect()
    asker.announce(1)
    asker.announce(2, left=0, event=COMPLETED)
    assert asker.scrape(OTHER, HASH, OTHER) == [(0, 0, 0), (1, 1, 1), (0, 0, 0)]
    assert asker.scrape(*[HASH] * 74) == [(1, 1, 1)] * 74


def test_scrape_of_a_listed_torrent_leaves_the_others_at_zero(lab):
    torrent = lab.torrent(lab.noise_file("a", 1000))
    asker = Asker(lab.tracker("--torrent", torrent.path)).connect()
    asker.announce(1, hash=torrent.info_hash)
    assert asker.scrape(OTHER, torrent.info_hash, OTHER) == [(0, 0, 0), (0, 0, 1), (0, 0, 0)]
    answer = asker.ask(asker.announce_packet(1, hash=OTHER))
    assert "torrent" in error_of(answer, asker.transaction)


def test_udp_and_http_share_the_swarms(lab):
    tracker = lab.tracker()
    asker = Asker(tracker).connect()
    asker.announce(1)
    with urllib.request.urlopen(tracker.base + "/stats") as page:
        stats = json.load(page)
    assert (stats["swarms"], stats["peers"], stats["announces"]) == (1, 1, 1)


def test_the_address_in_the_packet_is_ignored(lab):
    asker = Asker(lab.tracker()).connect()
    asker.announce(1, ip=0x08080808)
    assert asker.announce(2)[3] == [("127.0.0.1", 10001)]


def test_replies_fit_one_packet_whatever_is_asked_for(tracker):
    asker = Asker(tracker).connect()
    for i in range(1, 301):
        asker.announce(i, numwant=0)
    most = 79 if asker.v6 else 200
    for numwant in (1000, 200):
        assert len(set(asker.announce(301, numwant=numwant)[3])) == most
    assert len(asker.announce(301, numwant=-1)[3]) == 50
    assert len(asker.announce(301, numwant=3)[3]) == 3
    assert asker.announce(301, numwant=0)[3] == []


def test_in_a_swarm_of_both_families_each_gets_as_many_of_its_own(lab):
    tracker = lab.tracker("--listen", "[::1]:0")
    tracker.wait_until(lambda: len(tracker.all("listening")) >= 4, "both addresses")
    by_host = {}
    for e in tracker.all("listening", lambda e: e["protocol"] == "udp"):
        by_host[e["address"]] = e["port"]
    four = Asker(tracker, host="127.0.0.1", port=by_host["127.0.0.1"]).connect()
    six = Asker(tracker, host="::1", port=by_host["::1"]).connect()
    for i in range(1, 501):
        four.announce(i, numwant=0)
    for i in range(1, 101):
        six.announce(i, numwant=0)
    for asker, most in ((four, 200), (six, 79)):
        assert len(set(asker.announce(600, numwant=200)[3])) == most
        assert len(set(asker.announce(600, numwant=50)[3])) == 50


def test_options_behind_an_announce_are_tolerated(lab):
    asker = Asker(lab.tracker()).connect()
    for options in (b"\x02\x09/announce", b"\x01\x01\x00", b"\x02\xff/", b"\x00" * 600, b"\x07" * 1300):
        answer = asker.ask(asker.announce_packet(1) + options)
        assert struct.unpack(">II", answer[:8]) == (ANNOUNCE, asker.transaction)


def test_port_0_is_refused(lab):
    asker = Asker(lab.tracker()).connect()
    assert "port" in error_of(asker.ask(asker.announce_packet(1, port=0)), asker.transaction)
    assert asker.scrape(HASH) == [(0, 0, 0)]


def test_forged_ids_get_an_error_that_is_no_longer_than_the_question(tracker):
    asker = Asker(tracker).connect()
    good = asker.id
    forged = [0, MAGIC, 2 ** 64 - 1] + [good ^ 1 << bit for bit in range(0, 64, 7)]
    for id in forged:
        for packet in (asker.announce_packet(1, id=id), asker.scrape_packet(HASH, id=id),
                       asker.scrape_packet(*[HASH] * 74, id=id), asker.scrape_packet(id=id),
                       asker.announce_packet(1, id=id) + bytes(1300)):
            transaction = struct.unpack(">I", packet[12:16])[0]
            answer = asker.ask(packet)
            assert len(answer) <= len(packet)
            assert error_of(answer, transaction).lower().startswith("conn")
    assert asker.scrape(HASH) == [(0, 0, 0)], "nothing was kept"


def test_an_id_is_good_for_its_address_only(lab):
    tracker = lab.tracker()
    asker = Asker(tracker, source="127.0.0.1").connect()
    same = Asker(tracker, source="127.0.0.1")
    same.id = asker.id
    same.announce(1)
    other = Asker(tracker, source="127.0.0.2")
    other.id = asker.id
    assert error_of(other.ask(other.announce_packet(2)), other.transaction)
    assert asker.scrape(HASH) == [(0, 0, 1)]


def test_an_id_of_another_run_is_worth_nothing(lab):
    first, second = lab.tracker(), lab.tracker()
    asker = Asker(first).connect()
    other = Asker(second)
    other.id = asker.id
    assert error_of(other.ask(other.announce_packet(1)), other.transaction)


def test_torn_and_foreign_packets_are_met_with_silence_or_less(tracker):
    asker = Asker(tracker).connect()
    connect = struct.pack(">QII", MAGIC, CONNECT, 5)
    silent = [b"", b"\0", connect[:15], struct.pack(">QII", MAGIC + 1, CONNECT, 5), struct.pack(">QII", asker.id, ERROR, 5),
              struct.pack(">QII", asker.id, 4, 5), struct.pack(">QII", asker.id, 2 ** 32 - 1, 5), os.urandom(8), bytes(1472),
              b"GET /announce HTTP/1.1\r\n\r\n"]
    for packet in silent:
        assert asker.is_silent_on(packet), packet
    whole = asker.announce_packet(1)
    for length in range(16, 98):
        answer = asker.ask(whole[:length])
        assert error_of(answer, asker.transaction) and len(answer) <= length
    for length in (16, 17, 35):
        answer = asker.ask(asker.scrape_packet(HASH)[:length])
        assert error_of(answer, asker.transaction) and len(answer) <= length
    assert asker.scrape(HASH) == [(0, 0, 0)], "no half announce was kept"
    # A connect may be longer than it must be; the answer is not.
    assert len(asker.ask(connect + bytes(500))) == 16


def test_nobody_gets_more_than_he_sent_before_he_has_shown_his_address(tracker):
    asker = Asker(tracker)
    asker.id = 0x1234567890
    sent = [struct.pack(">QII", MAGIC, CONNECT, 1), asker.announce_packet(), asker.scrape_packet(HASH), asker.scrape_packet(),
            asker.announce_packet()[:16], asker.announce_packet()[:20], struct.pack(">QII", 1, 9, 1), os.urandom(64)]
    for packet in sent:
        asker.send(packet)
        got = b""
        try:
            got = asker.receive(0.2)
        except socket.timeout:
            pass
        assert len(got) <= len(packet)


def test_answers_come_from_the_address_that_was_asked(lab):
    tracker = lab.tracker(listen="0.0.0.0:0")
    for host in ("127.0.0.1", "127.0.0.2", "127.4.5.6"):
        Asker(tracker, host=host).connect().announce(1)  # its socket takes answers from there only


def test_one_front_may_be_switched_off(lab):
    tracker = lab.keep(Tracker("--no-http"))
    port = udp_port(tracker)
    Asker(tracker).connect().announce(1)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)
    tracker = lab.tracker("--no-udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", tracker.port))
        s.settimeout(patience(2))
        s.send(struct.pack(">QII", MAGIC, CONNECT, 1))
        with pytest.raises(OSError):
            s.recv(100)  # refused
    assert lab.command("serve", "--no-http", "--no-udp", program="tbt-tracker").status == 2


def test_a_port_that_is_taken_is_an_error(lab):
    first = lab.keep(Tracker("--no-http"))
    where = "127.0.0.1:%d" % udp_port(first)
    second = lab.command("serve", "--no-http", "--listen", where, program="tbt-tracker")
    assert second.status == 1 and second.refused and where in second.err
    with_http = lab.command("serve", "--listen", where, program="tbt-tracker")
    assert with_http.status == 1 and with_http.refused


def test_idle_it_sleeps_and_under_a_flood_it_still_ends(lab):
    tracker = lab.tracker("--threads", "4")
    before = cpu_seconds(tracker.pid)
    time.sleep(1.5)
    assert cpu_seconds(tracker.pid) - before < 0.2
    asker = Asker(tracker).connect()
    packet = asker.announce_packet()
    for _ in range(20000):
        asker.send(packet)
    assert tracker.terminate() == 0


def test_the_stop_is_quick(lab):
    tracker = lab.tracker()
    started = time.monotonic()
    assert tracker.terminate() == 0
    assert time.monotonic() - started < patience(2)


@pytest.mark.skipif(not shutil.which("aria2c"), reason="needs aria2c")
def test_two_aria2_meet_by_udp(lab):
    tracker = lab.tracker()
    content = lab.noise_file("shared.bin", 300000)
    torrent = lab.torrent(content, announce="udp://127.0.0.1:%d/announce" % tracker.port)
    # aria2 asks UDP trackers from the socket of its DHT, which knows nobody here.
    def aria2(name, folder, *more):
        folder.mkdir(exist_ok=True)
        return lab.process(["aria2c", "--no-conf", "--enable-dht=true", "--dht-listen-port=%d" % free_port(), "--enable-dht6=false",
                            "--dht-file-path", str(lab.path(name + ".dat")), "--bt-enable-lpd=false", "--enable-peer-exchange=false",
                            "--interface=127.0.0.1", "--disable-ipv6=true", "--quiet", "--allow-overwrite=true", "--async-dns=false",
                            "--listen-port=%d" % free_port(), "--dir", str(folder), *more, torrent.path], name)

    seed = aria2("seed", content.parent, "--seed-ratio=0", "--bt-seed-unverified=true")
    asker = Asker(tracker).connect()
    deadline = time.monotonic() + patience(20)
    while asker.scrape(torrent.info_hash)[0][0] == 0:
        assert time.monotonic() < deadline, "the seeder never announced itself"
        time.sleep(0.1)
    there = lab.path("there")
    leech = aria2("leech", there, "--seed-time=0")
    assert leech.wait(40) == 0, leech.tail()
    assert (there / content.name).read_bytes() == content.read_bytes()
    assert seed.alive


def test_a_full_tracker_refuses_new_torrents_and_goes_on_with_known_ones(lab):
    asker = Asker(lab.tracker("--max-peers", "2")).connect()
    asker.announce(1)
    asker.announce(2)
    assert error_of(asker.ask(asker.announce_packet(3, hash=OTHER)), asker.transaction) == "the tracker is full"
    assert len(asker.announce(3)[3]) == 2
    assert asker.announce(2, event=STOPPED)[1] == 1
    asker.announce(3, hash=OTHER)
