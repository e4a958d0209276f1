"""Build lines of text from words. All lines have the same constant parts, with columns between them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from stockapi.formats.digits import Flags, Text, Words, as_words

Part = bytes | int
"""A constant text, or the number of a column. The first and the last part are texts. Each column has a text before it.
"""


def separated_by_commas(columns: int) -> tuple[Part, ...]:
    """The parts of a line with this number of columns."""
    parts = [part for column in range(columns) for part in (b",", column)]
    return (*parts[1:], b"\n")


class _Plan(NamedTuple):
    """The positions of the words of a line. `template`: the constant words, shape (words, 1).

    For each column: `before` is the first word of the text before it, `first` its own first word, `end` the word after
    its last one.
    """

    template: Words
    before: Sequence[int]
    first: Sequence[int]
    end: Sequence[int]


@lru_cache(maxsize=512)
def _plan(parts: tuple[Part, ...], sizes: tuple[int, ...]) -> _Plan:
    """The plan of a line. `sizes`: the number of words of each column."""
    pieces = list[Words]()
    before, first, end = [0] * len(sizes), [0] * len(sizes), [0] * len(sizes)
    start = start_of_text = 0
    for part in parts:
        if isinstance(part, bytes):
            piece, start_of_text = as_words(part), start
        else:
            piece = np.zeros(sizes[part], dtype=np.uint32)
            before[part], first[part], end[part] = start_of_text, start, start + len(piece)
        pieces.append(piece)
        start += len(piece)
    return _Plan(np.concatenate(pieces)[:, np.newaxis], before, first, end)


class Lines:
    """The lines of a table, one line for each row."""

    def __init__(self, parts: tuple[Part, ...], texts: Sequence[Text], rows: int) -> None:
        sizes = {column: len(text.words) for text in texts for column in text.columns}
        self._plan = _plan(parts, tuple(sizes[column] for column in range(len(sizes))))
        # Shape (words, rows), so that a column is filled at once. It is transposed once, at the end.
        self._words = np.empty((len(self._plan.template), rows), dtype=np.uint32)
        self._words[:] = self._plan.template
        for columns, words in texts:
            for number, column in enumerate(columns):
                self._words[self._plan.first[column] : self._plan.end[column]] = words[:, number]

    def leave_out(self, column: int, is_kept: Flags, *, with_text: bool) -> None:
        """Remove the column from all rows except `is_kept`. With `with_text`, also the constant text before it."""
        first = self._plan.before[column] if with_text else self._plan.first[column]
        self._words[first : self._plan.end[column]] *= is_kept

    def end(self, row: int, text: bytes) -> None:
        """Replace the last constant text of the row. The old and the new text have at most one word."""
        self._words[-1, row] = as_words(text)[0]

    def text(self) -> bytes:
        return np.ascontiguousarray(self._words.T).tobytes().translate(None, b"\0")
