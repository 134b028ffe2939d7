"""Several torrents in one call: what one of them lacks does not stop the others."""
import pytest

from programs import loopback
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
