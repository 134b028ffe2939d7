"""Trackers that lie, hang and flood: the download goes on, sparingly and with the right bytes."""
import gzip
import socket
import struct
import threading
import time

import pytest

from lab import finish_equal
from programs import memory_kib, patience
from torrents import bencode


@pytest.fixture
def pair(lab):
    """A content, and a seeder of it on 127.0.0.2."""
    class Pair:
        content = lab.noise_file("source/thing", 300000)

        def torrent(self, announce, **kw):
            self.made = lab.torrent(self.content, announce=announce, **kw)
            self.seeder = lab.seeder(self.made, self.content.read_bytes())
            return self.made

    return Pair()


def packed(host, port):
    return socket.inet_aton(host) + struct.pack(">H", port)


def headers(handler, status=200, **more):
    handler.send_response(status)
    for key, value in more.items():
        handler.send_header(key.replace("_", "-"), str(value))
    handler.end_headers()


def endless(handler):
    headers(handler)
    try:
        handler.wfile.write(b"d8:intervali1800e5:peers")
        while True:
            handler.wfile.write(bytes(1 << 16))
    except OSError:
        pass
    handler.close_connection = True


def bomb(handler):
    body = gzip.compress(bytes(200 << 20), 1)
    headers(handler, Content_Encoding="gzip", Content_Length=len(body))
    try:
        handler.wfile.write(body)
    except OSError:
        pass


def redirect(to):
    return lambda handler: headers(handler, 302, Location=to, Content_Length=0)


def hang(handler):
    time.sleep(patience(60))


def trickle(handler):
    headers(handler, Content_Length=100000)
    try:
        for _ in range(600):
            handler.wfile.write(b"d")
            time.sleep(0.2)
    except OSError:
        pass


