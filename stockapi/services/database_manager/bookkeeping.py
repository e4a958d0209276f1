"""The state that the workers record for others to read: cycles, price adjustments, the latest verification."""

from dataclasses import astuple, dataclass

from stockapi.models.mode import Mode
from stockapi.services.database_manager.damage import of_types
from stockapi.services.database_manager.manager import DatabaseManager

_RECORD_CYCLE = """
INSERT INTO worker_states (worker, iterations, last_sync, heartbeat_at, due_every_s, cycle_seconds, rows_written,
                           source, source_state, source_calls, source_errors, last_error, last_error_at,
                           cycle_calls, cycle_errors)
VALUES (:worker, 1, :last_sync, :now, :due_every_s, :cycle_seconds, :rows_written,
        :source, :source_state, :source_calls, :source_errors, :last_error, :last_error_at,
        :source_calls, :source_errors)
ON CONFLICT (worker) DO UPDATE SET
    iterations = iterations + 1,
    last_sync = coalesce(excluded.last_sync, last_sync),
    heartbeat_at = excluded.heartbeat_at,
    due_every_s = excluded.due_every_s,
    cycle_seconds = excluded.cycle_seconds,
    rows_written = rows_written + excluded.rows_written,
    source = excluded.source,
    source_state = excluded.source_state,
    source_calls = source_calls + excluded.source_calls,
    source_errors = source_errors + excluded.source_errors,
    last_error = coalesce(excluded.last_error, last_error),
    last_error_at = coalesce(excluded.last_error_at, last_error_at),
    cycle_calls = excluded.cycle_calls,
    cycle_errors = excluded.cycle_errors
"""
_BEAT = """
INSERT INTO worker_states (worker, iterations, heartbeat_at, due_every_s) VALUES (:worker, 0, :now, :due_every_s)
ON CONFLICT (worker) DO UPDATE SET heartbeat_at = excluded.heartbeat_at, due_every_s = excluded.due_every_s
"""
_SELECT_STATES = """
SELECT worker, iterations, last_sync, heartbeat_at, due_every_s, cycle_seconds, rows_written,
       source, source_state, source_calls, source_errors, last_error, last_error_at, cycle_calls, cycle_errors
FROM worker_states ORDER BY worker
"""
_RECORD_ADJUSTMENT = """
INSERT INTO adjustments (ticker, ex_time, ratio, seen_at) VALUES (?, ?, ?, ?)
ON CONFLICT (ticker, ex_time) DO UPDATE SET ratio = excluded.ratio
"""
_APPLY_ADJUSTMENT = "UPDATE adjustments SET applied_at = ? WHERE ticker = ? AND ex_time = ?"
_FORGET_ADJUSTMENT = "DELETE FROM adjustments WHERE ticker = ? AND ex_time = ? AND applied_at IS NULL"
_SELECT_PENDING = """
SELECT ticker, ex_time, ratio, seen_at, applied_at FROM adjustments
WHERE ticker = ? AND applied_at IS NULL ORDER BY ex_time
"""
_FORGET_ADJUSTMENTS = "DELETE FROM adjustments WHERE ticker = ?"
_RENAME_ADJUSTMENTS = "UPDATE OR REPLACE adjustments SET ticker = ? WHERE ticker = ?"
_SELECT_ADJUSTMENTS = """
SELECT ticker, ex_time, ratio, seen_at, applied_at FROM adjustments
WHERE coalesce(applied_at, seen_at) >= ? ORDER BY ex_time, ticker
"""
_RECORD_VERIFICATION = """
INSERT OR REPLACE INTO verification
    (id, done_at, seconds, integrity, series, bars, differing, left_over, rebuilt) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SELECT_VERIFICATION = """
SELECT done_at, seconds, integrity, series, bars, differing, left_over, rebuilt FROM verification
"""
_RECORD_SOURCE = "INSERT OR REPLACE INTO market_source (id, name, since) VALUES (1, ?, ?)"
_SELECT_SOURCE = "SELECT name FROM market_source"
_ROW = "a row of the bookkeeping"
_TEXT, _WHOLE, _NUMBER = (str, type(None)), (int, type(None)), (float, int, type(None))
_TYPES_OF_STATE = (
    *(str, int, _WHOLE, _WHOLE, _WHOLE, _NUMBER, int),
    *(_TEXT, _TEXT, int, int, _TEXT, _WHOLE, _WHOLE, _WHOLE),
)
_TYPES_OF_ADJUSTMENT = (str, int, float, int, _WHOLE)
_TYPES_OF_VERIFICATION = (int, float, str, int, int, int, int, int)
STALE_AFTER_CYCLES = 3
_STALE_AFTER_AT_LEAST_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One run of a worker.

    `last_sync`: Unix seconds; None when no series could be brought up to date. `last_error`: None when there was none.
    """

    worker: str
    due_every_s: int
    cycle_seconds: float
    rows_written: int
    source: str
    source_state: str
    source_calls: int
    source_errors: int
    last_sync: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The state of a worker. Times are Unix seconds.

    Counts are totals since the database was created. The other values are those of the last cycle.
    """

    worker: str
    iterations: int
    last_sync: int | None
    heartbeat_at: int | None
    due_every_s: int | None
    cycle_seconds: float | None
    rows_written: int
    source: str | None
    source_state: str | None
    source_calls: int
    source_errors: int
    last_error: str | None
    last_error_at: int | None
    cycle_calls: int | None
    cycle_errors: int | None

    def is_stale(self, now: int) -> bool:
        """Whether the worker is stuck, stopped or dead: its last heartbeat is several cycles old, or it has none."""
        if self.heartbeat_at is None or self.due_every_s is None:
            return True
        return now - self.heartbeat_at > max(STALE_AFTER_CYCLES * self.due_every_s, _STALE_AFTER_AT_LEAST_S)


@dataclass(frozen=True, slots=True)
class RecordedAdjustment:
    """A dividend or split. Times are Unix seconds; `applied_at` is None while the adjusted history is being fetched."""

    ticker: str
    ex_time: int
    ratio: float
    seen_at: int
    applied_at: int | None


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a comparison of both stores. Its fields are explained in the migration that creates its table."""

    done_at: int
    seconds: float
    integrity: str
    series: int
    bars: int
    differing: int
    left: int
    is_rebuilt: bool

    @property
    def result(self) -> str:
        """`ok`; `repaired` when all differences were repaired; `differs` when a difference is left."""
        if self.integrity != "ok" or self.left:
            return "differs"
        return "repaired" if self.differing or self.is_rebuilt else "ok"


