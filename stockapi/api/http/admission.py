"""Admission control: a process answers only a few large queries at a time, so that threads stay free for small ones.

A query of 50,000 rows keeps a processor busy for a third of a second. Four at once in a process of four threads block
everything else for seconds, /livez included. They are not faster either, because building rows holds Python's lock.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask, current_app, request

from stockapi.api.http import limits
from stockapi.context import services
from stockapi.errors import OverloadedError
from stockapi.models.query import QueryParameters

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEY: Final = "stockapi.admission"
_PATIENCE_S: Final = 5.0
"""The seconds that a large query waits for its admission: several times what a usual one takes. The wait is part of
the time of the request, so it also ends at the deadline.

Only one query waits, because each waiting query blocks a thread.
"""


class AdmissionControl:
    """WSGI middleware. It ends the admission of a request when the answer is sent, or when the client has gone."""

    def __init__(self, application: "WSGIApplication", limit: int) -> None:
        self._application = application
        self._running = threading.BoundedSemaphore(limit)
        self._present = threading.BoundedSemaphore(limit + 1)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        admission = environ[_KEY] = _Admission()
        try:
            body = self._application(environ, start_response)
        except BaseException:
            admission.end()
            raise
        return _Body(body, admission.end) if admission.is_held else body

    def admit(self, admission: "_Admission", seconds_left: float = math.inf) -> None:
        """Admit a large query, perhaps after a wait.

        :raises OverloadedError: when another one waits already, or no admission ends in time.
        """
        if not self._present.acquire(blocking=False):
            raise OverloadedError
        if not self._running.acquire(timeout=min(_PATIENCE_S, seconds_left)):
            self._present.release()
            raise OverloadedError
        admission.begin(self._running.release, self._present.release)


class _Admission:
    """The admission of one request. It begins at most once."""

    def __init__(self) -> None:
        self._releases: Sequence[Callable[[], Any]] = ()

    @property
    def is_held(self) -> bool:
        return bool(self._releases)

    def begin(self, *releases: Callable[[], Any]) -> None:
        self._releases = releases

    def end(self) -> None:
        releases, self._releases = self._releases, ()
        for release in releases:
            release()


class _Body:
    """The body of an answer. It calls `over` when it is sent completely, or closed before."""

    def __init__(self, pieces: Iterable[bytes], over: Callable[[], None]) -> None:
        self._pieces = pieces
        self._iterator = iter(pieces)
        self._over = over

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._iterator)
        except StopIteration:
            self._over()
            raise

    def close(self) -> None:
        try:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()
        finally:
            self._over()


def install(app: Flask, limit: int) -> None:
    """`limit`: the number of large queries that a process answers at the same time."""
    control = AdmissionControl(app.wsgi_app, limit)
    app.extensions[_KEY] = control
    app.wsgi_app = control  # type: ignore[method-assign]  # as Flask's documentation has it


def admit(*queries: QueryParameters) -> None:
    """Call it before the stores are read. Small queries pass; large ones wait for admission, or are refused.

    :raises OverloadedError: 429, when the queries together are large and not admitted.
    """
    own, left = services(), limits.current()
    if own.query_cost.is_large(queries, own.clock(), left.deadline):
        control = cast(AdmissionControl, current_app.extensions[_KEY])
        control.admit(request.environ[_KEY], left.seconds_left)
