"""Local service discovery: peers of one network find each other, with no tracker and no DHT."""
import importlib.util
import os
import shutil
import time

import pytest

from lab import finish_equal
from net import Machine, cable, transmission, wait_for_file
from programs import JsonProcess, find_program

GROUP = "239.192.152.143"
PORT = 6771


@pytest.fixture
def shared(lab):
    content = lab.noise_file("source/file.bin", 300000)
    return content, lab.torrent(content, 32768)


@pytest.fixture
def network(lab):
    """Two machines joined by a cable."""
    one, other = Machine(lab, "one"), Machine(lab, "other")
    cable(one, other, one_ip=["203.0.113.1/24", "2001:db8::1/64"], other_ip=["203.0.113.2/24", "2001:db8::2/64"])
    return one, other


def start(lab, machine, command, *arguments, name=None):
    """A client that has LSD and nothing else."""
    return lab.keep(JsonProcess([*machine.inside, find_program("tbt-client"), command, *arguments, "--json", "--port", "0", "--no-dht",
                                 "--no-portmap", "--no-pex"], name or command))


def seed(lab, machine, torrent, content, *arguments):
    process = start(lab, machine, "seed", torrent.path, "--file", content, *arguments)
    process.wait_for("checked")
    return process


def leech(lab, machine, torrent, folder, *arguments):
    return start(lab, machine, "leech", torrent.path, "--output", folder, "--seed-time", "0", *arguments)


def listen(machine, lab, group=GROUP):
    """Every message to the group that this machine hears, as lines."""
    script = "import socket,sys,struct\n" \
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)\n" \
        "s.bind(('%s',%d))\n" \
        "s.setsockopt(socket.IPPROTO_IP,socket.IP_ADD_MEMBERSHIP,struct.pack('4s4si',socket.inet_aton('%s'),b'\\0'*4," \
        "socket.if_nametoindex('eth0')))\n" \
        "print('ready',flush=True)\n" \
        "while True: d,a=s.recvfrom(2000); print(a[0],repr(d.decode()),flush=True)" % (group, PORT, group)
    process = lab.process([*machine.inside, "/usr/bin/python3", "-c", script], "listener")
    process.wait_until(lambda: process.out, "start", 10)
    return process


def shout(machine, text, group=GROUP, source=None, interface="eth0"):
    """Send a message to the group from a machine."""
    script = "import socket,sys,struct\n" \
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n" \
        "s.bind((%r,0))\n" \
        "s.setsockopt(socket.IPPROTO_IP,socket.IP_MULTICAST_IF,struct.pack('4s4si',b'\\0'*4,b'\\0'*4,socket.if_nametoindex(%r)))\n" \
        "[s.sendto(p,('%s',%d)) for p in %r]" % (source or "", interface, group, PORT, text if isinstance(text, list) else [text])
    machine.run("/usr/bin/python3", "-c", script)


def message(torrent, port, cookie=None):
    return ("BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: %d\r\nInfohash: %s\r\n%s\r\n\r\n" % (
        port, torrent.hex, "cookie: %s\r\n" % cookie if cookie else "")).encode()


def dialled(watch, port):
    return [line for line in watch.out if line.startswith(b"tcp ") and line.split()[2] == b"%d" % port]


def test_two_clients_of_one_network_find_each_other(lab, shared, network):
    content, torrent = shared
    one, other = network
    seed(lab, one, torrent, content)
    peer = leech(lab, other, torrent, lab.path("out"))
    finish_equal(peer, content, lab.path("out"))
    met = {e["address"].rpartition(":")[0] for e in peer.all("peer", lambda e: e["state"] == "connected")}
    assert met and met <= {"203.0.113.1", "[2001:db8::1]"}


def test_over_ipv6_alone(lab, shared):
    content, torrent = shared
    one, other = Machine(lab, "one"), Machine(lab, "other")
    cable(one, other, one_ip=["2001:db8::1/64"], other_ip=["2001:db8::2/64"])
    seed(lab, one, torrent, content)
    finish_equal(leech(lab, other, torrent, lab.path("out")), content, lab.path("out"))


def test_whoever_comes_first(lab, shared, network):
    """The leech waits; the seed's first word is enough."""
    content, torrent = shared
    one, other = network
    peer = leech(lab, other, torrent, lab.path("out"))
    peer.wait_for("checked")
    seed(lab, one, torrent, content)
    finish_equal(peer, content, lab.path("out"))


def test_two_clients_of_one_machine_without_a_network(lab, shared):
    content, torrent = shared
    alone = Machine(lab, "alone")
    seed(lab, alone, torrent, content)
    finish_equal(leech(lab, alone, torrent, lab.path("out")), content, lab.path("out"))


def test_a_magnet_link_needs_nothing_but_the_local_network(lab, shared, network):
    content, torrent = shared
    one, other = network
    seed(lab, one, torrent, content)
    peer = start(lab, other, "leech", "magnet:?xt=urn:btih:" + torrent.hex, "--output", lab.path("out"), "--seed-time", "0")
    finish_equal(peer, content, lab.path("out"))


