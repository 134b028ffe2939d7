"""A tracker of a few lines that notes every announce and says what it is told to say."""
import http.server
import socket
import struct
import threading
import time
import urllib.parse

from programs import patience
from torrents import bencode


def compact(addresses):
    """["127.0.0.2:80", ...] as BEP 23 has it."""
    packed = b""
    for address in addresses:
        host, port = address.rsplit(":", 1)
        packed += socket.inet_aton(host) + struct.pack(">H", int(port))
    return packed


class Announce:
    """One announce: the query as bytes by key, and when it came."""

    def __init__(self, path, query):
        self.path = path
        self.time = time.monotonic()
        self.keys = {k: urllib.parse.unquote_to_bytes(v) for k, _, v in (p.partition("=") for p in query.split("&"))}

    def __getitem__(self, key):
        return self.keys[key].decode()

    def number(self, key):
        return int(self.keys[key])

    @property
    def event(self):
        return self.keys.get("event", b"").decode()

    def __repr__(self):
        return "<%s %s>" % (self.path, {k: v for k, v in self.keys.items()})


class HttpTracker:
    """answer: called with an Announce, returns the body, or a function that is given the request handler and does
    it all by itself."""

    def __init__(self, peers=(), interval=1800, answer=None, host="127.0.0.1", port=0):
        self.peers, self.interval, self.answer = list(peers), interval, answer
        self.announces = []
        self.changed = threading.Condition()
        tracker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                tracker._get(self)

            def log_message(self, *unused):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, *unused):
                pass

        self.server = Server((host, port), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://%s:%d/announce" % ("[%s]" % host if ":" in host else host, self.port)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _get(self, handler):
        path, _, query = handler.path.partition("?")
        announce = Announce(path, query)
        with self.changed:
            self.announces.append(announce)
            self.changed.notify_all()
        if self.answer is None:
            body = bencode({"interval": self.interval, "peers": compact(self.peers)})
        else:
            body = self.answer(announce)
        if callable(body):
            body(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def wait_for(self, event, count=1, timeout=20):
        """The first announce with this event ('' for none), once there are `count` of them."""
        deadline = time.monotonic() + patience(timeout)
        with self.changed:
            while True:
                found = [a for a in self.announces if a.event == event]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                assert left > 0, "no announce '%s' within %g s; seen: %s" % (
                    event, patience(timeout), [a.event for a in self.announces])
                self.changed.wait(left)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
