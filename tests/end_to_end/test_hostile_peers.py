"""Peers that lie, stall, flood and break the protocol: they are dropped, and nobody else notices."""
import http.client
import itertools
import json
import os
import socket
import struct
import threading
import time
import urllib.parse

import pytest

import fakepeer
from fakepeer import (ALLOWED_FAST, BITFIELD, BLOCK, CANCEL, CHOKE, EXTENDED, EXTENDED_BIT, FAST_BIT, HAVE, HAVE_ALL, HAVE_NONE, INTERESTED, NOT_INTERESTED,
                      PIECE, PORT, PROTOCOL, REJECT, REQUEST, SUGGEST, UNCHOKE, Closed, Connection, Seeder, bitfield_of)
from lab import free_port
from programs import cpu_seconds, memory_kib, patience
from swarm import PIECE_LENGTH, PIECES, Swarm
from torrents import bencode

MIB = 1 << 20


# Corrupt data

def test_a_corrupt_peer_is_banned_and_the_right_bytes_arrive(swarm):
    bad = swarm.seeder(66, answer=fakepeer.corrupt)
    good = swarm.seeder(2, rate=400000)
    leech = swarm.leech(bad, good, stay=True)
    banned = leech.wait_for("peer", lambda e: e["state"] == "banned")
    assert banned["address"] == bad.address
    leech.wait_complete()
    assert leech.find("piece", lambda e: e.get("failed"))
    assert not leech.find("peer", lambda e: e["state"] == "banned" and not e["address"].startswith("127.0.0.66"))
    # Refused at the door from now on, whatever port and peer id it comes with.
    with Connection.dial(leech.port, swarm.torrent, source="127.0.0.66") as c:
        with pytest.raises(Closed):
            c.send_handshake()
            c.receive_handshake()
    swarm.still_serves(leech)
    assert leech.terminate() == 0
    assert swarm.data == (swarm.out / "thing").read_bytes()


def test_only_a_corrupt_peer_means_no_download_but_no_endless_one_either(swarm):
    bad = swarm.seeder(66, answer=fakepeer.corrupt)
    leech = swarm.leech(bad)
    leech.wait_for("peer", lambda e: e["state"] == "banned")
    time.sleep(1)
    assert bad.sent <= 4 * MIB and leech.find("complete") is None
    assert leech.terminate() == 1


def test_nobody_honest_is_banned_for_a_piece_shared_with_a_bad_peer(lab):
    swarm = Swarm(lab, 3 * MIB)
    swarm.torrent = lab.torrent(swarm.content, 512 * 1024)  # large pieces, so that several peers share each
    bad = swarm.seeder(66, answer=fakepeer.corrupt_first_block, rate=MIB)
    good = [swarm.seeder(i, rate=MIB) for i in (2, 3, 4)]
    leech = swarm.leech(*good, bad)
    swarm.finish(leech)
    banned = {e["address"] for e in leech.all("peer") if e["state"] == "banned"}
    assert banned <= {bad.address}, "honest ones were banned"


def test_five_corrupt_peers_and_one_honest(swarm):
    bad = [swarm.seeder(60 + i, answer=fakepeer.corrupt) for i in range(5)]
    leech = swarm.leech(*bad, swarm.seeder(2, rate=600000))
    swarm.finish(leech)
    assert not any(e["state"] == "banned" and e["address"].startswith("127.0.0.2:") for e in leech.all("peer"))


