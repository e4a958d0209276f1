"""What a caller asks of the data store, already parsed."""

import re
from dataclasses import dataclass
from enum import Enum

from stockapi.constants import DEFAULT_LIMIT
from stockapi.errors import QueryError
from stockapi.models.interval import AnyInterval, Interval
from stockapi.models.mode import Mode

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,19}", re.ASCII)
ALLOWED_SYMBOL = "1 to 20 of A-Z 0-9 . _ -, beginning with a letter or digit"


def is_symbol(text: str) -> bool:
    """Whether `text` is a symbol in its stored, upper-case form."""
    return _SYMBOL.fullmatch(text) is not None


def parse_symbol(text: str) -> str:
    """The symbol in upper case.

    :raises QueryError: when it could not be one, and so must not get near a path or a query.
    """
    symbol = text.upper()
    # Upper-casing maps some non-ASCII letters onto ASCII ones (a dotless i becomes I): judge the text itself too.
    if not text.isascii() or not is_symbol(symbol):
        raise QueryError(f"symbol {text!r} is not allowed; a symbol is {ALLOWED_SYMBOL}")
    return symbol


class Indicators(Enum):
    """Which indicators come with the bars."""

    NONE = "none"
    SIMPLE = "simple"
    EXPONENTIAL = "exponential"
    """Averages, and the scores against them, are exponential; changes and money are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryParameters:
    """One request for bars.

    `symbols`: upper-case and unique; None means every ticker of the market.
    `start`, `end`: Unix seconds, both inclusive; None is open. `end` is the last second asked for.
    `limit`: the newest bars per symbol, counted back from `end`; None (and only then) when `start` is given.
    `legacy`: VN stock prices and averages in thousands of dong; scores and indices as they are.
    `use_sqlite`: False reads the CSV files only.
    """

    mode: Mode = Mode.VN
    interval: AnyInterval = Interval.DAILY
    symbols: tuple[str, ...] | None = None
    start: int | None = None
    end: int | None = None
    limit: int | None = DEFAULT_LIMIT
    legacy: bool = False
    indicators: Indicators = Indicators.SIMPLE
    use_sqlite: bool = True

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise QueryError("start_date is after end_date; give a start_date on or before end_date")
        if (self.start is None) != (self.limit is not None):
            raise ValueError("limit goes with an open start, and only with one")
