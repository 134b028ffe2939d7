"""A crowd of tbt clients: one seed that can upload only so much, and eight leeches that come at once."""
import time

import pytest

from lab import finish_equal
from programs import patience

MIB = 1 << 20
LEECHES = 8


def crowd(lab, order):
    """Seconds until all have everything, and copies that the seed gave; its limit gives one in four seconds."""
    size = 8 * MIB
    content = lab.noise_file("source-%s/file" % order, size)
    torrent = lab.torrent(content, 65536, lab.tracker().url, name=order + ".torrent")
    seeder = lab.seed(torrent, content, "--upload-limit", str(size // 4))
    seeder.wait_for("announce")
    started = time.monotonic()
    leeches = [lab.leech(torrent, lab.path("%s%d" % (order, i)), "--order", order, stay=True) for i in range(LEECHES)]
    for leech in leeches:
        leech.wait_complete(timeout=60)
    took = time.monotonic() - started
    assert seeder.find("peer", lambda e: e["state"] == "banned") is None
    for i, leech in enumerate(leeches):
        assert leech.terminate() == 0
        finish_equal(leech, content, lab.path("%s%d" % (order, i)))
    seeder.terminate()
    return took, seeder.find("stopped")["uploaded"] / torrent.size


@pytest.mark.parametrize("order", ["rarest", "sequential"])
def test_a_crowd_trades(lab, order):
    """In order they trade somewhat less well: each has what the others have."""
    took, copies = crowd(lab, order)
    print("%.1f s, %.1f copies" % (took, copies))
    assert took < patience(12) and copies < 2.5, "%.1f s, %.1f copies: the seed alone would take 32" % (took, copies)
