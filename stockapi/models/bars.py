"""The bars of one series, as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stockapi.models.fields import INDICATOR_FIELDS, PRICE_FIELDS

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_ABSENT = np.float64(np.nan).tobytes()


@lru_cache
def _rows(names: tuple[str, ...]) -> dict[str, int]:
    return {name: row for row, name in enumerate(names)}


@lru_cache
def _positions(names: tuple[str, ...], indicators: tuple[str, ...]) -> list[slice | list[int]]:
    """The positions of the rows with these names. For all rows it is a slice, which does not copy."""
    kinds = PRICE_FIELDS, ("volume",), indicators
    rows = [[row for row, name in enumerate(kind) if name in names] for kind in kinds]
    return [slice(None) if len(some) == len(kind) else some for some, kind in zip(rows, kinds, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Columns of equal length n, with one value for each bar.

    `time`: int64, Unix seconds of the start of the bar, strictly ascending.
    `prices`: float64, shape (4, n): open, high, low, close.
    `volume`: int64 (vn, whole shares) or float64 (crypto, fractions of a coin).
    `indicators`: float64, one row for each of `names`, NaN for an absent value. `indicator` returns one by name.
    `names`: INDICATOR_FIELDS, and after them those that a request has added.
    """

    time: Int
    prices: Float
    volume: Int | Float
    indicators: Float
    names: tuple[str, ...] = INDICATOR_FIELDS

    @classmethod
    def of(cls, time: Int, prices: Float, volume: Int | Float, indicators: Float | None = None) -> Self:
        """Bars made of columns. Without `indicators`, all indicators are absent."""
        if indicators is None:
            # One NaN for all: a real array of 13 columns would take longer to make than all the other columns.
            indicators = np.ndarray((len(INDICATOR_FIELDS), len(time)), np.float64, _ABSENT, strides=(0, 0))
        return cls(time, prices, volume, indicators)

    @classmethod
    def empty(cls, *, whole_volume: bool) -> Self:
        volume: Int | Float = np.empty(0, dtype=np.int64) if whole_volume else np.empty(0, dtype=np.float64)
        return cls.of(np.empty(0, dtype=np.int64), np.empty((len(PRICE_FIELDS), 0)), volume)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def open(self) -> Float:
        column: Float = self.prices[0]
        return column

    @property
    def high(self) -> Float:
        column: Float = self.prices[1]
        return column

    @property
    def low(self) -> Float:
        column: Float = self.prices[2]
        return column

    @property
    def close(self) -> Float:
        column: Float = self.prices[3]
        return column

    def indicator(self, name: str) -> Float:
        """The column of one indicator. An absent value is NaN."""
        column: Float = self.indicators[_rows(self.names)[name]]
        return column

    @property
    def has_whole_volume(self) -> bool:
        return self.volume.dtype == np.int64

    def column(self, name: str) -> Int | Float:
        """The column with this name: the time, a price, the volume or an indicator."""
        if name in ("time", "volume"):
            return self.time if name == "time" else self.volume
        return self.prices[PRICE_FIELDS.index(name)] if name in PRICE_FIELDS else self.indicator(name)

    def named(self, names: Sequence[str]) -> Float:
        """One row for each of these names: prices, volume, indicators. The names must be in the order of the fields."""
        prices, volume, indicators = _positions(tuple(names), self.names)
        return np.concatenate([self.prices[prices], self.volume[np.newaxis][volume], self.indicators[indicators]])

    def with_indicators(self, values: Mapping[str, Float]) -> Self:
        """The same bars with these indicators, by name. The other indicators do not change."""
        rows = [values.get(name, own) for name, own in zip(self.names, self.indicators, strict=True)]
        return type(self)(self.time, self.prices, self.volume, np.array(rows), self.names)

    def take(self, which: slice | Int | NDArray[np.bool_]) -> Self:
        """The bars in a slice, at ascending positions, or at which a mask is True."""
        indicators = self.indicators[:, which]
        return type(self)(self.time[which], self.prices[:, which], self.volume[which], indicators, self.names)

    def without_indicators(self) -> Self:
        """The same bars, with all indicators absent."""
        return self.of(self.time, self.prices, self.volume)

    def between(self, start: int | None, end: int | None) -> Self:
        """The bars with start <= time <= end (Unix seconds). None: no limit."""
        first = 0 if start is None else int(np.searchsorted(self.time, start, side="left"))
        last = len(self) if end is None else int(np.searchsorted(self.time, end, side="right"))
        return self.take(slice(first, last))

    def tail(self, count: int) -> Self:
        """The last `count` bars; all bars when there are fewer."""
        return self.take(slice(max(0, len(self) - count), None))

    def merge(self, newer: Self) -> Self:
        """Both series in one. If both have a bar of the same time, the bar of `newer` wins. Indicators are copied, not
        computed.
        """
        joined = self.concatenate([self, newer])
        if (joined.time[1:] > joined.time[:-1]).all():
            return joined
        # A stable sort puts the newer of two equal times last. The last of equal times is kept.
        order = np.argsort(joined.time, kind="stable")
        time = joined.time[order]
        is_last = np.append(time[1:] != time[:-1], True) if len(time) else np.empty(0, dtype=np.bool_)
        return joined.take(order[is_last])

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The parts, one after the other. The caller makes sure that the times ascend, and that all have the same
        indicators.
        """
        return cls(
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.prices for part in parts], axis=1),
            np.concatenate([part.volume for part in parts]),
            np.concatenate([part.indicators for part in parts], axis=1),
            parts[0].names,
        )

    def equals(self, other: Self) -> bool:
        """Whether all values are the same. NaN equals NaN."""
        return len(self) == len(other) and not self.differing_from(other).any()

    def differing_from(self, other: Self) -> NDArray[np.bool_]:
        """For each bar: whether a value differs from the bar at the same position of `other`. Both must have the same
        length.
        """
        same_indicators = (self.indicators == other.indicators) | (
            np.isnan(self.indicators) & np.isnan(other.indicators)
        )
        same = (
            (self.time == other.time)
            & (self.prices == other.prices).all(axis=0)
            & (self.volume == other.volume)
            & same_indicators.all(axis=0)
        )
        return np.asarray(~same)
