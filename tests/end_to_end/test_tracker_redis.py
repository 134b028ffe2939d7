"""tbt-tracker with its swarms in Redis: several trackers, Redis away, hanging and back, a cluster."""
import concurrent.futures
import json
import struct
import time

import pytest

from lab import finish_equal
from programs import patience, scaled
from redisserver import RedisServer, SlowRedis, cluster_of_three
from test_other_clients import OTHER, TBT, TRACKER, Island, need
from test_tracker import HASH, announce, get, ports, scrape
from test_tracker_udp import Asker
from torrents import noise


@pytest.fixture
def redis(lab):
    return RedisServer(lab)


def wait_for(condition, what, timeout=10):
    deadline = time.monotonic() + patience(timeout)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_back(tracker):
    return b"failure reason" not in announce(tracker, 99)


def timed(function, *args, **kw):
    started = time.monotonic()
    result = function(*args, **kw)
    return result, time.monotonic() - started


def test_two_trackers_on_one_redis_share_their_swarms(lab, redis):
    one, other = lab.tracker("--store", redis.url), lab.tracker("--store", redis.url)
    announce(one, 1)
    assert ports(announce(other, 2, left=0)) == [10001]
    announce(other, 3, left=0, event="completed")
    assert scrape(one, HASH)[HASH] == {b"complete": 2, b"downloaded": 1, b"incomplete": 1}
    announce(other, 1, event="stopped")
    assert ports(announce(one, 4)) == [10002, 10003]
    asker = Asker(one)
    asker.connect()
    assert len(asker.announce(5, hash=HASH)[3]) == 3, "UDP, too"
    assert redis.command("TYPE", "tbt:{%s}" % HASH.hex()) == b"zset"


@pytest.mark.parametrize("hash", [b"{}" * 10, b"}" * 20, b"\0" * 20, b"\r\n$-1\r\n*1\r\n%s '\"\\ ", b"\xff" * 20])
def test_any_bytes_are_a_hash(lab, redis, hash):
    tracker = lab.tracker("--store", redis.url)
    hash = hash.ljust(20)
    announce(tracker, 1, info_hash=hash)
    assert ports(announce(tracker, 2, info_hash=hash)) == [10001]
    assert scrape(tracker, hash, HASH)[hash][b"incomplete"] == 2


def test_peers_are_gone_after_their_time(lab, redis):
    tracker = lab.tracker("--store", redis.url, "--interval", "1", "--peer-timeout", "2")
    announce(tracker, 1)
    assert int(redis.command("DBSIZE")) == 1
    wait_for(lambda: ports(announce(tracker, 2)) == [], "the first peer is gone")
    wait_for(lambda: int(redis.command("DBSIZE")) == 0, "the swarm is gone")


def test_pages_say_what_is_known(lab, redis):
    tracker = lab.tracker("--store", redis.url)
    announce(tracker, 1)
    stats = json.loads(get(tracker.base + "/stats")[1])
    assert (stats["swarms"], stats["peers"], stats["announces"]) == (1, None, 1)
    assert b"not known" in get(tracker.base + "/")[1]
    assert b"tbt_tracker_peers" not in get(tracker.base + "/metrics")[1]
    redis.kill()
    wait_for(lambda: json.loads(get(tracker.base + "/stats")[1])["swarms"] is None, "the swarms are not known")


def test_redis_killed_and_started_again(lab, redis):
    tracker = lab.tracker("--store", redis.url)
    announce(tracker, 1)
    assert get(tracker.base + "/health") == (200, b"ok\n")
    redis.kill()
    reply, took = timed(announce, tracker, 2)
    assert b"away" in reply[b"failure reason"] and reply[b"retry in"] == 1 and took < patience(1)
    assert b"redis" not in reply[b"failure reason"], "strangers need not know what is behind"
    assert get(tracker.base + "/health")[0] == 503
    asker = Asker(tracker)
    asker.connect()
    packet = asker.announce_packet()
    answer = asker.ask(packet)
    assert struct.unpack(">I", answer[:4])[0] == 3 and b"away" in answer
    redis.start()
    wait_for(lambda: is_back(tracker), "announces are answered again")
    wait_for(lambda: get(tracker.base + "/health")[0] == 200, "it is healthy")
    told = tracker.stderr.splitlines()
    assert len(told) == 2 and "refused until it is back" in told[0] and "it is back" in told[1], told


