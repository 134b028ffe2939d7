"""Memory runs out, at each of the calls for it: one clear line, and nothing that is half done."""
import os
from pathlib import Path

import pytest

from programs import SCALE, find_program, is_refusal
from torrents import noise

pytestmark = pytest.mark.skipif(SCALE < 1, reason="sanitizers have a memory of their own")

MOST_CALLS = 150  # any of these commands makes fewer


def without_memory():
    path = Path(find_program("tbt-client")).resolve().parents[1] / "tests" / "no_memory.so"
    if not path.exists():
        pytest.skip("no_memory.so is not built")
    return str(path)


COMMANDS = {
    "show": ["show", "TORRENT"],
    "show --json": ["show", "--json", "TORRENT"],
    "show of a link": ["show", "magnet:?xt=urn:btih:" + "12" * 20 + "&dn=x&tr=http://a/b"],
    "show --json of a link": ["show", "--json", "magnet:?xt=urn:btih:" + "12" * 20 + "&dn=x&tr=http://a/b"],
    "verify": ["verify", "TORRENT", "--file", "CONTENT"],
    "create": ["create", "CONTENT", "--output", "MADE", "--no-date", "--threads", "1"],
}


@pytest.mark.parametrize("variable", ["FAIL_AT", "FAIL_FROM"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_without_memory_says_so(lab, name, variable):
    library = without_memory()
    content = lab.write("content", {"a": noise(100000), "b/c": noise(40000, 1)})
    torrent = lab.torrent(content, 16384, announce="http://127.0.0.1:1/announce")
    made = lab.path("made.torrent")
    places = {"TORRENT": torrent.path, "CONTENT": content, "MADE": made}
    command = [places.get(word, word) for word in COMMANDS[name]]
    plain = lab.command(*command)
    assert plain.status == 0, plain
    right = made.read_bytes() if made.exists() else None

    done = 0
    for number in range(1, MOST_CALLS + 1):
        made.unlink(missing_ok=True)
        ran = lab.command(*command, env=dict(os.environ, LD_PRELOAD=library, **{variable: str(number)}))
        if ran.status == 0:
            # It could do without, or needed no more.
            assert ran.out == plain.out, "call %d: %r" % (number, ran)
            assert right is None or made.read_bytes() == right
            done += 1
        else:
            assert ran.refused, "call %d: %r" % (number, ran)
            assert not made.exists()
    assert 0 < done < MOST_CALLS


def test_a_tracker_that_starts_without_memory_says_so(lab):
    """From each call on, up to the first one that it can serve without."""
    library = without_memory()
    for number in range(1, MOST_CALLS + 1):
        tracker = lab.process([find_program("tbt-tracker"), "serve", "--listen", "127.0.0.1:0", "--threads", "3"], "tbt-tracker",
                              env=dict(os.environ, LD_PRELOAD=library, FAIL_FROM=str(number)))
        tracker.wait_until(lambda: tracker.out or tracker.open_pipes == 0, "it serves or ends")
        if tracker.out:
            assert tracker.terminate() == 0
            break
        assert is_refusal(tracker.wait(), tracker.stderr, "tbt-tracker"), tracker.stderr
        assert ": " in tracker.stderr.removeprefix("tbt-tracker: ") and "descriptor" not in tracker.stderr, tracker.stderr
    assert 1 < number < MOST_CALLS
