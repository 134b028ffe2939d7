"""create, show and verify; help, version, and bad usage."""
import os
import re
import shutil
import subprocess
import time

import pytest

from fakepeer import BLOCK
from programs import ROOT, find_program, patience
from torrents import bdecode, content_bytes, make_torrent, noise, piece_hashes

MIB = 1 << 20
PIECE_LENGTH = 2 * BLOCK


def create(lab, content, *arguments, out="made.torrent", **kw):
    """`create`, and the torrent as bencode has it."""
    result = lab.command("create", content, "--output", lab.path(out), *arguments, **kw)
    assert result.status == 0, result
    return bdecode(lab.path(out).read_bytes())


def test_a_created_torrent_is_what_any_other_program_makes(lab):
    content = lab.write("source/folder", {"a": noise(70000), "b/c": noise(5), "b/empty": b"", "z": noise(40000, 1)})
    made = create(lab, content, "--piece-length", "32K", "--announce", "http://127.0.0.1:1/announce")
    info = made[b"info"]
    assert info[b"name"] == b"folder" and info[b"piece length"] == 32768
    assert b"length" not in info and b"private" not in info
    paths = [b"/".join(f[b"path"]) for f in info[b"files"]]
    assert sorted(paths) == [b"a", b"b/c", b"b/empty", b"z"]
    data = b"".join((content / os.fsdecode(p)).read_bytes() for p in paths)
    assert info[b"pieces"] == piece_hashes(data, 32768)
    assert made[b"announce"] == b"http://127.0.0.1:1/announce"
    assert abs(made[b"creation date"] - time.time()) < 600
    assert b"tbt" in made[b"created by"].lower()


def test_the_defaults_of_create(lab):
    content = lab.noise_file("file.bin", 100000)
    result = lab.command("create", content, cwd=lab.folder)
    assert result.status == 0, result
    info = bdecode(lab.path("file.bin.torrent").read_bytes())[b"info"]
    assert info == {b"name": b"file.bin", b"length": 100000, b"piece length": BLOCK,
                    b"pieces": piece_hashes(content.read_bytes(), BLOCK)}


def test_a_folder_may_be_named_with_a_slash_or_a_dot(lab):
    content = lab.write("source/folder", {"a": noise(7)})
    for path, where in ((str(content) + "/", lab.folder), (".", content)):
        made = create(lab, path, "--force", cwd=where)
        assert made[b"info"][b"name"] == b"folder"


def test_every_option_of_create(lab):
    content = lab.noise_file("file", 5)
    made = create(lab, content, "--announce", "http://127.0.0.1:1/a", "-a", "udp://127.0.0.1:2/b", "--private", "--comment", "a comment",
                  "--web-seed", "http://127.0.0.1:3/", "--web-seed", "http://127.0.0.1:4/", "--source", "here", "--piece-length", "1M",
                  "--threads", "2", "--no-date")
    assert made[b"announce"] == b"http://127.0.0.1:1/a"
    assert made[b"announce-list"] == [[b"http://127.0.0.1:1/a"], [b"udp://127.0.0.1:2/b"]]
    assert made[b"info"][b"private"] == 1 and made[b"info"][b"source"] == b"here" and made[b"info"][b"piece length"] == MIB
    assert made[b"comment"] == b"a comment"
    assert made[b"url-list"] == [b"http://127.0.0.1:3/", b"http://127.0.0.1:4/"]
    assert b"creation date" not in made


def test_without_a_date_the_same_input_gives_the_same_bytes(lab):
    content = lab.write("source/folder", {"%d/%d" % (i % 3, i): noise(i * 1000, i) for i in range(30)})
    create(lab, content, "--no-date", "--threads", "1", out="1.torrent")
    create(lab, content, "--no-date", "--threads", "4", out="2.torrent")
    assert lab.path("1.torrent").read_bytes() == lab.path("2.torrent").read_bytes()


def test_an_existing_torrent_is_kept_unless_forced(lab):
    content = lab.noise_file("file", 100)
    out = lab.write("made.torrent", b"precious")
    result = lab.command("create", content, "--output", out)
    assert result.refused and result.status == 1 and "made.torrent" in result.err, result
    assert out.read_bytes() == b"precious"
    create(lab, content, "--force")
    assert out.read_bytes() != b"precious"


@pytest.mark.parametrize("path, output", [("folder", "folder/old.torrent"), ("folder/a", "folder/a"), (".", "./folder/b")])
def test_what_is_to_be_shared_is_not_replaced_by_the_torrent(lab, path, output):
    files = {"a": noise(1000), "b": noise(1000), "old.torrent": b"d8:announce0:e"}
    lab.write("folder", files)
    result = lab.command("create", path, "--output", output, "--force", cwd=lab.folder)
    assert result.refused and result.status == 1 and output in result.err, result
    assert {p.name: p.read_bytes() for p in lab.path("folder").iterdir()} == files


