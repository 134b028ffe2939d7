"""tbt-tracker --state: a restart that a fleet does not notice; files that are not what they should be."""
import json
import os
import random
import signal
import socket
import struct
import threading
import time

import pytest

from programs import patience
from test_tracker import announce, get
from test_tracker_udp import Asker

SWARMS = [bytes([n]) * 20 for n in range(20)]


def fill(tracker, peers):
    asker = Asker(tracker).connect()
    for n in range(peers):
        asker.announce(n, hash=SWARMS[n % len(SWARMS)], left=n % 3, numwant=0)


def whom(tracker, swarm):
    """All peers of a swarm, as a leecher that leaves again sees them."""
    asker = Asker(tracker).connect()
    _, leechers, seeders, peers = asker.announce(40000, hash=swarm, numwant=200)
    asker.announce(40000, hash=swarm, event=3)
    return leechers - 1, seeders, sorted(peers)


def stats(tracker):
    return json.loads(get(tracker.base + "/stats")[1])


def test_a_fleet_does_not_notice_a_restart(lab):
    state = lab.path("state")
    tracker = lab.tracker("--state", state)
    fill(tracker, 2000)
    before = {swarm: whom(tracker, swarm) for swarm in SWARMS}
    port = tracker.port
    assert tracker.terminate() == 0
    again = lab.tracker("--state", state, listen="127.0.0.1:%d" % port)
    restored = again.wait_for("restored")
    assert (restored["peers"], restored["expired"]) == (2000, 0)
    assert {swarm: whom(again, swarm) for swarm in SWARMS} == before
    assert len(before[SWARMS[0]][2]) == 100
    assert again.stderr == ""
    assert sorted(p.name for p in lab.folder.iterdir()) == ["state"]
    assert oct(state.stat().st_mode)[-3:] == "600"


def test_after_kill_9_there_is_what_was_saved_last(lab):
    state = lab.path("state")
    tracker = lab.tracker("--state", state, "--state-interval", "1")
    fill(tracker, 500)
    counted = time.time()
    end = time.monotonic() + patience(15)
    while not state.exists() or state.stat().st_mtime < counted + 1:
        assert time.monotonic() < end, "never saved"
        time.sleep(0.05)
    tracker.kill()
    assert lab.tracker("--state", state).wait_for("restored")["peers"] == 500


def test_it_is_killed_at_any_moment_of_saving_and_the_file_stays_whole(lab):
    state = lab.path("state")
    tracker = lab.tracker("--state", state, "--state-interval", "1")
    fill(tracker, 3000)
    tracker.terminate()
    for turn in range(10):
        tracker = lab.tracker("--state", state, "--state-interval", "1")
        assert tracker.wait_for("restored")["peers"] == 3000
        assert tracker.stderr == ""
        tracker.signal(signal.SIGTERM)
        time.sleep(random.random() * 0.01)  # a moment of the last save, any
        tracker.kill()


@pytest.mark.parametrize("away", [0, 3])
def test_time_away_counts(lab, away):
    state = lab.path("state")
    tracker = lab.tracker("--state", state, "--peer-timeout", "3")
    announce(tracker, 1)
    tracker.terminate()
    time.sleep(away)  # this is what the test is about
    again = lab.tracker("--state", state, "--peer-timeout", "3")
    restored = again.wait_for("restored")
    assert restored["peers"] == (0 if away else 1) and restored["expired"] == (1 if away else 0)
    end = time.monotonic() + patience(15)
    while stats(again)["peers"]:
        assert time.monotonic() < end, "it is never dropped"
        time.sleep(0.1)


def test_ipv6_and_counts_come_back(lab):
    state = lab.path("state")
    tracker = lab.tracker("--state", state, listen="[::1]:0")
    announce(tracker, 1)
    announce(tracker, 1, left=0, event="completed")
    tracker.terminate()
    again = lab.tracker("--state", state, listen="[::1]:0")
    reply = announce(again, 2)
    assert reply[b"peers6"] == socket.inet_pton(socket.AF_INET6, "::1") + struct.pack(">H", 10001)
    assert reply[b"complete"] == 1
    reply = announce(again, 1, left=0, event="completed")
    assert stats(again)["peers"] == 2


