"""Which stored bars a query needs."""

from dataclasses import dataclass

from stockapi.calc.aggregator import base_bars_needed, bucket_bounds
from stockapi.calc.indicators import EMA_WARMUP_BARS
from stockapi.models.fields import WARMUP_BARS
from stockapi.models.interval import AggregatedInterval, Interval
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.selection import Selection
from stockapi.models.window import Window

_WARMUP_BARS = {Indicators.NONE: 0, Indicators.SIMPLE: WARMUP_BARS, Indicators.EXPONENTIAL: EMA_WARMUP_BARS}
"""The number of bars before the first requested one that its indicators depend on."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """The base bars to read for a query. `aggregated`: the interval to compute from them; None when it is stored."""

    base: Interval
    aggregated: AggregatedInterval | None
    window: Window

    @property
    def reads_more(self) -> bool:
        """Whether the bars that are read are not yet the answer: they must be aggregated, or their warm-up cut off."""
        return self.aggregated is not None or self.window.warmup > 0

    def selection(self, params: QueryParameters) -> Selection:
        return Selection(params.mode, self.base, params.symbols, self.window)

    @classmethod
    def of(cls, params: QueryParameters) -> "ReadPlan":
        interval = params.interval
        if isinstance(interval, AggregatedInterval):
            return cls(interval.base, interval, _base_window(params, interval))
        warmup = EMA_WARMUP_BARS if params.indicators is Indicators.EXPONENTIAL else 0
        window = Window(
            start=params.start,
            end=params.end,
            limit=params.limit,
            warmup=warmup,
            indicators=params.indicators is not Indicators.NONE,
        )
        return cls(interval, None, window)


def _base_window(params: QueryParameters, interval: AggregatedInterval) -> Window:
    """The window of base bars: the bucket of the start complete, the warm-up of the first bucket before it, and no bar
    after the end: the answer is what was known at that time.
    """
    warmup = _WARMUP_BARS[params.indicators]
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
