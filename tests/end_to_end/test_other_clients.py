"""Trade with the clients of others, tbt-tracker between them, in both directions; and with the torrents that they make.

Transmission drops peers in 127/8 that a tracker names, so all of this happens
in a network namespace that has 10.99.0.0/24 on its loopback device."""
import importlib.util
import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from lab import finish_equal
from programs import patience, scaled
from torrents import Torrent, bdecode, differences, noise

MIB = 1 << 20
TRACKER = "10.99.0.1"
TBT = "10.99.0.2"
OTHER = "10.99.0.3"


class Island:
    """A lab whose programs live in a network namespace of their own."""

    def __init__(self, lab):
        self.lab = lab
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
            pytest.skip("needs root, ip and unshare for a network namespace")
        up = " && ".join(["ip link set lo up"] + ["ip addr add 10.99.0.%d/32 dev lo" % i for i in range(1, 9)])
        holder = lab.process(["unshare", "-n", "sh", "-c", up + " && echo ready && exec sleep 600"], "namespace")
        try:
            holder.wait_until(lambda: b"ready" in holder.out, "namespace", 10)
        except AssertionError:
            pytest.skip("no network namespace to be had")
        self.inside = ["nsenter", "--net=/proc/%d/ns/net" % holder.pid]
        self.tracker = lab.tracker(listen=TRACKER + ":0", prefix=self.inside)

    def torrent(self, content, **kw):
        return self.lab.torrent(content, 65536, self.tracker.url, **kw)

    def seed(self, torrent, content, address=TBT):
        seeder = self.lab.seed(torrent, content, bind=address, prefix=self.inside)
        seeder.wait_for("announce", lambda e: "error" not in e)
        return seeder

    def leech(self, torrent, folder, address=TBT, **kw):
        return self.lab.leech(torrent, folder, bind=address, prefix=self.inside, **kw)

    def start(self, client, mode, torrent, folder, address=OTHER, port=7000):
        """Another client; returns it with `.wait_done()` for a leech."""
        work = self.lab.path("%s-%s-%d" % (client, mode, port))
        work.mkdir()
        folder.mkdir(parents=True, exist_ok=True)
        done = work / "done"
        argv = OTHERS[client](mode, torrent.path, folder, address, port, work, hook(work, done))
        environment = dict(os.environ, HOME=str(work), XDG_CONFIG_HOME=str(work), TERM="dumb")
        process = self.lab.process(self.inside + argv, "%s %s" % (client, mode), cwd=work, env=environment)

        def wait_done(timeout=90):
            deadline = time.monotonic() + patience(timeout)
            while not done.exists() and not (not process.alive and process.process.returncode == 0):
                assert process.alive and time.monotonic() < deadline, "%s did not complete\n%s" % (client, process.tail())
                time.sleep(0.05)

        process.wait_done = wait_done
        return process


def hook(work, done):
    """A script that these programs call when they are complete."""
    script = work / "hook.sh"
    script.write_text("#!/bin/sh\n: > '%s'\n" % done)
    script.chmod(0o755)
    return script


def aria2(mode, torrent, folder, address, port, work, script):
    last = ["--bt-seed-unverified=true", "--seed-ratio=0.0"] if mode == "seed" else ["--seed-time=0"]
    return ["aria2c", "--no-conf", "--dir", str(folder), "--listen-port=%d" % port, "--interface=" + address, "--disable-ipv6=true", "--enable-dht=false",
            "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--file-allocation=none", "--allow-overwrite=true", "--summary-interval=0",
            "--bt-save-metadata=false", "--async-dns=false", "--on-bt-download-complete=%s" % script, *last, str(torrent)]


def transmission(mode, torrent, folder, address, port, work, script):
    config = work / "config"
    config.mkdir()
    (config / "settings.json").write_text(json.dumps({
        "bind-address-ipv4": address, "peer-port": port, "utp-enabled": False, "dht-enabled": False, "lpd-enabled": False, "pex-enabled": False,
        "encryption": 0, "port-forwarding-enabled": False, "rpc-enabled": False, "preallocation": 1, "download-queue-enabled": False,
        "script-torrent-done-enabled": True, "script-torrent-done-filename": str(script)}))
    return ["transmission-cli", "-g", str(config), "-w", str(folder), "-p", str(port), "-et", "-M", "-f", str(script), str(torrent)]