def test_libtorrent_finds_us_and_we_find_it(lab, shared, network):
    content, torrent = shared
    if not importlib.util.find_spec("libtorrent"):
        pytest.skip("python3-libtorrent is not installed")
    one, other = network
    helper = os.path.join(os.path.dirname(__file__), "libtorrent_peer.py")
    theirs = lab.process([*one.inside, "/usr/bin/python3", helper, "seed", torrent.path, content.parent, "0.0.0.0", "7000"],
                         "libtorrent", env={**os.environ, "LIBTORRENT_LSD": "1"})
    peer = leech(lab, other, torrent, lab.path("out"))
    finish_equal(peer, content, lab.path("out"))
    theirs.kill()

    seed(lab, one, torrent, content)
    theirs = lab.process([*other.inside, "/usr/bin/python3", helper, "leech", torrent.path, lab.path("theirs"), "0.0.0.0", "7000"],
                         "libtorrent", env={**os.environ, "LIBTORRENT_LSD": "1"})
    assert theirs.wait(60) == 0
    assert (lab.path("theirs") / content.name).read_bytes() == content.read_bytes()


def test_aria2_finds_us(lab, shared, network):
    content, torrent = shared
    if not shutil.which("aria2c"):
        pytest.skip("aria2 is not installed")
    one, other = network
    seed(lab, one, torrent, content)
    theirs = lab.process([*other.inside, "aria2c", "--dir", lab.path("theirs"), "--bt-enable-lpd=true", "--enable-dht=false",
                          "--bt-lpd-interface=eth0", "--seed-time=0", "--disable-ipv6=true", torrent.path], "aria2")
    assert theirs.wait(90) == 0
    assert (lab.path("theirs") / content.name).read_bytes() == content.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["seed", "leech"])
def test_transmission_finds_us_and_we_find_it(lab, shared, network, mode):
    content, torrent = shared
    one, other = network
    for machine in network:
        machine.ip("route", "add", "default", "dev", "eth0")  # it asks the system where multicast goes
    if mode == "seed":
        transmission(lab, one, torrent, content.parent, **{"lpd-enabled": True})
        finish_equal(leech(lab, other, torrent, lab.path("out")), content, lab.path("out"), timeout=60)
    else:
        seed(lab, one, torrent, content)
        transmission(lab, other, torrent, lab.path("theirs"), **{"lpd-enabled": True})
        wait_for_file(lab.path("theirs") / content.name, content, 60)


def test_a_private_torrent_is_not_told_of(lab, network):
    one, other = network
    heard = listen(other, lab)
    secret = lab.noise_file("source/secret.bin", 100000, seed=1)
    public = lab.noise_file("source/public.bin", 100000, seed=2)
    private_torrent, public_torrent = lab.torrent(secret, info={"private": 1}), lab.torrent(public)

    alone = seed(lab, one, private_torrent, secret)
    time.sleep(1.5)
    assert alone.terminate() == 0
    assert heard.out == [b"ready"]
    both = start(lab, one, "leech", private_torrent.path, public_torrent.path, "--output", lab.path("out"))
    heard.wait_until(lambda: len(heard.out) > 1, "message")
    # Nor is anybody believed who tells of it.
    watch = one.watch("eth0")
    port = both.wait_for("listening")["port"]
    shout(other, [message(private_torrent, 4000), message(public_torrent, 4001)])
    watch.wait_until(lambda: dialled(watch, 4001), "dial for the public one", 20)
    assert dialled(watch, 4000) == []
    heard.wait_until(lambda: any(b"Port: 4001" in line for line in heard.out), "our own shouts")
    text = b"\n".join(heard.out[1:])
    assert public_torrent.hex.encode() in text and str(port).encode() in text
    assert sum(private_torrent.hex.encode() in line for line in heard.out) == 1  # our own


def test_with_no_lsd_nothing_is_said(lab, shared, network):
    content, torrent = shared
    one, other = network
    heard = listen(other, lab)
    seed(lab, one, torrent, content, "--no-lsd")
    time.sleep(1.5)
    assert heard.out == [b"ready"]


def test_bind_is_kept_to(lab, shared, network):
    """Bound to one address it speaks from that, and on that interface only."""
    content, torrent = shared
    one, other = network
    one.ip("addr", "add", "203.0.113.9/24", "dev", "eth0")
    heard = listen(other, lab)
    process = seed(lab, one, torrent, content, "--bind", "203.0.113.9")
    heard.wait_until(lambda: len(heard.out) > 1, "message")
    assert heard.out[1].startswith(b"203.0.113.9 ")
    assert process.terminate() == 0
    seed(lab, one, torrent, content, "--bind", "127.0.0.1")
    time.sleep(1.5)
    assert len(heard.out) == 2


def test_messages_are_few_and_strangers_are_not_dialled(lab, shared, network):
    content, torrent = shared
    one, other = network
    heard = listen(other, lab)
    watch = one.watch("eth0")
    process = leech(lab, one, torrent, lab.path("out"))
    process.wait_for("checked")
    heard.wait_until(lambda: len(heard.out) > 1, "message")
    other.ip("addr", "add", "198.51.100.7/32", "dev", "eth0")
    one.ip("route", "add", "198.51.100.7", "dev", "eth0")
    noise = [os.urandom(200) for _ in range(50)] + [b"BT-SEARCH * HTTP/1.1\r\n" * 60, message(torrent, 0), b""]
    shout(other, [message(torrent, 4000), *noise], source="198.51.100.7")
    shout(other, [message(torrent, 4001), *noise], source="203.0.113.2")

    watch.wait_until(lambda: dialled(watch, 4001), "dial of the neighbour", 20)
    time.sleep(1)
    assert dialled(watch, 4000) == []
    assert process.alive
    # One message in the first minute on each interface, whatever came.
    assert sum(torrent.hex.encode() in line and b"203.0.113.1 " in line for line in heard.out) == 1
