"""Admission control: a process answers only a few large queries at a time, so that threads stay free for small ones.

A query of 50,000 rows keeps a processor busy for a third of a second. Four at once in a process of four threads block
everything else for seconds, /livez included. They are not faster either, because building rows holds Python's lock.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask, current_app, g, request

from stockapi.api.http import limits
from stockapi.api.server.abandoned import LOOK_EVERY_S
from stockapi.api.server.freed_memory import expect_much
from stockapi.context import services
from stockapi.errors import AbandonedError, OverloadedError
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

    def admit(
        self, admission: "_Admission", seconds_left: float = math.inf, has_gone: Callable[[], bool] = lambda: False
    ) -> None:
        """Admit a large query, perhaps after a wait.

        :param has_gone: whether the client has gone; then nobody waits any more.
        :raises OverloadedError: when another one waits already, or no admission ends in time.
        :raises AbandonedError: when the client goes while it waits.
        """
        if not self._present.acquire(blocking=False):
            raise OverloadedError
        try:
            self._wait(min(_PATIENCE_S, seconds_left), has_gone)
        except BaseException:
            self._present.release()
            raise
        admission.begin(self._running.release, self._present.release)

    def _wait(self, left_s: float, has_gone: Callable[[], bool]) -> None:
        while not self._running.acquire(timeout=min(LOOK_EVERY_S, max(0.0, left_s))):
            left_s -= LOOK_EVERY_S
            if has_gone():
                raise AbandonedError("the client of a large query has gone while it waited")
            if left_s <= 0.0:
                raise OverloadedError


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
        if releases:
            expect_much()
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
    """Install it after the limits of requests.

    :param limit: the number of large queries that a process answers at the same time.
    """
    control = AdmissionControl(app.wsgi_app, limit)
    app.extensions[_KEY] = control
    app.wsgi_app = control  # type: ignore[method-assign]  # as Flask's documentation has it
    app.before_request(_admit_work_too)


def _admit_work_too() -> None:
    g.limits = replace(limits.current(), admit=_admit_work)


def _admit_work(rows: int) -> None:
    """As `admit`, for work that only the stores know of: it costs as much as reading so many rows."""
    if rows >= services().settings.heavy_query_rows:
        _enter()


def admit(*queries: QueryParameters) -> None:
    """Call it before the stores are read. Small queries pass; large ones wait for admission, or are refused.

    :raises OverloadedError: 429, when the queries together are large and not admitted.
    """
    own, left = services(), limits.current()
    if own.query_cost.is_large(queries, own.clock(), left.deadline):
        _enter()


def _enter() -> None:
    """The admission of this request, unless it has one already."""
    admission, left = cast(_Admission, request.environ[_KEY]), limits.current()
    if not admission.is_held:
        cast(AdmissionControl, current_app.extensions[_KEY]).admit(admission, left.seconds_left, left.has_gone)
