"""The DHT: peers without a tracker, and nothing of it for a private torrent."""
import importlib.util
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from dhtnode import DhtNode
from fakepeer import DHT_BIT, PORT, Connection
from lab import finish_equal, free_port
from net import Machine, cable, transmission, wait_for_file, without_network
from programs import JsonProcess, find_program, patience
from torrents import bencode

PIECE_LENGTH = 32768


def state(lab, name):
    """An environment with a state folder of its own."""
    folder = lab.path("state-" + name)
    folder.mkdir(exist_ok=True)
    return {**os.environ, "XDG_STATE_HOME": str(folder)}


def dht_seed(lab, torrent, content, name, *arguments, **kw):
    return lab.seed(torrent, content, *arguments, dht=True, env=state(lab, name), **kw)


def dht_leech(lab, torrent, folder, name, *arguments, **kw):
    return lab.leech(torrent, folder, *arguments, dht=True, env=state(lab, name), **kw)


def meeting_place(lab):
    """A client that shares something else, and through which the others meet."""
    other = lab.noise_file("other/other.bin", 1000, seed=9)
    return dht_seed(lab, lab.torrent(other), other, "meeting")


@pytest.fixture
def shared(lab):
    content = lab.noise_file("source/file.bin", 300000)
    return content, lab.torrent(content, PIECE_LENGTH)


def test_a_leech_finds_a_seed_by_the_dht_alone(lab, shared):
    content, torrent = shared
    meeting = meeting_place(lab)
    dht_seed(lab, torrent, content, "seed", "--dht-node", meeting.address)
    leech = dht_leech(lab, torrent, lab.path("out"), "leech", "--dht-node", meeting.address)
    finish_equal(leech, content, lab.path("out"))
    assert leech.all("announce") == []


def test_two_clients_that_only_know_each_other(lab, shared):
    content, torrent = shared
    seed = dht_seed(lab, torrent, content, "seed")
    leech = dht_leech(lab, torrent, lab.path("out"), "leech", "--dht-node", seed.address)
    finish_equal(leech, content, lab.path("out"))


def test_by_ipv6(lab, shared):
    content, torrent = shared
    seed = dht_seed(lab, torrent, content, "seed", bind="::1")
    leech = dht_leech(lab, torrent, lab.path("out"), "leech", "--dht-node", seed.address, bind="::1")
    finish_equal(leech, content, lab.path("out"))


def test_a_magnet_link_needs_nothing_but_the_dht(lab, shared):
    content, torrent = shared
    meeting = meeting_place(lab)
    dht_seed(lab, torrent, content, "seed", "--dht-node", meeting.address)
    leech = lab.client("leech", "magnet:?xt=urn:btih:" + torrent.hex, "--output", lab.path("out"), "--seed-time", "0",
                       "--dht-node", meeting.address, dht=True, env=state(lab, "leech"))
    finish_equal(leech, content, lab.path("out"))


def test_nodes_that_the_torrent_names_are_entered_by(lab):
    content = lab.noise_file("source/file.bin", 300000)
    meeting = meeting_place(lab)
    torrent = lab.torrent(content, PIECE_LENGTH, nodes=[["127.0.0.1", meeting.port]])
    dht_seed(lab, torrent, content, "seed")
    leech = dht_leech(lab, torrent, lab.path("out"), "leech")
    finish_equal(leech, content, lab.path("out"))


def test_nodes_are_kept_between_runs(lab, shared):
    content, torrent = shared
    meeting = meeting_place(lab)
    kept = lab.path("state-mine") / "tbt" / "dht-nodes"
    first = dht_leech(lab, torrent, lab.path("out"), "mine", "--dht-node", meeting.address)
    first.wait_for("listening")
    node = lab.serve(DhtNode())  # somebody who asks it, to know that it has met the meeting place
    wait_until(lambda: known_nodes(node, first.wait_for("listening")["port"]), "a node in its table")
    first.terminate()
    assert kept.stat().st_size > 0 and kept.stat().st_mode & 0o77 == 0
    assert [p.name for p in kept.parent.iterdir()] == ["dht-nodes"]

    dht_seed(lab, torrent, content, "seed", "--dht-node", meeting.address)
    leech = dht_leech(lab, torrent, lab.path("out"), "mine")
    finish_equal(leech, content, lab.path("out"))


def test_a_damaged_node_file_is_passed_over(lab, shared):
    content, torrent = shared
    seed = dht_seed(lab, torrent, content, "seed")
    env = state(lab, "mine")
    for damage in (b"", b"d5:nodes", os.urandom(100000), b"d5:nodes6:\x7f\0\0\1\0\0e"):
        place = lab.path("state-mine") / "tbt" / "dht-nodes"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(damage)
        out = lab.path("out%d" % len(damage))
        leech = lab.leech(torrent, out, "--dht-node", seed.address, dht=True, env=env)
        finish_equal(leech, content, out)
        assert leech.stderr == ""


