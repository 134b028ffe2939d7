"""The extension protocol (BEP 10): peers tell of each other, metadata is given to who came by a magnet link."""
import hashlib
import select
import shutil
import socket
import struct
import threading
import time
from urllib.parse import quote

import pytest

from fakepeer import EXTENDED, HAVE, REQUEST, UNCHOKE
from lab import free_port
from programs import patience, scaled
from torrents import bdecode, bencode, differences

METADATA, PEX = 1, 2  # what we call them
PIECE = 16384


def magnet(torrent, *trackers, name=None):
    return "magnet:?xt=urn:btih:" + torrent.hex + ("&dn=" + quote(name) if name else "") + "".join("&tr=" + quote(t, "") for t in trackers)


def wait_extended(connection, kind=0, timeout=20):
    """The payload of the next extended message of that kind."""
    deadline = time.monotonic() + patience(timeout)
    while time.monotonic() < deadline:
        payload = connection.receive_until(EXTENDED, timeout=timeout)[1]
        if payload[0] == kind:
            return payload[1:]
    raise TimeoutError("no extended message %d" % kind)


def greet(lab, client, torrent, **kw):
    """A connection that has exchanged extended handshakes; returns it with theirs."""
    c = lab.dial(client, torrent, **kw)
    c.shake_hands(pieces=())
    c.extended_handshake(m={"ut_metadata": METADATA, "ut_pex": PEX}, v="fakepeer")
    return c, bdecode(wait_extended(c))


def compact(host, port):
    return socket.inet_aton(host) + struct.pack(">H", port)


def split_dict(payload):
    """A bencoded dictionary with bytes after it, as in ut_metadata."""
    for end in range(2, min(len(payload), 200) + 1):
        try:
            return bdecode(payload[:end]), payload[end:]
        except (ValueError, IndexError):
            pass
    raise AssertionError("no dictionary: %r" % payload[:200])


# Metadata (BEP 9)

