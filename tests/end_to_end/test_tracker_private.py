"""tbt-tracker for some and behind others: passkeys, proxies, limits by address."""
import hashlib
import json
import shutil
import signal
import socket
import struct
import threading
import time
import urllib.parse
import urllib.request

import pytest

from lab import free_port
from programs import patience, scaled
from test_other_clients import OTHER as ELSEWHERE, TBT, TRACKER, Island, need
from test_tracker import announce, get, ports, query, raw
from test_tracker_udp import Asker, OTHER, error_of
from torrents import bdecode, noise

KEYS = "# who may use it\nalicekey\n\nbobkey  # bob\n"


def ask(tracker, path, number=1, headers=(), **keys):
    request = urllib.request.Request(tracker.base + path + "?" + query(number, **keys), headers=dict(headers))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=patience(10)) as answer:
        return bdecode(answer.read())


def scrape_status(tracker, path):
    return get(tracker.base + path + "?info_hash=" + urllib.parse.quote(bytes(range(0x80, 0x94)), safe=""))[1]


def until(what, text, timeout=10):
    end = time.monotonic() + patience(timeout)
    while not what():
        assert time.monotonic() < end, text
        time.sleep(0.02)


@pytest.fixture
def private(lab):
    keys = lab.path("keys")
    keys.write_text(KEYS)
    tracker = lab.tracker("--passkeys", keys)
    tracker.keys = keys
    return tracker


def by_udp(tracker, url, number=7, hash=OTHER):
    """Announce over UDP for a tracker's URL whose path is `url` (BEP 41)."""
    asker = Asker(tracker).connect()
    options = b"".join(b"\x02" + bytes([len(url[i:i + 255])]) + url[i:i + 255] for i in range(0, len(url), 255))
    answer = asker.ask(asker.announce_packet(number, hash=hash) + options)
    if struct.unpack(">I", answer[:4])[0] == 3:
        return error_of(answer, asker.transaction)
    return [struct.unpack(">H", answer[i + 4:i + 6])[0] for i in range(20, len(answer), 6)]


def test_only_who_has_a_passkey_is_served(private):
    assert b"failure reason" in ask(private, "/announce", 1)
    assert b"failure reason" in ask(private, "/announce/evekey", 1)
    assert ports(ask(private, "/announce/alicekey", 2)) == []
    assert ports(ask(private, "/announce/bobkey", 3)) == [10002]
    assert b"failure reason" in scrape_status(private, "/scrape")
    assert b"failure reason" in scrape_status(private, "/scrape/evekey")
    assert b"10:incompletei2e" in scrape_status(private, "/scrape/bobkey")


def test_over_udp_the_passkey_is_in_the_url(private):
    assert "passkey" in by_udp(private, b"")
    assert "passkey" in by_udp(private, b"/announce")
    assert "passkey" in by_udp(private, b"/announce/evekey")
    assert by_udp(private, b"/announce/alicekey", 7) == []
    assert by_udp(private, b"/announce/bobkey?x=" + b"y" * 600, 8) == [10007]
    asker = Asker(private).connect()
    answer = asker.ask(asker.scrape_packet(OTHER))
    assert "passkey" in error_of(answer, asker.transaction)


def test_keys_are_read_again_and_a_bad_file_changes_nothing(private):
    private.keys.write_text("carolkey\n")
    private.signal(signal.SIGHUP)
    until(lambda: b"failure reason" not in ask(private, "/announce/carolkey", 1), "the new key")
    assert b"failure reason" in ask(private, "/announce/alicekey", 1)
    private.keys.write_text("davekey\nnot a key\n")
    private.signal(signal.SIGHUP)
    until(lambda: "line 2" in private.stderr, "the warning")
    assert "not a key" not in private.stderr
    assert b"failure reason" not in ask(private, "/announce/carolkey", 1)
    assert b"failure reason" in ask(private, "/announce/davekey", 1)


def test_no_passkey_is_ever_shown(private):
    ask(private, "/announce/alicekey", 1)
    ask(private, "/announce/evekey", 1)
    for page in ("/", "/stats", "/metrics"):
        body = get(private.base + page)[1]
        assert b"alicekey" not in body and b"evekey" not in body
    assert get(private.base + "/stats/alicekey")[0] == 404
    private.signal(signal.SIGTERM)
    assert private.wait(6) == 0
    assert "alicekey" not in private.stderr and "evekey" not in private.tail()


