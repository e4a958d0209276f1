"""How some consecutive bars of a series are kept as columns of bytes, and got back to the last bit.

A block has room for `BARS_PER_BLOCK` bars from its beginning, so that one bar more changes bytes in their place. Most
numbers of a bar are decimals of few digits: a column holds whole hundredths or ten-thousandths in 4 bytes each where
those give all its numbers back, and float64 where they do not. What else was weighed: docs/decisions/007-columns.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from itertools import groupby, product
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import INDICATORS, PRICE_FIELDS, VOLUME_CHANGED, Field, Scale

BARS_PER_BLOCK: Final = 128
_ABSENT: Final = -(1 << 31)
"""Among whole numbers in place of NaN."""
_MARK: Final = "mark"
_INT: Final = np.dtype("<i8")
_FLOAT: Final = np.dtype("<f8")
_SMALL_INT: Final = np.dtype("<i4")

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Group:
    """Columns side by side that are kept alike, as `kind`; with `units`, as whole units of 1 / `units` if they can."""

    name: str
    columns: int
    kind: np.dtype[Any]
    units: float | None = None

    def kept(self, values: NDArray[Any]) -> NDArray[Any]:
        whole = None if self.units is None else _in_units(values, self.units)
        # A row of SQLite knows no -0.0, either.
        return values.astype(self.kind) + self.kind.type(0) if whole is None else whole

    def restore(self, kept: NDArray[Any], target: NDArray[Any]) -> None:
        if self.units is None or kept.dtype != _SMALL_INT:
            target[...] = kept
            return
        np.divide(kept, self.units, out=target)
        np.copyto(target, np.nan, where=kept == _ABSENT)


@dataclass(frozen=True, slots=True)
class _Format:
    """Groups that make one sequence of bytes, and every form it may have, by what it then begins with."""

    groups: tuple[_Group, ...]
    forms: dict[bytes, np.dtype[np.void]]

    @classmethod
    def of(cls, *groups: _Group) -> Self:
        kinds = [(group.kind,) if group.units is None else (group.kind, _SMALL_INT) for group in groups]
        forms = [_form(groups, chosen) for chosen in product(*kinds)]
        return cls(groups, {_mark(form): form for form in forms})

    def encode(self, values: Columns) -> bytes:
        """`values`: of shape (columns, bars)."""
        kept = {group.name: group.kept(values[group.name]) for group in self.groups}
        form = _form(self.groups, [columns.dtype for columns in kept.values()])
        block = np.zeros((), form)
        block[_MARK] = np.frombuffer(_mark(form), _INT)
        for name, columns in kept.items():
            block[name][:, : columns.shape[1]] = columns
        return block.tobytes()

    def decode(self, blobs: Sequence[bytes], targets: Columns) -> None:
        """Into arrays of shape (columns, blobs, BARS_PER_BLOCK).

        :raises ValueError: when one of the blobs has none of the forms.
        """
        begin = 0
        # Of blocks of one form in a row NumPy makes one array, and scales its numbers in one go.
        for mark, run in groupby(blobs, key=lambda blob: blob[:8]):
            if mark not in self.forms:
                raise ValueError(f"a block that begins with {mark!r} has none of the forms there are")
            blocks = np.frombuffer(b"".join(run), self.forms[mark])
            end = begin + len(blocks)
            for group in self.groups:
                group.restore(blocks[group.name].swapaxes(0, 1), targets[group.name][:, begin:end])
            begin = end


def _form(groups: Sequence[_Group], kinds: Sequence[np.dtype[Any]]) -> np.dtype[np.void]:
    columns = [(group.name, kind, (group.columns, BARS_PER_BLOCK)) for group, kind in zip(groups, kinds, strict=True)]
    return np.dtype([(_MARK, _INT), *columns])


@cache
def _mark(form: np.dtype[np.void]) -> bytes:
    """Tells a form from all others, also from those of a program with other fields."""
    return blake2b(repr(form.descr).encode(), digest_size=_INT.itemsize).digest()


def _in_units(values: Float, units: float) -> NDArray[np.int32] | None:
    """None where whole numbers do not give all values back."""
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(values * units)
        is_absent = np.isnan(values)
        if not (is_absent | ((np.abs(whole) < -_ABSENT) & (whole / units == values))).all():
            return None
    return np.where(is_absent, _ABSENT, whole).astype(_SMALL_INT)


def _units(field: Field) -> float | None:
    if field.scale is Scale.MONEY or field.name == VOLUME_CHANGED:
        return None  # a bar may have a million times the volume of the one before
    return 100.0 if field.scale is Scale.PRICE else 10_000.0


def _bare(volume: np.dtype[Any]) -> _Format:
    prices = _Group("prices", len(PRICE_FIELDS), _FLOAT, 100.0)
    return _Format.of(_Group("time", 1, _INT), _Group("volume", 1, volume), prices)


def _name(fields: Sequence[Field]) -> str:
    return " ".join(field.name for field in fields)


_BARE: Final = {True: _bare(_INT), False: _bare(_FLOAT)}
"""By whether volumes are whole."""
_ALIKE: Final = [list(fields) for _, fields in groupby(INDICATORS, _units)]
_INDICATORS: Final = _Format.of(*(_Group(_name(fields), len(fields), _FLOAT, _units(fields[0])) for fields in _ALIKE))
_ROWS: Final = {
    _name(fields): slice(INDICATORS.index(fields[0]), INDICATORS.index(fields[-1]) + 1) for fields in _ALIKE
}
"""Of the array of indicators, those of each group."""


def encode(bars: Bars) -> tuple[bytes, bytes]:
    """`BARS_PER_BLOCK` bars at most: time, prices and volume; and their indicators."""
    bare = {"time": bars.time[np.newaxis], "volume": bars.volume[np.newaxis], "prices": bars.prices}
    indicators = {name: bars.indicators[rows] for name, rows in _ROWS.items()}
    return _BARE[bars.volume.dtype.kind == "i"].encode(bare), _INDICATORS.encode(indicators)


def decode(bare: Sequence[bytes], indicators: Sequence[bytes] | None, *, whole_volume: bool) -> Bars:
    """The bars of blocks, one after the other, with what stands in the unused room of the last one.

    :param indicators: of the same blocks; without them they are absent.
    :raises ValueError: when a block has no form that there is.
    """
    room = len(bare), BARS_PER_BLOCK
    time: Int = np.empty((1, *room), _INT)
    volume: Int | Float = np.empty((1, *room), _INT) if whole_volume else np.empty((1, *room), _FLOAT)
    prices: Float = np.empty((len(PRICE_FIELDS), *room))
    _BARE[whole_volume].decode(bare, {"time": time, "volume": volume, "prices": prices})
    values: Float | None = None
    if indicators is not None:
        values = np.empty((len(INDICATORS), *room))
        _INDICATORS.decode(indicators, {name: values[rows] for name, rows in _ROWS.items()})
        values = values.reshape(len(values), -1)
    return Bars.of(time.reshape(-1), prices.reshape(len(prices), -1), volume.reshape(-1), values)
