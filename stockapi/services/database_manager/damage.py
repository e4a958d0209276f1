"""What is read from a damaged page may still be a row to SQLite, with text or bytes where a number was."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stockapi.errors import SqliteError, SqliteFault

Types = Sequence[type | tuple[type, ...]]


@contextmanager
def damage_in(what: str) -> Iterator[None]:
    """For the use of values that were read.

    :raises SqliteError: as damage, for a ValueError, TypeError or OverflowError: nothing that was written gives one.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as exc:
        raise SqliteError(f"{what} is not as it was written: {exc}", SqliteFault.CORRUPT) from exc


def has_types(row: Sequence[object], types: Types) -> bool:
    return all(map(isinstance, row, types))


def of_types(row: tuple[Any, ...], types: Types, what: str) -> tuple[Any, ...]:
    """The row.

    :raises SqliteError: as damage, when a value is of another type than its own.
    """
    with damage_in(what):
        if not has_types(row, types):
            raise TypeError(repr(row))
    return row
