"""Delete bars, or rename a ticker, in both stores. A change that was interrupted is finished later.

The change is first written durably into `change.json` in the CSV directory of the market. The file is removed
when both stores have the change. Until then, each start of a writer repeats the change before the stores are compared.
A comparison would find the bars in the store that still has them, and put them back.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from stockapi.errors import CsvError, SqliteError, StoreError
from stockapi.formats.csv_format import HEADER, format_rows
from stockapi.machine import parse_json, read_regular
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import moment_in_name
from stockapi.services.csv_enhancer import open_series
from stockapi.services.durable import csv_errors, fsync_directory, make_directory, replace_file
from stockapi.services.series_sources import NOBODY
from stockapi.services.stores import Stores

log = logging.getLogger(__name__)

FILE_NAME: Final = "change.json"
ARCHIVE: Final = "deleted"


@dataclass(frozen=True, slots=True)
class Deletion:
    """The bars of these intervals from `first` to `last` (Unix seconds, both included; None: no bound)."""

    ticker: str
    intervals: tuple[Interval, ...]
    first: int | None = None
    last: int | None = None

    def keys(self, mode: Mode) -> list[SeriesKey]:
        return [SeriesKey(mode, self.ticker, interval) for interval in self.intervals]

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the ticker is left."""
        return (self.first, self.last) == (None, None) and set(self.intervals) == set(Interval)

    def deleted(self, bars: Bars) -> Bars:
        return bars.between(self.first, self.last)

    def kept(self, bars: Bars) -> Bars:
        before = bars.take(slice(0)) if self.first is None else bars.between(None, self.first - 1)
        after = bars.take(slice(0)) if self.last is None else bars.between(self.last + 1, None)
        return before.merge(after)


@dataclass(frozen=True, slots=True)
class Renaming:
    """`old` becomes `new`. If both have bars, they are joined; of two bars of the same time, that of `new` stays."""

    old: str
    new: str


Change = Deletion | Renaming


def require_both_stores(stores: Stores, mode: Mode) -> None:
    """:raises StoreError: when SQLite exists but is not written. It would keep deleted bars and bring them back
    later.
    """
    if not stores.settings.sqlite_writes and stores.settings.database_path(mode).exists():
        raise StoreError("SQLITE_WRITES is off, and the change belongs into both stores; set it to true")


def archive(stores: Stores, mode: Mode, parts: Sequence[tuple[SeriesKey, Bars]], now: datetime) -> Path:
    """Write bars into a new directory of the market, durably, in the form that `flask data import` reads.

    :raises CsvError: when it cannot be written.
    """
    root = stores.settings.data_dir(mode) / ARCHIVE
    names = [moment_in_name(now), *(f"{moment_in_name(now)}-{number}" for number in range(2, 1_000))]
    directory = root / next(name for name in names if not (root / name).exists())
    for key, bars in parts:
        path = directory / key.ticker / f"{key.interval.value}.csv"
        with csv_errors(path):
            make_directory(path.parent)
            replace_file(path, f"{HEADER}\n{format_rows(key, bars)}".encode("ascii"))
    return directory


def make_change(stores: Stores, mode: Mode, change: Change, now: datetime) -> None:
    """Make the change in both stores. Call `finish_change` before: only one change at a time is recorded.

    :raises StoreError: when it cannot be made now; the next start of a writer makes it.
    """
    path = _path(stores, mode)
    with csv_errors(path):
        make_directory(path.parent)
        replace_file(path, _encode(change))
    _finish(stores, mode, change, now)


def finish_change(stores: Stores, mode: Mode, now: datetime) -> Change | None:
    """Finish a change that was interrupted, if there is one. Call it before the stores are compared.

    If SQLite does not work, CSV has the change when this returns. The next call repeats it, when the database has been
    repaired.

    :raises CsvError: when CSV cannot be read or written, or the record of the change is damaged.
    """
    path = _path(stores, mode)
    with csv_errors(path):
        if not path.exists():
            return None
        change = _decode(path, read_regular(path))
    try:
        _finish(stores, mode, change, now)
    except SqliteError as exc:
        log.error("%s is finished in CSV alone until SQLite works again: %s", change, exc)
    else:
        log.warning("%s was interrupted, and is finished now", change)
    return change


