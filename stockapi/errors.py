"""The errors that this project raises.

AppError                    what was wrong and what is allowed, in one line
├── ConfigError             a setting; stops the start
├── QueryError              a parameter of a request (400)
├── NotFoundError           nothing there (404)
├── TooManyRowsError        an answer past the row budget (413)
├── StoreError              a store could not answer or keep something (503)
│   ├── CsvError            a CSV file or its directory
│   │   └── LayoutError     the columns of a CSV file cannot be identified
│   ├── SqliteError         the database; the message begins "SQLite error:"
│   ├── ChangesError        what has changed is not known now
│   └── DeadlineError       the query took longer than it may
├── OverloadedError         too many large queries at once (429)
├── UnauthorizedError       a request without a key that it needs (401)
├── TooManyRequestsError    a client has asked too often (429)
├── AbandonedError          the client has gone (408, which nobody reads)
├── WriterLockedError       another process is the writer
├── ForeignSourceError      the market was filled by another source
└── ProviderError           an upstream source failed
    ├── ProviderTimeoutError        no answer in time
    ├── ProviderUnavailableError    it cannot be reached, or answers that it has failed (5xx)
    ├── RateLimitedError            it wants fewer requests
    ├── ProviderBannedError         it turns us away
    ├── BadPayloadError             the answer is not what it should be
    ├── UnknownSymbolError          the source does not know the ticker
    ├── NoDataError                 an answer without a single bar
    ├── DoesNotContinueError        its bars cannot follow those that are stored
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
    """Base of all. `str(error)` is for the operator. `public_message` is for HTTP clients."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def public_message(self) -> str:
        return str(self)


class ConfigError(AppError):
    """A setting has a value that is not allowed. The text names the variable, the value and what is allowed."""


class QueryError(AppError):
    """A request asks for something that is not allowed. The text says what is allowed."""

    status = HTTPStatus.BAD_REQUEST


class NotFoundError(AppError):
    status = HTTPStatus.NOT_FOUND


class TooManyRowsError(AppError):
    """The answer would have more rows than its budget. The text says how to make the query smaller."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class StoreError(AppError):
    """A store could not answer. The text may contain paths, so clients get a fixed text instead."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def public_message(self) -> str:
        return "the market data cannot be read right now; try again shortly"


class CsvError(StoreError):
    """A CSV file could not be read or written."""


class LayoutError(CsvError):
    """The columns of a CSV file cannot be identified. `text`: the whole file; "" when it is not known."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class ChangesError(StoreError):
    """What has changed is not known: only SQLite knows it, and it does not answer. CSV could only guess."""

    @property
    def public_message(self) -> str:
        return "what has changed cannot be told right now, only the bars; try again shortly, or without updated_since"


class DeadlineError(StoreError):
    """A query was stopped at its deadline."""

    @property
    def public_message(self) -> str:
        return "the query took too long; ask for fewer symbols, a shorter range or a smaller limit"


class SqliteFault(Enum):
    """What an error says about the database file. Only the first three are a reason to rebuild it."""

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
    """An error of SQLite. The database modules raise it in place of every `sqlite3.Error`."""

    def __init__(self, reason: object, fault: SqliteFault = SqliteFault.OTHER) -> None:
        super().__init__(f"SQLite error: {reason}")
        self.fault = fault


cannot_open = partial(SqliteError, fault=SqliteFault.CANNOT_OPEN)
"""The error of a database file that the system does not open."""


class AbandonedError(AppError):
    """The client has closed the connection before its answer was ready."""

    status = HTTPStatus.REQUEST_TIMEOUT


class OverloadedError(AppError):
    """A large query came while the maximum number of large queries were running."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self) -> None:
        super().__init__(
            "too many large queries at once; try again shortly, "
            "or ask for fewer symbols, a shorter range or a smaller limit"
        )


class UnauthorizedError(AppError):
    """A request needs a key, and has none that is known. The text never contains what was given."""

    status = HTTPStatus.UNAUTHORIZED


