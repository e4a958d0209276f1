"""Pre-rendered bars: the newest bars of every series as texts of answers, JSON and CSV. Like blocks, they are copies of
the rows, and are written, checked and repaired with them.

Most queries are about the last months. SQLite joins these texts into an answer, without an object for each bar. The
alternatives are in docs/decisions/005-pre-rendered-answers.md.

They are valid while `ledger.copies_digest` is the digest of the rows. Then a series has the texts of its newest
PRERENDERED_BARS rows, or of all rows if it has fewer.
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
from stockapi.services.sqlite_store.tables import choose_tickers

PRERENDERED_BARS: Final = {Interval.DAILY: 400, Interval.HOURLY: 400, Interval.MINUTE: 1_000}
"""The number of pre-rendered bars of a series: more than a year of a coin's days, four months of a stock's hours, four
days of a stock's minutes.
"""


@dataclass(frozen=True, slots=True)
class PrerenderedText:
    """The text of some bars of a series in an answer, ascending; empty for no bars. `rows`: the number of bars."""

    text: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class PrerenderedTable:
    """The pre-rendered texts of one market and interval. The table name comes from the enums, never from a request."""

    mode: Mode
    interval: Interval
    select: dict[tuple[TextForm, str], str]
    """The statement by the form of the text, and by the kind of ticker selection."""
    select_all: str
    upsert: str
    trim: str
    delete_others: str
    clear: str

    @classmethod
    def of(cls, mode: Mode, interval: Interval) -> "PrerenderedTable":
        return _TABLES[mode, interval]

    def read(
        self,
        connection: sqlite3.Connection,
        form: TextForm,
        symbols: Sequence[str] | None,
        window: Window,
        comparison: Comparison = NO_COMPARISON,
    ) -> Iterator[tuple[str, PrerenderedText | None]]:
        """Yield the window of each requested ticker (None: all) that the ledger knows, in any order.

        The text is None when some bars of the window are not pre-rendered. Tickers in which SQLite is behind are left
        out. It is one statement, so it sees one state of the database without a transaction.

        :param window: without warm-up, with indicators.
        :raises SqliteError: when the ledger holds an impossible ticker, or cannot be read.
        """
        start, end = window.bounds
        values: dict[str, object] = {"interval": self.interval.value, "start": start, "end": end}
        values["skip"] = None if window.limit is None else window.limit - 1
        which, chosen = choose_tickers(symbols)
        found = connection.execute(self.select[form, which], values | chosen)
        for ticker, is_true, stamp, first, last, earliest, latest, rows, text in found:
            if ticker is None:
                return  # the statement returns a row of NULLs for an unknown ticker
            if not is_symbol(str(ticker)):
                raise SqliteError(f"the ledger knows a ticker {ticker!r}, which is none", SqliteFault.CORRUPT)
            if comparison.is_behind(SeriesKey(self.mode, ticker, self.interval), stamp, last):
                continue
            # In a damaged row a time may have any type.
            are_times = isinstance(first, int) and isinstance(earliest, int)
            is_whole = are_times and latest == last and (rows == window.limit or earliest <= max(start, first))
            text = text or b""
            yield ticker, PrerenderedText(text, rows) if is_true and is_whole and form.is_ascending(text) else None

    def write(self, connection: sqlite3.Connection, key: SeriesKey, bars: Bars, *, are_all: bool) -> None:
        """Write the texts of `bars`, all bars of the series from the first time of `bars` on. Equal texts stay.

        :param are_all: `bars` are all bars of the series. Otherwise its texts must be valid.
        """
        newest = bars.tail(PRERENDERED_BARS[self.interval])
        times = newest.time.tolist()
        texts = (default_rows(form, key, newest) for form in TextForm)
        if are_all:
            connection.execute(self.delete_others, (key.ticker, orjson.dumps(times).decode()))
        connection.executemany(self.upsert, zip(repeat(key.ticker), times, *texts))
        if not are_all:
            connection.execute(self.trim, (key.ticker,))

    def are_true_of(self, connection: sqlite3.Connection, key: SeriesKey, bars: Bars) -> bool:
        """Whether the texts agree with the newest of `bars`, all bars of the series."""
        held = connection.execute(self.select_all, (key.ticker,)).fetchall()
        newest = bars.tail(PRERENDERED_BARS[self.interval])
        times = newest.time.tolist()
        # Times first, because the times of damaged rows may be impossible to write.
        if [row[0] for row in held] != times:
            return False
        return held == list(zip(times, *(default_rows(form, key, newest) for form in TextForm), strict=True))


def _table(mode: Mode, interval: Interval) -> PrerenderedTable:
    name = f"{mode.value}_{interval.label}_texts"
    which = {
        "one": "ledger.ticker = :symbol",
        "some": "ledger.ticker IN (SELECT value FROM json_each(:symbols)) GROUP BY ledger.ticker",
        "every": "true GROUP BY ledger.ticker",
    }
    # The SQL is made of constants and enum values only; ruff's S608 cannot know that.
    return PrerenderedTable(
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
            f"(SELECT time FROM {name} WHERE ticker = ?1 ORDER BY time DESC LIMIT 1 "
            f"OFFSET {PRERENDERED_BARS[interval] - 1})"
        ),
        delete_others=(
            f"DELETE FROM {name} WHERE ticker = ? AND time NOT IN (SELECT value FROM json_each(?))"  # noqa: S608
        ),
        clear=f"DELETE FROM {name} WHERE ticker = ?",  # noqa: S608
    )


def _windows(name: str, form: TextForm, condition: str) -> str:
    """The SELECT of texts. For each series of the ledger that meets the condition it gives one row: whether its copies
    are valid, its stamp, the times of its oldest and newest row, the times of its oldest and newest text, the number of
    texts in the window, and the joined texts.

    An ordered query inside group_concat would take twice as long. Without it SQLite reads the index from one end to the
    other, and `TextForm.is_ascending` finds out the direction.
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