class Bookkeeping:
    """The bookkeeping tables of all databases. Every method raises SqliteError when it fails."""

    def __init__(self, db_manager: DatabaseManager) -> None:
        self._db = db_manager

    def worker_states(self, mode: Mode) -> dict[str, WorkerState]:
        """The workers that ever ran, by name; empty when there is none."""
        with self._db.snapshot(mode) as connection:
            rows = connection.execute(_SELECT_STATES).fetchall()
        return {row[0]: WorkerState(*of_types(row, _TYPES_OF_STATE, _ROW)) for row in rows}

    def record_cycle(self, mode: Mode, cycle: Cycle, now: int) -> None:
        values = {
            **{name: getattr(cycle, name) for name in Cycle.__slots__},
            "now": now,
            "last_error_at": None if cycle.last_error is None else now,
        }
        with self._db.transaction(mode) as connection:
            connection.execute(_RECORD_CYCLE, values)

    def beat(self, mode: Mode, worker: str, due_every_s: int, now: int) -> None:
        """Record that the worker is alive: in a cycle, or waiting for the next one."""
        with self._db.transaction(mode) as connection:
            connection.execute(_BEAT, {"worker": worker, "due_every_s": due_every_s, "now": now})

    def adjustments(self, mode: Mode, since: int) -> list[RecordedAdjustment]:
        """The adjustments that were applied at or after `since` (Unix seconds), in the order of their day, then ticker.

        An adjustment that is not applied yet counts by the time it was seen. Empty when there is none.
        """
        with self._db.snapshot(mode) as connection:
            rows = connection.execute(_SELECT_ADJUSTMENTS, (since,)).fetchall()
        return [RecordedAdjustment(*of_types(row, _TYPES_OF_ADJUSTMENT, _ROW)) for row in rows]

    def pending_adjustments(self, mode: Mode, ticker: str) -> list[RecordedAdjustment]:
        """The adjustments of the ticker that are not applied yet, in the order of their day."""
        with self._db.snapshot(mode) as connection:
            rows = connection.execute(_SELECT_PENDING, (ticker,)).fetchall()
        return [RecordedAdjustment(*of_types(row, _TYPES_OF_ADJUSTMENT, _ROW)) for row in rows]

    def forget_adjustment(self, mode: Mode, ticker: str, ex_time: int) -> None:
        """Take back the record of an adjustment that is not applied. The whole history did not show it."""
        with self._db.transaction(mode) as connection:
            connection.execute(_FORGET_ADJUSTMENT, (ticker, ex_time))

    def record_adjustment(self, mode: Mode, ticker: str, ex_time: int, ratio: float, now: int) -> None:
        """Record an adjustment before its history is fetched."""
        with self._db.transaction(mode) as connection:
            connection.execute(_RECORD_ADJUSTMENT, (ticker, ex_time, ratio, now))

    def apply_adjustment(self, mode: Mode, ticker: str, ex_time: int, now: int) -> None:
        """Record that the adjusted history is now stored."""
        with self._db.transaction(mode) as connection:
            connection.execute(_APPLY_ADJUSTMENT, (now, ticker, ex_time))

    def forget_adjustments(self, mode: Mode, ticker: str) -> None:
        with self._db.transaction(mode) as connection:
            connection.execute(_FORGET_ADJUSTMENTS, (ticker,))

    def rename_adjustments(self, mode: Mode, old: str, new: str) -> None:
        with self._db.transaction(mode) as connection:
            connection.execute(_RENAME_ADJUSTMENTS, (new, old))

    def last_verification(self, mode: Mode) -> Verification | None:
        with self._db.snapshot(mode) as connection:
            row = connection.execute(_SELECT_VERIFICATION).fetchone()
        return None if row is None else Verification(*of_types(row, _TYPES_OF_VERIFICATION, _ROW))

    def record_verification(self, mode: Mode, verification: Verification) -> None:
        with self._db.transaction(mode) as connection:
            connection.execute(_RECORD_VERIFICATION, astuple(verification))

    def source(self, mode: Mode) -> str | None:
        """The name of the source that filled the market; None when none is recorded."""
        with self._db.snapshot(mode) as connection:
            row = connection.execute(_SELECT_SOURCE).fetchone()
        return None if row is None else str(of_types(row, (str,), _ROW)[0])

    def record_source(self, mode: Mode, name: str, now: int) -> None:
        with self._db.transaction(mode) as connection:
            connection.execute(_RECORD_SOURCE, (name, now))
