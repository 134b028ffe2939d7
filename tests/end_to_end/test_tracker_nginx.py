"""tbt-tracker behind nginx, as docs/examples/nginx.conf has it."""
import json
import re
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from lab import free_port
from programs import patience
from test_tracker import get, query
from torrents import bdecode

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
TEMPORARY = "client_body_temp_path", "proxy_temp_path", "fastcgi_temp_path", "uwsgi_temp_path", "scgi_temp_path"

needs_nginx = pytest.mark.skipif(not NGINX, reason="needs nginx")


class Behind:
    def __init__(self, lab, *arguments):
        self.tracker = lab.tracker("--trust-proxy", "127.0.0.1", *arguments)
        self.port = free_port()
        self.folder = lab.path("nginx")
        self.folder.mkdir()
        site = EXAMPLE.read_text()
        for what, by in (("127.0.0.1:6969", "127.0.0.1:%d" % self.tracker.port), ("listen 80;", "listen 127.0.0.1:%d;" % self.port),
                         ("listen [::]:80;", ""), ("/var/log/nginx", str(self.folder))):
            assert what in site
            site = site.replace(what, by)
        (self.folder / "site.conf").write_text(site)
        (self.folder / "nginx.conf").write_text(
            "daemon off; master_process off; pid nginx.pid; events {} http { %s include site.conf; }"
            % " ".join("%s temp;" % t for t in TEMPORARY))
        self.nginx = lab.process([NGINX, "-p", self.folder, "-c", "nginx.conf", "-e", self.folder / "start.log"], "nginx")
        self.base = "http://127.0.0.1:%d" % self.port
        end = time.monotonic() + patience(10)
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            assert self.nginx.alive and time.monotonic() < end, self.nginx.tail()
            time.sleep(0.05)

    def announce(self, number, source="127.0.0.1", path="/announce", headers=""):
        """By a client at another address of loopback."""
        with socket.create_connection(("127.0.0.1", self.port), patience(10), (source, 0)) as s:
            s.sendall(("GET %s?%s HTTP/1.0\r\nHost: tracker.example\r\n%s\r\n" % (path, query(number), headers)).encode())
            answer = b""
            while part := s.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], answer
        return bdecode(body)


def addresses(reply):
    peers = reply[b"peers"]
    return sorted((socket.inet_ntoa(peers[i:i + 4]), struct.unpack(">H", peers[i + 4:i + 6])[0]) for i in range(0, len(peers), 6))


@needs_nginx
def test_peers_are_where_nginx_saw_them(lab):
    site = Behind(lab)
    site.announce(1, "127.0.0.5")
    site.announce(2, "127.0.0.6", headers="X-Forwarded-For: 9.9.9.9\r\n")
    assert addresses(site.announce(3, "127.0.0.7")) == [("127.0.0.5", 10001), ("127.0.0.6", 10002)]
    assert site.tracker.stderr == ""


@needs_nginx
def test_passkeys_go_through_and_into_no_log(lab):
    keys = lab.path("keys")
    keys.write_text("alicekey\n")
    site = Behind(lab, "--passkeys", keys)
    assert b"failure reason" in site.announce(1, path="/announce/evekey")
    assert b"interval" in site.announce(1, path="/announce/alicekey")
    assert get(site.base + "/stats")[0] == 200
    site.tracker.terminate()
    assert get(site.base + "/announce/alicekey?" + query(1))[0] == 502
    site.nginx.terminate()
    logs = "".join(p.read_text() for p in site.folder.glob("*.log"))
    assert "/stats" in logs and "evekey" not in logs and "alicekey" not in logs


@needs_nginx
def test_the_page_and_its_numbers_go_through(lab):
    site = Behind(lab)
    site.announce(1)
    status, page = get(site.base + "/")
    assert status == 200
    for address in re.findall(rb"(?:src|href|fetch\()=?[\"']([^\"'#]+)", page):
        assert not address.startswith((b"http:", b"https:", b"//")), address
    assert json.loads(get(site.base + "/stats")[1])["peers"] == 1
    assert b"tbt_tracker" in get(site.base + "/metrics")[1]
    assert get(site.base + "/health")[0] == 200


UNIT = EXAMPLE.parents[2] / "tracker" / "tbt-tracker.service.in"


@pytest.mark.parametrize("file, words", [
    ("", "serve --state /var/lib/tbt-tracker/state"),
    ('OPTIONS="--allow-dir /srv"\n', "serve --state /var/lib/tbt-tracker/state --allow-dir /srv"),
    ('OPTIONS="--store redis://127.0.0.1:1"\nSTATE=\n', "serve --store redis://127.0.0.1:1"),
])
def test_what_the_unit_starts_is_good_usage(lab, file, words):
    """By what systemd does with Environment=, EnvironmentFile= and $WORD."""
    lines = UNIT.read_text().replace("%S", "/var/lib").splitlines()
    variables = dict(line[len("Environment="):].strip('"').split("=", 1) for line in lines if line.startswith("Environment="))
    variables.update((k, v.strip('"')) for k, v in (line.split("=", 1) for line in file.splitlines()))
    (start,) = [line for line in lines if line.startswith("ExecStart=")]
    command = [w for word in start.split()[1:] for w in (variables.get(word[1:], "").split() if word[0] == "$" else [word])]
    assert " ".join(command) == words
    folder = lab.path("lib")
    folder.mkdir()
    lab.path("srv").mkdir()
    command = [w.replace("/var/lib/tbt-tracker", str(folder)).replace("/srv", str(lab.path("srv"))) for w in command[1:]]
    assert lab.tracker(*command).terminate() == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_is_as_systemd_wants_it_and_shut_in(lab):
    from programs import find_program
    unit = lab.path("tbt-tracker.service")
    unit.write_text(UNIT.read_text().replace("@bindir@/tbt-tracker", str(Path(find_program("tbt-tracker")).resolve()))
                    .replace("Documentation=man:tbt-tracker(1)\n", ""))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", unit],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout.splitlines()[-1]
