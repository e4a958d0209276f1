"""Connections to the two database files, and the state of the files.

One process writes. It has one write connection for each file, and one lock around every transaction and checkpoint.
Every other thread reads through its own read-only connection, which it opens after any fork. The reasons for these
rules are measured in docs/reliability.md.
"""

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.parse import quote

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import SqliteError, SqliteFault, StoreError, cannot_open, fault_of, os_errors, sqlite_errors
from stockapi.machine import open_regular
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment
from stockapi.services.database_manager.damage import of_types
from stockapi.services.database_manager.migrations import SCHEMA_VERSION, apply_missing, known_migrations
from stockapi.services.durable import FileState, fsync_directory

__all__ = ["NEVER", "DatabaseHealth", "DatabaseManager", "DatabaseStats", "known_migrations", "uri"]

ACTIVE_WITHIN_DAYS = 7
NEVER = Event()  # never set: for work that nobody may interrupt
_PAGE_BYTES = 8_192  # twice the default: half as many reads for an answer of many pages, see docs/decisions/005
_PROGRESS_OPCODES = 10_000  # about 0.1 ms of work between two looks at the clock

_Identity = tuple[int, tuple[int, int], tuple[int, ...]]
"""The process that opened a connection, device and inode of the opened file, and the inodes of its log and of the index
of the log (0: none).
"""
_FAULTS_OF_CONNECTION = frozenset({SqliteFault.CANNOT_OPEN, SqliteFault.OTHER})
"""After these the write connection is opened anew. A busy or full database does not spoil it."""
_SIDES = ("-wal", "-shm")
_NOT_TOGETHER = "the database or its write-ahead log was removed or replaced under its writer"
_CANNOT_OPEN = "unable to open database file"  # as SQLite says it

_STATS = """
WITH newest AS (SELECT interval, max(last_time) AS newest_time FROM ledger GROUP BY interval)
SELECT interval, count(*), sum(rows), newest_time, count(*) FILTER (WHERE last_time >= newest_time - :active_s)
FROM ledger JOIN newest USING (interval) GROUP BY interval
"""
_TYPES_OF_STATS = (str, int, int, int, int)
_TICKERS = "SELECT count(DISTINCT ticker) FROM ledger"
_LAST_INTEGRITY_CHECK = "SELECT result, done_at FROM maintenance WHERE name = 'integrity_check'"


@dataclass(frozen=True, slots=True)
class DatabaseStats:
    """Counts from the ledger. `newest`: the time of the newest bar in Unix seconds; None when there is none."""

    tickers: int
    active_tickers: int
    records: dict[Interval, int]
    newest: dict[Interval, int | None]


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """The state of one database file; `error` is None exactly when `reachable`."""

    path: str
    size_bytes: int
    schema_version: int | None
    reachable: bool
    error: str | None
    last_integrity_check: str | None


@dataclass(slots=True)
class _OpenConnection:
    connection: sqlite3.Connection
    identity: _Identity
    deadline: float = float("inf")
    """The `time.monotonic()` at which its statements are stopped."""
    stop: Event = NEVER

    def is_over(self) -> bool:
        return time.monotonic() > self.deadline or self.stop.is_set()


