"""The record of changes: which bars are new or changed since when. It changes in the same transactions as the rows.

The transactions of the one writer come one after the other, and each gets the next number. So a reader that sees the
change of one number sees all changes of lower numbers: no bar can be committed later and yet be counted as earlier.
docs/decisions/017-mirrors.md has the alternatives.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from stockapi.errors import SqliteError, SqliteFault
from stockapi.models.bars import Bars
from stockapi.models.changes import Mark, Since
from stockapi.models.interval import Interval
from stockapi.models.series import SeriesKey
from stockapi.models.window import MAX_TIME, MIN_TIME
from stockapi.services.database_manager.damage import of_types

_WHAT: Final = "the record of changes"
_BARS_OF_A_PART: Final = 64
"""A reader looks at all rows of a changed part, and a save writes one record for each part that it changes."""

_SELECT_LOG = "SELECT log, begun_at, seq, at FROM changes_log"
_TYPES_OF_LOG = (str, (int, type(None)), int, int)
_COUNT = "UPDATE changes_log SET seq = seq + 1, at = ?1, begun_at = coalesce(begun_at, ?1)"
_RECORD = """
INSERT INTO changes (ticker, interval, part, first_time, last_time, seq, at)
SELECT ?1, ?2, ?3, ?4, ?5, seq, at FROM changes_log WHERE true
ON CONFLICT (ticker, interval, part) DO UPDATE SET first_time = min(first_time, excluded.first_time),
    last_time = max(last_time, excluded.last_time), seq = excluded.seq, at = excluded.at
"""
_FORGET = "DELETE FROM changes WHERE ticker = ? AND interval = ?"
_BEGIN_ANEW = """
UPDATE changes_log SET log = lower(hex(randomblob(4))), begun_at = max(at, ?1), at = max(at, ?1)
"""
_SEQ_BEFORE = "SELECT seq FROM changes WHERE at < ? ORDER BY seq DESC LIMIT 1"
_SELECT_CHANGED = """
SELECT ticker, min(first_time), max(last_time) FROM changes
WHERE seq > :seq AND interval = :interval AND (:symbols IS NULL OR ticker IN (SELECT value FROM json_each(:symbols)))
GROUP BY ticker ORDER BY ticker
"""
_TYPES_OF_CHANGED = (str, int, int)


@dataclass(frozen=True, slots=True)
class ChangesLog:
    """The state of the record in one database. `begun_at`: see the migration. Times are Unix seconds."""

    log: str
    begun_at: int | None
    seq: int
    at: int

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> "ChangesLog":
        """:raises SqliteError: as damage, when the one row is not there or not as it was written."""
        row = connection.execute(_SELECT_LOG).fetchone()
        if row is None:
            raise SqliteError(f"{_WHAT} has no beginning", SqliteFault.CORRUPT)
        return cls(*of_types(row, _TYPES_OF_LOG, _WHAT))


@dataclass(frozen=True, slots=True)
class Changed:
    """Between which times the bars of a series have changed. `is_whole`: a copy of it is to be replaced as a whole."""

    first: int
    last: int

    @property
    def is_whole(self) -> bool:
        return self.first == MIN_TIME


WHOLLY: Final = Changed(MIN_TIME, MAX_TIME)
"""Of a series that is new or gone, or of which most is another."""


def span_of(changed: Bars) -> Changed | None:
    """The change of these bars, ascending; None for no bars."""
    return Changed(int(changed.time[0]), int(changed.time[-1])) if len(changed) else None


def record(connection: sqlite3.Connection, key: SeriesKey, changed: Changed, at: int) -> None:
    """Record a change of a series as the next one.

    :param at: the time (Unix seconds) that the changed rows have as updated_at; not before that of the last change.
    """
    part = MIN_TIME if changed.is_whole else changed.first // (_BARS_OF_A_PART * key.interval.seconds)
    series = key.ticker, key.interval.value
    connection.execute(_COUNT, (at,))
    if changed.is_whole:
        connection.execute(_FORGET, series)
    connection.execute(_RECORD, (*series, part, changed.first, changed.last))


def begin_anew(connection: sqlite3.Connection, now: int) -> None:
    """Give the record another name. Clients that have a copy of an earlier state then get everything."""
    connection.execute(_BEGIN_ANEW, (now,))


def position(connection: sqlite3.Connection, log: ChangesLog, database: str, since: Since) -> tuple[int, int] | None:
    """The number of the last change before `since`, and the time that all rows changed later have in updated_at.

    None when the record does not reach back so far, or is another one: then everything counts as changed.
    """
    if isinstance(since, Mark):
        return (since.seq, since.at) if since.database == database and since.seq <= log.seq else None
    if log.begun_at is None or since <= log.begun_at:
        return None
    row = connection.execute(_SEQ_BEFORE, (since,)).fetchone()
    return (0 if row is None else of_types(row, (int,), _WHAT)[0]), since


def changes_after(
    connection: sqlite3.Connection, seq: int, interval: Interval, symbols: Sequence[str] | None
) -> dict[str, Changed]:
    """The changes of higher numbers, by ticker in alphabetical order. Of several of one series: all of its times."""
    values = {
        "seq": seq,
        "interval": interval.value,
        "symbols": None if symbols is None else orjson.dumps(symbols).decode(),
    }
    rows = [of_types(row, _TYPES_OF_CHANGED, _WHAT) for row in connection.execute(_SELECT_CHANGED, values).fetchall()]
    return {ticker: Changed(first, last) for ticker, first, last in rows}
