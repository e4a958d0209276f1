"""Write FlatBuffers, the binary form of the metadata of Arrow: only what `arrow_stream` needs of it.

A table is a row of fields, found through a list of offsets (the vtable) before it. Offsets lead forward, so what a
field points at is written behind it. All numbers are little-endian, and begin at a multiple of their size.
Source: the documentation of the format, "FlatBuffer Internals".
"""

import struct
from dataclasses import dataclass
from typing import TypeAlias

Target: TypeAlias = "Table | Structs | str | list[Table]"
"""What a field points at."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number inside of its table. `code`: its type, one of the codes of `struct`."""

    code: str
    value: int


@dataclass(frozen=True, slots=True)
class Structs:
    """A vector of structs of 64-bit numbers: how many structs, and all numbers of all of them."""

    count: int
    numbers: list[int]


@dataclass(frozen=True, slots=True)
class Table:
    """The fields in the order of their ids; None for a field that is left out."""

    fields: "tuple[Number | Target | None, ...]" = ()


def encode(root: Table) -> bytes:
    """The buffer with this table. Its length is not a multiple of anything."""
    out = bytearray(4)
    struct.pack_into("<I", out, 0, _table(out, root))
    return bytes(out)


def _align(out: bytearray, size: int, rest: int = 0) -> None:
    """Add zeros until the length is a multiple of `size`, and `rest` more."""
    out += bytes((rest - len(out)) % size)


def _table(out: bytearray, table: Table) -> int:
    """:returns: where the table begins."""
    offsets, end = [], 4
    for field in table.fields:
        size = struct.calcsize(field.code) if isinstance(field, Number) else 4
        end += -end % size if field is not None else 0
        offsets.append(end if field is not None else 0)
        end += size if field is not None else 0
    _align(out, 2)
    vtable = len(out)
    out += struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), end, *offsets)
    _align(out, 8)
    start = len(out)
    out += struct.pack("<i", start - vtable) + bytes(end - 4)
    for offset, field in zip(offsets, table.fields, strict=True):
        if isinstance(field, Number):
            struct.pack_into(f"<{field.code}", out, start + offset, field.value)
        elif field is not None:
            _point(out, start + offset, field)
    return start


def _point(out: bytearray, where: int, target: Target) -> None:
    """Write the target behind everything, and its distance at `where`."""
    if isinstance(target, Table):
        begin = _table(out, target)
    elif isinstance(target, Structs):
        _align(out, 8, 4)
        begin = len(out)
        out += struct.pack(f"<I{len(target.numbers)}q", target.count, *target.numbers)
    elif isinstance(target, str):
        _align(out, 4)
        begin, text = len(out), target.encode()
        out += struct.pack("<I", len(text)) + text + b"\0"
    else:
        _align(out, 4)
        begin = len(out)
        out += struct.pack("<I", len(target)) + bytes(4 * len(target))
        for number, each in enumerate(target):
            _point(out, begin + 4 + 4 * number, each)
    struct.pack_into("<I", out, where, begin - where)
