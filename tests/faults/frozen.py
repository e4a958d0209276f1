"""A source that changes bars it has sent: no series may stay on the old ones, or be a mixture of both."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np

from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.errors import StoreError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.query import QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import series as series_module
from stockapi.services.data_store import DataStore
from stockapi.services.ingest import sync
from tests import faults
from tests.faults.outcome import Outcome
from tests.support.stores import Stores, environment
from tests.support.told import DAY, HOUR, MINUTE, NOW, TODAY, Source, days, flat, market

CYCLES = 2
SWAPS, SWAP_EVERY_S = 12, 0.05
NEVER = 1 << 40
"""A time after all bars."""
MOST_BROKEN = 3


def changed(directory: Path, name: str, *, without: str | None = None) -> Outcome:
    """`name`: one of CHANGES. Without `comparison` a resume goes on from bars that the source has changed since."""
    outcome = Outcome(f"source: {name}" + (f", without {without}" if without else ""), is_control=bool(without))
    with _stores(directory) as stores:
        source = market()
        guard = patch.object(sync, "agree", lambda *_: True) if without else nullcontext()
        with guard:
            for step in CHANGES[name](source):
                outcome.injected += step
                started = time.monotonic()
                for _ in range(CYCLES):
                    _cycle(stores, source)
                outcome.repaired_in(time.monotonic() - started)
        for interval, bars in source.bars.items():
            shown = enhance(bars, Mode.VN, is_index=False)
            for held in (stores.in_csv("VCB", interval), stores.in_sqlite("VCB", interval)):
                outcome.lost += _unlike(held, shown)
        outcome.divergent += len(faults.problems(stores))
    return outcome


def _cycle(stores: Stores, source: Source) -> None:
    for interval in list(source.bars):
        sync.sync_ticker(stores, source, SeriesKey(Mode.VN, "VCB", interval), NOW)


def _unlike(held: Bars, shown: Bars) -> int:
    """How many bars are missing, superfluous or otherwise."""
    _, of_held, of_shown = np.intersect1d(held.time, shown.time, return_indices=True)
    equal = len(of_held) - int(held.take(of_held).differing_from(shown.take(of_shown)).sum())
    return max(len(held), len(shown)) - equal


def _corrects_minutes(source: Source) -> Iterator[bool]:
    """Ten minutes have been sent with prices a tenth too high."""
    right = source.bars[MINUTE]
    yield False
    prices = right.prices.copy()
    prices[:, -12:-2] *= 1.1
    source.bars[MINUTE] = Bars.of(right.time, np.round(prices), right.volume)
    yield False
    source.bars[MINUTE] = right
    yield True


def _adjusts_days_first(source: Source) -> Iterator[bool]:
    yield False
    source.divide(1.25, TODAY, DAY)
    yield True
    source.divide(1.25, TODAY, HOUR, MINUTE)
    yield False


def _lacks_minutes(source: Source) -> Iterator[bool]:
    del source.bars[MINUTE]
    yield False
    source.divide(1.25, TODAY, *source.bars)
    yield True


def _pays_two_percent(source: Source) -> Iterator[bool]:
    yield False
    source.divide(1.02, TODAY)
    yield True


def _splits_a_rare_stock(source: Source) -> Iterator[bool]:
    """It trades once a week."""
    source.bars = {DAY: flat(days(100, every=7))}
    yield False
    source.divide(2.0, TODAY, DAY)
    yield True


CHANGES: dict[str, Callable[[Source], Iterator[bool]]] = {
    "corrects ten minutes": _corrects_minutes,
    "adjusts days before minutes": _adjusts_days_first,
    "a dividend, and no minutes": _lacks_minutes,
    "a dividend of 2 %": _pays_two_percent,
    "a split of a rare stock": _splits_a_rare_stock,
}


CONTROL = "a dividend of 2 %"
"""Which change leaves a mixture without the comparison."""


def two_threads(directory: Path, *, without: str | None = None) -> Outcome:
    """One thread swaps in adjusted histories, another one saves minutes meanwhile, and a client reads them.

    All prices of this market are the same, so an answer with two is a mixture. Without the `lock` of a series the swap
    writes what it has read before the other thread's save.
    """
    outcome = Outcome("two threads of a worker" + (f", without {without}" if without else ""), is_control=bool(without))
    with _stores(directory) as stores:
        run = _TwoThreads(stores, outcome)
        guard = patch.object(series_module, "series_lock", lambda _key: nullcontext()) if without else nullcontext()
        with guard:
            run.run()
        outcome.lost += run.lost()
        started = time.monotonic()
        _cycle(stores, run.source)
        outcome.repaired_in(time.monotonic() - started)
        outcome.divergent += len(faults.problems(stores))
    return outcome


class _TwoThreads:
    def __init__(self, stores: Stores, outcome: Outcome) -> None:
        self.source = market()
        self._stores, self._outcome = stores, outcome
        self._changing = threading.Lock()
        self._stop = threading.Event()
        self._saved: list[int] = []
        """Times of acknowledged minutes."""
        _cycle(stores, self.source)

    def run(self) -> None:
        threads = [threading.Thread(target=self._until_stopped, args=(work,)) for work in (self._save, self._ask)]
        for thread in threads:
            thread.start()
        for number in range(SWAPS):
            with self._changing:
                self.source.divide(1.25 if number % 2 == 0 else 0.8, NEVER)
            self._guarded(lambda: self._sync(DAY))
            self._outcome.injected += 1
            time.sleep(SWAP_EVERY_S)
        self._stop.set()
        for thread in threads:
            thread.join()
        self._stores.db_manager.close_readers()

    def lost(self) -> int:
        held = (self._stores.in_csv("VCB", MINUTE), self._stores.in_sqlite("VCB", MINUTE))
        return sum(len(np.setdiff1d(self._saved, bars.time)) for bars in held)

    def _sync(self, interval: Interval) -> None:
        sync.sync_ticker(self._stores, self.source, SeriesKey(Mode.VN, "VCB", interval), NOW)

    def _until_stopped(self, work: Callable[[], None]) -> None:
        while not self._stop.wait(0.001):
            self._guarded(work)
        self._stores.db_manager.close_readers()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StoreError as exc:
            self._outcome.broken += [str(exc)][: MOST_BROKEN - len(self._outcome.broken)]

    def _save(self) -> None:
        with self._changing:
            bars = self.source.bars[MINUTE]
            newest = int(bars.time[-1]) + MINUTE.seconds
            self.source.bars[MINUTE] = bars.merge(flat([newest], float(bars.close[-1])))
        self._sync(MINUTE)
        self._saved.append(newest)

    def _ask(self) -> None:
        if not self._saved:
            return
        saved, asked_at = self._saved[-1], time.monotonic()
        query = QueryParameters(symbols=("VCB",), interval=MINUTE, limit=50)
        bars = DataStore(self._stores).get_data_smart_sqlite(query, self._stores.limits).bars["VCB"]
        self._outcome.answers += 1
        self._outcome.wrong += len(set(bars.close.tolist())) != 1
        self._outcome.answered_with(time.monotonic() - asked_at if int(bars.time[-1]) < saved else 0.0)


@contextmanager
def _stores(directory: Path) -> Iterator[Stores]:
    directory.mkdir(parents=True, exist_ok=True)
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    try:
        yield stores
    finally:
        stores.close()
