"""Which stored bars a query needs."""

from dataclasses import dataclass

from stockapi.calc.aggregator import base_bars_needed, bucket_bounds
from stockapi.calc.indicators import EMA_WARMUP_BARS
from stockapi.calc.requested_indicators import warmup_of
from stockapi.models.fields import WARMUP_BARS
from stockapi.models.interval import AggregatedInterval, Interval
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.selection import Selection
from stockapi.models.window import Window

_AGGREGATED_WARMUP = {Indicators.NONE: 0, Indicators.SIMPLE: WARMUP_BARS, Indicators.EXPONENTIAL: EMA_WARMUP_BARS}
_STORED_WARMUP = _AGGREGATED_WARMUP | {Indicators.SIMPLE: 0}
"""The number of bars before the first requested one that its indicators depend on, unless they are stored."""
_FIRST_SECOND = 0
"""1970-01-01: no bar is older."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """The base bars to read for a query. `aggregated`: the interval to compute from them; None when it is stored.

    `computes`: whether indicators are computed from the bars.
    """

    base: Interval
    aggregated: AggregatedInterval | None
    window: Window
    computes: bool

    @property
    def is_answer(self) -> bool:
        """Whether the bars that are read are the answer: nothing is computed from them, or cut off."""
        return self.aggregated is None and not self.computes

    def selection(self, params: QueryParameters) -> Selection:
        return Selection(params.mode, self.base, params.symbols, self.window)

    @classmethod
    def of(cls, params: QueryParameters) -> "ReadPlan":
        interval = params.interval
        computes = params.indicators is Indicators.EXPONENTIAL or bool(params.requested)
        requested = warmup_of(params.requested, interval)
        if isinstance(interval, AggregatedInterval):
            return cls(interval.base, interval, _base_window(params, interval, requested), computes)
        has_indicators = params.indicators is not Indicators.NONE
        if requested is None:
            return cls(interval, None, _whole(params, has_indicators=has_indicators), computes)
        window = Window(
            start=params.start,
            end=params.end,
            limit=params.limit,
            warmup=max(_STORED_WARMUP[params.indicators], requested),
            indicators=has_indicators,
        )
        return cls(interval, None, window, computes)


def _whole(params: QueryParameters, *, has_indicators: bool) -> Window:
    """The whole history up to the end."""
    return Window(start=_FIRST_SECOND, end=params.end, indicators=has_indicators)


def _base_window(params: QueryParameters, interval: AggregatedInterval, requested: int | None) -> Window:
    """The window of base bars: the bucket of the start complete, the warm-up of the first bucket before it, and no bar
    after the end: the answer is what was known at that time.

    `requested`: the warm-up of the requested indicators; None for the whole history.
    """
    if requested is None:
        return _whole(params, has_indicators=False)
    warmup = max(_AGGREGATED_WARMUP[params.indicators], requested)
    # One bucket more than needed, because the limit may cut the oldest bucket.
    if params.start is None:
        count = (params.limit or 0) + warmup + 1
        return Window(end=params.end, limit=base_bars_needed(count, interval), indicators=False)
    base_warmup = base_bars_needed(warmup + 1, interval) if warmup else 0
    return Window(start=first_wanted(params), end=params.end, warmup=base_warmup, indicators=False)


def first_wanted(params: QueryParameters) -> int | None:
    """The earliest time of a bar of the answer. The bucket that contains the start is answered whole."""
    start, is_empty = params.start, params.end is not None and (params.start or 0) > params.end
    if start is None or is_empty or isinstance(params.interval, Interval):
        return start
    return bucket_bounds(start, params.interval, params.mode)[0]