@pytest.mark.parametrize("how", ["named", "tracker", "visitors"])
def test_who_shares_an_address_with_a_liar_is_not_taken_for_one(lab, how):
    """Behind a NAT there are both.  The liar goes; no other comes in; who is there and honest stays."""
    swarm = Swarm(lab, 3 * MIB)
    with_tracker = lab.tracker() if how == "tracker" else None
    swarm.torrent = lab.torrent(swarm.content, 128 * 1024, *([with_tracker.url] if with_tracker else []))
    bad = swarm.seeder(66, answer=fakepeer.corrupt_first_block, rate=MIB // 2)
    good = swarm.seeder(66, rate=MIB)
    if with_tracker:
        for peer in (good, bad):
            announce(with_tracker, swarm.torrent, peer)
    leech = swarm.leech(*([good, bad] if how == "named" else []), stay=True)
    if how == "visitors":
        for peer in (good, bad):
            c = lab.serve_connection(Connection.dial(leech.port, swarm.torrent, source="127.0.0.66", timeout=300))
            threading.Thread(target=serve_quietly, args=(peer, c), daemon=True).start()
    banned = leech.wait_for("peer", lambda e: e["state"] == "banned")
    with Connection.dial(leech.port, swarm.torrent, source="127.0.0.66") as c:
        with pytest.raises(Closed):
            c.shake_hands()
    leech.wait_complete()
    assert len(leech.all("peer", lambda e: e["state"] == "banned")) == 1
    assert how == "visitors" or banned["address"] == bad.address
    assert leech.terminate() == 0
    assert swarm.data == (swarm.out / "thing").read_bytes()


def test_five_liars_at_the_address_of_an_honest_peer(lab):
    """After the third all there have to go, but the honest one was named by the user, and comes back.

    The other two come back as well, and each lie ends all once more, for 5 s."""
    swarm = Swarm(lab, 3 * MIB)
    liars = [swarm.seeder(66, answer=fakepeer.corrupt) for _ in range(5)]
    good = swarm.seeder(66, rate=MIB)
    leech = swarm.leech(*liars, good)
    swarm.finish(leech, timeout=45)
    assert {e["address"] for e in leech.all("peer", lambda e: e["state"] == "banned")} <= {liar.address for liar in liars}


def test_who_was_about_to_shake_hands_when_his_address_was_banned_is_dialled_again_soon(lab):
    swarm = Swarm(lab, MIB)
    liars = [swarm.seeder(66, answer=fakepeer.corrupt) for _ in range(3)]
    good = swarm.seeder(66)
    good.script = from_the_second_connection_on(good.serve)
    leech = swarm.leech(*liars, good)
    swarm.finish(leech, timeout=30)


def from_the_second_connection_on(serve):
    connections = itertools.count()

    def script(c):
        if next(connections) == 0:
            while True:
                c.receive_raw(1)  # and not a word
        serve(c)
    return script


def announce(tracker, torrent, peer):
    """As the peer itself would: a tracker believes the address a query comes from."""
    query = urllib.parse.urlencode({"info_hash": torrent.info_hash, "peer_id": fakepeer.new_peer_id(), "port": peer.port,
                                    "uploaded": 0, "downloaded": 0, "left": 0, "compact": 1})
    connection = http.client.HTTPConnection(tracker.host, tracker.port, source_address=(peer.host, 0))
    connection.request("GET", "/announce?" + query)
    assert connection.getresponse().status == 200
    connection.close()


# Silence

def test_a_mute_peer_does_not_hold_the_end_up(swarm):
    mute = swarm.seeder(66, answer=fakepeer.mute)
    leech = swarm.leech(mute)
    mute.wait_until(lambda: len(mute.requests) > 0, "request")
    good = swarm.seeder(2)
    with Connection.dial(leech.port, swarm.torrent, source="127.0.0.2") as c:
        # It has all of it, and comes by itself; served as a seeder from here on.
        threading.Thread(target=serve_quietly, args=(good, c), daemon=True).start()
        swarm.finish(leech, timeout=65)


def test_a_piece_that_failed_is_not_left_to_who_drips(lab):
    """It is fetched from one peer alone; nobody has proven anything yet; and a block now and then is not silence."""
    swarm = Swarm(lab, MIB)
    swarm.torrent = lab.torrent(swarm.content, MIB)
    leech = swarm.leech(swarm.seeder(66, answer=fakepeer.corrupt))
    leech.wait_for("peer", lambda e: e["state"] == "banned")
    drip, good = swarm.seeder(67, rate=fakepeer.BLOCK / 3), swarm.seeder(2)
    for peer in (drip, good):
        c = lab.serve_connection(Connection.dial(leech.port, swarm.torrent, source=peer.host, timeout=300))
        threading.Thread(target=serve_quietly, args=(peer, c), daemon=True).start()
        drip.wait_until(lambda: len(drip.requests) > 0, "request")
    swarm.finish(leech, timeout=30)


def serve_quietly(seeder, connection):
    """What Seeder.serve does, on a connection that we opened."""
    try:
        connection.shake_hands()
        seeder.serve(connection, shaken=True)
    except (Closed, TimeoutError, OSError):
        pass


@pytest.mark.parametrize("kind", ["mute", "never unchokes", "no handshake", "closes after the handshake", "chokes after each block", "rejects everything",
                                  "wrong offsets", "trickles"])
def test_one_bad_peer_among_others_costs_little(swarm, kind):
    """P10: with an honest seed the download completes; at once, since the honest one can do it all."""
    def reject(c, piece, begin, data):
        c.send(REJECT, struct.pack(">III", piece, begin, len(data)))

    def choking(c, piece, begin, data):
        c.send_block(piece, begin, data)
        c.send(CHOKE)
        time.sleep(0.05)
        c.send(UNCHOKE)

    def trickle(c, piece, begin, data):
        head = fakepeer.message(PIECE, struct.pack(">II", piece, begin) + data)
        for i in range(0, len(head), 100):
            c.send_raw(head[i:i + 100])
            time.sleep(0.5)

    if kind == "no handshake":
        bad = swarm.lab.peer(swarm.torrent, lambda c: c.wait_closed(60), host="127.0.0.66")
    elif kind == "closes after the handshake":
        bad = swarm.lab.peer(swarm.torrent, lambda c: (c.receive_handshake(), c.send_handshake()), host="127.0.0.66")
    else:
        answer = {"mute": fakepeer.mute, "rejects everything": reject, "wrong offsets": fakepeer.wrong_offset,
                  "chokes after each block": choking, "trickles": trickle}.get(kind)
        bad = swarm.seeder(66, answer=answer, unchoke=kind != "never unchokes")
    leech = swarm.leech(bad, swarm.seeder(2, rate=300000))
    bad.wait_accepted()
    swarm.finish(leech, timeout=30)
    assert not any(e["state"] == "banned" and e["address"].startswith("127.0.0.2:") for e in leech.all("peer"))


# Breaking the protocol: each ends that connection, and nothing else

def u32(*numbers):
    return struct.pack(">%dI" % len(numbers), *numbers)


def prefix(length, kind):
    """Only the beginning of a message: the length must be refused without its body."""
    return struct.pack(">IB", length, kind)


SPARE = bytes([0xff, 0xff, 0xff])  # 24 bits for 20 pieces
VIOLATIONS = {
    "choke with a body": prefix(2, CHOKE), "unchoke with a body": prefix(2, UNCHOKE), "interested with a body": prefix(5, INTERESTED),
    "not interested with a body": prefix(9, NOT_INTERESTED),
    "have of 3 bytes": prefix(4, HAVE), "have of 5 bytes": prefix(6, HAVE), "have of nothing": prefix(1, HAVE),
    "have one past the last": fakepeer.message(HAVE, u32(PIECES)), "have of 2^32 - 1": fakepeer.message(HAVE, u32(0xffffffff)),
    "bitfield too short": fakepeer.message(BITFIELD, bytes(2)), "bitfield too long": prefix(1 + 4, BITFIELD), "bitfield of nothing": prefix(1, BITFIELD),
    "bitfield of 1 GiB": prefix(1 << 30, BITFIELD), "bitfield with spare bits": fakepeer.message(BITFIELD, SPARE),
    "request of 11 bytes": prefix(12, REQUEST), "request of 13 bytes": prefix(14, REQUEST),
    "request one past the last piece": fakepeer.message(REQUEST, u32(PIECES, 0, BLOCK)),
    "request of piece 2^32 - 1": fakepeer.message(REQUEST, u32(0xffffffff, 0, BLOCK)),
    "request of length 0": fakepeer.message(REQUEST, u32(0, 0, 0)), "request over 128 KiB": fakepeer.message(REQUEST, u32(0, 0, 128 * 1024 + 1)),
    "request of 2^32 - 1 bytes": fakepeer.message(REQUEST, u32(0, 0, 0xffffffff)),
    "request past the end of the piece": fakepeer.message(REQUEST, u32(0, PIECE_LENGTH - 1, 2)),
    "request that begins at the end": fakepeer.message(REQUEST, u32(0, PIECE_LENGTH, 1)),
    "request that wraps": fakepeer.message(REQUEST, u32(0, 0xffffffff - BLOCK + 2, BLOCK)),
    "request past the end of the last piece": fakepeer.message(REQUEST, u32(PIECES - 1, PIECE_LENGTH - BLOCK, BLOCK)),
    "cancel of 11 bytes": prefix(12, CANCEL), "port of 3 bytes": prefix(4, PORT),
    "piece of 8 bytes": prefix(8, PIECE), "piece of 2^31 bytes": prefix(1 << 31, PIECE), "piece of 1 MiB": prefix(MIB, PIECE),
    "extended over 1 MiB": prefix((1 << 20) + 2 + 1, EXTENDED), "extended of 2^32 - 1": prefix(0xffffffff, EXTENDED),
    "extended of nothing": prefix(1, EXTENDED),
    "unknown kind of 2^32 - 1": prefix(0xffffffff, 99), "unknown kind of 100 MiB": prefix(100 << 20, 99),
}
NEED_FAST = {
    "have all": fakepeer.message(HAVE_ALL), "have none": fakepeer.message(HAVE_NONE), "suggest": fakepeer.message(SUGGEST, u32(0)),
    "reject": fakepeer.message(REJECT, u32(0, 0, BLOCK)), "allowed fast": fakepeer.message(ALLOWED_FAST, u32(0)),
}
WRONG_FAST = {
    "have all with a body": prefix(2, HAVE_ALL), "have none with a body": prefix(2, HAVE_NONE), "suggest of 3 bytes": prefix(4, SUGGEST),
    "have none of who has pieces": fakepeer.message(HAVE_ALL) + fakepeer.message(HAVE_NONE),
    "reject of 11 bytes": prefix(12, REJECT), "allowed fast of 5 bytes": prefix(6, ALLOWED_FAST),
}
CASES = {**{(k, False): v for k, v in {**VIOLATIONS, **{k + " without the bit": v for k, v in NEED_FAST.items()}}.items()},
         **{(k, True): v for k, v in {**VIOLATIONS, **WRONG_FAST}.items()}}


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("side", ["seeder", "leech"])
def test_each_violation_ends_its_connection_and_no_other(swarm, side, fast):
    """All of them against one process, each from an address of its own; an honest peer is served all the while."""
    cases = [(name, data) for (name, f), data in CASES.items() if f == fast]
    if side == "seeder":
        victim = swarm.seed()
    else:
        victim = swarm.leech(swarm.seeder(2, have=range(10)), stay=True)
        victim.wait_until(lambda: len(victim.all("piece")) == 10, "10 pieces")
    not_dropped = []
    honest = swarm.lab.dial(victim, swarm.torrent, source="127.0.0.200")
    honest.shake_hands(pieces=())
    honest.become_unchoked()
    before = memory_kib(victim.pid, "VmRSS")
    for number, (name, data) in enumerate(cases):
        with Connection.dial(victim.port, swarm.torrent, source="127.0.1.%d" % (number + 1)) as c:
            try:
                c.shake_hands(fast=fast)
                c.send_raw(data)
            except Closed:
                pass
            if c.wait_closed(3) is None:
                not_dropped.append(name)
        assert honest.fetch(number % 10) == swarm.data[number % 10 * PIECE_LENGTH:][:PIECE_LENGTH]
    assert not_dropped == []
    assert memory_kib(victim.pid, "VmRSS") - before < patience(4 * 1024)


TOLERATED = {
    "keep-alives": bytes(4) * 50, "unknown kinds": b"".join(fakepeer.message(k, b"x" * 5) for k in (30, 99, 255)),
    "unknown extended": fakepeer.message(EXTENDED, b"\x63hello"), "port": fakepeer.message(PORT, b"\x1a\xe1"),
    "have twice": fakepeer.message(HAVE, u32(3)) * 2, "a bitfield that comes again, as aria2's": fakepeer.message(BITFIELD, b"\x10\0\0") * 2,
    "cancel of nothing asked": fakepeer.message(CANCEL, u32(0, 0, BLOCK)),
}


@pytest.mark.parametrize("case", TOLERATED)
def test_what_the_protocol_allows_is_no_reason_to_go(swarm, case):
    seeder = swarm.seed()
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=())
    c.send_raw(TOLERATED[case])
    c.become_unchoked()
    assert c.fetch(1) == swarm.data[PIECE_LENGTH:2 * PIECE_LENGTH]


