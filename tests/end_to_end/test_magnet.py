"""`leech MAGNET`: the metadata comes from peers, then the content."""
import shutil
from pathlib import Path

import pytest

from fakepeer import EXTENDED
from lab import finish_equal, free_port
from programs import scaled
from test_extensions import METADATA, PEX, PIECE, compact, magnet, split_dict
from torrents import bdecode, bencode


def leech(lab, link, folder, *arguments, peers=(), stay=False, **kw):
    more = [a for p in peers for a in ("--peer", getattr(p, "address", p))]
    return lab.client("leech", link, "--output", folder, *arguments, *more, *([] if stay else ["--seed-time", "0"]), **kw)


def giver(lab, torrent, metadata, host="127.0.0.2", refuse=0, size=None):
    """A peer that has only metadata, or what it calls so; `.given` counts pieces."""
    def script(c):
        c.receive_handshake()
        c.send_handshake()
        c.extended_handshake(m={"ut_metadata": METADATA}, metadata_size=size or len(metadata))
        theirs = None
        while True:
            payload = c.receive_until(EXTENDED, timeout=300)[1]
            if payload[0] == 0:
                theirs = bdecode(payload[1:])[b"m"]
            elif payload[0] == METADATA:
                piece = split_dict(payload[1:])[0][b"piece"]
                peer.given += 1
                if peer.given <= refuse:
                    answer = bencode({"msg_type": 2, "piece": piece})
                else:
                    answer = bencode({"msg_type": 1, "piece": piece, "total_size": size or len(metadata)}) + metadata[piece * PIECE:][:PIECE]
                c.send(EXTENDED, bytes([theirs[b"ut_metadata"]]) + answer)
    peer = lab.peer(torrent, script, host=host)
    peer.given = 0
    return peer


@pytest.fixture
def shared(lab):
    """A content with metadata of several pieces, its torrent and a tbt seed of it."""
    content = lab.noise_file("source/file.bin", 1500 * PIECE)
    torrent = lab.torrent(content, PIECE)
    return content, torrent, lab.seed(torrent, content)


@pytest.mark.parametrize("way", ["--peer", "x.pe", "x.pe by name", "tracker"])
def test_a_magnet_from_tbt_to_tbt(lab, way):
    content = lab.write("source/folder", {"a": b"a" * 100000, "b/c": b"c" * 50000})
    tracker = lab.tracker()
    torrent = lab.torrent(content, PIECE, tracker.url if way == "tracker" else None)
    seeder = lab.seed(torrent, content)
    if way == "tracker":
        seeder.wait_for("announce", lambda e: "error" not in e)
    link = magnet(torrent, *([tracker.url] if way == "tracker" else [])) + {
        "x.pe": "&x.pe=" + seeder.address, "x.pe by name": "&x.pe=localhost:%d" % seeder.port}.get(way, "")
    taker = leech(lab, link, lab.path("out"), peers=[seeder] if way == "--peer" else [])
    finish_equal(taker, content, lab.path("out"), timeout=30)
    told = taker.find("metadata")
    assert told["name"] == content.name and told["info_hash"] == torrent.hex and told["files"] == 2


def test_metadata_of_many_pieces(lab, shared):
    content, torrent, seeder = shared
    finish_equal(leech(lab, magnet(torrent, name="shown.for.now"), lab.path("out"), peers=[seeder]), content, lab.path("out"), timeout=40)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("pieces_at", ["once", "the end"])
