"""The tracker's status page as a browser shows it."""
import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.request

import pytest

from redisserver import RedisServer
from test_tracker_udp import Asker

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")


def root_of(tracker):
    return tracker.url[: tracker.url.rindex("/announce")] + "/"


def shown(lab, url, *options):
    """The page as it is after some seconds of the browser's own time."""
    done = subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir=%s" % (lab.folder / "chromium"),
         "--virtual-time-budget=9000", *options, "--dump-dom", url],
        capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def announce(tracker, number):
    peer = "info_hash=%s&peer_id=%s&port=%d&left=1" % ("a" * 20, "b" * 20, 2000 + number)
    urllib.request.urlopen(tracker.url + "?" + peer, timeout=10).read()


def test_the_page_shows_numbers_and_draws_a_chart(lab):
    tracker = lab.tracker()
    for number in range(3):
        announce(tracker, number)
    page = shown(lab, root_of(tracker))
    assert re.search(r'id="n-peers">3<', page)
    assert re.search(r'id="n-swarms">1<', page)
    assert re.search(r'id="n-memory">[0-9.]+ [KMG]iB<', page)
    points = re.search(r'points="([^"]*)"', page).group(1).split()
    assert len(points) >= 2 and points[-1].startswith("120,")
    assert not re.search(r'<figure id="chart"[^>]* hidden', page)
    assert re.search(r'id="state"[^>]*>serving<', page)


def test_without_javascript_there_are_the_numbers_and_no_chart(lab):
    """What the server sends is what such a browser shows: nothing is left to fill in."""
    tracker = lab.tracker()
    announce(tracker, 0)
    page = urllib.request.urlopen(root_of(tracker), timeout=10).read().decode()
    assert re.search(r'id="n-peers">1<', page)
    assert re.search(r'<figure id="chart"[^>]* hidden>', page)
    assert '<noscript><meta http-equiv="refresh"' in page


def test_large_numbers_are_grouped_with_and_without_javascript(lab):
    tracker = lab.tracker()
    asker = Asker(tracker).connect()
    for number in range(1234):
        asker.announce(1, hash=number.to_bytes(20, "big"), left=number % 4, numwant=0)
    plain = urllib.request.urlopen(root_of(tracker), timeout=10).read().decode()
    for page in (plain, shown(lab, root_of(tracker))):
        for name, number in (("swarms", "1,234"), ("peers", "1,234"), ("seeds", "309"), ("leechers", "925")):
            assert 'id="n-%s">%s<' % (name, number) in page
        assert re.search(r'id="share" style="width: ?25', page)


class Quiet(http.server.BaseHTTPRequestHandler):
    """A tracker that is announced to once between two looks at its numbers."""

    announces = 0

    def do_GET(self):
        body = self.server.page
        if self.path == "/stats":
            Quiet.announces += 1
            body = json.dumps({"announces": Quiet.announces}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_less_than_one_announce_a_second_is_not_shown_as_none(lab):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.page = urllib.request.urlopen(root_of(lab.tracker()), timeout=10).read()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = shown(lab, "http://127.0.0.1:%d/" % server.server_port)
        server.shutdown()
    assert re.search(r'id="rate">0\.[1-9]<', page) and re.search(r'id="most">0\.[1-9]<', page)


def test_the_page_says_when_redis_is_away(lab):
    redis = RedisServer(lab)
    tracker = lab.tracker("--store", redis.url)
    announce(tracker, 0)
    redis.kill()
    announce(tracker, 1)
    page = shown(lab, root_of(tracker))
    assert re.search(r'class="bad">[^<]*away', page)
    assert re.search(r'id="n-peers">not known<', page)


def test_the_page_asks_nobody_else(lab):
    tracker = lab.tracker()
    page = urllib.request.urlopen(root_of(tracker), timeout=10).read().decode()
    assert not re.search(r'(src|href)="(https?:)?//|@import|url\(', page)