HANDSHAKES = {
    "another protocol": b"\x13BitTorrent protocox" + bytes(48), "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(60), "length 0": bytes(68),
    "length 255": b"\xff" + b"BitTorrent protocol" + bytes(48), "noise": os.urandom(600), "another info hash": PROTOCOL + bytes(8) + b"x" * 20 + b"-PY0001-abcdefghijkl",
}


@pytest.mark.parametrize("case", HANDSHAKES)
def test_a_wrong_handshake_gets_no_byte_of_an_answer(swarm, case):
    seeder = swarm.seed()
    with socket.create_connection(("127.0.0.1", seeder.port), source_address=("127.0.0.66", 0)) as s:
        s.settimeout(patience(15))
        s.sendall(HANDSHAKES[case])
        try:
            assert s.recv(1000) == b""
        except ConnectionError:
            pass
    swarm.still_serves(seeder)


def test_nothing_is_sent_before_the_info_hash_is_known(swarm):
    seeder = swarm.seed()
    with socket.create_connection(("127.0.0.1", seeder.port), source_address=("127.0.0.66", 0)) as s:
        s.sendall(PROTOCOL + bytes(8) + swarm.torrent.info_hash[:19])
        s.settimeout(1)
        with pytest.raises(TimeoutError):
            s.recv(1)
        s.settimeout(patience(5))
        s.sendall(swarm.torrent.info_hash[19:] + b"-PY0001-abcdefghijkl")
        assert s.recv(20) == PROTOCOL


