"""Why is nothing coming?  The `stalled` event says it, from what the client knows itself."""
import os
import shlex
import signal
import time

import pytest

from dhtnode import DhtNode
from fakepeer import corrupt, mute
from programs import find_program, loopback, patience
from test_extensions import magnet
from test_web_seed import WebServer, lie, reply
from torrents import bencode, noise

PIECE = 32768

pytestmark = pytest.mark.slow  # nothing comes for ten seconds


@pytest.fixture
def stalled(lab):
    content = lab.noise_file("source/file", 8 * PIECE)
    torrent = lab.torrent(content, PIECE)

    def start(peers=(), announce=None):
        made = lab.torrent(content, PIECE, announce) if announce else torrent
        start.leech = leech = lab.leech(made, lab.path("out"), peers=[p(made) for p in peers])
        return leech.wait_for("stalled", timeout=25)["reason"]
    start.lab, start.content = lab, noise(8 * PIECE)
    return start


def seeder(stalled, host, **kw):
    return lambda torrent: stalled.lab.seeder(torrent, stalled.content, host=host, **kw)


def test_nobody_is_known(lab, stalled):
    assert stalled() == "no peers are known: no tracker; no DHT; no LSD"


def test_what_the_tracker_said_about_it(lab, stalled):
    tracker = lab.http_tracker(answer=lambda *_: b"d14:failure reason9:not todaye")
    assert stalled(announce=tracker.url) == "no peers are known: tracker 127.0.0.1:%d: not today; no DHT; no LSD" % tracker.port


def say(scraped=None, **more):
    """An answer with no peers; and what /scrape says, if it may be asked."""
    def answer(announce):
        if announce.path != "/scrape":
            return bencode({"interval": 1800, "peers": b"", **more})
        return bencode({"files": {announce.keys["info_hash"]: scraped}})
    return answer


def test_how_many_there_are_by_the_tracker(lab, stalled):
    tracker = lab.http_tracker(answer=say(complete=1, incomplete=3))
    host = "127.0.0.1:%d" % tracker.port
    assert stalled(announce=tracker.url) == \
        "no peers are known: tracker %s gave 0 addresses and counts 1 seed, 3 leeches with us; no DHT; no LSD" % host
    assert len(tracker.announces) == 1  # there is nothing to scrape for
    event = stalled.leech.find("stalled")
    assert (event["seeders"], event["leechers"]) == (1, 3)
    event = stalled.leech.find("announce")
    assert (event["seeders"], event["leechers"]) == (1, 3)


def test_how_many_there_are_is_asked_if_the_answer_does_not_say_it(lab, stalled):
    tracker = lab.http_tracker(answer=say({b"complete": 0, b"incomplete": 2, b"downloaded": 9}))
    host = "127.0.0.1:%d" % tracker.port
    assert stalled(announce=tracker.url + "?key=1") == \
        "no peers are known: tracker %s gave 0 addresses and counts 0 seeds, 2 leeches with us; no DHT; no LSD" % host
    assert [a.path for a in tracker.announces] == ["/announce", "/scrape"]
    assert tracker.announces[1]["key"] == "1" and "seeders" not in stalled.leech.find("announce")


def test_a_tracker_that_cannot_count_is_not_asked_to(lab, stalled):
    tracker = lab.http_tracker(answer=say())
    url = tracker.url.replace("/announce", "/a")
    assert stalled(announce=url) == "no peers are known: tracker 127.0.0.1:%d gave 0 addresses; no DHT; no LSD" % tracker.port
    assert [a.path for a in tracker.announces] == ["/a"]


def test_a_scrape_that_hangs_holds_up_nothing(lab, stalled):
    tracker = lab.http_tracker(answer=lambda a: say()(a) if a.path == "/announce" else lambda handler: time.sleep(patience(60)))
    assert "gave 0 addresses; no DHT" in stalled(announce=tracker.url)
    assert [a.path for a in tracker.announces] == ["/announce", "/scrape"]
    start = time.monotonic()
    assert stalled.leech.terminate() == 1 and time.monotonic() - start < patience(5)
    assert [a.event for a in tracker.announces] == ["started", "", "stopped"]


def test_that_one_tracker_fails_is_not_told_while_another_answers(lab, stalled):
    bad, good = lab.http_tracker(answer=lambda a: lambda handler: time.sleep(patience(4))), lab.http_tracker()
    reason = stalled(announce=[[bad.url], [good.url]])
    assert "tracker 127.0.0.1:%d gave 0 addresses" % good.port in reason


def test_a_key_in_what_the_tracker_said_is_not_told(lab, stalled):
    tracker = lab.http_tracker(answer=lambda *_: b"d14:failure reason53:banned: 0123456789abcdef0123456789abcdef, do not ask!e")
    reason = stalled(announce=tracker.url + "?passkey=0123456789abcdef0123456789abcdef")
    assert "banned" in reason and "0123456789abcdef" not in reason


def test_which_source_said_what(lab):
    content = lab.noise_file("source/file", 8 * PIECE)
    node = lab.serve(DhtNode())
    torrent = lab.torrent(content, PIECE, "http://127.0.0.1:1/announce", **{"url-list": "http://127.0.0.1:1/"})
    leech = lab.leech(torrent, lab.path("out"), "--dht-node", node.address, dht=True, env={**os.environ, "XDG_STATE_HOME": str(lab.path("s"))})
    reason = leech.wait_for("stalled", timeout=25)["reason"]
    assert reason.startswith("no peers are known: tracker 127.0.0.1:1: Connection refused; DHT: 1 node, 0 addresses; no LSD; web seed 127.0.0.1:1")