def damaged(bytes, case):
    half = len(bytes) // 2
    return {"empty": b"", "text": b"hello world\n" * 100, "cut": bytes[:half], "last byte": bytes[:-1],
            "flipped": bytes[:half] + b"\xff\x00\xff" + bytes[half + 3:], "head": b"\xff" * 40 + bytes[40:],
            "huge frame": bytes[:32] + b"\xff" * 4 + bytes[36:], "newer": bytes[:8] + b"\0\0\0\x09" + bytes[12:]}[case]


@pytest.mark.parametrize("case", ["empty", "text", "cut", "last byte", "flipped", "head", "huge frame", "newer"])
def test_a_damaged_state_is_told_and_no_hindrance(lab, case):
    state = lab.path("state")
    tracker = lab.tracker("--state", state)
    fill(tracker, 30000)
    tracker.terminate()
    content = damaged(state.read_bytes(), case)
    state.write_bytes(content)
    again = lab.tracker("--state", state)
    assert str(state) in again.wait_for("warning")["message"]
    kept = lab.path("state.old")
    assert kept.exists() == (case in ("text", "head", "newer")) and (not kept.exists() or kept.read_bytes() == content)
    again.wait_until(lambda: again.stderr, "the warning on stderr")
    assert again.stderr.count("\n") == 0 and str(state) in again.stderr, again.stderr
    assert stats(again)["peers"] < 30000 or case == "last byte"
    announce(again, 1)
    assert again.terminate() == 0
    third = lab.tracker("--state", state)
    assert third.stderr == "", "the next one is whole"


@pytest.mark.parametrize("kind", ["folder", "fifo", "nowhere", "something else"])
def test_a_state_that_cannot_be_kept_is_an_error(lab, kind):
    state = lab.path("state")
    if kind == "something else":
        state.write_bytes(b"dear to somebody")
        (lab.path("state.old") / "in the way").mkdir(parents=True)
    elif kind == "folder":
        state.mkdir()
    elif kind == "fifo":
        os.mkfifo(state)
    else:
        state = lab.path("nowhere") / "state"
    done = lab.command("serve", "--listen", "127.0.0.1:0", "--state", state, program="tbt-tracker")
    assert done.status == 1 and done.refused and str(state) in done.err
    assert kind != "something else" or state.read_bytes() == b"dear to somebody"


def test_a_state_goes_with_memory_only(lab):
    done = lab.command("serve", "--listen", "127.0.0.1:0", "--store", "redis://127.0.0.1:1", "--state", lab.path("state"),
                       program="tbt-tracker")
    assert done.status == 2 and done.refused


def test_a_full_disk_is_told_and_the_old_state_stays(lab):
    disk = lab.small_disk("disk", 65536)
    state = disk / "state"
    tracker = lab.tracker("--state", state)
    fill(tracker, 100)
    assert tracker.terminate() == 0
    old = state.read_bytes()
    tracker = lab.tracker("--state", state)
    fill(tracker, 30000)
    assert tracker.terminate() == 1
    assert "state" in tracker.stderr and "space" in tracker.stderr
    assert state.read_bytes() == old and len(list(disk.iterdir())) == 1


def test_a_second_one_that_cannot_listen_leaves_the_state_alone(lab):
    state = lab.path("state")
    tracker = lab.tracker("--state", state)
    fill(tracker, 100)
    tracker.terminate()
    first = lab.tracker("--state", state)
    old = state.read_bytes()
    done = lab.command("serve", "--listen", "127.0.0.1:%d" % first.port, "--state", state, program="tbt-tracker")
    assert done.status == 1
    assert state.read_bytes() == old


def test_announces_go_on_while_it_saves(lab):
    """Saving every second under load: nobody waits, and at the end all are there."""
    state = lab.path("state")
    tracker = lab.tracker("--state", state, "--state-interval", "1")
    slowest, done = [0.0], threading.Event()

    def load(source):
        asker = Asker(tracker, source=source).connect()
        n = 0
        while not done.is_set():
            begin = time.monotonic()
            asker.announce(n % 40000, hash=SWARMS[n % 20], numwant=50)
            slowest[0] = max(slowest[0], time.monotonic() - begin)
            n += 1

    threads = [threading.Thread(target=load, args=("127.0.0.%d" % i,)) for i in (2, 3)]
    for t in threads:
        t.start()
    time.sleep(4)  # several saves
    done.set()
    for t in threads:
        t.join()
    peers = stats(tracker)["peers"]
    assert tracker.terminate() == 0
    assert lab.tracker("--state", state).wait_for("restored")["peers"] == peers
    assert slowest[0] < patience(0.5)