@pytest.mark.slow
def test_a_handshake_takes_no_longer_than_15_seconds(swarm):
    seeder = swarm.seed()
    handshake = PROTOCOL + bytes(8) + swarm.torrent.info_hash + b"-PY0001-abcdefghijkl"
    silent, trickling = (Connection.dial(seeder.port, swarm.torrent, source="127.0.0.%d" % i) for i in (65, 66))
    with silent, trickling:
        started = time.monotonic()

        def trickle():
            try:
                for byte in handshake:
                    trickling.send_raw(bytes([byte]))
                    time.sleep(0.5)
            except Closed:
                pass

        threading.Thread(target=trickle, daemon=True).start()
        for c in (silent, trickling):
            assert c.wait_closed(16 - (time.monotonic() - started)) is not None


# Requests

def test_requests_while_choked_are_not_served(swarm):
    seeder = swarm.seed()
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=(), fast=False)
    for piece in range(5):
        c.request(piece)
    try:
        kind, _ = c.receive_until(PIECE, UNCHOKE, timeout=1.5)
        assert kind == UNCHOKE, "served while choked"
    except TimeoutError:
        pass  # neither: as it should be


def test_requests_while_choked_are_rejected_if_the_peer_knows_fast(swarm):
    seeder = swarm.seed()
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=())
    assert c.they_can(FAST_BIT)
    # Not from the allowed-fast set, if there is one: these may be served while choked.
    allowed = set()
    try:
        while True:
            allowed.add(struct.unpack(">I", c.receive_until(ALLOWED_FAST, timeout=0.5)[1])[0])
    except TimeoutError:
        pass
    piece = next(p for p in range(PIECES) if p not in allowed)
    c.request(piece)
    kind, payload = c.receive_until(REJECT, PIECE)
    assert kind == REJECT and payload == u32(piece, 0, BLOCK)


