"""What a market is: one record with every fact in which markets differ.

No field has a default, so a market that leaves a fact out cannot be imported. Nobody outside this package asks which
market it has before it: code asks the record, `market_of(mode).price_decimals`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import time
from enum import Enum

from stockapi.constants import SECONDS_PER_HOUR
from stockapi.markets.calendar import Calendar
from stockapi.models.fields import SCORE_DECIMALS, Scale
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


class Which(Enum):
    """Of the tickers a source has: all, those of `Market.priority_tickers`, or the rest."""

    ALL = "all"
    PRIORITY = "priority"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One job of the worker: which series it brings up to date, and how often.

    `worker`: the name it reports under; every market has its own names.
    `every_s`, `every_s_when_closed`: seconds from the start of one cycle to the start of the next.
    """

    worker: str
    tickers: Which
    intervals: tuple[Interval, ...]
    every_s: int
    every_s_when_closed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingNames:
    """Fields of `Settings` that belong to one market; None where there is nothing to set.

    `groups_file`: of a file in the place of `Market.groups_file`. `index_tickers`: of the symbols that are indices.
    `source`: of the choice among `Market.live_sources`.
    """

    database_path: str
    data_dir: str
    groups_file: str | None
    index_tickers: str | None
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Every fact of one market.

    Names: `aliases` are taken in requests beside the name of the mode. `title`, and `price_unit` ("dong", "usd"), are
    what the explorer shows; `first_symbol` is the ticker it begins with.

    Numbers: `price_decimals` of prices and averages, `price_digits` how many significant ones the smallest price keeps:
    where the decimals hold fewer, it has more. `money_decimals` of `total_money_changed`. `has_whole_volume`: int64
    shares, otherwise float64. `profile_volume_decimals`: of volumes that were spread over prices.
    `has_legacy_prices`: older clients know the prices in thousands, those of indices excepted.
    `ticks`: (mean prices below this, distance of the levels of a volume profile), ascending, the last for all prices;
    `index_tick` is that of indices.

    Time: `calendar` has the sessions. `hour_grid_origin_s`: seconds from midnight UTC to a start of the buckets of
    several hours, whole hours. `quiet_from`: when the nightly verification may begin, with its time zone.

    Bars: `odd_jump` is the ratio of two closes in a row from which on doctor reports them.

    Tickers: `groups_file` and `names_file` come with the project, in `data/`. `list_group`: where the file is a plain
    list, the name of the one group it makes; None where it is an object of groups.

    Sources: `live_sources` by name, the default first; () where the market can only be simulated.
    `priority_tickers`: those that get a job of their own. `threads`: jobs of the worker by the name of their thread;
    those of one thread run one after the other.
    """

    mode: Mode
    aliases: tuple[str, ...]
    title: str
    first_symbol: str

    price_unit: str
    price_decimals: int
    price_digits: int
    money_decimals: int
    has_whole_volume: bool
    profile_volume_decimals: int
    has_legacy_prices: bool
    ticks: tuple[tuple[float, float], ...]
    index_tick: float

    calendar: Calendar
    hour_grid_origin_s: int
    quiet_from: time

    odd_jump: float

    groups_file: str
    list_group: str | None
    names_file: str
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
        """Of the tickers of a source, in their order."""
        is_priority = {Which.ALL: (True, False), Which.PRIORITY: (True,), Which.REST: (False,)}[which]
        return [ticker for ticker in tickers if (ticker in self.priority_tickers) in is_priority]

    def decimals(self, scale: Scale) -> int:
        """Of stored numbers that count the same."""
        return {Scale.PRICE: self.price_decimals, Scale.SCORE: SCORE_DECIMALS, Scale.MONEY: self.money_decimals}[scale]
