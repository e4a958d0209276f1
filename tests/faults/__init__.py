"""What can befall a database file, and what must be true of both stores afterwards."""

import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from stockapi.calc.digest import digest, to_text
from stockapi.errors import SqliteError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.sqlite_store.ledger import LedgerEntry
from stockapi.services.upkeep.reconcile import settle_out_of_step, verify
from tests.support.stores import NOW, Stores

NOBODY = 65_534


def assert_in_step(
    stores: Stores, ticker: str, bars: Bars, interval: Interval = Interval.DAILY, mode: Mode = Mode.VN
) -> None:
    """Both stores hold just these bars, the ledger says so, and the ready texts are theirs."""
    assert stores.in_csv(ticker, interval, mode).equals(bars)
    assert stores.in_sqlite(ticker, interval, mode).equals(bars)
    assert stores.sqlite_store.recorded(SeriesKey(mode, ticker, interval)).has_true_texts
    assert stores.sqlite_store.ledger(mode)[SeriesKey(mode, ticker, interval)] == LedgerEntry(
        ticker,
        interval,
        len(bars),
        int(bars.time[0]),
        int(bars.time[-1]),
        to_text(digest(bars)),
        stores.csv_store.stamp(SeriesKey(mode, ticker, interval)),
    )


def problems(stores: Stores, mode: Mode = Mode.VN) -> dict[str, tuple[str, ...]]:
    """What `verify` finds, by `<ticker> <interval>`."""
    reports = verify(stores, mode, Interval)
    return {f"{each.key.ticker} {each.key.interval.value}": each.problems for each in reports if each.problems}


def heal(stores: Stores, mode: Mode = Mode.VN) -> set[tuple[str, Interval]]:
    """What a start does; returns what it had to settle."""
    return {(key.ticker, key.interval) for key in settle_out_of_step(stores, mode, NOW)}


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
    """Spoils a page of that ticker's days, and of no other series: reading them fails, reading others does not."""
    others = set(stores.sqlite_store.ledger(Mode.VN)) - {SeriesKey(Mode.VN, ticker, Interval.DAILY)}
    stores.db_manager.close()
    path = stores.settings.vn_database_path
    sound = path.read_bytes()
    for number in range(2, len(sound) // page_bytes(path) + 1):
        put(path, sound)
        spoil_page(path, number)
        if not _is_readable(stores, ticker, Interval.DAILY) and all(
            _is_readable(stores, key.ticker, key.interval) for key in others
        ):
            return
    raise AssertionError("no page is this ticker's alone")


def _is_readable(stores: Stores, ticker: str, interval: Interval) -> bool:
    try:
        stores.in_sqlite(ticker, interval)
    except SqliteError:
        return False
    return True


def drop_tables(path: Path) -> None:
    """What a database of an older program, or of another one, looks like."""
    with closing(sqlite3.connect(path)) as connection:
        for label in ("daily", "hourly", "minute"):
            connection.execute(f"DROP TABLE IF EXISTS vn_{label}")


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
