"""Pages: an answer in parts, one request for each part."""

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """The bar after which a page begins: its symbol, and its time in Unix seconds."""

    symbol: str
    time: int


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of an answer is wanted: at most `size` bars after `after`, in the order of symbol, then time.

    `begun_at`: when the first page was asked for, in Unix seconds. `after` and `begun_at` are None for the first page.
    """

    size: int
    begun_at: int | None = None
    after: Place | None = None