@pytest.mark.parametrize("size", [1, 10 << 20, 40 << 20, 100 << 20])
def test_the_piece_length_follows_the_size(lab, size):
    content = lab.path("sparse")
    with open(content, "wb") as f:
        f.truncate(size)
    length = create(lab, content)[b"info"][b"piece length"]
    assert length & (length - 1) == 0
    assert length == BLOCK or 1000 <= size / length <= 2100
    assert size / length <= 2100


@pytest.mark.parametrize("length", ["1", "8K", "24K", "0", "x", "-1", "1G1", "", "99999999999999999999"])
def test_a_bad_piece_length_is_bad_usage(lab, length):
    content = lab.noise_file("file", 5)
    result = lab.command("create", content, "--piece-length", length, "--output", lab.path("x.torrent"))
    assert result.status == 2 and result.refused, result
    assert "power of two" in result.err or "from 16K to 512M" in result.err, result
    assert not lab.path("x.torrent").exists()


def test_create_names_what_it_cannot_read(lab):
    folder = lab.write("folder", {"a": noise(5), "sub/b": noise(5)})
    os.mkfifo(folder / "sub/pipe")
    result = lab.command("create", folder, "--output", lab.path("x.torrent"), timeout=10)
    assert result.refused and "sub/pipe" in result.err, result
    assert not lab.path("x.torrent").exists()


def test_create_leaves_symlinks_out_and_says_so(lab):
    folder = lab.write("folder", {"a": noise(5), "sub/b": noise(5)})
    (folder / "sub/dangling").symlink_to("nowhere")
    (folder / "passwd").symlink_to("/etc/passwd")
    result = lab.command("create", folder, "--output", lab.path("x.torrent"))
    assert "sub/dangling" in result.err and "passwd" in result.err, result
    made = bdecode(lab.path("x.torrent").read_bytes())
    assert [f[b"path"] for f in made[b"info"][b"files"]] == [[b"a"], [b"sub", b"b"]]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_create_names_a_file_without_permission(lab):
    folder = lab.write("folder", {"a": noise(5), "secret": noise(5)})
    (folder / "secret").chmod(0)
    result = lab.command("create", folder, "--output", lab.path("x.torrent"))
    assert result.refused and "secret" in result.err, result


def test_create_of_nothing_is_an_error(lab):
    empty = lab.path("empty")
    empty.mkdir()
    for path in (lab.path("missing"), empty, lab.write("none", b"")):
        result = lab.command("create", path, "--output", lab.path("x.torrent"))
        assert result.refused and path.name in result.err, result
        assert not lab.path("x.torrent").exists()


def test_create_where_it_cannot_write(lab):
    content = lab.noise_file("file", 5)
    result = lab.command("create", content, "--output", lab.path("nowhere/x.torrent"))
    assert result.refused and result.status == 1 and "nowhere/x.torrent" in result.err, result


def test_what_create_makes_can_be_shared(lab):
    content = lab.write("source/folder", {"a b": noise(70000), "кит": noise(5), "empty": b""})
    create(lab, content)
    result = lab.command("verify", lab.path("made.torrent"), "--output", lab.path("source"))
    assert result.status == 0, result


def test_show_json_has_every_key(lab):
    content = lab.write("source/folder", {"a": noise(70000), "b/c": noise(5)})
    torrent = lab.torrent(content, PIECE_LENGTH, [["http://127.0.0.1:1/a", "http://127.0.0.1:2/a"], ["udp://127.0.0.1:3/a"]], comment="words",
                          info={"private": 1}, **{"created by": "hand", "creation date": 1234567890, "url-list": ["http://127.0.0.1:4/"]})
    shown = lab.command("show", torrent.path, "--json").json
    magnet = shown.pop("magnet")
    created = shown.pop("created")
    assert created in (1234567890, "2009-02-13T23:31:30Z")
    assert magnet.startswith("magnet:?xt=urn:btih:" + torrent.hex)
    assert {k: shown[k] for k in ("name", "info_hash", "length", "piece_length", "pieces", "private", "trackers", "web_seeds", "comment",
                                  "created_by")} == {
        "name": "folder", "info_hash": torrent.hex, "length": 70005, "piece_length": PIECE_LENGTH, "pieces": 3, "private": True,
        "trackers": [["http://127.0.0.1:1/a", "http://127.0.0.1:2/a"], ["udp://127.0.0.1:3/a"]], "web_seeds": ["http://127.0.0.1:4/"],
        "comment": "words", "created_by": "hand"}
    assert [(f["path"], f["length"]) for f in shown["files"]] in (
        [("a", 70000), ("b/c", 5)], [("folder/a", 70000), ("folder/b/c", 5)])


