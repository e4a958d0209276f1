"""What `ApiWorker` holds on to in gunicorn is still there, and nothing that it calls its own has come into it."""

import socket
from inspect import isfunction, signature
from types import FunctionType, SimpleNamespace

import gunicorn  # type: ignore[import-untyped]
import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from stockapi.api.server import GUNICORN_VERSION, worker
from stockapi.api.server.worker import ApiWorker, LineLogger

REPLACED = {
    "accept",
    "get_thread_pool",
    "handle_request",
    "set_accept_enabled",
    "wait_for_and_dispatch_events",
    "enqueue_req",
    "on_pending_socket_readable",
    "handle",
    "_keepalive_after",
    "finish_request",
    "init_signals",
    "handle_error",
}


def methods(kind: type) -> dict[str, FunctionType]:
    return {name: value for name, value in vars(kind).items() if isfunction(value)}


def test_the_installed_gunicorn_is_the_one_that_was_read() -> None:
    assert gunicorn.__version__ == GUNICORN_VERSION, (
        "another gunicorn is installed: stockapi/api/server/__init__.py says what to do before its number is changed"
    )


def test_of_the_methods_of_gunicorn_only_these_are_replaced() -> None:
    """Another version may bring a method under a name that is ours, and call what it does not expect."""
    assert {name for name in methods(ApiWorker) if hasattr(ThreadWorker, name)} == REPLACED


@pytest.mark.parametrize("name", sorted(REPLACED))
def test_what_is_replaced_is_called_as_before(name: str) -> None:
    ours, theirs = signature(methods(ApiWorker)[name]), signature(getattr(ThreadWorker, name))
    assert len(ours.parameters) == len(theirs.parameters)


@pytest.mark.parametrize("name", sorted(methods(LineLogger)))
def test_the_logger_replaces_what_there_is(name: str) -> None:
    assert hasattr(Logger, name)


@pytest.mark.parametrize(
    ("headers", "stays"),
    [
        ("", True),
        ("Content-Length: 5\r\n", False),
        ("Transfer-Encoding: chunked\r\n", False),
    ],
)
def test_only_a_body_that_does_not_come_in_time_closes_a_connection(
    headers: str, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the thread may go on later than the time for a body, and there may be none to wait for."""
    monkeypatch.setattr(worker, "_DRAIN_S", -1.0)
    client, server = socket.socketpair()
    with client, server:
        client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        parser = RequestParser(Config(), server, ("127.0.0.1", 1))
        next(parser)
        assert methods(ApiWorker)["_keepalive_after"](None, SimpleNamespace(parser=parser), True) is stays
