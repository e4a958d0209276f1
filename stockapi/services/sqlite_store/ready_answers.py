"""The newest bars of every series as the texts of their answers, JSON and CSV. They are copies of the rows, as blocks
are, and are written, checked and repaired with them.

Most questions are about the last months. SQLite joins these texts into an answer without an object for each bar. The
alternatives are in docs/decisions/005-ready-answers.md.

They are valid while `ledger.copies_digest` is the digest of the rows. Then a series has the texts of its RECENT_BARS
newest rows, or of all rows if it has fewer.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import orjson

from stockapi.errors import SqliteError, SqliteFault
from stockapi.formats.default_rows import TextForm, default_rows
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.sqlite_store.behind import NO_COMPARISON, Comparison

RECENT_BARS: Final = {Interval.DAILY: 400, Interval.HOURLY: 400, Interval.MINUTE: 1_500}
"""A year of a coin's days and some more; four months of a stock's hours; six days of its minutes, one of a coin's."""


@dataclass(frozen=True, slots=True)
class RecentText:
    """Some bars of a series, ascending, as they stand in an answer; empty for none."""

    text: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class RecentTable:
    """The texts of one market and interval. Its name comes from the enums, never from a request."""

    mode: Mode
    interval: Interval
    select: dict[tuple[TextForm, str], str]
    """By form, and by which tickers."""
    select_all: str
    upsert: str
    trim: str
    delete_others: str
    clear: str

    @classmethod
    def of(cls, mode: Mode, interval: Interval) -> "RecentTable":
        return _TABLES[mode, interval]

    def read(
        self,
        connection: sqlite3.Connection,
        form: TextForm,
        symbols: Sequence[str] | None,
        window: Window,
        comparison: Comparison = NO_COMPARISON,
    ) -> Iterator[tuple[str, RecentText | None]]:
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
            which = "every"
        elif len(symbols) == 1:
            which, values["symbol"] = "one", symbols[0]
        else:
            which, values["symbols"] = "some", orjson.dumps(symbols).decode()
        found = connection.execute(self.select[form, which], values)
        for ticker, is_true, stamp, first, last, earliest, latest, rows, text in found:
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
            yield ticker, RecentText(text, rows) if is_true and is_whole and form.is_ascending(text) else None

    def write(self, connection: sqlite3.Connection, key: SeriesKey, bars: Bars, *, are_all: bool) -> None:
        """Make them the texts of a series that is `bars` from the first time of `bars` on. Only what differs is
        written.

        :param are_all: the series has no bars before. Otherwise its texts must be valid.
        """
        newest = bars.tail(RECENT_BARS[self.interval])
        times = newest.time.tolist()
        texts = (default_rows(form, key, newest) for form in TextForm)
        if are_all:
            connection.execute(self.delete_others, (key.ticker, orjson.dumps(times).decode()))
        connection.executemany(self.upsert, zip(repeat(key.ticker), times, *texts))
        if not are_all:
            connection.execute(self.trim, (key.ticker,))

    def are_true_of(self, connection: sqlite3.Connection, key: SeriesKey, bars: Bars) -> bool:
        """Whether they are the texts of the newest of `bars`, all bars of the series."""
        held = connection.execute(self.select_all, (key.ticker,)).fetchall()
        newest = bars.tail(RECENT_BARS[self.interval])
        times = newest.time.tolist()
        # Times first: those of damaged rows may be none that can be written.
        if [row[0] for row in held] != times:
            return False
        return held == list(zip(times, *(default_rows(form, key, newest) for form in TextForm), strict=True))


def _table(mode: Mode, interval: Interval) -> RecentTable:
    name = f"{mode.value}_{interval.label}_texts"
    which = {
        "one": "ledger.ticker = :symbol",
        "some": "ledger.ticker IN (SELECT value FROM json_each(:symbols)) GROUP BY ledger.ticker",
        "every": "true GROUP BY ledger.ticker",
    }
    # Only constants and enum values go into the texts; ruff's S608 cannot know.
    return RecentTable(
        mode=mode,
        interval=interval,
        select={(form, key): _windows(name, form, condition) for form in TextForm for key, condition in which.items()},
        select_all=f"SELECT time, json, csv FROM {name} WHERE ticker = ? ORDER BY time",  # noqa: S608
        upsert=(
            f"INSERT INTO {name} (ticker, time, json, csv) VALUES (?, ?, ?, ?) "  # noqa: S608
            "ON CONFLICT (ticker, time) DO UPDATE SET json = excluded.json, csv = excluded.csv "
            "WHERE (json, csv) IS NOT (excluded.json, excluded.csv)"
        ),
        trim=(
            f"DELETE FROM {name} WHERE ticker = ?1 AND time < "  # noqa: S608
            f"(SELECT time FROM {name} WHERE ticker = ?1 ORDER BY time DESC LIMIT 1 OFFSET {RECENT_BARS[interval] - 1})"
        ),
        delete_others=(
            f"DELETE FROM {name} WHERE ticker = ? AND time NOT IN (SELECT value FROM json_each(?))"  # noqa: S608
        ),
        clear=f"DELETE FROM {name} WHERE ticker = ?",  # noqa: S608
    )


def _windows(name: str, form: TextForm, condition: str) -> str:
    """Of each series of the ledger that meets the condition: whether its copies are valid, its stamp, its oldest and
    newest row, its oldest and newest text, how many texts the window has, and those.

    An ordered query within group_concat would take twice as long. An index is read from one end to the other without,
    and `TextForm.is_ascending` sees from which.
    """
    return f"""
        SELECT
            ledger.ticker,
            copies_digest = digest,
            csv_stamp,
            first_time,
            last_time,
            (SELECT min(time) FROM {name} AS held WHERE held.ticker = ledger.ticker),
            (SELECT max(time) FROM {name} AS held WHERE held.ticker = ledger.ticker),
            count({form.value}),
            CAST(group_concat({form.value}, '{form.separator}') AS BLOB)
        FROM ledger LEFT JOIN {name} AS wanted ON wanted.ticker = ledger.ticker AND time BETWEEN max(:start, coalesce((
            SELECT time FROM {name} AS held WHERE held.ticker = ledger.ticker AND time <= :end
            ORDER BY time DESC LIMIT :skip IS NOT NULL OFFSET coalesce(:skip, 0)
        ), :start)) AND :end
        WHERE interval = :interval AND {condition}
    """  # noqa: S608


_TABLES = {(mode, interval): _table(mode, interval) for mode in Mode for interval in Interval}
