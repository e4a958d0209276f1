"""Over a real gunicorn: what only the wire shows."""

import csv
import gzip
import io
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import brotli
import pytest
from backports import zstd
from gunicorn.config import Config

from stockapi.api.server.worker import ApiWorker
from stockapi.config import Settings
from stockapi.models.mode import Mode
from tests.support.server import ROOT, Server, clean_environment, gunicorn_command, receive_all, running_server
from tests.support.stores import Stores, environment, make_bars

pytestmark = pytest.mark.slow

DECODERS = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [a-z_.]+\[\d+\] .+")
SYMBOLS = [f"S{number:03}" for number in range(400)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("server")
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    stores.save("VCB", make_bars(600))
    stores.save("ACB", make_bars(30, seed=2))
    stores.save("BTC", make_bars(300, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    stores.db_manager.close()
    return directory


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    with running_server(directory, environment(directory, WEB_CONCURRENCY="2", GUNICORN_THREADS="2")) as server:
        yield server


@dataclass(frozen=True)
class Answer:
    """As it is on the wire: nothing decoded."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(server: Server, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as response:
            return Answer(response.status, response.headers, response.read())


def error_of(answer: bytes) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an error, received raw; it must be JSON of its stated length."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == len(body)
    parsed: dict[str, Any] = json.loads(body)
    assert list(parsed) == ["error"]
    return int(first.split(" ")[1]), headers, parsed["error"]


def test_live_and_ready(server: Server) -> None:
    for path, body in [("/livez", {"status": "ok"}), ("/readyz", {"status": "ready"})]:
        answer = get(server, path)
        assert (answer.status, answer.json) == (200, body)


def test_json_and_csv_of_both_stores_agree(server: Server) -> None:
    path = "/tickers?symbol=VCB&start_date=2016-01-01&end_date=2016-03-31"
    sqlite, bypassed = get(server, path), get(server, path + "&cache=false")
    assert [each.headers["X-Data-Source"] for each in (sqlite, bypassed)] == ["sqlite", "csv"]
    assert sqlite.body == bypassed.body
    bars = sqlite.json["VCB"]
    rows = list(csv.DictReader(io.StringIO(get(server, path + "&format=csv").body.decode())))
    assert len(bars) == len(rows) > 0
    for bar, row in zip(bars, rows, strict=True):
        assert {name: value if isinstance(value, str) else float(value) for name, value in bar.items()} == {
            name: text if name in ("symbol", "time") else float(text) for name, text in row.items() if text
        }


@pytest.mark.parametrize("encoding", DECODERS)
def test_compressed_answers_and_their_304(server: Server, encoding: str) -> None:
    plain = get(server, "/tickers?symbol=VCB")
    headers = {"Accept-Encoding": encoding}
    first = get(server, "/tickers?symbol=VCB", headers)
    assert first.headers["Content-Encoding"] == encoding
    assert DECODERS[encoding](first.body) == plain.body
    assert first.headers["ETag"] != plain.headers["ETag"]
    again = get(server, "/tickers?symbol=VCB", headers | {"If-None-Match": f'"old", {first.headers["ETag"]}'})
    assert (again.status, again.body) == (304, b"")
    for name in ("ETag", "Vary", "Cache-Control", "X-Data-Source"):
        assert again.headers[name] == first.headers[name]


def test_head_sends_no_body(server: Server) -> None:
    answer = server.send(b"HEAD /tickers?symbol=VCB HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert re.search(rb"\r\nContent-Length: [1-9]\d{4,}\r\n", answer)
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/tickers", "/tickers?limit=0", "/nowhere"])
def test_every_header_stands_once(server: Server, path: str) -> None:
    names = [name.lower() for name, _ in get(server, path).headers.items()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("separator", ["&symbol=", ","])
def test_400_symbols_in_one_request(server: Server, separator: str) -> None:
    answer = get(server, f"/tickers?limit=1&symbol={separator.join([*SYMBOLS, 'VCB'])}")
    assert answer.status == 200
    assert list(answer.json) == ["VCB"]


@pytest.mark.parametrize(
    ("request_line", "status", "text"),
    [
        ("GET /tickers?limit=x HTTP/1.1", 400, "limit 'x' is not allowed"),
        ("GET /nowhere HTTP/1.1", 404, "there is nothing at this path"),
        ("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404, "there is nothing at this path"),
        ("POST /tickers HTTP/1.1", 405, "method 'POST' is not allowed here; allowed: GET, HEAD, OPTIONS"),
        (f"GET /tickers?symbol={'A' * 9_000} HTTP/1.1", 414, "the request line is too long; allowed: 8190 bytes"),
        ("GARBAGE", 400, "the request is not well-formed HTTP/1.1"),
        ("get /tickers HTTP/1.1", 400, "the request is not well-formed HTTP/1.1"),
        ("GET /tickers HTTP/9.9", 400, "the request is not well-formed HTTP/1.1"),
        ("GET /tickers HTTP/1.1\r\nBad Header: x", 400, "the request is not well-formed HTTP/1.1"),
        ("GET /tickers HTTP/1.1\r\nContent-Length: -1", 400, "the request is not well-formed HTTP/1.1"),
        (f"GET /tickers HTTP/1.1\r\nX: {'A' * 9_000}", 431, "the headers are too large; allowed: 100 headers of 8190"),
        ("GET /tickers HTTP/1.1\r\n" + "\r\n".join(f"X{n}: 1" for n in range(200)), 431, "the headers are too large"),
        ("GET /tickers HTTP/1.1\r\nTransfer-Encoding: rot13", 501, "Not Implemented"),
        ("GET /tickers HTTP/1.1\r\nExpect: miracles", 417, "Expectation Failed"),
    ],
)
def test_every_error_is_json_whoever_answers(server: Server, request_line: str, status: int, text: str) -> None:
    answer = server.send(f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    found, headers, message = error_of(answer)
    assert (found, message[: len(text)]) == (status, text)
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    if status == 405:
        assert set(headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("request_bytes", "status", "text"),
    [
        (b"GET /livez HTTP/1.1\nHost: x\n\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.1\r\nHost: x\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET  /livez HTTP/1.1\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/0.9\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.0 \r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/2.0\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /li\0vez HTTP/1.1\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.1\r\nX: a\0b\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.1\r\nX : a\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.1\r\n X: a\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.1\r\n: a\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"G\xc3\x89T /livez HTTP/1.1\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (
            b"GET /livez HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            "the request is not well-formed HTTP/1.1",
        ),
        (b"GET /livez HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /livez HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (
            b"GET /livez HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "the request is not well-formed HTTP/1.1",
        ),
        (
            b"GET /livez HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "the request is not well-formed HTTP/1.1",
        ),
        (
            b"GET /livez HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            400,
            "the request is not well-formed HTTP/1.1",
        ),
        (b"GET /" + b"a" * 70_000, 414, "the request line is too long; allowed: 8190 bytes"),
        (b"G" * 9_000, 414, "the request line is too long; allowed: 8190 bytes"),
        (
            b"GET /livez HTTP/1.1\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"y" * 8_000) for n in range(9)),
            431,
            "the headers are too large; allowed: 100 headers of 8190 bytes each, 65536 bytes in all",
        ),
        (b"DELETE /livez HTTP/1.1\r\n\r\n", 405, "method 'DELETE' is not allowed here; allowed: GET, HEAD, OPTIONS"),
        (b"TRACE /livez HTTP/1.1\r\n\r\n", 405, "method 'TRACE' is not allowed here; allowed: GET, HEAD, OPTIONS"),
        (b"BREW /livez HTTP/1.1\r\n\r\n", 405, "method 'BREW' is not allowed here; allowed: GET, HEAD, OPTIONS"),
        (b"GET /%6civez%00 HTTP/1.1\r\n\r\n", 404, "there is nothing at this path"),
        (b"GET /livez%0d%0aX:1 HTTP/1.1\r\n\r\n", 404, "there is nothing at this path"),
        (b"GET /livez;x=1 HTTP/1.1\r\n\r\n", 404, "there is nothing at this path"),
        (b"GET \\livez HTTP/1.1\r\n\r\n", 400, "the request is not well-formed HTTP/1.1"),
        (b"GET /tickers?symbol=%ff HTTP/1.1\r\n\r\n", 400, "symbol "),
    ],
)
def test_what_is_not_quite_http_is_refused(server: Server, request_bytes: bytes, status: int, text: str) -> None:
    """With the connection closed: where the next request would begin is anyone's guess."""
    with server.connect() as connection:
        more = b"HTTP/1.1\r\nConnection: close\r\n" + (b"" if b"Host" in request_bytes else b"Host: x\r\n")
        connection.sendall(request_bytes.replace(b"HTTP/1.1\r\n", more, 1))
        found, headers, message = error_of(receive_all(connection))
    assert (found, message[: len(text)]) == (status, text)
    assert headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", [], 400),
        ("1.1", ["x", "y"], 400),
        ("1.1", ["x", "x"], 400),
        ("1.1", ["a b"], 400),
        ("1.1", ["a/b"], 400),
        ("1.1", ["a:b"], 400),
        ("1.1", ["user@a"], 400),
        ("1.1", ["[::1"], 400),
        ("1.1", ["a, b"], 400),
        ("1.0", ["a b"], 400),
        ("1.0", [], 200),
        ("1.1", [""], 200),
        ("1.1", ["x"], 200),
        ("1.1", ["api.example.org:443"], 200),
        ("1.1", ["[2001:db8::1]:3000"], 200),
        ("1.1", ["xn--bcher-kva.example"], 200),
    ],
)
def test_a_request_has_one_valid_host(server: Server, version: str, hosts: list[str], status: int) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    answer = server.send(f"GET /livez HTTP/{version}\r\n{lines}Connection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] == str(status).encode()
    if status == 400:
        assert error_of(answer)[2] == "the request is not well-formed HTTP/1.1"


MALFORMED_BODIES = [
    b"ZZ\r\n",
    b"5\r\nhelloXX",
    b"5;\rx\r\nhello\r\n",
    b"0\r\nbad trailer\r\n\r\n",
    b"-1\r\n",
    b"f" * 99 + b"\r\n",
]


@pytest.mark.parametrize("body", MALFORMED_BODIES)
def test_a_malformed_body_gets_no_answer_of_its_own(server: Server, body: bytes) -> None:
    """What follows it may be anything, so the connection is closed."""
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = server.send(head + body + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert "Traceback" not in server.log


def test_a_smuggled_second_request_is_not_answered(server: Server) -> None:
    smuggled = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert server.send(head + smuggled).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 10000000\r\n\r\n" + b"x" * 10_000_000,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"2710\r\n" + b"x" * 10_000 + b"\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n",
    ],
)
def test_a_body_of_any_size_and_form_is_not_waited_for(server: Server, body: bytes) -> None:
    with server.connect() as connection:
        connection.settimeout(5)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        with suppress(OSError):  # the server may close before it has all of it
            connection.sendall(body)
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
    assert get(server, "/livez").status == 200


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO", "Script-Name", "X-Original-URL", "X-Rewrite-URL"])
def test_no_header_changes_the_path(server: Server, name: str) -> None:
    answer = server.send(f"GET /livez HTTP/1.1\r\nHost: x\r\n{name}: /metrics\r\nConnection: close\r\n\r\n".encode())
    assert answer.endswith(b'{"status":"ok"}')


def test_a_body_nobody_asked_for_does_not_disturb_the_next_request(server: Server) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    two = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert server.send(one + two).count(b"HTTP/1.1 200 OK") == 2


def test_each_answer_is_one_log_line_and_every_line_has_its_form(server: Server) -> None:
    get(server, "/tickers?symbol=ACB&limit=7")
    get(server, "/tickers?interval=%0a2026-01-01T00:00:00.000Z%20INFO%20forged")
    lines = server.log.splitlines()
    assert sum(" endpoint=/tickers " in line and " rows=7 " in line for line in lines) == 1
    assert [line for line in lines if not LOG_LINE.fullmatch(line)] == []


def test_no_control_socket_is_opened(server: Server, directory: Path) -> None:
    assert get(server, "/livez").status == 200
    assert not (directory / ".gunicorn").exists()


def test_a_worker_that_dies_is_replaced(tmp_path: Path, directory: Path) -> None:
    with running_server(tmp_path, environment(directory, WEB_CONCURRENCY="1")) as server:
        (worker,) = set(re.findall(r"Booting worker with pid: (\d+)", server.log))
        os.kill(int(worker), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while server.log.count("Booting worker") < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert get(server, "/tickers?symbol=VCB").status == 200


# Out of descriptors


@contextmanager
def no_more_files(pid: int) -> Iterator[None]:
    """The process cannot open one more. What it has open it keeps."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, hard))  # not 0: poll() takes no more sockets than that
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def seconds_of_processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_out_of_descriptors_old_connections_are_served_and_new_ones_wait(tmp_path: Path, directory: Path) -> None:
    variables = environment(directory, WEB_CONCURRENCY="1", GUNICORN_THREADS="1")
    with running_server(tmp_path, variables) as server, ExitStack() as stack:
        (worker,) = map(int, re.findall(r"Booting worker with pid: (\d+)", server.log))
        old = stack.enter_context(closing(HTTPConnection("127.0.0.1", server.port, timeout=10)))
        old.request("GET", "/tickers?symbol=VCB&limit=3")
        body = old.getresponse().read()
        with no_more_files(worker):
            new = stack.enter_context(closing(HTTPConnection("127.0.0.1", server.port, timeout=10)))
            new.request("GET", "/livez")
            busy = seconds_of_processor(worker)
            for _ in range(4):
                old.request("GET", "/tickers?symbol=VCB&limit=3")
                response = old.getresponse()
                assert (response.status, response.read()) == (200, body)
                time.sleep(0.4)
            assert seconds_of_processor(worker) - busy < 0.2, "it does not try without end"
        asked = time.monotonic()
        response = new.getresponse()
        assert (response.status, response.read()) == (200, b'{"status":"ok"}')
        assert time.monotonic() - asked < 0.9, "and does not sleep on"
        assert server.log.count("Booting worker") == 1
        (line,) = [line for line in server.log.splitlines() if "event=accept_failed" in line]
        assert LOG_LINE.fullmatch(line)


# Slow and idle clients


@contextmanager
def few_threads(tmp_path: Path, directory: Path, *options: str) -> Iterator[Server]:
    """One process of two threads."""
    variables = environment(directory, WEB_CONCURRENCY="1", GUNICORN_THREADS="2")
    with running_server(tmp_path, variables, *options) as server:
        yield server


def send_slowly(connection: socket.socket, data: bytes, stop: threading.Event) -> None:
    """A byte every tenth of a second, until the server closes the connection."""
    with suppress(OSError):
        for byte in data:
            if stop.wait(0.1):
                return
            connection.sendall(bytes([byte]))


SENT_AND_NO_MORE = {
    "silent": b"",
    "half a request": b"GET /livez HT",
    "half of a second request": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HT",
    "a body that does not come": b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    "a message that does not come": b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    "a chunk that does not come": b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "an answered one that does not close": b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a refused one that does not close": b"GARBAGE\r\n\r\n",
}


def put_up(connections: ExitStack, server: Server, kind: str) -> None:
    """One client that is not done in seconds."""
    connection = connections.enter_context(server.connect())
    stop = threading.Event()
    connections.callback(stop.set)
    match kind:
        case "byte by byte":
            head = b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 90
            threading.Thread(target=send_slowly, args=(connection, head, stop), daemon=True).start()
        case "a large head, then byte by byte":
            connection.sendall(
                b"GET /livez HTTP/1.1\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"y" * 8_000) for n in range(8))
            )
            threading.Thread(target=send_slowly, args=(connection, b"X: y\r\n" * 90, stop), daemon=True).start()
        case _:
            connection.sendall(SENT_AND_NO_MORE[kind])


SLOW_CLIENTS = [
    "silent",
    "half a request",
    "a message that does not come",
    "a refused one that does not close",
    *(
        pytest.param(kind, marks=pytest.mark.long)
        for kind in (
            "byte by byte",
            "a large head, then byte by byte",
            "half of a second request",
            "a body that does not come",
            "a chunk that does not come",
            "an answered one that does not close",
        )
    ),
]


def seconds_to_answer_among(server: Server, kind: str) -> float:
    """How long /livez takes beside 20 slow clients; infinite when there is no answer in 10 seconds."""
    with ExitStack() as connections:
        for _ in range(20):
            put_up(connections, server, kind)
        time.sleep(0.5)
        started = time.perf_counter()
        try:
            assert get(server, "/livez").status == 200
        except TimeoutError:
            return float("inf")
        return time.perf_counter() - started


@pytest.mark.long
@pytest.mark.parametrize("kind", SLOW_CLIENTS)
def test_slow_clients_take_no_thread(tmp_path: Path, directory: Path, kind: str) -> None:
    with few_threads(tmp_path, directory) as server:
        assert seconds_to_answer_among(server, kind) < 1.0
        assert "Traceback" not in server.log


@pytest.mark.long
@pytest.mark.parametrize("kind", ["silent", "half a request", "an answered one that does not close"])
def test_of_the_worker_of_gunicorn_itself_they_take_all(tmp_path: Path, directory: Path, kind: str) -> None:
    with few_threads(tmp_path, directory, "--worker-class", "gthread") as server:
        assert seconds_to_answer_among(server, kind) > 2.0


@pytest.mark.long
def test_a_request_that_takes_too_long_to_arrive_is_cut_off(tmp_path: Path, directory: Path) -> None:
    with few_threads(tmp_path, directory) as server, ExitStack() as connections:
        slow = connections.enter_context(server.connect())
        stop = threading.Event()
        connections.callback(stop.set)
        started = time.monotonic()
        threading.Thread(target=send_slowly, args=(slow, b"GET /" + b"a" * 1_000, stop), daemon=True).start()
        assert receive_all(slow) == b""
        assert 4.5 < time.monotonic() - started < 9.0


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_request_in_pieces_is_answered_when_it_is_whole(server: Server, size: int) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(request), size):
            connection.sendall(request[start : start + size])
            time.sleep(0.005)
        assert receive_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_on_one_connection_in_one_piece_are_all_answered(server: Server) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /tickers?symbol=VCB&limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = server.send(one * 20 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 21
    assert b'"symbol":"VCB"' in answer


def test_a_second_request_in_two_pieces_is_answered(server: Server) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(one + last[:20])
        time.sleep(0.3)
        connection.sendall(last[20:])
        assert receive_all(connection).count(b"HTTP/1.1 200 OK") == 2


def test_a_client_that_closes_its_side_early_is_answered_or_let_go(server: Server) -> None:
    for request, expected in [(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200"), (b"GET /livez HT", b"")]:
        with server.connect() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            assert receive_all(connection)[:12] == expected


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_requests_of_clients_that_have_gone_are_not_worked_on(tmp_path: Path, directory: Path, how: str) -> None:
    """The threads are busy when they come, so the clients have gone before one of them gets a thread."""
    with running_server(tmp_path, environment(directory, WEB_CONCURRENCY="1", GUNICORN_THREADS="1")) as server:
        busy = server.connect()
        busy.sendall(b"GET /tickers?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        for _ in range(100):
            with server.connect() as connection:
                connection.sendall(b"GET /tickers?symbol=ACB&limit=13 HTTP/1.1\r\nHost: x\r\n\r\n")
                if how == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert get(server, "/livez").status == 200
        busy.close()
        # Some came while the busy one had the thread between two of its requests.
        assert server.log.count(" rows=13 ") < 50


@pytest.mark.long
def test_a_client_that_stops_reading_is_given_up_on(tmp_path: Path, directory: Path) -> None:
    """Half a minute is long for a test: that the limit is set is looked up, that it works is the kernel's matter."""
    worker = ApiWorker.__new__(ApiWorker)
    worker.cfg = Config()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert worker._is_ready(SimpleNamespace(sock=ours, parser=None))
        seconds, _ = struct.unpack("ll", ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16))
        assert seconds == 30


@pytest.mark.long
def test_a_stop_lets_requests_finish(tmp_path: Path, directory: Path) -> None:
    with running_server(tmp_path, environment(directory, WEB_CONCURRENCY="1")) as server, server.connect() as begun:
        begun.sendall(b"GET /tickers?symbol=VCB HTTP/1.1\r\nHost: x\r\n")
        time.sleep(0.3)  # until a thread has taken the connection and waits for the rest
        server.process.terminate()
        deadline = time.monotonic() + 10
        while "Handling signal: term" not in server.log and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(1.0)  # until the master has passed the signal on: it logs first
        begun.sendall(b"\r\n")
        head, _, body = receive_all(begun).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close" in head
        assert len(json.loads(body)["VCB"]) == 252
        assert server.stop() == 0


@pytest.mark.long
def test_a_stop_while_workers_are_forked_is_not_lost(tmp_path: Path, directory: Path) -> None:
    """A worker of gunicorn that gets SIGTERM before its own handlers are set lets the master wait for 30 seconds."""
    slow_fork = tmp_path / "slow_fork.py"
    slow_fork.write_text(
        f"import runpy, time\nglobals().update(runpy.run_path({str(ROOT / 'gunicorn.conf.py')!r}))\n"
        "def post_fork(server, worker):\n    time.sleep(0.5)\n"
    )
    with running_server(tmp_path, environment(directory, WEB_CONCURRENCY="2"), "--config", str(slow_fork)) as server:
        started = time.monotonic()
        os.kill(server.process.pid, signal.SIGTTIN)  # one worker more
        time.sleep(0.3)
        assert server.stop() == 0
        assert time.monotonic() - started < 20


# A start that must not happen


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "abc"}, "PORT='abc' is not allowed; allowed: a whole number from 1 to 65535"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY='0' is not allowed; allowed: a whole number from 1 to 256"),
        ({"TICKER_GROUPS_FILE": str(ROOT / "Procfile")}, "TICKER_GROUPS_FILE="),
    ],
)
@pytest.mark.parametrize("program", ["gunicorn", "flask"])
def test_a_bad_setting_stops_the_start_with_one_line(
    tmp_path: Path, program: str, variables: dict[str, str], message: str
) -> None:
    command = gunicorn_command() if program == "gunicorn" else [sys.executable, "-m", "flask", "--app", "app", "routes"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environment(tmp_path) | environment(tmp_path) | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert line.startswith(f"stockapi: {message}")
