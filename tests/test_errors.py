"""The error tree, and what real failures of SQLite become."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from pathlib import Path

import pytest

from stockapi import errors
from stockapi.errors import (
    AbandonedError,
    AppError,
    BadPayloadError,
    ChangesError,
    ConfigError,
    CsvError,
    DeadlineError,
    DoesNotContinueError,
    ForeignSourceError,
    LayoutError,
    NoDataError,
    NotFoundError,
    OverloadedError,
    ProviderBannedError,
    ProviderDisabledError,
    ProviderError,
    ProviderStoppedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QueryError,
    RateLimitedError,
    SqliteError,
    SqliteFault,
    StoreError,
    TooManyRequestsError,
    TooManyRowsError,
    UnauthorizedError,
    UnknownSymbolError,
    WriterLockedError,
    sqlite_errors,
)

SECRET = "/srv/data/vn_data.db"

# error, its parent, its HTTP status
TREE: list[tuple[type[AppError], type[Exception], HTTPStatus]] = [
    (AppError, Exception, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ConfigError, AppError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (QueryError, AppError, HTTPStatus.BAD_REQUEST),
    (NotFoundError, AppError, HTTPStatus.NOT_FOUND),
    (TooManyRowsError, AppError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (StoreError, AppError, HTTPStatus.SERVICE_UNAVAILABLE),
    (CsvError, StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (LayoutError, CsvError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SqliteError, StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ChangesError, StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeadlineError, StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (OverloadedError, AppError, HTTPStatus.TOO_MANY_REQUESTS),
    (UnauthorizedError, AppError, HTTPStatus.UNAUTHORIZED),
    (TooManyRequestsError, AppError, HTTPStatus.TOO_MANY_REQUESTS),
    (AbandonedError, AppError, HTTPStatus.REQUEST_TIMEOUT),
    (WriterLockedError, AppError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ForeignSourceError, AppError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ProviderError, AppError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ProviderTimeoutError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ProviderUnavailableError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (RateLimitedError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ProviderBannedError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (BadPayloadError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (UnknownSymbolError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (NoDataError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (DoesNotContinueError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ProviderDisabledError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (ProviderStoppedError, ProviderError, HTTPStatus.INTERNAL_SERVER_ERROR),
]


@pytest.mark.parametrize(("error", "parent", "status"), TREE)
def test_each_error_has_its_place_and_status(error: type[AppError], parent: type, status: HTTPStatus) -> None:
    assert error.__bases__ == (parent,)
    assert error.status is status


def test_the_table_above_and_the_drawing_at_the_top_have_every_error() -> None:
    defined = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, AppError)]
    assert {row[0] for row in TREE} == set(defined)
    assert errors.__doc__ is not None
    for error in defined:
        assert error.__name__ in errors.__doc__


@pytest.mark.parametrize("error", [QueryError, NotFoundError, TooManyRowsError])
def test_what_the_caller_did_wrong_is_told_to_the_caller(error: type[AppError]) -> None:
    assert error("limit='x' is not allowed").public_message == "limit='x' is not allowed"


@pytest.mark.parametrize("error", [StoreError, CsvError, SqliteError, DeadlineError])
def test_what_went_wrong_in_a_store_is_told_to_the_operator_only(error: type[AppError]) -> None:
    failure = error(f"unable to open {SECRET}")
    assert SECRET in str(failure)
    assert SECRET not in failure.public_message
    assert "SQLite" not in failure.public_message
    assert failure.public_message.isprintable()


def test_a_reader_who_asked_for_too_much_is_told_how_to_ask_for_less() -> None:
    assert DeadlineError("x").public_message == (
        "the query took too long; ask for fewer symbols, a shorter range or a smaller limit"
    )


def test_a_sqlite_error_says_so_first_and_knows_what_it_means_for_the_file() -> None:
    assert str(SqliteError("disk I/O error")) == "SQLite error: disk I/O error"
    assert SqliteError("x").fault is SqliteFault.OTHER
    assert SqliteError("x", SqliteFault.BUSY).fault is SqliteFault.BUSY


# Real failures. Each function makes SQLite fail in the folder it is given.


def database(folder: Path) -> sqlite3.Connection:
    """A new database with a table `bars (ticker, time)`; a lock is not waited for."""
    conn = sqlite3.connect(folder / "data.db", timeout=0, isolation_level=None)
    conn.execute("CREATE TABLE bars (ticker TEXT, time INTEGER, UNIQUE (ticker, time))")
    return conn


def file_is_garbage(folder: Path) -> None:
    file = folder / "data.db"
    file.write_bytes(b"this is no database, and long enough to tell " * 100)
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("SELECT * FROM sqlite_master")


def page_is_damaged(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)"
            " INSERT INTO bars SELECT 'VCB', i FROM n"
        )
    file = folder / "data.db"
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("SELECT count(*) FROM bars NOT INDEXED").fetchall()


def file_is_missing(folder: Path) -> None:
    sqlite3.connect(f"file:{folder / 'missing.db'}?mode=ro", uri=True)


def folder_is_missing(folder: Path) -> None:
    sqlite3.connect(folder / "missing" / "data.db")


def file_is_a_folder(folder: Path) -> None:
    sqlite3.connect(folder)


def another_writes(folder: Path) -> None:
    with closing(database(folder)) as other, closing(sqlite3.connect(folder / "data.db", timeout=0)) as conn:
        other.execute("BEGIN IMMEDIATE")
        conn.execute("BEGIN IMMEDIATE")


def another_reads_before_the_upgrade(folder: Path) -> None:
    """SQLITE_BUSY_SNAPSHOT, an extended code: a reader wants to write what another has changed meanwhile."""
    with closing(database(folder)) as other, closing(sqlite3.connect(folder / "data.db", isolation_level=None)) as conn:
        other.execute("PRAGMA journal_mode=WAL")
        conn.execute("BEGIN")
        conn.execute("SELECT * FROM bars").fetchall()
        other.execute("INSERT INTO bars VALUES ('VCB', 1)")
        conn.execute("INSERT INTO bars VALUES ('VCB', 2)")


def table_is_locked(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.executemany("INSERT INTO bars VALUES ('VCB', ?)", [(1,), (2,)])
        reading = conn.execute("SELECT * FROM bars")
        reading.fetchone()
        conn.execute("DROP TABLE bars")


def disk_is_full(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute("PRAGMA max_page_count = 4")
        conn.executemany("INSERT INTO bars VALUES (?, ?)", [("x" * 1000, time) for time in range(100)])


def table_is_missing(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute("SELECT * FROM vn_daily")


def file_is_empty(folder: Path) -> None:
    (folder / "data.db").touch()
    with closing(sqlite3.connect(f"file:{folder / 'data.db'}?mode=ro", uri=True)) as conn:
        conn.execute("SELECT * FROM bars")


def column_is_missing_in_a_query(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute("SELECT close FROM bars")


def column_is_missing_in_an_insert(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute("INSERT INTO bars (ticker, close) VALUES ('VCB', 1)")


def unique_index_is_missing(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute("INSERT INTO bars VALUES ('VCB', 1) ON CONFLICT (ticker) DO NOTHING")


def connection_is_read_only(folder: Path) -> None:
    database(folder).close()
    with closing(sqlite3.connect(f"file:{folder / 'data.db'}?mode=ro", uri=True)) as conn:
        conn.execute("INSERT INTO bars VALUES ('VCB', 1)")


def row_breaks_a_constraint(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.executemany("INSERT INTO bars VALUES (?, ?)", [("VCB", 1), ("VCB", 1)])


def statement_is_wrong(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute("SELEC 1")


def connection_is_closed(folder: Path) -> None:
    """An error of Python's own, which has no result code."""
    conn = database(folder)
    conn.close()
    conn.execute("SELECT 1")


