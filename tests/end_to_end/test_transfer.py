"""The main job: share a file or folder and get it, byte for byte."""
import os
import signal
import socket
import threading
import time

import pytest

from fakepeer import BLOCK, CHOKE, PIECE, REJECT, Closed, fetch_piece
from lab import finish_equal, free_port
from programs import loopback, patience, scaled
from torrents import differences, make_hybrid, noise, tree_equal

MIB = 1 << 20
PIECE_LENGTH = 2 * BLOCK


def share(lab, torrent, content, *options, timeout=60):
    """One seeder, one leech, the torrent's own tracker between them."""
    seeder = lab.seed(torrent, content)
    seeder.wait_for("announce")
    leech = lab.leech(torrent, lab.path("out"), *options)
    finish_equal(leech, content, lab.path("out"), timeout)
    return seeder, leech


@pytest.mark.parametrize("size", [
    1, BLOCK - 1, BLOCK, BLOCK + 1, PIECE_LENGTH - 1, PIECE_LENGTH, PIECE_LENGTH + 1, 3 * PIECE_LENGTH,
    3 * PIECE_LENGTH + 1, 5 * PIECE_LENGTH - 1,
])
def test_a_file_of_each_awkward_size_arrives(lab, size):
    content = lab.noise_file("source/file.bin", size)
    tracker = lab.tracker()
    share(lab, lab.torrent(content, PIECE_LENGTH, tracker.url), content)


FOLDERS = {
    "files smaller than a block": {"a": noise(10), "b": noise(100), "c/d": noise(5000), "c/e": noise(30000)},
    "empty files first, between and last": {"0": b"", "a": noise(PIECE_LENGTH), "b": b"", "c": noise(7), "d/e/f": b"", "z": b""},
    "files that end with a piece": {"a": noise(PIECE_LENGTH), "b": noise(2 * PIECE_LENGTH, 1), "c": noise(PIECE_LENGTH, 2)},
    "last piece of one byte": {"a": noise(PIECE_LENGTH), "b": noise(PIECE_LENGTH + 1, 1)},
    "names of all sorts": {"with some spaces.txt": noise(9), "кит/鲸 \U0001f40b.txt": noise(40000), "-rf": noise(3),
                           "~x": noise(4), "$(x)": noise(5), "CON": noise(6), "a.": noise(7), ".bashrc": noise(8),
                           "x.part": noise(11), "x.torrent": noise(12), "..x": noise(13), "a\"b'c`": noise(14)},
    "deep folders": {"/".join("abcdefghijklmnopqrstuvwxyz") + "/end": noise(50000), "a/b/middle": noise(1)},
    "500 small files": {"%d/%d.txt" % (i % 13, i): noise(i * 7 % 3000, i) for i in range(500)},
}


@pytest.mark.parametrize("shape", FOLDERS)
@pytest.mark.parametrize("align", [False, True], ids=["", "with pad files"])
def test_a_folder_arrives(lab, shape, align):
    content = lab.write("source/folder", FOLDERS[shape])
    tracker = lab.tracker()
    torrent = lab.torrent(content, PIECE_LENGTH, tracker.url, align=align)
    share(lab, torrent, content)


def test_a_piece_may_be_far_larger_than_the_content(lab):
    content = lab.write("source/folder", {"a": noise(100), "b": noise(40000)})
    tracker = lab.tracker()
    share(lab, lab.torrent(content, 16 * MIB, tracker.url), content)


def test_a_piece_length_that_is_no_power_of_two(lab):
    content = lab.noise_file("source/file", 1000000)
    tracker = lab.tracker()
    share(lab, lab.torrent(content, 3 * BLOCK, tracker.url), content)


def test_a_larger_file_in_large_pieces(lab):
    content = lab.noise_file("source/large.bin", scaled(64 * MIB) + 12345)
    tracker = lab.tracker()
    seeder, leech = share(lab, lab.torrent(content, 4 * MIB, tracker.url), content)
    assert leech.find("complete")["bytes"] == content.stat().st_size


