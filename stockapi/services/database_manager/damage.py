"""Find damaged values. SQLite may read a damaged page as a row that has text or bytes in the place of a number."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stockapi.errors import SqliteError, SqliteFault

Types = Sequence[type | tuple[type, ...]]


@contextmanager
def damage_in(what: str) -> Iterator[None]:
    """A context for the use of values that were read. `what` names them in the error.

    :raises SqliteError: as damage, for a ValueError, TypeError or OverflowError. A sound value raises none of these.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as exc:
        raise SqliteError(f"{what} is not as it was written: {exc}", SqliteFault.CORRUPT) from exc


def has_types(row: Sequence[object], types: Types) -> bool:
    return all(map(isinstance, row, types))


def of_types(row: tuple[Any, ...], types: Types, what: str) -> tuple[Any, ...]:
    """Return the row unchanged if its values have these types.

    :raises SqliteError: as damage, when a value has another type.
    """
    with damage_in(what):
        if not has_types(row, types):
            raise TypeError(repr(row))
    return row
