"""Bars as a stream of Arrow: the columns of a CSV answer, with types. One record batch for each series."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from stockapi.formats.arrow_stream import END, Array, Column, Kind, batch, begin, floats, same_name, whole
from stockapi.formats.csv_answers import Named
from stockapi.formats.json_format import BARE_FIELDS, NAMING_FIELDS
from stockapi.models.bars import Bars
from stockapi.models.timestamps import MS_PER_SECOND

_Positions = Mapping[str, Mapping[str, int]]
"""For each column of names: the position of each name in its dictionary."""


def arrow_stream(series: Sequence[Named], fields: Sequence[str], kinds: Mapping[str, Kind]) -> Iterator[bytes]:
    """Yield the bars of the series, in their order. The same bars give the same bytes.

    :param fields: as `csv_answers.columns` returns them.
    :param kinds: the types of `time` and `volume`, which depend on the query: see `kinds_of`.
    """
    names = {name: sorted({named[name] for named, _ in series}) for name in NAMING_FIELDS if name in fields}
    columns = [_column(name, names, kinds) for name in fields]
    positions = {name: {text: number for number, text in enumerate(texts)} for name, texts in names.items()}
    yield from begin(columns)
    for named, bars in series:
        yield from batch(len(bars), [_array(column, named, bars, positions) for column in columns])
    yield END


def kinds_of(*, has_whole_volume: bool, time: Kind = Kind.SECONDS) -> dict[str, Kind]:
    """The types of the columns that are not the same in all tables. A float64 holds whole volumes up to 2**53."""
    return {"time": time, "volume": Kind.WHOLE if has_whole_volume else Kind.FLOAT}


def _column(name: str, names: Mapping[str, Sequence[str]], kinds: Mapping[str, Kind]) -> Column:
    if name in names:
        return Column(name, tuple(names[name]))
    return Column(name, kinds.get(name, Kind.FLOAT), may_lack=name not in BARE_FIELDS)


def _array(column: Column, named: Mapping[str, str], bars: Bars, positions: _Positions) -> Array:
    if not isinstance(column.kind, Kind):
        return same_name(len(bars), positions[column.name][named[column.name]])
    values = bars.column(column.name)
    match column.kind:
        case Kind.FLOAT:
            return floats(values.astype(np.float64, copy=False), may_lack=column.may_lack)
        case Kind.MILLISECONDS:
            return whole(values.astype(np.int64, copy=False) * MS_PER_SECOND)
        case _:
            return whole(values.astype(np.int64, copy=False))