def test_show_prints_what_a_person_wants_to_know(lab):
    content = lab.write("source/folder", {"a": noise(70000), "b/c": noise(5)})
    torrent = lab.torrent(content, PIECE_LENGTH, "http://127.0.0.1:1/announce", comment="words")
    result = lab.command("show", torrent.path)
    assert result.status == 0 and result.err == ""
    for text in ("folder", torrent.hex, "b/c", "http://127.0.0.1:1/announce", "words"):
        assert text in result.out, text


def test_show_of_a_single_file(lab):
    torrent = lab.torrent(lab.noise_file("file", 100))
    shown = lab.command("show", torrent.path, "--json").json
    assert [(f["path"], f["length"]) for f in shown["files"]] == [("file", 100)]
    assert shown["private"] is False and shown["trackers"] == [] and shown["web_seeds"] == []


def test_show_escapes_control_characters(lab):
    torrent = lab.torrent(lab.noise_file("file", 100), comment="a\x1b[31m\nb\x7f\u009bc", **{"created by": "x\r\x07"})
    result = lab.command("show", torrent.path)
    assert result.status == 0
    assert not any(c in result.out for c in "\x1b\x7f\x07\r\u009b") and "\nb" not in result.out
    shown = lab.command("show", torrent.path, "--json")
    assert len(shown.out.splitlines()) == 1 and shown.json["info_hash"] == torrent.hex


def verify(lab, torrent, content, *arguments):
    return lab.command("verify", torrent.path, "--file", content, *arguments)


def test_verify_of_right_content(lab):
    content = lab.write("source/folder", {"a": noise(70000), "b/c": noise(5), "empty": b""})
    torrent = lab.torrent(content)
    result = verify(lab, torrent, content)
    assert result.status == 0 and result.err == "", result
    assert verify(lab, torrent, content, "--threads", "3", "--json").status == 0
    assert lab.command("verify", torrent.path, "-o", lab.path("source")).status == 0
    assert lab.command("verify", torrent.path, cwd=lab.path("source")).status == 0


def test_verify_names_each_damaged_and_missing_file(lab):
    content = lab.write("source/folder", {"fine": noise(3 * PIECE_LENGTH), "hurt": noise(4 * PIECE_LENGTH, 1), "sub/gone": noise(PIECE_LENGTH, 2),
                                          "short": noise(2 * PIECE_LENGTH, 3), "tail": noise(PIECE_LENGTH, 4)})
    torrent = lab.torrent(content, PIECE_LENGTH)
    with open(content / "hurt", "r+b") as f:
        f.seek(PIECE_LENGTH + 7)
        f.write(b"x" * 9)
    (content / "sub/gone").unlink()
    os.truncate(content / "short", PIECE_LENGTH + 10)
    result = verify(lab, torrent, content)
    assert result.status == 1, result
    text = result.out + result.err
    for name in ("hurt", "sub/gone", "short"):
        assert name in text, result
    for name in ("fine", "tail"):
        assert name not in text, result
    hurt = next(line for line in text.splitlines() if "hurt" in line)
    assert str(PIECE_LENGTH) in hurt, "no range in: " + hurt


def test_verify_json_says_the_same(lab):
    content = lab.write("source/folder", {"fine": noise(3 * PIECE_LENGTH), "hurt": noise(4 * PIECE_LENGTH, 1)})
    torrent = lab.torrent(content, PIECE_LENGTH)
    with open(content / "hurt", "r+b") as f:
        f.write(b"x" * 9)
    result = verify(lab, torrent, content, "--json")
    assert result.status == 1
    assert "hurt" in result.out and "fine" not in result.out.replace('"fine", "ok"', "")


def test_verify_changes_nothing(lab):
    content = lab.write("source/folder", {"a": noise(100), "longer": noise(PIECE_LENGTH)})
    torrent = lab.torrent(content)
    with open(content / "longer", "ab") as f:
        f.write(b"more")
    (content / "a").unlink()
    before = {p: p.stat().st_mtime_ns for p in content.rglob("*")}
    verify(lab, torrent, content)
    lab.command("verify", torrent.path, "--output", lab.path("nothing"))
    assert {p: p.stat().st_mtime_ns for p in content.rglob("*")} == before
    assert not lab.path("nothing").exists()


