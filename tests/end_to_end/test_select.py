"""`leech --select` and `so` of magnet links: some of the files, and nothing of the others but what a piece needs."""
import json
import os
import threading

import pytest

from fakepeer import BLOCK
from programs import is_refusal
from test_extensions import magnet
from test_magnet import leech as leech_link
from test_other_clients import CLIENTS, OTHER, TBT, Island, need
from test_web_seed import WebServer
from torrents import content_bytes, list_tree, noise

PIECE = 4 * BLOCK

# As `show` numbers them.  Nearly every piece at an edge has bytes of two files
# or more; piece 0 has four.
TREE = {
    "a.txt": noise(1000, 1),
    "b/big.bin": noise(10 * PIECE + 77, 2),
    "b/empty": b"",
    "c/mid.iso": noise(5 * PIECE + 3, 3),
    "c/tail.txt": noise(500, 4),
    "d/deep/er/z.bin": noise(3 * PIECE, 5),
}
NAMES = list(TREE)


class Shared:
    """The tree, its torrent, and which pieces a selection needs."""

    def __init__(self, lab, **kw):
        self.content = lab.write("source/tree", TREE)
        self.torrent = lab.torrent(self.content, PIECE, **kw)
        self.data = content_bytes(self.content, self.torrent)

    def pieces(self, *numbers):
        begin, needed = 0, set()
        for number, data in enumerate(TREE.values(), 1):
            end = begin + len(data)
            if number in numbers and data:
                needed |= set(range(begin // PIECE, (end - 1) // PIECE + 1))
            begin = end
        return needed

    def piece(self, index):
        return self.data[index * PIECE:(index + 1) * PIECE]

    def parts(self, out):
        return out / (".%s.tbt-parts" % self.torrent.hex)


@pytest.fixture
def shared(lab):
    return Shared(lab)


@pytest.fixture
def island(lab):
    return Island(lab)


def expect_files(out, *numbers):
    """Exactly these files, right, and no folder that none of them lies in."""
    wanted = {NAMES[n - 1] for n in numbers}
    found = list_tree(out / "tree")
    assert set(found) == wanted
    for name, path in found.items():
        assert path.read_bytes() == TREE[name], name
    folders = {str(p.relative_to(out / "tree")) for p in (out / "tree").rglob("*") if p.is_dir()}
    assert folders == {str(parent) for name in wanted for parent in list(os.path.split(name)[:1]) + parents(name) if str(parent)}


def parents(name):
    found = []
    while "/" in name:
        name = name.rpartition("/")[0]
        found.append(name)
    return found


def expect_nothing_else(out):
    assert [p.name for p in out.iterdir()] == ["tree"]


@pytest.mark.parametrize("select, numbers", [
    (["4"], [4]), (["1,3-4"], [1, 3, 4]), (["*.iso"], [4]), (["*.txt"], [1, 5]), (["c/"], [4, 5]), (["b/empty"], [3]), (["3", "d/**"], [3, 6]),
    (["**"], [1, 2, 3, 4, 5, 6]), (["6,1"], [1, 6])])
def test_only_the_selected_files_come(lab, shared, select, numbers):
    source = lab.seeder(shared.torrent, shared.data)
    out = lab.path("out")
    leech = lab.leech(shared.torrent, out, *[a for s in select for a in ("--select", s)], peers=[source])
    assert leech.wait(60) == 0, leech.tail()
    expect_files(out, *numbers)
    expect_nothing_else(out)
    assert {piece for piece, _ in source.requests} == shared.pieces(*numbers)

    total = sum(len(TREE[NAMES[n - 1]]) for n in numbers)
    assert leech.find("complete")["bytes"] == total
    stopped = leech.find("stopped")
    assert (stopped["done"], stopped["total"]) == (total, total)
    told = leech.find("metadata")
    assert told["length"] == shared.torrent.size
    if len(numbers) < len(NAMES):
        assert [n for a, b in told["selected"] for n in range(a, b + 1)] == numbers
        assert (told["selected_files"], told["selected_length"]) == (len(numbers), total)
    else:
        assert "selected" not in told


@pytest.mark.parametrize("select, word", [
    ("7", "'7'"), ("0", "'0'"), ("2-1", "'2-1'"), ("*.mkv", "'*.mkv'"), ("", "wants files"), ("1,,2", "each comma"), ("1,*.mkv", "'*.mkv'")])
def test_a_wrong_list_is_bad_usage_and_says_what_is_there(lab, shared, select, word):
    out = lab.path("out")
    for more in ([], ["--json"]):
        done = lab.command("leech", shared.torrent.path, "-o", out, "--select", select, "--no-dht", "--no-lsd", "--no-portmap", *more)
        assert done.status == 2 and done.refused, done
        assert word in done.err
        assert "a.txt" in done.err or "such as" in done.err
        assert not out.exists()


def test_show_prints_the_numbers_that_select_takes(lab, shared):
    lines = lab.command("show", shared.torrent.path).out.splitlines()
    for number, name in enumerate(NAMES, 1):
        assert any(line.split()[:1] == [str(number)] and line.endswith(name) for line in lines), lines


@pytest.mark.parametrize("client", CLIENTS)
def test_some_files_from_another_client(lab, island, client):
    need(client)
    content = lab.write("source/tree", {n: d for n, d in TREE.items() if d})  # Transmission knows no empty files
    torrent = island.torrent(content)
    island.start(client, "seed", torrent, content.parent)
    leech = lab.leech(torrent, lab.path("out"), "--select", "c/*", bind=TBT, prefix=island.inside)
    assert leech.wait(90) == 0, leech.tail()
    expect_files(lab.path("out"), 4, 5)
    expect_nothing_else(lab.path("out"))


@pytest.mark.parametrize("client", CLIENTS)
def test_two_partial_seeds_are_a_whole_one(lab, island, client):
    """Each has some of the files, and the pieces at their edges, which the other client gets from either."""
    need(client)
    content = lab.write("source/tree", {n: d for n, d in TREE.items() if d})
    torrent = island.torrent(content)
    whole = island.seed(torrent, content, "10.99.0.8")
    partial = []
    for i, select in enumerate(["2,5", "1,3-4"]):
        partial.append(lab.leech(torrent, lab.path("out%d" % i), "--select", select, stay=True, bind="10.99.0.%d" % (5 + i), prefix=island.inside))
    for leech in partial:
        leech.wait_complete()
    assert whole.terminate() == 0
    other = island.start(client, "leech", torrent, lab.path("other"), OTHER)
    other.wait_done()
    found = list_tree(lab.path("other/tree"))
    assert {n: p.read_bytes() for n, p in found.items()} == {n: d for n, d in TREE.items() if d}
    for leech in partial:
        assert leech.terminate() == 0


def test_pieces_at_the_edges_are_shared_and_kept_when_stopped(lab, shared):
    out = lab.path("out")
    source = lab.seeder(shared.torrent, shared.data)
    leech = lab.leech(shared.torrent, out, "--select", "4", peers=[source], stay=True)
    leech.wait_complete()
    needed = shared.pieces(4)
    with lab.dial(leech, shared.torrent) as c:
        c.shake_hands(pieces=())
        c.become_unchoked()
        assert c.they_have == needed
        for piece in sorted(needed):
            assert c.fetch(piece) == shared.piece(piece)
    assert shared.parts(out).is_file()
    assert leech.terminate() == 0
    # It was to be shared on: what it takes to do so is still there.
    assert shared.parts(out).is_file()
    source.requests.clear()
    again = lab.leech(shared.torrent, out, "--select", "4", peers=[source], stay=True)
    again.wait_complete()
    assert again.find("checked")["have"] == again.find("checked")["pieces"] == len(needed)
    assert source.requests == []
    with lab.dial(again, shared.torrent) as c:
        c.shake_hands(pieces=())
        c.become_unchoked()
        assert c.fetch(max(needed)) == shared.piece(max(needed))
    assert again.terminate() == 0


def test_seed_partial_shares_the_pieces_at_the_edges_too(lab, shared):
    out = lab.path("out")
    leech = lab.leech(shared.torrent, out, "--select", "4", peers=[lab.seeder(shared.torrent, shared.data)], stay=True)
    leech.wait_complete()
    leech.terminate()
    seeder = lab.client("seed", shared.torrent.path, "--file", out / "tree", "--partial")
    needed = shared.pieces(4)
    with lab.dial(seeder, shared.torrent) as c:
        c.shake_hands(pieces=())
        c.become_unchoked()
        assert c.they_have == needed
        assert c.fetch(min(needed)) == shared.piece(min(needed))
    assert seeder.terminate() == 0
    assert shared.parts(out).is_file()


@pytest.mark.slow
def test_trackers_are_told_who_wants_no_more_and_has_not_all(lab):
    """BEP 21: in the regular announces, the first of which comes after a minute."""
    trackers = [lab.http_tracker(interval=60) for _ in range(3)]
    parts, rest, whole = (Shared(lab, announce=t.url) for t in trackers)
    leech = lab.leech(parts.torrent, lab.path("out"), "--select", "4", peers=[lab.seeder(parts.torrent, parts.data)], stay=True)
    leech.wait_complete()
    assert leech.terminate() == 0
    lab.leech(parts.torrent, lab.path("out"), "--select", "4", stay=True)
    lab.client("seed", rest.torrent.path, "--file", lab.path("out/tree"), "--partial")
    lab.client("seed", whole.torrent.path, "--file", whole.content)
    for tracker in trackers[:2]:
        tracker.wait_for("paused", timeout=80)
    assert trackers[2].wait_for("", timeout=80).number("left") == 0


def test_who_has_only_what_is_not_selected_is_left_alone(lab, shared):
    needed = shared.pieces(4)
    others = set(range(shared.torrent.piece_count)) - needed
    poor = lab.seeder(shared.torrent, shared.data, have=others, host="127.0.0.3")
    leech = lab.leech(shared.torrent, lab.path("out"), "--select", "4", peers=[poor], stay=True)
    leech.wait_for("stalled", timeout=30)
    assert poor.requests == []
    assert leech.find("stalled")["reason"].startswith("piece %d has no copies" % min(needed))
    assert leech.terminate() == 1


class Slow:
    """A source that gives pieces only when they are in `given`."""

    def __init__(self, lab, shared, given):
        self.given = given
        self.free = threading.Event()
        self.source = lab.seeder(shared.torrent, shared.data, answer=self._answer)

    def _answer(self, connection, piece, begin, block):
        if piece in self.given or self.free.is_set():
            connection.send_block(piece, begin, block)


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_stopped_half_way_it_goes_on_and_more_files_may_be_selected(lab, shared, end):
    out = lab.path("out")
    needed = sorted(shared.pieces(4))
    given = set(needed[:3])  # the first is at an edge
    slow = Slow(lab, shared, given)
    leech = lab.leech(shared.torrent, out, "--select", "4", peers=[slow.source])
    leech.wait_until(lambda: len(leech.all("piece")) == len(given), "the pieces given")
    if end == "kill":
        leech.kill()
    else:
        assert leech.terminate() == 1
    assert shared.parts(out).is_file()
    assert set(list_tree(out / "tree")) == {"c/mid.iso"}

    slow.free.set()
    slow.source.requests.clear()
    again = lab.leech(shared.torrent, out, "--select", "4,5", peers=[slow.source], stay=True)
    again.wait_complete()
    assert again.find("checked")["have"] == len(given)
    assert {piece for piece, _ in slow.source.requests} == shared.pieces(4, 5) - given
    expect_files(out, 4, 5)
    assert again.terminate() == 0

    # Everything: nothing comes twice, and nothing else is left.
    slow.source.requests.clear()
    whole = lab.leech(shared.torrent, out, peers=[slow.source])
    assert whole.wait(60) == 0, whole.tail()
    assert {piece for piece, _ in slow.source.requests} == set(range(shared.torrent.piece_count)) - shared.pieces(4, 5)
    expect_files(out, 1, 2, 3, 4, 5, 6)
    expect_nothing_else(out)


def test_fewer_files_keep_what_is_there(lab, shared):
    out = lab.path("out")
    given = set(range(8))
    slow = Slow(lab, shared, given)
    leech = lab.leech(shared.torrent, out, peers=[slow.source])
    leech.wait_until(lambda: len(leech.all("piece")) == len(given), "the pieces given")
    assert leech.terminate() == 1
    before = {n: p.stat().st_mtime_ns for n, p in list_tree(out / "tree").items()}
    slow.free.set()
    slow.source.requests.clear()

    fewer = lab.leech(shared.torrent, out, "--select", "4", peers=[slow.source], stay=True)
    fewer.wait_complete()
    assert {piece for piece, _ in slow.source.requests} == shared.pieces(4)
    found = list_tree(out / "tree")
    assert set(found) == {*before, "c/mid.iso"}
    assert all(found[n].stat().st_mtime_ns == then for n, then in before.items()), "an unselected file was changed"
    with lab.dial(fewer, shared.torrent) as c:
        c.shake_hands(pieces=())
        c.become_unchoked()
        assert c.they_have == given | shared.pieces(4)
        assert c.fetch(5) == shared.piece(5)
    assert fewer.terminate() == 0

    slow.source.requests.clear()
    whole = lab.leech(shared.torrent, out, peers=[slow.source])
    assert whole.wait(60) == 0, whole.tail()
    assert not {piece for piece, _ in slow.source.requests} & (given | shared.pieces(4))
    expect_files(out, 1, 2, 3, 4, 5, 6)
    expect_nothing_else(out)


def test_verify_looks_at_the_selected_files_only(lab, shared):
    out = lab.path("out")
    leech = lab.leech(shared.torrent, out, "--select", "4", peers=[lab.seeder(shared.torrent, shared.data)], stay=True)
    leech.wait_complete()
    assert leech.terminate() == 0

    def verify(select):
        done = lab.command("verify", shared.torrent.path, "-o", out, "--select", select, "--json")
        events = [json.loads(line) for line in done.out.splitlines()]
        return done.status, events[:-1], events[-1]

    status, wrong, checked = verify("4")
    pieces = len(shared.pieces(4))
    assert (status, wrong) == (0, [])
    assert {k: checked[k] for k in ("have", "pieces", "files", "files_right")} == {
        "have": pieces, "pieces": pieces, "files": 1, "files_right": 1}
    status, wrong, checked = verify("*.txt,4")
    assert status == 1 and {(e["event"], e["path"]) for e in wrong} == {("missing", "a.txt"), ("missing", "c/tail.txt")}

    # Without what the neighbours have in its first and last piece these cannot be proven.
    shared.parts(out).unlink()
    status, wrong, checked = verify("4")
    assert status == 1 and [(e["event"], e["path"]) for e in wrong] == [("unproven", "c/mid.iso")]
    (out / "tree/c/mid.iso").write_bytes(bytes(len(TREE["c/mid.iso"])))
    status, wrong, checked = verify("4")
    assert status == 1 and ("damaged", "c/mid.iso") in [(e["event"], e["path"]) for e in wrong]
    assert lab.command("verify", shared.torrent.path, "-o", out, "--select", "9").status == 2


OBSTACLES = ["symlink", "second name", "fifo", "damaged", "cut", "folder"]


@pytest.mark.parametrize("kind", OBSTACLES)
def test_a_parts_file_that_was_tampered_with(lab, shared, kind):
    out = lab.path("out")
    source = lab.seeder(shared.torrent, shared.data)
    first = lab.leech(shared.torrent, out, "--select", "4", peers=[source], stay=True)
    first.wait_complete()
    assert first.terminate() == 0
    parts = shared.parts(out)
    victim = lab.path("victim")
    good = parts.read_bytes()
    victim.write_bytes(good)
    parts.unlink()
    if kind == "symlink":
        parts.symlink_to(victim)
    elif kind == "second name":
        os.link(victim, parts)
    elif kind == "fifo":
        os.mkfifo(parts)
    elif kind == "damaged":
        parts.write_bytes(good[:200] + b"?" * 100 + good[300:])
    elif kind == "cut":
        parts.write_bytes(good[:-1])
    else:
        parts.mkdir()
        (parts / "x").write_bytes(b"x")

    source.requests.clear()
    again = lab.leech(shared.torrent, out, "--select", "4", peers=[source])
    status = again.wait(30)
    if kind == "folder":
        assert status == 1 and is_refusal(status, again.stderr), again.tail()
        assert "tbt-parts" in again.stderr
        assert (parts / "x").read_bytes() == b"x"
    else:
        assert status == 0, again.tail()
        expect_files(out, 4)
        expect_nothing_else(out)
        fetched = {piece for piece, _ in source.requests}
        assert fetched and fetched <= {min(shared.pieces(4)), max(shared.pieces(4))}
    assert victim.read_bytes() == good, "written through"


def test_a_parts_file_that_vanishes_ends_the_leech(lab, shared):
    out = lab.path("out")
    first = min(shared.pieces(4))
    slow = Slow(lab, shared, {first})
    leech = lab.leech(shared.torrent, out, "--select", "4", peers=[slow.source])
    leech.wait_for("piece")
    shared.parts(out).unlink()
    status = leech.wait(6)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    assert "tbt-parts: vanished" in leech.stderr


def test_a_full_disk_names_the_parts_file_or_the_file(lab):
    """Small selected files, one in each piece: most of what is written is of others."""
    mib = 1 << 20
    files = {"%02d%s" % (i // 2, "b" if i % 2 else "a"): noise(mib - 10 if i % 2 else 10, i) for i in range(16)}
    content = lab.write("source/tree", files)
    torrent = lab.torrent(content, mib)
    data = content_bytes(content, torrent)
    disk = lab.small_disk("disk", 4 * mib)
    source = lab.seeder(torrent, data)
    leech = lab.leech(torrent, disk, "--select", "*a", peers=[source])
    status = leech.wait(30)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    # Several pieces are written at once: either may be the one that does not fit.
    assert "No space left on device" in leech.stderr
    assert "tbt-parts" in leech.stderr or "disk/tree/" in leech.stderr
    kept = len(leech.all("piece"))
    assert kept > 0
    lab.remount(disk, "size=64m")
    source.requests.clear()
    again = lab.leech(torrent, disk, "--select", "*a", peers=[source])
    assert again.wait(30) == 0, again.tail()
    assert again.find("checked")["have"] >= kept
    assert {n: p.read_bytes() for n, p in list_tree(disk / "tree").items()} == {n: d for n, d in files.items() if n.endswith("a")}
    expect_nothing_else(disk)


def test_the_tracker_is_told_of_what_is_selected(lab):
    tracker = lab.http_tracker()
    shared = Shared(lab, announce=tracker.url)
    total = len(TREE["c/mid.iso"])
    gate = threading.Event()

    def answer(connection, piece, begin, block):
        gate.wait()
        connection.send_block(piece, begin, block)

    leech = lab.leech(shared.torrent, lab.path("out"), "--select", "4", peers=[lab.seeder(shared.torrent, shared.data, answer=answer)])
    tracker.wait_for("started")
    gate.set()
    assert leech.wait(30) == 0, leech.tail()
    assert [(a.event, a.number("left")) for a in tracker.announces] == [("started", total), ("completed", 0), ("stopped", 0)]


def test_a_web_seed_gives_what_is_selected(lab):
    content = lab.write("source/tree", TREE)
    web = lab.serve(WebServer(lab.path("source")))
    torrent = lab.torrent(content, PIECE, **{"url-list": web.url})
    out = lab.path("out")
    leech = lab.leech(torrent, out, "--select", "4")
    assert leech.wait(30) == 0, leech.tail()
    expect_files(out, 4)
    expect_nothing_else(out)
    for path, first, last in web.requests:
        name = path[len("/tree/"):]
        if name == "b/big.bin":  # only what piece 10 has of it
            assert first >= 10 * PIECE - 1000
        assert name in ("b/big.bin", "c/mid.iso", "c/tail.txt", "d/deep/er/z.bin"), web.requests


@pytest.mark.parametrize("select, numbers", [([], [1, 4]), (["--select", "5"], [5])])
def test_a_magnet_selects_by_so_unless_the_user_does(lab, shared, select, numbers):
    seeder = lab.seed(shared.torrent, shared.content)
    leech = leech_link(lab, magnet(shared.torrent) + "&so=0,3,17", lab.path("out"), *select, peers=[seeder])
    assert leech.wait(30) == 0, leech.tail()
    expect_files(lab.path("out"), *numbers)
    expect_nothing_else(lab.path("out"))


def test_a_magnet_without_such_a_file_says_so_when_it_is_known(lab, shared):
    seeder = lab.seed(shared.torrent, shared.content)
    leech = leech_link(lab, magnet(shared.torrent), lab.path("out"), "--select", "7", peers=[seeder])
    status = leech.wait(30)
    assert status == 1 and is_refusal(status, leech.stderr), leech.tail()
    assert "'7' is no file of tree, which has 1 a.txt" in leech.stderr


def test_files_with_pads_between(lab):
    content = lab.write("source/tree", {n: d for n, d in TREE.items() if d})
    torrent = lab.torrent(content, PIECE, align=True)
    shown = lab.command("show", torrent.path, "--json").json["files"]
    number = [f["path"] for f in shown].index("c/mid.iso") + 1
    source = lab.seeder(torrent, content_bytes(content, torrent))
    out = lab.path("out")
    leech = lab.leech(torrent, out, "--select", str(number), peers=[source], stay=True)
    leech.wait_complete()
    assert not (out / (".%s.tbt-parts" % torrent.hex)).exists(), "no piece is shared"
    assert leech.terminate() == 0
    expect_files(out, 4)
