"""The columns of bars as text: what the fast writers of JSON and of CSV have in common."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stockapi.formats import digits
from stockapi.formats.digits import Flags, Style, Text
from stockapi.models.bars import Bars
from stockapi.models.interval import AnyInterval

Named = tuple[Mapping[str, str], Bars]
"""Bars, one at least, and the fields that are the same in all of them."""


class Columns(NamedTuple):
    """The texts of all columns, and where one is present, of those that are not everywhere."""

    texts: list[Text]
    present: list[tuple[int, Flags]]


def columns_of(
    series: Sequence[Named],
    interval: AnyInterval,
    columns: Mapping[str, int],
    styles: Sequence[tuple[Sequence[str], Style]],
) -> Columns:
    """Of all bars, one after the other. Volumes are all whole numbers, or none is.

    :param columns: the number of the column of each field.
    :param styles: names in the order of the fields, and how these numbers are written: all but a whole volume.
    """
    bars = Bars.concatenate([each for _, each in series]) if len(series) > 1 else series[0][1]
    texts = [_constant(series, name, columns[name]) for name in series[0][0] if name in columns]
    if "time" in columns:
        texts.append(digits.times(bars.time, columns["time"], interval))
    if "volume" in columns and bars.has_whole_volume:
        texts.append(digits.whole(bars.volume.astype(np.int64, copy=False), columns["volume"]))
    present = list[tuple[int, Flags]]()
    for names, style in styles:
        values, where = bars.named(names), [columns[name] for name in names]
        is_absent = np.isnan(values)
        if np.logical_or.reduce(is_absent, axis=None):
            values = np.where(is_absent, 0.0, values)
            rows = np.flatnonzero(np.logical_or.reduce(is_absent, axis=1)).tolist()
            present += ((where[row], ~is_absent[row]) for row in rows)
        texts += digits.numbers(values, where, style)
    return Columns(texts, present)


def _constant(series: Sequence[Named], name: str, column: int) -> Text:
    """A field that is the same in all bars of a series."""
    if len(series) == 1:
        return digits.of_text(series[0][0][name].encode(), column)
    text = digits.of_texts([names[name].encode() for names, _ in series], column)
    return Text(text.columns, np.repeat(text.words, [len(bars) for _, bars in series], axis=-1))
