"""tbt-tracker, asked by hand: every key of an announce, every page, every bad question."""
import json
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from lab import free_port
from programs import cpu_seconds, memory_kib, patience, scaled
from torrents import bdecode

HASH = bytes(range(0x80, 0x94))


def peer_id(number):
    return b"-PY0001-%012d" % number


def get(url, method="GET", source=None, timeout=10):
    """(status, body) of a page."""
    request = urllib.request.Request(url, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=patience(timeout)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def query(number=1, left=100, **keys):
    """An announce of peer `number`; a key with None is left out."""
    keys = {"info_hash": HASH, "peer_id": peer_id(number), "port": 10000 + number, "uploaded": 0, "downloaded": 0,
            "left": left, "compact": 1, "event": "started", **keys}
    return "&".join("%s=%s" % (k, urllib.parse.quote(v if isinstance(v, (bytes, str)) else str(v), safe=""))
                    for k, v in keys.items() if v is not None)


def announce(tracker, number=1, left=100, **keys):
    status, body = get(tracker.url + "?" + query(number, left, **keys))
    assert status == 200, (status, body)
    return bdecode(body)


def ports(reply):
    """The ports of a reply's IPv4 peers, compact or not."""
    peers = reply.get(b"peers", b"")
    if isinstance(peers, list):
        return sorted(p[b"port"] for p in peers)
    assert len(peers) % 6 == 0
    return sorted(struct.unpack(">H", peers[i + 4:i + 6])[0] for i in range(0, len(peers), 6))


def raw(tracker, data, timeout=10):
    """Send bytes, read until the end: the answer, or b'' when it just closed."""
    with socket.create_connection(("127.0.0.1", tracker.port), patience(timeout)) as s:
        got = b""
        try:
            s.sendall(data)
            while True:
                part = s.recv(65536)
                if not part:
                    return got
                got += part
        except ConnectionError:
            return got


def scrape(tracker, *hashes):
    url = tracker.base + "/scrape"
    if hashes:
        url += "?" + "&".join("info_hash=" + urllib.parse.quote(h, safe="") for h in hashes)
    status, body = get(url)
    assert status == 200
    return bdecode(body)[b"files"]


def test_peers_find_each_other_but_never_themselves(lab):
    tracker = lab.tracker()
    first = announce(tracker, 1)
    assert first[b"interval"] == 1800 and ports(first) == []
    assert (first[b"complete"], first[b"incomplete"]) == (0, 1)
    assert ports(announce(tracker, 2)) == [10001]
    assert ports(announce(tracker, 1, event=None)) == [10002]
    assert ports(announce(tracker, 3, left=0)) == [10001, 10002]


def test_peers_are_compact_ipv4(lab):
    tracker = lab.tracker()
    announce(tracker, 1)
    assert announce(tracker, 2)[b"peers"] == socket.inet_aton("127.0.0.1") + struct.pack(">H", 10001)


def test_peers_as_dictionaries_when_compact_is_0(lab):
    tracker = lab.tracker()
    announce(tracker, 1)
    (peer,) = announce(tracker, 2, compact=0)[b"peers"]
    assert (peer[b"ip"], peer[b"port"]) == (b"127.0.0.1", 10001)
    assert peer.get(b"peer id", peer_id(1)) == peer_id(1), "may be left out, as by others that do not keep it"
    (peer,) = announce(tracker, 2, compact=0, no_peer_id=1)[b"peers"]
    assert set(peer) == {b"ip", b"port"}


def test_ipv6_peers_come_by_peers6(lab):
    tracker = lab.tracker(listen="[::1]:0")
    announce(tracker, 1)
    reply = announce(tracker, 2)
    assert reply[b"peers6"] == socket.inet_pton(socket.AF_INET6, "::1") + struct.pack(">H", 10001)
    assert reply.get(b"peers", b"") == b""
    as_list = announce(tracker, 2, compact=0)
    assert [(p[b"ip"], p[b"port"]) for p in as_list[b"peers"]] == [(b"::1", 10001)]


def test_listening_on_both_families_at_once(lab):
    tracker = lab.tracker("--listen", "[::1]:0")
    tracker.wait_until(lambda: len(tracker.all("listening", lambda e: e["protocol"] == "http")) >= 2, "two addresses")
    for e in tracker.all("listening", lambda e: e["protocol"] == "http"):
        host = "[::1]" if ":" in e["address"] else "127.0.0.1"
        assert get("http://%s:%d/health" % (host, e["port"]))[0] == 200


def test_seeders_are_told_of_seeders_only_when_they_name_a_number(lab):
    tracker = lab.tracker()
    announce(tracker, 1, left=0)
    announce(tracker, 2, left=0)
    announce(tracker, 3, left=5)
    for numwant in (None, -1, "x"):
        assert ports(announce(tracker, 4, left=0, numwant=numwant)) == [10003]
    assert ports(announce(tracker, 4, left=0, numwant=1)) == [10003]
    assert ports(announce(tracker, 4, left=0, numwant=50)) == [10001, 10002, 10003]
    assert ports(announce(tracker, 5, left=5)) == [10001, 10002, 10003, 10004]


def test_events_move_a_peer_between_the_counts(lab):
    tracker = lab.tracker()

    def counts(reply):
        return reply[b"complete"], reply[b"incomplete"]

    assert counts(announce(tracker, 1)) == (0, 1)
    assert counts(announce(tracker, 1, left=0, event="completed")) == (1, 0)
    announce(tracker, 1, left=0, event="completed")  # said twice, counts once
    assert counts(announce(tracker, 2)) == (1, 1)
    gone = announce(tracker, 1, left=0, event="stopped")
    assert counts(gone) == (0, 1) and ports(gone) == []
    assert ports(announce(tracker, 3)) == [10002]
    assert scrape(tracker, HASH)[HASH] == {b"complete": 0, b"downloaded": 1, b"incomplete": 2}


def test_stopping_twice_or_unknown_does_not_underflow(lab):
    tracker = lab.tracker()
    for _ in range(3):
        announce(tracker, 1, event="stopped")
    reply = announce(tracker, 2, left=0)
    assert (reply[b"complete"], reply[b"incomplete"]) == (1, 0)


def test_one_entry_for_each_address_and_port(lab):
    tracker = lab.tracker()
    announce(tracker, 1)
    announce(tracker, 7, port=10001)  # another id, the same door
    reply = announce(tracker, 2)
    assert ports(reply) == [10001] and reply[b"incomplete"] == 2


@pytest.mark.parametrize("asked, given", [(None, 50), (0, 0), (1, 1), (30, 30), (100000, 200), (-1, 50)])
def test_numwant(lab, asked, given):
    tracker = lab.tracker()
    for i in range(230):
        announce(tracker, i, numwant=0)
    found = ports(announce(tracker, 999, numwant=asked))
    assert len(found) == len(set(found)) == given


def test_peers_come_in_random_order(lab):
    tracker = lab.tracker()
    for i in range(60):
        announce(tracker, i, numwant=0)
    choices = [announce(tracker, 999, numwant=5)[b"peers"] for _ in range(8)]
    assert len(set(choices)) > 1


@pytest.mark.parametrize("key", ["ip", "ipv4", "ipv6"])
def test_an_address_in_the_query_is_not_believed(lab, key):
    tracker = lab.tracker()
    announce(tracker, 1, **{key: "10.1.2.3" if key != "ipv6" else "2001:db8::1"})
    reply = announce(tracker, 2)
    assert reply[b"peers"] == socket.inet_aton("127.0.0.1") + struct.pack(">H", 10001)
    assert reply.get(b"peers6", b"") == b""


def test_forwarding_headers_are_not_believed(lab):
    tracker = lab.tracker()
    raw(tracker, ("GET /announce?%s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\n"
                  "Forwarded: for=10.1.2.3\r\nConnection: close\r\n\r\n" % query(1)).encode())
    assert announce(tracker, 2)[b"peers"] == socket.inet_aton("127.0.0.1") + struct.pack(">H", 10001)


def test_swarms_are_kept_apart(lab):
    tracker = lab.tracker()
    announce(tracker, 1)
    assert ports(announce(tracker, 2, info_hash=HASH[::-1])) == []


@pytest.mark.parametrize("odd", [bytes(20), b"\xff" * 20, b"&=%+ #?/\\\"'<>;:\0\r\n\t~", b"aaaaaaaaaaaaaaaaaaaa"])
def test_any_20_bytes_are_an_info_hash(lab, odd):
    odd = odd[:20].ljust(20, b".")
    tracker = lab.tracker()
    announce(tracker, 1, info_hash=odd)
    assert ports(announce(tracker, 2, info_hash=odd)) == [10001]
    assert scrape(tracker, odd)[odd][b"incomplete"] == 2


def test_scrape_of_several(lab):
    tracker = lab.tracker()
    other = HASH[::-1]
    announce(tracker, 1, left=0)
    announce(tracker, 2, info_hash=other)
    files = scrape(tracker, HASH, other)
    assert files[HASH] == {b"complete": 1, b"downloaded": 0, b"incomplete": 0}
    assert files[other] == {b"complete": 0, b"downloaded": 0, b"incomplete": 1}
    unknown = scrape(tracker, bytes(20)).get(bytes(20), {b"complete": 0})
    assert unknown[b"complete"] == 0


def test_a_silent_peer_is_forgotten(lab):
    tracker = lab.tracker("--interval", "1", "--peer-timeout", "2")
    assert announce(tracker, 1)[b"interval"] == 1
    assert ports(announce(tracker, 2, event="stopped")) == []
    deadline = time.monotonic() + patience(15)
    while ports(announce(tracker, 3)) == [10001]:
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.1)
    assert announce(tracker, 3)[b"incomplete"] == 1