@pytest.mark.slow
def test_when_all_nodes_of_the_last_run_have_gone_the_public_ones_are_asked(lab, shared):
    """They are looked up in /etc/hosts here: one of them is on loopback, where a client listens on its port."""
    content, torrent = shared
    machine = Machine(lab, "machine")
    hosts = lab.path("hosts")
    hosts.write_text("127.0.0.1 dht.libtorrent.org\n")
    known = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]

    def client(command, torrent, name, port, *arguments):
        argv = [*machine.inside, *known, find_program("tbt-client"), command, torrent.path, "--json", "--port", str(port), "--no-lsd",
                "--no-portmap", "--no-pex", *arguments]
        process = lab.keep(JsonProcess(argv, name, env=state(lab, name)))
        process.wait_for("listening")
        return process

    other = lab.noise_file("other/other.bin", 1000, seed=9)
    others = lab.torrent(other)
    gone = client("seed", others, "gone", 2001, "--file", other)
    client("seed", others, "public", 25401, "--file", other)
    client("seed", torrent, "seed", 2002, "--file", content, "--dht-node", "127.0.0.1:25401")
    place = lab.path("state-leech") / "tbt" / "dht-nodes"
    place.parent.mkdir(parents=True)
    place.write_bytes(bencode({"nodes": socket.inet_aton("127.0.0.1") + (2001).to_bytes(2, "big")}))
    leech = client("leech", torrent, "leech", 2003, "--output", lab.path("out"), "--seed-time", "0")
    time.sleep(3)  # longer than the second after which it would ask them anyway
    gone.kill()
    finish_equal(leech, content, lab.path("out"), timeout=60)


# Other clients in the same DHT, with a tbt-client between as the only one that both know.


def libtorrent(mode, torrent, folder, port, node):
    return [sys.executable, Path(__file__).with_name("libtorrent_peer.py"), mode, torrent.path, folder, "127.0.0.1", str(port), node]


def aria2(mode, torrent, folder, port, node):
    # It wants a second port for UDP.
    return ["aria2c", "--no-conf", "--dir", folder, "--listen-port=%d" % port, "--dht-listen-port=%d" % free_port(), "--enable-dht=true",
            "--dht-listen-addr6=::1", "--interface=127.0.0.1", "--disable-ipv6=true", "--dht-entry-point=" + node,
            "--dht-file-path=%s.dht" % folder, "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--check-integrity=true",
            "--allow-overwrite=true", "--seed-ratio=0.0" if mode == "seed" else "--seed-time=0", torrent.path]


OTHERS = {"libtorrent": (libtorrent, importlib.util.find_spec("libtorrent")), "aria2": (aria2, shutil.which("aria2c"))}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("mode", ["seed", "leech"])
def test_other_clients_are_met_in_the_dht(lab, shared, name, mode):
    command, there = OTHERS[name]
    if not there:
        pytest.skip(name + " is not installed")
    content, torrent = shared
    meeting = meeting_place(lab)
    if mode == "seed":
        lab.process(command("seed", torrent, content.parent, free_port(), meeting.address), name)
        leech = dht_leech(lab, torrent, lab.path("out"), "leech", "--dht-node", meeting.address)
        finish_equal(leech, content, lab.path("out"))
    else:
        dht_seed(lab, torrent, content, "seed", "--dht-node", meeting.address)
        lab.path("out").mkdir()
        other = lab.process(command("leech", torrent, lab.path("out"), free_port(), meeting.address), name)
        assert other.wait(60) == 0, other.tail()
        assert lab.path("out").joinpath(content.name).read_bytes() == content.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("mode, v6", [("seed", False), ("leech", True)], ids=["a seed, IPv4", "a leech, IPv6"])