class TooManyRequestsError(AppError):
    """A client has had all requests of this minute. `retry_after_s`: the seconds until it may ask again."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, per_minute: int, retry_after_s: int) -> None:
        super().__init__(
            f"too many requests; allowed: {per_minute} a minute; the next one in {retry_after_s} "
            f"{'second' if retry_after_s == 1 else 'seconds'}"
        )
        self.retry_after_s = retry_after_s


class WriterLockedError(AppError):
    """Another process holds the lock of the writer. The text says which."""


class ForeignSourceError(AppError):
    """A market was filled by one source, and another one is to go on. The text says how."""


class ProviderError(AppError):
    """An upstream source failed. The text names the source and, if any, the ticker. It never contains a key."""

    stops_cycle: ClassVar[bool] = False
    """Whether the next ticker would fail the same way. Then a request for it is useless or makes things worse."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """`retry_after_s`: how many seconds the source asked us to wait; None when it did not say."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderTimeoutError(ProviderError):
    """No connection, or no complete answer, in time."""


class ProviderUnavailableError(ProviderError):
    """No connection, a broken connection, or an answer that the source itself has failed (5xx)."""


class RateLimitedError(ProviderError):
    """The source wants fewer requests. Waiting did not help, or would have taken too long."""

    stops_cycle = True


class ProviderBannedError(ProviderError):
    """The source refuses every request of ours."""

    stops_cycle = True


class BadPayloadError(ProviderError):
    """The answer does not have the form that the source should send, or no row of it does."""


class UnknownSymbolError(ProviderError):
    """The source does not know the ticker."""


class NoDataError(ProviderError):
    """An answer without bars. A source that blocks us may answer like this too, so it does not prove that there are no
    bars.
    """


class DoesNotContinueError(ProviderError):
    """The bars of the source cannot follow the stored ones. The text says why."""


class ProviderDisabledError(ProviderError):
    """The source is not available in this configuration. The text says which setting to change."""

    stops_cycle = True


class ProviderStoppedError(ProviderError):
    """A fetch was stopped because the process has to stop."""

    stops_cycle = True


_WRONG_SCHEMA = re.compile(
    "no such (table|column): |table .* has no column named |ON CONFLICT clause does not match "
    "|(table|index) .* already exists|duplicate column name: "
)
"""Texts of SQLite for a table that is not as the statement expects. The error code is the general one, so only the text
tells.
"""


_DAMAGED_TEXT = "Could not decode to UTF-8 "


def fault_of(exc: sqlite3.Error) -> SqliteFault:
    if _WRONG_SCHEMA.match(str(exc)):
        return SqliteFault.WRONG_SCHEMA
    if str(exc).startswith(_DAMAGED_TEXT):
        return SqliteFault.CORRUPT
    # The low byte of an extended result code is the primary code. Errors of Python's sqlite3 module itself, for example
    # for a closed connection, have no code.
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return _FAULT_OF_CODE.get(code & 0xFF, SqliteFault.OTHER) if code is not None else SqliteFault.OTHER


@contextmanager
def os_errors(error: Callable[[str], StoreError], what: object, *, named: bool = False) -> Iterator[None]:
    """The one place where the `OSError` of a store becomes an error of this project. The cause is kept.

    :param named: the text begins with the file that the system names, instead of `what`. If it names none, with `what`.
    """
    try:
        yield
    except OSError as exc:
        raise error(f"{(named and exc.filename) or what}: {exc.strerror or exc}") from exc


@contextmanager
def sqlite_errors() -> Iterator[None]:
    """The one place where `sqlite3.Error` becomes an error of this project.

    :raises DeadlineError: when the progress handler has interrupted the statement.
    :raises SqliteError: for every other error. The cause is kept.
    """
    try:
        yield
    except sqlite3.Error as exc:
        fault = fault_of(exc)
        if fault is SqliteFault.INTERRUPTED:
            raise DeadlineError("SQLite error: the statement was stopped at its deadline") from exc
        raise SqliteError(exc, fault) from exc
    except UnicodeDecodeError as exc:
        # SQLite quotes damaged text in its message, and Python cannot decode that message.
        raise SqliteError(f"its own message cannot be read: {exc}", SqliteFault.CORRUPT) from exc
