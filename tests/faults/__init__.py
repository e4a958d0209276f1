"""What can befall a database file, and what must be true of both stores afterwards."""

import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from stockapi.calc.digest import digest, to_text
from stockapi.errors import SqliteError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.selection import Selection
from stockapi.models.series import SeriesKey
from stockapi.services.sqlite_store.ledger import LedgerEntry, has_copies
from stockapi.services.upkeep.reconcile import reconcile_out_of_step, verify
from tests.support.stores import NOW, Stores

NOBODY = 65_534


def assert_in_step(
    stores: Stores, ticker: str, bars: Bars, interval: Interval = Interval.DAILY, mode: Mode = Mode.VN
) -> None:
    """Both stores hold just these bars, the ledger says so, and there are blocks and pre-rendered texts of them."""
    key = SeriesKey(mode, ticker, interval)
    assert stores.in_csv(ticker, interval, mode).equals(bars)
    assert stores.in_sqlite(ticker, interval, mode).equals(bars)
    recorded = stores.sqlite_store.recorded(key)
    assert recorded.has_true_texts
    assert recorded.has_true_blocks
    with stores.db_manager.snapshot(mode) as connection:
        assert has_copies(connection, key)
    assert stores.sqlite_store.ledger(mode)[key] == LedgerEntry(
        ticker,
        interval,
        len(bars),
        int(bars.time[0]),
        int(bars.time[-1]),
        to_text(digest(bars)),
        stores.csv_store.stamp(key),
    )


def problems(stores: Stores, mode: Mode = Mode.VN) -> dict[str, tuple[str, ...]]:
    """What `verify` finds, by `<ticker> <interval>`."""
    reports = verify(stores, mode, Interval)
    return {f"{each.key.ticker} {each.key.interval.value}": each.problems for each in reports if each.problems}


def repair(stores: Stores, mode: Mode = Mode.VN) -> set[tuple[str, Interval]]:
    """What a start does; returns what it had to reconcile."""
    return {(key.ticker, key.interval) for key in reconcile_out_of_step(stores, mode, NOW)}


# Faults that pass: the database is as it was once the context is left


@contextmanager
def locked(stores: Stores) -> Iterator[None]:
    """Another connection holds the write lock."""
    with closing(sqlite3.connect(stores.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def full(stores: Stores) -> Iterator[None]:
    """The database cannot grow by a single page."""
    with stores.db_manager.maintenance_connection(Mode.VN) as connection:
        connection.execute("PRAGMA max_page_count = 1")  # which SQLite raises to as many as there are
        yield
        connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def out_of_reach(stores: Stores) -> Iterator[None]:
    """No database can be opened or made under its name."""
    path = stores.settings.vn_database_path
    with moved_away(path):
        path.mkdir()
        yield
        path.rmdir()


@contextmanager
def read_only(stores: Stores) -> Iterator[None]:
    """Nothing can be written in its directory; only for a process whose permissions count (`unprivileged`)."""
    stores.db_manager.close()
    directory = stores.settings.vn_database_path.parent
    directory.chmod(0o500)
    try:
        yield
    finally:
        directory.chmod(0o700)


@contextmanager
def moved_away(path: Path) -> Iterator[None]:
    aside = path.with_name(f"{path.name}.aside")
    suffixes = [suffix for suffix in ("", "-wal", "-shm") if Path(f"{path}{suffix}").exists()]
    for suffix in suffixes:
        Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    yield
    for suffix in suffixes:
        Path(f"{aside}{suffix}").rename(f"{path}{suffix}")


@contextmanager
def unprivileged(directory: Path) -> Iterator[Path]:
    """A directory where permissions count. They do not for root, who is somebody else until the context is left."""
    if os.geteuid():
        yield directory
        return
    with ExitStack() as stack:
        # Not within `directory`, which nobody but root may enter.
        name = stack.enter_context(tempfile.TemporaryDirectory())
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        stack.callback(os.seteuid, 0)
        yield Path(name)


# Faults that stay


def delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def put(path: Path, data: bytes) -> None:
    """A file of these bytes in place of the database, as another program would put it there."""
    delete(path)
    path.write_bytes(data)


def fill_with_garbage(path: Path) -> None:
    put(path, random.Random(1).randbytes(20_000))


def empty(path: Path) -> None:
    put(path, b"")


def cut_short(path: Path) -> None:
    """Half of the file is gone; what was in the log has been moved into it before."""
    checkpoint(path)
    size = page_bytes(path)
    os.truncate(path, path.stat().st_size // size // 2 * size)


def spoil_page(path: Path, number: int | None = None) -> None:
    """One page, in the middle unless it is given (from 1), becomes random bytes."""
    checkpoint(path)
    size = page_bytes(path)
    page = path.stat().st_size // size // 2 if number is None else number - 1
    with path.open("r+b") as file:
        file.seek(page * size)
        file.write(random.Random(page).randbytes(size))


def page_bytes(path: Path) -> int:
    """As the header of the database says."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(18)[16:], "big")


def spoil_days_of(stores: Stores, ticker: str) -> None:
    """Spoils a page of that ticker's days among the rows and one among the blocks, and none of any other series:
    reading them fails, reading others does not.
    """
    key = SeriesKey(Mode.VN, ticker, Interval.DAILY)
    others = set(stores.sqlite_store.ledger(Mode.VN)) - {key}
    for read in (_read_rows, _ask):
        _spoil_a_page(stores, key, others, read)


def _spoil_a_page(
    stores: Stores, key: SeriesKey, others: set[SeriesKey], read: Callable[[Stores, SeriesKey], object]
) -> None:
    def is_readable(each: SeriesKey) -> bool:
        with suppress(SqliteError):
            read(stores, each)
            return True
        return False

    stores.db_manager.close()
    path = stores.settings.vn_database_path
    before = path.read_bytes()
    for number in range(2, len(before) // page_bytes(path) + 1):
        put(path, before)
        spoil_page(path, number)
        if not is_readable(key) and all(map(is_readable, others)):
            return
    raise AssertionError("no page is this series' alone")


def _read_rows(stores: Stores, key: SeriesKey) -> object:
    return stores.sqlite_store.read(key)


def _ask(stores: Stores, key: SeriesKey) -> object:
    """From its blocks, or its rows where those do not answer."""
    return list(stores.sqlite_store.read_each(Selection(key.mode, key.interval, (key.ticker,))))


def drop_tables(path: Path) -> None:
    """What a database of an older program, or of another one, looks like."""
    with closing(sqlite3.connect(path)) as connection:
        for label in ("daily", "hourly", "minute"):
            connection.execute(f"DROP TABLE IF EXISTS vn_{label}")
            connection.execute(f"DROP TABLE IF EXISTS vn_{label}_blocks")


def checkpoint(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def old_copy(path: Path, target: Path) -> None:
    """A copy of the database as it is now, to be put back later."""
    checkpoint(path)
    shutil.copy(path, target)


PASSING: dict[str, Callable[[Stores], object]] = {"locked": locked, "full": full, "out of reach": out_of_reach}
LASTING: dict[str, Callable[[Path], None]] = {
    "missing": delete,
    "zero bytes": empty,
    "garbage": fill_with_garbage,
    "cut short": cut_short,
    "bad page": spoil_page,
    "tables dropped": drop_tables,
}