class DatabaseManager:
    """Both database files. Safe to share between threads and to carry across a fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._local = threading.local()
        self._writers: dict[Mode, _OpenConnection] = {}
        self._opened: set[Mode] = set()
        """The markets whose file this process has written. If such a file disappears, a save must not create an empty
        one, because it would look like a market without bars. A rebuild creates a full one.
        """
        self._without_log: dict[Mode, tuple[int, int]] = {}
        """The files whose log was removed or replaced while this process wrote it."""
        self._write_locks = {mode: threading.RLock() for mode in Mode}

    # Reading

    @contextmanager
    def snapshot(self, mode: Mode, deadline: float | None = None, stop: Event = NEVER) -> Iterator[sqlite3.Connection]:
        """A read-only connection of this thread, inside one read transaction: all statements see the same state.

        It must not be nested.

        :param deadline: the `time.monotonic()` at which statements are stopped; by default QUERY_DEADLINE_MS from now.
        :param stop: statements are also stopped when it is set.
        :raises SqliteError: when the file is missing, damaged, locked, or of an older schema.
        :raises DeadlineError: when the deadline passes, or `stop` is set.
        """
        with self.reading(mode, deadline, stop) as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def reading(self, mode: Mode, deadline: float | None = None, stop: Event = NEVER) -> Iterator[sqlite3.Connection]:
        """As `snapshot`, without a transaction: for a single statement, which always sees one state."""
        with sqlite_errors():
            reader = self._reader(mode)
            reader.deadline = deadline or time.monotonic() + self.settings.query_deadline_ms / 1000
            reader.stop = stop
            try:
                yield reader.connection
            except BaseException:
                # After an error the state of the connection is unknown. Opening a new one takes only 0.2 ms.
                self._forget_reader(mode)
                raise

    def _reader(self, mode: Mode) -> _OpenConnection:
        readers: dict[Mode, _OpenConnection] = self._local.__dict__.setdefault("readers", {})
        path = self.settings.database_path(mode)
        identity = _identity(path)
        opened = readers.get(mode)
        if opened is not None and opened.identity == identity:
            return opened
        self._forget_reader(mode)
        readers[mode] = opened = self._open_reader(path, identity)
        return opened

    def _open_reader(self, path: Path, identity: _Identity) -> _OpenConnection:
        _require_no_pipe(path)
        connection = sqlite3.connect(uri(path, "ro"), uri=True, isolation_level=None)
        opened = _OpenConnection(connection, identity)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA busy_timeout = {self.settings.sqlite_reader_busy_timeout_ms}")
            connection.execute(f"PRAGMA cache_size = {self.settings.sqlite_reader_cache_size}")
            connection.execute("PRAGMA mmap_size = 0")  # a truncated file under mmap kills the process
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA cell_size_check = ON")  # finds damage that would else be wrong rows
            connection.execute(SCHEMA_VERSION).fetchone()  # garbage and empty files fail here, not in mid-answer
            found = _identity(path)
        except BaseException:
            connection.close()
            raise
        if found[1] != identity[1]:
            # The first statement opens the write-ahead log by its name. If the file was replaced just before that, the
            # connection would have the old file with the log of the new one.
            connection.close()
            return self._open_reader(path, found)
        opened.identity = found  # the first statement may have made the log
        connection.set_progress_handler(opened.is_over, _PROGRESS_OPCODES)
        return opened

    def _forget_reader(self, mode: Mode) -> None:
        opened = self._local.__dict__.get("readers", {}).pop(mode, None)
        # A connection from before a fork is not closed: closing it would release the locks of the parent.
        if opened is not None and opened.identity[0] == os.getpid():
            with suppress(sqlite3.Error):
                opened.connection.close()

    # Writing

    @contextmanager
    def transaction(self, mode: Mode) -> Iterator[sqlite3.Connection]:
        """The write connection inside BEGIN IMMEDIATE. It commits at the end, and rolls back on any exception.

        A transaction that writes nothing does not change the file. It must not be nested.

        :raises SqliteError: for every error of SQLite, after the roll-back.
        """
        with self._writing(mode) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def checkpoint(self, mode: Mode, kind: str = "PASSIVE") -> None:
        """Copy the write-ahead log into the database file. PASSIVE never waits for readers.

        :raises SqliteError: when it fails.
        """
        with self._writing(mode) as connection:
            connection.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()

    def sync_log(self, mode: Mode) -> None:
        """Make all commits durable. With SQLITE_SYNCHRONOUS=NORMAL a power cut may undo the latest.

        :raises SqliteError: when the system refuses.
        """
        path = self.settings.database_path(mode)
        log = path.with_name(f"{path.name}-wal")
        with os_errors(cannot_open, f"{log} is out of reach"), suppress(FileNotFoundError):
            descriptor = open_regular(log)  # SQLite holds its locks on other files
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fsync_directory(path.parent)

    @contextmanager
    def maintenance_connection(self, mode: Mode) -> Iterator[sqlite3.Connection]:
        """The write connection without a transaction, for statements that cannot run in one (backup, VACUUM, ANALYZE).

        :raises SqliteError: for every error of SQLite.
        """
        with self._writing(mode) as connection:
            yield connection

    @contextmanager
    def _writing(self, mode: Mode) -> Iterator[sqlite3.Connection]:
        with self._write_locks[mode], sqlite_errors():
            connection = self._writer(mode)
            try:
                yield connection
            except sqlite3.OperationalError as exc:
                # If a file could only be opened for reading, its connection stays read-only when that has passed.
                if fault_of(exc) in _FAULTS_OF_CONNECTION:
                    self._forget_writer(mode)
                raise

    @contextmanager
    def out_of_use(self, mode: Mode) -> Iterator[None]:
        """Inside this context no connection of this process can write the file, so the caller can replace it."""
        with self._write_locks[mode]:
            self._forget_writer(mode)
            yield

    def _writer(self, mode: Mode) -> sqlite3.Connection:
        path = self.settings.database_path(mode)
        opened = self._writers.get(mode)
        if opened is not None:
            found = None
            with suppress(SqliteError):
                found = _identity(path)
                if opened.identity[:2] == found[:2] and _has_log_of(opened.identity, found):
                    return opened.connection
            self._forget_writer(mode)
            is_same_file = found is not None and opened.identity[:2] == found[:2]
            if found is not None and (is_same_file or _has_log_of_another(opened.identity, found)):
                self._without_log[mode] = found[1]
        self._require_log(mode)
        connection = self._open_writer(path, may_create=mode not in self._opened)
        try:
            apply_missing(mode, connection)
        except BaseException:
            connection.close()
            raise
        self._writers[mode] = _OpenConnection(connection, _identity(path))
        self._opened.add(mode)
        return connection

    def _require_log(self, mode: Mode) -> None:
        """:raises SqliteError: as damage, when the log was removed or replaced while this process wrote it, or the file
        was and its log was left. What it had committed is in the file or lost, and readers have opened another log, or
        one that does not belong to their file. Only another file helps.
        """
        lost = self._without_log.get(mode)
        if lost is not None and lost == self.file(mode):
            raise SqliteError(_NOT_TOGETHER, SqliteFault.CORRUPT)

    def _open_writer(self, path: Path, *, may_create: bool) -> sqlite3.Connection:
        with os_errors(cannot_open, _CANNOT_OPEN):
            path.parent.mkdir(parents=True, exist_ok=True)
        _require_no_pipe(path)
        address = uri(path, "rwc" if may_create else "rw")
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA busy_timeout = {self.settings.sqlite_busy_timeout_ms}")
            if connection.execute("PRAGMA page_count").fetchone() == (0,):
                # Both take effect only while the file is empty, and only in this order.
                connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self.settings.sqlite_synchronous}")
            connection.execute(f"PRAGMA cache_size = {self.settings.sqlite_cache_size}")
            connection.execute(f"PRAGMA temp_store = {self.settings.sqlite_temp_store}")
            connection.execute(f"PRAGMA mmap_size = {self.settings.sqlite_mmap_size}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _forget_writer(self, mode: Mode) -> None:
        opened = self._writers.pop(mode, None)
        if opened is not None and opened.identity[0] == os.getpid():
            with suppress(sqlite3.Error):
                opened.connection.close()

    # Schema

    def upgrade(self, mode: Mode) -> int:
        """Create the file if there never was one, apply the missing migrations, and return the schema version.

        :raises SqliteError: naming the migration that failed; those before it stay applied.
        """
        with self._write_locks[mode], sqlite_errors():
            version: int = self._writer(mode).execute(SCHEMA_VERSION).fetchone()[0]
            return version

    # State

    def stats(self, mode: Mode) -> DatabaseStats:
        """Counts from the ledger. The time it takes grows with the number of tickers, not of bars.

        :raises StoreError: when the database cannot be read.
        """
        with self.snapshot(mode) as connection:
            rows = connection.execute(_STATS, {"active_s": ACTIVE_WITHIN_DAYS * SECONDS_PER_DAY}).fetchall()
            (tickers,) = connection.execute(_TICKERS).fetchone()
        by_name = {row[0]: of_types(row, _TYPES_OF_STATS, "the ledger") for row in rows}
        records = {each: by_name[each.value][2] if each.value in by_name else 0 for each in Interval}
        newest = {each: by_name[each.value][3] if each.value in by_name else None for each in Interval}
        active = max((row[4] for row in rows), default=0)
        return DatabaseStats(tickers, active, records, newest)

    def health(self, mode: Mode) -> DatabaseHealth:
        """The state of the file. It never raises; `error` says what is wrong."""
        path = self.settings.database_path(mode)
        size = 0
        try:
            size = path.stat().st_size
            with self.snapshot(mode) as connection:
                (version,) = connection.execute(SCHEMA_VERSION).fetchone()
                checked = connection.execute(_LAST_INTEGRITY_CHECK).fetchone()
        except FileNotFoundError:
            return DatabaseHealth(str(path), size, None, False, "the file does not exist", None)
        except (StoreError, OSError) as exc:
            return DatabaseHealth(str(path), size, None, False, str(exc), None)
        last_check = f"{checked[0]} at {format_moment(checked[1])}" if checked else None
        return DatabaseHealth(str(path), size, version, True, None, last_check)

    def file(self, mode: Mode) -> tuple[int, int] | None:
        """Device and inode of the database file; None when there is no file or it cannot be read."""
        with suppress(SqliteError):
            return _identity(self.settings.database_path(mode))[1]
        return None

    def opened_file(self, mode: Mode) -> tuple[int, int]:
        """Device and inode of the database that this thread is reading, within `snapshot` or `reading`."""
        opened: _OpenConnection = self._local.readers[mode]
        return opened.identity[1]

    def close_readers(self) -> None:
        """Close the connections of this thread; call it when the thread ends."""
        for mode in Mode:
            self._forget_reader(mode)

    def close(self) -> None:
        """Close this thread's readers, and the writers. The last connection that closes empties the write-ahead log."""
        self.close_readers()
        for mode in Mode:
            with self._write_locks[mode]:
                self._forget_writer(mode)


