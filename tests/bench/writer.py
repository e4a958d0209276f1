"""`python -m tests.bench.writer`: minute cycles of the worker one after the other, until it is stopped.

Goes on where the stored minutes end, a minute of trading each time, so that each cycle has a new bar for every ticker.
"""

import signal
import threading
from datetime import UTC, datetime
from functools import partial
from typing import Final

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Interval, Mode
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.writer_lock import writer_lock
from tests.bench.market import SIZES, WideMarket
from workers.loop import WorkerLoop
from workers.priority import yield_to_readers
from workers.slow_worker import MINUTE

_MOST_S: Final = 60 * SECONDS_PER_DAY


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    yield_to_readers()
    settings = Settings.load()
    db_manager, csv_store = DatabaseManager(settings), CsvStore(settings)
    provider = WideMarket(Mode.VN, SIZES[Mode.VN])
    newest = int(csv_store.read(Mode.VN, "VCB", Interval.MINUTE, limit=1).bars.time[0])
    with writer_lock(settings, [Mode.VN]):
        for minute in provider.fetch("VCB", Interval.MINUTE, newest + 1, newest + _MOST_S).time.tolist():
            clock = partial(datetime.fromtimestamp, minute, UTC)
            failed = WorkerLoop([MINUTE], provider, db_manager, csv_store, stop, clock).run_once()
            assert failed == 0, f"{failed} series failed"
            print(clock(), flush=True)
            if stop.is_set():
                return


if __name__ == "__main__":
    main()
