"""Every error this project raises on purpose.

AppError                    what was wrong and what is allowed, in one line
├── ConfigError             a setting; stops the start
├── QueryError              a parameter of a request (400)
├── NotFoundError           nothing there (404)
├── TooManyRowsError        an answer past the row budget (413)
├── StoreError              a store could not answer or keep something (503)
│   ├── CsvError            a CSV file or its directory
│   │   └── LayoutError     nothing tells which column of a CSV file is which
│   ├── SqliteError         the database; the message begins "SQLite error:"
│   └── DeadlineError       the query took longer than it may
├── OverloadedError         too many large queries at once (503)
├── WriterLockedError       another process is the writer
└── ProviderError           an upstream source failed
    ├── ProviderTimeoutError        no answer in time
    ├── ProviderUnavailableError    it cannot be reached, or answers that it has failed (5xx)
    ├── RateLimitedError            it wants fewer requests
    ├── ProviderBannedError         it turns us away
    ├── BadPayloadError             the answer is not what it should be
    ├── UnknownSymbolError          the source does not know the ticker
    ├── NoDataError                 an answer without a single bar
    ├── ProviderDisabledError       the source is not available in this configuration
    └── ProviderStoppedError        no failure: the process is to stop
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from http import HTTPStatus
from typing import ClassVar


class AppError(Exception):
    """Base of all. `str(error)` is for the operator; `public_message` is what an HTTP client may read."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def public_message(self) -> str:
        return str(self)


class ConfigError(AppError):
    """A setting has a value that is not allowed; names the variable, the value and what is."""


class QueryError(AppError):
    """A request asks for something that is not allowed; the text says what is."""

    status = HTTPStatus.BAD_REQUEST


class NotFoundError(AppError):
    status = HTTPStatus.NOT_FOUND


class TooManyRowsError(AppError):
    """The answer would pass the row budget; the text says how to narrow the query."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class StoreError(AppError):
    """A store could not answer. Its text may hold paths, so clients get a fixed one."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def public_message(self) -> str:
        return "the market data cannot be read right now; try again shortly"


class CsvError(StoreError):
    """A CSV file could not be read or written."""


class LayoutError(CsvError):
    """Nothing tells which column of a CSV file is which. `text`: the whole file, where that is at hand."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class DeadlineError(StoreError):
    """A query was stopped at its deadline."""

    @property
    def public_message(self) -> str:
        return "the query took too long; ask for fewer symbols, a shorter range or a smaller limit"


class SqliteFault(Enum):
    """What an error says about the file. Only the first three are evidence that it needs rebuilding."""

    CORRUPT = "corrupt"
    NOT_A_DATABASE = "not a database"
    WRONG_SCHEMA = "wrong schema"
    CANNOT_OPEN = "cannot open"
    BUSY = "busy"
    FULL = "full"
    INTERRUPTED = "interrupted"
    OTHER = "other"


_FAULT_OF_CODE = {
    sqlite3.SQLITE_CORRUPT: SqliteFault.CORRUPT,
    sqlite3.SQLITE_NOTADB: SqliteFault.NOT_A_DATABASE,
    sqlite3.SQLITE_SCHEMA: SqliteFault.WRONG_SCHEMA,
    sqlite3.SQLITE_CANTOPEN: SqliteFault.CANNOT_OPEN,
    sqlite3.SQLITE_BUSY: SqliteFault.BUSY,
    sqlite3.SQLITE_LOCKED: SqliteFault.BUSY,
    sqlite3.SQLITE_FULL: SqliteFault.FULL,
    sqlite3.SQLITE_INTERRUPT: SqliteFault.INTERRUPTED,
}


class SqliteError(StoreError):
    """The one shape in which an `sqlite3.Error` leaves the database modules."""

    def __init__(self, reason: object, fault: SqliteFault = SqliteFault.OTHER) -> None:
        super().__init__(f"SQLite error: {reason}")
        self.fault = fault


cannot_open = partial(SqliteError, fault=SqliteFault.CANNOT_OPEN)
"""The error of a database file that the system does not give."""


class OverloadedError(AppError):
    """A large query came while as many as may be were being answered."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(
            "too many large queries at once; try again shortly, "
            "or ask for fewer symbols, a shorter range or a smaller limit"
        )


class WriterLockedError(AppError):
    """Another process holds the writer's lock; the text says which."""


class ProviderError(AppError):
    """An upstream source failed. The text names the source and, where there is one, the ticker; never a key."""

    stops_cycle: ClassVar[bool] = False
    """Whether the next ticker would fail the same way, so that asking for it is useless or makes things worse."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """`retry_after_s`: what the source asked us to wait, where it did."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderTimeoutError(ProviderError):
    """No connection, or no complete answer, in time."""


class ProviderUnavailableError(ProviderError):
    """No connection, a broken one, or an answer that the source itself has failed (5xx)."""


class RateLimitedError(ProviderError):
    """The source wants fewer requests, and waiting did not help or would have taken too long."""

    stops_cycle = True


class ProviderBannedError(ProviderError):
    """The source turns us away, whatever we ask for."""

    stops_cycle = True


class BadPayloadError(ProviderError):
    """An answer that is not what the source should send: not as a whole, or no single row of it."""


class UnknownSymbolError(ProviderError):
    """The source does not know the ticker."""


class NoDataError(ProviderError):
    """An answer without a single bar. Suspect: blocking looks like this too, so it never says that there are none."""


class ProviderDisabledError(ProviderError):
    """The source is not available in this configuration; the text says what to set."""

    stops_cycle = True


class ProviderStoppedError(ProviderError):
    """A fetch given up because the process is to stop."""

    stops_cycle = True


_WRONG_SCHEMA = re.compile("no such (table|column): |table .* has no column named |ON CONFLICT clause does not match ")
"""SQLite reports a table that is not as the statement expects with the general error code; only its words tell."""


_DAMAGED_TEXT = "Could not decode to UTF-8 "


def _fault_of(exc: sqlite3.Error) -> SqliteFault:
    if _WRONG_SCHEMA.match(str(exc)):
        return SqliteFault.WRONG_SCHEMA
    if str(exc).startswith(_DAMAGED_TEXT):
        return SqliteFault.CORRUPT
    # An extended result code carries the primary one in its low byte. Python's own
    # sqlite3 errors (a closed connection, say) have no code at all.
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return _FAULT_OF_CODE.get(code & 0xFF, SqliteFault.OTHER) if code is not None else SqliteFault.OTHER


@contextmanager
def os_errors(error: Callable[[str], StoreError], what: object, *, named: bool = False) -> Iterator[None]:
    """The one place where the `OSError` of a store becomes ours, with what it is about and the cause.

    :param named: the text is about the file that the system names, where it names one, and not about `what`.
    """
    try:
        yield
    except OSError as exc:
        raise error(f"{(named and exc.filename) or what}: {exc.strerror or exc}") from exc


@contextmanager
def sqlite_errors() -> Iterator[None]:
    """The one place where `sqlite3.Error` becomes ours.

    :raises DeadlineError: when the statement was interrupted by its progress handler.
    :raises SqliteError: for everything else, with the cause kept.
    """
    try:
        yield
    except sqlite3.Error as exc:
        fault = _fault_of(exc)
        if fault is SqliteFault.INTERRUPTED:
            raise DeadlineError("SQLite error: the statement was stopped at its deadline") from exc
        raise SqliteError(exc, fault) from exc
    except UnicodeDecodeError as exc:
        # Damaged text that SQLite quotes in a message of its own, which Python then cannot read.
        raise SqliteError(f"its own message cannot be read: {exc}", SqliteFault.CORRUPT) from exc