def test_a_flood_of_requests_costs_no_memory(swarm):
    """A peer that asks for everything, again and again, and never reads."""
    seeder = swarm.seed()
    c = swarm.lab.dial(seeder, swarm.torrent, timeout=3)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    c.shake_hands(pieces=())
    c.become_unchoked()
    before = memory_kib(seeder.pid, "VmRSS")
    flood = b"".join(fakepeer.message(REQUEST, u32(i % (PIECES - 1), i % 2 * BLOCK, BLOCK)) for i in range(1000))
    c.sock.settimeout(1)
    try:
        for _ in range(500):
            c.sock.sendall(flood)
    except OSError:
        pass  # it stopped reading, or closed: both are right
    assert memory_kib(seeder.pid, "VmRSS") - before < patience(4096)
    swarm.still_serves(seeder)


def test_a_deep_queue_of_requests_is_served_in_order(swarm):
    seeder = swarm.seed()
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=())
    c.become_unchoked()
    asked = [(p, b) for p in range(PIECES - 1) for b in (0, BLOCK)] * 6  # 228: below any cap
    for piece, begin in asked:
        c.request(piece, begin)
    for piece, begin in asked:
        payload = c.receive_until(PIECE)[1]
        assert struct.unpack(">II", payload[:8]) == (piece, begin)
        assert payload[8:] == swarm.data[piece * PIECE_LENGTH + begin:][:BLOCK]


