"""A market is one record. It has every fact in which markets differ.

No field has a default, so the import of a market fails when a fact is missing. Code outside of this package never
compares a market with `vn` or `crypto`. It reads the record: `market_of(mode).price_decimals`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import time
from enum import Enum

from stockapi.constants import SECONDS_PER_HOUR
from stockapi.markets.calendar import Calendar
from stockapi.models.fields import SCORE_DECIMALS, VOLUME_DECIMALS, Scale
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


class PriceUnit(Enum):
    """The units of prices. The explorer shows prices in each of them; a new one needs its form in `format.js`."""

    DONG = "dong"
    USD = "usd"

    @property
    def in_words(self) -> str:
        return {PriceUnit.DONG: "full dong", PriceUnit.USD: "US dollars"}[self]


class Which(Enum):
    """A choice among the tickers of a source: all, those of `Market.priority_tickers`, or the rest."""

    ALL = "all"
    PRIORITY = "priority"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One job of the worker: which series it updates, and how often.

    `worker`: the name in its reports. No two markets use the same name.
    `health_fields`: the fields of /health for older clients that include this worker; () for none.
    `every_s`, `every_s_when_closed`: seconds from the start of one cycle to the start of the next.
    """

    worker: str
    health_fields: tuple[str, ...]
    tickers: Which
    intervals: tuple[Interval, ...]
    every_s: int
    every_s_when_closed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingNames:
    """The names of the fields of `Settings` that belong to one market. None: the market has no such setting.

    `groups_file`: a file of groups that replaces the built-in ones.
    `index_tickers`: the symbols of indices.
    `source`: the choice among `Market.live_sources`: one, or several in order of preference.
    """

    database_path: str
    data_dir: str
    groups_file: str | None
    index_tickers: str | None
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange of a market that limits how far a price may move in a day.

    `limit_percent`: from the reference price, up and down.
    `ticks`: pairs (limit, tick), ascending, in whole units of the price: below the limit, prices are multiples of the
    tick. The last pair is for all other prices.
    """

    limit_percent: int
    ticks: tuple[tuple[float, int], ...]

    def tick(self, price: float) -> int:
        """The step between prices at this one."""
        return next(tick for limit, tick in self.ticks if price < limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Every fact of one market.

    Names. Requests may use `aliases` instead of the name of the mode. The explorer shows `title` and begins with the
    ticker `first_symbol`.
    `benchmark`: the ticker that others are compared with.
    `price_unit`, `currency`: of prices; the latter in ISO 4217.
    `instruments`: what the tickers of the market are, in the plural.
    `sample_symbols`, `sample_names`: tickers for the examples of the documentation, and their names.

    Numbers.
    `price_decimals`: for prices and averages.
    `price_digits`: how many significant digits a small price keeps. It gets more decimals when it needs them.
    `money_decimals`: for `total_money_changed`.
    `has_whole_volume`: whether volumes are int64 shares; otherwise they are float64.
    `profile_volume_decimals`: for volumes that a volume profile has distributed over prices.
    `has_legacy_prices`: whether older clients use prices in thousands, except for indices.
    `ticks`: pairs (limit, tick), ascending. A volume profile whose mean price is below the limit has levels at the
    distance `tick`. The last pair is for all other prices.
    `index_tick`: that distance for indices.

    `exchanges`: those that limit a day's prices, by the names that `markets.listings` gives; empty without limits.

    Time. `calendar` has the sessions.
    `hour_grid_origin_s`: seconds from midnight UTC to the start of a bar of several hours; a multiple of 3,600.
    `quiet_from`: the earliest time of day for the nightly verification, with its time zone.

    Bars. Doctor reports two closes in a row when their ratio is at least `odd_jump`.

    Tickers. `listings_file` is in `data/` of this project; `markets.listings` describes it.
    `sector_aliases`: other names of sectors that requests may use.
    `indices`: the symbols whose values are points, not money: indices, and futures on them. A symbol that ends in `*`
    stands for all that begin so.
    `symbol_suffixes`: what other programs write behind a symbol of this market: VCB.VN.
    `quotes`: in other programs symbols are pairs, such as BTCUSDT, and these are worth `price_unit`; () for no pairs.
    `list_group`: if the file of the setting `groups_file` is a plain list, the name of its one group; None if it is an
    object of groups.

    Sources.
    `live_sources`: their names, the default first; () when the market can only be simulated.
    `priority_tickers`: the tickers with a job of their own.
    `threads`: the jobs of the worker, by the name of their thread. The jobs of one thread run one after the other.
    """

    mode: Mode
    aliases: tuple[str, ...]
    title: str
    instruments: str
    first_symbol: str
    benchmark: str
    sample_symbols: tuple[str, ...]
    sample_names: tuple[str, ...]

    price_unit: PriceUnit
    currency: str
    price_decimals: int
    price_digits: int
    money_decimals: int
    has_whole_volume: bool
    profile_volume_decimals: int
    has_legacy_prices: bool
    ticks: tuple[tuple[float, float], ...]
    index_tick: float
    exchanges: Mapping[str, Exchange]

    calendar: Calendar
    hour_grid_origin_s: int
    quiet_from: time

    odd_jump: float

    indices: tuple[str, ...]
    symbol_suffixes: tuple[str, ...]
    quotes: tuple[str, ...]
    listings_file: str
    sector_aliases: Mapping[str, str]
    list_group: str | None
    settings: SettingNames

    live_sources: tuple[str, ...]
    priority_tickers: tuple[str, ...]
    threads: Mapping[str, tuple[Schedule, ...]]

    def __post_init__(self) -> None:
        name = self.mode.value
        if not (name.isascii() and name.isalpha() and name.islower()):
            raise ValueError(f"{name!r} is no name of a market; allowed: letters from a to z, for tables and files")
        if self.hour_grid_origin_s % SECONDS_PER_HOUR:
            raise ValueError(
                f"hour_grid_origin_s {self.hour_grid_origin_s} of {name} is not allowed; "
                "allowed: whole hours, as hours are what the buckets are made of"
            )

    def choose(self, which: Which, tickers: Iterable[str]) -> list[str]:
        """The chosen ones of `tickers`, in the same order."""
        is_priority = {Which.ALL: (True, False), Which.PRIORITY: (True,), Which.REST: (False,)}[which]
        return [ticker for ticker in tickers if (ticker in self.priority_tickers) in is_priority]

    def decimals(self, scale: Scale) -> int:
        """How many decimals a computed number of this scale has."""
        return {
            Scale.PRICE: self.price_decimals,
            Scale.SCORE: SCORE_DECIMALS,
            Scale.MONEY: self.money_decimals,
            Scale.VOLUME: 0 if self.has_whole_volume else VOLUME_DECIMALS,
        }[scale]
