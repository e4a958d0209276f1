"""The tables of bars: their names, their statements, and the conversion between rows and `Bars`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.database_manager.damage import damage_in

_BARE_COLUMNS = ("time", *PRICE_FIELDS, "volume")
_BAR_COLUMNS = (*_BARE_COLUMNS, *INDICATOR_FIELDS)
_VALUE_COLUMNS = _BAR_COLUMNS[1:]
_MOST_PARAMETERS = 999
"""The parameters of one statement that every SQLite accepts. SQLite 3.32 and later accept more."""
_ROWS_PER_UPSERT = (min(50, (_MOST_PARAMETERS - 2) // len(_BAR_COLUMNS)), 1)
"""The rows of one INSERT: many at a time, then one at a time for the rest. Starting and ending a statement costs as
much as half a row. CPU for each row: 3.5 microseconds with 1 row a statement, 2.6 with 10, 2.2 with 50, 2.6 with 250,
7.7 with 1,000.
"""


@dataclass(frozen=True, slots=True)
class TableInfo:
    """The statements over one table. Table names come from the enums, never from a request.

    The `bare` statements leave out the indicators.
    """

    name: str
    interval: Interval
    select_range: str
    select_range_bare: str
    select_latest: str
    select_latest_bare: str
    select_written: dict[bool, str]
    """The first rows of a range that were written at or after a time; by whether indicators are read."""
    count: str
    count_range: str
    bounds_since: str
    select_days: str
    select_last: str
    select_last_bare: str
    """For each series of the ledger: the last row up to a time, or a row of NULLs when there is none; all columns, or
    those without indicators.
    """
    upsert: dict[int, str]
    """The INSERT statement for each number of rows, the largest number first."""
    delete: str
    first_unlike_ledger: str

    @classmethod
    def of(cls, mode: Mode, interval: Interval) -> "TableInfo":
        return _TABLES[mode, interval]


_EVERY_DAY = "SELECT json_group_array(time) FROM {name} WHERE ticker = ?1"
# A loose index scan: it jumps from the first bar of a day to the first bar of the next day.
_FIRST_OF_EACH_DAY = """
WITH RECURSIVE opening (time) AS (
    SELECT min(time) FROM {name} WHERE ticker = ?1
    UNION ALL
    SELECT (SELECT min(time) FROM {name} WHERE ticker = ?1 AND time >= (opening.time / 86400 + 1) * 86400)
    FROM opening WHERE opening.time IS NOT NULL
)
SELECT json_group_array(time) FROM opening WHERE time IS NOT NULL
"""

# The ledger knows the newest time, so most queries need only one search for each ticker.
_LAST_OF_EACH = """
SELECT ledger.ticker, {columns}
FROM ledger LEFT JOIN {name} AS held ON held.ticker = ledger.ticker AND held.time = CASE
    WHEN last_time <= ?1 THEN last_time
    ELSE (SELECT max(time) FROM {name} AS earlier WHERE earlier.ticker = ledger.ticker AND time <= ?1)
END
WHERE interval = ?2 ORDER BY ledger.ticker
"""


def _placeholders(rows: int) -> str:
    """`?1` is the ticker and `?2` the time of writing, both shared by all rows. The columns of each row follow."""
    width = len(_BAR_COLUMNS)
    starts = range(3, 3 + rows * width, width)
    return ", ".join(f"(?1, {', '.join(f'?{start + i}' for i in range(width))}, ?2, ?2)" for start in starts)


def _last_of_each(name: str, columns: Sequence[str]) -> str:
    return _LAST_OF_EACH.format(name=name, columns=", ".join(f"held.{column}" for column in columns))


def _table(mode: Mode, interval: Interval) -> TableInfo:
    name = f"{mode.value}_{interval.label}"
    columns, bare = ", ".join(_BAR_COLUMNS), ", ".join(_BARE_COLUMNS)
    in_range, latest = "ticker = ? AND time BETWEEN ? AND ?", "ticker = ? AND time <= ? ORDER BY time DESC LIMIT ?"
    changes = ", ".join(f"{column} = excluded.{column}" for column in (*_VALUE_COLUMNS, "updated_at"))
    # The SQL is made of constants and enum values only; ruff's S608 cannot know that.
    return TableInfo(
        name=name,
        interval=interval,
        select_range=f"SELECT {columns} FROM {name} WHERE {in_range} ORDER BY time",  # noqa: S608
        select_range_bare=f"SELECT {bare} FROM {name} WHERE {in_range} ORDER BY time",  # noqa: S608
        select_latest=f"SELECT {columns} FROM {name} WHERE {latest}",  # noqa: S608
        select_latest_bare=f"SELECT {bare} FROM {name} WHERE {latest}",  # noqa: S608
        select_written={
            has_indicators: f"SELECT {wanted} FROM {name} WHERE {in_range} AND updated_at >= ? ORDER BY time LIMIT ?"  # noqa: S608
            for has_indicators, wanted in ((True, columns), (False, bare))
        },
        count=f"SELECT count(*) FROM {name}",  # noqa: S608
        count_range=f"SELECT count(*) FROM {name} WHERE {in_range}",  # noqa: S608
        bounds_since=f"SELECT count(*), min(time), max(time) FROM {name} WHERE ticker = ? AND time >= ?",  # noqa: S608
        select_days=_FIRST_OF_EACH_DAY.format(name=name) if interval.is_intraday else _EVERY_DAY.format(name=name),
        select_last=_last_of_each(name, _BAR_COLUMNS),
        select_last_bare=_last_of_each(name, _BARE_COLUMNS),
        upsert={
            rows: f"INSERT INTO {name} (ticker, {columns}, created_at, updated_at) VALUES {_placeholders(rows)} "  # noqa: S608
            f"ON CONFLICT (ticker, time) DO UPDATE SET {changes}"
            for rows in _ROWS_PER_UPSERT
        },
        delete=f"DELETE FROM {name} WHERE ticker = ? AND time = ?",  # noqa: S608
        first_unlike_ledger=(
            "SELECT ledger.ticker, ledger.rows, coalesce(held.rows, 0) FROM ledger LEFT JOIN "  # noqa: S608
            f"(SELECT ticker, count(*) AS rows, min(time) AS first, max(time) AS last FROM {name} GROUP BY ticker) "
            "AS held USING (ticker) WHERE interval = ? "
            "AND (ledger.rows, first_time, last_time) IS NOT (held.rows, first, last) LIMIT 1"
        ),
    )


_TABLES = {(mode, interval): _table(mode, interval) for mode in Mode for interval in Interval}

SELECT_LEDGER = "SELECT ticker, interval, rows, first_time, last_time, digest, csv_stamp FROM ledger"
SELECT_LEDGER_ENTRY = f"{SELECT_LEDGER} WHERE ticker = ? AND interval = ?"
SELECT_LEDGER_OF_INTERVAL = f"{SELECT_LEDGER} WHERE interval = ? ORDER BY ticker"
SELECT_ROWS = "SELECT ticker, rows FROM ledger WHERE interval = ? ORDER BY ticker"
SELECT_LAST_TIMES = "SELECT ticker, last_time FROM ledger WHERE interval = ? ORDER BY ticker"
SELECT_TICKERS = "SELECT DISTINCT ticker FROM ledger ORDER BY ticker"
SELECT_STAMPS = "SELECT ticker, csv_stamp, last_time FROM ledger WHERE interval = ?"
ABOUT_ROWS = """
SELECT coalesce(sum(min(rows, :warmup + min(:limit,
    rows * (min(last_time, :end) - max(first_time, :start) + 1) / (last_time - first_time + 1)))), 0)
