"""Torrents that are given by the URL of their file."""
import http.server
import threading
import time

import pytest

from lab import finish_equal
from programs import is_refusal, loopback, patience


class Site:
    """A web server that answers with what `answer(handler)` does."""

    def __init__(self, answer):
        self.requests = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests.append((self.path, dict(self.headers)))
                answer(self)

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *unused: None
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def say(handler, status, body=b"", **headers):
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key, value)
    handler.end_headers()
    handler.wfile.write(body)


def test_a_torrent_is_fetched_by_its_url(lab):
    content = lab.noise_file("source/file", 100000)
    torrent = lab.torrent(content)
    site = lab.serve(Site(lambda h: say(h, 302, Location="/there") if h.path != "/there" else say(h, 200, torrent.path.read_bytes())))
    seeder = lab.client("seed", site.url + "/x.torrent", "--file", content)
    seeder.wait_for("checked")
    leech = lab.client("leech", site.url + "/get?id=5", "--output", lab.path("out"), "--peer", seeder.address, "--seed-time", "0")
    finish_equal(leech, content, lab.path("out"))


def flood(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"d" * 65536)


def headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-More: and more\r\n" * 1000)


@pytest.mark.parametrize("what, answer, word", [
    ("missing", lambda h: say(h, 404, b"no"), "HTTP 404"),
    ("a page", lambda h: say(h, 200, b"<!DOCTYPE html>"), "not a torrent"),
    ("empty", lambda h: say(h, 200), "not a torrent"),
    ("endless", flood, "larger than 10 MiB"),
    ("nothing but headers", headers, "headers too long"),
    ("elsewhere", lambda h: say(h, 302, Location="file:///etc/passwd"), "redirected"),
    ("for ever elsewhere", lambda h: say(h, 302, Location="/"), "5 redirects"),
    ("bad gzip", lambda h: say(h, 200, b"xxxx", **{"Content-Encoding": "gzip"}), ""),
], ids=lambda v: v if isinstance(v, str) and " " not in v else "")
def test_what_is_no_torrent_is_one_line(lab, what, answer, word):
    site = lab.serve(Site(answer))
    result = lab.command("leech", site.url + "/0123456789abcdef/x.torrent", *loopback(), cwd=lab.folder)
    assert result.refused and result.status == 1 and word in result.err, result
    assert site.url[7:] in result.err and "0123456789abcdef" not in result.err, result


def test_nobody_has_to_wait_for_a_silent_site(lab):
    site = lab.serve(Site(lambda h: time.sleep(patience(60))))
    leech = lab.client("leech", site.url, "--output", lab.path("out"))
    leech.wait_until(lambda: site.requests, "request")
    assert leech.terminate(2) == 1
    assert is_refusal(1, leech.stderr) and "stopped" in leech.stderr, leech.tail()


KEY = "0123456789abcdef"


def test_no_key_is_printed_of_what_is_given_twice(lab):
    torrent = lab.torrent(lab.noise_file("file", 5))
    site = lab.serve(Site(lambda h: say(h, 200, torrent.path.read_bytes())))
    link = "magnet:?xt=urn:btih:%s&tr=http%%3A%%2F%%2F127.0.0.1%%3A1%%2F%s&tr=udp://127.0.0.1:1/%s" % (torrent.hex, KEY, KEY)
    leech = lab.client("leech", torrent.path, "%s/%s/x?key=%s" % (site.url, KEY, KEY), link, "--output", lab.path("out"))
    leech.wait_for("listening")
    leech.terminate()
    assert leech.stderr.count("given twice") == 2 and torrent.hex in leech.stderr
    assert all(KEY.encode() not in line for line in leech.out + leech.err)


LINK = "magnet:?xt=urn:btih:%s&tr=http%%3A%%2F%%2F127.0.0.1%%3A1%%2F%s" % ("1" * 40, KEY)
URL = "http://127.0.0.1:1/%s/x?key=%s" % (KEY, KEY)


@pytest.mark.parametrize("command, word, options", [
    ("show", URL, ()), ("verify", URL, ()), ("verify", LINK, ()), ("seed", LINK, loopback()),
], ids=["show-url", "verify-url", "verify-link", "seed-link"])
def test_no_key_is_printed_of_what_a_command_does_not_take(lab, command, word, options):
    result = lab.command(command, word, *options)
    assert result.refused and result.status == 1, result
    assert "..." in result.err and KEY not in result.err, result


@pytest.mark.parametrize("command", ["show", "verify"])
def test_other_commands_fetch_nothing(lab, command):
    site = lab.serve(Site(lambda h: say(h, 404)))
    result = lab.command(command, site.url + "/x.torrent")
    assert result.refused and result.status == 1 and "leech" in result.err, result
    assert site.requests == []