def _identity(path: Path) -> _Identity:
    """:raises SqliteError: when the file does not exist or cannot be read."""
    with os_errors(cannot_open, _CANNOT_OPEN):
        status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise cannot_open(_CANNOT_OPEN)  # SQLite would wait for a pipe
    return os.getpid(), FileState.of(status).file, tuple(_inode(f"{path}{side}") for side in _SIDES)


def _require_no_pipe(path: Path) -> None:
    """:raises SqliteError: when a pipe or a device is in the place of the rollback journal. We have none; SQLite looks
    for one when it opens a file, and would wait for a pipe.
    """
    journal = path.with_name(f"{path.name}-journal")
    with os_errors(cannot_open, _CANNOT_OPEN):
        if journal.exists() and not journal.is_file():
            raise cannot_open(_CANNOT_OPEN)


def _has_log_of_another(opened: _Identity, found: _Identity) -> bool:
    """Whether another file is in the place of the one that was opened, beside the log of that one. SQLite would take it
    for the log of the new file, and show a mixture of both.

    Only the writer can tell: it has the log open, so no other log has got its inode. A reader may know a log by its
    inode that it has never opened.
    """
    return opened[1] != found[1] and any(before == now != 0 for before, now in zip(opened[2], found[2], strict=True))


def _has_log_of(opened: _Identity, found: _Identity) -> bool:
    """Whether the log that a connection has opened is still there."""
    return all(before in (0, now) for before, now in zip(opened[2], found[2], strict=True))


def _inode(path: str) -> int:
    """0 when there is no such file, or none that can be seen."""
    with suppress(OSError):
        return os.stat(path).st_ino  # noqa: PTH116 - asked twice by each query
    return 0


def uri(path: Path, mode: str) -> str:
    """The URI with which `sqlite3.connect(..., uri=True)` opens a file in the mode `ro`, `rw` or `rwc`."""
    return f"file:{quote(str(path))}?mode={mode}"