@pytest.mark.slow
def test_redis_that_goes_again_soon_is_told_of_in_the_end(lab, redis):
    """Trouble that comes and goes is no storm of lines, but who stays away is told of."""
    tracker = lab.tracker("--store", redis.url)
    for turn in range(2):
        redis.kill()
        wait_for(lambda: not is_back(tracker), "it is away")
        if turn == 0:
            redis.start()
            wait_for(lambda: is_back(tracker), "it is back")
    tracker.wait_until(lambda: len(tracker.err) == 3, "the third line")
    assert "it is back" in tracker.stderr.splitlines()[1] and "refused until it is back" in tracker.stderr.splitlines()[2]


def test_redis_that_hangs_holds_up_nobody_for_long(lab, redis):
    tracker = lab.tracker("--store", redis.url, "--threads", "2")
    announce(tracker, 1)
    redis.hang()
    _, took = timed(announce, tracker, 2)
    assert took < patience(1)
    _, took = timed(lambda: [announce(tracker, n) for n in range(100)])
    assert took < patience(1.5), "who comes later is refused at once"
    asker = Asker(tracker)
    asker.connect()
    answer, took = timed(asker.ask, asker.announce_packet())
    assert b"away" in answer and took < patience(1)
    redis.go_on()
    wait_for(lambda: is_back(tracker), "announces are answered again")


def test_a_slow_redis_holds_up_nobody_for_long(lab, redis):
    """Each answer takes a while: many who ask at once do not wait for one another, but are refused."""
    slow = lab.serve(SlowRedis(redis))
    tracker = lab.tracker("--store", slow.url, "--threads", "2")
    announce(tracker, 1)
    slow.delay = 0.1
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        results = list(pool.map(lambda n: timed(announce, tracker, n), range(80)))
    assert max(took for _, took in results) < patience(2)
    refused = [reply for reply, _ in results if b"failure reason" in reply]
    assert any(b"slow" in reply[b"failure reason"] for reply in refused)
    assert all(reply[b"retry in"] == 1 for reply in refused)
    assert len(refused) < len(results), "some are answered"

    askers = [Asker(tracker).connect() for _ in range(30)]
    begin = time.monotonic()
    for asker in askers:
        asker.send(asker.announce_packet())
    for asker in askers:
        asker.receive()
    assert time.monotonic() - begin < patience(2)

    slow.delay = 0
    wait_for(lambda: is_back(tracker), "announces are answered again")


def test_pages_of_a_slow_redis_hold_up_no_announces(lab, redis):
    """A page asks Redis, too: those who look at it are refused a number, and not the peers their answer."""
    slow = lab.serve(SlowRedis(redis))
    tracker = lab.tracker("--store", slow.url, "--threads", "2")
    announce(tracker, 1)
    slow.delay = 0.2
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        pages = [pool.submit(get, tracker.base + "/stats") for _ in range(60)]
        _, took = timed(announce, tracker, 2)
        swarms = [json.loads(page.result()[1])["swarms"] for page in pages]
    assert took < patience(2)
    assert None in swarms and 1 in swarms, "some are told"


def test_it_ends_while_redis_hangs(lab, redis):
    tracker = lab.tracker("--store", redis.url)
    redis.hang()
    announce(tracker, 1)
    assert tracker.terminate() == 0


def test_started_while_redis_is_away(lab, redis):
    redis.kill()
    tracker = lab.tracker("--store", redis.url)
    assert b"failure reason" in announce(tracker, 1)
    assert b"failure reason" in get(tracker.base + "/scrape?info_hash=" + "%41" * 20)[1]
    stats = json.loads(get(tracker.base + "/stats")[1])
    assert (stats["announces"], stats["refused"], stats["scrapes"]) == (0, 1, 0)
    assert len(tracker.stderr.splitlines()) == 1
    redis.start()
    wait_for(lambda: is_back(tracker), "announces are answered")


def test_what_redis_refuses(lab, redis):
    tracker = lab.tracker("--store", redis.url)
    announce(tracker, 1)
    redis.command("CONFIG", "SET", "maxmemory", "1")
    assert announce(tracker, 2)[b"failure reason"] == b"the tracker is full"
    redis.command("CONFIG", "SET", "maxmemory", "0")
    redis.command("SET", "tbt:{%s}" % HASH.hex(), "something else")
    assert b"refuses" in announce(tracker, 2)[b"failure reason"]
    redis.command("DEL", "tbt:{%s}" % HASH.hex())
    redis.command("REPLICAOF", "127.0.0.1", "1")
    assert b"refuses" in announce(tracker, 2)[b"failure reason"]
    redis.command("REPLICAOF", "NO", "ONE")
    wait_for(lambda: is_back(tracker), "announces are answered again")