def test_transmission_is_met_in_a_dht_of_ten_networks(lab, shared, mode, v6):
    """Addresses that are not loopback, each in a network of its own, as tables want them; transmission takes part when it knows some."""
    content, torrent = shared
    hub, left, right = (Machine(lab, name) for name in ("hub", "left", "right"))
    cable(hub, left, "eth0", ["203.0.113.1/24", "2001:db8::1/64"], ["203.0.113.2/24", "2001:db8::2/64"])
    cable(hub, right, "eth1", ["198.51.100.1/24", "2001:db8:1::1/64"], ["198.51.100.2/24", "2001:db8:1::2/64"])
    hub.run("sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    for machine, v4_way, v6_way in ((left, "203.0.113.1", "2001:db8::1"), (right, "198.51.100.1", "2001:db8:1::1")):
        machine.ip("route", "add", "default", "via", v4_way)
        machine.ip("-6", "route", "add", "default", "via", v6_way)

    def client(machine, command, torrent, name, *arguments):
        argv = [*machine.inside, find_program("tbt-client"), command, torrent.path, "--json", "--port", "6881", "--no-lsd", "--no-portmap",
                "--no-pex", "--workers", "8", *arguments]
        process = lab.keep(JsonProcess(argv, name, env=state(lab, name)))
        process.wait_for("listening")
        return process

    other = lab.noise_file("other/other.bin", 1000, seed=9)
    others = lab.torrent(other)
    hosts = ["2001:db8:10%d::1" % i if v6 else "198.18.%d.1" % i for i in range(10)]
    entrance = ["--dht-node", "[%s]:6881" % hosts[0] if v6 else hosts[0] + ":6881"]
    for i, host in enumerate(hosts):
        hub.ip("addr", "add", host, "dev", "lo", *(["nodad"] if v6 else []))
        client(hub, "seed", others, "node%d" % i, "--file", other, "--bind", host, *(entrance if i else []))
    bootstrap = [host + " 6881" for host in hosts]
    if mode == "seed":
        transmission(lab, right, torrent, content.parent, bootstrap, **{"dht-enabled": True})
        leech = client(left, "leech", torrent, "leech", "--output", lab.path("out"), "--seed-time", "0", *entrance)
        finish_equal(leech, content, lab.path("out"), timeout=120)
    else:
        client(left, "seed", torrent, "seed", "--file", content, *entrance)
        transmission(lab, right, torrent, lab.path("theirs"), bootstrap, **{"dht-enabled": True})
        wait_for_file(lab.path("theirs") / content.name, content, 120)


def wait_until(condition, what, timeout=20):
    deadline = time.monotonic() + patience(timeout)
    while not condition():
        assert time.monotonic() < deadline, "no %s within %g s" % (what, patience(timeout))
        time.sleep(0.05)


def known_nodes(node, port):
    """Ask a client whom it knows."""
    before = len(node.replies)
    node.send(port, {"t": "aa", "y": "q", "q": "find_node", "ro": 1, "a": {"id": node.id, "target": node.id}})
    wait_until(lambda: len(node.replies) > before, "answer", 5)
    return node.replies[-1][0][b"r"].get(b"nodes", b"")


def test_a_client_announces_itself_with_the_token(lab, shared):
    content, torrent = shared
    node = lab.serve(DhtNode())
    seed = dht_seed(lab, torrent, content, "seed", "--dht-node", node.address)
    told = node.wait_asked(b"announce_peer")[0]
    assert told[b"info_hash"] == torrent.info_hash
    assert told[b"port"] == seed.port
    assert told[b"token"] == b"tokentok"


def test_a_peer_that_a_node_names_is_dialled(lab, shared):
    content, torrent = shared
    seeder = lab.seeder(torrent, content.read_bytes())
    node = lab.serve(DhtNode(peers=[(seeder.host, seeder.port)]))
    leech = dht_leech(lab, torrent, lab.path("out"), "leech", "--dht-node", node.address)
    finish_equal(leech, content, lab.path("out"))


def test_a_private_torrent_is_none_of_the_dhts_business(lab):
    node = lab.serve(DhtNode())
    secret = lab.noise_file("source/secret.bin", 100000, seed=1)
    public = lab.noise_file("source/public.bin", 100000, seed=2)
    private_torrent = lab.torrent(secret, PIECE_LENGTH, info={"private": 1}, nodes=[["127.0.0.1", node.port]])
    public_torrent = lab.torrent(public, PIECE_LENGTH)

    # Alone: not one packet, whatever the options say.
    alone = dht_seed(lab, private_torrent, secret, "alone", "--dht-node", node.address)
    with Connection.dial(alone.port, private_torrent) as c:
        c.shake_hands()
        assert not c.they_can(DHT_BIT)
    # Beside a public one, for which the DHT runs.
    both = lab.client("leech", private_torrent.path, public_torrent.path, "--output", lab.path("out"), "--dht-node", node.address,
                      dht=True, env=state(lab, "both"))
    port = both.wait_for("listening")["port"]
    node.wait_asked(b"announce_peer")
    with Connection.dial(port, private_torrent) as c:
        c.send_handshake(dht=True)
        c.receive_handshake()
        assert not c.they_can(DHT_BIT)
        c.send_pieces(range(private_torrent.piece_count))
        stranger = lab.serve(DhtNode())
        c.send(PORT, stranger.port.to_bytes(2, "big"))
        kinds = {c.receive()[0] for _ in range(3)}
        assert PORT not in kinds
        time.sleep(1)
        assert stranger.raw == []
    assert node.mentions(public_torrent.info_hash)
    assert not node.mentions(private_torrent.info_hash)
    assert {source[1] for _, source in node.queries} == {port}


def test_peers_tell_each_other_their_nodes(lab, shared):
    content, torrent = shared
    seed = dht_seed(lab, torrent, content, "seed")
    node = lab.serve(DhtNode())
    others = [lab.serve(DhtNode()) for _ in range(3)]
    with Connection.dial(seed.port, torrent) as c:
        c.send_handshake(dht=True)
        c.receive_handshake()
        assert c.they_can(DHT_BIT)
        c.send_pieces([])
        assert c.receive_until(PORT)[1] == seed.port.to_bytes(2, "big")
        c.send(PORT, node.port.to_bytes(2, "big"))
        node.wait_asked(b"ping")
        node.wait_asked(b"announce_peer")  # and it is of use
        # More than one such message is not followed: a scan of ports by our hand.
        for other in others:
            c.send(PORT, other.port.to_bytes(2, "big"))
        time.sleep(1)
        assert [o.raw for o in others] == [[], [], []]
    with Connection.dial(seed.port, torrent) as c:
        c.send_handshake()  # without the bit
        c.receive_handshake()
        c.send_pieces([])
        assert PORT not in {c.receive()[0] for _ in range(2)}


@pytest.mark.parametrize("answer", [
    lambda packet: b"", lambda packet: b"d" * 1400, lambda packet: packet[:-1], lambda packet: packet + b"x" * 3000,
    lambda packet: packet.replace(b"1:y1:r", b"1:y1:e"), lambda packet: os.urandom(200),
], ids=["empty", "open dictionaries", "cut", "too long", "an error", "noise"])
def test_a_hostile_node_does_no_harm(lab, shared, answer):
    content, torrent = shared
    node = lab.serve(DhtNode(answer=answer))
    seed = dht_seed(lab, torrent, content, "seed", "--dht-node", node.address)
    node.wait_asked(b"find_node")
    leech = dht_leech(lab, torrent, lab.path("out"), "leech", "--dht-node", seed.address, "--dht-node", node.address)
    finish_equal(leech, content, lab.path("out"))


def test_a_flood_of_packets_does_not_stop_the_download(lab, shared):
    content, torrent = shared
    seed = dht_seed(lab, torrent, content, "seed")
    node = lab.serve(DhtNode())
    for i in range(20000):
        node.send(seed.port, os.urandom(100) if i % 2 else b"d1:ad2:id20:" + node.id + b"e1:q4:ping1:t2:aa1:y1:qe")
    leech = dht_leech(lab, torrent, lab.path("out"), "leech", "--dht-node", seed.address)
    finish_equal(leech, content, lab.path("out"))
    # Its answers to one source are few.
    assert len(node.replies) < 200


def test_wrong_node_addresses_are_bad_usage(lab, shared):
    _, torrent = shared
    for node in ("", "x", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":6881", "::1:6881", "[::1]"):
        ran = lab.command("leech", torrent.path, "--dht-node", node)
        assert ran.status == 2 and ran.refused, (node, ran)
        assert "--dht-node" in ran.err


def test_without_any_network_it_waits_quietly(lab, shared):
    _, torrent = shared
    prefix = without_network()
    process = lab.process([*prefix, find_program("tbt-client"), "leech", torrent.path, "--output", lab.path("out"), "--json",
                           "--no-lsd", "--no-portmap", "--verbose"], "leech", env=state(lab, "leech"))
    process.wait_until(lambda: any(b'"checked"' in line for line in process.out), "check")
    time.sleep(2)  # it looks for the public nodes after one
    started = time.monotonic()
    assert process.terminate() == 1
    assert time.monotonic() - started < 1.5
    told = [line for line in process.err if b"DHT" in line]
    assert len(told) <= 1, process.stderr
    assert not lab.path("state-leech").joinpath("tbt").exists()


def test_its_port_taken_by_another_it_goes_on_without(lab, shared):
    content, torrent = shared
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        seed = dht_seed(lab, torrent, content, "seed", port=port)
        leech = lab.leech(torrent, lab.path("out"), peers=[seed])
        finish_equal(leech, content, lab.path("out"))


def test_its_port_taken_over_one_family_it_says_so(lab, shared):
    content, torrent = shared
    machine = Machine(lab, "machine")
    hold = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7001)); print('ready', flush=True); time.sleep(600)"
    holder = lab.process([*machine.inside, "/usr/bin/python3", "-c", hold], "holder")
    holder.wait_until(lambda: holder.out, "start", 10)
    seed = lab.keep(JsonProcess([*machine.inside, find_program("tbt-client"), "seed", torrent.path, "--file", content, "--json", "--verbose",
                                 "--port", "7001", "--no-lsd", "--no-portmap"], "seed", env=state(lab, "seed")))
    seed.wait_for("checked")
    seed.wait_until(lambda: "0.0.0.0:7001: cannot bind for UDP: Address already in use; DHT over IPv6 only" in seed.stderr, "the reason")
