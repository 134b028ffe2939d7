"""More connections than workers: those of no use make room, and a crowd at the door keeps nobody out."""
import socket
import time

import pytest

from fakepeer import Closed, Connection, fetch_piece
from knockers import Knockers
from lab import free_port
from programs import patience, scaled
from swarm import PIECE_LENGTH


@pytest.mark.slow
def test_500_that_never_shake_hands_make_room_for_a_newcomer(swarm):
    seeder = swarm.seed()
    crowd = []
    try:
        for i in range(scaled(500)):
            s = socket.socket()
            s.bind(("127.0.0.%d" % (100 + i % 50), 0))
            s.settimeout(patience(2))
            try:
                s.connect(("127.0.0.1", seeder.port))
            except OSError:
                s.close()
                continue
            crowd.append(s)
        newcomer_is_served(swarm, seeder, 15)
    finally:
        for s in crowd:
            s.close()


@pytest.mark.slow
def test_500_that_idle_after_the_handshake_make_room_for_a_newcomer(swarm):
    seeder = swarm.seed()
    crowd = []
    try:
        for i in range(scaled(500)):
            try:
                c = Connection.dial(seeder.port, swarm.torrent, source="127.0.0.%d" % (100 + i % 50), timeout=2)
                c.send_handshake()
                crowd.append(c)
            except (OSError, Closed):
                pass
        newcomer_is_served(swarm, seeder, 30)
    finally:
        for c in crowd:
            c.close()


OTHER_HOSTS = ["127.0.0.%d" % i for i in range(100, 104)]
ITS_OWN_HOST = ["127.0.0.9"]


@pytest.mark.slow
@pytest.mark.parametrize("shake_hands", [False, True], ids=["mute", "idle"])
@pytest.mark.parametrize("sources", [OTHER_HOSTS, ITS_OWN_HOST], ids=["other_hosts", "its_own_host"])
def test_500_that_come_back_at_once_make_room_for_a_newcomer(swarm, sources, shake_hands):
    seeder = swarm.seed()
    with Knockers(seeder.port, scaled(500), sources, swarm.torrent if shake_hands else None):
        newcomer_is_served(swarm, seeder, 30 if shake_hands else 15)


@pytest.mark.slow
def test_a_crowd_at_the_door_does_not_keep_a_leech_from_dialling(swarm):
    port = free_port()  # nobody is there yet
    leech = swarm.leech("127.0.0.1:%d" % port)
    leech.wait_for("listening")
    with Knockers(leech.port, scaled(500), OTHER_HOSTS, swarm.torrent):
        swarm.seed(port=port)
        swarm.finish(leech)


@pytest.mark.slow
def test_who_has_waited_for_a_worker_has_no_more_than_15_seconds_in_all(swarm):
    seeder = swarm.seed("--workers", "1")
    with swarm.lab.dial(seeder, swarm.torrent) as useful:
        useful.shake_hands(pieces=())
        useful.become_unchoked()
        started = time.monotonic()
        mute = swarm.lab.dial(seeder, swarm.torrent, source="127.0.0.100")
        while time.monotonic() - started < 8:
            useful.fetch(0)
            time.sleep(0.2)
    assert mute.wait_closed(16 - (time.monotonic() - started)) is not None
    assert time.monotonic() - started > 9, "it had no worker"


def newcomer_is_served(swarm, seeder, seconds):
    """Trying again and again, as clients do, an honest peer gets a piece within so many seconds."""
    deadline = time.monotonic() + patience(seconds)
    while True:
        try:
            got = fetch_piece(seeder.port, swarm.torrent, 3, source="127.0.0.9", timeout=5)
            assert got == swarm.data[3 * PIECE_LENGTH:4 * PIECE_LENGTH]
            return
        except (Closed, OSError):
            assert time.monotonic() < deadline, "a newcomer is not served within %d s" % seconds
            time.sleep(0.3)
