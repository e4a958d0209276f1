"""Both stores and their helpers in one object. A process makes it once and passes it to its readers and writers."""

from dataclasses import dataclass, field, replace
from typing import Self

from stockapi.config import Settings
from stockapi.markets.calendar import correct_sessions
from stockapi.services.asked import Asked
from stockapi.services.closings import Closings
from stockapi.services.csv_store import CsvStore
from stockapi.services.csv_store.quarantine import Quarantine
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.renames import Renames
from stockapi.services.series_sources import SeriesSources
from stockapi.services.sqlite_store import SqliteStore
from stockapi.services.sqlite_store.known_behind import KnownBehind
from stockapi.services.turns import Turns


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of all markets. Making it opens no file. Threads may share it, and it may be used after a fork."""

    settings: Settings
    db_manager: DatabaseManager
    sqlite_store: SqliteStore
    csv_store: CsvStore
    bookkeeping: Bookkeeping
    quarantine: Quarantine
    renames: Renames
    closings: Closings
    asked: Asked
    turns: Turns
    series_sources: SeriesSources
    behind: KnownBehind = field(default_factory=KnownBehind)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        correct_sessions(settings.extra_holidays, settings.extra_sessions)
        db_manager = DatabaseManager(settings)
        return cls(
            settings,
            db_manager,
            SqliteStore(db_manager),
            CsvStore(settings),
            Bookkeeping(db_manager),
            Quarantine(settings),
            Renames(settings),
            Closings(settings),
            Asked(settings),
            Turns(settings),
            SeriesSources(settings),
        )

    def with_settings(self, settings: Settings) -> Self:
        """The same CSV files with the databases of `settings`: for filling a new database."""
        return replace(self.of(settings), csv_store=self.csv_store)

    def close(self) -> None:
        """Close this thread's readers and the writers of the databases."""
        self.db_manager.close()
