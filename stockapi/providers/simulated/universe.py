"""The instruments and sessions of the simulated markets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

import numpy as np

from stockapi.models.bars import Float, Int
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode

_UNIX_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_STOCK_TICKS: Final = ((10_000, 10), (50_000, 50))
"""In dong: below the first number, the tick is the second number (Ho Chi Minh City Stock Exchange)."""
_LARGEST_STOCK_TICK: Final = 100


class Kind(Enum):
    INDEX = "index"
    STOCK = "stock"
    COIN = "coin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One ticker. Prices and volumes are computed in whole units of their last decimal.

    `price`: the price on the market's first day. `daily_volume`: shares or coins on a normal day.
    `volatility`: the daily standard deviation of its own part of the log return, without market and sector.
    `beta`: how much it follows the market. `sector`: the sector whose shocks it shares; None for none.
    """

    kind: Kind
    price: float
    daily_volume: float
    volatility: float
    beta: float
    sector: str | None = None
    price_decimals: int = 0
    volume_decimals: int = 0

    @property
    def first_price(self) -> int:
        """`price` in units of the last decimal."""
        return round(self.price * float(10**self.price_decimals))

    @property
    def lot(self) -> int:
        """All volumes are multiples of this number, in units of the last decimal."""
        return 100 if self.kind is Kind.STOCK else 1

    def tick(self, price: int) -> int:
        """The smallest step at `price`, both in units of the last decimal."""
        if self.kind is not Kind.STOCK:
            return 1
        return next((tick for below, tick in _STOCK_TICKS if price < below), _LARGEST_STOCK_TICK)

    def round_to_tick(self, prices: Float) -> Float:
        """The nearest prices on a tick, in units of the last decimal. It keeps the order: a <= b stays a <= b."""
        ticks = np.ones(prices.shape)
        if self.kind is Kind.STOCK:
            ticks[:] = _LARGEST_STOCK_TICK
            for below, tick in reversed(_STOCK_TICKS):
                ticks[prices < below] = tick
        rounded: Float = np.rint(prices / ticks) * ticks
        return rounded


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """The n minutes of a trading day.

    `offsets`: seconds from midnight UTC, int64. `variance`, `volume`: the share of each minute in the day.
    `auctions`: the open differs from the last close, and the last minute has one trade at the closing price.
    """

    offsets: Int
    variance: Float
    volume: Float
    auctions: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """One simulated market. Volatilities are daily standard deviations of log returns.

    `epoch`: the first day of the history, in days since 1970-01-01. `holidays`: month and day of holidays on weekdays;
    None when the market trades on every day. `history_days`: the length of a first download. `is_back_adjusted`: as
    `Provider.is_back_adjusted`. `growth`: the growth of every log price in a year.
    """

    mode: Mode
    epoch: int
    holidays: tuple[str, ...] | None
    history_days: Mapping[Interval, int]
    is_back_adjusted: bool
    session: Session
    volatility: float
    sector_volatility: float
    growth: float
    instruments: Mapping[str, Instrument]

    def volatility_of(self, instrument: Instrument) -> float:
        """The standard deviation of the instrument's log return on a normal day."""
        sector = self.sector_volatility if instrument.sector else 0.0
        return math.sqrt((instrument.beta * self.volatility) ** 2 + sector**2 + instrument.volatility**2)

    def trading_days(self, last_day: int) -> Int:
        """The trading days from the epoch to `last_day` (inclusive), in days since 1970-01-01, ascending."""
        days = np.arange(self.epoch, last_day + 1, dtype=np.int64)
        if self.holidays is None:
            return days
        dates = days.astype("datetime64[D]")
        month_days = [text[5:] for text in np.datetime_as_string(dates, unit="D").tolist()]
        open_days = np.is_busday(dates) & ~np.isin(month_days, self.holidays)
        return days[open_days]