def _finish(stores: Stores, mode: Mode, change: Change, now: datetime) -> None:
    """:raises SqliteError: when SQLite does not work; CSV has the change then, and the file stays."""
    errors: list[SqliteError] = []
    if isinstance(change, Deletion):
        _delete(stores, mode, change, now, errors)
    else:
        _rename(stores, mode, change, now, errors)
    if errors:
        raise errors[0]
    if _has_database(stores, mode):
        # A power cut must not undo the commits when nothing is left that would repeat them.
        stores.db_manager.sync_log(mode)
    path = _path(stores, mode)
    with csv_errors(path):
        path.unlink()
        fsync_directory(path.parent)


def _delete(stores: Stores, mode: Mode, change: Deletion, now: datetime, errors: list[SqliteError]) -> None:
    for key in change.keys(mode):
        _rewrite(stores, key, now, change.kept, errors)
        if change.first is not None and change.last is not None:
            # The worker fills holes by itself, but not this one.
            stores.asked.record(key, (change.first, change.last), int(now.timestamp()), forever=True)
    if not change.is_whole:
        return
    for key in change.keys(mode):
        stores.asked.forget(key)
        stores.series_sources.forget(key)
    names = stores.renames.of(mode)
    if change.ticker in names.renamed.values():
        stores.renames.record(mode, names.without(change.ticker))
    with _collected(errors):
        if _has_database(stores, mode):
            stores.bookkeeping.forget_adjustments(mode, change.ticker)


def _rename(stores: Stores, mode: Mode, change: Renaming, now: datetime, errors: list[SqliteError]) -> None:
    """First write all bars under the new name, then record the new name, then remove the old series."""
    old_keys = [SeriesKey(mode, change.old, interval) for interval in Interval]
    for key in old_keys:
        with open_series(stores, key, now) as series:
            moved, error = series.right_bars()
        errors += [] if error is None else [error]
        if len(moved):
            _join_sources(stores, key, key._replace(ticker=change.new))
            _rewrite(stores, key._replace(ticker=change.new), now, moved.merge, errors)
    names = stores.renames.of(mode).with_renamed(change.old, change.new, int(now.timestamp()))
    stores.renames.record(mode, names)
    for key in old_keys:
        _rewrite(stores, key, now, lambda bars: bars.take(slice(0)), errors)
        stores.asked.forget(key)
        stores.series_sources.forget(key)
    with _collected(errors):
        if _has_database(stores, mode):
            stores.bookkeeping.rename_adjustments(mode, change.old, change.new)


def _join_sources(stores: Stores, old: SeriesKey, new: SeriesKey) -> None:
    """What is joined may come from two sources. Then it is nobody's, and the next source has to show that it fits."""
    if stores.series_sources.of(old) or stores.series_sources.of(new):
        stores.series_sources.put(new, NOBODY)


def _rewrite(
    stores: Stores, key: SeriesKey, now: datetime, make: Callable[[Bars], Bars], errors: list[SqliteError]
) -> None:
    stores.closings.forget(key)
    with _collected(errors), open_series(stores, key, now) as series:
        series.rewrite(make)


@contextmanager
def _collected(errors: list[SqliteError]) -> Iterator[None]:
    """Collect an error of SQLite, so that CSV still gets the rest of the change. `_finish` raises it."""
    try:
        yield
    except SqliteError as exc:
        errors.append(exc)


def _has_database(stores: Stores, mode: Mode) -> bool:
    return stores.settings.sqlite_writes and stores.settings.database_path(mode).exists()


def _path(stores: Stores, mode: Mode) -> Path:
    return stores.settings.data_dir(mode) / FILE_NAME


def _encode(change: Change) -> bytes:
    if isinstance(change, Renaming):
        value: dict[str, object] = {"rename": change.old, "to": change.new}
    else:
        intervals = [interval.value for interval in change.intervals]
        value = {"delete": change.ticker, "intervals": intervals, "first": change.first, "last": change.last}
    return json.dumps(value).encode() + b"\n"


def _decode(path: Path, data: bytes) -> Change:
    """:raises CsvError: when the text was not written by `_encode`."""
    try:
        value = parse_json(data)
        if "rename" in value:
            change: Change = Renaming(value["rename"], value["to"])
        else:
            intervals = tuple(Interval(each) for each in value["intervals"])
            change = Deletion(value["delete"], intervals, value["first"], value["last"])
    except (ValueError, KeyError, TypeError) as exc:
        raise CsvError(f"{path} is not as it was written; allowed: the file of a change that began, or none") from exc
    return change