def test_a_cancelled_request_may_be_left_out_but_others_are_served(swarm):
    seeder = swarm.seed("--upload-limit", "100K")
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=(), fast=True)
    c.become_unchoked()
    for piece in range(8):
        c.request(piece)
    for piece in range(1, 7):
        c.send(CANCEL, u32(piece, 0, BLOCK))
    answered = {}
    while len(answered) < 8:  # each request has exactly one answer with the fast extension
        kind, payload = c.receive_until(PIECE, REJECT, timeout=20)
        piece = struct.unpack(">I", payload[:4])[0]
        assert piece not in answered
        answered[piece] = kind
    assert answered[7] == PIECE
    assert REJECT in answered.values()


def test_unrequested_blocks_are_discarded_and_then_too_many(swarm):
    leech = swarm.leech(stay=True)
    c = swarm.lab.dial(leech, swarm.torrent)
    c.shake_hands(pieces=())
    c.send_block(0, 0, swarm.data[:BLOCK])
    for i in range(40):
        try:
            c.send_block(i % PIECES, 0, bytes(100))
        except Closed:
            break
    assert c.wait_closed(5) is not None
    swarm.finish(swarm_go_on(swarm, leech))


def swarm_go_on(swarm, leech):
    assert leech.terminate() == 1
    return swarm.leech(swarm.seeder(2))


def test_the_length_of_a_block_must_be_the_one_asked(swarm):
    def short(c, piece, begin, data):
        c.send_block(piece, begin, data[:-1])

    bad = swarm.seeder(66, answer=short)
    leech = swarm.leech(bad, swarm.seeder(2, rate=500000))
    bad.wait_accepted()
    swarm.finish(leech)


def test_a_free_upload_slot_is_given_at_once(swarm):
    seeder = swarm.seed()
    for _ in range(3):
        started = time.monotonic()
        swarm.still_serves(seeder)
        assert time.monotonic() - started < patience(5)


# Who and where

def test_a_client_knows_itself(lab):
    swarm = Swarm(lab)
    port = free_port()
    good = swarm.seeder(2, unchoke=threading.Event())
    leech = swarm.leech("127.0.0.1:%d" % port, good, port=port)
    good.wait_until(lambda: good.interests, "interest")
    time.sleep(1)
    assert len(leech.all("peer", lambda e: e["address"].startswith("127.0.0.1:") and e["state"] == "connected")) <= 2
    good.unchoke.set()
    swarm.finish(leech)


