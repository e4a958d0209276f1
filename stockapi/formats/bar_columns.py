"""The columns of bars as text: the common part of the fast writers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stockapi.formats import digits
from stockapi.formats.digits import Flags, Style, Text
from stockapi.models.bars import Bars
from stockapi.models.timestamps import TimeStyle

Styles = Sequence[tuple[Sequence[str], Style]]
"""Names in the order of the fields, with the style of their numbers. A whole volume needs no style."""


class Columns(NamedTuple):
    """The texts of all columns. `present`: for each column with absent values, which rows have a value."""

    texts: list[Text]
    present: list[tuple[int, Flags]]


def columns_of(
    names: Sequence[Text], bars: Bars, times: TimeStyle, columns: Mapping[str, int], styles: Styles
) -> Columns:
    """The columns of at least one bar.

    :param names: the columns of fields that `Bars` does not have, for example the symbol.
    :param columns: the column number of each field.
    """
    texts = [*names]
    if "time" in columns:
        texts.append(digits.times(bars.time, columns["time"], times))
    if "volume" in columns and bars.has_whole_volume:
        texts.append(digits.whole(bars.volume.astype(np.int64, copy=False), columns["volume"]))
    present = list[tuple[int, Flags]]()
    for group, style in styles:
        values, where = bars.named(group), [columns[name] for name in group]
        is_absent = np.isnan(values)
        if np.logical_or.reduce(is_absent, axis=None):
            values = np.where(is_absent, 0.0, values)
            rows = np.flatnonzero(np.logical_or.reduce(is_absent, axis=1)).tolist()
            present += ((where[row], ~is_absent[row]) for row in rows)
        texts += digits.numbers(values, where, style)
    return Columns(texts, present)
