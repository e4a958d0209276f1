"""A query to the data store, already parsed."""

import re
from dataclasses import dataclass
from enum import Enum

from stockapi.constants import DEFAULT_LIMIT
from stockapi.errors import QueryError
from stockapi.models.interval import AnyInterval, Interval
from stockapi.models.mode import Mode
from stockapi.models.requested import Requested

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,19}", re.ASCII)
ALLOWED_SYMBOL = "1 to 20 of A-Z 0-9 . _ -, beginning with a letter or digit"


def is_symbol(text: str) -> bool:
    """Whether `text` is a symbol in upper case, as it is stored."""
    return _SYMBOL.fullmatch(text) is not None


def parse_symbol(text: str) -> str:
    """The symbol in upper case.

    :raises QueryError: when it is not a symbol. It must not be used in a path or a query.
    """
    symbol = text.upper()
    # Upper case turns some letters outside of ASCII into ASCII (a dotless i becomes I). So the text itself is checked
    # too.
    if not text.isascii() or not is_symbol(symbol):
        raise QueryError(f"symbol {text!r} is not allowed; a symbol is {ALLOWED_SYMBOL}")
    return symbol


class Indicators(Enum):
    """Which indicators come with the bars."""

    NONE = "none"
    SIMPLE = "simple"
    EXPONENTIAL = "exponential"
    """Averages are exponential, and scores are relative to them. Changes and money are not different."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryParameters:
    """One request for bars.

    `symbols`: upper-case and unique; None means every ticker of the market.
    `start`, `end`: Unix seconds, both inclusive; None: no limit. `end` is the last second of the range. After `end`,
    `start` makes a range without bars.
    `limit`: how many bars of each symbol, the newest up to `end`. It is None exactly when `start` is given.
    `legacy`: prices and averages of VN stocks in thousands of dong. Scores and indices do not change.
    `requested`: further indicators, ascending, each once.
    `use_sqlite`: False reads the CSV files only.
    `closed_at`: only bars that are known to be closed, by what is known at this moment (Unix seconds); `end` is not
    after it, and `limit` counts these bars. None: all bars, those still forming too.
    """

    mode: Mode = Mode.VN
    interval: AnyInterval = Interval.DAILY
    symbols: tuple[str, ...] | None = None
    start: int | None = None
    end: int | None = None
    limit: int | None = DEFAULT_LIMIT
    legacy: bool = False
    indicators: Indicators = Indicators.SIMPLE
    requested: tuple[Requested, ...] = ()
    use_sqlite: bool = True
    closed_at: int | None = None

    def __post_init__(self) -> None:
        if (self.start is None) != (self.limit is not None):
            raise ValueError("limit goes with an open start, and only with one")