ANSWERS = {
    "nothing": b"", "html": b"<html>busy</html>", "not finished": b"d8:intervali1800e5:peers", "a list": b"le", "peers of 7 bytes": bencode({"interval": 9, "peers": b"1234567"}),
    "peers is a number": bencode({"interval": 9, "peers": 5}), "interval is text": bencode({"interval": "x", "peers": b""}), "deep": b"l" * 1000000,
    "failure": bencode({"failure reason": "go away"}), "endless": endless, "bomb": bomb, "redirect to itself": redirect("/announce?x"),
    "redirect to a file": redirect("file:///etc/passwd"), "redirect to gopher": redirect("gopher://127.0.0.1:1/x"), "404": lambda h: headers(h, 404, Content_Length=0),
    "500": lambda h: headers(h, 500, Content_Length=0), "closes": lambda h: h.connection.shutdown(socket.SHUT_RDWR),
    "believe me, 1 TiB": lambda h: headers(h, Content_Length=1 << 40), "hangs": hang, "trickles": trickle,
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_bad_tracker_is_an_error_and_no_more(lab, pair, case):
    """The peer named by hand gives all; the tracker neither stops that, nor costs memory, nor holds up the exit."""
    answer = ANSWERS[case]
    tracker = lab.http_tracker(answer=lambda a: answer)
    torrent = pair.torrent(tracker.url)
    leech = lab.leech(torrent, lab.path("out"), peers=[pair.seeder])
    tracker.wait_for("started")
    leech.wait_complete(20)
    peak = memory_kib(leech.pid)
    finish_equal(leech, pair.content, lab.path("out"), timeout=8)
    assert peak < patience(100 << 10), "%d KiB" % peak
    assert "\n" not in leech.stderr.strip()


@pytest.mark.parametrize("case", ["failure", "html", "404", "endless", "bomb", "redirect to itself"])
def test_the_event_says_what_was_wrong(lab, pair, case):
    tracker = lab.http_tracker(answer=lambda a: ANSWERS[case])
    leech = lab.leech(pair.torrent(tracker.url), lab.path("out"))
    announce = leech.wait_for("announce", timeout=20)
    assert announce["error"]
    if case == "failure":
        assert "go away" in announce["error"]


def test_the_next_tier_takes_over_from_a_bad_tracker(lab, pair):
    bad = lab.http_tracker(answer=lambda a: bencode({"failure reason": "no"}))
    good = lab.http_tracker()
    torrent = pair.torrent([[bad.url], [good.url]])
    good.peers.append(pair.seeder.address)
    finish_equal(lab.leech(torrent, lab.path("out")), pair.content, lab.path("out"), timeout=15)


@pytest.mark.parametrize("hanging", [hang, trickle])
def test_a_hanging_tracker_holds_up_no_other(lab, pair, hanging):
    """The next tier is asked after some seconds, while the first one is still waited for; and only who knows us is told the end."""
    bad = lab.http_tracker(answer=lambda a: hanging)
    good = lab.http_tracker()
    torrent = pair.torrent([[bad.url], [good.url]])
    good.peers.append(pair.seeder.address)
    finish_equal(lab.leech(torrent, lab.path("out")), pair.content, lab.path("out"), timeout=8)
    assert [a.event for a in bad.announces] == ["started"]
    assert [a.event for a in good.announces] == ["started", "completed", "stopped"]


@pytest.mark.slow
def test_three_hanging_trackers_are_passed_over_within_15_seconds(lab, pair):
    bad = [lab.http_tracker(answer=lambda a: hang) for _ in range(3)]
    good = lab.http_tracker()
    torrent = pair.torrent([[b.url] for b in bad] + [[good.url]])
    good.peers.append(pair.seeder.address)
    leech = lab.leech(torrent, lab.path("out"))
    finish_equal(leech, pair.content, lab.path("out"), timeout=15)


@pytest.mark.slow
def test_a_tracker_that_knows_nobody_is_not_the_last_to_be_asked(lab, pair):
    """Not before 20 s, for tiers have their order (BEP 12)."""
    empty, good = lab.http_tracker(), lab.http_tracker()
    torrent = pair.torrent([[empty.url], [good.url]])
    good.peers.append(pair.seeder.address)
    finish_equal(lab.leech(torrent, lab.path("out")), pair.content, lab.path("out"), timeout=30)
    assert good.announces[0].time - empty.announces[0].time > 15
    assert [a.event for t in (empty, good) for a in t.announces if a.path == "/announce"] == 2 * ["started", "completed", "stopped"]


@pytest.mark.slow
def test_a_private_torrent_has_one_tracker_at_a_time(lab, pair):
    """BEP 27: one that knows nobody is not left for another, and one that hangs is given up first."""
    empty, unused, good = (lab.http_tracker() for _ in range(3))
    bad = lab.http_tracker(answer=lambda a: hang)
    lab.leech(pair.torrent([[empty.url], [unused.url]], info={"private": 1}), lab.path("nobody"))
    empty.wait_for("started")
    torrent = pair.torrent([[bad.url], [good.url]], info={"private": 1})
    good.peers.append(pair.seeder.address)
    finish_equal(lab.leech(torrent, lab.path("out")), pair.content, lab.path("out"), timeout=40)
    assert good.announces[0].time - bad.announces[0].time > 20
    assert unused.announces == []


def test_bad_entries_are_skipped_one_by_one(lab, pair):
    tracker = lab.http_tracker()
    torrent = pair.torrent(tracker.url)
    good = packed("127.0.0.2", pair.seeder.port)
    bad = packed("0.0.0.0", 80) + packed("127.0.0.2", 0) + packed("255.255.255.255", 80) + packed("224.0.0.1", 80)
    tracker.answer = lambda a: bencode({"interval": 1800, "peers": bad + good})
    finish_equal(lab.leech(torrent, lab.path("out")), pair.content, lab.path("out"), timeout=15)


def test_bad_dictionary_entries_are_skipped_one_by_one(lab, pair):
    tracker = lab.http_tracker()
    torrent = pair.torrent(tracker.url)
    entries = [5, "x", {}, {"ip": "127.0.0.2"}, {"port": 5}, {"ip": 5, "port": 5}, {"ip": "localhost", "port": 1}, {"ip": "127.0.0.2", "port": 70000},
               {"ip": "127.0.0.2", "port": -1}, {"ip": "x" * 5000, "port": 1}, {"ip": "127.0.0.2", "port": pair.seeder.port, "peer id": b"x"}]
    tracker.answer = lambda a: bencode({"interval": 1800, "peers": entries})
    finish_equal(lab.leech(torrent, lab.path("out")), pair.content, lab.path("out"), timeout=15)


def test_the_torrent_goes_on_when_a_redirect_is_a_good_one(lab, pair):
    real = lab.http_tracker()
    first = lab.http_tracker(answer=lambda a: redirect(real.url + "?" + "&".join("%s=%s" % (k, escape(v)) for k, v in a.keys.items())))
    torrent = pair.torrent(first.url)
    real.peers.append(pair.seeder.address)
    finish_equal(lab.leech(torrent, lab.path("out")), pair.content, lab.path("out"), timeout=15)


def escape(data):
    return "".join("%%%02x" % byte for byte in data)


def test_control_characters_of_a_tracker_are_escaped(lab, pair):
    evil = "evil\x1b[31m\n{\"event\":\"complete\"}\x7f" + "long" * 5000
    tracker = lab.http_tracker(answer=lambda a: bencode({"failure reason": evil, "warning message": evil}))
    leech = lab.leech(pair.torrent(tracker.url), lab.path("out"), "--verbose")
    announce = leech.wait_for("announce")
    assert len(announce["error"]) < 2000
    assert leech.terminate() == 1
    assert leech.find("complete") is None and not leech.find("not JSON")
    for line in leech.out + leech.err:
        assert all(byte >= 0x20 and byte != 0x7f for byte in line), line


@pytest.mark.slow
def test_a_wild_interval_is_clamped(lab, pair):
    trackers = []
    for interval in (0, 1, -5, 1 << 62):
        body = bencode({"interval": interval, "min interval": interval, "peers": b""})
        tracker = lab.http_tracker(answer=lambda a, body=body: body)
        lab.leech(pair.torrent(tracker.url), lab.path("out%d" % len(trackers)))
        trackers.append(tracker)
    for tracker in trackers:
        tracker.wait_for("started")
    time.sleep(12)
    assert all(len(tracker.announces) <= 4 for tracker in trackers), [len(t.announces) for t in trackers]


@pytest.mark.slow
def test_failing_trackers_are_asked_sparingly(lab, pair):
    trackers = [lab.http_tracker(answer=lambda a: bencode({"failure reason": "no"})) for _ in range(4)]
    leech = lab.leech(pair.torrent([[t.url] for t in trackers]), lab.path("out"))
    leech.wait_for("announce")
    time.sleep(20)
    assert 1 <= sum(len(t.announces) for t in trackers) <= 5
    assert leech.terminate() == 1


def test_a_flood_of_peers_is_bounded(lab, pair):
    """30,000 addresses in one answer, one of which is good, do not stop the download or eat the memory."""
    tracker = lab.http_tracker()
    torrent = pair.torrent(tracker.url)
    good = packed("127.0.0.2", pair.seeder.port)
    flood = b"".join(packed("127.1.%d.%d" % (i >> 8 & 255, i & 255), 1 + i % 65000) for i in range(30000))
    tracker.answer = lambda a: bencode({"interval": 1800, "peers": good + flood})
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_complete(20)
    assert memory_kib(leech.pid) < patience(100 << 10)
    finish_equal(leech, pair.content, lab.path("out"), timeout=8)


@pytest.mark.slow
def test_dead_ports_of_one_address_are_dialled_sparingly(lab, pair):
    """500 ports that reset, all of one address: no more than some 20 dials in 10 s."""
    tracker = lab.http_tracker()
    torrent = pair.torrent(tracker.url)
    dials = []
    sockets = []

    def refuse(s):
        while True:
            try:
                c, _ = s.accept()
            except OSError:
                return
            dials.append(time.monotonic())
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()

    for _ in range(100):
        s = socket.create_server(("127.0.0.66", 0))
        sockets.append(s)
        threading.Thread(target=refuse, args=(s,), daemon=True).start()
    tracker.answer = lambda a: bencode({"interval": 1800, "peers": b"".join(packed("127.0.0.66", s.getsockname()[1]) for s in sockets)})
    try:
        lab.leech(torrent, lab.path("out"))
        tracker.wait_for("started")
        time.sleep(10)
        assert len(dials) <= 30, "%d dials" % len(dials)
    finally:
        for s in sockets:
            s.close()


def test_a_passkey_is_not_printed(lab, pair):
    tracker = lab.http_tracker()
    key = "0123456789abcdef0123456789abcdef"
    torrent = pair.torrent(tracker.url.replace("/announce", "/%s/announce?passkey=%s" % (key, key)))
    leech = lab.leech(torrent, lab.path("out"), "--verbose", peers=[pair.seeder])
    tracker.wait_for("started")
    finish_equal(leech, pair.content, lab.path("out"))
    assert all(key.encode() not in line for line in leech.out + leech.err)
    assert tracker.announces[0].path == "/%s/announce" % key and tracker.announces[0]["passkey"] == key
