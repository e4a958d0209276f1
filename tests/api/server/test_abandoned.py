"""Whether a client is still there, how often that is looked at, and processes and threads that the system refuses."""

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from stockapi.api.server import abandoned
from stockapi.api.server.abandoned import ClientWatch, client_has_gone
from stockapi.api.server.forking import try_again_when_refused
from stockapi.api.server.worker import ApiWorker


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end and the client's end of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with server, client:
            yield server, client


def stay(client: socket.socket) -> None:
    client.sendall(b"GET")


def close(client: socket.socket) -> None:
    client.sendall(b"GET")
    client.close()


def half_close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize(
    ("act", "has_gone", "has_surely_gone"),
    [(stay, False, False), (half_close, True, False), (close, True, False), (reset, True, True)],
)
def test_who_has_gone(
    ends: tuple[socket.socket, socket.socket], act: object, has_gone: bool, has_surely_gone: bool
) -> None:
    server, client = ends
    assert not client_has_gone(server)
    act(client)  # type: ignore[operator]
    assert client_has_gone(server) is has_gone
    assert client_has_gone(server, when_half_closed=False) is has_surely_gone
    server.close()
    assert client_has_gone(server)


def test_it_is_looked_at_from_time_to_time(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, looks = 100.0, []
    monkeypatch.setattr(abandoned.time, "monotonic", lambda: now)
    monkeypatch.setattr(abandoned, "client_has_gone", lambda connection: looks.append(connection) or False)
    watch = ClientWatch(ends[0])
    for now in (100.0, 100.05, 100.09, 100.11, 100.12, 100.2, 100.22, 100.25):  # noqa: B007
        assert not watch.has_gone()
    assert len(looks) == 2


# What the system refuses


def test_the_master_lives_on_without_a_process_for_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), OSError(errno.ENOMEM, "no memory"), 4711])

    def spawn() -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    server = SimpleNamespace(spawn_worker=spawn)
    try_again_when_refused(server)
    assert [server.spawn_worker() for _ in range(3)] == [None, None, 4711]
    assert caplog.messages == [
        'event=no_worker_started error="Resource temporarily unavailable"',
        'event=no_worker_started error="no memory"',
    ]


@pytest.mark.parametrize(("given", "works"), [(3, True), (1, True), (0, False)])
def test_a_process_does_with_the_threads_it_gets(monkeypatch: pytest.MonkeyPatch, given: int, works: bool) -> None:
    left, start = given, threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        nonlocal left
        if not left:
            raise RuntimeError("can't start new thread")
        left -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    cfg = Config()
    cfg.set("threads", 3)
    worker = SimpleNamespace(cfg=cfg)
    if not works:
        with pytest.raises(RuntimeError):
            ApiWorker.get_thread_pool(worker)  # type: ignore[arg-type]
        return
    pool = ApiWorker.get_thread_pool(worker)  # type: ignore[arg-type]
    assert left == 0
    assert [pool.submit(abs, -number).result(10) for number in range(20)] == list(range(20))
    pool.shutdown()
