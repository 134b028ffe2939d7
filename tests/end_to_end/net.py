"""Machines of a small network, as network namespaces: `with` nothing but what a test puts there."""
import json
import os
import shutil
import subprocess
import time

import pytest

from programs import patience

def without_network():
    """The prefix that runs a program in a network of its own, with nothing in it, not even loopback."""
    prefix = ["unshare", "--net"]
    if subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs the right to make a network namespace")
    return prefix


class Machine:
    """A network namespace that lives as long as its holder."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
            pytest.skip("needs root, ip and unshare for a network namespace")
        self.holder = lab.process(["unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec sleep 600"], "machine " + name)
        try:
            self.holder.wait_until(lambda: b"ready" in self.holder.out, "namespace", 10)
        except AssertionError:
            pytest.skip("no network namespace to be had")
        self.inside = ["nsenter", "--net=/proc/%d/ns/net" % self.holder.pid]

    def run(self, *argv, check=True):
        return subprocess.run([*self.inside, *argv], check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ip(self, *words):
        self.run("ip", *words)

    def watch(self, interface):
        """What crosses an interface from now on, as a list of lines that grows; see packet_watch.py."""
        script = os.path.join(os.path.dirname(__file__), "packet_watch.py")
        process = self.lab.process([*self.inside, "/usr/bin/python3", script, interface], "watch " + self.name)
        process.wait_until(lambda: process.out, "start", 10)
        return process


def cable(one, other, name="eth0", one_ip=(), other_ip=()):
    """Join two machines by a cable, `name` at both ends, with these addresses ("10.0.0.1/24")."""
    subprocess.run(["ip", "link", "add", name, "netns", str(one.holder.pid), "type", "veth", "peer", "name", name,
                    "netns", str(other.holder.pid)], check=True)
    for machine, addresses in ((one, one_ip), (other, other_ip)):
        for address in addresses:
            machine.ip("addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        machine.ip("link", "set", name, "up")
    # The kernel notices the carrier a moment later; until then IPv6 has no route for multicast.
    deadline = time.monotonic() + patience(10)
    for machine in (one, other):
        while b"ff00::/8 dev " + name.encode() not in machine.run("ip", "-6", "route", "show", "table", "local", "type", "multicast").stdout:
            assert time.monotonic() < deadline, "no carrier"
            time.sleep(0.05)


def behind_router(lab, address, way):
    """A machine that has this address, and the router at `way` that it goes out by."""
    machine, router = Machine(lab, "machine"), Machine(lab, "router")
    cable(machine, router, one_ip=[address + "/24"], other_ip=[way + "/24"])
    machine.ip("route", "add", "default", "via", way)
    return machine, router


def transmission(lab, machine, torrent, folder, bootstrap=(), **settings):
    """transmission-cli on a machine, with nothing switched on but what `settings` name; `bootstrap`: nodes of the DHT, "HOST PORT"."""
    if not shutil.which("transmission-cli"):
        pytest.skip("transmission-cli is not installed")
    config = lab.path("transmission")
    config.mkdir()
    off = {key: False for key in ("dht-enabled", "lpd-enabled", "utp-enabled", "pex-enabled", "port-forwarding-enabled")}
    config.joinpath("settings.json").write_text(json.dumps({**off, **settings}))
    config.joinpath("dht.bootstrap").write_text("".join(node + "\n" for node in bootstrap))
    folder.mkdir(exist_ok=True)
    return lab.process([*machine.inside, "transmission-cli", "-g", config, "-w", folder, "-p", "7000", torrent.path], "transmission")


def wait_for_file(path, content, timeout):
    deadline = time.monotonic() + patience(timeout)
    while not path.exists() or path.read_bytes() != content.read_bytes():
        assert time.monotonic() < deadline, "%s is not there within %g s" % (path, patience(timeout))
        time.sleep(0.1)