FROM ledger
WHERE interval = :interval AND min(last_time, :end) >= max(first_time, :start)
    AND (:symbols IS NULL OR ticker IN (SELECT value FROM json_each(:symbols)))
"""
MOST_ROWS = """
SELECT coalesce(sum(min(rows, :limit)), 0) FROM ledger
WHERE interval = :interval AND (:symbols IS NULL OR ticker IN (SELECT value FROM json_each(:symbols)))
"""
UPSERT_LEDGER = """
INSERT INTO ledger (ticker, interval, rows, first_time, last_time, digest, copies_digest, csv_stamp, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)
ON CONFLICT (ticker, interval) DO UPDATE SET rows = excluded.rows, first_time = excluded.first_time,
    last_time = excluded.last_time, digest = excluded.digest, copies_digest = excluded.copies_digest,
    csv_stamp = excluded.csv_stamp, updated_at = excluded.updated_at
"""
SELECT_HAS_COPIES = "SELECT copies_digest = digest FROM ledger WHERE ticker = ? AND interval = ?"
SELECT_WITHOUT_COPIES = "SELECT ticker FROM ledger WHERE interval = ? AND copies_digest <> digest ORDER BY ticker"
SET_HAS_COPIES = "UPDATE ledger SET copies_digest = digest WHERE ticker = ? AND interval = ?"
DELETE_LEDGER_ENTRY = "DELETE FROM ledger WHERE ticker = ? AND interval = ?"
SET_CSV_STAMP = "UPDATE ledger SET csv_stamp = ? WHERE ticker = ? AND interval = ? AND csv_stamp IS NOT ?"


def upserts(table: TableInfo, ticker: str, bars: Bars, now: int) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """The statements that insert or change the rows of `bars`, each with its parameters for `executemany`.

    `now` (Unix seconds) becomes updated_at, and created_at of new rows. SQLite stores an absent indicator (NaN) as
    NULL by itself.
    """
    columns = [bars.time.tolist(), *bars.prices.tolist(), bars.volume.tolist(), *bars.indicators.tolist()]
    width = len(columns)
    cells: list[object] = [None] * (width * len(bars))
    for position, column in enumerate(columns):
        cells[position::width] = column
    begin = 0
    for rows, statement in table.upsert.items():
        stop = len(cells) - len(cells) % (rows * width)
        if begin < stop:
            steps = range(begin, stop, rows * width)
            yield statement, [(ticker, now, *cells[step : step + rows * width]) for step in steps]
        begin = stop


def to_bars(rows: Sequence[tuple[float | None, ...]], mode: Mode) -> Bars:
    """Convert fetched rows to bars, in the same order. Bare rows give bars without indicators.

    :param rows: at least one.

    :raises SqliteError: when a value is not a number.
    """
    columns = list(zip(*rows, strict=True))
    is_whole = market_of(mode).has_whole_volume
    with damage_in("a row of bars"):
        volume = np.array(columns[5], dtype=np.int64) if is_whole else np.array(columns[5], dtype=np.float64)
        return Bars.of(
            np.array(columns[0], dtype=np.int64),
            np.array(columns[1:5], dtype=np.float64),
            volume,
            np.array(columns[len(_BARE_COLUMNS) :], dtype=np.float64) if len(columns) > len(_BARE_COLUMNS) else None,
        )


def choose_tickers(symbols: Sequence[str] | None) -> tuple[str, dict[str, object]]:
    """The kind of ticker selection (None is `every`, otherwise `one` or `some`), and its parameters for SQL."""
    if symbols is None:
        return "every", {}
    if len(symbols) == 1:
        return "one", {"symbol": symbols[0]}
    return "some", {"symbols": orjson.dumps(symbols).decode()}
