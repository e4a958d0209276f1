"""What both stores hold of one series, and which of them is right."""

import logging
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from stockapi.errors import LayoutError
from stockapi.formats.csv_format import DamagedLine, ParsedCsv, format_rows
from stockapi.formats.csv_lenient_reader import SHOWN_CHARS
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import is_possible
from stockapi.services.csv_enhancer.conflict import FileAge, Resolution, resolve
from stockapi.services.csv_store import is_older, is_storable
from stockapi.services.sqlite_store import Recorded
from stockapi.services.sqlite_store.ledger import LedgerEntry, describes
from stockapi.services.stores import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplicaPair:
    """One series as both stores hold it.

    `in_sqlite`: ascending, even if a damaged index returned the rows in another order.
    `stamp`: of the CSV file when it was read.
    `has_true_blocks`, `has_true_texts`: whether SQLite's blocks, and its pre-rendered texts, agree with its rows.
    `unstorable`: rows of SQLite that no CSV file can hold. They were never saved, so they are never chosen.
    """

    parsed: ParsedCsv
    stamp: str
    entry: LedgerEntry | None
    in_sqlite: Bars
    unstorable: Bars
    resolution: Resolution
    has_true_blocks: bool
    has_true_texts: bool

    @property
    def in_csv(self) -> Bars:
        return self.parsed.bars

    def chosen(self, now: datetime) -> Bars:
        """The right bars, without `untimely` ones."""
        untimely = self.untimely(now)
        return self.resolution.bars.take(~np.isin(self.resolution.bars.time, untimely.time))

    def untimely(self, now: datetime) -> Bars:
        """The right bars that are of an impossible time; none where there is no other bar.

        A bar of a time to come would be the newest until then, and nothing newer would be fetched.
        """
        bars = self.resolution.bars
        possible = is_possible(bars.time, now)
        return bars.take(~possible & possible.any())

    @property
    def is_empty(self) -> bool:
        return not len(self.in_csv) and not len(self.in_sqlite)

    @property
    def state(self) -> tuple[str, LedgerEntry | None]:
        """What every save changes: the stamp of the file and the entry of the ledger."""
        return self.stamp, self.entry

    @property
    def is_described(self) -> bool:
        """Whether the ledger agrees with SQLite's bars."""
        return describes(self.entry, self.in_sqlite)


def read_replicas(
    stores: Stores, key: SeriesKey, *, with_sqlite: bool = True, prefer_possible: bool = False
) -> ReplicaPair:
    """Read a series from both stores, or from CSV only, and resolve the conflict.

    The header of the file may be unknown. If SQLite has at least as many bars as the file has lines, all lines count as
    damaged. Otherwise the error is raised, and a person has to look at the file.

    :param prefer_possible: see `resolve`.
    :raises StoreError: when a store cannot be read.
    """
    nothing = Bars.empty(whole_volume=market_of(key.mode).has_whole_volume)
    stamp, refusal = stores.csv_store.stamp(key), None
    try:
        parsed = stores.csv_store.read(key)
    except LayoutError as exc:
        parsed, refusal = ParsedCsv(nothing, _lines(exc)), exc
    recorded = stores.sqlite_store.recorded(key) if with_sqlite else Recorded(None, nothing, True, True)
    entry, in_sqlite = recorded.entry, recorded.bars
    if not (in_sqlite.time[1:] > in_sqlite.time[:-1]).all():
        in_sqlite = nothing.merge(in_sqlite)
    storable = is_storable(in_sqlite, key.interval)
    if refusal is not None and int(storable.sum()) < len(parsed.damaged) - 1:  # one of them was the header
        raise refusal
    resolution = resolve(
        parsed.bars,
        in_sqlite.take(storable),
        None if entry is None else int(entry.digest, 16),
        _file_age(stamp, entry),
        prefer_possible=prefer_possible,
    )
    unstorable, are_true = in_sqlite.take(~storable), (recorded.has_true_blocks, recorded.has_true_texts)
    return ReplicaPair(parsed, stamp, entry, in_sqlite, unstorable, resolution, *are_true)


def _lines(refusal: LayoutError) -> list[DamagedLine]:
    lines = enumerate(refusal.text.split("\n"), start=1)
    return [DamagedLine(number, str(refusal), line[:SHOWN_CHARS]) for number, line in lines if line.strip()]


def _file_age(stamp: str, entry: LedgerEntry | None) -> FileAge:
    if entry is None or stamp == entry.csv_stamp:
        return FileAge.RECORDED
    return FileAge.OLDER if is_older(stamp, entry.csv_stamp) else FileAge.NEWER


def quarantine_rejected(stores: Stores, key: SeriesKey, pair: ReplicaPair, now: datetime) -> None:
    """Copy to the quarantine what is about to be removed: lines that are not bars, bars that were provably never
    stored, and bars of an impossible time.

    :raises CsvError: when the quarantine cannot be written; then nothing may be removed.
    """
    path = stores.csv_store.path(key)
    if pair.parsed.damaged:
        stores.quarantine.add(key.mode, str(path), pair.parsed.damaged, now)
    rows = format_rows(key, pair.resolution.refused).splitlines()
    lines = [DamagedLine(0, "in one store alone, and not in the digest of the ledger", row) for row in rows]
    rows = format_rows(key, pair.untimely(now)).splitlines()
    lines += [DamagedLine(0, "its time is before 1970, or more than a day after now", row) for row in rows]
    unstorable = _plain_rows(key.ticker, pair.unstorable)
    lines += [DamagedLine(0, "a row of SQLite that is no bar", row) for row in unstorable]
    if lines:
        log.warning("%s: %d bars of one store or of an impossible time are quarantined", path, len(lines))
        stores.quarantine.add(key.mode, str(path), lines, now)


def _plain_rows(ticker: str, bars: Bars) -> list[str]:
    """One text for each bar, even with impossible values: ticker, Unix seconds, prices, volume."""
    columns = (bars.time.tolist(), *bars.prices.tolist(), bars.volume.tolist())
    return [",".join([ticker, *map(str, row)]) for row in zip(*columns, strict=True)]