def _day(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - _UNIX_EPOCH_ORDINAL


def _shares(weights: Float) -> Float:
    # A running sum has the same order on every machine. np.sum may group its terms by the width of the vector unit.
    shares: Float = weights / weights.cumsum()[-1]
    return shares


def _vn_session() -> Session:
    """02:15-04:29 and 06:00-07:29 UTC, then the closing auction at 07:45. The exchange reports these minutes."""
    continuous = np.concatenate([np.arange(135, 270), np.arange(360, 450)])
    smile = np.linspace(-1.0, 1.0, len(continuous)) ** 2
    variance, volume = np.append(0.6 + 1.2 * smile, 4.0), np.append(0.6 + 0.8 * smile, 12.0)
    # The first minute has the trades of the opening auction.
    volume[0] *= 3.0
    return Session(np.append(continuous, 465).astype(np.int64) * 60, _shares(variance), _shares(volume), auctions=True)


def _crypto_session() -> Session:
    """The whole day. The most is traded around 15:00 UTC, when Europe and America are awake."""
    minutes = np.arange(1440, dtype=np.int64)
    from_busiest = np.abs((minutes - 900 + 720) % 1440 - 720) / 720.0
    rhythm = 0.6 + (1.0 - from_busiest) ** 2
    return Session(minutes * 60, _shares(0.4 + rhythm), _shares(rhythm), auctions=False)


_INDICES: Final = {
    "VNINDEX": Instrument(
        kind=Kind.INDEX, price=545.0, price_decimals=2, daily_volume=6.1e8, volatility=0.001, beta=1.0
    ),
    "VN30": Instrument(kind=Kind.INDEX, price=576.0, price_decimals=2, daily_volume=2.6e8, volatility=0.002, beta=1.05),
}

# ticker, price in dong, million shares a day, own volatility, beta
_STOCKS: Final[Mapping[str, tuple[tuple[str, float, float, float, float], ...]]] = {
    "banking": (
        ("VCB", 44_000, 2.4, 0.010, 0.9),
        ("BID", 26_000, 2.9, 0.013, 1.1),
        ("CTG", 21_500, 6.5, 0.012, 1.1),
        ("TCB", 24_000, 9.5, 0.012, 1.1),
        ("MBB", 15_200, 14.0, 0.012, 1.0),
        ("ACB", 16_400, 8.2, 0.010, 0.9),
        ("VPB", 17_300, 16.0, 0.014, 1.1),
        ("HDB", 14_800, 8.8, 0.012, 0.9),
        ("STB", 18_500, 12.5, 0.016, 1.2),
        ("TPB", 13_600, 9.1, 0.013, 1.0),
        ("SHB", 9_400, 21.0, 0.018, 1.2),
        ("VIB", 15_900, 6.0, 0.012, 1.0),
    ),
    "real_estate": (
        ("VIC", 47_500, 2.8, 0.012, 1.0),
        ("VHM", 51_000, 5.1, 0.013, 1.1),
        ("VRE", 27_500, 6.4, 0.013, 1.0),
        ("NVL", 32_000, 7.5, 0.017, 1.1),
        ("KDH", 21_000, 2.6, 0.013, 1.0),
        ("BCM", 38_000, 0.35, 0.013, 0.8),
    ),
    "industrials": (
        ("HPG", 17_800, 22.0, 0.014, 1.2),
        ("GVR", 19_500, 3.4, 0.017, 1.2),
        ("DGC", 31_000, 1.9, 0.018, 1.1),
        ("VJC", 62_000, 0.8, 0.012, 0.7),
    ),
    "energy": (
        ("GAS", 58_000, 0.9, 0.012, 0.9),
        ("PLX", 36_000, 1.3, 0.013, 0.9),
        ("POW", 10_300, 9.8, 0.014, 1.0),
    ),
    "consumer": (
        ("VNM", 72_000, 2.5, 0.009, 0.7),
        ("MSN", 56_000, 3.6, 0.013, 1.0),
        ("MWG", 43_000, 5.2, 0.014, 1.1),
        ("SAB", 96_000, 0.3, 0.011, 0.6),
        ("PNJ", 47_000, 0.9, 0.012, 0.8),
        ("HAG", 7_200, 11.0, 0.018, 1.1),
        ("DHG", 82_000, 0.03, 0.009, 0.3),
    ),
    "technology": (("FPT", 38_500, 4.1, 0.011, 0.9),),
    "securities": (("SSI", 15_700, 14.5, 0.014, 1.4),),
}

# ticker, price in dollars, price decimals, coins a day, volume decimals, own volatility, beta
_COINS: Final = (
    ("BTC", 21_400.0, 2, 26_000.0, 5, 0.009, 0.9),
    ("ETH", 1_280.0, 2, 310_000.0, 4, 0.016, 1.1),
    ("XRP", 0.5120, 4, 290_000_000.0, 1, 0.026, 1.0),
    ("BNB", 215.0, 2, 620_000.0, 3, 0.020, 0.9),
    ("SOL", 48.0, 2, 4_100_000.0, 3, 0.026, 1.3),
    ("ADA", 0.4100, 4, 150_000_000.0, 1, 0.025, 1.2),
    ("DOGE", 0.08200, 5, 1_300_000_000.0, 1, 0.028, 1.2),
    ("LTC", 84.0, 2, 720_000.0, 3, 0.020, 1.1),
    ("SHIB", 0.00001234, 8, 9.0e11, 1, 0.028, 1.2),
    ("PEPE", 0.00000890, 8, 7.0e12, 1, 0.030, 1.3),
)


def _vn_instruments() -> dict[str, Instrument]:
    rows = [(sector, row) for sector, sector_rows in _STOCKS.items() for row in sector_rows]
    return _INDICES | {
        ticker: Instrument(
            kind=Kind.STOCK,
            sector=sector,
            price=price,
            daily_volume=millions * 1e6,
            volatility=volatility,
            beta=beta,
        )
        for sector, (ticker, price, millions, volatility, beta) in rows
    }


def _crypto_instruments() -> dict[str, Instrument]:
    return {
        ticker: Instrument(
            kind=Kind.COIN,
            price=price,
            price_decimals=price_decimals,
            daily_volume=volume,
            volume_decimals=volume_decimals,
            volatility=volatility,
            beta=beta,
        )
        for ticker, price, price_decimals, volume, volume_decimals, volatility, beta in _COINS
    }


# A first download is short, for first steps: all markets and intervals within half a minute.
_VN: Final = Market(
    mode=Mode.VN,
    epoch=_day(2015, 1, 5),
    holidays=(
        "01-01",
        "04-30",
        "05-01",
        "09-02",
    ),  # the date of the lunar new year changes, so it is a trading day here
    history_days={Interval.DAILY: 5 * 366, Interval.HOURLY: 183, Interval.MINUTE: 10},
    is_back_adjusted=True,
    session=_vn_session(),
    volatility=0.0095,
    sector_volatility=0.005,
    growth=0.07,
    instruments=_vn_instruments(),
)
_CRYPTO: Final = Market(
    mode=Mode.CRYPTO,
    epoch=_day(2017, 1, 1),
    holidays=None,
    history_days={Interval.DAILY: 3 * 366, Interval.HOURLY: 92, Interval.MINUTE: 5},
    is_back_adjusted=False,
    session=_crypto_session(),
    volatility=0.025,
    sector_volatility=0.0,
    growth=0.10,
    instruments=_crypto_instruments(),
)

MARKETS: Final[Mapping[Mode, Market]] = {market.mode: market for market in (_VN, _CRYPTO)}
