"""The newest bars of every series as ready JSON, beside the table of its rows and written in the same transactions.

Most questions are about the last months. Answered from rows, nine tenths of the time goes into making Python objects
of them; these texts are joined inside SQLite. What else was tried: docs/decisions/005-ready-answers.md.

Of a series there are either no texts, or those of its newest rows without a gap: of the RECENT_BARS newest ones, fewer
where fewer are stored or some were taken out.
"""

import sqlite3
from dataclasses import dataclass
from typing import cast

from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.json_format import default_rows
from stockapi.services.sqlite_tables import TableInfo
from stockapi.services.sqlite_windows import Window, read_window

RECENT_BARS = 400
"""A year of a coin's days, and some more."""


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
    select_bounds: str
    select_joined: str
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
        self, connection: sqlite3.Connection, ticker: str, window: Window, first_time: int, last_time: int
    ) -> RecentJson | None:
        """The window's bars; None when not all of them are here.

        :param window: without warm-up, with indicators.
        :param first_time: of the oldest row of the series, as the ledger has it; `last_time` of the newest.
        """
        start, end = window.bounds
        skip = None if window.limit is None else window.limit - 1
        earliest, latest, limited = connection.execute(self.select_bounds, (ticker, end, skip)).fetchone()
        if latest != last_time or not isinstance(earliest, int):
            return None
        begin = max(start, limited if isinstance(limited, int) else first_time)
        if begin < earliest:
            return None
        text, rows = connection.execute(self.select_joined, (ticker, begin, end)).fetchone()
        return RecentJson(text or b"", rows)

    def update(self, connection: sqlite3.Connection, ticker: str, changed: Bars) -> None:
        """Write the texts of rows that are new or have changed, where they belong here, and drop those now too old."""
        earliest = self._earliest(connection, ticker)
        if earliest is None:
            return  # `fill` writes all of them, once the save is whole
        self._write(connection, ticker, changed.tail(RECENT_BARS).between(earliest, None))
        connection.execute(self.trim, (ticker,))

    def remove(self, connection: sqlite3.Connection, ticker: str, bars: Bars) -> None:
        connection.executemany(self.delete, ((ticker, time) for time in bars.time.tolist()))

    def fill(self, connection: sqlite3.Connection, ticker: str) -> None:
        """Write the texts of a series that has none, from its rows."""
        if self._earliest(connection, ticker) is None:
            rows = TableInfo.of(self.mode, self.interval)
            self._write(connection, ticker, read_window(connection, rows, self.mode, ticker, Window(limit=RECENT_BARS)))

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
    newest_first = f"SELECT time FROM {name} WHERE ticker = ?1 AND time <= ?2 ORDER BY time DESC"  # noqa: S608
    # Only constants and enum values go into the texts; ruff's S608 cannot know.
    return RecentTable(
        mode=mode,
        interval=interval,
        select_earliest=earliest,
        select_bounds=(
            f"SELECT ({earliest}), (SELECT max(time) FROM {name} WHERE ticker = ?1), "  # noqa: S608
            f"({newest_first} LIMIT ?3 IS NOT NULL OFFSET coalesce(?3, 0))"
        ),
        select_joined=(
            "SELECT CAST(group_concat(json) AS BLOB), count(*) FROM "  # noqa: S608
            f"(SELECT json FROM {name} WHERE ticker = ? AND time BETWEEN ? AND ? ORDER BY time)"
        ),
        select_all=f"SELECT time, json FROM {name} WHERE ticker = ? ORDER BY time",  # noqa: S608
        upsert=(
            f"INSERT INTO {name} (ticker, time, json) VALUES (?, ?, ?) "  # noqa: S608
            "ON CONFLICT (ticker, time) DO UPDATE SET json = excluded.json"
        ),
        trim=(
            f"DELETE FROM {name} WHERE ticker = ?1 AND time < "  # noqa: S608
            f"(SELECT time FROM {name} WHERE ticker = ?1 ORDER BY time DESC LIMIT 1 OFFSET {RECENT_BARS - 1})"
        ),
        delete=f"DELETE FROM {name} WHERE ticker = ? AND time = ?",  # noqa: S608
        clear=f"DELETE FROM {name} WHERE ticker = ?",  # noqa: S608
        lacking=(
            "SELECT ticker FROM ledger WHERE interval = ? AND NOT EXISTS "  # noqa: S608
            f"(SELECT 1 FROM {name} AS held WHERE held.ticker = ledger.ticker) ORDER BY ticker"
        ),
    )


_TABLES = {(mode, interval): _table(mode, interval) for mode in Mode for interval in Interval}
