"""The results of saving a series and of enhancing an interval."""

from dataclasses import dataclass, fields, replace

from stockapi.errors import SqliteError, SqliteFault
from stockapi.services.csv_enhancer.conflict import Evidence


@dataclass(frozen=True, slots=True)
class SaveResult:
    """What one save wrote.

    `sqlite_error`, `sqlite_fault`: set when SQLite failed and the save continued with CSV only.
    """

    rows: int = 0
    csv_bytes: int = 0
    csv_seconds: float = 0.0
    sqlite_seconds: float = 0.0
    sqlite_error: str | None = None
    sqlite_fault: SqliteFault | None = None

    def after(self, error: SqliteError | None) -> "SaveResult":
        """This result with the error of the step before. A save that wrote bars knows better, and stays as it is."""
        return self if self.rows else self.without_sqlite(error)

    def without_sqlite(self, error: SqliteError | None) -> "SaveResult":
        """This result with the error that prevented the use of SQLite; None: there was no error."""
        if error is None:
            return replace(self, sqlite_error=None, sqlite_fault=None)
        return replace(self, sqlite_error=str(error), sqlite_fault=error.fault)


@dataclass(frozen=True, slots=True)
class EnhancementStats:
    """What enhancing an interval did. Seconds are wall time; `duration` is the whole time, with reading.

    `sqlite_faults`: one for each time SQLite failed and the work continued with CSV only.
    `csv_changed`, `sqlite_changed`: how many bars were added, changed or removed in that store.
    `quarantined`: how many bars went to the quarantine: the ledger proves that they were never stored.
    `evidence`: for each series that differed, why its bars were chosen.
    """

    tickers: int = 0
    records: int = 0
    duration: float = 0.0
    indicator_seconds: float = 0.0
    csv_seconds: float = 0.0
    sqlite_seconds: float = 0.0
    bytes_written: int = 0
    sqlite_faults: tuple[SqliteFault, ...] = ()
    csv_changed: int = 0
    sqlite_changed: int = 0
    quarantined: int = 0
    evidence: tuple[Evidence, ...] = ()

    @property
    def sqlite_errors(self) -> int:
        return len(self.sqlite_faults)

    def __add__(self, other: "EnhancementStats") -> "EnhancementStats":
        return EnhancementStats(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))
