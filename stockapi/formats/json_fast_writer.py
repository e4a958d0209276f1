"""The fast half of the JSON writer: rows made of arrays, without an object for each number."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from stockapi.formats import digits, json_format
from stockapi.formats.bar_columns import columns_of
from stockapi.formats.json_format import NAMING_FIELDS
from stockapi.formats.word_lines import Lines, Part
from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import AnyInterval

_TEXT_FIELDS = frozenset(("time", "symbol", "mode"))
_FAST_FROM_ROWS: Final = 80
"""Of 50 rows objects take 0.8 times what arrays take, of 100 rows 1.1 to 1.35 times, of 252 rows 1.6 to 2 times."""


class _Layout(NamedTuple):
    """`last`: what stands after the last field."""

    parts: tuple[Part, ...]
    columns: dict[str, int]
    numbers: tuple[str, ...]
    last: bytes


def json_rows(names: Mapping[str, str], bars: Bars, interval: AnyInterval, fields: Sequence[str]) -> Iterator[bytes]:
    """As `json_format.json_rows`, byte for byte, from the first `_FAST_FROM_ROWS` rows on in a fraction of the time."""
    for part in json_format.parts(bars):
        if len(part) < _FAST_FROM_ROWS:
            yield from json_format.json_rows(names, part, interval, fields)
        else:
            yield rows(names, part, interval, tuple(fields))


def rows(names: Mapping[str, str], bars: Bars, interval: AnyInterval, fields: tuple[str, ...]) -> bytes:
    """All of them at once: one bar at least."""
    layout = _layout(fields, bars.has_whole_volume)
    named = [digits.of_text(names[name].encode(), layout.columns[name]) for name in NAMING_FIELDS if name in fields]
    columns = columns_of(named, bars, interval, layout.columns, [(layout.numbers, digits.JSON)])
    lines = Lines(layout.parts, columns.texts, len(bars))
    for column, is_present in columns.present:
        lines.leave_out(column, is_present, with_text=True)
    lines.end(len(bars) - 1, layout.last)
    text = lines.text()
    if columns.present and fields[0] in INDICATOR_FIELDS:
        text = text.replace(b"{,", b"{")  # left over where the first field is absent
    return text


@lru_cache
def _layout(fields: tuple[str, ...], has_whole_volume: bool) -> _Layout:
    columns = {name: number for number, name in enumerate(fields)}
    others = _TEXT_FIELDS | {"volume"} if has_whole_volume else _TEXT_FIELDS
    # The text before an indicator is a part of its own, to be left out with it.
    parts, text = list[Part](), "{"
    for column, name in enumerate(fields):
        key = f'{"," if column else ""}"{name}":'
        if name in INDICATOR_FIELDS:
            parts += [text.encode(), key.encode(), column]
            text = ""
        else:
            quote = '"' if name in _TEXT_FIELDS else ""
            parts += [f"{text}{key}{quote}".encode(), column]
            text = quote
    last = f"{text}}}".encode()
    parts.append(last + b",")
    return _Layout(
        tuple(part for part in parts if part != b""),
        columns,
        tuple(name for name in fields if name not in others),
        last,
    )
