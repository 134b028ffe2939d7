"""UDP trackers: opentracker brings a seed and a leech together; one made here lies, is mute, and counts."""
import os
import shutil
import socket
import struct
import threading
import time

import pytest

from lab import finish_equal, free_port
from programs import patience, scaled

CONNECT, ANNOUNCE, ERROR = 0, 1, 3
EVENTS = ["", "completed", "started", "stopped"]


class UdpTracker:
    """A tracker that tells everybody of `peers` ("host:port"), or does what `answer(tracker, request)` returns: the
    bytes to send, or None for silence.  It keeps the announces that came in `announces`."""

    def __init__(self, peers=(), answer=None, host="127.0.0.1"):
        self.peers, self.answer = list(peers), answer
        self.announces, self.connects, self.errors = [], 0, []
        self.changed = threading.Condition()
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        where = "[%s]" % host if ":" in host else host
        self.url = "udp://%s:%d/announce" % (where, self.socket.getsockname()[1])
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            packet, sender = self.socket.recvfrom(4096)
            if packet == b"stop":
                return
            try:
                answer = self._take(packet)
            except (struct.error, IndexError, AssertionError) as e:
                self.errors.append("not BEP 15: %r: %r" % (packet, e))
                continue
            if answer is not None:
                self.socket.sendto(answer, sender)

    def _take(self, packet):
        connection, action, transaction = struct.unpack_from(">QII", packet)
        if action == CONNECT:
            assert connection == 0x41727101980 and len(packet) == 16
            request = {"action": CONNECT, "transaction": transaction}
        else:
            assert action == ANNOUNCE and connection == 4711
            down, left, up, event, ip, key, wanted, port = struct.unpack_from(">QQQIIIiH", packet, 56)
            request = {"action": ANNOUNCE, "transaction": transaction, "info_hash": packet[16:36], "left": left, "event": EVENTS[event],
                       "port": port, "options": packet[98:]}
        with self.changed:
            if action == CONNECT:
                self.connects += 1
            else:
                self.announces.append(request)
            self.changed.notify_all()
        return self.answer(self, request) if self.answer else self.good(request)

    def good(self, request):
        head = struct.pack(">II", request["action"], request["transaction"])
        if request["action"] == CONNECT:
            return head + struct.pack(">Q", 4711)
        reply = head + struct.pack(">III", 1800, 0, len(self.peers))
        for peer in self.peers:
            host, port = peer.rsplit(":", 1)
            host = host.strip("[]")
            reply += socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host) + struct.pack(">H", int(port))
        return reply

    def wait(self, condition, what, timeout=20):
        with self.changed:
            assert self.changed.wait_for(condition, patience(timeout)), "no " + what

    def stop(self):
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as s:
            s.sendto(b"stop", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()


@pytest.fixture
def content(lab):
    return lab.noise_file("source/file.bin", scaled(2000000, 200000))


def opentracker(lab, torrent, port):
    """It answers for the torrents of its white list only, in Debian's build."""
    if not shutil.which("opentracker"):
        pytest.skip("needs opentracker")
    folder = lab.path("opentracker")
    folder.mkdir()
    os.chmod(lab.folder, 0o755)  # it becomes `nobody`
    (folder / "white").write_text(torrent.hex + "\n")
    return lab.process(["opentracker", "-i", "127.0.0.1", "-p", str(port), "-P", str(port), "-d", folder, "-w", "white"], "opentracker",
                       cwd=folder)


def wait_for_white_list(port, torrent):
    """The list is read some time after the start: ask until an announce (`stopped`, of nobody) is welcome."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(0.1)
        deadline = time.monotonic() + patience(20)
        while time.monotonic() < deadline:
            try:
                s.send(struct.pack(">QII", 0x41727101980, CONNECT, 1))
                connection, = struct.unpack(">Q", s.recv(100)[8:16])
                s.send(struct.pack(">QII20s20sQQQIIIiH", connection, ANNOUNCE, 2, bytes.fromhex(torrent.hex), b"-PY0001-000000000000",
                                   0, 0, 0, 3, 0, 1, 0, 1))
                if s.recv(2000)[:4] == struct.pack(">I", ANNOUNCE):
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                pass  # not there yet
            time.sleep(0.02)
        pytest.fail("opentracker does not answer")


def test_seed_and_leech_find_each_other_through_opentracker(lab, content):
    port = free_port()
    url = "udp://127.0.0.1:%d/announce" % port
    torrent = lab.torrent(content, announce=url)
    opentracker(lab, torrent, port)
    wait_for_white_list(port, torrent)
    seeder = lab.seed(torrent, content)
    seeder.wait_for("announce", lambda e: "error" not in e)
    leech = lab.leech(torrent, lab.path("out"))
    finish_equal(leech, content, lab.path("out"))
    told = leech.all("announce")
    assert [e["event_sent"] for e in told] == ["started", "completed", "stopped"]
    assert all("error" not in e and e["url"] == url for e in told) and told[0]["peers"] > 0


@pytest.mark.parametrize("host, bind", [("127.0.0.1", "127.0.0.2"), ("::1", "::1")])
def test_a_tracker_names_peers_over_either_family(lab, content, host, bind):
    tracker = lab.serve(UdpTracker(host=host))
    torrent = lab.torrent(content, announce=tracker.url + "?key=1")
    seeder = lab.seed(torrent, content, bind=host)
    tracker.peers.append(seeder.address)
    finish_equal(lab.leech(torrent, lab.path("out"), bind=bind), content, lab.path("out"))
    leeched = [a for a in tracker.announces if a["port"] != seeder.port]
    assert [a["event"] for a in leeched] == ["started", "completed", "stopped"]
    assert leeched[0]["left"] == content.stat().st_size and leeched[1]["left"] == 0
    assert all(a["options"] == b"\x02\x0f/announce?key=1" and a["info_hash"].hex() == torrent.hex for a in leeched)


def lie(tracker, request):
    """Answers to other questions, torn ones, and a peer to shun; then nothing."""
    head = struct.pack(">II", request["action"], request["transaction"] ^ 1)
    return head + bytes(12) + socket.inet_aton("127.0.0.3") + struct.pack(">H", 4)


BAD = {
    "mute": lambda tracker, request: None, "another transaction": lie, "torn": lambda t, r: t.good(r)[:r["action"] * 8 + 7],
    "mute after connecting": lambda t, r: t.good(r) if r["action"] == CONNECT else None,
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_tracker_holds_up_neither_the_download_nor_the_end(lab, content, case):
    tracker = lab.serve(UdpTracker(answer=BAD[case]))
    torrent = lab.torrent(content, announce=tracker.url)
    seeder = lab.seeder(torrent, content.read_bytes())
    leech = lab.leech(torrent, lab.path("out"), peers=[seeder])
    finish_equal(leech, content, lab.path("out"), timeout=10)
    assert tracker.connects == 1


def test_a_mute_tracker_holds_up_no_other(lab, content):
    mute = lab.serve(UdpTracker(answer=BAD["mute"]))
    good = lab.serve(UdpTracker())
    torrent = lab.torrent(content, announce=[[mute.url], [good.url]])
    good.peers.append(lab.seeder(torrent, content.read_bytes()).address)
    finish_equal(lab.leech(torrent, lab.path("out")), content, lab.path("out"), timeout=8)
    assert mute.connects == 1


def test_the_words_of_an_error_packet_are_told(lab, content):
    tracker = lab.serve(UdpTracker(answer=lambda t, r: struct.pack(">II", ERROR, r["transaction"]) + b"go\x1b[2J away\n\0"))
    leech = lab.leech(lab.torrent(content, announce=tracker.url), lab.path("out"))
    error = leech.wait_for("announce", timeout=20)["error"]
    assert "go" in error and "away" in error and "\0" not in error
    assert not any(b"\x1b" in line for line in leech.out)
    assert leech.terminate() == 1


def test_the_next_tier_takes_over(lab, content):
    bad = lab.serve(UdpTracker(answer=lambda t, r: struct.pack(">II", ERROR, r["transaction"]) + b"no"))
    good = lab.http_tracker()
    torrent = lab.torrent(content, announce=[[bad.url], [good.url]])
    good.peers.append(lab.seeder(torrent, content.read_bytes()).address)
    finish_equal(lab.leech(torrent, lab.path("out")), content, lab.path("out"), timeout=20)
