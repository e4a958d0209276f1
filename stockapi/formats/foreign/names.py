"""What the name of a file, and the names in it, tell: the ticker and the interval of the bars."""

import re
from dataclasses import dataclass
from typing import Final

from stockapi.formats.csv_numbers import shown
from stockapi.formats.foreign.layouts import OWN, Layout, Pairs
from stockapi.markets import Market
from stockapi.models.interval import Interval
from stockapi.models.query import ALLOWED_SYMBOL, is_symbol

STORED: Final = "stored are 1D, 1H and 1m, longer bars are computed from them"

_INTERVALS: Final = {
    Interval.DAILY: ("1d", "d", "d1", "daily", "day", "dly", "1440"),
    Interval.HOURLY: ("1h", "h", "h1", "hourly", "hour", "1hour", "60", "60min"),
    Interval.MINUTE: ("1m", "m1", "minute", "min", "1", "1min", "i"),
}
_INTERVAL_OF: Final = {name: interval for interval, names in _INTERVALS.items() for name in names}
_WITH_INTERVAL: Final = re.compile(
    r"(?P<ticker>.+)[-_ ](?P<interval>1D|1H|1h|1m|D1|H1|M1|[Dd]aily|[Hh]ourly|[Mm]inute|5m|15m|30m|2h|4h|1W|2W|1M)"
)
_INTERVAL_ALONE: Final = re.compile(r"\d{1,2}[DHWMdhwm]", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileName:
    """The name of a file. `directory`: the name of its directory, "" at the top of the tree.

    `stem`: its name without `.csv`, `.csv.gz` and the like.
    `archive`: the stem of the archive, if this file is the only one in it; otherwise "".
    """

    directory: str
    stem: str
    archive: str = ""

    @property
    def is_of_the_tree(self) -> bool:
        """Whether it is `<TICKER>/1D.csv`, `1H.csv`, `1m.csv` or the like."""
        return _INTERVAL_ALONE.fullmatch(self.stem) is not None and _symbol_in(self.directory) is not None

    @property
    def ticker(self) -> str | None:
        """The symbol in the name, for any layout; None when there is none."""
        if self.is_of_the_tree:
            return self.directory
        return next(filter(None, (_symbol_in(stem) for stem in self._stems)), None)

    @property
    def interval(self) -> str | None:
        """The interval in the name, as it is written there; None when there is none."""
        if _INTERVAL_ALONE.fullmatch(self.stem):
            return self.stem
        found = filter(None, (_WITH_INTERVAL.fullmatch(stem) for stem in self._stems))
        return next((each["interval"] for each in found), None)

    def read_as(self, layout: Layout) -> tuple[str | None, str | None]:
        """Ticker and interval by the naming of the layout; if that does not match, as in any file name."""
        if layout.file_name is None or self.is_of_the_tree:
            return self.ticker, self.interval
        found = next(filter(None, (layout.file_name.fullmatch(stem) for stem in self._stems)), None)
        groups = {} if found is None else found.groupdict()
        return groups.get("ticker") or self.ticker, groups.get("interval") or self.interval

    @property
    def _stems(self) -> tuple[str, ...]:
        return (self.stem, self.archive) if self.archive else (self.stem,)


def _symbol_in(stem: str) -> str | None:
    """The symbol in a stem: VCB in VCB and in VCB_1H. None when there is no symbol, or only an interval."""
    found = _WITH_INTERVAL.fullmatch(stem)
    name = stem if found is None else found["ticker"]
    return name if is_symbol(name) and not _INTERVAL_ALONE.fullmatch(name) else None


def interval_named(text: str) -> Interval:
    """The stored interval with this name in other programs. Case matters only in 1M, which is a month.

    :raises ValueError: for any other.
    """
    interval = None if text == "1M" else _INTERVAL_OF.get(text.lower())
    if interval is None:
        raise ValueError(f"interval {shown(text)} is not stored; {STORED}")
    return interval


def symbol_named(text: str, market: Market, layout: Layout, *, by_layout: bool = True) -> str:
    """The symbol that a program means by `text`: HOSE:VCB, VCB.VN and ^VNINDEX, or BTCUSDT, BTC/USDT and BTC-USD.

    :param by_layout: the text stands where the layout has its symbols, and is not the free name of a file.
    :raises ValueError: for a pair that is not priced in the unit of the market, and for a text that is no symbol.
    """
    name = text.strip().upper().rpartition(":")[2].removeprefix("^")
    name = next((name.removesuffix(end) for end in market.symbol_suffixes if name.endswith(end)), name)
    is_pair = by_layout and layout.pairs is Pairs.ALL
    if is_pair and not market.quotes:
        raise ValueError(f"{shown(text)} is a pair of coins, and {market.mode.value} has none; see --mode")
    if market.quotes and layout is not OWN:
        # Some coins end in USD themselves, so that is taken off only where a layout has its pairs.
        ends = market.quotes if by_layout and layout.pairs is not Pairs.NONE else ("USDT",)
        name = _coin_of(name, market, ends, is_pair=is_pair)
    if not (text.isascii() and is_symbol(name)):
        raise ValueError(f"ticker {shown(text)} is no symbol; a symbol is {ALLOWED_SYMBOL}")
    return name


def _coin_of(name: str, market: Market, ends: tuple[str, ...], *, is_pair: bool) -> str:
    base, separator, quote = name.replace("/", "-").replace("_", "-").partition("-")
    if separator:
        if quote in market.quotes:
            return base
        raise ValueError(
            f"{shown(name)} is priced in {quote}; prices in {market.mode.value} are {market.price_unit.value}"
        )
    found = next((end for end in ends if name.endswith(end) and name != end), None)
    if found is None and is_pair:
        raise ValueError(f"{shown(name)} is no pair with {', '.join(ends)}")
    return name.removesuffix(found or "")
