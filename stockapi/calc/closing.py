"""When a bar is closed: from then on nothing that is traded belongs to it."""

from stockapi.calc.aggregator import bucket_bounds
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.interval import AggregatedInterval, AnyInterval
from stockapi.models.mode import Mode


def closes_at(time: int, interval: AnyInterval, mode: Mode) -> int:
    """The moment (Unix seconds) at which the bar of this time is closed.

    That is the end of its span. Where trade ends before, it is the last close within the span: a day of a Vietnamese
    stock is closed at 15:00 in Ho Chi Minh City, its week on Friday at 15:00, its hour of 11:00 at 11:30.
    """
    if isinstance(interval, AggregatedInterval):
        start, end = bucket_bounds(time, interval, mode)
    else:
        start, end = time, time + interval.seconds
    return market_of(mode).calendar.closes(start, end)


def closed_by(bars: Bars, interval: AnyInterval, mode: Mode, moment: int) -> Bars:
    """The bars that are closed at `moment` (Unix seconds). `bars`: ascending, so those that are not are at the end."""
    count = len(bars)
    while count and closes_at(int(bars.time[count - 1]), interval, mode) > moment:
        count -= 1
    return bars.take(slice(count))