def test_without_passkeys_nothing_follows_announce(lab):
    assert get(lab.tracker().url + "/alicekey?" + query())[0] == 404


@pytest.mark.parametrize("text", [None, "", "# nobody\n", "a b\n", "x" * 65 + "\n", "x" * 3000 + "\n"])
def test_a_passkey_file_without_keys_is_an_error(lab, text):
    keys = lab.path("keys")
    if text is not None:
        keys.write_text(text)
    done = lab.command("serve", "--listen", "127.0.0.1:0", "--passkeys", keys, program="tbt-tracker")
    assert done.status == 1 and done.refused and str(keys) in done.err


def aria2(lab, torrent, name, folder, *more):
    """aria2 that meets others by the torrent's tracker only."""
    folder.mkdir(exist_ok=True)
    return lab.process(["aria2c", "--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
                        "--enable-peer-exchange=false", "--interface=127.0.0.1", "--disable-ipv6=true", "--quiet",
                        "--allow-overwrite=true", "--listen-port=%d" % free_port(), "--dir", folder, *more, torrent.path], name)


@pytest.mark.skipif(not shutil.which("aria2c"), reason="needs aria2c")
def test_clients_with_passkeys_find_each_other(lab):
    """Two aria2: over HTTP the key is in the path that they are given."""
    keys = lab.path("keys")
    keys.write_text(KEYS)
    tracker = lab.tracker("--passkeys", keys)
    content = lab.noise_file("shared.bin", 300000)
    torrent = lab.torrent(content, announce=tracker.url + "/bobkey")
    seed = aria2(lab, torrent, "seed", content.parent, "--seed-ratio=0", "--bt-seed-unverified=true")
    until(lambda: json.loads(get(tracker.base + "/stats")[1])["seeds"] == 1, "the seeder", 20)
    there = lab.path("there")
    leech = aria2(lab, torrent, "leech", there, "--seed-time=0")
    assert leech.wait(40) == 0, leech.tail()
    assert (there / content.name).read_bytes() == content.read_bytes()
    assert seed.alive


# --- Proxies ---

FORWARDED = [
    ("9.8.7.6", "9.8.7.6"),
    ("1.1.1.1, 9.8.7.6", "9.8.7.6"),
    ("9.8.7.6, 10.1.2.3, 127.0.0.9", "9.8.7.6"),
    ("9.8.7.6:4000", "9.8.7.6"),
]


def named(tracker, headers, **keys):
    """The address that an announce with these headers is told to others by."""
    reply = ask(tracker, "/announce", 1, headers, **keys)
    if b"failure reason" in reply:
        return None
    peers = announce(tracker, 2)[b"peers"]
    (address,) = {socket.inet_ntoa(peers[i:i + 4]) for i in range(0, len(peers), 6)
                  if peers[i + 4:i + 6] == struct.pack(">H", 10001)}
    return address


@pytest.mark.parametrize("header, address", FORWARDED)
def test_a_trusted_proxy_says_who_it_is_for(lab, header, address):
    tracker = lab.tracker("--trust-proxy", "127.0.0.0/8", "--trust-proxy", "10.0.0.0/8")
    assert named(tracker, {"X-Forwarded-For": header}) == address


@pytest.mark.parametrize("header", ["", "unknown", "9.8.7.6, rubbish", "9.8.7.6,", "0.0.0.0", "9.8.7", "x" * 4000])
def test_a_header_without_an_address_is_refused(lab, header):
    tracker = lab.tracker("--trust-proxy", "127.0.0.1")
    assert named(tracker, {"X-Forwarded-For": header}) is None
    assert ports(announce(tracker, 2)) == []


def test_who_is_not_a_trusted_proxy_is_not_believed(lab):
    tracker = lab.tracker("--trust-proxy", "127.0.0.2", "--trust-proxy", "fd00::/8")
    assert named(tracker, {"X-Forwarded-For": "9.8.7.6"}) == "127.0.0.1"


@pytest.mark.parametrize("key", ["ip", "ipv4"])
def test_an_address_in_the_query_is_not_believed_behind_a_proxy_either(lab, key):
    tracker = lab.tracker("--trust-proxy", "127.0.0.1")
    assert named(tracker, {"X-Forwarded-For": "9.8.7.6"}, **{key: "5.5.5.5"}) == "9.8.7.6"


