"""Tables with texts of any kind as CSV: answers of analyses. `csv_answers` writes bars, which have no such texts."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from stockapi.formats.csv_numbers import shortest

_SPECIAL: Final = frozenset(',"\r\n')
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Table(NamedTuple):
    """The names of the columns, and the rows. A row has a value for each column: a text, number, truth, or None."""

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]


def csv_table(table: Table) -> bytes:
    """The header and the rows. Numbers are in their shortest form, as in `csv_answers`; None is an empty field.

    A text with a comma, a quote or the end of a line is in quotes (RFC 4180), and none is a formula.
    """
    lines = (",".join(map(_cell, row)) for row in (table.columns, *table.rows))
    return "".join(f"{line}\n" for line in lines).encode()


def no_formula(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would evaluate it."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _quoted(text: str) -> str:
    # Not by Python's csv: before 3.13 it leaves a carriage return without quotes, and readers take it for a new row.
    return '"{}"'.format(text.replace('"', '""')) if _SPECIAL.intersection(text) else text


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted(no_formula(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return shortest(value) if isinstance(value, int | float) else str(value)
