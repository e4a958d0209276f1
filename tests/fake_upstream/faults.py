"""What the fake upstream can do wrong, and when."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Bars, Interval

Row = list[object]
"""Time (Unix seconds), open, high, low, close, volume."""


class Fault(Enum):
    # In place of an answer
    TOO_MANY_REQUESTS = auto()  # 429; with `retry_after` its header
    BANNED = auto()  # 418; with `retry_after` its header
    FORBIDDEN = auto()  # 403
    UNAUTHORIZED = auto()  # 401 in CryptoCompare's envelope
    ERROR_WITH_200 = auto()  # CryptoCompare's envelope for a rate limit
    UNAVAILABLE = auto()  # 503; with `retry_after` its header
    NOT_FOUND = auto()  # 404
    REDIRECT = auto()  # 302 to another host
    # On the way
    RESET = auto()  # the connection is torn down
    SLOW = auto()  # nothing for `seconds`, then the answer
    TRICKLE = auto()  # a byte every `seconds`
    CUT_OFF = auto()  # the connection ends in the middle of the announced length
    # In place of JSON
    HALF_JSON = auto()
    NO_JSON = auto()  # a page for people, with 200
    DEEP_JSON = auto()  # 100,000 opening brackets
    HUGE = auto()  # 40 MB
    # Around the rows
    EMPTY = auto()  # an answer without rows
    NO_SERIES = auto()  # null where the rows should be
    MISSING_SYMBOL = auto()  # VCI: other symbols only
    WRONG_SYMBOL = auto()  # VCI: another symbol first, with other prices; then the one asked for
    ENVELOPE = auto()  # VCI: {"data": [...]}
    LENGTHS = auto()  # VCI and the UDF brokers: one array shorter than the others
    # Another version of the history: of VCI and the UDF brokers, the same whichever window is asked for
    WRONG_SCALE = auto()  # a thousand times the price
    ADJUSTED = auto()  # prices of more than ten days ago divided by 1.05
    OTHER_PRICES = auto()  # each another one, by no common ratio
    OTHER_VOLUMES = auto()  # nine tenths
    HOLES = auto()  # every third bar is missing
    LAGGING = auto()  # nothing of the last five days
    # In the rows: every third row of those in the answer, unless it says otherwise
    NULLS = auto()
    NULL_TIMES = auto()
    NANS = auto()  # NaN as JavaScript would write it
    NAN_TEXTS = auto()
    INFINITIES = auto()
    BOOLEANS = auto()
    NEGATIVES = auto()
    ALL_BAD = auto()  # every row without a price
    STRINGS = auto()  # every number as text
    FRACTIONS = auto()  # every volume with a fraction of 0.7
    DUPLICATES = auto()  # each of them twice, the first with a wrong price
    DISORDER = auto()  # the newest first, then the oldest, ...
    OUTSIDE = auto()  # rows before the window, and after `now`


@dataclass(frozen=True)
class Plan:
    """A fault to come for that source and ticker (None: any): after `skip` requests, so many `times` (None: always)."""

    fault: Fault
    source: str | None = None
    ticker: str | None = None
    times: int | None = 1
    skip: int = 0
    retry_after: str | None = None
    seconds: float = 0.0

    def concerns(self, source: str, ticker: str) -> bool:
        return self.source in (None, source) and self.ticker in (None, ticker) and self.times != 0


class Plans:
    """The faults to come, in the order in which they were planned. Each request meets one at most."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []
        self._lock = threading.Lock()

    def add(self, plan: Plan) -> None:
        with self._lock:
            self._plans.append(plan)

    def clear(self) -> None:
        with self._lock:
            self._plans.clear()

    def next(self, source: str, ticker: str) -> Plan | None:
        with self._lock:
            for position, plan in enumerate(self._plans):
                if not plan.concerns(source, ticker):
                    continue
                if plan.skip:
                    self._plans[position] = replace(plan, skip=plan.skip - 1)
                    continue
                if plan.times is not None:
                    self._plans[position] = replace(plan, times=plan.times - 1)
                return plan
        return None


def spoil(rows: list[Row], fault: Fault | None) -> list[Row]:
    """The rows with that fault in them."""
    if fault in _VALUES:
        column, spoiled = _VALUES[fault]
        return [_with(row, column, spoiled(row[column])) if number % 3 == 1 else row for number, row in enumerate(rows)]
    if fault in _WHOLES:
        return _WHOLES[fault](rows)
    return rows


def version(bars: Bars, fault: Fault | None, interval: Interval, now: int) -> Bars:
    """What a source with another version of the history has in place of these bars."""
    time, prices, volume = bars.time, bars.prices, bars.volume
    number = time // interval.seconds
    match fault:
        case Fault.WRONG_SCALE:
            return Bars.of(time, prices * 1_000, volume)
        case Fault.ADJUSTED:
            return Bars.of(time, np.where(time < now - 10 * SECONDS_PER_DAY, np.round(prices / 1.05), prices), volume)
        case Fault.OTHER_PRICES:
            return Bars.of(time, np.round(prices * (1.0 + number * 37 % 101 / 500)), volume)
        case Fault.OTHER_VOLUMES:
            return Bars.of(time, prices, volume * 9 // 10)
        case Fault.HOLES:
            return bars.take(number % 3 != 1)
        case Fault.LAGGING:
            return bars.between(None, now - 5 * SECONDS_PER_DAY)
    return bars


def _with(row: Row, column: int, value: object) -> Row:
    return [*row[:column], value, *row[column + 1 :]]


def _twice(rows: list[Row]) -> list[Row]:
    doubled = []
    for number, row in enumerate(rows):
        doubled += [_with(row, 4, row[4] * 2), row] if number % 3 == 1 else [row]
    return doubled


def _from_both_ends(rows: list[Row]) -> list[Row]:
    half = len(rows) // 2
    shuffled = [row for pair in zip(reversed(rows[half:]), rows[:half], strict=False) for row in pair]
    return shuffled + rows[half : len(rows) - half]


def _with_strangers(rows: list[Row]) -> list[Row]:
    year = 365 * 86_400
    return [_with(rows[0], 0, rows[0][0] - year), *rows, _with(rows[-1], 0, rows[-1][0] + year)]


# column of a row, what becomes of its value
_VALUES: dict[Fault, tuple[int, Callable[[object], object]]] = {
    Fault.NULLS: (4, lambda _: None),
    Fault.NULL_TIMES: (0, lambda _: None),
    Fault.NANS: (2, lambda _: math.nan),
    Fault.NAN_TEXTS: (1, lambda _: "NaN"),
    Fault.INFINITIES: (5, lambda _: math.inf),
    Fault.BOOLEANS: (3, lambda _: True),
    Fault.NEGATIVES: (5, lambda _: -1.0),
}

_WHOLES: dict[Fault, Callable[[list[Row]], list[Row]]] = {
    Fault.EMPTY: lambda _: [],
    Fault.ALL_BAD: lambda rows: [_with(row, 1, None) for row in rows],
    Fault.STRINGS: lambda rows: [[str(value) for value in row] for row in rows],
    Fault.FRACTIONS: lambda rows: [_with(row, 5, row[5] + 0.7) for row in rows],
    Fault.DUPLICATES: _twice,
    Fault.DISORDER: _from_both_ends,
    Fault.OUTSIDE: _with_strangers,
}
