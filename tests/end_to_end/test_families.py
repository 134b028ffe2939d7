"""A tracker with an IPv4 and an IPv6 address is told both of ours (BEP 7)."""
import pytest

from lab import finish_equal
from net import Machine
from programs import JsonProcess, find_program

ALONE = ["--no-dht", "--no-lsd", "--no-portmap", "--no-pex"]


def start(lab, machine, command, torrent, *arguments):
    """A client for which tracker.test has both addresses of loopback."""
    hosts = lab.path("hosts")
    hosts.write_text("127.0.0.1 tracker.test\n::1 tracker.test\n")
    known = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
    return lab.keep(JsonProcess([*machine.inside, *known, find_program("tbt-client"), command, torrent.path, "--json", "--port", "0",
                                 *ALONE, *arguments], command))


@pytest.mark.parametrize("scheme", ["http", "udp"])
def test_peers_of_both_families_find_a_seed(lab, scheme):
    machine = Machine(lab, "machine")
    tracker = lab.tracker("--listen", "[::1]:6969", listen="127.0.0.1:6969", prefix=machine.inside)
    tracker.wait_for("listening", lambda e: "::1" in e["address"])
    content = lab.noise_file("source/file.bin", 100000)
    torrent = lab.torrent(content, 32768, scheme + "://tracker.test:6969/announce")
    seed = start(lab, machine, "seed", torrent, "--file", content)
    seed.wait_for("announce", lambda e: "error" not in e)
    for address in ("127.0.0.1", "::1"):
        leech = start(lab, machine, "leech", torrent, "--output", lab.path("out " + address.replace(":", "-")), "--seed-time", "0",
                      "--bind", address)
        finish_equal(leech, content, lab.path("out " + address.replace(":", "-")))


@pytest.mark.parametrize("scheme", ["http", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_a_tracker_of_one_family_is_enough(lab, scheme, address):
    machine = Machine(lab, "machine")
    lab.tracker(listen=address + ":6969", prefix=machine.inside)
    content = lab.noise_file("source/file.bin", 100000)
    torrent = lab.torrent(content, 32768, scheme + "://tracker.test:6969/announce")
    seed = start(lab, machine, "seed", torrent, "--file", content)
    seed.wait_for("announce")
    assert seed.all("announce", lambda e: "error" in e) == []
    assert seed.terminate() == 0
