"""Decide which of two versions of a series is right. Pure functions: they compare the ledger with what is there now.

The rule, its reasons and its limits: docs/decisions/004-which-side-is-right.md.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from stockapi.calc.digest import hashes
from stockapi.models.bars import Bars

_MOST_TRIED = 16
"""With at most this many different bars, every combination is tried: 65,536 sums take a millisecond."""


class FileAge(Enum):
    """The CSV file now, compared with the one whose stamp is in the ledger."""

    RECORDED = "recorded"
    NEWER = "newer"
    OLDER = "older"


class Evidence(Enum):
    """Why bars were chosen. The value finishes a line of a report."""

    SAME = "both hold the same"
    ONLY_CSV = "only CSV has bars"
    ONLY_SQLITE = "only SQLite has bars"
    DIGEST_OF_CSV = "CSV is right: its bars have the digest of the ledger"
    DIGEST_OF_SQLITE = "SQLite is right: its bars have the digest of the ledger"
    DIGEST_OF_BOTH = "each is right in part: chosen by the digest of the ledger"
    CSV_NEWER = "CSV is right: its file is newer than the one SQLite was made equal to"
    SQLITE_NEWER = "SQLite is right: the CSV file is older than the one SQLite was made equal to"
    UNRECORDED = "CSV is right: it is written first, and the ledger does not know the series"
    NOTHING = "nothing tells which is right: CSV's bars, but possible ones rather than impossible ones"


@dataclass(frozen=True, slots=True)
class Difference:
    """How many bars differ between two versions."""

    only_first: int
    only_second: int
    differing: int

    @property
    def total(self) -> int:
        return self.only_first + self.only_second + self.differing

    @classmethod
    def between(cls, first: Bars, second: Bars) -> "Difference":
        in_second, in_first = np.isin(first.time, second.time), np.isin(second.time, first.time)
        differing = first.take(in_second).differing_from(second.take(in_first))
        return cls(int((~in_second).sum()), int((~in_first).sum()), int(differing.sum()))


@dataclass(frozen=True, slots=True)
class Resolution:
    """The bars that were chosen. `refused`: bars of one side only; the ledger proves that they were never stored."""

    bars: Bars
    evidence: Evidence
    refused: Bars


def resolve(
    in_csv: Bars, in_sqlite: Bars, recorded: int | None, file: FileAge, *, prefer_possible: bool = False
) -> Resolution:
    """The right bars of a series. Their indicators are not computed anew. No bars on either side: no bars.

    :param recorded: the digest in the ledger; None when the ledger does not know the series.
    :param prefer_possible: when no digest decides, a possible bar of SQLite replaces an impossible one of CSV, even
        when CSV is newer.
    """
    nothing = in_csv.take(slice(0))
    if not len(in_sqlite):
        return Resolution(in_csv, Evidence.ONLY_CSV, nothing)
    if not len(in_csv):
        return Resolution(in_sqlite, Evidence.ONLY_SQLITE, nothing)
    if in_csv.equals(in_sqlite):
        return Resolution(in_csv, Evidence.SAME, nothing)
    proven = None if recorded is None else _by_digest(in_csv, in_sqlite, recorded, file)
    if proven is not None:
        return proven
    if recorded is not None and file is FileAge.OLDER:
        return Resolution(in_csv.merge(in_sqlite), Evidence.SQLITE_NEWER, nothing)
    bars = in_sqlite.merge(in_csv)
    # A bar that is newer than the ledger may look impossible, and still be what the source sent.
    is_damaged = recorded is not None and file is FileAge.RECORDED
    if prefer_possible or is_damaged:
        bars = _with_possible(bars, in_sqlite)
    if is_damaged:
        return Resolution(bars, Evidence.NOTHING, nothing)
    return Resolution(bars, Evidence.UNRECORDED if recorded is None else Evidence.CSV_NEWER, nothing)


def is_impossible(bars: Bars) -> NDArray[np.bool_]:
    """For each bar: True when no trading can have made it. Low is above high, open or close is outside of them, a price
    is 0 or below, or the volume is negative.
    """
    lowest, highest = bars.low, bars.high
    inside = (lowest <= bars.open) & (bars.open <= highest) & (lowest <= bars.close) & (bars.close <= highest)
    return np.asarray(~(inside & (bars.prices > 0.0).all(axis=0) & (bars.volume >= 0)))


def _with_possible(bars: Bars, others: Bars) -> Bars:
    """`bars`, but where a bar is impossible and `others` has a possible one of that time, that one."""
    doubtful = bars.time[is_impossible(bars)]
    return bars.merge(others.take(np.isin(others.time, doubtful) & ~is_impossible(others)))


def _by_digest(in_csv: Bars, in_sqlite: Bars, recorded: int, file: FileAge) -> Resolution | None:
    """The choice with the digest of the ledger; None when there is none.

    A file with another stamp than the recorded one may hold newer bars. Then only the whole of CSV is tried.
    """
    csv_hashes, sqlite_hashes = hashes(in_csv), hashes(in_sqlite)
    if _total(csv_hashes) == recorded:
        return Resolution(in_csv, Evidence.DIGEST_OF_CSV, _without(in_sqlite, in_csv))
    if file is not FileAge.RECORDED:
        return None
    if _total(sqlite_hashes) == recorded:
        return Resolution(in_sqlite, Evidence.DIGEST_OF_SQLITE, _without(in_csv, in_sqlite))
    csv_own = in_csv.take(~np.isin(csv_hashes, sqlite_hashes))
    sqlite_own = in_sqlite.take(~np.isin(sqlite_hashes, csv_hashes))
    shared = in_csv.take(np.isin(csv_hashes, sqlite_hashes))
    mixed = _mixture(shared, csv_own, sqlite_own, recorded)
    if mixed is None:
        return None
    return Resolution(mixed, Evidence.DIGEST_OF_BOTH, _without(in_sqlite.merge(in_csv), mixed))


def _mixture(shared: Bars, csv_own: Bars, sqlite_own: Bars, recorded: int) -> Bars | None:
    """`shared`, and for each other time the bar of one side, or none: the combination with the digest of the ledger.
    None when no combination has it.
    """
    times = np.union1d(csv_own.time, sqlite_own.time)
    if len(times) > _MOST_TRIED:
        return None
    csv_sums, sqlite_sums = _hash_at(times, csv_own), _hash_at(times, sqlite_own)
    sums = np.concatenate([hashes(shared), csv_sums]).sum(dtype=np.uint64, keepdims=True)
    for change in sqlite_sums - csv_sums:
        sums = np.concatenate([sums, sums + change])
    found = np.flatnonzero(sums == np.uint64(recorded))
    if not len(found):
        return None
    takes_sqlite = (int(found[0]) >> np.arange(len(times))) & 1 == 1
    own = csv_own.take(np.isin(csv_own.time, times[~takes_sqlite])).merge(
        sqlite_own.take(np.isin(sqlite_own.time, times[takes_sqlite]))
    )
    return shared.merge(own)


def _hash_at(times: NDArray[np.int64], bars: Bars) -> NDArray[np.uint64]:
    """For each time the hash of its bar. 0 where there is no bar: it changes no sum."""
    result = np.zeros(len(times), dtype=np.uint64)
    result[np.searchsorted(times, bars.time)] = hashes(bars)
    return result


def _without(bars: Bars, others: Bars) -> Bars:
    return bars.take(~np.isin(bars.time, others.time))


def _total(values: NDArray[np.uint64]) -> int:
    return int(values.sum(dtype=np.uint64))
