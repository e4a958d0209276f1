"""Over a real gunicorn: what only the wire shows."""

import csv
import gzip
import io
import json
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import brotli
import pytest
from backports import zstd
from conftest import Stores, environment, make_bars
from server import ROOT, Server, clean_environment, gunicorn_command, receive_all, running_server

from stockapi.api.server import ApiWorker
from stockapi.config import Settings
from stockapi.models.mode import Mode
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager

pytestmark = pytest.mark.slow

DECODERS = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [a-z_.]+\[\d+\] .+")
SYMBOLS = [f"S{number:03}" for number in range(400)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("server")
    settings = Settings.from_mapping(environment(directory))
    stores = Stores(settings, DatabaseManager(settings), CsvStore(settings))
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
        ("GET /tickers?limit=0 HTTP/1.1", 400, "limit '0' is not allowed"),
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


def test_silent_connections_take_no_thread(server: Server) -> None:
    """A thread that waited for each of them, as gunicorn's own workers do, would keep the request for 50 seconds."""
    with ExitStack() as open_connections:
        for _ in range(40):
            open_connections.enter_context(server.connect())
        assert get(server, "/livez").status == 200


def test_half_a_request_holds_its_thread_for_a_while_only(tmp_path: Path, directory: Path) -> None:
    variables = environment(directory, WEB_CONCURRENCY="1", GUNICORN_THREADS="1")
    with running_server(tmp_path, variables) as server, server.connect() as stalled:
        stalled.sendall(b"GET /livez HT")
        time.sleep(0.2)  # until the only thread has taken it
        assert get(server, "/livez").status == 200
        assert receive_all(stalled) == b""
        assert "a client stopped half way" in server.log
        assert "Traceback" not in server.log


def test_a_client_that_stops_reading_is_given_up_on() -> None:
    worker = ApiWorker.__new__(ApiWorker)
    worker.pending_conns = deque()
    ours, theirs = socket.socketpair()
    with ours, theirs, selectors.DefaultSelector() as worker.poller:
        worker.enqueue_req(SimpleNamespace(sock=ours, initialized=False, data_ready=False, set_timeout=lambda: None))
        seconds, _ = struct.unpack("ll", ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16))
        assert seconds == 30


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
