"""Torrents that lie: refused with one line within a second, or made safe; nothing outside the folder is touched."""
import hashlib
import os

import pytest

from fakepeer import BLOCK
from lab import finish_equal
from programs import loopback, patience
from torrents import Torrent, bencode, list_tree, make_hybrid, make_v2_only, noise, piece_hashes

PIECES = piece_hashes(bytes(100), 2 * BLOCK)
SINGLE = {"name": "file", "piece length": 2 * BLOCK, "length": 100, "pieces": PIECES}
MANY = {"name": "folder", "piece length": 2 * BLOCK, "pieces": PIECES,
        "files": [{"length": 60, "path": ["a"]}, {"length": 40, "path": ["b", "c"]}]}


def info(base=SINGLE, **changes):
    """A good info dictionary with some keys replaced (`_` for a space), or left out by None."""
    changes = {k.replace("_", " "): v for k, v in changes.items()}
    return {k: v for k, v in {**base, **changes}.items() if v is not None}


def torrent(base=SINGLE, **changes):
    return bencode({"announce": "http://127.0.0.1:1/a", "info": info(base, **changes)})


def files(*entries):
    """A folder torrent with these (length, path) entries."""
    size = sum(length for length, _ in entries)
    pieces = bytes(20 * max(1, -(-size // (2 * BLOCK)))) if 0 < size < 1 << 40 else PIECES
    return torrent(MANY, pieces=pieces, files=[{"length": n, "path": p} for n, p in entries])


GOOD = torrent()
BAD_BENCODE = {
    "empty file": b"", "not bencode": b"hello", "html": b"<html>404</html>", "a list": b"le", "a number": b"i1e", "a string": b"1:x",
    "cut in half": GOOD[:len(GOOD) // 2], "without its last byte": GOOD[:-1], "bytes behind it": GOOD + b"x", "a second one behind it": GOOD + GOOD,
    "key twice": b"d4:info" + bencode(SINGLE) + b"4:info" + bencode(SINGLE) + b"e",
    "key that is a number": b"di1e1:x4:info" + bencode(SINGLE) + b"e",
    "key without value": b"d4:info" + bencode(SINGLE) + b"1:ze",
    "leading zero": GOOD.replace(b"6:lengthi100e", b"6:lengthi0100e"), "minus zero": GOOD.replace(b"6:lengthi100e", b"6:lengthi-0e"),
    "plus": GOOD.replace(b"6:lengthi100e", b"6:lengthi+100e"), "empty number": GOOD.replace(b"6:lengthi100e", b"6:lengthie"),
    "space in number": GOOD.replace(b"6:lengthi100e", b"6:lengthi 100e"),
    "hex number": GOOD.replace(b"6:lengthi100e", b"6:lengthi0x64e"), "number without end": GOOD.replace(b"6:lengthi100e", b"6:lengthi100"),
    "string longer than the file": b"d4:info99999999:x", "string of 2^64": b"d4:info18446744073709551616:x",
    "string with a leading zero": GOOD.replace(b"4:file", b"04:file"), "negative string": GOOD.replace(b"4:file", b"-4:file"),
    "deep lists": b"d1:x" + b"l" * 200 + b"e" * 200 + b"4:info" + bencode(SINGLE) + b"e",
    "a million lists": b"d1:x" + b"l" * 1000000, "a million dictionaries": b"d1:a" * 1000000,
    "11 MB": bencode({"info": SINGLE, "x": bytes(11000000)}),
}
BAD_INFO = {
    "no info": bencode({"announce": "http://127.0.0.1:1/a"}), "info is a list": bencode({"info": []}), "info is a string": bencode({"info": "x"}),
    "empty info": bencode({"info": {}}),
    "no name": torrent(name=None), "name is a number": torrent(name=5), "name is a list": torrent(name=["x"]),
    "no piece length": torrent(piece_length=None), "piece length 0": torrent(piece_length=0), "piece length -16384": torrent(piece_length=-BLOCK),
    "piece length 1": torrent(piece_length=1), "piece length 8192": torrent(piece_length=8192), "piece length 16385": torrent(piece_length=BLOCK + 1),
    "piece length 1 GiB": torrent(piece_length=1 << 30), "piece length 2^32": torrent(piece_length=1 << 32),
    "piece length 2^63": torrent(piece_length=1 << 63), "piece length 2^64 + 32768": torrent(piece_length=(1 << 64) + 32768),
    "piece length as text": torrent(piece_length="32768"),
    "no pieces": torrent(pieces=None), "pieces of 19 bytes": torrent(pieces=PIECES[:19]), "pieces of 21 bytes": torrent(pieces=PIECES + b"x"),
    "one piece too many": torrent(pieces=PIECES * 2), "one piece too few": torrent(length=2 * BLOCK + 1), "empty pieces": torrent(pieces=b""),
    "pieces is a list": torrent(pieces=[PIECES]),
    "no length": torrent(length=None), "length and files": torrent(files=MANY["files"]), "length 0": torrent(length=0, pieces=b""),
    "length -1": torrent(length=-1), "length 2^63": torrent(length=1 << 63), "length 2^64 + 100": torrent(length=(1 << 64) + 100),
    "length as text": torrent(length="100"), "length too large for the pieces": torrent(length=1 << 50),
    "more than 2,097,152 pieces": torrent(length=2097153 * BLOCK, piece_length=BLOCK, pieces=bytes(20)),
    "no files": torrent(MANY, files=[]), "files is a dictionary": torrent(MANY, files={}), "files of numbers": torrent(MANY, files=[1, 2]),
    "file without length": torrent(MANY, files=[{"path": ["a"]}]), "file without path": torrent(MANY, files=[{"length": 100}]),
    "negative file": files((-100, ["a"]), (200, ["b"])), "lengths that sum over 2^63": files((1 << 62, ["a"]), (1 << 62, ["b"])),
    "lengths that wrap to 100": files(((1 << 63) - 1, ["a"]), ((1 << 63) - 1, ["b"]), (102, ["c"])),
    "only empty files": torrent(MANY, files=[{"length": 0, "path": ["a"]}], pieces=b""),
    "path is a string": torrent(MANY, files=[{"length": 100, "path": "a"}]), "path of numbers": files((100, [1, 2])),
    "empty path": files((100, [])), "path 200 deep": files((100, ["d"] * 200)),
    "path over 4,095 bytes": files((100, ["x" * 200] * 30)),
    "file length is a list": torrent(MANY, files=[{"length": [100], "path": ["a"]}]),
    "unknown meta version": torrent(**{"meta version": 7}), "meta version as text": torrent(**{"meta version": "2"}),
}
REFUSED = {**BAD_BENCODE, **BAD_INFO}


def leech(lab, path, **kw):
    return lab.command("leech", path, "--output", lab.path("out"), "--seed-time", "0", *loopback(), **kw)


@pytest.mark.parametrize("case", REFUSED)
def test_a_torrent_that_lies_is_refused(lab, case):
    path = lab.write("bad.torrent", REFUSED[case])
    result = leech(lab, path)
    assert result.refused, result
    assert "bad.torrent" in result.err
    assert result.seconds < patience(1) and result.peak_kib < patience(64 << 10), result
    assert list_tree(lab.folder).keys() <= {"bad.torrent"}, "something was created"
    assert lab.command("show", path).refused
    assert lab.command("verify", path, "--output", lab.path("out")).refused


def test_the_good_torrent_of_this_table_is_good(lab):
    path = lab.write("good.torrent", GOOD)
    assert lab.command("show", path).status == 0
    assert lab.command("show", lab.write("nl.torrent", GOOD + b"\n")).status == 0, "one newline at the end is allowed"
    assert lab.command("show", lab.write("many.torrent", torrent(MANY))).status == 0


def test_unsorted_keys_are_tolerated_and_hashed_as_they_are(lab):
    raw = (b"d6:pieces20:" + PIECES + b"6:lengthi100e4:name4:file12:piece lengthi32768ee")
    result = lab.command("show", lab.write("x.torrent", b"d4:info" + raw + b"e"), "--json")
    assert result.status == 0, result
    assert result.json["info_hash"] == hashlib.sha1(raw).hexdigest()


@pytest.mark.parametrize("what", ["missing", "folder", "fifo", "unreadable device"])
def test_what_is_no_file_is_refused_without_waiting(lab, what):
    path = lab.path("x.torrent")
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "unreadable device":
        path.symlink_to("/dev/zero")
    result = leech(lab, path, timeout=10)
    assert result.refused and "x.torrent" in result.err, result
    assert result.seconds < patience(1) and result.peak_kib < patience(64 << 10)


# Names.  Each may be refused, or mended so that everything stays in its place.

CLIMBING = {
    "..": ["..", "evil"], "../..": ["..", "..", "evil"], "in the middle": ["a", "..", "..", "..", "evil"], ".": [".", "a"], "empty": ["", "evil"],
    "slash": ["../../evil"], "absolute": ["/tmp/tbt-evil"], "slash inside": ["a/../../../evil"], "nul": ["evil\0.txt"], "only dots": [".."],
    "empty last": ["a", ""],
}


def check_containment(lab, result, allowed):
    """Refused with one line, or everything inside `allowed`."""
    outside = [n for n in list_tree(lab.folder) if not n.startswith(allowed) and not n.endswith(".torrent")]
    assert outside == [], outside
    assert not os.path.exists("/tmp/tbt-evil") and not os.path.exists(lab.folder.parent / "evil")


def download(lab, torrent, data):
    """Let a leech take what a Python seeder offers; the finished leech."""
    seeder = lab.seeder(torrent, data)
    leech = lab.leech(torrent, lab.path("deep/er/out"), peers=[seeder])
    leech.wait(30)
    return leech


@pytest.mark.parametrize("case", CLIMBING)
@pytest.mark.parametrize("key", ["path", "path.utf-8", "name", "name.utf-8"])
def test_a_name_cannot_climb_out(lab, case, key):
    data = noise(100)
    hashes = piece_hashes(data, 2 * BLOCK)
    parts = CLIMBING[case]
    if key.startswith("name"):
        made = {"name": "fine", "piece length": 2 * BLOCK, "length": 100, "pieces": hashes, key: "/".join(parts) if len(parts) > 1 else parts[0]}
    else:
        made = {"name": "folder", "piece length": 2 * BLOCK, "pieces": hashes, "files": [{"length": 100, "path": ["fine"], key: parts}]}
    made = Torrent(lab.path("x.torrent"), {"info": made})
    leech = download(lab, made, data)
    check_containment(lab, leech, "deep/er/out/")
    status = leech.process.returncode
    if status == 0:
        stored = list_tree(lab.path("deep/er/out"))
        assert len(stored) == 1 and all(p.read_bytes() == data for p in stored.values())
    else:
        assert len(leech.stderr.splitlines()) == 1 and leech.stderr.startswith("tbt-client: "), leech.tail()


MENDED = {
    "escape sequence": "a\x1b[31mred", "newline": "a\nb", "carriage return": "a\rb", "bell": "a\x07", "delete": "a\x7f", "C1": "a\u009bb",
    "backslash": "a\\..\\b", "invalid UTF-8": b"a\xff\xfeb", "overlong slash": b"a\xc0\xafb", "overlong dot": b"\xc0\xae\xc0\xae", "surrogate": b"a\xed\xa0\x80b",
    "cut character": b"abc\xe2\x82",
}


@pytest.mark.parametrize("case", MENDED)
@pytest.mark.parametrize("kind", ["file", "folder", "name"])
def test_a_nasty_name_is_mended_or_refused(lab, case, kind):
    data = noise(100)
    name = MENDED[case]
    made = {"name": name if kind == "name" else "root", "piece length": 2 * BLOCK, "pieces": piece_hashes(data, 2 * BLOCK)}
    if kind == "name":
        made["length"] = 100
    else:
        made["files"] = [{"length": 100, "path": [name] if kind == "file" else [name, "x"]}]
    made = Torrent(lab.path("x.torrent"), {"info": made})
    leech = download(lab, made, data)
    if leech.process.returncode != 0:
        assert len(leech.stderr.splitlines()) == 1, leech.tail()
        return
    stored = [n for n in list_tree(lab.path("deep/er/out"))]
    assert len(stored) == 1
    for c in stored[0]:
        assert c.isprintable() and c != "\\", "%r on disk" % stored[0]
    os.fsencode(stored[0]).decode("utf-8")
    assert lab.path("deep/er/out/" + stored[0]).read_bytes() == data


@pytest.mark.parametrize("name", ["~x", "-rf", "$(x)", "CON", "a.", ".bashrc", "x.part", ".tbt-resume", "con.txt", "a b", "*", "'", "nul", " ", "%s%n"])
def test_odd_but_legal_names_just_work(lab, name):
    content = lab.noise_file("source/" + name, 100000)
    torrent = lab.torrent(content, name="x.torrent")
    finish_equal(lab.leech(torrent, lab.path("out"), peers=[lab.seeder(torrent, content.read_bytes())]), content, lab.path("out"))


def test_the_name_of_the_state_file_is_not_special(lab):
    """A torrent whose only file has the name that the resume file of some torrent has."""
    content = lab.noise_file("source/.%s.tbt-resume" % ("ab" * 20), 100000)
    torrent = lab.torrent(content, name="x.torrent")
    finish_equal(lab.leech(torrent, lab.path("out"), peers=[lab.seeder(torrent, content.read_bytes())]), content, lab.path("out"))


COLLIDING = {
    "same name twice": (["a"], ["a"]), "file that is also a folder": (["a"], ["a", "b"]), "folder that is also a file": (["a", "b"], ["a"]),
    "same after mending": (["a\x01"], ["a\x02"]), "same below a folder": (["d", "a"], ["d", "a"]),
}


@pytest.mark.parametrize("case", COLLIDING)
def test_files_that_collide_are_renamed_or_refused(lab, case):
    data = noise(200)
    made = {"name": "root", "piece length": 2 * BLOCK, "pieces": piece_hashes(data, 2 * BLOCK),
            "files": [{"length": 100, "path": p} for p in COLLIDING[case]]}
    leech = download(lab, Torrent(lab.path("x.torrent"), {"info": made}), data)
    check_containment(lab, leech, "deep/er/out/")
    if leech.process.returncode == 0:
        stored = list_tree(lab.path("deep/er/out/root"))
        assert sorted(p.read_bytes() for p in stored.values()) == sorted([data[:100], data[100:]])
    else:
        assert len(leech.stderr.splitlines()) == 1, leech.tail()


def test_a_very_long_name_is_cut_with_its_extension_or_refused(lab):
    data = noise(100)
    made = Torrent(lab.path("x.torrent"), {"info": {"name": "\u20ac" * 300 + ".tar", "piece length": 2 * BLOCK, "length": 100,
                                                    "pieces": piece_hashes(data, 2 * BLOCK)}})
    leech = download(lab, made, data)
    if leech.process.returncode == 0:
        (name,) = list_tree(lab.path("deep/er/out"))
        assert len(os.fsencode(name)) <= 255 and name.endswith(".tar") and set(name[:-4]) == {"\u20ac"}
    else:
        assert len(leech.stderr.splitlines()) == 1, leech.tail()


@pytest.mark.parametrize("name", ["x" * 255, "\u20ac" * 85, "x" * 251 + ".iso"], ids=["one byte each", "three bytes each", "extension"])
def test_a_long_name_leaves_room_for_the_reason(lab, name):
    data = noise(100)
    made = Torrent(lab.path("x.torrent"), {"info": {"name": name, "piece length": 2 * BLOCK, "length": 100, "pieces": piece_hashes(data, 2 * BLOCK)}})
    stopped = lab.leech(made, lab.path("out"))
    stopped.wait_for("checked")
    assert stopped.terminate() == 1 and stopped.stderr == "tbt-client: %s: stopped before it was complete" % name
    folder = "/".join(["d" * 200] * 18)
    lab.path(folder).mkdir(parents=True)
    seed = lab.command("seed", made.path, "--file", lab.path(folder) / name, *loopback())
    assert seed.refused and "--file says where the content is" in seed.err, seed
    (lab.path(folder) / name).write_bytes(bytes(100))
    leeching = lab.leech(made, lab.path(folder))
    leeching.wait_for("checked")
    second = lab.command("leech", made.path, "--output", lab.path(folder), *loopback())
    assert second.refused and second.err.endswith(": in use by another torrent or tbt-client"), second


def test_symlinks_and_executables_of_a_torrent_are_not_made(lab):
    victim = lab.write("victim", b"mine")
    data = noise(200)
    made = {"name": "root", "piece length": 2 * BLOCK, "pieces": piece_hashes(data, 2 * BLOCK), "files": [
        {"length": 100, "path": ["run"], "attr": "x"},
        {"length": 0, "path": ["link"], "attr": "l", "symlink path": ["..", "..", "..", "victim"]},
        {"length": 100, "path": ["plain"]}]}
    leech = download(lab, Torrent(lab.path("x.torrent"), {"info": made}), data)
    assert leech.process.returncode in (0, 1)
    assert victim.read_bytes() == b"mine"
    for path in list_tree(lab.path("deep/er/out")).values():
        assert not path.is_symlink()
        assert path.stat().st_mode & 0o111 == 0


def test_a_forged_name_cannot_forge_a_line(lab):
    name = "x\ntbt-client: all is well\r\x1b[2Jdone\u009b1m\x00"[:-1]
    path = lab.write("x.torrent", torrent(name=name, ))
    for result in (lab.command("show", path), lab.command("verify", path, "--output", lab.path("out"))):
        text = result.out + result.err
        assert not any(c in text for c in "\x1b\r\x7f\u009b"), result
        assert not any(line.startswith("tbt-client: all") for line in text.splitlines()), result
    shown = lab.command("show", path, "--json")
    assert shown.status == 0 and len(shown.out.splitlines()) == 1, shown
    assert shown.json["length"] == 100


def test_a_v2_only_torrent_is_refused_with_a_clear_word(lab):
    path = make_v2_only(lab.noise_file("source/file", 100000), lab.path("x.torrent"))
    result = leech(lab, path)
    assert result.refused and "v2" in result.err.lower(), result


def test_a_hybrid_is_shown_with_its_v1_hash(lab):
    made = make_hybrid(lab.write("folder", {"a": noise(100000), "b": noise(5)}), lab.path("x.torrent"))
    assert lab.command("show", made.path, "--json").json["info_hash"] == made.hex


TRACKERS = ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/announce", "http://127.0.0.1:99999/announce", "http://a\nb/announce",
            "javascript:alert(1)", "http://", "", "x" * 100000, "dict://127.0.0.1:11211/stat", "http://[::1/announce", "\x1b[31m"]


def test_unusable_trackers_are_left_out_and_the_rest_works(lab):
    content = lab.noise_file("source/file", 100000)
    tracker = lab.http_tracker()
    torrent = lab.torrent(content, announce=[TRACKERS, [tracker.url]])
    shown = lab.command("show", torrent.path, "--json").json
    assert [u for tier in shown["trackers"] for u in tier] == [tracker.url]
    tracker.peers.append(lab.seeder(torrent, content.read_bytes()).address)
    finish_equal(lab.leech(torrent, lab.path("out")), content, lab.path("out"))


def test_trackers_and_web_seeds_are_counted(lab):
    path = lab.write("x.torrent", bencode({
        "announce-list": [["http://127.0.0.1:%d/a" % (1000 + i)] for i in range(5000)],
        "url-list": ["http://127.0.0.1:%d/" % (1000 + i) for i in range(500)], "info": SINGLE}))
    shown = lab.command("show", path, "--json")
    assert shown.status == 0 and shown.seconds < patience(1)
    assert sum(map(len, shown.json["trackers"])) <= 100 and len(shown.json["web_seeds"]) <= 16


@pytest.mark.parametrize("value", [1, 0, -1, 2, "1", "", ["x"]])
def test_private_of_an_odd_type_counts_as_private_or_is_refused(lab, value):
    shown = lab.command("show", lab.write("x.torrent", torrent(private=value)), "--json")
    if value == 0:
        assert shown.json["private"] is False
    else:
        assert shown.refused or shown.json["private"] is True, shown


def test_private_outside_info_means_nothing(lab):
    path = lab.write("x.torrent", bencode({"private": 1, "info": SINGLE}))
    assert lab.command("show", path, "--json").json["private"] is False


@pytest.mark.parametrize("names", ["different", "all the same", "same after mending", "one deep folder each"])
def test_100000_files_are_read_quickly(lab, names):
    count = 100000

    def path(i):
        if names == "all the same":
            return ["a"]
        if names == "same after mending":
            return ["a" + chr(1 + i % 8) + chr(1 + i // 8 % 8)]
        if names == "one deep folder each":
            return ["d%d" % i, "e", "f"]
        return ["%06d.txt" % i]

    path = lab.write("x.torrent", files(*((1, path(i)) for i in range(count))))
    result = lab.command("show", path, "--json", timeout=30)
    assert result.seconds < patience(2) and result.peak_kib < patience(128 << 10), result
    if names in ("different", "one deep folder each"):
        assert result.status == 0 and len(result.json["files"]) == count
    else:
        assert result.refused or len({tuple(f["path"]) for f in result.json["files"]}) == count


@pytest.mark.parametrize("count", [2097152, 2097153])
def test_the_most_pieces_are_read_quickly_and_are_in_memory_once(lab, count):
    path = lab.write("x.torrent", torrent(length=count * BLOCK, piece_length=BLOCK, pieces=bytes(20 * count)))
    result = lab.command("show", path, "--json", timeout=30)
    assert result.seconds < patience(1) and result.peak_kib < patience(64 << 10), result
    assert result.json["pieces"] == count if count == 2097152 else result.refused, result


@pytest.mark.parametrize("link", [
    "magnet:", "magnet:?", "magnet:?dn=x", "magnet:?xt=urn:btih:", "magnet:?xt=urn:btih:abcd", "magnet:?xt=urn:btih:" + "g" * 40,
    "magnet:?xt=urn:btih:" + "a" * 41, "magnet:?xt=urn:btih:" + "1" * 32, "magnet:?xt=urn:sha1:" + "a" * 40,
])
def test_a_malformed_magnet_is_refused(lab, link):
    result = leech(lab, link)
    assert result.refused and result.seconds < patience(1), result
