"""Filter the last bars of many tickers by a condition, and rank what is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stockapi.calc.cross_section import CrossSection, or_none
from stockapi.calc.expressions import Columns, Node, Truth, names_in, numbers, truth
from stockapi.calc.indicators import round_half_even
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.mode import Mode
from stockapi.models.requested import Requested, names_of, requested_with
from stockapi.models.timestamps import TimeStyle, written_times

VALUE: Final = "value"
"""close x volume"""
FIELDS: Final = (*PRICE_FIELDS, "volume", VALUE, *INDICATOR_FIELDS)
"""What conditions may name, besides the fields of requested indicators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What to look for: a condition, a sum to rank by, the direction, and how many tickers.

    `requested`: the indicators to compute, ascending; those that the condition and the sum name are among them.
    """

    where: Node
    sort_by: Node
    is_descending: bool
    limit: int
    requested: tuple[Requested, ...]


def columns_of(requested: Sequence[Requested]) -> tuple[str, ...]:
    """The names in `rows`, in their order."""
    return ("symbol", "time", *PRICE_FIELDS, "volume", VALUE, *INDICATOR_FIELDS, *names_of(requested), "sector")


def requested_in(*nodes: Node) -> frozenset[Requested]:
    """The requested indicators that the expressions name."""
    found = (requested_with(name) for node in nodes for name in names_in(node))
    return frozenset(each for each in found if each is not None)


def may_match(section: CrossSection, screen: Screen) -> CrossSection:
    """The tickers for which the condition is not already false. Indicators that the bars lack may have any value."""
    return section.take(np.flatnonzero(~_truth(section.bars, screen).is_false))


def matching(section: CrossSection, screen: Screen) -> CrossSection:
    """All tickers for which the condition is true, in the order of the answer.

    Those without the number to rank by are last. Equal ones are in alphabetical order.
    """
    found = section.take(np.flatnonzero(_truth(section.bars, screen).is_true))
    key = np.broadcast_to(numbers(screen.sort_by, _columns(found.bars)), len(found.symbols))
    # NaN is sorted last. The sort is stable, so equal bars keep their alphabetical order.
    return found.take(np.argsort(-key if screen.is_descending else key, kind="stable"))


def _truth(bars: Bars, screen: Screen) -> Truth:
    found = truth(screen.where, _columns(bars))
    return Truth(*(np.broadcast_to(each, len(bars)) for each in found))


def _columns(bars: Bars) -> Columns:
    def column(name: str) -> Float:
        if name == VALUE:
            return bars.close * bars.volume
        is_there = name in (*PRICE_FIELDS, "volume", *bars.names)
        return bars.column(name).astype(np.float64) if is_there else np.full(len(bars), np.nan)

    return column


def rows(section: CrossSection, sectors: Mapping[str, str], mode: Mode, times: TimeStyle) -> list[dict[str, object]]:
    """One object for each ticker, with all fields of its bar; null where absent. `sectors`: by symbol."""
    symbols, bars = section.symbols, section.bars
    value = round_half_even(bars.close * bars.volume, market_of(mode).money_decimals)
    columns: dict[str, Sequence[object]] = {
        "symbol": symbols,
        "time": written_times(bars.time, times),
        **{name: bars.column(name).tolist() for name in (*PRICE_FIELDS, "volume")},
        VALUE: value.tolist(),
        **{name: or_none(bars.indicator(name)) for name in bars.names},
        "sector": [sectors.get(symbol) for symbol in symbols],
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
