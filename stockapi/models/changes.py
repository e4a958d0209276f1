"""From when on a client wants the changes of a market, for a copy that it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stockapi.models.pages import Place


class Mark(NamedTuple):
    """How far an answer reached in the changes of one market.

    `database`: a name that another database does not have, nor one that was restored. `seq`: the number of the newest
    change that the answer could have. `at`: its time, Unix seconds. No later change has an earlier time.
    """

    database: str
    seq: int
    at: int


Since = int | Mark
"""A time (Unix seconds), or where an earlier answer ended."""


@dataclass(frozen=True, slots=True)
class ChangesRequest:
    """What is wanted: all changes at or after `since`, of a page those after its place.

    `size`: at most so many bars; None for all. `until`: the mark of the first page; None for that page itself.
    `renamed`: the old names among the symbols that are wanted, with the new ones.
    """

    since: Since
    size: int | None = None
    after: Place | None = None
    until: Mark | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
