"""The tools of these tests are right themselves: other clients trade with the Python peer."""
import shutil

import pytest

from torrents import bdecode, bencode, content_bytes, differences, make_hybrid, noise


def test_bencode_goes_there_and_back():
    value = {b"a": [1, -2, b"x", {b"": b"\xff"}], b"b": 0}
    assert bdecode(bencode(value)) == value


@pytest.mark.skipif(not shutil.which("aria2c"), reason="no aria2c")
def test_aria2_downloads_from_the_python_peer_by_the_python_tracker(lab):
    content = lab.write("source/folder", {"a": noise(100000), "b/c": noise(50001), "empty": b""})
    tracker = lab.http_tracker()
    torrent = lab.torrent(content, announce=tracker.url)
    seeder = lab.seeder(torrent, content_bytes(content, torrent))
    tracker.peers.append(seeder.address)
    aria2 = lab.process(["aria2c", "--no-conf", "-d", lab.path("out"), "--seed-time=0", "--enable-dht=false",
                         "--bt-enable-lpd=false", "--interface=127.0.0.1", torrent.path], "aria2")
    assert aria2.wait(40) == 0
    assert differences(content, lab.path("out/folder")) == []
    assert seeder.sent >= torrent.size
    assert tracker.wait_for("started").number("left") == torrent.size


def test_libtorrent_accepts_the_hybrid_torrents_made_here(lab):
    libtorrent = pytest.importorskip("libtorrent")
    content = lab.write("folder", {"a": noise(100000), "b": noise(20000), "c/d": noise(1), "e": noise(65536)})
    torrent = make_hybrid(content, lab.path("x.torrent"))
    info = libtorrent.torrent_info(str(torrent.path))
    assert info.info_hashes().has_v2() and info.info_hashes().has_v1()
    assert info.info_hashes().v1.to_bytes() == torrent.info_hash
    assert info.total_size() == torrent.size
