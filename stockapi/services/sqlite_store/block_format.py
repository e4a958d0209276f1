"""Encode consecutive bars of a series as columns of bytes, and decode them without loss.

A block has room for `BARS_PER_BLOCK` bars from the beginning, so a new bar changes a few bytes in place. Most numbers
of a bar are decimals of few digits. A column holds them as whole hundredths or ten-thousandths, 4 bytes each, if that
loses nothing. Otherwise it holds float64. The alternatives are in docs/decisions/008-columns.md.
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
"""The whole number that stands for NaN."""
_MARK: Final = "mark"
_INT: Final = np.dtype("<i8")
_FLOAT: Final = np.dtype("<f8")
_SMALL_INT: Final = np.dtype("<i4")

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Group:
    """Columns that are encoded in the same way, as `kind`. With `units`: as multiples of 1 / `units` if possible."""

    name: str
    columns: int
    kind: np.dtype[Any]
    units: float | None = None

    def kept(self, values: NDArray[Any]) -> NDArray[Any]:
        whole = None if self.units is None else _in_units(values, self.units)
        # SQLite's rows have no -0.0 either, so both give the same bars.
        return values.astype(self.kind) + self.kind.type(0) if whole is None else whole

    def restore(self, kept: NDArray[Any], target: NDArray[Any]) -> None:
        if self.units is None or kept.dtype != _SMALL_INT:
            target[...] = kept
            return
        np.divide(kept, self.units, out=target)
        np.copyto(target, np.nan, where=kept == _ABSENT)


@dataclass(frozen=True, slots=True)
class _Format:
    """Groups that are encoded as one sequence of bytes. `forms`: every possible layout, by the mark it begins with."""

    groups: tuple[_Group, ...]
    forms: dict[bytes, np.dtype[np.void]]

    @classmethod
    def of(cls, *groups: _Group) -> Self:
        kinds = [(group.kind,) if group.units is None else (group.kind, _SMALL_INT) for group in groups]
        forms = [_form(groups, chosen) for chosen in product(*kinds)]
        return cls(groups, {_mark(form): form for form in forms})

    def encode(self, values: Columns) -> bytes:
        """Encode arrays of shape (columns, bars), one for each group."""
        kept = {group.name: group.kept(values[group.name]) for group in self.groups}
        form = _form(self.groups, [columns.dtype for columns in kept.values()])
        block = np.zeros((), form)
        block[_MARK] = np.frombuffer(_mark(form), _INT)
        for name, columns in kept.items():
            block[name][:, : columns.shape[1]] = columns
        return block.tobytes()

    def decode(self, blobs: Sequence[bytes], targets: Columns) -> None:
        """Decode into arrays of shape (columns, blobs, BARS_PER_BLOCK).

        :raises ValueError: when a blob has none of the forms.
        """
        begin = 0
        # Neighbouring blocks of the same form become one array, and NumPy scales its numbers at once.
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
    """The first 8 bytes of a block. They differ for every form, also between programs with different fields."""
    return blake2b(repr(form.descr).encode(), digest_size=_INT.itemsize).digest()


def _in_units(values: Float, units: float) -> NDArray[np.int32] | None:
    """The values as multiples of 1 / `units`; None when that loses something."""
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(values * units)
        is_absent = np.isnan(values)
        if not (is_absent | ((np.abs(whole) < -_ABSENT) & (whole / units == values))).all():
            return None
    return np.where(is_absent, _ABSENT, whole).astype(_SMALL_INT)


def _units(field: Field) -> float | None:
    if field.scale is Scale.MONEY or field.name == VOLUME_CHANGED:
        return None  # too large for 4 bytes: a bar may have a million times the volume of the bar before
    return 100.0 if field.scale is Scale.PRICE else 10_000.0


def _bare(volume: np.dtype[Any]) -> _Format:
    prices = _Group("prices", len(PRICE_FIELDS), _FLOAT, 100.0)
    return _Format.of(_Group("time", 1, _INT), _Group("volume", 1, volume), prices)


def _name(fields: Sequence[Field]) -> str:
    return " ".join(field.name for field in fields)


_BARE: Final = {True: _bare(_INT), False: _bare(_FLOAT)}
"""The key says whether volumes are whole numbers."""
_ALIKE: Final = [list(fields) for _, fields in groupby(INDICATORS, _units)]
_INDICATORS: Final = _Format.of(*(_Group(_name(fields), len(fields), _FLOAT, _units(fields[0])) for fields in _ALIKE))
_ROWS: Final = {
    _name(fields): slice(INDICATORS.index(fields[0]), INDICATORS.index(fields[-1]) + 1) for fields in _ALIKE
}
"""The rows of the array of indicators that belong to each group."""


def encode(bars: Bars) -> tuple[bytes, bytes]:
    """Encode at most `BARS_PER_BLOCK` bars: the bytes of time, prices and volume, and the bytes of the indicators."""
    bare = {"time": bars.time[np.newaxis], "volume": bars.volume[np.newaxis], "prices": bars.prices}
    indicators = {name: bars.indicators[rows] for name, rows in _ROWS.items()}
    return _BARE[bars.volume.dtype.kind == "i"].encode(bare), _INDICATORS.encode(indicators)


def decode(bare: Sequence[bytes], indicators: Sequence[bytes] | None, *, whole_volume: bool) -> Bars:
    """The bars of blocks, one block after the other. The unused room of the last block is included: the caller cuts it.

    :param indicators: the indicators of the same blocks; None gives bars without indicators.
    :raises ValueError: when a block has an unknown form.
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
