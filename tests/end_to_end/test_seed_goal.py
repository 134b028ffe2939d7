"""--seed-time and --seed-ratio: how long is shared what is complete."""
import time

import pytest

from fakepeer import fetch_piece
from programs import patience, slow_disk

PIECE = 32768
PIECES = 8


@pytest.fixture
def shared(lab):
    content = lab.noise_file("source/file", PIECES * PIECE)
    return content, lab.torrent(content, PIECE)


def take(client, torrent, pieces):
    for piece in pieces:
        fetch_piece(client.port, torrent, piece, source="127.0.0.9")


def test_a_seed_that_is_to_seed_for_no_time_checks_and_ends(lab, shared):
    content, torrent = shared
    seeder = lab.client("seed", torrent.path, "--file", content, "--seed-time", "0")
    assert seeder.wait(20) == 0 and seeder.find("checked")["have"] == PIECES


def test_a_leech_that_finds_everything_there_ends_at_once(lab, shared):
    content, torrent = shared
    leech = lab.leech(torrent, content.parent)
    assert leech.wait(20) == 0 and leech.find("checked")["have"] == PIECES


@pytest.mark.parametrize("command", ["seed", "leech"])
@pytest.mark.parametrize("more", [[], ["--seed-time", "60"]], ids=["alone", "before the time"])
def test_a_ratio_ends_it_when_so_much_was_uploaded_and_not_before(lab, shared, command, more):
    content, torrent = shared
    where = ["--file", content] if command == "seed" else ["--output", content.parent]
    client = lab.client(command, torrent.path, *where, "--seed-ratio", "1.5", *more)
    client.wait_for("checked")
    take(client, torrent, range(PIECES))
    take(client, torrent, range(PIECES // 2 - 1))
    seen = len(client.all("progress"))
    client.wait_until(lambda: len(client.all("progress")) > seen + 2, "two seconds more")
    take(client, torrent, [0])
    assert client.wait(20) == 0
    assert client.find("stopped")["uploaded"] == PIECES * PIECE * 3 // 2


def test_the_time_ends_it_before_the_ratio(lab, shared):
    content, torrent = shared
    seeder = lab.seed(torrent, content, "--seed-time", "0.05", "--seed-ratio", "100")
    started = time.monotonic()
    assert seeder.wait(15) == 0 and 2 < time.monotonic() - started < patience(6)


def test_the_time_begins_when_it_is_complete_even_while_the_folder_is_looked_at(lab, shared):
    content, torrent = shared
    out = lab.write("out", {})
    part = lab.seeder(torrent, content.read_bytes())
    # Complete within the first look at the folder, which takes that long.
    leech = lab.leech(torrent, out, "--seed-time", "1", peers=[part], stay=True, prefix=slow_disk(0.4, "openat", out))
    leech.wait_for("complete")
    seen = len(leech.all("progress"))
    leech.wait_until(lambda: len(leech.all("progress")) > seen + 2, "two seconds more")


def test_what_was_uploaded_before_an_interruption_counts(lab, shared):
    content, torrent = shared
    part = lab.seeder(torrent, content.read_bytes(), have=range(PIECES // 2))
    leech = lab.leech(torrent, lab.path("out"), peers=[part], stay=True)
    leech.wait_until(lambda: len(leech.all("piece")) >= PIECES // 2, "half of the pieces")
    take(leech, torrent, range(PIECES // 2))
    take(leech, torrent, range(PIECES // 2))
    assert leech.terminate() == 1  # not complete

    rest = lab.seeder(torrent, content.read_bytes(), host="127.0.0.3")
    again = lab.leech(torrent, lab.path("out"), "--seed-ratio", "1", peers=[rest], stay=True)
    assert again.wait(20) == 0 and again.find("stopped")["uploaded"] == 0


def test_an_incomplete_copy_is_seeded_until_its_ratio_too(lab, shared):
    content, torrent = shared
    content.write_bytes(content.read_bytes()[:-PIECE] + bytes(PIECE))
    seeder = lab.client("seed", torrent.path, "--file", content, "--partial", "--seed-ratio", "0.5")
    seeder.wait_for("checked")
    take(seeder, torrent, range(PIECES // 2))
    assert seeder.wait(20) == 0
