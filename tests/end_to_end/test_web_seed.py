"""Web seeds (BEP 19): HTTP servers that have the files, honest ones and others."""
import http.server
import re
import shutil
import socket
import threading
import time
import urllib.parse

import pytest

from lab import finish_equal, free_port
from programs import patience
from torrents import noise

PIECE = 32768
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class WebServer:
    """Serves the files below `root`, with ranges.

    answer: called with (handler, path, data, first, last) instead of the honest answer; `first` is None when no
    range was asked for.  change: bytes -> bytes, what becomes of the data on the way."""

    def __init__(self, root, answer=None, change=None, host="127.0.0.1"):
        self.root, self.answer, self.change = root, answer, change
        self.requests = []  # (path, first, last)
        self.stopping = threading.Event()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web._get(self)

            def log_message(self, *unused):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *unused):
                pass

        self.server = Server((host, 0), Handler)
        self.url = "http://%s:%d/" % (host, self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _get(self, handler):
        path = urllib.parse.unquote(handler.path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        first, last = map(int, wanted.groups()) if wanted else (None, None)
        self.requests.append((path, first, last))
        file = self.root / path.lstrip("/")
        if not file.is_file():
            return reply(handler, 404, b"no such file")
        data = file.read_bytes()
        if self.answer:
            return self.answer(handler, path, data, first, last)
        ranged(handler, data, first, last, self.change)

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


def reply(handler, status, body=b"", **headers):
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key.replace("_", "-"), value)
    if "Content_Length" not in headers:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def ranged(handler, data, first, last, change=None):
    if first is None:
        return reply(handler, 200, data)
    body = data[first:last + 1]
    reply(handler, 206, change(body) if change else body,
          Content_Range="bytes %d-%d/%d" % (first, first + len(body) - 1, len(data)))


def lie(body):
    return bytes(b ^ 0x55 for b in body)


@pytest.fixture
def web(lab):
    def serve(root, **kw):
        return lab.serve(WebServer(root, **kw))
    return serve


@pytest.fixture
def thing(lab):
    """One file of 3 MB and a bit."""
    return lab.noise_file("source/a thing.bin", 3_000_001)


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_web_seed_alone_gives_a_single_file(lab, web, thing, folder):
    server = web(thing.parent)
    url = server.url if folder else server.url + "a%20thing.bin"
    torrent = lab.torrent(thing, PIECE, **{"url-list": url})
    leech = lab.leech(torrent, lab.path("out"))
    finish_equal(leech, thing, lab.path("out"))
    asked = [last - first + 1 for _, first, last in server.requests]
    assert sum(asked) == thing.stat().st_size, "each byte once"
    assert len(asked) < 40, "by ranges that are longer than pieces"
    assert leech.find("peer", lambda e: e["state"] == "connected" and e["client"] == server.url[7:-1])
    assert leech.find("stopped")["downloaded"] == thing.stat().st_size


@pytest.mark.parametrize("align", [False, True], ids=["plain", "pad files"])
def test_a_web_seed_alone_gives_many_files(lab, web, align):
    content = lab.write("source/a folder", {
        "empty": b"",
        "one byte": b"x",
        "more & more?#%/киты и 鲸鱼.txt": noise(100_000, 1),
        "more & more?#%/+.bin": noise(PIECE, 2),
        "z/large": noise(700_001, 3),
    })
    server = web(content.parent)
    torrent = lab.torrent(content, PIECE, align=align, **{"url-list": [server.url]})
    finish_equal(lab.leech(torrent, lab.path("out")), content, lab.path("out"))
    assert not [path for path, _, _ in server.requests if "pad" in path or "empty" in path]


def test_order_and_limit_hold_for_a_web_seed(lab, web):
    content = lab.noise_file("source/thing", 600_000)
    server = web(content.parent)
    torrent = lab.torrent(content, PIECE, **{"url-list": [server.url]})
    start = time.monotonic()
    finish_equal(lab.leech(torrent, lab.path("out"), "--download-limit", "200K"), content, lab.path("out"))
    assert 2 < time.monotonic() - start < patience(10)
    starts = [first for _, first, _ in server.requests]
    assert starts == sorted(starts)


def test_who_lies_is_banned_and_not_asked_for_ever(lab, web, thing):
    server = web(thing.parent, change=lie)
    torrent = lab.torrent(thing, PIECE, **{"url-list": [server.url]})
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_for("peer", lambda e: e["state"] == "banned")
    leech.wait_for("peer", lambda e: e["state"] == "closed" and e["reason"] == "banned")
    told = leech.wait_for("warning")["message"]
    assert told.endswith("web seed %s: it sent bad data; it is not used any more" % server.url[7:-1])
    asked = len(server.requests)
    assert asked < 10
    time.sleep(2)
    assert len(server.requests) == asked
    assert leech.alive and not leech.find("complete") and not leech.find("piece", lambda e: "peer" in e)


def test_a_liar_does_not_harm_an_honest_one_at_the_same_address(lab, web, thing):
    liar, honest = web(thing.parent, change=lie), web(thing.parent)
    torrent = lab.torrent(thing, PIECE, **{"url-list": [liar.url, honest.url]})
    leech = lab.leech(torrent, lab.path("out"))
    finish_equal(leech, thing, lab.path("out"))
    assert len(liar.requests) < 10


def test_a_liar_does_not_harm_a_peer_at_the_same_address(lab, web, thing):
    liar = web(thing.parent, change=lie)
    torrent = lab.torrent(thing, PIECE, **{"url-list": [liar.url]})
    seed = lab.seed(torrent, thing, "--upload-limit", "1M")
    finish_equal(lab.leech(torrent, lab.path("out"), peers=[seed]), thing, lab.path("out"))


def test_beside_a_peer_both_give(lab, web, thing):
    server = web(thing.parent)
    torrent = lab.torrent(thing, PIECE, **{"url-list": [server.url]})
    seed = lab.seed(torrent, thing, "--upload-limit", "1M")
    leech = lab.leech(torrent, lab.path("out"), peers=[seed])
    finish_equal(leech, thing, lab.path("out"))
    assert leech.find("piece", lambda e: e.get("peer") == "[100::1]:0")
    assert leech.find("stopped")["downloaded"] < 1.3 * thing.stat().st_size


def whole(handler, path, data, first, last):
    reply(handler, 200, data)


def other_range(handler, path, data, first, last):
    body = data[first + 1:last + 2]
    reply(handler, 206, body, Content_Range="bytes %d-%d/%d" % (first + 1, first + len(body), len(data)))


def no_content_range(handler, path, data, first, last):
    reply(handler, 206, data[first:last + 1])


def other_length(handler, path, data, first, last):
    reply(handler, 206, data[first:last + 1], Content_Range="bytes %d-%d/%d" % (first, last, len(data) + 1))


def gone(handler, path, data, first, last):
    reply(handler, 404, b"x" * 100_000)


def unsatisfiable(handler, path, data, first, last):
    reply(handler, 416)


def elsewhere(handler, path, data, first, last):
    reply(handler, 302, Location="ftp://127.0.0.1/thing")


def in_circles(handler, path, data, first, last):
    reply(handler, 302, Location=handler.path)


def too_much(handler, path, data, first, last):
    handler.close_connection = True
    reply(handler, 206, data[first:last + 1] + bytes(1 << 22), Content_Length=str(last - first + 1 + (1 << 22)),
          Content_Range="bytes %d-%d/%d" % (first, last, len(data)))


def long_headers(handler, path, data, first, last):
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 206 Partial Content\r\n" + b"X-Long: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n" * 20_000)


@pytest.mark.parametrize("answer", [other_range, no_content_range, other_length, gone, unsatisfiable, elsewhere,
                                    in_circles, too_much, long_headers])
def test_who_does_not_answer_the_question_is_not_asked_again(lab, web, thing, answer):
    server = web(thing.parent, answer=answer)
    torrent = lab.torrent(thing, PIECE, **{"url-list": [server.url]})
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_for("warning", lambda e: "web seed" in e["message"] and "not used any more" in e["message"])
    assert len(server.requests) == (6 if answer is in_circles else 1)
    assert leech.alive and not leech.find("complete")


def test_the_next_of_the_list_takes_the_place_of_one_that_is_none(lab, web, thing):
    useless = [web(thing.parent, answer=gone) for _ in range(5)]
    server = web(thing.parent)
    torrent = lab.torrent(thing, PIECE, **{"url-list": [s.url for s in useless] + [server.url]})
    finish_equal(lab.leech(torrent, lab.path("out")), thing, lab.path("out"))
    assert all(len(s.requests) <= 1 for s in useless)


def test_the_next_of_the_list_takes_the_place_of_one_that_cannot_be_reached(lab, web, thing):
    """Though that one may be there later: there are more of them than are used at once."""
    away = ["http://127.0.0.1:%d/" % free_port() for _ in range(5)]
    server = web(thing.parent)
    torrent = lab.torrent(thing, PIECE, **{"url-list": away + [server.url]})
    start = time.monotonic()
    finish_equal(lab.leech(torrent, lab.path("out")), thing, lab.path("out"))
    assert time.monotonic() - start < patience(4), "before the first of them has its turn again"


def test_a_lie_that_was_cut_short_is_not_forgotten(lab, web, thing):
    """It is judged when it is not in use any more."""
    def lie_and_break_off(handler, path, data, first, last):
        handler.close_connection = True
        reply(handler, 206, lie(data[first:last + 1 - 1000]), Content_Length=str(last - first + 1),
              Content_Range="bytes %d-%d/%d" % (first, last, len(data)))

    server = web(thing.parent, answer=lie_and_break_off)
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_for("peer", lambda e: e["state"] == "banned")
    asked = len(server.requests)
    time.sleep(6)  # its next turn would be after 5
    assert len(server.requests) == asked == 1 and leech.alive


def test_files_that_a_mirror_lacks_come_from_others(lab, web):
    """One is not there, one has changed since."""
    content = lab.write("source/folder", {"%d" % i: noise(3 * PIECE, i) for i in range(6)})
    mirror = lab.write("mirror/folder", {"%d" % i: noise(3 * PIECE - (i == 4), i) for i in range(6) if i != 1}).parent
    server, whole_one = web(mirror), web(content.parent)
    torrent = lab.torrent(content, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    for piece in (0, 1, 2, 6, 7, 8, 9, 10, 11, 15, 16, 17):
        leech.wait_for("piece", lambda e: e["index"] == piece)
    deadline = time.monotonic() + patience(10)  # it may be the last that is tried
    while not any(path == "/folder/4" for path, _, _ in server.requests) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [path for path, _, _ in server.requests].count("/folder/4") == 1
    assert leech.find("warning", lambda e: "HTTP 404; it is not asked for 1" in e["message"])
    leech.terminate()
    torrent = lab.torrent(content, PIECE, **{"url-list": [server.url, whole_one.url]})
    finish_equal(lab.leech(torrent, lab.path("out")), content, lab.path("out"))


def test_a_server_that_has_none_of_many_files_is_soon_left_alone(lab, web):
    content = lab.write("source/folder", {"%02d" % i: noise(PIECE, i) for i in range(40)})
    server = web(lab.write("mirror/x", b"x").parent)
    leech = lab.leech(lab.torrent(content, PIECE, **{"url-list": server.url}), lab.path("out"))
    leech.wait_for("warning", lambda e: "not used any more" in e["message"])
    assert len(server.requests) == 10
    assert len(leech.all("warning")) == 2


@pytest.mark.parametrize("many", [False, True], ids=["one file", "many"])
def test_from_a_server_without_ranges_each_file_is_fetched_once(lab, web, many):
    files = {"a": noise(5_000_001, 1), "b": noise(100_000, 2), "c": noise(3_000_000, 3)}
    content = lab.write("source/thing", files if many else noise(20_000_001))
    server = web(content.parent, answer=whole)
    torrent = lab.torrent(content, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    finish_equal(leech, content, lab.path("out"))
    assert len(server.requests) == (3 if many else 1)


def test_a_server_without_ranges_beside_a_peer(lab, web):
    """What the peer has given is passed over, but it does not begin again and again."""
    content = lab.noise_file("source/thing", 20_000_001)
    server = web(content.parent, answer=whole)
    torrent = lab.torrent(content, PIECE, **{"url-list": server.url})
    seed = lab.seed(torrent, content, "--upload-limit", "2M")
    leech = lab.leech(torrent, lab.path("out"), "--download-limit", "8M", peers=[seed])
    finish_equal(leech, content, lab.path("out"))
    assert leech.find("piece", lambda e: e.get("peer") == "[100::1]:0")
    assert len(server.requests) < 10


def test_a_whole_file_of_another_length_is_not_taken(lab, web, thing):
    server = web(thing.parent, answer=lambda handler, path, data, first, last: reply(handler, 200, data + b"x"))
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_for("warning", lambda e: "another length" in e["message"])
    assert leech.find("progress", lambda e: e["downloaded"]) is None


@pytest.mark.parametrize("wait, headers", [(5, {}), (5, {"Retry_After": "2"}), (7, {"Retry_After": "7"})])
def test_what_may_pass_is_tried_again_after_a_while(lab, web, thing, wait, headers):
    failed = []

    def at_first_busy(handler, path, data, first, last):
        if not failed:
            failed.append(time.monotonic())
            return reply(handler, 503, **headers)
        failed.append(time.monotonic())
        return ranged(handler, data, first, last)

    server = web(thing.parent, answer=at_first_busy)
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    finish_equal(leech, thing, lab.path("out"))
    assert failed[1] - failed[0] >= wait - 0.1
    assert leech.find("warning", lambda e: "HTTP 503" in e["message"])


def test_an_answer_that_breaks_off_is_of_use_as_far_as_it_came(lab, web, thing):
    broken = []

    def at_first_broken(handler, path, data, first, last):
        if broken:
            return ranged(handler, data, first, last)
        broken.append(path)
        handler.close_connection = True
        return reply(handler, 206, data[first:first + 100_000], Content_Length=str(last - first + 1),
                     Content_Range="bytes %d-%d/%d" % (first, last, len(data)))

    server = web(thing.parent, answer=at_first_broken)
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    finish_equal(leech, thing, lab.path("out"))
    assert leech.find("stopped")["downloaded"] < thing.stat().st_size + 16384 + 1


def test_a_server_that_hangs_does_not_hold_up_the_end(lab, web, thing):
    server = web(thing.parent, answer=lambda *unused: server.stopping.wait(60))
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_for("checked")
    deadline = time.monotonic() + patience(10)
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.requests
    start = time.monotonic()
    leech.terminate()
    assert time.monotonic() - start < patience(2)


def test_a_server_that_hangs_does_not_hold_up_a_download(lab, web, thing):
    server = web(thing.parent, answer=lambda *unused: server.stopping.wait(60))
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    seed = lab.seed(torrent, thing)
    finish_equal(lab.leech(torrent, lab.path("out"), peers=[seed]), thing, lab.path("out"), timeout=20)


def test_a_file_whose_name_was_mended_is_not_asked_for(lab, web):
    content = lab.write("source/folder", {"a": noise(PIECE, 1), "b\x01c": noise(PIECE, 2), "d": noise(PIECE, 3)})
    server = web(content.parent)
    torrent = lab.torrent(content, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    for piece in (0, 2):
        leech.wait_for("piece", lambda e: e["index"] == piece)
    assert sorted({path for path, _, _ in server.requests}) == ["/folder/a", "/folder/d"]
    assert leech.alive and not leech.find("complete")


def test_a_magnet_names_web_seeds_too(lab, web, thing):
    server = web(thing.parent)
    torrent = lab.torrent(thing, PIECE)
    metadata_only = lab.seed(torrent, thing, "--upload-limit", "20K")
    link = "magnet:?xt=urn:btih:%s&ws=%s" % (torrent.hex, urllib.parse.quote(server.url, safe=""))
    leech = lab.client("leech", link, "--output", lab.path("out"), "--peer", metadata_only.address, "--seed-time", "0")
    finish_equal(leech, thing, lab.path("out"))
    assert server.requests


def test_stopped_in_the_middle_it_goes_on_where_it_was(lab, web, thing):
    servers = [web(thing.parent), web(thing.parent)]
    torrent = lab.torrent(thing, PIECE, **{"url-list": [s.url for s in servers]})
    first = lab.leech(torrent, lab.path("out"), "--download-limit", "1M")
    first.wait_for("piece", lambda e: e["index"] > 20)
    first.terminate()
    got = first.find("stopped")
    assert 0 < got["done"] < got["total"]
    second = lab.leech(torrent, lab.path("out"))
    finish_equal(second, thing, lab.path("out"))
    again = second.find("stopped")["downloaded"] - (got["total"] - got["done"])
    assert again < 600_000, "what both ask for at the end"


@pytest.mark.slow
def test_a_server_that_trickles_is_given_up_for_a_while(lab, web, thing):
    def trickle(handler, path, data, first, last):
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))
        handler.send_header("Content-Length", str(last - first + 1))
        handler.end_headers()
        for i in range(first, last + 1):
            handler.wfile.write(data[i:i + 1])
            if server.stopping.wait(0.1):
                break

    server = web(thing.parent, answer=trickle)
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    leech = lab.leech(torrent, lab.path("out"))
    leech.wait_for("warning", lambda e: "timed out" in e["message"], timeout=40)
    assert leech.alive and len(server.requests) == 1


@pytest.mark.slow
def test_what_comes_too_slowly_is_let_go(lab, web, thing):
    """After a minute others may fetch it; and the next request is for less."""
    def slow(handler, path, data, first, last):
        handler.close_connection = True
        handler.send_response(206)
        handler.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))
        handler.send_header("Content-Length", str(last - first + 1))
        handler.end_headers()
        for i in range(first, last + 1, 16384):
            handler.wfile.write(data[i:i + 16384])
            if server.stopping.wait(11):
                break

    server = web(thing.parent, answer=slow)
    torrent = lab.torrent(thing, PIECE, **{"url-list": server.url})
    lab.leech(torrent, lab.path("out"))
    start = time.monotonic()
    while len(server.requests) < 2:
        assert time.monotonic() - start < patience(90)
        time.sleep(0.1)
    assert time.monotonic() - start >= 60
    lengths = [last - first + 1 for _, first, last in server.requests]
    assert lengths == [16 * 16384, 4 * 16384]