def test_a_hybrid_torrent_is_used_as_v1(lab):
    content = lab.write("source/folder", {"a": noise(100000), "b": noise(20000), "c/d": noise(65536), "e": b""})
    tracker = lab.tracker()
    torrent = make_hybrid(content, lab.path("hybrid.torrent"), announce=tracker.url)
    share(lab, torrent, content)


def test_rarest_first_gives_the_same_bytes(lab):
    content = lab.noise_file("source/file", scaled(8 * MIB) + 1)
    tracker = lab.tracker()
    share(lab, lab.torrent(content, 65536, tracker.url), content, "--order", "rarest")


def test_one_worker_is_enough(lab):
    content = lab.noise_file("source/file", MIB)
    tracker = lab.tracker()
    torrent = lab.torrent(content, announce=tracker.url)
    seeder = lab.seed(torrent, content, "--workers", "1")
    seeder.wait_for("announce")
    finish_equal(lab.leech(torrent, lab.path("out"), "--workers", "1"), content, lab.path("out"))


def test_the_events_tell_the_whole_story(lab):
    content = lab.noise_file("source/file.bin", 20 * PIECE_LENGTH + 5)
    tracker = lab.tracker()
    torrent = lab.torrent(content, PIECE_LENGTH, tracker.url)
    seeder, leech = share(lab, torrent, content)

    assert all(list(e)[:2] == ["event", "time"] for e in leech.events)
    assert abs(leech.events[0]["time"] - time.time()) < 600
    metadata = leech.find("metadata")
    assert {k: metadata[k] for k in ("name", "info_hash", "pieces", "piece_length", "length")} == {
        "name": "file.bin", "info_hash": torrent.hex, "pieces": 21, "piece_length": PIECE_LENGTH, "length": torrent.size}
    checked = leech.find("checked")
    assert (checked["have"], checked["pieces"]) == (0, 21)
    assert sorted(e["index"] for e in leech.all("piece") if not e.get("failed")) == list(range(21))
    assert {e["peer"] for e in leech.all("piece")} == {seeder.address}
    assert leech.find("announce")["url"].startswith(tracker.base)
    assert leech.find("announce")["event_sent"] == "started"
    connected = leech.find("peer", lambda e: e["state"] == "connected")
    assert connected["address"].startswith("127.0.0.1:")
    complete = leech.find("complete")
    assert complete["bytes"] == torrent.size and complete["seconds"] >= 0
    stopped = leech.find("stopped")
    assert stopped["downloaded"] >= torrent.size
    about_it = ("metadata", "checked", "progress", "peer", "piece", "announce", "complete", "stopped")
    assert all(e["info_hash"] == torrent.hex for e in leech.events if e["event"] in about_it and e["event"] != "peer")
    order = [leech.events.index(leech.find(e)) for e in ("metadata", "checked", "piece", "complete", "stopped")]
    assert order == sorted(order)

    assert (seeder.find("checked")["have"], seeder.find("checked")["pieces"]) == (21, 21)
    assert seeder.terminate() == 0
    assert seeder.find("stopped")["uploaded"] >= torrent.size
    assert leech.stderr == "" or "error" not in leech.stderr.lower()


def test_progress_is_told_every_second(lab):
    content = lab.noise_file("source/file", 4 * MIB)
    torrent = lab.torrent(content)
    seeder = lab.seeder(torrent, content.read_bytes(), rate=1.2 * MIB)
    leech = lab.leech(torrent, lab.path("out"), peers=[seeder])
    finish_equal(leech, content, lab.path("out"))
    told = leech.all("progress")
    assert len(told) >= 3
    assert all(e["total"] == torrent.size and 0 <= e["done"] <= torrent.size for e in told)
    assert [e["done"] for e in told] == sorted(e["done"] for e in told)
    assert any(e["peers"] == 1 and e["down"] > 100000 for e in told)
    assert max(b["time"] - a["time"] for a, b in zip(told, told[1:])) < patience(2)


