"""A real gunicorn on a free port of the loopback, as `gunicorn app:app` starts it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 60
"""Twice gunicorn's `graceful_timeout`."""


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All text on standard output and error until now."""
        return self.log_file.read_text()

    def send(self, data: bytes) -> bytes:
        """The answer to raw bytes, until the server closes the connection or sends nothing for some time."""
        with self.connect() as connection:
            connection.sendall(data)
            return receive_all(connection)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)


def receive_all(connection: socket.socket) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces)


@contextlib.contextmanager
def running_server(
    directory: Path, variables: Mapping[str, str], *options: str, launcher: Sequence[str] = (), port: int = 0
) -> Iterator[Server]:
    """Started in `directory` with nothing but `variables` in its environment; stopped at the end, whatever happens.

    `port`: one that is free; 0 chooses.
    """
    port = port or _free_port()
    log_file = directory / "server.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*launcher, *gunicorn_command(*options)],
            cwd=directory,
            env=clean_environment(directory) | {"HOST": "127.0.0.1", "PORT": str(port), **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, port, log_file)
    try:
        _wait_until_up(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def gunicorn_command(*options: str) -> list[str]:
    # The working directory is private, so that it reads no .env of the developer.
    return [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), *options, "app:app"]


def clean_environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/livez")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{server.log}")