def text_is_damaged(folder: Path) -> None:
    with closing(database(folder)) as conn:
        conn.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()


FAILURES: list[tuple[Callable[[Path], None], SqliteFault]] = [
    (file_is_garbage, SqliteFault.NOT_A_DATABASE),
    (page_is_damaged, SqliteFault.CORRUPT),
    (text_is_damaged, SqliteFault.CORRUPT),
    (file_is_missing, SqliteFault.CANNOT_OPEN),
    (folder_is_missing, SqliteFault.CANNOT_OPEN),
    (file_is_a_folder, SqliteFault.CANNOT_OPEN),
    (another_writes, SqliteFault.BUSY),
    (another_reads_before_the_upgrade, SqliteFault.BUSY),
    (table_is_locked, SqliteFault.BUSY),
    (disk_is_full, SqliteFault.FULL),
    (table_is_missing, SqliteFault.WRONG_SCHEMA),
    (file_is_empty, SqliteFault.WRONG_SCHEMA),
    (column_is_missing_in_a_query, SqliteFault.WRONG_SCHEMA),
    (column_is_missing_in_an_insert, SqliteFault.WRONG_SCHEMA),
    (unique_index_is_missing, SqliteFault.WRONG_SCHEMA),
    (connection_is_read_only, SqliteFault.OTHER),
    (row_breaks_a_constraint, SqliteFault.OTHER),
    (statement_is_wrong, SqliteFault.OTHER),
    (connection_is_closed, SqliteFault.OTHER),
]


@pytest.mark.parametrize(("fail", "fault"), FAILURES, ids=[fail.__name__ for fail, _ in FAILURES])
def test_a_real_failure_becomes_one_line_with_its_fault_and_cause(
    fail: Callable[[Path], None], fault: SqliteFault, tmp_path: Path
) -> None:
    with pytest.raises(SqliteError) as caught, sqlite_errors():
        fail(tmp_path)
    error = caught.value
    assert error.fault is fault
    assert isinstance(error.__cause__, sqlite3.Error)
    assert str(error) == f"SQLite error: {error.__cause__}"
    assert str(error).isprintable()
    assert error.public_message == "the market data cannot be read right now; try again shortly"
    assert error.status is HTTPStatus.SERVICE_UNAVAILABLE


def test_a_message_of_sqlite_that_quotes_damaged_text_is_damage() -> None:
    """Python cannot read it, and what it raises then is no error of sqlite3."""
    with pytest.raises(SqliteError) as caught, sqlite_errors(), closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("SELECT json_extract('{}', CAST(x'24fe' AS TEXT))")
    assert caught.value.fault is SqliteFault.CORRUPT
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_a_query_stopped_by_its_progress_handler_has_passed_its_deadline() -> None:
    with closing(sqlite3.connect(":memory:")) as conn:
        deadline = time.monotonic() + 0.01
        conn.set_progress_handler(lambda: time.monotonic() > deadline, 1000)
        with pytest.raises(DeadlineError, match=r"^SQLite error: .*deadline") as caught, sqlite_errors():
            conn.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_nothing_is_added_where_nothing_fails() -> None:
    with sqlite_errors(), closing(sqlite3.connect(":memory:")) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "failure", [ValueError("x"), QueryError("x"), SqliteError("x", SqliteFault.FULL), KeyboardInterrupt()]
)
def test_failures_of_others_pass_untouched(failure: BaseException) -> None:
    with pytest.raises(type(failure)) as caught, sqlite_errors():
        raise failure
    assert caught.value is failure
