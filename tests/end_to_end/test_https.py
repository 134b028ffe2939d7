"""HTTPS: whom to trust, and what is said when a certificate is not."""
import http.server
import os
import shutil
import ssl
import subprocess
import threading

import pytest

from httptracker import HttpTracker
from lab import finish_equal

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


@pytest.fixture
def certificate(lab):
    """One for 127.0.0.1 that nobody has signed but itself."""
    key, cert = lab.path("key.pem"), lab.path("cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=tracker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def with_tls(server, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)


@pytest.fixture
def content(lab):
    return lab.noise_file("source/file", 100000)


@pytest.fixture
def torrent(lab, content, certificate):
    tracker = lab.serve(HttpTracker())
    with_tls(tracker.server, certificate)
    torrent = lab.torrent(content, announce=tracker.url.replace("http:", "HTTPS:"))
    tracker.peers.append(lab.seeder(torrent, content.read_bytes()).address)
    return torrent


def environment(**more):
    names = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    return {**{k: v for k, v in os.environ.items() if k not in names}, **more}


@pytest.mark.parametrize("name", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_that_the_environment_names_is_trusted(lab, torrent, content, certificate, name):
    leech = lab.leech(torrent, lab.path("out"), env=environment(**{name: str(certificate[0])}))
    finish_equal(leech, content, lab.path("out"))


def test_a_certificate_nobody_vouches_for_is_refused_and_it_is_said_what_to_do(lab, torrent):
    leech = lab.leech(torrent, lab.path("out"), env=environment(CURL_CA_BUNDLE=""))
    error = leech.wait_for("announce")["error"]
    assert "certificate" in error and "self-signed" in error and "CURL_CA_BUNDLE" in error
    assert leech.terminate() == 1


def test_a_file_of_certificates_that_is_not_there_is_named(lab, torrent):
    leech = lab.leech(torrent, lab.path("out"), env=environment(CURL_CA_BUNDLE="/nowhere/ca.pem"))
    assert "/nowhere/ca.pem" in leech.wait_for("announce")["error"]
    assert leech.terminate() == 1


@pytest.mark.parametrize("trusted", [True, False])
def test_web_seeds_are_trusted_likewise(lab, content, certificate, trusted):
    folder = lab.path("source")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *a, **kw):
            super().__init__(*a, directory=str(folder), **kw)

        def log_message(self, *unused):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with_tls(server, certificate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    torrent = lab.torrent(content, 131072, **{"url-list": "https://127.0.0.1:%d/file" % server.server_port})
    leech = lab.leech(torrent, lab.path("out"), env=environment(CURL_CA_BUNDLE=str(certificate[0]) if trusted else ""))
    if trusted:
        finish_equal(leech, content, lab.path("out"))
    else:
        assert "CURL_CA_BUNDLE" in leech.wait_for("warning")["message"]
        assert leech.terminate() == 1
    server.shutdown()
    server.server_close()
