"""The tables of bars: their names, the statements over them, and rows to and from `Bars`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from stockapi.constants import INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.errors import SqliteError, SqliteFault
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode

MIN_TIME, MAX_TIME = -(1 << 63), (1 << 63) - 1
_BAR_COLUMNS = ("time", *PRICE_FIELDS, "volume", *INDICATOR_FIELDS)
_VALUE_COLUMNS = _BAR_COLUMNS[1:]


@dataclass(frozen=True, slots=True)
class TableInfo:
    """The statements over one table. Table names come from the enums, never from a request."""

    name: str
    select_range: str
    select_latest: str
    count_range: str
    bounds_since: str
    upsert: str
    delete: str

    @classmethod
    def of(cls, mode: Mode, interval: Interval) -> "TableInfo":
        return _TABLES[mode, interval]


def _table(mode: Mode, interval: Interval) -> TableInfo:
    name = f"{mode.value}_{interval.label}"
    columns = ", ".join(_BAR_COLUMNS)
    holders = ", ".join("?" * (len(_BAR_COLUMNS) + 3))
    changes = ", ".join(f"{column} = excluded.{column}" for column in (*_VALUE_COLUMNS, "updated_at"))
    # Only constants and enum values go into the texts; ruff's S608 cannot know.
    return TableInfo(
        name=name,
        select_range=f"SELECT {columns} FROM {name} WHERE ticker = ? AND time BETWEEN ? AND ? ORDER BY time",  # noqa: S608
        select_latest=f"SELECT {columns} FROM {name} WHERE ticker = ? AND time <= ? ORDER BY time DESC LIMIT ?",  # noqa: S608
        count_range=f"SELECT count(*) FROM {name} WHERE ticker = ? AND time BETWEEN ? AND ?",  # noqa: S608
        bounds_since=f"SELECT count(*), min(time), max(time) FROM {name} WHERE ticker = ? AND time >= ?",  # noqa: S608
        upsert=(
            f"INSERT INTO {name} (ticker, {columns}, created_at, updated_at) VALUES ({holders}) "  # noqa: S608
            f"ON CONFLICT (ticker, time) DO UPDATE SET {changes}"
        ),
        delete=f"DELETE FROM {name} WHERE ticker = ? AND time = ?",  # noqa: S608
    )


_TABLES = {(mode, interval): _table(mode, interval) for mode in Mode for interval in Interval}

SELECT_LEDGER = "SELECT ticker, interval, rows, first_time, last_time, digest, csv_stamp FROM ledger"
SELECT_LEDGER_ENTRY = f"{SELECT_LEDGER} WHERE ticker = ? AND interval = ?"
SELECT_LEDGER_OF_INTERVAL = f"{SELECT_LEDGER} WHERE interval = ? ORDER BY ticker"
UPSERT_LEDGER = """
INSERT INTO ledger (ticker, interval, rows, first_time, last_time, digest, csv_stamp, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (ticker, interval) DO UPDATE SET rows = excluded.rows, first_time = excluded.first_time,
    last_time = excluded.last_time, digest = excluded.digest, csv_stamp = excluded.csv_stamp,
    updated_at = excluded.updated_at
"""
SET_CSV_STAMP = "UPDATE ledger SET csv_stamp = ? WHERE ticker = ? AND interval = ? AND csv_stamp IS NOT ?"


def to_rows(ticker: str, bars: Bars, now: int) -> Iterator[tuple[object, ...]]:
    """Parameters of `TableInfo.upsert`, one tuple a bar; `now` (Unix seconds) becomes created_at and updated_at."""
    indicators = np.where(np.isnan(bars.indicators), None, bars.indicators).tolist()  # type: ignore[call-overload]
    columns = [bars.time.tolist(), *bars.prices.tolist(), bars.volume.tolist(), *indicators]
    return zip(repeat(ticker), *columns, repeat(now), repeat(now))


def to_bars(rows: Sequence[tuple[float | None, ...]], mode: Mode) -> Bars:
    """Bars of fetched rows, at least one, in their order.

    :raises SqliteError: when a value is not a number.
    """
    columns = list(zip(*rows, strict=True))
    try:
        return Bars(
            np.array(columns[0], dtype=np.int64),
            np.array(columns[1:5], dtype=np.float64),
            np.array(columns[5], dtype=np.int64) if mode.has_whole_volume else np.array(columns[5], dtype=np.float64),
            np.array(columns[6:], dtype=np.float64),
        )
    except (ValueError, TypeError, OverflowError) as exc:
        # A damaged page may still be a row to SQLite, with text or bytes where the number was.
        raise SqliteError(f"a row of bars holds what is no number: {exc}", SqliteFault.CORRUPT) from exc
