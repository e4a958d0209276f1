"""The way to a source through a proxy with a password, and over TLS with certificates of one's own; all on loopback."""

import base64
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import ProviderError
from stockapi.providers.live.http_client import Endpoint, HttpClient
from tests.fake_upstream import FakeTime

ABOUT = "Binance BTC 1D"


class Source(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        pass


class Proxy(Source):
    """Answers in place of the source; only to whom it knows."""

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(b"me:s3cret").decode()
        if self.headers.get("Proxy-Authorization") == expected and self.path.startswith("http://source.invalid/"):
            super().do_GET()
            return
        self.send_response(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(handler: type[Source], context: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def status_of(base_url: str, settings: Settings) -> int:
    client = HttpClient(Endpoint("Binance", base_url, 1_000), settings, FakeTime(1_772_427_600).timing())
    return client.get("/klines", {}, ABOUT).status


def test_a_proxy_with_a_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with serving(Proxy) as port:
        for user, status in (("me:s3cret@", 200), ("me:s3%63ret@", 200), ("me:wr0ng@", 407), ("", 407)):
            proxy = {"PROVIDER_PROXY": f"http://{user}127.0.0.1:{port}", "PROVIDER_RETRIES": "0"}
            assert status_of("http://source.invalid", Settings.from_mapping(proxy)) == status
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody else has signed, in the directory of its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*command, "-keyout", str(path.with_name("key.pem")), "-out", str(path), *subject],
        check=True,
        capture_output=True,
    )
    return path


@pytest.mark.parametrize("name", ["CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", ""])
def test_a_source_with_a_certificate_of_ones_own(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_RETRIES", "0")
    for each in ("CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(each, raising=False)
    if name:
        monkeypatch.setenv(name, str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with serving(Source, context) as port:
        if name:
            assert status_of(f"https://127.0.0.1:{port}", Settings.load()) == HTTPStatus.OK
            return
        with pytest.raises(ProviderError, match=f"^{ABOUT}: [^\n]*certificate[^\n]*$"):
            status_of(f"https://127.0.0.1:{port}", Settings.load())
