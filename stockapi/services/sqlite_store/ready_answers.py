"""The newest bars of every series as ready JSON, beside the table of its rows and written in the same transactions.

Most questions are about the last months. Answered from rows, nine tenths of the time goes into making Python objects
of them; these texts are joined inside SQLite. What else was tried: docs/decisions/005-ready-answers.md.

Of a series there are either no texts, or those of its newest rows without a gap: of its RECENT_BARS newest ones, fewer
where fewer are stored or some were taken out.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import orjson

from stockapi.errors import SqliteError, SqliteFault
from stockapi.formats.json_format import default_rows
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.sqlite_store.behind import NO_COMPARISON, Comparison
from stockapi.services.sqlite_store.windows import read_window

RECENT_BARS: Final = {Interval.DAILY: 400, Interval.HOURLY: 400, Interval.MINUTE: 1_500}
"""A year of a coin's days and some more; four months of a stock's hours; six days of its minutes, one of a coin's."""

_BEGIN: Final = b'{"time":'


@dataclass(frozen=True, slots=True)
class RecentJson:
    """Some bars of a series, ascending: JSON objects with commas between, empty for none."""

    text: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class RecentTable:
    """The texts of one market and interval. Its name comes from the enums, never from a request."""

    mode: Mode
    interval: Interval
    select_earliest: str
    select_one: str
    select_some: str
    select_every: str
    select_all: str
    upsert: str
    trim: str
    delete: str
    clear: str
    lacking: str

    @classmethod
    def of(cls, mode: Mode, interval: Interval) -> "RecentTable":
        return _TABLES[mode, interval]

    def read(
        self,
        connection: sqlite3.Connection,
        symbols: Sequence[str] | None,
        window: Window,
        comparison: Comparison = NO_COMPARISON,
    ) -> Iterator[tuple[str, RecentJson | None]]:
        """The window of every ticker asked for (None: all) that the ledger knows, in no order; None where not all of
        its bars are here. Those of which SQLite is behind are left out.

        One statement, and so one state of the database without a transaction around it.

        :param window: without warm-up, with indicators.
        :raises SqliteError: for a ticker that is none.
        """
        start, end = window.bounds
        values: dict[str, object] = {"interval": self.interval.value, "start": start, "end": end}
        values["skip"] = None if window.limit is None else window.limit - 1
        if symbols is None:
            statement = self.select_every
        elif len(symbols) == 1:
            statement, values["symbol"] = self.select_one, symbols[0]
        else:
            statement, values["symbols"] = self.select_some, orjson.dumps(symbols).decode()
        for ticker, stamp, first, last, earliest, latest, rows, text in connection.execute(statement, values):
            if ticker is None:
                return  # of one that is not known SQL makes a row of nothing
            if not is_symbol(str(ticker)):
                raise SqliteError(f"the ledger knows a ticker {ticker!r}, which is none", SqliteFault.CORRUPT)
            if comparison.is_behind(SeriesKey(self.mode, ticker, self.interval), stamp, last):
                continue
            # Damage can make anything of a time.
            are_times = isinstance(first, int) and isinstance(earliest, int)
            is_whole = are_times and latest == last and (rows == window.limit or earliest <= max(start, first))
            text = text or b""
            yield ticker, RecentJson(text, rows) if is_whole and _is_ascending(text) else None

    def update(self, connection: sqlite3.Connection, ticker: str, changed: Bars) -> None:
        """Write the texts of rows that are new or have changed, where they belong here, and drop those now too old."""
        earliest = self._earliest(connection, ticker)
        if earliest is None:
            return  # `fill` writes all of them, once the save is whole
        self._write(connection, ticker, changed.tail(RECENT_BARS[self.interval]).between(earliest, None))
        connection.execute(self.trim, (ticker,))

    def remove(self, connection: sqlite3.Connection, ticker: str, bars: Bars) -> None:
        connection.executemany(self.delete, ((ticker, time) for time in bars.time.tolist()))

    def fill(self, connection: sqlite3.Connection, ticker: str, bars: Bars | None = None) -> None:
        """Write the texts of a series that has none, from its rows; `bars`: all of them, where they are at hand."""
        if self._earliest(connection, ticker) is None:
            if bars is None:
                key = SeriesKey(self.mode, ticker, self.interval)
                bars = read_window(connection, key, Window(limit=RECENT_BARS[self.interval]))
            self._write(connection, ticker, bars.tail(RECENT_BARS[self.interval]))

    def is_true_of(self, connection: sqlite3.Connection, ticker: str, bars: Bars) -> bool:
        """Whether the texts are those of the newest of `bars`, all bars of the series."""
        held = connection.execute(self.select_all, (ticker,)).fetchall()
        newest = bars.tail(len(held))
        # Times first: those of damaged rows may be none that can be written.
        return [time for time, _ in held] == newest.time.tolist() and (
            [text for _, text in held] == default_rows(ticker, newest, self.interval)
        )

    def _earliest(self, connection: sqlite3.Connection, ticker: str) -> int | None:
        """The time of the oldest text; None without any."""
        (earliest,) = connection.execute(self.select_earliest, (ticker,)).fetchone()
        return cast(int | None, earliest)

    def _write(self, connection: sqlite3.Connection, ticker: str, bars: Bars) -> None:
        texts = default_rows(ticker, bars, self.interval)
        rows = ((ticker, time, text) for time, text in zip(bars.time.tolist(), texts, strict=True))
        connection.executemany(self.upsert, rows)


