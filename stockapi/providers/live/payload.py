"""Make bars from the values of an answer, with a check of every field: the answers of sources contain errors.

A row that cannot be a bar is dropped and counted; the good rows of the ticker stay. It is dropped for:

* a time, price or volume that is null, missing, true or false, not a number, NaN or infinite (also as text), negative;
* a time of 1970, for example zero, or one that is too large, for example milliseconds instead of seconds.

Numbers may be text. Volumes of shares may have fractions after a split; they are rounded half to even. A bar's time is
rounded down to the start of its interval. The time of a day becomes its date at the market, for example in Ho Chi
Minh City. Rows are sorted. If rows have the same time, the last one counts. Rows of different times in one bar are
combined, and counted. Rows outside the requested window are left out. Unusual but possible prices (0, high below low)
are bars.
"""

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stockapi.calc.moments import as_bars
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import BadPayloadError, NoDataError
from stockapi.logs import key_values
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.interval import Interval
from stockapi.models.literals import is_number
from stockapi.models.mode import Mode

log = logging.getLogger(__name__)

_FIRST_TIME: Final = 31_536_000
"""1971-01-01. No bar is earlier: a time of 1970 is a zero, or counts something else. A page would look like the oldest.
"""
_LAST_TIME: Final = 4_102_444_800
"""2100-01-01. No bar is later. A time in milliseconds is later, except in the first 48 days of 1970."""
_APART_S: Final = 14 * SECONDS_PER_DAY
"""Longer than any holiday. Bars of a stock that was suspended lie further apart; that costs one row asked for twice."""
_WHOLE_LIMIT: Final = float(1 << 63)

Keys = Sequence[str | int]


class Payload:
    """The rows that one fetch receives, page by page. `about` names source, ticker and interval in messages."""

    def __init__(self, about: str, mode: Mode, interval: Interval, *, ticks_per_second: int = 1) -> None:
        """`ticks_per_second`: the unit of the times in the answer: 1 for seconds, 1,000 for milliseconds."""
        self.about = about
        self._market = market_of(mode)
        self._interval = interval
        self._ticks_per_second = ticks_per_second
        self._rows = 0
        self._dropped: Counter[str] = Counter()

    def page(self, columns: Sequence[Sequence[object]]) -> Bars:
        """The good rows of a page, with their order and times unchanged. `bars` makes regular bars of them.

        `columns`: time, open, high, low, close, volume, all of equal length.

        :raises BadPayloadError: when the page has rows, but no good one.
        """
        values = np.array([[_number(value) for value in column] for column in columns], dtype=np.float64)
        values[0] /= self._ticks_per_second
        reasons = self._reasons(values)
        is_bad = np.zeros(values.shape[1], dtype=np.bool_)
        counts: Counter[str] = Counter()
        for reason, bad in reasons.items():
            counts[reason] += int((bad & ~is_bad).sum())
            is_bad |= bad
        if len(is_bad) and is_bad.all():
            raise BadPayloadError(f"{self.about}: none of {len(is_bad)} rows is a bar ({_listed(counts)})")
        self._rows += len(is_bad)
        self._dropped += counts
        return self._bars(values[:, ~is_bad])

    def bars(self, pages: Sequence[Bars], start: int, end: int) -> Bars:
        """All pages as one series with start <= time <= end, ascending, each time once; the last page counts.

        It logs the number of dropped rows, and the number of rows that were combined with others, if there are any.

        :raises NoDataError: when no page has a bar.
        """
        if self._dropped:
            dropped, why = self._dropped.total(), _listed(self._dropped)
            log.warning(key_values(event="rows_dropped", series=self.about, rows=dropped, of=self._rows, why=why))
        if not any(len(page) for page in pages):
            raise self.no_data()
        regular = as_bars(Bars.concatenate(pages), self._interval, self._market.mode)
        if regular.merged:
            log.warning(key_values(event="rows_merged", series=self.about, rows=regular.merged))
        return regular.bars.between(start, end)

    def no_data(self) -> NoDataError:
        return NoDataError(f"{self.about}: an answer without bars: an unknown ticker, or we are being blocked")

    def _reasons(self, values: Float) -> Mapping[str, NDArray[np.bool_]]:
        time, prices, volume = values[0], values[1:5], values[5]
        # Comparisons with NaN are false, so each of these conditions also finds values that are not numbers.
        limit = _WHOLE_LIMIT if self._market.has_whole_volume else math.inf
        return {
            "no time": ~((time >= _FIRST_TIME) & (time < _LAST_TIME)),
            "no price": ~((prices >= 0.0) & (prices < math.inf)).all(axis=0),
            "no volume": ~((volume >= 0.0) & (volume < limit)),
        }

    def _bars(self, values: Float) -> Bars:
        volume: Int | Float = values[5]
        if self._market.has_whole_volume:
            volume = np.rint(volume).astype(np.int64)
        return Bars.of(values[0].astype(np.int64), values[1:5], volume)


def oldest_of(page: Bars) -> int:
    """The time at which the next page back begins: that of the oldest row, at least one. A row that lies apart from the
    others may be wrong, and what is between would never be asked for. So the page after it begins at the second one.
    """
    time = np.sort(page.time)
    return int(time[1 if len(time) > 1 and time[1] - time[0] > _APART_S else 0])


def newest_of(page: Bars) -> int:
    """As `oldest_of`, for pages that go forward."""
    time = np.sort(page.time)
    return int(time[-2 if len(time) > 1 and time[-1] - time[-2] > _APART_S else -1])


def columns_of_rows(rows: object, keys: Keys, about: str) -> list[list[object]]:
    """The columns `keys` of a list of rows. A row is an object or an array; a missing value is None.

    :raises BadPayloadError: when `rows` is not a list.
    """
    if not isinstance(rows, list):
        raise BadPayloadError(f"{about}: {_kind(rows)} where a list of bars is due")
    return [[_item(row, key) for row in rows] for key in keys]


def parallel_columns(entry: Mapping[str, object], keys: Sequence[str], about: str) -> list[list[object]]:
    """The arrays at `keys` of an object.

    :raises BadPayloadError: when one is missing, or has another length than the first.
    """
    columns = []
    for key in keys:
        column = entry.get(key)
        if not isinstance(column, list):
            raise BadPayloadError(f"{about}: {_kind(column)} where the array {key!r} is due")
        columns.append(column)
        if len(column) != len(columns[0]):
            raise BadPayloadError(f"{about}: {len(column)} values in {key!r}, {len(columns[0])} in {keys[0]!r}")
    return columns


def _item(row: Any, key: str | int) -> object:
    try:
        return row[key]
    except (KeyError, IndexError, TypeError):
        return None


def _number(value: object) -> float:
    """The number; NaN when the value is not a finite number. A text must be a plain decimal number."""
    # Not isinstance, because it counts true and false as integers.
    if type(value) is float:
        return value
    if type(value) is int or (type(value) is str and is_number(value)):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return math.nan


def _kind(value: object) -> str:
    return {dict: "an object", list: "an array", str: "text", type(None): "nothing"}.get(type(value), "a number")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.items() if count)
