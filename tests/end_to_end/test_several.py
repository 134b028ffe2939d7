"""Several torrents in one call: what one of them lacks does not stop the others."""
import socket
from pathlib import Path

import pytest

from programs import loopback, slow_disk
from torrents import differences

PIECE = 32768


@pytest.fixture
def good(lab):
    content = lab.noise_file("source/good", 4 * PIECE)
    return content, lab.torrent(content, PIECE, name="good.torrent")


def bad_ones(lab, good):
    """A word for the command line, and what its line says."""
    broken = lab.path("broken.torrent")
    broken.write_bytes(b"d4:infoi1ee")
    return {"missing": (lab.path("none.torrent"), "none.torrent"), "broken": (broken, "broken.torrent"),
            "twice": (good.path, "given twice"), "magnet": ("magnet:?xt=urn:btih:12", "magnet")}


@pytest.mark.parametrize("kind", ["missing", "broken", "twice", "magnet"])
@pytest.mark.parametrize("first", [True, False])
def test_a_leech_goes_on_with_those_that_can_be_had(lab, good, kind, first):
    content, torrent = good
    bad, said = bad_ones(lab, torrent)[kind]
    seeder = lab.seed(torrent, content)
    words = [bad, torrent.path] if first else [torrent.path, bad]
    leech = lab.client("leech", *words, "--output", lab.path("out"), "--peer", seeder.address, "--seed-time", "0")
    assert leech.wait(30) == 1
    assert differences(content, lab.path("out") / "good") == []
    assert said in leech.stderr and len(leech.stderr.splitlines()) == 1
    assert said in leech.find("error")["message"]


def test_a_seed_without_its_content_leaves_the_others_alone(lab, good):
    content, torrent = good
    gone = lab.noise_file("source/gone", 4 * PIECE, seed=1)
    other = lab.torrent(gone, PIECE)
    gone.unlink()
    seeder = lab.client("seed", other.path, torrent.path, cwd=content.parent)
    seeder.wait_for("checked", lambda e: e["info_hash"] == torrent.hex)
    leech = lab.leech(torrent, lab.path("out"), peers=[seeder])
    assert leech.wait(30) == 0
    assert "gone" in seeder.find("error")["message"]
    assert seeder.terminate() == 1 and "gone" in seeder.stderr and len(seeder.stderr.splitlines()) == 1


def test_when_none_is_left_each_has_its_line(lab):
    result = lab.command("leech", lab.path("one.torrent"), lab.path("two.torrent"), *loopback())
    assert result.status == 1 and [line.count("one.torrent") + 2 * line.count("two.torrent")
                                   for line in result.err.splitlines()] == [1, 2], result


def connecting_to(port):
    """The local ports from which somebody waits for an answer of 127.0.0.2:port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {words[1] for words in lines if words[2] == "0200007F:%04X" % port and words[3] == "02"}


def test_who_is_slow_to_answer_is_not_dialled_again_whenever_a_torrent_opens(lab, good):
    """A door whose queue is full answers no more."""
    content, torrent = good
    contents = [lab.noise_file("out/%d" % n, 20 * PIECE, seed=n) for n in range(3)]
    others = [lab.torrent(c, PIECE) for c in contents]
    for c in contents:
        with open(c, "r+b") as f:
            f.write(bytes(PIECE))  # so that it is not complete
    door = socket.create_server(("127.0.0.2", 0), backlog=0)
    port = door.getsockname()[1]
    waiting = [socket.create_connection(door.getsockname())]
    leech = lab.client("leech", torrent.path, *(t.path for t in others), "--output", lab.path("out"),
                       "--peer", "127.0.0.2:%d" % port, prefix=slow_disk(0.02))
    seen = set()
    leech.wait_until(lambda: seen.update(connecting_to(port)) or len(leech.all("checked")) == 4, "all are open", 30)
    leech.wait_until(lambda: seen.update(connecting_to(port)) or len(seen) >= 4, "all have dialled", 5)
    assert len(seen) == 4
    assert leech.terminate() == 1
    for s in (door, *waiting):
        s.close()
