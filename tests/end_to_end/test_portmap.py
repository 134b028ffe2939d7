"""Port mapping: the router is asked by NAT-PMP or UPnP to hand connections on, and told at the end that it need not."""
import os
import shutil
import subprocess
import time

import pytest

from net import Machine, behind_router, cable
from programs import JsonProcess, find_program, patience

ROUTER = "10.0.0.1"
CLIENT = "10.0.0.2"
PUBLIC = "203.0.113.77"


# What miniupnpd writes its rules into, by the names that it has by default.
CHAINS = """
table inet filter {
    chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iif eth0 accept; jump miniupnpd; }
    chain miniupnpd { }
    chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""


@pytest.fixture
def home(lab):
    return behind_router(lab, CLIENT, ROUTER)


@pytest.fixture
def shared(lab):
    content = lab.noise_file("source/file.bin", 100000)
    return content, lab.torrent(content, 32768)


# A peer at the address that prints the port of the node it is told of.
ASK_NODE = """
import socket, sys, types
from fakepeer import DHT_BIT, PORT, Connection
torrent = types.SimpleNamespace(info_hash=bytes.fromhex(sys.argv[1]), piece_count=4)
with Connection.dial(7001, torrent, host=sys.argv[2], source=sys.argv[3]) as c:
    c.send_handshake(dht=True)
    c.receive_handshake()
    c.send_pieces([])
    print(int.from_bytes(c.receive_until(PORT)[1], "big"))
"""


def fake(lab, router, natpmp, upnp):
    script = os.path.join(os.path.dirname(__file__), "fake_router.py")
    process = lab.process([*router.inside, "/usr/bin/python3", script, natpmp, upnp], "router")
    process.wait_until(lambda: b"ready" in process.out, "start", 10)
    return process


def start(lab, machine, torrent, content, *arguments, dht=False):
    process = lab.keep(JsonProcess([*machine.inside, find_program("tbt-client"), "seed", torrent.path, "--file", content, "--json",
                                    "--port", "7001", *([] if dht else ["--no-dht"]), "--no-lsd", *arguments], "seed",
                                   env={**os.environ, "XDG_STATE_HOME": str(lab.path("state"))}))
    process.wait_for("checked")
    return process


def asked(router, *words):
    """The router's lines that begin so."""
    begin = " ".join(words).encode()
    return [line for line in list(router.out) if line.startswith(begin)]


def wait_asked(router, *words):
    return router.wait_until(lambda: asked(router, *words), " ".join(words), 20)


def ends_soon(process):
    started = time.monotonic()
    assert process.terminate() == 0
    assert time.monotonic() - started < 4


def test_by_nat_pmp(lab, shared, home):
    content, torrent = shared
    machine, router = home
    box = fake(lab, router, "ok", "ok")
    seed = start(lab, machine, torrent, content)
    mapped = seed.wait_for("mapped")
    assert (mapped["port"], mapped["external_port"], mapped["external"], mapped["by"]) == (7001, 7001, PUBLIC + ":7001", "NAT-PMP")
    wait_asked(box, "natpmp tcp 7001 7001 3600")
    wait_asked(box, "natpmp udp 7001 7001 3600")
    ends_soon(seed)
    wait_asked(box, "natpmp tcp 7001 0 0")
    wait_asked(box, "natpmp udp 7001 0 0")
    assert asked(box, "upnp") == [] and asked(box, "ssdp") == []


def test_by_upnp(lab, shared, home):
    content, torrent = shared
    machine, router = home
    box = fake(lab, router, "-", "ok")
    seed = start(lab, machine, torrent, content)
    mapped = seed.wait_for("mapped")
    assert (mapped["external"], mapped["by"]) == (PUBLIC + ":7001", "UPnP")
    for protocol in ("TCP", "UDP"):
        wait_asked(box, "upnp AddPortMapping %s 7001 7001 %s 3600" % (protocol, CLIENT))
    ends_soon(seed)
    for protocol in ("TCP", "UDP"):
        wait_asked(box, "upnp DeletePortMapping %s 7001" % protocol)


def test_a_router_that_knows_no_leases(lab, shared, home):
    content, torrent = shared
    machine, router = home
    box = fake(lab, router, "-", "permanent")
    seed = start(lab, machine, torrent, content)
    seed.wait_for("mapped")
    wait_asked(box, "upnp AddPortMapping TCP 7001 7001 %s 0" % CLIENT)
    ends_soon(seed)
    wait_asked(box, "upnp DeletePortMapping TCP 7001")


@pytest.mark.parametrize("natpmp, upnp", [("1000", "-"), ("-", "conflict")], ids=["NAT-PMP", "UPnP"])
def test_another_port_outside_is_the_one_announced(lab, home, natpmp, upnp):
    machine, router = home
    box = fake(lab, router, natpmp, upnp)
    assert box.alive
    content = lab.noise_file("source/file.bin", 100000)
    # The tracker is asked by hand when all is known: a second client that starts later is told the port.
    tracker = lab.tracker(listen=ROUTER + ":0", prefix=router.inside)
    torrent = lab.torrent(content, 32768, tracker.url)
    seed = start(lab, machine, torrent, content)
    mapped = seed.wait_for("mapped")
    assert mapped["port"] == 7001 and mapped["external_port"] != 7001
    if natpmp != "-":
        assert mapped["external_port"] == 8001
    # At the stop it says goodbye as whom the tracker should know it.
    watch = machine.watch("eth0")
    ends_soon(seed)
    wanted = ("port=%d" % mapped["external_port"]).encode()
    sent = [bytes.fromhex(line.split()[3].decode()) for line in watch.out if line.startswith(b"tcp ") and len(line.split()) == 4]
    stopped = [data for data in sent if b"event=stopped" in data]
    assert stopped and all(wanted in data for data in stopped)