def wait_for_server(port):
    deadline = time.monotonic() + patience(10)
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "no server"
            time.sleep(0.02)


@pytest.mark.skipif(not NGINX, reason="needs nginx")
@pytest.mark.parametrize("many", [False, True], ids=["one file", "many"])
def test_nginx_alone_is_a_web_seed(lab, many):
    """A real server: keep-alive, ranges, names to be escaped, and an empty file."""
    files = {"a/one & only.bin": noise(200_000), "b/empty": b"", "ä.bin": noise(150_001, 1)}
    content = lab.write("source/a thing", files if many else noise(3_000_001))
    folder = lab.path("nginx")
    folder.mkdir()
    port = free_port()
    (folder / "nginx.conf").write_text(
        "daemon off; master_process off; user root; pid nginx.pid; error_log stderr; events {}\n"
        "http { access_log %s/access.log; client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s;\n"
        "uwsgi_temp_path %s; scgi_temp_path %s; server { listen 127.0.0.1:%d; root %s; } }" %
        (*[folder] * 6, port, content.parent))
    lab.process([NGINX, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"], "nginx")
    wait_for_server(port)
    torrent = lab.torrent(content, PIECE, **{"url-list": "http://127.0.0.1:%d/" % port})
    finish_equal(lab.leech(torrent, lab.path("out")), content, lab.path("out"))
    statuses = {line.split('" ')[1].split()[0] for line in (folder / "access.log").read_text().splitlines()}
    assert statuses == {"206"}
