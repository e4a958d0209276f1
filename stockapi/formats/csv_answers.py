"""The rows of CSV answers, with the shortest text of each number. `csv_format` writes files, with fixed decimals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from stockapi.formats import digits
from stockapi.formats.bar_columns import columns_of
from stockapi.formats.csv_numbers import shortest
from stockapi.formats.digits import Text
from stockapi.formats.json_format import BARS_AT_ONCE, NAMING_FIELDS, parts
from stockapi.formats.word_lines import Lines, separated_by_commas
from stockapi.models.bars import Bars
from stockapi.models.timestamps import TimeStyle, written_times

Named = tuple[Mapping[str, str], Bars]
"""The values of NAMING_FIELDS, and the bars of a series."""

_EMPTY_ROW: Final = '""'
"""A row of one empty field is quoted, as Python's csv does, because readers skip empty lines."""
_FAST_FROM_ROWS: Final = 25
"""Python's texts take as long as words for 20 rows, 1.7 times as long for 50 rows, 5 times as long for 252 rows."""


def columns(fields: Iterable[str]) -> tuple[str, ...]:
    """The fields in the order of the answer: the symbol first, the market last."""
    chosen = frozenset(fields)
    values = (name for name in fields if name not in NAMING_FIELDS)
    return (*({"symbol"} & chosen), *values, *({"mode"} & chosen))


def csv_rows(series: Iterable[Named], times: TimeStyle, fields: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the lines of all series, in their order, some thousand lines at a time.

    Numbers have no exponents. An absent indicator is an empty field. All prices and volumes must be finite.

    :param fields: as `columns` returns them.
    """
    for batch in _batches(series):
        if len(fields) > 1 and sum(len(bars) for _, bars in batch) >= _FAST_FROM_ROWS:
            yield fast_rows(batch, times, fields)
        else:
            yield from (plain_rows(names, bars, times, fields) for names, bars in batch)


def fast_rows(series: Sequence[Named], times: TimeStyle, fields: tuple[str, ...]) -> bytes:
    """The lines of series, with at least two fields. Either all series have whole volumes, or none has."""
    bars = Bars.concatenate([each for _, each in series])
    position = {name: number for number, name in enumerate(fields)}
    others = {"time", *NAMING_FIELDS} | ({"volume"} if bars.has_whole_volume else set())
    numbers = [name for name in fields if name not in others]
    named = [_name_column(series, name, position[name]) for name in NAMING_FIELDS if name in fields]
    written = columns_of(named, bars, times, position, [(numbers, digits.SHORTEST)])
    lines = Lines(separated_by_commas(len(fields)), written.texts, len(bars))
    for column, is_present in written.present:
        lines.leave_out(column, is_present, with_text=False)
    return lines.text()


def _name_column(series: Sequence[Named], name: str, column: int) -> Text:
    text = digits.of_texts([names[name].encode() for names, _ in series], column)
    return Text(text.columns, np.repeat(text.words, [len(bars) for _, bars in series], axis=-1))


def plain_rows(names: Mapping[str, str], bars: Bars, times: TimeStyle, fields: Sequence[str]) -> bytes:
    """The same lines, written number by number."""
    cells = (_texts(name, names, bars, times) for name in fields)
    return "".join(f"{','.join(row) or _EMPTY_ROW}\n" for row in zip(*cells, strict=True)).encode()


def _texts(name: str, names: Mapping[str, str], bars: Bars, times: TimeStyle) -> list[str]:
    if name in NAMING_FIELDS:
        return [names[name]] * len(bars)
    if name == "time":
        return list(map(str, written_times(bars.time, times)))
    # Only NaN is not equal to itself.
    return ["" if value != value else shortest(value) for value in bars.column(name).tolist()]


def _batches(series: Iterable[Named]) -> Iterator[list[Named]]:
    """Neighbouring series with the same kind of volume, in batches of at most BARS_AT_ONCE bars; long ones are cut."""
    batch, count = list[Named](), 0
    for names, bars in series:
        for part in parts(bars):
            is_other = bool(batch) and batch[0][1].has_whole_volume != part.has_whole_volume
            if is_other or count + len(part) > BARS_AT_ONCE:
                yield batch
                batch, count = [], 0
            batch.append((names, part))
            count += len(part)
    if batch:
        yield batch
