"""Private torrents (BEP 27) touch their trackers and their peers, nothing else: counted on the wire, with all switched on."""
import time

import pytest

from net import behind_router
from programs import JsonProcess, find_program

CLIENT, ROUTER = "10.0.0.2", "10.0.0.1"
NATPMP, SSDP, LSD = 5351, 1900, 6771


@pytest.fixture
def home(lab):
    return behind_router(lab, CLIENT, ROUTER)


def start(lab, machine, command, *arguments):
    """With every source of peers on; XDG_STATE_HOME is the test's own."""
    environment = ["env", "XDG_STATE_HOME=%s" % lab.path("state")]
    return lab.keep(JsonProcess([*machine.inside, *environment, find_program("tbt-client"), command, *arguments, "--json", "--port", "7001",
                                 "--dht-node", ROUTER + ":7002"], command))


def sent(watch):
    """(protocol, address, port, payload) of each packet that left."""
    fields = [line.decode().split() for line in list(watch.out)[1:]]
    return [(f[0], f[1], int(f[2]), bytes.fromhex(f[3]) if len(f) > 3 else b"") for f in fields]


def by_udp(watch):
    return [p for p in sent(watch) if p[0] == "udp"]


def test_alone_it_sends_nothing_but_to_its_tracker(lab, home):
    machine, router = home
    tracker = lab.tracker(listen=ROUTER + ":0", prefix=router.inside)
    content = lab.noise_file("source/file.bin", 100000)
    torrent = lab.torrent(content, 32768, tracker.url, info={"private": 1}, nodes=[[ROUTER, 7003]])
    watches = [machine.watch("eth0"), machine.watch("lo")]
    seed = start(lab, machine, "seed", torrent.path, "--file", content)
    seed.wait_for("announce", lambda e: "error" not in e)
    # A leech elsewhere gets it, so that all of a conversation is seen as well.
    leech = lab.keep(JsonProcess([*router.inside, find_program("tbt-client"), "leech", torrent.path, "--output", lab.path("out"), "--json",
                                  "--port", "0", "--seed-time", "0", "--bind", ROUTER], "leech"))
    assert leech.wait(30) == 0
    time.sleep(2.5)  # peer exchange and the public nodes would come after 1 or 2 s
    assert seed.terminate() == 0
    packets = [p for watch in watches for p in sent(watch)]
    assert [p for p in packets if p[0] == "udp"] == []
    assert {p[1] for p in packets if p[0] == "tcp"} == {ROUTER}
    talk = b"".join(p[3] for p in packets if p[0] == "tcp")
    assert b"ut_pex" not in talk
    # The kernel's own reports about multicast groups, but none of ours.
    groups = machine.run("cat", "/proc/net/igmp", "/proc/net/igmp6").stdout
    assert b"8F98C0EF" not in groups and b"efc0988f" not in groups


def test_beside_a_public_one_nothing_is_said_about_it(lab, home):
    machine, router = home
    secret = lab.noise_file("source/secret.bin", 100000, seed=1)
    public = lab.noise_file("source/public.bin", 100000, seed=2)
    private_torrent, public_torrent = lab.torrent(secret, info={"private": 1}, nodes=[[ROUTER, 7003]]), lab.torrent(public)
    watch = machine.watch("eth0")
    node = start_node(lab, router)
    both = start(lab, machine, "leech", private_torrent.path, public_torrent.path, "--output", lab.path("out"))
    for port, what in ((LSD, "LSD"), (7002, "DHT"), (NATPMP, "port mapping")):
        watch.wait_until(lambda: any(p[2] == port for p in by_udp(watch)), what, 20)
    watch.wait_until(lambda: any(public_torrent.info_hash in p[3] for p in by_udp(watch)), "a search in the DHT", 20)
    time.sleep(1)
    both.terminate()
    assert node.alive
    udp = by_udp(watch)
    assert any(public_torrent.hex.encode() in p[3] for p in udp if p[2] == LSD)
    for p in udp:
        assert private_torrent.info_hash not in p[3] and private_torrent.hex.encode() not in p[3].lower(), p
    assert 7003 not in {p[2] for p in udp}  # the node that the private one names


def start_node(lab, router):
    """A tbt client that is a node of the DHT, for the other to search with."""
    other = lab.noise_file("other/other.bin", 1000, seed=9)
    torrent = lab.torrent(other)
    node = lab.keep(JsonProcess([*router.inside, "env", "XDG_STATE_HOME=%s" % lab.path("node"), find_program("tbt-client"), "seed",
                                 torrent.path, "--file", other, "--json", "--port", "7002", "--bind", ROUTER, "--no-lsd", "--no-portmap"],
                                "node"))
    node.wait_for("checked")
    return node