def test_a_peer_that_shows_our_own_id_is_dropped(swarm):
    leech = swarm.leech(stay=True)
    with Connection.dial(leech.port, swarm.torrent, source="127.0.0.9") as c:
        c.shake_hands()
        their_id = c.their_id
    with Connection.dial(leech.port, swarm.torrent, source="127.0.0.10") as c:
        c.send_handshake(peer_id=their_id)
        assert c.wait_closed(5) is not None


def test_peer_ids_differ_from_run_to_run(swarm):
    ids = set()
    for _ in range(3):
        seeder = swarm.seed()
        with Connection.dial(seeder.port, swarm.torrent) as c:
            c.shake_hands()
            ids.add(c.their_id)
        seeder.kill()
    assert len(ids) == 3


@pytest.mark.slow
def test_a_failing_address_is_dialled_sparingly(swarm):
    def reset(c):
        c.receive_handshake()
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    closing = swarm.lab.peer(swarm.torrent, lambda c: None, host="127.0.0.65")
    resetting = swarm.lab.peer(swarm.torrent, reset, host="127.0.0.66")
    leech = swarm.leech(closing, resetting)
    closing.wait_accepted()
    resetting.wait_accepted()
    before = cpu_seconds(leech.pid)
    time.sleep(15)
    assert 2 <= len(closing.accepted) <= 12
    assert 2 <= len(resetting.accepted) <= 12
    assert cpu_seconds(leech.pid) - before < patience(1), "it spins"


def test_a_peer_that_comes_back_is_taken_back(swarm):
    """The honest peer's link breaks after some pieces; it is dialled again, and the download completes."""
    def breaking(c, piece, begin, data):
        c.send_block(piece, begin, data)
        if len(good.requests) == 12:
            c.close()

    good = swarm.seeder(2, answer=breaking)
    swarm.finish(swarm.leech(good), timeout=30)
    assert len(good.accepted) == 2


# The extended handshake

EXTENDED_HANDSHAKES = {
    "not bencode": b"hello", "empty": b"", "a list": b"le", "nested lists": b"d1:m" + b"l" * 100000, "nested dictionaries": b"d1:md1:x" * 50000,
    "1 MiB": bencode({"m": {}, "x": bytes((1 << 20) - 100)}), "m of 20,000 names": bencode({"m": {"x%d" % i: i % 256 for i in range(20000)}}),
    "m is a list": bencode({"m": [1]}), "wild numbers": bencode({"m": {"ut_pex": -1, "ut_metadata": 1 << 70}, "reqq": -5, "p": 70000, "metadata_size": -1}),
    "reqq 0": bencode({"m": {}, "reqq": 0}), "reqq 2^62": bencode({"m": {}, "reqq": 1 << 62}), "types": bencode({"m": "m", "reqq": "x", "v": ["v"], "p": {}}),
    "yourip of 5 bytes": bencode({"m": {}, "yourip": b"12345"}), "metadata of 1 TiB": bencode({"m": {"ut_metadata": 3}, "metadata_size": 1 << 40}),
}


@pytest.mark.parametrize("case", EXTENDED_HANDSHAKES)
def test_a_hostile_extended_handshake_hurts_nobody(swarm, case):
    seeder = swarm.seed()
    before = memory_kib(seeder.pid, "VmRSS")
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=())
    assert c.they_can(EXTENDED_BIT)
    try:
        for _ in range(3):
            c.send(EXTENDED, b"\0" + EXTENDED_HANDSHAKES[case])
        if case.startswith("reqq"):
            c.become_unchoked()
            c.fetch(0)
    except Closed:
        pass
    swarm.still_serves(seeder)
    assert memory_kib(seeder.pid, "VmRSS") - before < patience(4096)