def test_content_comes_over_the_connection_of_the_metadata(lab, fast, pieces_at):
    """One behind a NAT came to us and cannot be dialled again; what it said of pieces meanwhile must not be lost."""
    content = lab.noise_file("source/file.bin", 20 * PIECE + 5)
    torrent = lab.torrent(content, PIECE)
    metadata = bencode(torrent.info)

    def script(c):
        c.receive_handshake()
        c.send_handshake(fast=fast)
        if pieces_at == "once":
            c.send_pieces(seeder.have)
        c.extended_handshake(m={"ut_metadata": METADATA}, metadata_size=len(metadata))
        theirs = None
        for _ in range(-(-len(metadata) // PIECE)):
            payload = c.receive_until(EXTENDED, timeout=60)[1]
            if payload[0] == 0:
                theirs = bdecode(payload[1:])[b"m"]
                payload = c.receive_until(EXTENDED, timeout=60)[1]
            piece = split_dict(payload[1:])[0][b"piece"]
            answer = bencode({"msg_type": 1, "piece": piece, "total_size": len(metadata)})
            c.send(EXTENDED, bytes([theirs[b"ut_metadata"]]) + answer + metadata[piece * PIECE:][:PIECE])
        if pieces_at == "the end":
            c.send_pieces(seeder.have)
        seeder.serve(c, shaken=True, silent=True)

    seeder = lab.seeder(torrent, content.read_bytes())
    seeder.script = script
    taker = leech(lab, magnet(torrent), lab.path("out"), peers=[seeder])
    finish_equal(taker, content, lab.path("out"), timeout=30)
    assert len(seeder.accepted) == 1
    assert [e["state"] for e in taker.all("peer")] == ["connected", "closed"]


def test_a_long_message_is_skipped_meanwhile(lab):
    """As it is later: it is not kept in memory to be read, not even if it would be wrong."""
    content = lab.noise_file("source/file.bin", 100_000)
    torrent = lab.torrent(content, PIECE)
    metadata = bencode(torrent.info)
    long = bytes([1]) + b"no bencode" * 10_000

    def script(c):
        c.receive_handshake()
        c.send_handshake()
        c.extended_handshake(m={"ut_metadata": METADATA}, metadata_size=len(metadata))
        theirs = bdecode(c.receive_until(EXTENDED)[1][1:])[b"m"]
        for ours in theirs.values():
            c.send(EXTENDED, bytes([ours]) + long)
        c.receive_until(EXTENDED)
        c.send(EXTENDED, bytes([theirs[b"ut_metadata"]]) + bencode({"msg_type": 1, "piece": 0, "total_size": len(metadata)}) + metadata)
        c.send_pieces(seeder.have)
        seeder.serve(c, shaken=True, silent=True)

    seeder = lab.seeder(torrent, content.read_bytes())
    seeder.script = script
    finish_equal(leech(lab, magnet(torrent), lab.path("out"), peers=[seeder]), content, lab.path("out"), timeout=30)
    assert len(seeder.accepted) == 1


def test_the_seed_dials_the_taker(lab):
    """Nobody names a peer to the taker."""
    content = lab.noise_file("source/file.bin", 300000)
    torrent = lab.torrent(content)
    port = free_port()
    taker = leech(lab, magnet(torrent), lab.path("out"), port=port)
    taker.wait_for("listening")
    lab.client("seed", torrent.path, "--file", content, "--peer", "127.0.0.1:%d" % port)
    finish_equal(taker, content, lab.path("out"), timeout=40)


def test_who_has_no_metadata_may_know_who_has(lab):
    """The only peer that is known has come by the link itself; it tells of a seed."""
    content = lab.noise_file("source/file.bin", 100_000)
    torrent = lab.torrent(content)
    seeder = lab.seed(torrent, content, bind="127.0.0.7")

    def script(c):
        c.receive_handshake()
        c.send_handshake()
        c.extended_handshake(m={"ut_metadata": METADATA, "ut_pex": PEX})
        while (payload := c.receive_until(EXTENDED, timeout=60)[1])[0] != 0:
            pass
        theirs = bdecode(payload[1:])[b"m"]
        c.send(EXTENDED, bytes([theirs[b"ut_pex"]]) + bencode({"added": compact("127.0.0.7", seeder.port), "added.f": b"\2"}))
        c.wait_closed(60)

    knower = lab.peer(torrent, script)
    finish_equal(leech(lab, magnet(torrent), lab.path("out"), peers=[knower]), content, lab.path("out"), timeout=30)


@pytest.mark.parametrize("client", ["aria2", "libtorrent"])
def test_from_another_client(lab, client):
    content = lab.noise_file("source/file.bin", scaled(1 << 20) + 77)
    torrent = lab.torrent(content, PIECE)
    port = free_port()
    if client == "aria2":
        if not shutil.which("aria2c"):
            pytest.skip("no aria2")
        argv = ["aria2c", "--no-conf", "--dir", content.parent, "--listen-port=%d" % port, "--interface=127.0.0.1", "--disable-ipv6=true", "--enable-dht=false",
                "--bt-enable-lpd=false", "--file-allocation=none", "--bt-seed-unverified=true", "--seed-ratio=0.0", "--summary-interval=0", torrent.path]
    else:
        pytest.importorskip("libtorrent")
        argv = ["/usr/bin/python3", Path(__file__).with_name("libtorrent_peer.py"), "seed", torrent.path, content.parent, "127.0.0.1", str(port)]
    lab.process(argv, client)
    finish_equal(leech(lab, magnet(torrent), lab.path("out"), peers=["127.0.0.1:%d" % port]), content, lab.path("out"), timeout=60)


def test_wrong_metadata_is_not_asked_for_again_and_the_right_one_is_found(lab, shared):
    content, torrent, seeder = shared
    info = bencode(torrent.info)
    liar = giver(lab, torrent, info[:-20] + bytes(19) + b"e")
    taker = leech(lab, magnet(torrent), lab.path("out"), peers=[liar], stay=True)
    taker.wait_for("peer", lambda e: e["state"] == "closed" and e["reason"] == "gave wrong metadata")
    given = liar.given
    assert given == -(-len(info) // PIECE)
    taker.terminate()
    # Together with an honest one: whatever it spoils, the right metadata is found.
    taker = leech(lab, magnet(torrent), lab.path("out"), peers=[liar, seeder])
    finish_equal(taker, content, lab.path("out"), timeout=40)


def test_claims_cost_nothing_and_refusals_end(lab, shared):
    """32 MiB that never come, and a peer that first refuses."""
    content, torrent, seeder = shared
    claims = [giver(lab, torrent, b"", host="127.0.0.%d" % (20 + i), size=(32 << 20) - i, refuse=1000) for i in range(5)]
    refuser = giver(lab, torrent, bencode(torrent.info), refuse=1)
    taker = leech(lab, magnet(torrent), lab.path("out"), peers=[*claims, refuser], stay=True)
    told = taker.wait_for("metadata", timeout=30)
    assert told["pieces"] == torrent.piece_count


@pytest.mark.slow
def test_who_gives_next_to_nothing_keeps_nobody_out(lab, shared):
    """Six peers begin to give 30 MiB each; the seed comes later, and gives its metadata a few times only."""
    content, torrent, seeder = shared

    def trickler(size, host):
        def script(c):
            c.receive_handshake()
            c.send_handshake()
            c.extended_handshake(m={"ut_metadata": METADATA}, metadata_size=size)
            theirs = None
            while True:
                payload = c.receive_until(EXTENDED, timeout=300)[1]
                if payload[0] == 0:
                    theirs = bdecode(payload[1:])[b"m"]
                    continue
                piece = split_dict(payload[1:])[0][b"piece"]
                if piece > 0:
                    c.wait_closed(4)
                answer = bencode({"msg_type": 1, "piece": piece, "total_size": size})
                c.send(EXTENDED, bytes([theirs[b"ut_metadata"]]) + answer + b"d" * PIECE)
        return lab.peer(torrent, script, host=host)

    tricklers = [trickler((30 << 20) + i * PIECE, "127.0.0.%d" % (40 + i)) for i in range(6)]
    port = free_port()
    taker = leech(lab, magnet(torrent), lab.path("out"), peers=tricklers, port=port)
    for i in range(6):
        taker.wait_for("peer", lambda e: e["address"].startswith("127.0.0.%d:" % (40 + i)))
    lab.client("seed", torrent.path, "--file", content, "--peer", "127.0.0.1:%d" % port)
    finish_equal(taker, content, lab.path("out"), timeout=30)


def test_the_next_run_needs_no_peer_for_the_metadata(lab, shared):
    content, torrent, seeder = shared
    source = giver(lab, torrent, bencode(torrent.info))
    first = leech(lab, magnet(torrent), lab.path("out"), peers=[source])
    first.wait_for("checked")
    first.kill()
    second = leech(lab, magnet(torrent), lab.path("out"))
    assert second.wait_for("metadata", timeout=10)["info_hash"] == torrent.hex
    assert second.terminate() == 1
    finish_equal(leech(lab, torrent.path, lab.path("out"), peers=[seeder]), content, lab.path("out"), timeout=40)


def test_the_next_run_asks_the_trackers_of_the_link(lab):
    """The metadata, which is there by then, names none."""
    content = lab.noise_file("source/file.bin", 300_000)
    torrent = lab.torrent(content)
    first = leech(lab, magnet(torrent), lab.path("out"), peers=[giver(lab, torrent, bencode(torrent.info))])
    first.wait_for("checked")
    first.kill()
    tracker = lab.tracker()
    seeded = lab.torrent(content, announce=tracker.url, name="seeded.torrent")
    lab.seed(seeded, content).wait_for("announce")
    finish_equal(leech(lab, magnet(torrent, tracker.url), lab.path("out")), content, lab.path("out"), timeout=20)


def test_a_seed_by_a_magnet_goes_on_after_a_kill(lab):
    """Nobody else may be left who has the metadata."""
    content = lab.noise_file("source/file.bin", 100_000)
    torrent = lab.torrent(content)
    seeder = lab.seed(torrent, content)
    first = leech(lab, magnet(torrent), lab.path("out"), peers=[seeder], stay=True)
    first.wait_for("complete")
    seeder.terminate()
    first.kill()
    second = leech(lab, magnet(torrent), lab.path("out"), stay=True)
    second.wait_for("complete", timeout=10)
    second.terminate()
    finish_equal(leech(lab, magnet(torrent), lab.path("out")), content, lab.path("out"), timeout=10)


def test_metadata_that_is_refused_ends_with_one_line(lab):
    """It has the right hash, but names a file that must not be: the rules are those of torrent files."""
    content = lab.noise_file("source/file.bin", 100000)
    torrent = lab.torrent(content, info={"name": ".."})
    taker = leech(lab, magnet(torrent), lab.path("out"), peers=[giver(lab, torrent, bencode(torrent.info))])
    assert taker.wait(20) == 1
    assert len(taker.stderr.splitlines()) == 1 and torrent.hex in taker.stderr

    # The tracker that named the peer is told of the end.
    source = giver(lab, torrent, bencode(torrent.info), host="127.0.0.3")
    tracker = lab.http_tracker(peers=[source.address])
    taker = leech(lab, magnet(torrent, tracker.url), lab.path("out"))
    assert taker.wait(20) == 1
    assert tracker.wait_for("stopped").number("left") > 0
    assert len(taker.stderr.splitlines()) == 1 and torrent.hex in taker.stderr


def test_without_peers_it_waits_and_stops_at_once(lab):
    torrent = lab.torrent(lab.noise_file("source/file.bin", 1000))
    tracker = lab.http_tracker()
    taker = leech(lab, magnet(torrent, tracker.url), lab.path("out"))
    started = tracker.wait_for("started")
    assert started.number("left") > 0
    told = taker.wait_for("progress")
    assert told["done"] == told["total"] == 0
    assert taker.terminate() == 1
    assert len(taker.stderr.splitlines()) == 1
    assert not lab.path("out").exists() or not any(lab.path("out").iterdir())


def test_odd_links(lab):
    torrent = lab.torrent(lab.noise_file("source/file.bin", 1000))
    for link in ("magnet:", "magnet:?xt=urn:btih:abc", "magnet:?dn=x", "magnet:?xt=urn:btih:" + "g" * 40):
        assert lab.command("leech", link, "--no-dht").refused, link
    assert lab.command("seed", magnet(torrent)).refused
    both = lab.client("leech", magnet(torrent), torrent.path, "--output", lab.path("out"))
    both.wait_for("listening")
    assert "given twice" in both.stderr
    assert both.terminate() == 1
