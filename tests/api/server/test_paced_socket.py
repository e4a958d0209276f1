"""Clients that take their answers slowly: too slowly, and just fast enough."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stockapi.api.server import paced_socket
from stockapi.api.server.paced_socket import LEAST_BYTES_PER_S, PATIENCE_S, PacedSocket, SlowReaderError
from stockapi.config import Settings
from stockapi.models import Interval
from tests.support.server import ROOT, Server, running_server
from tests.support.stores import Stores, environment, make_bars

RATE = 1_000_000
"""Bytes a second; twenty times the real least rate, so that the tests take seconds."""
PATIENCE = 1.0
DATA = bytes(range(256)) * 20_000
"""5 MB: several times what the kernel keeps for a client that reads nothing."""


def test_what_is_promised() -> None:
    assert (LEAST_BYTES_PER_S, PATIENCE_S) == (50_000, 30.0)


# The socket


@dataclass
class Reader(threading.Thread):
    """Reads `rate` bytes a second, in steps of a 50th, after and before pauses of so many seconds; None: at once."""

    connection: socket.socket
    rate: int | None
    pause_s: float = 0.0
    received: int = 0
    is_reset: bool = False

    __hash__ = threading.Thread.__hash__

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.pieces: list[bytes] = []

    def run(self) -> None:
        time.sleep(self.pause_s)
        started, size = time.monotonic(), 1 << 20 if self.rate is None else self.rate // 50
        try:
            while piece := self.connection.recv(size):
                self.pieces.append(piece)
                self.received += len(piece)
                if self.rate is not None:
                    time.sleep(max(0.0, started + self.received / self.rate - time.monotonic()))
        except ConnectionResetError:
            self.is_reset = True
        except OSError:
            pass  # the test is over


@contextmanager
def connected() -> Iterator[tuple[PacedSocket, socket.socket]]:
    """Over TCP, the reader with a small buffer, as gunicorn has it: blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        reader.connect(listener.getsockname())
        plain, _ = listener.accept()
        with PacedSocket(plain) as paced:
            paced.setblocking(True)
            yield paced, reader


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_socket, "LEAST_BYTES_PER_S", RATE)
    monkeypatch.setattr(paced_socket, "PATIENCE_S", PATIENCE)


def seconds_of(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def refused(paced: PacedSocket, data: bytes = DATA) -> float:
    """The seconds until the client is given up on."""

    def send() -> None:
        with pytest.raises(SlowReaderError):
            paced.sendall(data)

    return seconds_of(send)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("rate", "pause_s"), [(None, 0.0), (2 * RATE, 0.0), (None, 0.6)], ids=str)
def test_a_reader_that_is_fast_enough_gets_everything(rate: int | None, pause_s: float) -> None:
    with connected() as (paced, connection):
        reader = Reader(connection, rate, pause_s)
        reader.start()
        paced.sendall(DATA)
        paced.close()
        reader.join(10)
        assert b"".join(reader.pieces) == DATA