def test_a_private_torrent_asks_its_tracker_only(lab):
    content = lab.noise_file("source/file", 8 * PIECE)
    torrent = lab.torrent(content, PIECE, info={"private": 1})
    leech = lab.leech(torrent, lab.path("out"), dht=True)
    assert leech.wait_for("stalled", timeout=25)["reason"] == "no peers are known: no tracker; private, so nobody else is asked"


def test_all_peers_choke_us(lab, stalled):
    peers = [seeder(stalled, "127.0.0.%d" % i, unchoke=False) for i in (2, 3)]
    assert stalled(peers) == "all 2 peers that have what we lack choke us"


def test_a_piece_without_copies(lab, stalled):
    have = [0, 1, 2, 3, 4, 6, 7]
    peers = [seeder(stalled, "127.0.0.%d" % i, have=have) for i in (2, 3)]
    assert stalled(peers) == "piece 5 has no copies among 2 peers"


def test_peers_that_do_not_answer(lab, stalled):
    assert stalled([seeder(stalled, "127.0.0.2", answer=mute)]) == "no answer to the requests made of 1 peer"


@pytest.mark.parametrize("peers, reason", [
    ((), "no peers are known: no tracker; no DHT; no LSD"),
    (("127.0.0.2",), "the peer that is connected does not give the metadata"),
], ids=["nobody", "a peer without it"])
def test_the_metadata_of_a_magnet_does_not_come(lab, stalled, peers, reason):
    torrent = lab.torrent(lab.path("source/file"), PIECE)
    more = [a for host in peers for a in ("--peer", seeder(stalled, host)(torrent).address)]
    leech = lab.client("leech", "magnet:?xt=urn:btih:" + torrent.hex, "--output", lab.path("out"), *more)
    assert leech.wait_for("stalled", timeout=25)["reason"] == reason


def test_who_gave_bad_data_is_not_forgotten(lab, stalled):
    assert stalled([seeder(stalled, "127.0.0.2", answer=corrupt)]) == "no peers are known: no tracker; no DHT; no LSD; 1 banned for bad data"


def test_a_web_seed_that_the_limit_makes_wait(lab):
    content = lab.noise_file("source/file", 8 * PIECE)
    web = lab.serve(WebServer(lab.path("source")))
    torrent = lab.torrent(content, PIECE, **{"url-list": web.url})
    leech = lab.leech(torrent, lab.path("out"), "--download-limit", "1K")
    assert leech.wait_for("stalled", timeout=25)["reason"] == \
        "the download limit of 1024 bytes a second is used up; 1 web seed waits for it"


def test_a_web_seed_that_gave_bad_data(lab):
    content = lab.noise_file("source/file", 8 * PIECE)
    web = lab.serve(WebServer(lab.path("source"), change=lie))
    torrent = lab.torrent(content, PIECE, **{"url-list": web.url})
    leech = lab.leech(torrent, lab.path("out"))
    assert leech.wait_for("stalled", timeout=25)["reason"].endswith(
        "; 1 banned for bad data; web seed %s: it sent bad data" % web.url[7:-1])


def test_a_web_seed_besides_peers_that_have_nothing(lab):
    content = lab.noise_file("source/file", 8 * PIECE)
    web = lab.serve(WebServer(lab.path("source"), lambda handler, *_: reply(handler, 404)))
    torrent = lab.torrent(content, PIECE, **{"url-list": web.url})
    leech = lab.leech(torrent, lab.path("out"), peers=[lab.seeder(torrent, content.read_bytes(), have=[])])
    reason = leech.wait_for("stalled", timeout=25)["reason"]
    assert reason.startswith("piece 0 has no copies among 1 peer; web seed %s: " % web.url[7:-1]) and "404" in reason


def test_a_magnet_that_nobody_knows(lab):
    torrent = lab.torrent(lab.noise_file("source/file", 8 * PIECE))
    tracker = lab.http_tracker()
    leech = lab.client("leech", magnet(torrent, tracker.url) + "&ws=http://127.0.0.1:1/", "--output", lab.path("out"))
    assert leech.wait_for("stalled", timeout=25)["reason"] == \
        "no peers are known: tracker 127.0.0.1:%d gave 0 addresses; no DHT; no LSD; web seeds wait for the metadata" % tracker.port


@pytest.mark.parametrize("link", [False, True], ids=["torrent", "magnet"])
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_people_are_told_on_stderr(lab, link, terminal):
    torrent = lab.torrent(lab.noise_file("source/file", 8 * PIECE))
    what = magnet(torrent, name="file") if link else torrent.path
    command = [find_program("tbt-client"), "leech", what, "--output", lab.path("out"), *loopback()]
    if terminal:  # stdout is one, stderr is not
        command = ["sh", "-c", 'TERM=xterm script -qec "$0 2>&3" /dev/null 3>&2 >/dev/null', shlex.join(map(str, command))]
    told = lab.process(command, "leech")
    told.wait_until(lambda: "tbt-client: file: nothing is coming: no peers are known: no tracker; no DHT; no LSD" in told.stderr.splitlines(),
                    "the reason", timeout=25)
    os.killpg(told.pid, signal.SIGTERM)
    told.killed_by_us = True


def test_a_little_is_enough_not_to_be_told(lab):
    content = lab.noise_file("other/file", 16 * PIECE, seed=1)
    torrent = lab.torrent(content, PIECE)
    slow = lab.seeder(torrent, content.read_bytes(), rate=torrent.size / 14)
    leech = lab.leech(torrent, lab.path("out"), peers=[slow])
    assert leech.wait(patience(40)) == 0 and leech.find("stalled") is None