def libtorrent(mode, torrent, folder, address, port, work, script):
    return [sys.executable, str(Path(__file__).with_name("libtorrent_peer.py")), mode, str(torrent), str(folder), address, str(port)]


def rtorrent(mode, torrent, folder, address, port, work, script):
    (work / "session").mkdir()
    config = work / "rtorrent.rc"
    config.write_text("\n".join([
        "session.path.set=%s" % (work / "session"), "directory.default.set=%s" % folder, "network.bind_address.set=" + address,
        "network.port_range.set=%d-%d" % (port, port), "dht.mode.set=disable", "protocol.pex.set=no", "trackers.use_udp.set=no",
        "system.daemon.set=true", "method.set_key=event.download.finished,done,\"execute={%s}\"" % script,
        "schedule2=load,0,0,\"load.start=%s\"" % torrent, ""]))
    return ["rtorrent", "-n", "-o", "import=%s" % config]


def ctorrent(mode, torrent, folder, address, port, work, script):
    last = ["-f", "-e", "1"] if mode == "seed" else ["-e", "0"]
    name = bdecode(Path(torrent).read_bytes())[b"info"][b"name"].decode()
    return ["ctorrent", "-i", address, "-p", str(port), "-E", "0:0", *last, "-s", str(folder / name), str(torrent)]


OTHERS = {"aria2": aria2, "transmission": transmission, "libtorrent": libtorrent, "rtorrent": rtorrent, "ctorrent": ctorrent}
THERE = {"rtorrent": shutil.which("rtorrent"), "ctorrent": shutil.which("ctorrent"), "aria2": shutil.which("aria2c"), "transmission": shutil.which("transmission-cli"), "libtorrent": importlib.util.find_spec("libtorrent"),
         "mktorrent": shutil.which("mktorrent"), "transmission-create": shutil.which("transmission-create")}


def need(*names):
    for name in names:
        if not THERE[name]:
            pytest.skip("no " + name)


@pytest.fixture
def island(lab):
    return Island(lab)


def contents(lab):
    """Without an empty file: Transmission neither makes one nor puts one into its torrents."""
    return [lab.noise_file("source/file.bin", scaled(4 * MIB) + 77),
            lab.write("source/folder", {"a b.txt": noise(100000), "кит/x": noise(65536 * 3), "z": noise(1)})]


CLIENTS = [pytest.param("aria2"), pytest.param("libtorrent"), pytest.param("rtorrent"), pytest.param("ctorrent", marks=pytest.mark.slow),
           pytest.param("transmission", marks=pytest.mark.slow)]


@pytest.mark.parametrize("client", CLIENTS)
def test_from_tbt_to_another(lab, island, client):
    need(client)
    leeches = []
    for i, content in enumerate(contents(lab)):
        torrent = island.torrent(content)
        island.seed(torrent, content)
        leeches.append((content, island.start(client, "leech", torrent, lab.path("out%d" % i), port=7000 + i)))
    for i, (content, leech) in enumerate(leeches):
        leech.wait_done()
        assert differences(content, lab.path("out%d" % i) / content.name) == []


@pytest.mark.parametrize("client", CLIENTS)
def test_from_another_to_tbt(lab, island, client):
    need(client)
    leeches = []
    for i, content in enumerate(contents(lab)):
        torrent = island.torrent(content)
        island.start(client, "seed", torrent, content.parent, port=7000 + i)
        leeches.append((content, island.leech(torrent, lab.path("out%d" % i))))
    for i, (content, leech) in enumerate(leeches):
        finish_equal(leech, content, lab.path("out%d" % i), timeout=90)