@pytest.mark.usefixtures("impatient")
def test_one_that_does_not_read_is_given_up_on_when_patience_is_over() -> None:
    with connected() as (paced, _):
        assert PATIENCE <= refused(paced) < PATIENCE + 0.5


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("rate", [RATE // 2, RATE // 10], ids=str)
def test_one_that_reads_too_slowly_is_given_up_on(rate: int) -> None:
    """With a rate r of the least one after patience / (1 - r): it gets so much less than it should, each second."""
    with connected() as (paced, connection):
        reader = Reader(connection, rate)
        reader.start()
        # The kernel, on both sides, takes some at first.
        assert 0.8 * PATIENCE < refused(paced) < PATIENCE / (1 - rate / RATE) + 2.0
        reader.join(10)
        assert reader.is_reset, "nothing more is sent to it"
        assert reader.received < len(DATA)


@pytest.mark.usefixtures("impatient")
def test_patience_is_that_of_the_connection_not_of_each_answer() -> None:
    with connected() as (paced, connection):
        reader = Reader(connection, RATE // 4)
        reader.start()
        paced.sendall(DATA[: 1 << 20])

        def send_in_pieces() -> None:
            for start in range(0, len(DATA), 1_000):
                paced.sendall(DATA[start : start + 1_000])

        started = time.monotonic()
        with pytest.raises(SlowReaderError):
            send_in_pieces()
        assert time.monotonic() - started < 2 * PATIENCE + 2.0


@pytest.mark.usefixtures("impatient")
def test_patience_returns_with_what_is_taken() -> None:
    with connected() as (paced, connection):
        reader = Reader(connection, None, 0.6)
        reader.start()
        paced.sendall(DATA)
        paced.sendall(DATA * 4)
        assert paced._patience_s > 0.6, "of 0.4 after the pause"
        assert paced._patience_s <= PATIENCE


@pytest.mark.usefixtures("impatient")
def test_without_the_bound_a_slow_reader_holds_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_socket, "PATIENCE_S", 1e9)
    with connected() as (paced, connection):

        def send() -> None:
            with pytest.raises(ConnectionResetError):
                paced.sendall(DATA)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        sender.join(2.5 * PATIENCE)
        assert sender.is_alive()
        connection.close()
        sender.join(5)
        assert not sender.is_alive(), "one that goes is noticed at once"


def test_it_does_not_wait_when_it_is_told_not_to() -> None:
    with connected() as (paced, _):
        paced.setblocking(False)
        with pytest.raises(BlockingIOError):
            paced.sendall(DATA)


# A real server


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("paced")
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    stores.save("LARGE", make_bars(30_000, Interval.MINUTE), Interval.MINUTE)
    stores.db_manager.close()
    return directory


LARGE = b"GET /tickers?symbol=LARGE&interval=1m&limit=30000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""Some 8 MB."""


@contextmanager
def one_thread(tmp_path: Path, directory: Path, patience_s: float = PATIENCE) -> Iterator[Server]:
    """A server that is as impatient as the tests."""
    config = tmp_path / "impatient.conf.py"
    config.write_text(
        f"from pathlib import Path\n"
        f"from stockapi.api.server import paced_socket\n"
        f"paced_socket.LEAST_BYTES_PER_S, paced_socket.PATIENCE_S = {RATE}, {patience_s}\n"
        f"exec(compile(Path({str(ROOT / 'gunicorn.conf.py')!r}).read_text(), 'gunicorn.conf.py', 'exec'))\n"
    )
    variables = environment(directory, WEB_CONCURRENCY="1", GUNICORN_THREADS="1")
    with running_server(tmp_path, variables, "--config", str(config)) as server:
        yield server


@contextmanager
def asking(server: Server, rate: int | None, pause_s: float = 0.0) -> Iterator[Reader]:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(LARGE)
        reader = Reader(connection, rate, pause_s)
        reader.start()
        yield reader


def livez(server: Server, timeout_s: float) -> float:
    """Seconds until it is answered by the only thread; infinite when it is not."""
    with server.connect() as connection:
        connection.settimeout(timeout_s)
        started = time.monotonic()
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        try:
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        except TimeoutError:
            return float("inf")
        return time.monotonic() - started


@pytest.mark.long
@pytest.mark.slow
def test_a_client_that_trickles_loses_its_connection_and_the_thread_is_free(tmp_path: Path, directory: Path) -> None:
    with one_thread(tmp_path, directory) as server, asking(server, RATE // 5) as reader:
        time.sleep(0.5)
        assert livez(server, 10) < 5.0
        reader.join(10)
        assert reader.is_reset
        assert "a client reads too slowly; its connection is closed" in server.log
        assert "Traceback" not in server.log


@pytest.mark.long
def test_without_the_bound_it_keeps_the_thread(tmp_path: Path, directory: Path) -> None:
    with one_thread(tmp_path, directory, 1e9) as server, asking(server, RATE // 5) as reader:
        time.sleep(0.5)
        assert livez(server, 4) == float("inf")
        assert not reader.is_reset


@pytest.mark.long
@pytest.mark.slow
def test_a_slow_client_that_is_fast_enough_gets_its_whole_answer(tmp_path: Path, directory: Path) -> None:
    with one_thread(tmp_path, directory) as server, asking(server, 4 * RATE, 0.6) as reader:
        reader.join(20)
        head, _, body = b"".join(reader.pieces).partition(b"\r\n\r\n")
        (length,) = re.findall(rb"Content-Length: (\d+)", head)
        assert len(body) == int(length) > 5_000_000
        assert len(json.loads(body)["LARGE"]) == 30_000
        assert not reader.is_reset