BAD = {
    "no info_hash": {"info_hash": None}, "info_hash of 19 bytes": {"info_hash": HASH[:19]},
    "info_hash of 21 bytes": {"info_hash": HASH + b"x"}, "empty info_hash": {"info_hash": b""},
    "no peer_id": {"peer_id": None}, "peer_id of 19 bytes": {"peer_id": b"x" * 19}, "peer_id of 21 bytes": {"peer_id": b"x" * 21},
    "no port": {"port": None}, "port 0": {"port": 0}, "port 65536": {"port": 65536}, "port -1": {"port": -1},
    "port in words": {"port": "http"}, "port with a tail": {"port": "80x"}, "empty port": {"port": ""},
    "port that wraps": {"port": 4294967296 + 80}, "huge port": {"port": "9" * 40},
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_announce_is_refused_and_not_kept(lab, case):
    tracker = lab.tracker()
    status, body = get(tracker.url + "?" + query(1, **BAD[case]))
    if status == 200:
        reply = bdecode(body)
        assert set(reply) == {b"failure reason"} and reply[b"failure reason"]
    else:
        assert 400 <= status < 500
    assert announce(tracker, 2)[b"incomplete"] == 1
    assert json.loads(get(tracker.base + "/stats")[1]) is not None


@pytest.mark.parametrize("escape", ["%", "%1", "%zz", "%8", "%%%"])
def test_a_broken_escape_is_refused(lab, escape):
    tracker = lab.tracker()
    answer = raw(tracker, ("GET /announce?info_hash=%s%s&peer_id=%s&port=80&left=1 HTTP/1.1\r\nHost: x\r\n"
                           "Connection: close\r\n\r\n" % ("a" * 19, escape, "b" * 20)).encode())
    assert b"failure reason" in answer or answer.split(b" ")[1][:1] == b"4", answer


@pytest.mark.parametrize("keys", [
    {"left": -1}, {"left": "9" * 30}, {"left": 18446744073709551615}, {"uploaded": -5}, {"uploaded": "9" * 30},
    {"downloaded": "x"}, {"numwant": "9" * 30}, {"numwant": "x"}, {"event": "dancing"}, {"event": "x" * 3000},
    {"compact": 7}, {"key": "k" * 3000}, {"left": None}, {"trackerid": "\x00\x1b["},
])
def test_wild_numbers_are_refused_or_clamped(lab, keys):
    tracker = lab.tracker()
    status, body = get(tracker.url + "?" + query(1, **keys))
    assert status == 200 and set(bdecode(body)) or 400 <= status < 500
    reply = announce(tracker, 2, left=0)
    assert reply[b"complete"] in (1, 2) and reply[b"incomplete"] in (0, 1)


def test_every_key_twice(lab):
    tracker = lab.tracker()
    status, body = get(tracker.url + "?" + query(1) + "&" + query(1))
    assert status == 200 or 400 <= status < 500


@pytest.mark.parametrize("path, status", [("/nothing", 404), ("/announce/x", 404), ("/../etc/passwd", 404), ("/%2e%2e/etc/passwd", 404),
                                          ("/etc/passwd", 404), ("/index.html", 404), ("/stats/", 404),
                                          ("http://x/nothing", 404), ("http://announce", 404), ("ftp://x/health", 404)])
def test_unknown_paths(lab, path, status):
    tracker = lab.tracker()
    answer = raw(tracker, ("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"root:" not in answer


@pytest.mark.parametrize("host", ["http://x", "HTTP://127.0.0.1:6969", "http://[::1]:80"])
def test_a_host_may_stand_before_the_path(lab, host):
    tracker = lab.tracker()
    answer = raw(tracker, ("GET %s/announce?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (host, query(1))).encode())
    assert answer.startswith(b"HTTP/1.1 200 ") and b"incompletei1e" in answer, answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/announce", "/"])
def test_other_methods(lab, method, path):
    tracker = lab.tracker()
    answer = raw(tracker, ("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (method, path)).encode())
    assert answer.startswith(b"HTTP/1.1 405 "), answer[:200]


def test_a_long_address_is_refused(lab):
    tracker = lab.tracker()
    fits = raw(tracker, ("GET /announce?%s&x=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (query(1), "a" * 4000)).encode())
    assert fits.startswith(b"HTTP/1.1 200 ")
    answer = raw(tracker, ("GET /announce?%s&x=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (query(2), "a" * 9000)).encode())
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert announce(tracker, 3)[b"incomplete"] == 2


@pytest.mark.parametrize("head", [
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "\x13BitTorrent protocol" + "x" * 48, "GET\r\n\r\n", "GET / HTTP/1.1\r\n" + "X: y\r\n" * 20000,
    "A" * 100000,
], ids=lambda h: h[:20].encode("unicode_escape").decode())
def test_broken_requests_end_with_a_refusal(lab, head):
    tracker = lab.tracker()
    answer = raw(tracker, head.encode("latin-1") + b"\r\n\r\n", timeout=15)
    assert answer == b"" or b" 4" in answer.splitlines()[0] or b" 5" in answer.splitlines()[0], answer[:200]
    assert get(tracker.base + "/health")[0] == 200


@pytest.mark.parametrize("key, times", [("&", 7000), ("&a=b", 1700), ("&a", 3700), ("&%41=%42", 900)])
def test_a_query_of_many_keys_is_answered_at_once(lab, key, times):
    tracker = lab.tracker()
    more = key * times
    started = time.monotonic()
    answer = raw(tracker, ("GET /announce?%s%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (query(1), more)).encode())
    assert answer.startswith(b"HTTP/1.1 200 ") and b"incompletei1e" in answer
    assert time.monotonic() - started < patience(3)


@pytest.mark.parametrize("header", ["Content-Length : 5", "Transfer-Encoding : chunked", "Content-Length\t: 5", " Content-Length: 5",
                                    "Content-Length: 0, 5", "Content-Length: +0", "Content-Length:", "Transfer-Encoding: gzip"])
def test_who_says_in_an_odd_way_that_a_body_follows_is_refused(lab, header):
    """What follows must never be taken for a request of its own."""
    tracker = lab.tracker()
    hidden = "GET /announce?%s HTTP/1.1\r\nHost: x\r\n\r\n" % query(2)
    answer = raw(tracker, ("GET /health HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s" % (header, hidden)).encode())
    assert answer.startswith(b"HTTP/1.1 4") and b"200 OK" not in answer, answer
    assert announce(tracker, 1)[b"incomplete"] == 1


def test_keep_alive_serves_several_announces(lab):
    tracker = lab.tracker()
    with socket.create_connection(("127.0.0.1", tracker.port), patience(10)) as s:
        for i in range(5):
            s.sendall(("GET /announce?%s HTTP/1.1\r\nHost: x\r\n\r\n" % query(i)).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += s.recv(1)
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            body = b""
            while len(body) < length:
                body += s.recv(length - len(body))
            assert bdecode(body)[b"incomplete"] == i + 1


def test_pages(lab):
    tracker = lab.tracker()
    announce(tracker, 1, left=0)
    announce(tracker, 2)
    status, page = get(tracker.base + "/")
    assert status == 200 and b"<html" in page.lower()
    assert b"<noscript>" in page and b"<svg" in page
    assert not re.search(rb"(src|href)\s*=\s*[\"']?(https?:|//)", page), "it needs nothing from elsewhere"
    assert get(tracker.base + "/health")[0] == 200
    status, stats = get(tracker.base + "/stats")
    assert status == 200
    numbers = json.dumps(json.loads(stats))
    assert "seed" in numbers and "2" in numbers


def test_metrics_are_as_prometheus_wants_them(lab):
    tracker = lab.tracker()
    announce(tracker, 1, left=0)
    announce(tracker, 2)
    status, page = get(tracker.base + "/metrics")
    assert status == 200 and page.endswith(b"\n")
    samples = dict(line.rsplit(" ", 1) for line in page.decode().splitlines() if not line.startswith("#"))
    for name, value in {'peers{role="seeder"}': 1, 'peers{role="leecher"}': 1, "swarms": 1, "announces_total": 2, "refused_total": 0}.items():
        assert samples["tbt_tracker_" + name] == str(value)


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
@pytest.mark.parametrize("store", ["memory:", "redis://127.0.0.1:1"])
def test_promtool_finds_no_fault_with_the_metrics(lab, store):
    tracker = lab.tracker("--store", store)
    announce(tracker, 1, left=0)
    page = get(tracker.base + "/metrics")[1]
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
    assert page and checked.returncode == 0 and not checked.stderr, checked.stderr


def test_pages_escape_what_clients_sent(lab):
    tracker = lab.tracker()
    announce(tracker, 1, peer_id=b"<script>alert(1)</s>", info_hash=b"<script>alert(1)</s>", event="started")
    for path in ("/", "/stats", "/metrics", "/?x=<script>alert(1)</script>", "/nothing?<script>"):
        assert b"<script>alert" not in raw(tracker, ("GET %s HTTP/1.1\r\nHost: <script>alert\r\nUser-Agent: <script>alert(1)\r\n"
                                                     "Connection: close\r\n\r\n" % path).encode())


def test_only_the_given_torrents_are_tracked(lab):
    content = lab.noise_file("source/file", 100)
    other = lab.noise_file("source/other", 100, 1)
    port = free_port()
    torrent = lab.torrent(content, announce="http://127.0.0.1:%d/announce" % port)
    second = lab.torrent(other)
    # Without --listen the first torrent says where.
    tracker = lab.tracker("--torrent", torrent.path, "--torrent", second.path, listen=None)
    assert tracker.port == port
    announce(tracker, 1, info_hash=torrent.info_hash)
    assert ports(announce(tracker, 2, info_hash=torrent.info_hash)) == [10001]
    assert announce(tracker, 1, info_hash=second.info_hash)[b"incomplete"] == 1
    assert b"failure reason" in announce(tracker, 1)


def test_a_torrent_that_is_none_is_an_error(lab):
    bad = lab.write("x.torrent", b"not a torrent")
    result = lab.command("serve", "--torrent", bad, "--listen", "127.0.0.1:0", program="tbt-tracker")
    assert result.refused and "x.torrent" in result.err, result
    result = lab.command("serve", "--torrent", lab.path("missing.torrent"), program="tbt-tracker")
    assert result.refused and "missing.torrent" in result.err, result


def test_a_port_in_use_is_an_error(lab):
    tracker = lab.tracker()
    result = lab.command("serve", "--listen", "127.0.0.1:%d" % tracker.port, program="tbt-tracker")
    assert result.refused and result.status == 1 and str(tracker.port) in result.err, result


@pytest.mark.parametrize("arguments", [
    ["serve", "--listen", "nonsense"], ["serve", "--listen", "127.0.0.1:70000"], ["serve", "--interval", "x"], ["serve", "--bad"],
    ["dance"], [], ["serve", "extra"], ["serve", "--listen"], ["serve", "--store", "gopher://x"],
    ["serve", "--state", ""],
])
def test_bad_usage_exits_with_2(lab, arguments):
    result = lab.command(*arguments, program="tbt-tracker")
    assert result.status == 2 and result.refused, result


@pytest.mark.parametrize("timeout, odd", [(1799, True), (1800, False), (None, False)])
def test_a_timeout_below_the_interval_is_warned_of(lab, timeout, odd):
    tracker = lab.tracker(*(["--peer-timeout", str(timeout)] if timeout else []))
    if odd:
        assert "--peer-timeout" in tracker.wait_for("warning")["message"]
    assert get(tracker.base + "/health")[0] == 200
    assert tracker.terminate() == 0
    assert len(tracker.stderr.splitlines()) == (1 if odd else 0), tracker.stderr


def test_each_warning_is_a_line_and_an_event(lab):
    """Wherever in the tracker it comes from: a torrent, a folder at SIGHUP, a Redis that is not there."""
    folder = lab.path("torrents")
    folder.mkdir()
    (folder / "bad\n.torrent").write_bytes(b"none")
    tracker = lab.tracker("--allow-dir", folder, "--store", "redis://127.0.0.1:1", "--peer-timeout", "1799")
    tracker.wait_for("warning", lambda e: "bad\\x0a.torrent" in e["message"])
    tracker.wait_for("warning", lambda e: "redis 127.0.0.1:1" in e["message"])
    tracker.wait_for("warning", lambda e: "--peer-timeout" in e["message"])
    (folder / "bad\n.torrent").unlink()
    folder.rmdir()
    tracker.signal(signal.SIGHUP)
    tracker.wait_for("warning", lambda e: "cannot read" in e["message"])
    assert tracker.terminate() == 0
    events = ["tbt-tracker: " + e["message"] for e in tracker.all("warning")]
    assert sorted(tracker.stderr.splitlines()) == sorted(events)


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["--version"]])
def test_help_and_version(lab, arguments):
    result = lab.command(*arguments, program="tbt-tracker")
    assert result.status == 0 and result.out and not result.err, result
    if "serve" in arguments:
        for option in ("--listen", "--torrent", "--interval", "--peer-timeout", "--threads", "--json"):
            assert option in result.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_under_load(lab, number):
    tracker = lab.tracker()
    going = threading.Event()

    def load(first):
        i = first
        try:
            while True:
                announce(tracker, i % 5000, numwant=50)
                i += 1
                going.set()
        except (OSError, AssertionError):
            pass

    threads = [threading.Thread(target=load, args=(i * 1000,), daemon=True) for i in range(4)]
    for t in threads:
        t.start()
    assert going.wait(patience(10))
    idle = [socket.create_connection(("127.0.0.1", tracker.port)) for _ in range(20)]
    tracker.signal(number)
    assert tracker.wait(5) == 0
    for s in idle:
        s.close()


def test_many_idle_connections_do_not_hold_announces_up(lab):
    tracker = lab.tracker()
    idle = []
    try:
        for _ in range(800):
            idle.append(socket.create_connection(("127.0.0.1", tracker.port), patience(5)))
        times = []
        for i in range(20):
            started = time.monotonic()
            announce(tracker, i)
            times.append(time.monotonic() - started)
        assert max(times) < patience(0.5), times
    finally:
        for s in idle:
            s.close()


FEWEST = 18  # 12, 4 for the thread, and 2 connections


@pytest.mark.parametrize("descriptors", [FEWEST, 64, 256])
@pytest.mark.parametrize("hosts", [1, 200])
def test_idle_connections_make_room_where_descriptors_are_few(lab, descriptors, hosts):
    tracker = lab.tracker("--threads", "1", prefix=["prlimit", "--nofile=%d" % descriptors])
    idle = []
    try:
        for i in range(600):
            idle.append(socket.create_connection(("127.0.0.1", tracker.port), patience(5), ("127.0.1.%d" % (1 + i % hosts), 0)))
        for source in ("127.0.0.1", "127.0.1.1"):
            for i in range(5):
                started = time.monotonic()
                with socket.create_connection(("127.0.0.1", tracker.port), patience(5), (source, 0)) as s:
                    s.sendall(("GET /announce?%s HTTP/1.0\r\n\r\n" % query(i)).encode())
                    answer = b""
                    while part := s.recv(4096):
                        answer += part
                assert b"8:interval" in answer
                assert time.monotonic() - started < patience(0.5)
    finally:
        for s in idle:
            s.close()


@pytest.mark.slow
def test_half_requests_are_closed_however_they_trickle(lab):
    tracker = lab.tracker()
    started = time.monotonic()
    still, noise, trickling = (socket.create_connection(("127.0.0.1", tracker.port)) for _ in range(3))
    still.sendall(b"GET /announce?info_hash=")
    noise.sendall(b"\0\0\0\0\r\n\r\n")
    trickling.sendall(b"GET /announce?x=")
    stop = threading.Event()

    def trickle():
        try:
            while not stop.wait(1):
                trickling.sendall(b"a")
        except OSError:
            pass

    threading.Thread(target=trickle, daemon=True).start()
    try:
        for s, limit in ((still, 32), (noise, 32), (trickling, 62)):
            s.settimeout(patience(limit) - (time.monotonic() - started))
            try:
                while s.recv(4096):
                    pass
            except ConnectionError:
                pass
    finally:
        stop.set()
        for s in (still, noise, trickling):
            s.close()


@pytest.mark.slow
def test_out_of_descriptors_is_no_end(lab):
    tracker = lab.tracker(prefix=["prlimit", "--nofile=40"])
    idle = []
    for _ in range(80):
        try:
            idle.append(socket.create_connection(("127.0.0.1", tracker.port), 1))
        except OSError:
            break
    before = cpu_seconds(tracker.pid)
    time.sleep(2)
    assert cpu_seconds(tracker.pid) - before < 1, "it spins"
    for s in idle:
        s.close()
    deadline = time.monotonic() + patience(2)
    while True:
        try:
            assert announce(tracker, 1)[b"incomplete"] == 1
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_many_swarms_cost_little_memory(lab):
    tracker = lab.tracker()
    count = scaled(4000)
    with socket.create_connection(("127.0.0.1", tracker.port), patience(20)) as s:
        reader = s.makefile("rb")
        before = memory_kib(tracker.pid, "VmRSS")
        for i in range(count):
            digest = struct.pack(">5I", i, i * 7, i * 13, i * 29, 5)
            s.sendall(("GET /announce?%s HTTP/1.1\r\nHost: x\r\n\r\n" % query(i % 1000, info_hash=digest)).encode())
            while True:
                line = reader.readline()
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
                if line == b"\r\n":
                    break
            reader.read(length)
        grown = memory_kib(tracker.pid, "VmRSS") - before
    # Asked for with room: 600 bytes a swarm, and what allocator and threads (and
    # sanitizers) take once.
    assert grown < patience(600 * count / 1024 + 4096), "%d KiB for %d swarms" % (grown, count)