def test_a_mixed_swarm_trades(lab, island):
    """One slow tbt seeder; an aria2, a libtorrent and two tbt leeches get it from each other, too."""
    need("aria2", "libtorrent")
    content = lab.noise_file("source/file.bin", scaled(8 * MIB, MIB))
    torrent = island.torrent(content)
    seeder = lab.seed(torrent, content, "--upload-limit", str(content.stat().st_size // 2), bind=TBT, prefix=island.inside)
    seeder.wait_for("announce")
    tbt = [island.leech(torrent, lab.path("tbt%d" % i), address="10.99.0.%d" % (5 + i), stay=True) for i in range(2)]
    others = [island.start("aria2", "leech", torrent, lab.path("aria2"), OTHER, 7000), island.start("libtorrent", "leech", torrent, lab.path("lt"), "10.99.0.4", 7001)]
    for other in others:
        other.wait_done()
    for i, leech in enumerate(tbt):
        leech.wait_complete()
        assert leech.terminate() == 0
        assert differences(content, lab.path("tbt%d/file.bin" % i)) == []
    for folder in ("aria2", "lt"):
        assert differences(content, lab.path(folder) / "file.bin") == []


def made_by(lab, maker, content, out, announce):
    if maker == "mktorrent":
        argv = ["mktorrent", "-l", "16", "-a", announce, "-o", out, content]
    elif maker == "transmission-create":
        argv = ["transmission-create", "-s", "64", "-t", announce, "-o", out, content]
    else:
        script = ("import libtorrent as lt, sys, os\nfs = lt.file_storage()\nlt.add_files(fs, sys.argv[1])\nt = lt.create_torrent(fs, 65536)\n"
                  "t.add_tracker(sys.argv[2])\nlt.set_piece_hashes(t, os.path.dirname(sys.argv[1]))\nopen(sys.argv[3], 'wb').write(lt.bencode(t.generate()))\n")
        argv = [sys.executable, "-c", script, str(content), announce, str(out)]
    assert lab.process(argv, maker).wait(30) == 0
    return Torrent.read(out)


@pytest.mark.parametrize("maker", ["mktorrent", "transmission-create", "libtorrent"])
def test_torrents_that_others_made(lab, maker):
    """libtorrent's are hybrid by default, with pad files."""
    need(maker)
    tracker = lab.tracker()
    for i, content in enumerate(contents(lab)):
        torrent = made_by(lab, maker, content, lab.path("%d.torrent" % i), tracker.url)
        shown = lab.command("show", torrent.path, "--json").json
        assert shown["info_hash"] == torrent.hex and shown["name"] == content.name
        assert lab.command("verify", torrent.path, "--file", content).status == 0
        seeder = lab.seed(torrent, content)
        seeder.wait_for("announce")
        finish_equal(lab.leech(torrent, lab.path("out%d" % i)), content, lab.path("out%d" % i))


def test_create_makes_what_mktorrent_makes(lab):
    need("mktorrent")
    content = lab.noise_file("source/file.bin", 300000)
    theirs = made_by(lab, "mktorrent", content, lab.path("theirs.torrent"), "http://127.0.0.1:1/announce")
    assert lab.command("create", content, "--piece-length", "64K", "-o", lab.path("ours.torrent")).status == 0
    assert bdecode(lab.path("ours.torrent").read_bytes())[b"info"] == theirs.info


@pytest.mark.parametrize("reader", ["aria2", "libtorrent", "transmission-create"])
def test_others_read_what_create_makes(lab, reader):
    need(reader)
    content = contents(lab)[1]
    made = lab.path("made.torrent")
    assert lab.command("create", content, "-a", "http://127.0.0.1:1/announce", "-o", made).status == 0
    torrent_hash = lab.command("show", made, "--json").json["info_hash"]
    argv = {"aria2": ["aria2c", "-S", made], "transmission-create": ["transmission-show", made],
            "libtorrent": [sys.executable, "-c", "import libtorrent, sys\nprint(libtorrent.torrent_info(sys.argv[1]).info_hash())", made]}[reader]
    shown = lab.process(argv, reader)
    assert shown.wait(20) == 0
    assert torrent_hash.encode() in b"\n".join(shown.out)