@pytest.mark.parametrize("what", ["folder", "fifo"])
def test_verify_of_something_else_is_no_hang(lab, what):
    content = lab.noise_file("source/file", 100)
    torrent = lab.torrent(content)
    content.unlink()
    content.mkdir() if what == "folder" else os.mkfifo(content)
    result = verify(lab, torrent, content)
    assert result.status == 1 and result.seconds < patience(2), result


def test_verify_needs_no_network(lab):
    """show, create and verify open no socket; told by strace where there is one."""
    if not shutil.which("strace"):
        pytest.skip("no strace")
    content = lab.noise_file("source/file", 100000)
    torrent = lab.torrent(content, announce="http://127.0.0.1:1/announce")
    for arguments in (["show", torrent.path], ["verify", torrent.path, "--file", content], ["create", content, "--output", lab.path("y")]):
        trace = lab.path("trace")
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")  # of no use under a tracer
        lab.process(["strace", "-f", "-e", "trace=socket,connect,bind,sendto", "-o", trace, find_program("tbt-client"), *arguments],
                    "strace", env=environment).wait(30)
        assert "AF_INET" not in trace.read_text()


COMMANDS = ["leech", "seed", "create", "show", "verify"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(lab, command):
    result = lab.command(command, "--help")
    assert result.status == 0 and command in result.out and result.err == "", result


def test_help_names_the_commands_and_options(lab):
    result = lab.command("--help")
    assert result.status == 0 and result.err == "" and all(c in result.out for c in COMMANDS), result
    leech = lab.command("leech", "--help").out
    for option in ("--port", "--bind", "--workers", "--peer", "--download-limit", "--upload-limit", "--json", "--quiet", "--verbose", "--output",
                   "--order", "--seed-time", "--seed-ratio"):
        assert option in leech, option
    assert all(o in lab.command("create", "--help").out for o in ("--announce", "--piece-length", "--private", "--no-date", "--force"))


# ---- what is written of the options elsewhere ----

DOCS = ROOT / "docs"
PROGRAMS = {"tbt-client": COMMANDS, "tbt-tracker": ["serve"]}


def options_of(lab, program, command):
    """The long options that --help lists."""
    return set(re.findall(r"^  (?:-., |    )(--[a-z-]+)", lab.command(command, "--help", program=program).out, re.M))


def all_options(lab, program):
    return set().union(*(options_of(lab, program, c) for c in PROGRAMS[program]))


@pytest.mark.parametrize("program, command", [(p, c) for p, commands in PROGRAMS.items() for c in commands])
def test_bash_completes_the_options_of_a_command(lab, program, command):
    script = 'source "$1"; COMP_WORDS=("$2" "$3" --); COMP_CWORD=2; _%s "$2"; printf "%%s\\n" "${COMPREPLY[@]}"' % program.replace("-", "_")
    done = subprocess.run(["bash", "-c", script, "bash", DOCS / "completions" / (program + ".bash"), find_program(program), command],
                          capture_output=True, text=True)
    assert done.stderr == "" and set(done.stdout.split()) == options_of(lab, program, command), done
    assert "--help" in done.stdout.split()


@pytest.mark.parametrize("program", PROGRAMS)
def test_manual_and_completions_name_every_option_and_no_other(lab, program):
    usual = {"--version", "--help"}
    options = all_options(lab, program) | usual
    fish = (DOCS / "completions" / (program + ".fish")).read_text()
    assert {"--" + name for name in re.findall(r"^complete .* -l ([a-z-]+)", fish, re.M)} == options
    zsh = (DOCS / "completions" / ("_" + program)).read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", zsh)) == options
    manual = (DOCS / "man" / (program + ".1.scd")).read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", manual)) | usual == options


def test_version(lab):
    result = lab.command("--version")
    assert result.status == 0 and result.out.startswith("tbt-client ") and result.err == "", result


@pytest.mark.parametrize("arguments", [
    [], ["dance"], ["leech"], ["seed"], ["show"], ["verify"], ["create"], ["leech", "x.torrent", "--no-such-option"],
    ["leech", "x.torrent", "--port"], ["leech", "x.torrent", "--port", "65536"], ["leech", "x.torrent", "--port", "-1"],
    ["leech", "x.torrent", "--port", "80x"], ["leech", "x.torrent", "--workers", "0"], ["leech", "x.torrent", "--workers", "9999999999"],
    ["leech", "x.torrent", "--peer", "nonsense"], ["leech", "x.torrent", "--peer", "127.0.0.1:0"], ["leech", "x.torrent", "--peer", "127.0.0.1:x"],
    ["leech", "x.torrent", "--order", "backwards"], ["leech", "x.torrent", "--download-limit", "fast"],
    ["leech", "x.torrent", "--upload-limit", "99999999999999999999"], ["leech", "x.torrent", "--seed-time", "-1"],
    ["leech", "x.torrent", "--seed-ratio", "x"], ["leech", "x.torrent", "--bind", "nowhere"], ["show", "x.torrent", "y.torrent", "--nonsense"],
    ["create", "x", "--threads", "0x"], ["verify", "x.torrent", "--json=5"],
    ["show", ""], ["leech", "x.torrent", ""],
], ids=" ".join)
def test_bad_usage_exits_with_2_and_one_line(lab, arguments):
    lab.torrent(lab.noise_file("x", 5), name="x.torrent")
    result = lab.command(*arguments, cwd=lab.folder)
    assert result.status == 2 and result.refused, result


def test_a_folder_without_a_name_is_seen_in_the_error(lab):
    torrent = lab.torrent(lab.noise_file("x", 5))
    result = lab.command("leech", torrent.path, "--output", "")
    assert result.status == 1 and result.refused and ": '': cannot create" in result.err, result


def test_arguments_are_escaped_in_errors(lab):
    result = lab.command("show", lab.path("a\x1b[31m\nb.torrent"))
    assert result.refused and "\x1b" not in result.err, result
    result = lab.command("leech", "x", "--order", "\x1b[31m\n")
    assert result.refused and "\x1b" not in result.err, result


def test_output_that_nobody_reads_is_no_crash(lab):
    """A closed pipe, as in `tbt-client show x | head -1`."""
    torrent = lab.torrent(lab.write("folder", {"%d" % i: b"x" for i in range(3000)}))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([find_program("tbt-client"), "show", torrent.path], stdout=writing, stderr=subprocess.PIPE, timeout=patience(20))
    os.close(writing)
    assert done.returncode in (0, 1, -13), done


@pytest.mark.parametrize("arguments", [["show"], ["show", "--json"], ["verify"], ["verify", "--json"]], ids=" ".join)
def test_output_that_cannot_be_written_is_a_failure(lab, arguments):
    content = lab.noise_file("file", 40000)
    torrent = lab.torrent(content)
    with open("/dev/full", "w") as full:
        done = subprocess.run([find_program("tbt-client"), *arguments, torrent.path], cwd=content.parent,
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=patience(20))
    assert done.returncode == 1, done
    assert done.stderr == "tbt-client: standard output: cannot write: No space left on device\n", done


def test_a_full_disk_is_noticed_by_create(lab):
    content = lab.noise_file("file", 40000)
    disk = lab.small_disk("small", 4096)
    (disk / "filler").write_bytes(bytes(4096))
    result = lab.command("create", content, "--output", disk / "x.torrent")
    assert result.refused and result.status == 1 and "x.torrent" in result.err, result
    assert not (disk / "x.torrent").exists()


def test_a_round_of_create_show_and_verify_with_pad_files(lab):
    content = lab.write("source/folder", {"a": noise(100), "b": noise(70000)})
    torrent = make_torrent(content, lab.path("x.torrent"), PIECE_LENGTH, align=True)
    assert len(content_bytes(content, torrent)) == torrent.size
    shown = lab.command("show", torrent.path, "--json").json
    assert shown["info_hash"] == torrent.hex
    assert verify(lab, torrent, content).status == 0


@pytest.mark.parametrize("program, arguments", [
    ("tbt-tracker", ["serve", "--listen", "127.0.0.1:0"]),
    ("tbt-client", ["leech", "some.torrent", "--port", "0", "--no-portmap", "--no-lsd", "--no-dht"]),
])
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_what_the_caller_closed_is_not_opened_as_something_else(lab, program, arguments, closed):
    """Or else what is printed would go to a socket or into a file."""
    make_torrent(lab.write("source/content", {"a": noise(9)}), lab.path("some.torrent"))
    redirected = " ".join("%d>&-" % n for n in closed)
    process = lab.process(["sh", "-c", 'exec "$0" "$@" ' + redirected, find_program(program), *arguments], program, cwd=lab.folder)

    def opened(number):
        try:
            return os.readlink("/proc/%d/fd/%s" % (process.pid, number))
        except FileNotFoundError:  # not any more
            return ""

    deadline = time.monotonic() + patience(10)
    while not any(opened(n).startswith("socket:") for n in os.listdir("/proc/%d/fd" % process.pid)):
        assert time.monotonic() < deadline, "it listens"
        time.sleep(0.01)
    assert [opened(n) for n in closed] == ["/dev/null"] * len(closed)
    process.terminate()
