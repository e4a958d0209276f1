"""Both stores of a private directory, and bars to put into them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from stockapi.calc.indicators import enhance
from stockapi.models import Bars, Interval, Mode
from stockapi.models.limits import Limits
from stockapi.models.series import SeriesKey
from stockapi.services import stores
from stockapi.services.csv_enhancer import FROM_THE_BEGINNING, SaveResult, save_enhanced_csv_and_sqlite

NOW = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
"""A Monday, 12:00 in Ho Chi Minh City."""

FIRST_DAY = 1_420_416_000
"""2015-01-05, a Monday."""


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Variables with which a process stores everything inside `directory`."""
    return {
        "VN_DATABASE_PATH": str(directory / "vn_data.db"),
        "CRYPTO_DATABASE_PATH": str(directory / "crypto_data.db"),
        "MARKET_DATA_DIR": str(directory / "market_data"),
        "CRYPTO_DATA_DIR": str(directory / "crypto_data"),
        "DATA_PROVIDER": "simulated",
        **more,
    }


def make_bars(count: int, interval: Interval = Interval.DAILY, mode: Mode = Mode.VN, seed: int = 1) -> Bars:
    """Enhanced bars of a random walk, one step of the interval apart from 2015-01-05 on; the same for the same seed."""
    random = np.random.default_rng(seed)
    time = FIRST_DAY + np.arange(count, dtype=np.int64) * interval.seconds
    close = 50_000 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    prices = np.vstack([close * 0.999, close * 1.01, close * 0.98, close])
    volume = random.integers(0, 10_000_000, count)
    if mode is Mode.CRYPTO:
        return enhance(Bars.of(time, prices / 1e9, volume / 1e4), mode, is_index=False)
    return enhance(Bars.of(time, prices, volume), mode, is_index=False)


class Stores(stores.Stores):
    """Both stores of one private directory, with short ways to fill and read them."""

    @property
    def limits(self) -> Limits:
        """The limits of a request that begins now."""
        return Limits.begin(self.settings.query_deadline_ms, self.settings.max_response_rows, time.monotonic)

    def save(
        self,
        ticker: str,
        bars: Bars,
        interval: Interval = Interval.DAILY,
        mode: Mode = Mode.VN,
        *,
        cutoff: int | None = None,
        rewrite_all: bool = False,
        now: datetime = NOW,
    ) -> SaveResult:
        cutoff = FROM_THE_BEGINNING if rewrite_all else cutoff
        return save_enhanced_csv_and_sqlite(self, SeriesKey(mode, ticker, interval), bars, now, cutoff_date=cutoff)

    def in_csv(self, ticker: str, interval: Interval = Interval.DAILY, mode: Mode = Mode.VN) -> Bars:
        return self.csv_store.read(SeriesKey(mode, ticker, interval)).bars

    def in_sqlite(self, ticker: str, interval: Interval = Interval.DAILY, mode: Mode = Mode.VN) -> Bars:
        return self.sqlite_store.read(SeriesKey(mode, ticker, interval))


@contextmanager
def without_blocks(stores: Stores, mode: Mode = Mode.VN) -> Iterator[None]:
    """The state after the migration that added them: there are none, and rows answer."""
    with stores.db_manager.transaction(mode) as connection:
        connection.execute("UPDATE ledger SET copies_digest = ''")
    yield
    with stores.db_manager.transaction(mode) as connection:
        connection.execute("UPDATE ledger SET copies_digest = digest")


MakeStores = Callable[..., Stores]