def test_few_bytes_in_many_seconds_are_a_download_still(lab):
    content = lab.noise_file("source/file", 1)
    torrent = lab.torrent(content)
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_until(lambda: len(leech.all("progress")) > 2, "a second or two without a peer")
    lab.seed(torrent, content, "--peer", leech.address)
    finish_equal(leech, content, lab.path("out"))
    assert leech.find("complete")["down"] == 1
    again = lab.leech(torrent, lab.path("out"))
    assert again.wait(30) == 0 and again.find("complete")["down"] == 0


def test_three_leeches_trade_with_each_other(lab):
    size = scaled(12 * MIB, 3 * MIB)
    content = lab.noise_file("source/file", size)
    tracker = lab.tracker()
    torrent = lab.torrent(content, 65536, tracker.url)
    seeder = lab.seed(torrent, content, "--upload-limit", str(size // 4))
    leeches = [lab.leech(torrent, lab.path("out%d" % i), "--order", "rarest", stay=True) for i in range(3)]
    for leech in leeches:
        leech.wait_complete(90)
    for i, leech in enumerate(leeches):
        assert leech.terminate() == 0
        assert tree_equal(content, lab.path("out%d/file" % i))
    seeder.terminate()
    uploads = [leech.find("stopped")["uploaded"] for leech in leeches]
    assert all(u > 0 for u in uploads), uploads
    # Who does not trade takes three whole copies from the seeder.
    assert seeder.find("stopped")["uploaded"] < 2.5 * size


def test_leeches_in_order_trade_too(lab):
    size = scaled(12 * MIB, 3 * MIB)
    content = lab.noise_file("source/file", size)
    tracker = lab.tracker()
    torrent = lab.torrent(content, 65536, tracker.url)
    lab.seed(torrent, content, "--upload-limit", str(size // 4))
    leeches = [lab.leech(torrent, lab.path("out%d" % i), stay=True) for i in range(3)]
    for leech in leeches:
        leech.wait_complete(90)
    for i, leech in enumerate(leeches):
        assert leech.terminate() == 0
        assert tree_equal(content, lab.path("out%d/file" % i))
    assert sum(leech.find("stopped")["uploaded"] for leech in leeches) > size // 10
    # What is asked of several at the end is little, and most of that is cancelled in time.
    assert sum(leech.find("stopped")["downloaded"] for leech in leeches) < 3 * size * 1.03


def test_a_leech_gives_what_it_has_and_becomes_a_seeder_on_the_same_connection(lab):
    content = lab.noise_file("source/file", 16 * PIECE_LENGTH)
    data = content.read_bytes()
    torrent = lab.torrent(content, PIECE_LENGTH)
    last = torrent.piece_count - 1
    gate = threading.Event()

    def answer(connection, piece, begin, block):
        if piece > last // 2:
            assert gate.wait(patience(60))
        connection.send_block(piece, begin, block)

    source = lab.seeder(torrent, data, answer=answer)
    leech = lab.leech(torrent, lab.path("out"), peers=[source], stay=True)
    leech.wait_for("piece", lambda e: e["index"] == 0)
    other = lab.dial(leech, torrent)
    other.shake_hands(pieces=())
    other.become_unchoked()
    assert other.fetch(0) == data[:PIECE_LENGTH]
    assert leech.find("complete") is None
    gate.set()
    while last not in other.they_have:
        other.receive()
    leech.wait_complete()
    if other.choked:
        other.become_unchoked()
    assert other.fetch(last) == data[last * PIECE_LENGTH:]
    assert len(leech.all("peer", lambda e: e["state"] == "connected" and e["address"].startswith("127.0.0.9"))) == 1
    assert leech.terminate() == 0


def test_several_torrents_in_one_process(lab):
    first = lab.noise_file("source/first", 300000)
    second = lab.write("source/second", {"a": noise(70000), "b/c": noise(99)})
    third = lab.noise_file("source/third", 1)
    contents = [first, second, third]
    tracker = lab.tracker()
    torrents = [lab.torrent(c, announce=tracker.url) for c in contents]
    paths = [t.path for t in torrents]
    seeder = lab.client("seed", *paths, cwd=lab.path("source"))
    for t in torrents:
        seeder.wait_for("announce", lambda e: e["info_hash"] == t.hex)
    assert len(seeder.all("listening")) == 1
    leech = lab.leech(torrents[0], lab.path("out"), *paths[1:])
    assert leech.wait(40) == 0
    assert {e["info_hash"] for e in leech.all("complete")} == {t.hex for t in torrents}
    assert differences(lab.path("source"), lab.path("out")) == []


def test_a_torrent_that_fails_does_not_take_the_others_along(lab):
    good, bad = lab.noise_file("source/good", 300000), lab.write("source/bad", {"file": noise(300000, 1)})
    torrents = [lab.torrent(c) for c in (bad, good)]
    lab.path("out/bad/file").mkdir(parents=True)  # a folder where the file belongs
    leech = lab.leech(torrents[0], lab.path("out"), torrents[1].path, peers=[lab.seed(torrents[0], bad), lab.seed(torrents[1], good)])
    assert leech.wait(40) == 1
    assert leech.stderr.count("tbt-client: ") == 1 and "bad" in leech.stderr
    assert tree_equal(good, lab.path("out/good"))


def test_ipv6_from_end_to_end(lab):
    content = lab.noise_file("source/file", 500000)
    tracker = lab.tracker(listen="[::1]:0")
    torrent = lab.torrent(content, announce=tracker.url)
    seeder = lab.seed(torrent, content, bind="::1")
    seeder.wait_for("announce", lambda e: "error" not in e)
    leech = lab.leech(torrent, lab.path("out"), bind="::1")
    finish_equal(leech, content, lab.path("out"))
    assert leech.find("piece")["peer"] == "[::1]:%d" % seeder.port


def test_ipv6_peer_named_by_hand(lab):
    content = lab.noise_file("source/file", 100000)
    torrent = lab.torrent(content)
    seeder = lab.seed(torrent, content, bind="::1")
    leech = lab.leech(torrent, lab.path("out"), peers=[seeder], bind="::1")
    finish_equal(leech, content, lab.path("out"))


@pytest.mark.parametrize("named", ["seeder", "leech"])
def test_peer_without_any_tracker(lab, named):
    content = lab.noise_file("source/file", 500000)
    torrent = lab.torrent(content)
    if named == "seeder":
        leech = lab.leech(torrent, lab.path("out"), peers=[lab.seed(torrent, content)])
    else:
        leech = lab.leech(torrent, lab.path("out"))
        lab.seed(torrent, content, "--peer", leech.address)
    finish_equal(leech, content, lab.path("out"))


@pytest.mark.parametrize("size", [MIB, 48 * MIB])
def test_a_peer_that_comes_while_the_content_is_checked_is_served(lab, size):
    """It listens, so it answers: who was turned away would come again only after a back-off."""
    content = lab.noise_file("source/file", scaled(size))
    torrent = lab.torrent(content, 65536)
    for _ in range(5):
        seeder = lab.client("seed", torrent.path, "--file", content)
        port = seeder.wait_for("listening")["port"]
        assert len(fetch_piece(port, torrent, 0, source="127.0.0.9")) == 65536
        assert seeder.terminate() == 0


def test_seed_ratio_ends_a_leech_that_gave_enough(lab):
    content = lab.noise_file("source/file", MIB)
    torrent = lab.torrent(content)
    seeder = lab.seed(torrent, content)
    first = lab.leech(torrent, lab.path("one"), "--seed-ratio", "1", peers=[seeder], stay=True)
    first.wait_complete()
    seeder.terminate()
    second = lab.leech(torrent, lab.path("two"), peers=[first])
    finish_equal(second, content, lab.path("two"))
    finish_equal(first, content, lab.path("one"), timeout=10)
    assert first.find("stopped")["uploaded"] >= torrent.size


def test_a_leech_without_a_limit_goes_on_seeding(lab):
    content = lab.noise_file("source/file", 100000)
    torrent = lab.torrent(content)
    leech = lab.leech(torrent, lab.path("out"), peers=[lab.seed(torrent, content)], stay=True)
    leech.wait_complete()
    for i in range(2):
        finish_equal(lab.leech(torrent, lab.path("more%d" % i), peers=[leech]), content, lab.path("more%d" % i))
    assert leech.alive
    assert leech.terminate() == 0, "complete, so its job is done"


def test_a_leech_of_complete_content_needs_nobody(lab):
    content = lab.noise_file("out/file", 300000)
    torrent = lab.torrent(content)
    leech = lab.leech(torrent, lab.path("out"))
    assert leech.wait(10) == 0
    assert leech.find("checked")["have"] == torrent.piece_count
    assert leech.all("piece") == []


def test_content_partly_there_is_used(lab):
    content = lab.noise_file("source/file", 20 * PIECE_LENGTH)
    data = content.read_bytes()
    torrent = lab.torrent(content, PIECE_LENGTH)
    lab.write("out/file", data[:10 * PIECE_LENGTH] + bytes(PIECE_LENGTH) + data[11 * PIECE_LENGTH:])
    seeder = lab.seeder(torrent, data)
    leech = lab.leech(torrent, lab.path("out"), peers=[seeder])
    finish_equal(leech, content, lab.path("out"))
    assert {piece for piece, _ in seeder.requests} == {10}


def test_a_file_that_is_too_long_is_cut(lab):
    content = lab.noise_file("source/file", 100000)
    torrent = lab.torrent(content)
    lab.write("out/file", content.read_bytes() + b"more of the same")
    leech = lab.leech(torrent, lab.path("out"), peers=[lab.seed(torrent, content)])
    finish_equal(leech, content, lab.path("out"))


def test_pieces_come_in_order_from_one_peer(lab):
    content = lab.noise_file("source/file", 256 * PIECE_LENGTH)
    torrent = lab.torrent(content, PIECE_LENGTH)
    seeder = lab.seeder(torrent, content.read_bytes())
    leech = lab.leech(torrent, lab.path("out"), peers=[seeder])
    finish_equal(leech, content, lab.path("out"))
    assert [r for r in seeder.requests if seeder.requests.count(r) == 1] == sorted(set(seeder.requests))
    came = [e["index"] for e in leech.all("piece")]
    ahead = max(i - place for place, i in enumerate(came))
    assert ahead <= 8, "several threads hash, but none may be this far ahead: %s" % came


def test_rarest_first_asks_for_rare_pieces_first(lab):
    content = lab.noise_file("source/file", 40 * PIECE_LENGTH)
    data = content.read_bytes()
    torrent = lab.torrent(content, PIECE_LENGTH)
    rare = set(range(30, 34))
    common = set(range(40)) - rare
    # Two that have all but the rare pieces and never unchoke; the third waits until these are known.
    others = [lab.seeder(torrent, data, host="127.0.0.%d" % i, have=common, unchoke=False) for i in (3, 4)]
    known = threading.Event()
    full = lab.seeder(torrent, data, unchoke=known)
    leech = lab.leech(torrent, lab.path("out"), "--order", "rarest", peers=[*others, full])
    for other in (*others, full):
        other.wait_until(lambda: other.interests, "interest")
    known.set()
    finish_equal(leech, content, lab.path("out"))
    first = []
    for piece, _ in full.requests:
        if piece not in first:
            first.append(piece)
    assert set(first[:len(rare)]) == rare, first


def test_two_seeders_share_the_work(lab):
    content = lab.noise_file("source/file", scaled(8 * MIB, 2 * MIB))
    data = content.read_bytes()
    torrent = lab.torrent(content, 65536)
    seeders = [lab.seeder(torrent, data, host="127.0.0.%d" % i, rate=len(data) / 4) for i in (2, 3)]
    leech = lab.leech(torrent, lab.path("out"), peers=seeders)
    finish_equal(leech, content, lab.path("out"))
    for seeder in seeders:
        assert seeder.sent > len(data) // 4, [s.sent for s in seeders]
    assert sum(s.sent for s in seeders) < 1.1 * len(data)


@pytest.mark.slow
def test_tracker_down_at_the_start_and_up_later(lab):
    content = lab.noise_file("source/file", 300000)
    port = free_port()
    torrent = lab.torrent(content, announce="http://127.0.0.1:%d/announce" % port)
    seeder = lab.seed(torrent, content)
    leech = lab.leech(torrent, lab.path("out"))
    for client in (seeder, leech):
        assert client.wait_for("announce")["error"]
    lab.tracker(listen="127.0.0.1:%d" % port)
    finish_equal(leech, content, lab.path("out"), timeout=60)


def test_the_second_tracker_is_asked_when_the_first_is_down(lab):
    content = lab.noise_file("source/file", 300000)
    tracker = lab.tracker()
    torrent = lab.torrent(content, announce=[["http://127.0.0.1:%d/announce" % free_port()], [tracker.url]])
    seeder = lab.seed(torrent, content)
    seeder.wait_for("announce", lambda e: "error" not in e)
    finish_equal(lab.leech(torrent, lab.path("out")), content, lab.path("out"), timeout=10)


def test_the_seeder_leaves_and_another_comes(lab):
    content = lab.noise_file("source/file", scaled(8 * MIB, 2 * MIB))
    tracker = lab.tracker()
    torrent = lab.torrent(content, 65536, tracker.url)
    first = lab.seed(torrent, content, "--upload-limit", str(torrent.size // 4))
    first.wait_for("announce")
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_for("piece", lambda e: e["index"] >= 5)
    first.kill()
    leech.wait_for("peer", lambda e: e["state"] == "closed", timeout=5)
    assert leech.find("complete") is None
    lab.seed(torrent, content)
    finish_equal(leech, content, lab.path("out"), timeout=30)


def test_announces_say_what_happened(lab):
    content = lab.noise_file("source/file", 300000)
    tracker = lab.http_tracker()
    torrent = lab.torrent(content, announce=tracker.url)
    seeder = lab.seed(torrent, content)
    came = tracker.wait_for("started")
    assert came.keys["info_hash"] == torrent.info_hash
    assert len(came.keys["peer_id"]) == 20
    assert (came.number("left"), came.number("uploaded"), came.number("downloaded")) == (0, 0, 0)
    assert came.number("port") == seeder.port
    assert came["compact"] == "1"

    tracker.peers.append(seeder.address)
    leech = lab.leech(torrent, lab.path("out"), stay=True)
    started = tracker.wait_for("started", count=2)
    assert (started.number("left"), started.number("port")) == (torrent.size, leech.port)
    assert started.keys["peer_id"] != came.keys["peer_id"]
    completed = tracker.wait_for("completed")
    assert completed.number("left") == 0 and completed.number("downloaded") >= torrent.size
    assert completed.keys["peer_id"] == started.keys["peer_id"]
    leech.wait_complete()
    assert leech.terminate() == 0
    stopped = tracker.wait_for("stopped")
    assert stopped.keys["peer_id"] == started.keys["peer_id"] and stopped.number("left") == 0
    assert seeder.terminate() == 0
    stopped = tracker.wait_for("stopped", count=2)
    assert stopped.keys["peer_id"] == came.keys["peer_id"]
    assert stopped.number("uploaded") >= torrent.size
    assert [a.event for a in tracker.announces].count("completed") == 1
    assert [a.event for a in tracker.announces].count("stopped") == 2


def test_a_leech_that_has_it_all_already_does_not_announce_completed(lab):
    content = lab.noise_file("out/file", 100000)
    tracker = lab.http_tracker()
    torrent = lab.torrent(content, announce=tracker.url)
    leech = lab.leech(torrent, lab.path("out"), stay=True)
    assert tracker.wait_for("started").number("left") == 0
    assert leech.terminate() == 0
    tracker.wait_for("stopped")
    assert "completed" not in [a.event for a in tracker.announces]


def test_an_interrupted_leech_exits_with_1_and_says_stopped(lab):
    content = lab.noise_file("source/file", 100000)
    tracker = lab.http_tracker()
    torrent = lab.torrent(content, announce=tracker.url)
    leech = lab.leech(torrent, lab.path("out"))
    tracker.wait_for("started")
    leech.wait_for("announce")
    leech.signal(signal.SIGINT)
    assert leech.wait(6) == 1
    assert tracker.wait_for("stopped").number("left") == torrent.size
    assert leech.find("stopped")["done"] == 0


def test_the_next_port_is_taken_when_one_is_in_use(lab):
    content = lab.noise_file("source/file", 1000)
    torrent = lab.torrent(content)
    with socket.socket() as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            first.bind(("127.0.0.1", 6881))
            first.listen()
        except OSError:
            pass  # in use by somebody else: as good
        seeder = lab.seed(torrent, content, port=None)
        assert 6882 <= seeder.port <= 6889


def test_a_port_asked_for_that_is_in_use_is_an_error(lab):
    content = lab.noise_file("source/file", 1000)
    torrent = lab.torrent(content)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = lab.command("seed", torrent.path, "--file", content, *loopback(port=port))
    assert result.refused, result
    assert str(port) in result.err and "in use" in result.err


@pytest.mark.parametrize("side", ["--upload-limit", "--download-limit"])
def test_a_rate_limit_is_kept(lab, side):
    content = lab.noise_file("source/file", 6 * MIB)
    torrent = lab.torrent(content, 65536)
    seeder = lab.seed(torrent, content, *(["--upload-limit", "2M"] if side == "--upload-limit" else []))
    started = time.monotonic()
    leech = lab.leech(torrent, lab.path("out"), *(["--download-limit", "2M"] if side == "--download-limit" else []),
                      peers=[seeder])
    finish_equal(leech, content, lab.path("out"))
    assert 1.9 < time.monotonic() - started < patience(5), "3 s, less what may come in a burst"


def test_an_incomplete_copy_is_no_seed_unless_it_is_meant_to(lab):
    content = lab.noise_file("source/file", 10 * PIECE_LENGTH)
    good = content.read_bytes()
    tracker = lab.http_tracker()
    torrent = lab.torrent(content, PIECE_LENGTH, tracker.url)
    content.write_bytes(good[:5 * PIECE_LENGTH] + bytes(PIECE_LENGTH) + good[6 * PIECE_LENGTH:])
    refused = lab.client("seed", torrent.path, "--file", content)
    assert refused.wait(10) == 1
    assert "file" in refused.stderr and tracker.announces == []

    partial = lab.client("seed", torrent.path, "--file", content, "--partial")
    assert partial.wait_for("checked")["have"] == 9
    assert tracker.wait_for("started").number("left") == PIECE_LENGTH
    assert fetch_piece(partial.port, torrent, 9, source="127.0.0.9") == good[9 * PIECE_LENGTH:]
    assert partial.terminate() == 0


def test_seeding_what_is_not_there_fails_with_its_name(lab):
    content = lab.noise_file("source/file", 1000)
    torrent = lab.torrent(content)
    result = lab.command("seed", torrent.path, "--file", lab.path("nowhere/file"), *loopback())
    assert result.refused and result.status == 1, result
    assert "nowhere" in result.err
    result = lab.command("seed", torrent.path, "--file", lab.path("nothing"), *loopback())
    assert result.refused and result.status == 1 and "nothing of file" in result.err and "--file" in result.err, result


def test_progress_is_told_when_nobody_is_there(lab):
    leech = lab.leech(lab.torrent(lab.noise_file("source/file", 1000)), lab.path("out"))
    leech.wait_until(lambda: len(leech.all("progress")) >= 4, "progress", 10)
    times = [e["time"] for e in leech.all("progress")]
    assert sorted(b - a for a, b in zip(times, times[1:]))[1] <= patience(1.0), times


@pytest.mark.parametrize("time_put_back", [False, True])
def test_content_that_changes_under_a_seeder_is_not_uploaded_as_right(lab, time_put_back):
    content = lab.noise_file("source/file", 8 * PIECE_LENGTH)
    good = content.read_bytes()
    torrent = lab.torrent(content, PIECE_LENGTH)
    seeder = lab.seed(torrent, content)
    assert fetch_piece(seeder.port, torrent, 0, source="127.0.0.9") == good[:PIECE_LENGTH]
    before = content.stat()
    with open(content, "r+b") as f:
        f.seek(4 * PIECE_LENGTH)
        f.write(bytes(PIECE_LENGTH))
    if time_put_back:
        os.utime(content, ns=(before.st_atime_ns, before.st_mtime_ns))
    with lab.dial(seeder, torrent) as c:
        c.shake_hands(pieces=())
        c.become_unchoked()
        c.request(4)
        try:  # an answer, and no data; or the end of the connection
            assert c.receive_until(REJECT, CHOKE, PIECE, timeout=5)[0] != PIECE
        except Closed:
            pass
    assert fetch_piece(seeder.port, torrent, 5, source="127.0.0.8") == good[5 * PIECE_LENGTH:6 * PIECE_LENGTH]


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "removed"])
def test_what_a_seeder_lost_with_a_file_is_told_once(lab, replaced):
    content = lab.noise_file("source/file", 4 * PIECE_LENGTH)
    good = content.read_bytes()
    torrent = lab.torrent(content, PIECE_LENGTH)
    seeder = lab.seed(torrent, content)
    assert fetch_piece(seeder.port, torrent, 0, source="127.0.0.9") == good[:PIECE_LENGTH]
    if replaced:
        os.replace(lab.write("other", bytes(4 * PIECE_LENGTH)), content)
    else:
        content.unlink()
    with lab.dial(seeder, torrent) as c:
        c.shake_hands(pieces=())
        c.become_unchoked()
        for piece in (0, 1, 0, 2, 3, 3):
            c.request(piece)
            assert c.receive_until(REJECT, PIECE, timeout=5)[0] == REJECT
    seeder.wait_for("warning", lambda e: "piece 3" in e["message"])
    words = [e["message"].removeprefix("%s: " % content) for e in seeder.all("warning")]
    assert words == ["file changed while it is shared; checking again"] + [
        "piece %d is not what it was; it is not shared any more" % i for i in range(4)]


def test_output_to_a_pipe_is_plain_lines_and_quiet_is_quiet(lab):
    content = lab.noise_file("source/file", 300000)
    torrent = lab.torrent(content)
    seeder = lab.seed(torrent, content)
    options = [*loopback(), "--seed-time", "0", "--peer", seeder.address]
    plain = lab.command("leech", torrent.path, "--output", lab.path("out"), *options)
    assert plain.status == 0, plain
    assert "\x1b" not in plain.out + plain.err and "\r" not in plain.out + plain.err
    assert "file" in plain.out + plain.err
    quiet = lab.command("leech", torrent.path, "--output", lab.path("out2"), "--quiet", *options)
    assert quiet.status == 0, quiet
    assert quiet.err == ""
