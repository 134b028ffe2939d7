"""The tracker's status page as a browser shows it."""
import re
import shutil
import subprocess
import urllib.request

import pytest

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
    assert not re.search(r'<figure id="chart" hidden', page)


def test_without_javascript_there_are_the_numbers_and_no_chart(lab):
    """What the server sends is what such a browser shows: nothing is left to fill in."""
    tracker = lab.tracker()
    announce(tracker, 0)
    page = urllib.request.urlopen(root_of(tracker), timeout=10).read().decode()
    assert re.search(r'id="n-peers">1<', page)
    assert '<figure id="chart" hidden>' in page
    assert '<noscript><meta http-equiv="refresh"' in page


def test_the_page_asks_nobody_else(lab):
    tracker = lab.tracker()
    page = urllib.request.urlopen(root_of(tracker), timeout=10).read().decode()
    assert not re.search(r'(src|href)="(https?:)?//|@import|url\(', page)