def _table(mode: Mode, interval: Interval) -> RecentTable:
    name = f"{mode.value}_{interval.label}_json"
    earliest = f"SELECT min(time) FROM {name} WHERE ticker = ?1"  # noqa: S608
    # Only constants and enum values go into the texts; ruff's S608 cannot know.
    return RecentTable(
        mode=mode,
        interval=interval,
        select_earliest=earliest,
        select_one=_windows(name, "ledger.ticker = :symbol"),
        select_some=_windows(name, "ledger.ticker IN (SELECT value FROM json_each(:symbols)) GROUP BY ledger.ticker"),
        select_every=_windows(name, "true GROUP BY ledger.ticker"),
        select_all=f"SELECT time, json FROM {name} WHERE ticker = ? ORDER BY time",  # noqa: S608
        upsert=(
            f"INSERT INTO {name} (ticker, time, json) VALUES (?, ?, ?) "  # noqa: S608
            "ON CONFLICT (ticker, time) DO UPDATE SET json = excluded.json"
        ),
        trim=(
            f"DELETE FROM {name} WHERE ticker = ?1 AND time < "  # noqa: S608
            f"(SELECT time FROM {name} WHERE ticker = ?1 ORDER BY time DESC LIMIT 1 OFFSET {RECENT_BARS[interval] - 1})"
        ),
        delete=f"DELETE FROM {name} WHERE ticker = ? AND time = ?",  # noqa: S608
        clear=f"DELETE FROM {name} WHERE ticker = ?",  # noqa: S608
        lacking=(
            "SELECT ticker FROM ledger WHERE interval = ? AND NOT EXISTS "  # noqa: S608
            f"(SELECT 1 FROM {name} AS held WHERE held.ticker = ledger.ticker) ORDER BY ticker"
        ),
    )


def _windows(name: str, condition: str) -> str:
    """Of each series of the ledger that meets the condition: its stamp, its oldest and newest row, its oldest
    and newest text, how many texts the window has, and those.

    An ordered query within group_concat would take twice as long. An index is read from one end to the other without,
    and `_is_ascending` sees from which.
    """
    return f"""
        SELECT
            ledger.ticker,
            csv_stamp,
            first_time,
            last_time,
            (SELECT min(time) FROM {name} AS held WHERE held.ticker = ledger.ticker),
            (SELECT max(time) FROM {name} AS held WHERE held.ticker = ledger.ticker),
            count(json),
            CAST(group_concat(json) AS BLOB)
        FROM ledger LEFT JOIN {name} AS wanted ON wanted.ticker = ledger.ticker AND time BETWEEN max(:start, coalesce((
            SELECT time FROM {name} AS held WHERE held.ticker = ledger.ticker AND time <= :end
            ORDER BY time DESC LIMIT :skip IS NOT NULL OFFSET coalesce(:skip, 0)
        ), :start)) AND :end
        WHERE interval = :interval AND {condition}
    """  # noqa: S608


def _is_ascending(text: bytes) -> bool:
    """Whether the first of these JSON objects is not later than the last; times are of one length, and come first."""
    length = text.find(b",")
    last = text.rfind(_BEGIN)
    return text[:length] <= text[last : last + length]


_TABLES = {(mode, interval): _table(mode, interval) for mode in Mode for interval in Interval}
