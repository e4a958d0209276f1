"""Scores of the stocks of each sector: how far they are above or below a moving average."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from stockapi.calc.cross_section import CrossSection, or_none
from stockapi.models.fields import SCORE_DECIMALS, ma_field, score_field
from stockapi.models.timestamps import TimeStyle, written_times


@dataclass(slots=True)  # frozen ones take three times as long to make, and an answer makes 287
class Stock:
    """The last bar of one stock, with its average and its score."""

    symbol: str
    time: str | int
    close: float
    volume: int | float
    ma_value: float | None
    ma_score: float
    close_changed: float | None
    volume_changed: float | None


@dataclass(frozen=True, slots=True)
class Sector:
    """One sector. `total_stocks` and `average_score` count all its stocks with a score, not only `top_stocks`."""

    sector_name: str
    total_stocks: int
    stocks_above_threshold: int
    average_score: float
    top_stocks: list[Stock]


def scored_stocks(section: CrossSection, ma_period: int, times: TimeStyle = TimeStyle.DATE) -> dict[str, Stock]:
    """The stocks that have a score for this average, by symbol; empty when there are none.

    `times`: how the times of their bars are written.
    """
    bars = section.bars
    columns = (
        section.symbols,
        written_times(bars.time, times),
        bars.close.tolist(),
        bars.volume.tolist(),
        or_none(bars.indicator(ma_field(ma_period))),
        or_none(bars.indicator(score_field(ma_period))),
        or_none(bars.indicator("close_changed")),
        or_none(bars.indicator("volume_changed")),
    )
    stocks = (
        Stock(symbol, time, close, volume, average, score, close_changed, volume_changed)
        for symbol, time, close, volume, average, score, close_changed, volume_changed in zip(*columns, strict=True)
        if score is not None
    )
    return {stock.symbol: stock for stock in stocks}


def ma_scores_by_sector(
    stocks: Mapping[str, Stock],
    groups: Mapping[str, Sequence[str]],
    *,
    min_score: float,
    above_threshold_only: bool,
    top_per_sector: int,
) -> list[Sector]:
    """The sectors that have a stock, by falling average score, then by name; empty when there are none.

    `top_stocks`: the first `top_per_sector` stocks by falling score, then by symbol. `above_threshold_only` keeps only
    scores of at least `min_score`, and leaves out sectors without such a stock. A symbol in several groups counts in
    each.
    """
    found: list[Sector] = []
    for name, symbols in groups.items():
        members = [stocks[symbol] for symbol in sorted(symbols) if symbol in stocks]
        members.sort(key=attrgetter("ma_score"), reverse=True)
        above = [stock for stock in members if stock.ma_score >= min_score]
        shown = above if above_threshold_only else members
        if shown:
            average = math.fsum(stock.ma_score for stock in members) / len(members)
            found.append(
                Sector(name, len(members), len(above), round(average, SCORE_DECIMALS) + 0.0, shown[:top_per_sector])
            )
    return sorted(found, key=lambda sector: (-sector.average_score, sector.sector_name))