def fetch_metadata(c, theirs):
    parts = []
    for piece in range(-(-theirs[b"metadata_size"] // PIECE)):
        c.send(EXTENDED, bytes([theirs[b"m"][b"ut_metadata"]]) + bencode({"msg_type": 0, "piece": piece}))
        head, data = split_dict(wait_extended(c, METADATA))
        assert head == {b"msg_type": 1, b"piece": piece, b"total_size": theirs[b"metadata_size"]}
        parts.append(data)
    return b"".join(parts)


@pytest.mark.parametrize("private", [0, 1])
def test_metadata_is_given_to_peers(lab, private):
    """Of a torrent large enough for several pieces; of private ones, too: only their peers ask."""
    content = lab.noise_file("source/file.bin", 1500 * PIECE)
    torrent = lab.torrent(content, PIECE, info={"private": private} if private else None)
    c, theirs = greet(lab, lab.seed(torrent, content), torrent)
    assert theirs[b"metadata_size"] == len(bencode(torrent.info)) > PIECE
    assert hashlib.sha1(fetch_metadata(c, theirs)).hexdigest() == torrent.hex
    c.send(EXTENDED, bytes([theirs[b"m"][b"ut_metadata"]]) + bencode({"msg_type": 0, "piece": 1000}))
    assert bdecode(wait_extended(c, METADATA)) == {b"msg_type": 2, b"piece": 1000}


@pytest.mark.parametrize("client", ["aria2", "libtorrent"])
def test_others_take_a_magnet_from_tbt(lab, client):
    content = lab.noise_file("source/file.bin", scaled(1 << 20) + 77)
    torrent = lab.torrent(content, PIECE)
    # aria2 calls itself complete while it has no metadata: tbt-tracker would give it no seeds.
    tracker = lab.http_tracker(peers=[lab.seed(torrent, content).address])
    out = lab.path("out")
    out.mkdir()
    link = magnet(torrent, tracker.url)
    if client == "aria2":
        if not shutil.which("aria2c"):
            pytest.skip("no aria2")
        argv = ["aria2c", "--no-conf", "--dir", out, "--listen-port=%d" % free_port(), "--interface=127.0.0.1", "--disable-ipv6=true", "--enable-dht=false",
                "--bt-enable-lpd=false", "--file-allocation=none", "--seed-time=0", "--summary-interval=0", "--async-dns=false", link]
    else:
        pytest.importorskip("libtorrent")
        script = ("import libtorrent as lt, sys, time\ns = lt.session({'listen_interfaces': '127.0.0.1:0', 'enable_dht': False, 'enable_lsd': False,\n"
                  "'enable_upnp': False, 'enable_natpmp': False, 'enable_outgoing_utp': False, 'allow_multiple_connections_per_ip': True})\n"
                  "p = lt.parse_magnet_uri(sys.argv[1])\np.save_path = sys.argv[2]\nh = s.add_torrent(p)\n"
                  "while not h.status().is_seeding: time.sleep(0.05)\ns.pause()\ntime.sleep(0.3)\n")
        argv = [shutil.which("python3", path="/usr/bin"), "-c", script, link, out]
    taker = lab.process(argv, client)
    assert taker.wait(60) == 0, taker.tail()
    assert differences(content, out / "file.bin") == []


# Peer exchange (BEP 11)

def test_by_peer_exchange_alone_a_second_peer_is_found(lab):
    """The leech knows only another leech, which is slow; the seed that this one knows gives it the rest."""
    content = lab.noise_file("source/file.bin", 2 << 20)
    torrent = lab.torrent(content)
    seeder = lab.seed(torrent, content, bind="127.0.0.11")
    hub = lab.leech(torrent, lab.path("hub"), "--download-limit", "50000", bind="127.0.0.12", peers=[seeder], stay=True)
    hub.wait_for("peer", lambda e: e["state"] == "connected")
    leech = lab.leech(torrent, lab.path("out"), bind="127.0.0.13", peers=[hub])
    assert leech.wait(30) == 0, leech.tail()
    # One of the two has dialled the other, having heard of it from the hub.
    assert leech.find("peer", lambda e: e["state"] == "connected" and e["address"].startswith("127.0.0.11:"))
    assert differences(content, lab.path("out/file.bin")) == []


def named_by_pex(lab, seconds, *options, private=False, source="127.0.0.9"):
    """How a leech deals with an address that a peer names: (theirs, was it dialled)."""
    content = lab.noise_file("source/file.bin", 100000)
    torrent = lab.torrent(content, info={"private": 1} if private else None)
    named = lab.seeder(torrent, content.read_bytes(), host="127.0.0.77")
    leech = lab.leech(torrent, lab.path("out"), *options, stay=True)
    c, theirs = greet(lab, leech, torrent, source=source)
    c.send(EXTENDED, bytes([PEX]) + bencode({"added": compact(named.host, named.port), "added.f": b"\0"}))
    deadline = time.monotonic() + patience(seconds)
    while time.monotonic() < deadline and not named.accepted:
        time.sleep(0.05)
    return theirs, bool(named.accepted)


def test_named_peers_are_dialled(lab):
    theirs, dialled = named_by_pex(lab, 10)
    assert theirs[b"m"][b"ut_pex"] == PEX and dialled


def test_no_peer_exchange_in_private_torrents(lab):
    theirs, dialled = named_by_pex(lab, 3, private=True)
    assert b"ut_pex" not in theirs[b"m"] and b"ut_metadata" in theirs[b"m"] and not dialled


def test_no_pex(lab):
    theirs, dialled = named_by_pex(lab, 3, "--no-pex")
    assert b"ut_pex" not in theirs[b"m"] and not dialled


class Doors:
    """Ports of one host that reset who knocks; `.knocks` counts."""

    def __init__(self, host, count):
        self.knocks, self.open = 0, True
        self.sockets = [socket.create_server((host, 0)) for _ in range(count)]
        self.named = b"".join(compact(*s.getsockname()) for s in self.sockets)
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def _answer(self):
        while self.open:
            for s in select.select(self.sockets, [], [], 0.1)[0]:
                c, _ = s.accept()
                self.knocks += 1
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                c.close()

    def stop(self):
        self.open = False
        self.thread.join()
        for s in self.sockets:
            s.close()


def test_a_flood_of_named_peers_is_taken_bit_by_bit(lab):
    """Of 250 ports of one address the first 50 are heard of, and a few of these dialled; of a second message nothing."""
    content = lab.noise_file("source/file.bin", 100000)
    torrent = lab.torrent(content)
    leech = lab.leech(torrent, lab.path("out"), stay=True)
    c, _ = greet(lab, leech, torrent)
    first, rest, second = (lab.serve(Doors(host, count)) for host, count in (("127.0.0.78", 50), ("127.0.0.79", 200), ("127.0.0.80", 5)))
    c.send(EXTENDED, bytes([PEX]) + bencode({"added": first.named + rest.named}))
    for _ in range(50):
        c.send(EXTENDED, bytes([PEX]) + bencode({"added": second.named, "dropped": first.named}))
    deadline = time.monotonic() + patience(10)
    while first.knocks == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(3)  # what comes meanwhile is counted
    assert 1 <= first.knocks <= 20 and rest.knocks == second.knocks == 0
    c.send(0)
    assert c.wait_closed(1) is None, "a chatty peer need not be dropped"


# Lost pieces (BEP 54)

def test_what_a_peer_says_to_have_lost_is_not_asked_for(lab):
    content = lab.noise_file("source/file.bin", 4 * 32768)
    torrent = lab.torrent(content)
    leech = lab.leech(torrent, lab.path("out"), stay=True)
    c = lab.dial(leech, torrent)
    c.shake_hands(pieces={0, 1})
    c.extended_handshake(m={"lt_donthave": 3})
    theirs = bdecode(wait_extended(c))
    c.send(EXTENDED, bytes([theirs[b"m"][b"lt_donthave"]]) + struct.pack(">I", 0))
    c.send(1)
    for _ in range(2):
        piece, = struct.unpack(">I", c.receive_until(REQUEST)[1][:4])
        assert piece == 1


def test_a_piece_that_we_lost_is_told_of_again_once_it_is_back(lab):
    """Fetched by us in this run, damaged on the disk, and given to us anew."""
    content = lab.noise_file("source/file.bin", 4 * 32768)
    data = content.read_bytes()
    torrent = lab.torrent(content)
    leech = lab.leech(torrent, lab.path("out"), peers=(lab.seed(torrent, content),), stay=True)
    leech.wait_complete()
    taker = lab.dial(leech, torrent)
    taker.shake_hands(pieces=())
    taker.extended_handshake(m={"lt_donthave": 3})
    taker.become_unchoked()
    assert taker.fetch(2) == data[2 * 32768:3 * 32768]
    with open(lab.path("out") / content.name, "r+b") as f:
        f.seek(2 * 32768)
        f.write(bytes(100))
    taker.request(2)
    assert wait_extended(taker, 3) == struct.pack(">I", 2)

    giver = lab.dial(leech, torrent, source="127.0.0.8")
    giver.shake_hands(pieces={2})
    giver.send(UNCHOKE)
    for begin in (0, 16384):
        giver.receive_until(REQUEST)
        giver.send_block(2, begin, data[2 * 32768 + begin:][:16384])
    assert taker.receive_until(HAVE)[1] == struct.pack(">I", 2)
    assert taker.fetch(2) == data[2 * 32768:3 * 32768]
