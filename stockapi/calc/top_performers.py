"""Rank tickers by the change of their bar: the best and the worst of a day, and of each hour of a day."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stockapi.calc.cross_section import CrossSection, or_none
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import CLOSE_CHANGED, MA_FIELDS, MONEY_FIELD, SCORE_FIELDS, VOLUME_CHANGED
from stockapi.models.interval import Interval
from stockapi.models.timestamps import TimeForm, TimeStyle, written_times

VOLUME = "volume"
VALUE = "value"
"""close x volume"""
SORT_KEYS = (CLOSE_CHANGED, VOLUME, VALUE, VOLUME_CHANGED, MONEY_FIELD, *SCORE_FIELDS)
"""What tickers can be ranked by; the first is the default."""
_INDICATORS = (CLOSE_CHANGED, VOLUME_CHANGED, *MA_FIELDS, *SCORE_FIELDS)
PERFORMER_FIELDS = ("symbol", "time", "close", VOLUME, *_INDICATORS, "sector", MONEY_FIELD)
"""The fields of each ranked ticker, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How to rank: the field (one of SORT_KEYS), the direction, and how many tickers of each end."""

    sort_by: str = SORT_KEYS[0]
    is_descending: bool = True
    limit: int = 10


def with_volume(section: CrossSection, min_volume: int) -> CrossSection:
    """The bars with a volume of at least `min_volume`."""
    return section.take(np.flatnonzero(section.bars.volume >= min_volume))


def rank(
    section: CrossSection, sectors: Mapping[str, str], ranking: Ranking, times: TimeStyle = TimeStyle.DATE
) -> dict[str, list[dict[str, object]]]:
    """The first `limit` in the requested direction, and in the opposite direction.

    Bars without the sort key are last in both. Equal bars are in alphabetical order. `sectors`: the sector of each
    symbol that has one. `times`: how the times of the bars are written.
    """
    # NaN is sorted last in both directions. The sort is stable, so equal bars keep their alphabetical order.
    key = _sort_key(section.bars, ranking.sort_by)
    falling, rising = np.argsort(-key, kind="stable"), np.argsort(key, kind="stable")
    first, other = (falling, rising) if ranking.is_descending else (rising, falling)
    return {
        "performers": _performers(section, first[: ranking.limit], sectors, times),
        "worst_performers": _performers(section, other[: ranking.limit], sectors, times),
    }


def _sort_key(bars: Bars, name: str) -> Int | Float:
    if name == VALUE:
        return bars.close * bars.volume
    return bars.column(name)


def rank_hours(
    series: Mapping[str, Bars], sectors: Mapping[str, str], ranking: Ranking, form: TimeForm = TimeForm.PLAIN
) -> list[dict[str, object]]:
    """`rank` for each hour that has a bar, ascending; empty when there is none.

    `series`: the hourly bars of one day, by symbol in alphabetical order.
    """
    times = TimeStyle.of(Interval.HOURLY, form)
    return [
        {"hour": written_times(section.bars.time[:1], times)[0], **rank(section, sectors, ranking, times)}
        for section in _by_time(series)
    ]


def _by_time(series: Mapping[str, Bars]) -> Iterator[CrossSection]:
    if not series:
        return
    bars = Bars.concatenate(list(series.values()))
    every = CrossSection([symbol for symbol, own in series.items() for _ in range(len(own))], bars)
    for time in np.unique(bars.time).tolist():
        yield every.take(np.flatnonzero(bars.time == time))


def _performers(
    section: CrossSection, where: Int, sectors: Mapping[str, str], times: TimeStyle
) -> list[dict[str, object]]:
    chosen = section.take(where)
    symbols, bars = chosen.symbols, chosen.bars
    columns: tuple[Sequence[object], ...] = (
        symbols,
        written_times(bars.time, times),
        bars.close.tolist(),
        bars.volume.tolist(),
        *(or_none(bars.indicator(name)) for name in _INDICATORS),
        [sectors.get(symbol) for symbol in symbols],
        or_none(bars.indicator(MONEY_FIELD)),
    )
    return [dict(zip(PERFORMER_FIELDS, values, strict=True)) for values in zip(*columns, strict=True)]
