"""Examine the bars themselves for damaged lines, duplicates, impossible bars, jumps and gaps; repair what can be
repaired.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stockapi.calc.adjustments import level_steps
from stockapi.calc.gaps import Extent, Gap
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import CsvError, SqliteError
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Int
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_time, is_possible
from stockapi.models.window import Window
from stockapi.services.csv_enhancer import EnhancementStats, reconcile_series, stored_tickers
from stockapi.services.csv_enhancer.conflict import Difference, is_impossible
from stockapi.services.csv_enhancer.replicas import ReplicaPair, read_replicas
from stockapi.services.database_manager import NEVER
from stockapi.services.stores import Stores
from stockapi.services.upkeep.recheck import recheck_suspect

_CLOCK_SLACK_S: Final = 60
IDLE_DAYS: Final = 5
"""A week of sessions. A thin stock may have no trade on some days."""


class Kind(Enum):
    """A kind of problem of a series. The value stands after a count."""

    DAMAGED = "lines of the CSV file are no bars"
    DUPLICATE = "rows of the CSV file have the time of a later row"
    DIFFERENT = "bars differ between the stores, or from the ledger"
    INDICATORS = "bars have indicators that do not follow from the series"
    IMPOSSIBLE = "impossible bars (high below low, open or close outside, a price of zero)"
    OFF_GRID = "bars begin at no multiple of their interval"
    FUTURE = "bars are of a time to come"
    OUTSIDE = "bars lie outside the session"
    UNTIMELY = "bars are of a time before 1970, or more than a day after now"
    LEVEL = "steps of the price level that the days of the same dates do not have"
    JUMP = "closes jump to a multiple or a fraction"
    GAP = "trading days between the first and the last bar have none"
    FLAT = "days of one price without volume"
    IDLE = "trading days without a bar since the last one, while others have some"
    UNREADABLE = "database: this series cannot be read from it"
    UNREADABLE_FILE = "CSV file: it cannot be read"

    @property
    def is_repairable(self) -> bool:
        return self in _REPAIRABLE

    @property
    def is_unreadable(self) -> bool:
        return self in (Kind.UNREADABLE, Kind.UNREADABLE_FILE)


_REPAIRABLE: Final = frozenset({Kind.DAMAGED, Kind.DUPLICATE, Kind.DIFFERENT, Kind.INDICATORS, Kind.UNTIMELY})


@dataclass(frozen=True, slots=True)
class Finding:
    """`count` problems of one kind in one series, from `first` to `last` (Unix seconds; None when the kind has no
    time).

    `reason`: the error of the system, when a store cannot be read; else "".
    """

    key: SeriesKey
    kind: Kind
    count: int
    first: int | None = None
    last: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        when = ""
        if self.first is not None and self.last is not None:
            first, last = format_time(self.first, self.key.interval), format_time(self.last, self.key.interval)
            when = f", {first}" if first == last else f", {first} to {last}"
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.key}: {self.count:,} {self.kind.value}{why}{when}; {self.remedy}"

    @property
    def remedy(self) -> str:
        if self.kind.is_repairable:
            return "--fix repairs it"
        match self.kind:
            case Kind.GAP | Kind.LEVEL:
                mode, ticker, interval = self.key
                series = f"--mode {mode.value} --ticker {ticker} --interval {interval.value}"
                return f"ask the source: flask data pull {series} --full"
            case Kind.OUTSIDE:
                return "if they are local times taken for UTC: flask data delete, then import with --timezone"
            case Kind.IDLE:
                return "suspended, delisted or renamed: see flask data delete, flask data rename"
            case Kind.UNREADABLE:
                return f"flask data verify --mode {self.key.mode.value} --repair"
            case Kind.UNREADABLE_FILE:
                return "make it readable, or move it away: the worker's next start writes it anew from the database"
            case _:
                return "kept as the source has sent it"


def examine(
    stores: Stores, mode: Mode, intervals: Iterable[Interval], now: datetime, *, others_write: bool = False
) -> Iterator[list[Finding]]:
    """The findings of each stored series, one series after the other; empty for a series without problems.

    :param others_write: another process may be saving. Repairable findings are then checked again:
        see `recheck_suspect`.
    :raises StoreError: when SQLite cannot be read and FALLBACK_TO_CSV is off, or the data directory cannot be listed.
    """
    for interval in intervals:
        tickers = stored_tickers(stores, mode, interval)
        idle = _idle_days(stores, mode, interval, now)
        for ticker in tickers:
            key = SeriesKey(mode, ticker, interval)
            findings = examine_series(stores, key, now)
            if others_write:
                findings = recheck_suspect(
                    key, findings, partial(examine_series, stores, key, now), _are_repairable, NEVER
                )
            last, days = idle.get(ticker, (0, 0))
            yield [*findings, Finding(key, Kind.IDLE, days, last, last)] if days >= IDLE_DAYS else findings


def _idle_days(stores: Stores, mode: Mode, interval: Interval, now: datetime) -> dict[str, tuple[int, int]]:
    """For each ticker of the ledger: its last bar (Unix seconds), and the trading days after it up to the day of the
    newest bar of any ticker. Nothing when the database is not there: series by series it says so itself.
    """
    with suppress(SqliteError):
        ledger = stores.sqlite_store.ledger(mode)
        lasts = {key.ticker: entry.last_time for key, entry in ledger.items() if key.interval is interval}
        newest = max((last for last in lasts.values() if last <= now.timestamp()), default=0)
        days = market_of(mode).calendar.idle_days(np.array([*lasts.values()], dtype=np.int64), newest + SECONDS_PER_DAY)
        return {ticker: (last, each) for (ticker, last), each in zip(lasts.items(), days.tolist(), strict=True)}
    return {}


def _are_repairable(findings: list[Finding]) -> bool:
    return any(finding.kind.is_repairable for finding in findings)


def examine_series(stores: Stores, key: SeriesKey, now: datetime) -> list[Finding]:
    """A store that cannot be read is a finding too. When the file cannot be read, it is the only finding."""

    def found(kind: Kind, count: int, time: Int | None = None) -> Finding:
        ends = (None, None) if time is None or not len(time) else (int(time[0]), int(time[-1]))
        return Finding(key, kind, count, *ends)

    settings = stores.settings
    in_use = settings.sqlite_writes and settings.database_path(key.mode).exists()
    findings = []
    try:
        pair = read_replicas(stores, key, with_sqlite=in_use, prefer_possible=True)
    except SqliteError:
        findings.append(found(Kind.UNREADABLE, 1))
        try:
            in_use, pair = False, read_replicas(stores, key, with_sqlite=False)
        except CsvError as exc:
            return [*findings, Finding(key, Kind.UNREADABLE_FILE, 1, reason=str(exc))]
    except CsvError as exc:
        return [Finding(key, Kind.UNREADABLE_FILE, 1, reason=str(exc))]
    counts = {Kind.DAMAGED: len(pair.parsed.damaged), Kind.DUPLICATE: pair.parsed.duplicates}
    counts[Kind.DIFFERENT] = _differing(pair) if in_use else 0
    findings += [found(kind, count) for kind, count in counts.items() if count]
    bars = pair.resolution.bars
    for kind, mask in _odd_bars(bars, key, settings, now).items():
        if mask.any():
            findings.append(found(kind, int(mask.sum()), bars.time[mask]))
    steps = _level_steps(stores, key, bars)
    if len(steps):
        findings.append(found(Kind.LEVEL, len(steps), steps))
    gaps = _gaps(bars, key.mode)
    if gaps:
        ends = np.array([gaps[0].first, gaps[-1].last])
        findings.append(found(Kind.GAP, sum(gap.days for gap in gaps), ends))
    return findings


def _level_steps(stores: Stores, key: SeriesKey, bars: Bars) -> Int:
    """The dates at which prices leave those of the days: half of the series has another version of the history."""
    dates_of = market_of(key.mode).calendar.date_of
    if not key.interval.is_intraday or not len(bars):
        return np.array([], dtype=np.int64)
    first, last = (int(each) for each in dates_of(bars.time[[0, -1]]))
    days = stores.csv_store.read(key._replace(interval=Interval.DAILY), Window(start=first, end=last, indicators=False))
    return level_steps(days.bars, bars, dates_of)


def _gaps(bars: Bars, mode: Mode) -> list[Gap]:
    """Trading days of the market without a bar, between the first and the last bar."""
    if not len(bars):
        return []
    return Extent.of_times(bars.time).gaps(market_of(mode).calendar.trading_days(int(bars.time[0]), int(bars.time[-1])))


def fix(stores: Stores, findings: list[Finding], now: datetime) -> tuple[EnhancementStats, list[Finding]]:
    """Repair one series. `findings` are its findings, at least one of them repairable.

    Damaged lines and duplicates are removed, and the other store supplies the lost bars. Indicators are computed anew.
    When two bars differ and there is no other evidence, a possible one is chosen.

    :returns: what the repair did, and the findings that are left.
    :raises StoreError: as `reconcile_series`.
    """
    key = findings[0].key
    rewrite = any(finding.kind is Kind.DUPLICATE for finding in findings)
    stats = reconcile_series(stores, key, now, rewrite=rewrite, prefer_possible=True)
    return stats, examine_series(stores, key, now)


def _differing(pair: ReplicaPair) -> int:
    difference = Difference.between(pair.in_csv, pair.in_sqlite).total
    if difference or pair.is_described:
        return difference
    return len(pair.in_sqlite) or (pair.entry.rows if pair.entry else 0)


def _odd_bars(bars: Bars, key: SeriesKey, settings: Settings, now: datetime) -> dict[Kind, NDArray[np.bool_]]:
    """For each kind of odd bar: which bars are of it."""
    is_jump = np.zeros(len(bars), dtype=np.bool_)
    before, after = bars.close[:-1], bars.close[1:]
    ratio = np.divide(after, before, out=np.ones_like(after), where=(before > 0.0) & (after > 0.0))
    is_jump[1:] = np.maximum(ratio, 1.0 / ratio) >= market_of(key.mode).odd_jump
    enhanced = enhance(bars, key.mode, is_index=settings.is_index(key.ticker, key.mode))
    return {
        Kind.INDICATORS: enhanced.differing_from(bars),
        Kind.IMPOSSIBLE: is_impossible(bars),
        Kind.OFF_GRID: np.asarray(bars.time % key.interval.seconds != 0),
        Kind.OUTSIDE: _outside_session(bars, key),
        Kind.FUTURE: (bars.time > now.timestamp() + _CLOCK_SLACK_S) & is_possible(bars.time, now),
        Kind.UNTIMELY: ~is_possible(bars.time, now),
        Kind.JUMP: is_jump,
        Kind.FLAT: _is_flat_day(bars, key),
    }


def _is_flat_day(bars: Bars, key: SeriesKey) -> NDArray[np.bool_]:
    """Sources make such a day where there was no trade, or no session at all."""
    if key.interval.is_intraday:
        return np.zeros(len(bars), dtype=np.bool_)
    return np.asarray((bars.prices == bars.close).all(axis=0) & (bars.volume == 0))


def _outside_session(bars: Bars, key: SeriesKey) -> NDArray[np.bool_]:
    if not key.interval.is_intraday:
        return np.zeros(len(bars), dtype=np.bool_)
    return market_of(key.mode).calendar.is_outside_session(bars.time)
