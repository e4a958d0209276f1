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
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.stores import Stores
from stockapi.services.writer_lock import writer_lock
from tests.bench.market import SIZES, WideMarket
from workers.clocks import Clocks
from workers.jobs import THREADS
from workers.loop import WorkerLoop
from workers.priority import yield_to_readers

_MOST_S: Final = 60 * SECONDS_PER_DAY


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    yield_to_readers()
    settings = Settings.load()
    stores = Stores.of(settings)
    provider = WideMarket(Mode.VN, SIZES[Mode.VN])
    newest = int(stores.csv_store.read(SeriesKey(Mode.VN, "VCB", Interval.MINUTE), Window(limit=1)).bars.time[0])
    with writer_lock(settings, [Mode.VN]):
        for minute in provider.fetch("VCB", Interval.MINUTE, newest + 1, newest + _MOST_S).time.tolist():
            clock = partial(datetime.fromtimestamp, minute, UTC)
            failed = WorkerLoop(stores, THREADS["minute"], provider, stop, Clocks(clock)).run_once()
            assert failed == 0, f"{failed} series failed"
            print(clock(), flush=True)
            if stop.is_set():
                return


if __name__ == "__main__":
    main()
