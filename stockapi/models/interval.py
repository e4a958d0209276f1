"""Bar lengths: three are stored, eight are computed on read from a stored one."""

from enum import Enum

from stockapi.errors import QueryError


class Interval(Enum):
    """A stored interval. The value is its name in files and requests."""

    DAILY = "1D"
    HOURLY = "1H"
    MINUTE = "1m"

    __hash__ = object.__hash__  # as in `Mode`

    @property
    def label(self) -> str:
        """The last part of the name of the table. Requests may use it too."""
        return _LABELS[self]

    @property
    def seconds(self) -> int:
        return _SECONDS[self]

    @property
    def base(self) -> "Interval":
        return self

    @property
    def is_intraday(self) -> bool:
        return self is not Interval.DAILY


_LABELS = {Interval.DAILY: "daily", Interval.HOURLY: "hourly", Interval.MINUTE: "minute"}
_SECONDS = {Interval.DAILY: 86_400, Interval.HOURLY: 3_600, Interval.MINUTE: 60}


class AggregatedInterval(Enum):
    """An interval computed on read from the bars of its `base`."""

    MIN_5 = "5m"
    MIN_15 = "15m"
    MIN_30 = "30m"
    HOUR_2 = "2h"
    HOUR_4 = "4h"
    WEEK_1 = "1W"
    WEEK_2 = "2W"
    MONTH_1 = "1M"

    @property
    def base(self) -> Interval:
        return _BASES[self]

    @property
    def is_intraday(self) -> bool:
        return self.base.is_intraday


_BASES = {
    AggregatedInterval.MIN_5: Interval.MINUTE,
    AggregatedInterval.MIN_15: Interval.MINUTE,
    AggregatedInterval.MIN_30: Interval.MINUTE,
    AggregatedInterval.HOUR_2: Interval.HOURLY,
    AggregatedInterval.HOUR_4: Interval.HOURLY,
    AggregatedInterval.WEEK_1: Interval.DAILY,
    AggregatedInterval.WEEK_2: Interval.DAILY,
    AggregatedInterval.MONTH_1: Interval.DAILY,
}

AnyInterval = Interval | AggregatedInterval

_ALL: tuple[AnyInterval, ...] = (*Interval, *AggregatedInterval)
ALLOWED_INTERVALS = ", ".join(interval.value for interval in _ALL)


def _key(text: str) -> str:
    # Upper and lower case differ only in m (minutes) and M (months).
    return text if text[-1:] in ("m", "M") else text.lower()


_BY_KEY: dict[str, AnyInterval] = {_key(interval.value): interval for interval in _ALL}
_BY_KEY |= {interval.label: interval for interval in Interval}


def parse_interval(text: str) -> AnyInterval:
    """:raises QueryError: when there is no such interval. The text names those that exist."""
    try:
        return _BY_KEY[_key(text)]
    except KeyError:
        raise QueryError(
            f"interval {text!r} is unknown; allowed: {ALLOWED_INTERVALS} (1m is a minute, 1M a month)"
        ) from None