def test_other_headers_are_not_believed_behind_a_proxy_either(lab):
    tracker = lab.tracker("--trust-proxy", "127.0.0.1")
    assert named(tracker, {"X-Real-IP": "5.5.5.5", "Forwarded": "for=5.5.5.5"}) == "127.0.0.1"


def test_a_proxy_that_does_not_say_is_warned_of_once(lab):
    tracker = lab.tracker("--trust-proxy", "127.0.0.1")
    for number in (1, 2, 3):
        announce(tracker, number)
    assert tracker.stderr.count("without X-Forwarded-For") == 1


def test_several_headers_are_one_list(lab):
    tracker = lab.tracker("--trust-proxy", "127.0.0.1")
    raw(tracker, ("GET /announce?%s HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 1.1.1.1\r\nX-FORWARDED-FOR: 9.8.7.6\r\n"
                  "Connection: close\r\n\r\n" % query(1)).encode())
    assert announce(tracker, 2)[b"peers"][:4] == socket.inet_aton("9.8.7.6")


@pytest.mark.parametrize("cidr", ["", "10.0.0.0/33", "proxy.example", "10.0.0.0/8/8", "::/129", "1.2.3.4:80"])
def test_what_is_no_network_is_bad_usage(lab, cidr):
    done = lab.command("serve", "--listen", "127.0.0.1:0", "--trust-proxy", cidr, program="tbt-tracker")
    assert done.status == 2 and done.refused and "--trust-proxy" in done.err


# --- Limits ---


def test_an_address_may_announce_so_often(lab):
    tracker = lab.tracker("--announce-limit", "5")
    for number in range(5):
        assert b"failure reason" not in announce(tracker, number)
    refused = announce(tracker, 6)
    assert b"too many announces" in refused[b"failure reason"] and refused[b"retry in"] == 1
    asker = Asker(tracker).connect()
    assert "too many announces" in error_of(asker.ask(asker.announce_packet()), asker.transaction)
    other = Asker(tracker, source="127.0.0.2").connect()
    for number in range(5):
        other.announce(number)
    answer = other.ask(other.announce_packet(9))
    assert "too many announces" in error_of(answer, other.transaction)


def test_an_address_may_bring_so_many_torrents(lab):
    tracker = lab.tracker("--new-swarm-limit", "3")
    for number in range(3):
        assert b"failure reason" not in announce(tracker, 1, info_hash=bytes([number]) * 20)
    assert b"too many new torrents" in announce(tracker, 1, info_hash=b"x" * 20)[b"failure reason"]
    assert b"failure reason" not in announce(tracker, 2, info_hash=b"\x01" * 20), "a known one"
    assert get(tracker.base + "/stats")[1].count(b"swarms") > 0
    for name in (b"y" * 20, b"z" * 20):
        Asker(tracker, source="127.0.0.2").connect().announce(hash=name)
    assert b"failure reason" not in announce(tracker, 1, info_hash=b"y" * 20), "somebody else brought it"


def test_behind_a_proxy_it_is_the_client_who_is_counted(lab):
    tracker = lab.tracker("--trust-proxy", "127.0.0.1", "--announce-limit", "2")
    for client in ("9.8.7.6", "9.8.7.7"):
        for number in (1, 2):
            assert b"failure reason" not in ask(tracker, "/announce", number, {"X-Forwarded-For": client})
        assert b"failure reason" in ask(tracker, "/announce", 3, {"X-Forwarded-For": client})


def test_loopback_is_not_limited_unless_told(lab):
    tracker = lab.tracker()
    asker = Asker(tracker).connect()
    for number in range(7000):
        asker.announce(1, hash=number.to_bytes(20, "big"), numwant=0)


def test_an_address_may_hold_so_many_connections(lab):
    tracker = lab.tracker("--connection-limit", "10")
    held = [socket.create_connection(("127.0.0.1", tracker.port)) for _ in range(30)]
    try:
        def closed():
            count = 0
            for s in held:
                s.settimeout(0)
                try:
                    count += s.recv(1) == b""
                except BlockingIOError:
                    pass
                except ConnectionError:
                    count += 1
            return count
        until(lambda: closed() >= 20, "the others are closed")
        with socket.create_connection(("127.0.0.1", tracker.port), source_address=("127.0.0.2", 0)) as s:
            s.settimeout(patience(5))
            s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert b" 200 " in s.recv(100), "another address is served"
    finally:
        for s in held:
            s.close()
    until(lambda: b" 200 " in raw(tracker, b"GET /health HTTP/1.0\r\n\r\n"), "and the first one again")