def test_a_password_and_a_database(lab):
    redis = RedisServer(lab)
    redis.command("CONFIG", "SET", "requirepass", "p@ss w/rd")
    at = "127.0.0.1:%d" % redis.port
    right = lab.tracker("--store", "redis://:p%%40ss%%20w%%2frd@%s/3" % at)
    announce(right, 1)
    assert ports(announce(right, 2)) == [10001]
    wrong = lab.tracker("--store", "redis://:wrong@" + at)
    assert b"failure reason" in announce(wrong, 1)
    assert "WRONGPASS" in wrong.stderr and "p@ss" not in wrong.stderr


def test_bad_urls_are_bad_usage_and_no_password_is_shown(lab):
    for url in ("redis://", "redis://:secret@h:x", "rediss://:secret@h", "secret:"):
        done = lab.command("serve", "--store", url, program="tbt-tracker")
        assert done.status == 2 and done.refused and "secret" not in done.err, done


def test_a_cluster_of_three(lab):
    masters = cluster_of_three(lab)
    tracker, other = lab.tracker("--store", masters[0].url), lab.tracker("--store", masters[2].url)
    hashes = [bytes([n]) + HASH[1:] for n in range(scaled(100, 30))]
    for h in hashes:
        announce(tracker, 1, info_hash=h)
    for h in hashes:
        assert ports(announce(other, 2, info_hash=h)) == [10001]
    assert {scrape(tracker, *hashes)[h][b"incomplete"] for h in hashes} == {2}
    assert sum(int(m.command("DBSIZE")) for m in masters) == len(hashes)
    assert all(int(m.command("DBSIZE")) > 0 for m in masters)
    assert tracker.stderr == ""

    # One of them away: its swarms are refused, the others go on.
    masters[1].hang()
    replies, took = timed(lambda: [announce(tracker, 1, info_hash=h) for h in hashes])
    refused = sum(b"failure reason" in r for r in replies)
    assert 0 < refused < len(hashes) and took < patience(3), (refused, took)
    masters[1].go_on()
    wait_for(lambda: all(b"failure reason" not in announce(tracker, 1, info_hash=h) for h in hashes), "all swarms are back")


def test_a_slot_that_moves_is_followed(lab):
    masters = cluster_of_three(lab)
    tracker = lab.tracker("--store", masters[0].url)
    key = "tbt:{%s}" % HASH.hex()
    announce(tracker, 1)
    slot = masters[0].command("CLUSTER", "KEYSLOT", key)
    source = next(m for m in masters if int(m.command("DBSIZE")))
    target = next(m for m in masters if m is not source)
    names = {m: m.command("CLUSTER", "MYID") for m in masters}
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    assert ports(announce(tracker, 2)) == [10001], "the swarm is still there"
    source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
    assert ports(announce(tracker, 3)) == [10001, 10002], "ASK is followed"
    for m in (target, source):
        m.command("CLUSTER", "SETSLOT", slot, "NODE", names[target])
    assert ports(announce(tracker, 4)) == [10001, 10002, 10003], "and MOVED"
    assert int(source.command("DBSIZE")) == 0


@pytest.mark.slow
def test_real_clients_meet_by_two_trackers_on_one_redis(lab):
    need("aria2", "transmission")
    island = Island(lab)
    redis = RedisServer(lab, unix=True)
    trackers = [lab.tracker("--store", redis.url, "--interval", "5", listen=TRACKER + ":0", prefix=island.inside) for _ in range(2)]
    content = lab.write("content", noise(scaled(4 << 20)))
    first, second = (lab.torrent(content, 65536, t.url, name="%d.torrent" % n) for n, t in enumerate(trackers))
    island.start("aria2", "seed", first, content.parent, TBT, 7000)
    leech = island.start("transmission", "leech", second, lab.path("there"), OTHER, 7001)
    leech.wait_done()
    ours = lab.leech(second, lab.path("ours"), bind="10.99.0.4", prefix=island.inside)
    finish_equal(ours, content, lab.path("ours"))
