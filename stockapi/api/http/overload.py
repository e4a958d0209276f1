"""Large queries, a few at a time: the rest of a process's threads stay free for small ones.

A query that reads 50,000 rows keeps a processor busy for a third of a second. Four at once in a process of four threads
let nothing else through, /livez included, for seconds, and are not done sooner: building rows holds Python's lock.
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

_KEY: Final = "stockapi.overload"
_PATIENCE_S: Final = 5.0
"""How long the next one waits for its turn: several times what a usual large query takes. The wait is a part of the
request's time, so it ends at the deadline too, and what is left then is less.

One only: each that waits keeps a thread from small queries.
"""


class HeavyQueries:
    """WSGI middleware that ends a request's turn when its answer was sent, or its client has gone."""

    def __init__(self, application: "WSGIApplication", limit: int) -> None:
        self._application = application
        self._running = threading.BoundedSemaphore(limit)
        self._present = threading.BoundedSemaphore(limit + 1)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        turn = environ[_KEY] = _Turn()
        try:
            body = self._application(environ, start_response)
        except BaseException:
            turn.end()
            raise
        return _Body(body, turn.end) if turn.is_taken else body

    def take(self, turn: "_Turn", seconds_left: float = math.inf) -> None:
        """:raises OverloadedError: when too many are there, or none of them has ended in time."""
        if not self._present.acquire(blocking=False):
            raise OverloadedError
        if not self._running.acquire(timeout=min(_PATIENCE_S, seconds_left)):
            self._present.release()
            raise OverloadedError
        turn.begin(self._running.release, self._present.release)


class _Turn:
    """That of one request, taken at most once."""

    def __init__(self) -> None:
        self._releases: Sequence[Callable[[], Any]] = ()

    @property
    def is_taken(self) -> bool:
        return bool(self._releases)

    def begin(self, *releases: Callable[[], Any]) -> None:
        self._releases = releases

    def end(self) -> None:
        releases, self._releases = self._releases, ()
        for release in releases:
            release()


class _Body:
    """An answer's body that says when it is over: sent to its end, or closed before."""

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
    """`limit`: large queries that a process answers at once."""
    heavy_queries = HeavyQueries(app.wsgi_app, limit)
    app.extensions[_KEY] = heavy_queries
    app.wsgi_app = heavy_queries  # type: ignore[method-assign]  # as Flask's documentation has it


def admit(*queries: QueryParameters) -> None:
    """Called before the stores are asked; what is small passes, what is large waits for its turn or is refused.

    :raises OverloadedError: 429, for a large one.
    """
    own, left = services(), limits.current()
    if own.query_cost.is_heavy(queries, own.clock(), left.deadline):
        heavy_queries = cast(HeavyQueries, current_app.extensions[_KEY])
        heavy_queries.take(request.environ[_KEY], left.seconds_left)