# --- Reading again while serving ---


def test_a_folder_is_read_again_without_a_pause(lab):
    """Thousands of torrents, SIGHUP after SIGHUP, and announces that never wait nor fail meanwhile."""
    folder = lab.path("torrents")
    folder.mkdir()
    info = b"d6:lengthi1e4:name%d:%s12:piece lengthi16384e6:pieces20:%se"

    def write(name):
        body = info % (len(name), name.encode(), b"p" * 20)
        (folder / (name + ".torrent")).write_bytes(b"d4:info" + body + b"e")
        return hashlib.sha1(body).digest()

    for n in range(3000):
        write("t%d" % n)
    kept, dropped = write("kept"), write("dropped")
    tracker = lab.tracker("--allow-dir", folder, "--threads", "2")
    assert b"failure reason" not in announce(tracker, 1, info_hash=dropped)
    slowest, troubles, done = [0.0], [], threading.Event()

    def load(source, keep_alive):
        asker = Asker(tracker, source=source).connect()
        n = 0
        while not done.is_set():
            begin = time.monotonic()
            n += 1
            try:
                if keep_alive:
                    if b"failure reason" in announce(tracker, n % 1000, info_hash=kept):
                        troubles.append("refused over HTTP")
                else:
                    asker.announce(n % 1000, hash=kept)
            except Exception as e:
                troubles.append(repr(e))
                return
            slowest[0] = max(slowest[0], time.monotonic() - begin)

    threads = [threading.Thread(target=load, args=("127.0.0.%d" % (i + 2), i == 0)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        for turn in range(5):
            tracker.signal(signal.SIGHUP)
            time.sleep(0.1)  # five in a row, also while it still reads
        (folder / "dropped.torrent").unlink()
        fresh = write("fresh")
        tracker.signal(signal.SIGHUP)
        until(lambda: b"failure reason" not in announce(tracker, 1, info_hash=fresh), "the new torrent")
    finally:
        done.set()
        for t in threads:
            t.join()
    assert not troubles
    assert slowest[0] < patience(1)
    assert b"failure reason" in announce(tracker, 2, info_hash=dropped)
    body = get(tracker.base + "/scrape?info_hash=" + urllib.parse.quote(dropped, safe=""))[1]
    assert bdecode(body)[b"files"] == {}
    assert tracker.terminate() == 0


def test_keys_are_read_again_under_load(private):
    """Without a pause between announces the reader of the file still gets its turn."""
    done = threading.Event()

    def load(source):
        with socket.create_connection(("127.0.0.1", private.port), source_address=(source, 0)) as s:
            s.settimeout(patience(10))
            text = ("GET /announce/alicekey?%s HTTP/1.1\r\nHost: t\r\n\r\n" % query(1)).encode()
            while not done.is_set():
                s.sendall(text * 20)
                got = 0
                while got < 20:
                    got += s.recv(65536).count(b"HTTP/1.1 200")

    threads = [threading.Thread(target=load, args=("127.0.0.%d" % i,)) for i in (2, 3, 4)]
    for t in threads:
        t.start()
    try:
        for turn in range(20):
            private.keys.write_text(KEYS + "turn%d\n" % turn)
            private.signal(signal.SIGHUP)
            until(lambda: b"failure reason" not in ask(private, "/announce/turn%d" % turn), "turn %d" % turn)
    finally:
        done.set()
        for t in threads:
            t.join()


# --- Real clients ---


@pytest.mark.slow
@pytest.mark.parametrize("scheme, seeder", [("http", "aria2"), ("udp", "transmission")])
def test_real_clients_meet(lab, scheme, seeder):
    need(seeder, "transmission")
    island = Island(lab)
    tracker = lab.tracker("--interval", "5", listen=TRACKER + ":0", prefix=island.inside)
    content = lab.write("content", noise(scaled(4 << 20)))
    torrent = lab.torrent(content, 65536, "%s://%s:%d/announce" % (scheme, TRACKER, tracker.port))
    island.start(seeder, "seed", torrent, content.parent, TBT, 7000)
    island.start("transmission", "leech", torrent, lab.path("there"), ELSEWHERE, 7001).wait_done()