@pytest.mark.parametrize("where, outside", [("8.8.4.4", True), (ROUTER, False)], ids=["outside", "inside"])
def test_another_port_outside_is_where_peers_there_find_our_node(lab, shared, home, where, outside):
    content, torrent = shared
    machine, router = home
    fake(lab, router, "1000", "-")
    router.ip("addr", "add", "8.8.4.4/32", "dev", "lo")
    seed = start(lab, machine, torrent, content, dht=True)
    seed.wait_for("mapped")
    told = subprocess.run([*router.inside, "/usr/bin/python3", "-c", ASK_NODE, torrent.hex, CLIENT, where], cwd=os.path.dirname(__file__),
                          check=True, stdout=subprocess.PIPE, timeout=patience(30)).stdout
    assert int(told) == (8001 if outside else 7001)


def test_bind_is_what_is_mapped(lab, shared, home):
    content, torrent = shared
    machine, router = home
    machine.ip("addr", "add", "10.0.0.9/24", "dev", "eth0")
    box = fake(lab, router, "ok", "ok")
    seed = start(lab, machine, torrent, content, "--bind", "10.0.0.9")
    # NAT-PMP would give the port to the address that asks, which is another.
    assert seed.wait_for("mapped")["by"] == "UPnP"
    wait_asked(box, "upnp AddPortMapping TCP 7001 7001 10.0.0.9 3600")
    ends_soon(seed)
    seed = start(lab, machine, torrent, content, "--bind", "127.0.0.1")
    count = len(box.out)
    time.sleep(1)
    ends_soon(seed)
    assert len(box.out) == count


@pytest.mark.parametrize("upnp", ["hang", "elsewhere", "-"])
def test_a_router_that_does_not_help_holds_up_nothing(lab, shared, home, upnp):
    content, torrent = shared
    machine, router = home
    box = fake(lab, router, "-", upnp)
    seed = start(lab, machine, torrent, content)
    if upnp == "hang":
        wait_asked(box, "http GET")
    else:
        wait_asked(box, "ssdp")
    ends_soon(seed)
    assert seed.all("mapped") == []
    if upnp == "elsewhere":
        assert asked(box, "http") == []


def test_the_end_waits_for_no_router_that_has_mapped_nothing(lab, shared, home):
    """It takes more than a second to know that there is none."""
    content, torrent = shared
    machine, router = home
    box = fake(lab, router, "-", "-")
    seed = start(lab, machine, torrent, content)
    wait_asked(box, "ssdp")
    started = time.monotonic()
    assert seed.terminate() == 0
    assert time.monotonic() - started < patience(0.7)


def test_stopped_while_it_looks_for_a_router(lab, shared, home):
    content, torrent = shared
    machine, router = home
    for pause in (0, 0.5, 1, 2.2):
        seed = start(lab, machine, torrent, content)
        time.sleep(pause)
        ends_soon(seed)


def test_no_portmap_and_private_torrents_ask_nobody(lab, shared, home):
    content, torrent = shared
    machine, router = home
    box = fake(lab, router, "ok", "ok")
    private = lab.torrent(content, 32768, info={"private": 1})
    for arguments in ((torrent, content, "--no-portmap"), (private, content)):
        seed = start(lab, machine, *arguments)
        time.sleep(1.5)
        ends_soon(seed)
    assert box.out == [b"ready"]


def test_miniupnpd_by_both_protocols(lab, shared, home):
    """The daemon that most routers run."""
    content, torrent = shared
    machine, router = home
    daemon = shutil.which("miniupnpd") or "/usr/sbin/miniupnpd"
    nft = shutil.which("nft") or "/usr/sbin/nft"
    if not os.path.exists(daemon) or not os.path.exists(nft):
        pytest.skip("miniupnpd or nftables is not installed")
    chains = lab.path("chains.nft")
    chains.write_text(CHAINS)
    if router.run(nft, "-f", chains, check=False).returncode:
        pytest.skip("no nftables in this kernel")
    router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    outside = Machine(lab, "outside")
    # It maps nothing when its own address is none of the internet's.
    cable(router, outside, name="wan0", one_ip=["5.6.7.8/24"], other_ip=["5.6.7.1/24"])
    for natpmp in ("yes", "no"):
        config = lab.path("miniupnpd-%s.conf" % natpmp)
        config.write_text("ext_ifname=wan0\nlistening_ip=eth0\nenable_natpmp=%s\nenable_upnp=yes\nsystem_uptime=yes\n"
                          "allow 1024-65535 10.0.0.0/24 1024-65535\nuuid=00000000-0000-0000-0000-000000000001\n" % natpmp)
        daemon_log = lab.process([*router.inside, daemon, "-d", "-f", config, "-P", lab.path("pid-" + natpmp)], "miniupnpd")
        daemon_log.wait_until(lambda: "listening on port" in daemon_log.stderr, "start", 10)
        seed = start(lab, machine, torrent, content)
        mapped = seed.wait_for("mapped")
        assert mapped["by"] == ("NAT-PMP" if natpmp == "yes" else "UPnP")
        assert mapped["external"] == "5.6.7.8:7001"
        reached = outside.run("/usr/bin/python3", "-c", "import socket; socket.create_connection(('5.6.7.8', 7001), 5)", check=False)
        assert reached.returncode == 0, reached.stdout
        ends_soon(seed)
        assert b"7001" not in router.run(nft, "list", "ruleset").stdout
        daemon_log.kill()