@pytest.mark.parametrize("reqq", [0, 1, -1, 1 << 40])
def test_a_seeder_with_an_odd_reqq_is_used_all_the_same(swarm, reqq):
    class Odd(Seeder):
        def serve(self, c):
            c.receive_handshake()
            c.send_handshake()
            c.extended_handshake(reqq=reqq)
            super().serve(c, shaken=True)

    odd = swarm.lab.serve(Odd(swarm.torrent, swarm.data))
    swarm.finish(swarm.leech(odd), timeout=20)


def test_reqq_bounds_what_is_asked_at_once(swarm):
    asked = []
    enough = threading.Event()

    class Small(Seeder):
        def serve(self, c):
            c.receive_handshake()
            c.send_handshake()
            c.extended_handshake(reqq=5)
            super().serve(c, shaken=True)

    def hold(c, piece, begin, data):
        asked.append((c, piece, begin, data))
        if len(asked) > 5:
            enough.set()

    small = swarm.lab.serve(Small(swarm.torrent, swarm.data, answer=hold))
    leech = swarm.leech(small)
    small.wait_until(lambda: small.requests, "request")
    assert not enough.wait(1), "asked for more than reqq"
    small.answer = lambda c, piece, begin, data: c.send_block(piece, begin, data)
    for a in list(asked):
        a[0].send_block(*a[1:])
    swarm.finish(leech)


def test_a_client_name_with_control_characters_is_escaped(lab):
    swarm = Swarm(lab)
    seeder = swarm.seed()
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=())
    c.extended_handshake(v="evil\x1b[31m\n{\"event\":\"complete\"}\x7f\u009b")
    c.become_unchoked()
    c.close()
    closed = seeder.wait_for("peer", lambda e: e["state"] == "closed")
    for line in seeder.out:
        event = json.loads(line)
        assert event["event"] != "complete" and all(byte >= 0x20 and byte != 0x7f for byte in line)
        assert "\x1b" not in event.get("client", "") and "\u009b" not in event.get("client", "")
    assert closed["address"].startswith("127.0.0.9:")


def test_sixty_peers_fit_into_160_mib(lab):
    swarm = Swarm(lab, 4 * MIB)
    seeder = swarm.seed()
    connections = []
    for i in range(60):
        c = swarm.lab.dial(seeder, swarm.torrent, source="127.0.0.%d" % (100 + i))
        c.shake_hands(pieces=())
        c.send(INTERESTED)
        connections.append(c)
    connections[0].become_unchoked()
    connections[0].fetch(0)
    assert memory_kib(seeder.pid) < patience(160 << 10)
    threads = len(os.listdir("/proc/%d/task" % seeder.pid))
    assert threads <= 64 + 16, "%d threads" % threads


def test_spare_pieces_of_the_bitfield_are_read_right(swarm):
    """A peer with every second piece is asked for these alone."""
    some = set(range(0, PIECES, 2))
    first, second = swarm.seeder(2, have=some), swarm.seeder(3, have=set(range(PIECES)) - some)
    swarm.finish(swarm.leech(first, second))
    assert {p for p, _ in first.requests} == some


def test_haves_that_come_later_are_used(swarm):
    arrived = threading.Event()

    class Growing(Seeder):
        def serve(self, c):
            c.receive_handshake()
            c.send_handshake()
            c.send(HAVE_NONE)
            for piece in range(PIECES):
                c.send(HAVE, u32(piece))
            arrived.set()
            super().serve(c, shaken=True, silent=True)

    growing = swarm.lab.serve(Growing(swarm.torrent, swarm.data))
    swarm.finish(swarm.leech(growing))
    assert arrived.is_set()


def test_bitfield_of_shows_the_truth_to_other_peers(swarm):
    seeder = swarm.seed()
    c = swarm.lab.dial(seeder, swarm.torrent)
    c.shake_hands(pieces=(), fast=False)
    kind, payload = c.receive_until(BITFIELD, HAVE_ALL)
    assert (kind, payload) == (BITFIELD, bitfield_of(range(PIECES), PIECES)), "no fast bit, so a real bitfield"
