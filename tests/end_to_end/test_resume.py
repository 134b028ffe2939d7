"""Stopped at any moment, on any disk: the same command goes on, and never believes what is not so."""
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from fakepeer import BLOCK
from lab import finish_equal
from programs import find_program, is_refusal, loopback, patience, scaled, slow_disk
from torrents import differences, list_tree, noise, tree_equal

MIB = 1 << 20
PIECE_LENGTH = 2 * BLOCK
PIECES = 64


@pytest.fixture
def half(lab):
    """A leech that was stopped half way: torrent, content, folder, and what the seeder sent."""
    return Half(lab)


class Half:
    """A source that stops giving after `limit` pieces, until it is set free."""

    def __init__(self, lab, files=None, limit=PIECES // 2):
        self.lab = lab
        self.content = lab.write("source/thing", files or noise(PIECES * PIECE_LENGTH))
        self.torrent = lab.torrent(self.content, PIECE_LENGTH)
        self.free = threading.Event()
        self.limit = limit
        data = self.content.read_bytes() if self.content.is_file() else b"".join(
            p.read_bytes() for p in list_tree(self.content).values())
        self.data = data
        self.source = lab.seeder(self.torrent, data, answer=self._answer)
        self.out = lab.path("out")

    def _answer(self, connection, piece, begin, block):
        if piece < self.limit or self.free.is_set():
            connection.send_block(piece, begin, block)

    def start(self, *arguments, **kw):
        return self.lab.leech(self.torrent, self.out, *arguments, peers=[self.source], **kw)

    def run_half(self, end="terminate", **kw):
        """Download the pieces that are given, then end the leech so."""
        leech = self.start(**kw)
        leech.wait_until(lambda: len(leech.all("piece")) >= self.limit, "half of the pieces")
        if end == "terminate":
            assert leech.terminate() == 1
        else:
            leech.kill()
        self.free.set()
        self.source.requests.clear()
        self.source.sent = 0
        return leech

    def state_files(self):
        """What lies in the folder besides the content."""
        return [p for p in self.out.iterdir() if p.name != "thing"]

    def go_on(self):
        """The same command again, to the right end; the pieces that were fetched."""
        leech = self.start()
        finish_equal(leech, self.content, self.out)
        return leech, {piece for piece, _ in self.source.requests}


def test_a_stopped_leech_goes_on_and_fetches_nothing_twice(half):
    half.run_half()
    assert half.state_files(), "no state was saved"
    leech, fetched = half.go_on()
    assert leech.find("checked")["have"] == half.limit
    assert fetched == set(range(half.limit, PIECES))


def test_a_killed_leech_goes_on(half):
    half.run_half("kill")
    leech, fetched = half.go_on()
    assert leech.find("checked")["have"] >= half.limit - 4
    assert len(fetched) <= PIECES - half.limit + 4


def test_a_folder_of_files_goes_on(lab):
    files = {"%02d/%02d" % (i % 5, i): noise(30000 + i, i) for i in range(40)}
    half = Half(lab, files, limit=20)
    half.run_half()
    leech, fetched = half.go_on()
    assert leech.find("checked")["have"] == 20
    assert min(fetched) == 20


@pytest.fixture
def silence(lab):
    """The answer of a tracker that hangs, until the test is over."""
    over = threading.Event()
    yield lambda announce: (lambda handler: over.wait(patience(60)))
    over.set()


def leech_of(lab, tracker):
    torrent = lab.torrent(lab.noise_file("source/file", 100000), announce=tracker.url)
    return lab.leech(torrent, lab.path("out"))


@pytest.fixture
def announced(lab, silence):
    """A leech, and the tracker that has answered it once and hangs from now on."""
    tracker = lab.http_tracker()
    leech = leech_of(lab, tracker)
    leech.wait_for("announce")
    tracker.answer = silence
    return leech, tracker


def test_the_leech_is_gone_within_5_seconds_even_when_the_tracker_hangs(lab, silence):
    tracker = lab.http_tracker(answer=silence)
    leech = leech_of(lab, tracker)
    tracker.wait_for("started")
    assert leech.terminate(5.5) == 1


def test_the_leech_is_gone_within_5_seconds_even_when_the_last_announce_hangs(announced):
    leech, tracker = announced
    assert leech.terminate(5.5) == 1
    assert [a.event for a in tracker.announces].count("stopped") == 1


def test_a_second_signal_ends_it_at_once(announced):
    leech, tracker = announced
    leech.signal(signal.SIGTERM)
    tracker.wait_for("stopped")
    time.sleep(0.1)  # what comes sooner is the same one, sent twice
    leech.signal(signal.SIGTERM)
    leech.killed_by_us = True
    assert leech.wait(1) != 0


def test_a_signal_that_is_sent_twice_at_once_is_one(lab):
    """As timeout(1) does it: to the process, and to its group."""
    torrent = lab.torrent(lab.noise_file("source/file", 100000))
    for n in range(5):
        leech = lab.leech(torrent, lab.path("out%d" % n))
        leech.wait_for("checked")
        leech.signal(signal.SIGINT)
        leech.signal(signal.SIGINT)
        assert leech.wait(6) == 1
        assert leech.all("stopped"), leech.tail()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_scripts_have_ignored_in_the_background_is_obeyed(lab, number):
    """A shell without job control ignores SIGINT in what it starts with `&`; `kill -INT` is still meant."""
    torrent = lab.torrent(lab.noise_file("source/file", 100000))
    leech = lab.leech(torrent, lab.path("out"), prefix=["sh", "-c", "trap '' INT TERM; exec \"$@\"", "sh"])
    leech.wait_for("listening")
    leech.signal(number)
    assert leech.wait(6) == 1, leech.tail()
    assert is_refusal(1, leech.stderr) and "stopped before it was complete" in leech.stderr


def test_a_signal_while_it_starts_ends_it_like_any_other(lab):
    """Torrents are still being read when it says that one is given twice."""
    torrent = lab.torrent(lab.noise_file("source/file", 100000))
    for _ in range(10):
        leech = lab.client("leech", torrent.path, torrent.path, "--output", lab.path("out"))
        leech.wait_until(lambda: "given twice" in leech.stderr, "word of the second")
        assert leech.terminate() == 1


def test_when_stopping_takes_too_long_it_ends_all_the_same_and_says_so(lab):
    """Whoever reads stdout has fallen asleep: nobody can tell him anything any more."""
    torrent = lab.torrent(lab.noise_file("source/file", 8 * MIB), BLOCK)
    source = lab.seeder(torrent, noise(8 * MIB))
    leech = subprocess.Popen([find_program("tbt-client"), "leech", torrent.path, "-o", lab.path("out"), "--json", "--peer", source.address,
                              *loopback()], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        source.wait_until(lambda: source.sent > MIB, "data")
        seen = -1
        while seen != source.sent:  # until the pipe is full and nothing moves
            seen = source.sent
            time.sleep(1)
        leech.terminate()
        assert leech.wait(patience(5)) == 1
        assert is_refusal(1, leech.stderr.read().decode())
    finally:
        leech.kill()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_kill_9_at_ten_random_moments(lab, kind):
    size = scaled(24 * MIB, 4 * MIB)
    piece_length = 128 * 1024
    if kind == "file":
        content = lab.noise_file("source/thing", size)
        data = content.read_bytes()
    else:
        content = lab.write("source/thing", {"%03d" % i: noise(size // 100 + i, i) for i in range(100)})
        data = b"".join(p.read_bytes() for p in list_tree(content).values())
    torrent = lab.torrent(content, piece_length)
    source = lab.seeder(torrent, data, rate=len(data) / 5)
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    print("dice: random.Random(%d)" % seed)
    kills = 0
    for _ in range(10):
        leech = lab.leech(torrent, lab.path("out"), peers=[source])
        moment = dice.uniform(0, 0.45)
        try:
            leech.wait_for("piece")
            leech.process.wait(moment)
        except Exception:
            pass
        if not leech.alive:
            break
        leech.kill()
        kills += 1
    assert kills >= 5
    finish_equal(lab.leech(torrent, lab.path("out"), peers=[source]), content, lab.path("out"))
    # Each kill may lose the pieces in flight: two for the one peer, and what lay in the sockets.
    assert source.sent <= 1.05 * len(data) + kills * 2 * piece_length, source.sent / len(data)


def test_killed_while_it_checks(half):
    half.run_half("kill")
    for _ in range(3):
        half.start().kill()
    leech, fetched = half.go_on()
    assert len(fetched) <= PIECES - half.limit + 4


def cut(data):
    return data[:len(data) // 2]


def flip(at):
    return lambda data: data[:at % len(data)] + bytes([data[at % len(data)] ^ 0x10]) + data[at % len(data) + 1:]


DAMAGE = {
    "cut in half": cut, "cut by a byte": lambda d: d[:-1], "empty": lambda d: b"", "noise": lambda d: noise(len(d)), "zeros": lambda d: bytes(len(d)),
    "longer": lambda d: d + b"x", "first bit": flip(0), "a bit in the middle": flip(100), "a late bit": flip(-10),
    "claims everything": lambda d: re.sub(rb"\x00{3,}", lambda m: b"\xff" * len(m[0]), d), "huge": lambda d: bytes(40 << 20),
    "other version": lambda d: re.sub(rb"(ersioni)(\d)", rb"\g<1>9", d), "deep": lambda d: b"l" * 1000000,
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_state_file_means_a_check_of_the_content(half, case):
    half.run_half()
    (state,) = half.state_files()
    good = state.read_bytes()
    assert len(good) > 40
    state.write_bytes(DAMAGE[case](good))
    leech, fetched = half.go_on()
    assert fetched == set(range(half.limit, PIECES))


@pytest.mark.parametrize("what", ["missing", "folder", "fifo", "symlink"])
def test_a_state_file_that_is_none(lab, half, what):
    half.run_half()
    (state,) = half.state_files()
    good = state.read_bytes()
    state.unlink()
    victim = lab.write("victim", good)
    if what == "folder":
        state.mkdir()
    elif what == "fifo":
        os.mkfifo(state)
    elif what == "symlink":
        state.symlink_to(victim)
    leech = half.start()
    status = leech.wait(30)
    assert victim.read_bytes() == good
    assert tree_equal(half.content, half.out / "thing") if status == 0 else is_refusal(status, leech.stderr)
    if what in ("missing", "symlink"):
        assert status == 0 and {piece for piece, _ in half.source.requests} == set(range(half.limit, PIECES))


def test_the_state_of_another_torrent_is_not_believed(lab):
    half = Half(lab)
    half.run_half()
    (state,) = half.state_files()
    other_content = lab.noise_file("other/thing", PIECES * PIECE_LENGTH, 99)
    other = lab.torrent(other_content, PIECE_LENGTH)
    foreign = half.out / state.name.replace(half.torrent.hex, other.hex)
    assert foreign != state
    foreign.write_bytes(state.read_bytes())
    source = lab.seeder(other, other_content.read_bytes(), host="127.0.0.3")
    leech = lab.leech(other, half.out, peers=[source])
    assert leech.wait(30) == 0
    assert tree_equal(other_content, half.out / "thing")
    assert {piece for piece, _ in source.requests} == set(range(PIECES))


CHANGES = {
    "other bytes, same size": lambda p: p.write_bytes(noise(p.stat().st_size, 77)),
    "one byte": lambda p: flip_byte(p, 5 * PIECE_LENGTH),
    "shorter": lambda p: os.truncate(p, 3 * PIECE_LENGTH + 5), "empty": lambda p: os.truncate(p, 0), "longer": lambda p: os.truncate(p, 3 * PIECES * PIECE_LENGTH),
    "gone": lambda p: p.unlink(), "another file": lambda p: (p.unlink(), p.write_bytes(noise(PIECES * PIECE_LENGTH, 5))),
    "one byte, and the old time put back": lambda p: keep_time(p, lambda: flip_byte(p, 5 * PIECE_LENGTH)),
    "cut but with its old time": lambda p: keep_time(p, lambda: os.truncate(p, 2 * PIECE_LENGTH)),
}


def flip_byte(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(1)
        f.seek(at)
        f.write(bytes([old[0] ^ 1]))


def keep_time(path, change):
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("end", ["terminate", "kill"])
@pytest.mark.parametrize("case", CHANGES)
def test_content_changed_between_two_runs_is_noticed(half, case, end):
    half.run_half(end)
    CHANGES[case](half.out / "thing")
    half.go_on()


def test_one_changed_file_of_many_is_fetched_again_alone(lab):
    files = {"%02d" % i: noise(PIECE_LENGTH, i) for i in range(40)}
    half = Half(lab, files, limit=30)
    half.run_half()
    flip_byte(half.out / "thing/07", 3)
    (half.out / "thing/11").unlink()
    leech, fetched = half.go_on()
    assert fetched == {7, 11} | set(range(30, 40))


def test_zeros_in_the_holes_of_a_sparse_copy_are_not_fetched(lab):
    data = noise(PIECE_LENGTH) + bytes(10 * PIECE_LENGTH) + noise(PIECE_LENGTH, 1)
    content = lab.write("source/thing", data)
    torrent = lab.torrent(content, PIECE_LENGTH)
    source = lab.seeder(torrent, data)
    lab.path("out").mkdir()
    with open(lab.path("out/thing"), "wb") as f:
        f.write(data[:PIECE_LENGTH])
        f.truncate(len(data))
    leech = lab.leech(torrent, lab.path("out"), peers=[source])
    finish_equal(leech, content, lab.path("out"))
    assert leech.find("checked")["have"] == 11
    assert {piece for piece, _ in source.requests} == {11}


def test_full_disk_is_an_honest_failure_and_more_room_the_cure(lab):
    content = lab.noise_file("source/thing", 12 * MIB)
    torrent = lab.torrent(content, 65536)
    disk = lab.small_disk("disk", 4 * MIB)
    source = lab.seeder(torrent, content.read_bytes())
    leech = lab.leech(torrent, disk, peers=[source])
    status = leech.wait(20)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    assert "thing" in leech.stderr and "No space left on device" in leech.stderr
    assert source.sent <= 4 * MIB + 8 * MIB, "went on asking"
    assert all(p.stat().st_size > 0 for p in disk.iterdir()), "a 0-byte state file"
    kept = len(leech.all("piece"))
    assert kept > 20

    lab.remount(disk, "size=32m")
    source.requests.clear()
    again = lab.leech(torrent, disk, peers=[source])
    finish_equal(again, content, disk)
    assert again.find("checked")["have"] >= kept - 4
    assert len({piece for piece, _ in source.requests}) <= torrent.piece_count - kept + 4


@pytest.mark.parametrize("piece_length", [65536, MIB, 4 * MIB])
def test_no_more_is_asked_for_than_the_disk_has_room_for(lab, piece_length):
    """Of many fast peers each would have a piece under way."""
    content = lab.noise_file("source/thing", 48 * MIB)
    torrent = lab.torrent(content, piece_length)
    disk = lab.small_disk("disk", 20 * MIB)
    sources = [lab.seeder(torrent, content.read_bytes(), host="127.0.0.%d" % i) for i in range(2, 8)]
    leech = lab.leech(torrent, disk, peers=sources)
    status = leech.wait(60)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    assert len(leech.all("piece")) >= 20 * MIB // piece_length - 1
    # Each block once: towards the end of a piece several peers are asked for the same.
    asked = {request for s in sources for request in s.requests}
    assert len(asked) * BLOCK <= 20 * MIB + max(piece_length, 2 * MIB)


def test_a_disk_that_is_full_from_the_start(lab):
    content = lab.noise_file("source/thing", MIB)
    torrent = lab.torrent(content)
    disk = lab.small_disk("disk", MIB)
    (disk / "filler").write_bytes(bytes(MIB))
    leech = lab.leech(torrent, disk, peers=[lab.seeder(torrent, content.read_bytes())])
    status = leech.wait(20)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()


def test_a_file_larger_than_the_user_may_write(lab):
    content = lab.noise_file("source/file", MIB)
    torrent = lab.torrent(content)
    leech = lab.leech(torrent, lab.path("out"), peers=[lab.seeder(torrent, content.read_bytes())],
                      prefix=["bash", "-c", "ulimit -f 500; exec \"$@\"", "bash"])
    assert leech.wait(20) == 1, leech.tail()
    assert is_refusal(1, leech.stderr) and leech.stderr.endswith("out/file: cannot write: File too large")


def test_a_read_only_file_system(lab):
    content = lab.noise_file("source/thing", 300000)
    torrent = lab.torrent(content)
    disk = lab.small_disk("disk", 16 * MIB)
    lab.remount(disk, "ro")
    leech = lab.leech(torrent, disk, peers=[lab.seeder(torrent, content.read_bytes())])
    status = leech.wait(20)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    assert "Read-only file system" in leech.stderr


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_folder_that_vanishes(lab, kind):
    content = lab.write("source/thing", noise(4 * MIB) if kind == "file" else {"%d" % i: noise(100000, i) for i in range(40)})
    torrent = lab.torrent(content)
    data = content.read_bytes() if kind == "file" else b"".join(p.read_bytes() for p in list_tree(content).values())
    source = lab.seeder(torrent, data, rate=MIB)
    leech = lab.leech(torrent, lab.path("out"), peers=[source])
    leech.wait_for("piece")
    shutil.rmtree(lab.path("out"))
    status = leech.wait(6)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    assert "out" in leech.stderr or "thing" in leech.stderr
    source.rate = None
    finish_equal(lab.leech(torrent, lab.path("out"), peers=[source]), content, lab.path("out"))


OBSTACLES = ["symlink to a file", "dangling symlink", "fifo", "folder", "device"]


def put(kind, place, victim):
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "symlink to a file":
        place.symlink_to(victim)
    elif kind == "dangling symlink":
        place.symlink_to(victim.parent / "new")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "device":
        try:
            os.mknod(place, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
        except OSError:
            pytest.skip("needs the right to make a device")


@pytest.mark.parametrize("kind", OBSTACLES)
@pytest.mark.parametrize("depth", ["a single file", "in a folder"])
def test_something_else_in_the_place_of_a_file(lab, kind, depth):
    victim = lab.write("victims/victim", noise(200000, 3))
    before = victim.read_bytes()
    if depth == "a single file":
        content = lab.noise_file("source/thing", 200000)
        data = content.read_bytes()
        place = lab.path("out/thing")
    else:
        content = lab.write("source/thing", {"a": noise(1000), "b/c": noise(200000)})
        data = b"".join(p.read_bytes() for p in list_tree(content).values())
        place = lab.path("out/thing/b/c")
    torrent = lab.torrent(content)
    put(kind, place, victim)
    leech = lab.leech(torrent, lab.path("out"), peers=[lab.seeder(torrent, data)])
    status = leech.wait(10)
    assert victim.read_bytes() == before and os.listdir(victim.parent) == ["victim"], "wrote through it"
    assert (status == 1 and is_refusal(status, leech.stderr) and place.name in leech.stderr) or \
        (status == 0 and tree_equal(content, lab.path("out/thing"))), leech.tail()


def test_a_folder_that_is_a_symlink_is_not_walked_through(lab):
    outside = lab.path("outside")
    outside.mkdir()
    content = lab.write("source/thing", {"a": noise(1000), "b/c": noise(200000)})
    torrent = lab.torrent(content)
    lab.path("out/thing").mkdir(parents=True)
    lab.path("out/thing/b").symlink_to(outside)
    data = b"".join(p.read_bytes() for p in list_tree(content).values())
    leech = lab.leech(torrent, lab.path("out"), peers=[lab.seeder(torrent, data)])
    status = leech.wait(10)
    assert os.listdir(outside) == []
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    assert leech.stderr.endswith("out/thing/b/c: cannot open: a symbolic link is in its place")


def test_a_root_that_is_a_symlink_to_a_folder_is_called_so(lab):
    content = lab.write("source/thing", {"a": noise(1000), "b": noise(200000)})
    torrent = lab.torrent(content)
    outside = lab.path("outside")
    outside.mkdir()
    lab.path("out").mkdir()
    lab.path("out/thing").symlink_to(outside)
    leech = lab.leech(torrent, lab.path("out"))
    assert leech.wait(10) == 1 and os.listdir(outside) == []
    assert is_refusal(1, leech.stderr) and leech.stderr.endswith("out/thing: cannot open: a symbolic link is in its place")


@pytest.mark.parametrize("kind", ["symlink to a file", "fifo", "folder"])
def test_a_file_replaced_during_the_run(lab, kind):
    victim = lab.write("victims/victim", noise(200000, 3))
    before = victim.read_bytes()
    files = {"%d" % i: noise(100000, i) for i in range(30)}
    content = lab.write("source/thing", files)
    torrent = lab.torrent(content)
    data = b"".join(p.read_bytes() for p in list_tree(content).values())
    source = lab.seeder(torrent, data, rate=MIB)
    leech = lab.leech(torrent, lab.path("out"), peers=[source])
    leech.wait_for("piece")
    for name in ("0", "9", "20"):  # begun, and not yet begun
        place = lab.path("out/thing/" + name)
        if place.exists():
            place.unlink()
        if not place.is_symlink():
            put(kind, place, victim)
    source.rate = None
    status = leech.wait(20)
    assert victim.read_bytes() == before
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()


def cut(place):
    os.truncate(place, 10)


def replace_by_noise(place):
    new = place.with_name("new")
    new.write_bytes(noise(place.stat().st_size, 99))
    new.rename(place)


@pytest.mark.parametrize("damage", [cut, replace_by_noise])
@pytest.mark.parametrize("whose", ["of this run", "of an earlier run"])
def test_a_file_damaged_during_the_run_is_an_error_and_the_same_command_the_cure(lab, damage, whose):
    half = Half(lab, {"%d" % i: noise(100000, i) for i in range(20)}, limit=30)
    if whose == "of an earlier run":
        half.run_half()
    half.source.rate = MIB
    leech = half.start()
    leech.wait_until(lambda: len(leech.all("piece")) >= 8, "the first files, or some more")
    damage(half.out / "thing" / "0")
    half.free.set()
    half.source.rate = None
    status = leech.wait(20)
    assert status == 1 and is_refusal(status, leech.stderr) and "thing/0: was " in leech.stderr, leech.tail()
    half.go_on()


@pytest.mark.parametrize("order", ["sequential", "rarest"])
def test_a_file_cut_while_it_is_written_is_an_error_and_the_same_command_the_cure(half, order):
    half.source.rate = MIB
    half.free.set()
    leech = half.start("--order", order)
    leech.wait_until(lambda: len(leech.all("piece")) >= 8, "some pieces")
    cut(half.out / "thing")
    status = leech.wait(20)
    assert status == 1 and is_refusal(status, leech.stderr) and "thing: was cut short" in leech.stderr, leech.tail()
    half.source.rate = None
    half.go_on()


def test_the_output_folder_itself_may_be_a_symlink(lab):
    lab.path("real").mkdir()
    lab.path("out").symlink_to(lab.path("real"))
    content = lab.noise_file("source/thing", 100000)
    torrent = lab.torrent(content)
    finish_equal(lab.leech(torrent, lab.path("out"), peers=[lab.seeder(torrent, content.read_bytes())]), content, lab.path("real"))


def test_two_processes_on_one_folder(lab):
    content = lab.noise_file("source/thing", 2 * MIB)
    torrent = lab.torrent(content)
    source = lab.seeder(torrent, content.read_bytes(), rate=MIB)
    first = lab.leech(torrent, lab.path("out"), peers=[source])
    first.wait_for("piece")
    second = lab.leech(torrent, lab.path("out"), peers=[source])
    status = second.wait(30)
    assert status == 0 or (status == 1 and is_refusal(status, second.stderr) and "thing" in second.stderr), second.tail()
    assert first.wait(30) == 0
    assert differences(content, lab.path("out/thing")) == []


def test_stopped_and_continued_by_the_shell(lab):
    """SIGSTOP and SIGCONT, as by ctrl-Z and fg."""
    content = lab.noise_file("source/thing", 2 * MIB)
    torrent = lab.torrent(content)
    source = lab.seeder(torrent, content.read_bytes(), rate=MIB)
    leech = lab.leech(torrent, lab.path("out"), peers=[source])
    leech.wait_for("piece")
    leech.signal(signal.SIGSTOP)
    time.sleep(1)
    leech.signal(signal.SIGCONT)
    finish_equal(leech, content, lab.path("out"))


@pytest.mark.parametrize("threads", [4, 6, 8, 12, 20, 40])
def test_few_threads_are_enough_or_one_clear_error(lab, threads):
    if os.geteuid() != 0:
        pytest.skip("needs the right to be another user")
    content = lab.write("source/thing", {"%d" % i: noise(20000, i) for i in range(20)})
    torrent = lab.torrent(content, announce=lab.http_tracker().url)
    data = b"".join(p.read_bytes() for p in list_tree(content).values())
    source = lab.seeder(torrent, data)
    lab.path("out").mkdir()
    for place in (lab.folder, lab.path("out")):
        os.chmod(place, 0o777)
    nobody = ["setpriv", "--reuid", str(64000 + threads), "--regid", "65534", "--clear-groups", "prlimit", "--nproc=%d" % threads]
    leech = lab.leech(torrent, lab.path("out"), peers=[source], prefix=nobody)
    status = leech.wait(30)
    if status != 0:
        assert is_refusal(status, leech.stderr), leech.tail()
        assert threads < 8
    else:
        assert tree_equal(content, lab.path("out/thing"))


def test_few_descriptors_are_enough_or_one_clear_error(lab):
    content = lab.write("source/thing", {"%d" % i: noise(20000, i) for i in range(100)})
    torrent = lab.torrent(content)
    seeder = lab.seed(torrent, content)
    leech = lab.leech(torrent, lab.path("out"), peers=[seeder], prefix=["prlimit", "--nofile=32"])
    status = leech.wait(30)
    assert (status == 0 and tree_equal(content, lab.path("out/thing"))) or is_refusal(status, leech.stderr), leech.tail()


def test_who_was_named_is_dialled_when_the_content_has_been_checked(lab, half):
    """And not before: it would be let go at once, and left alone for a minute."""
    half.run_half()
    os.utime(half.out / "thing")  # so that it is checked
    before = len(half.source.accepted)
    leech = half.start(prefix=slow_disk(0.05))
    checked = leech.wait_for("checked", timeout=30)
    leech.wait_complete(timeout=10)
    assert leech.find("complete")["time"] - checked["time"] < 3
    assert len(half.source.accepted) == before + 1
