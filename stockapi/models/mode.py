"""The two markets."""

from enum import Enum
from typing import Self

from stockapi.errors import QueryError

_ALIASES = {"vn": "vn", "stock": "vn", "stocks": "vn", "crypto": "crypto", "cryptos": "crypto"}


class Mode(Enum):
    """A market. Decides the database file, the CSV tree and how numbers are rounded."""

    VN = "vn"
    CRYPTO = "crypto"

    @classmethod
    def parse(cls, text: str) -> Self:
        """:raises QueryError: for a name that is neither a market nor an alias of one (any case)."""
        try:
            return cls(_ALIASES[text.lower()])
        except KeyError:
            raise QueryError(
                f"mode {text!r} is unknown; allowed: vn, crypto (aliases stock, stocks, cryptos)"
            ) from None

    @property
    def price_decimals(self) -> int:
        """Decimals of prices and averages: dong have two, a coin at 0.00001234 USD must survive."""
        return 2 if self is Mode.VN else 8

    @property
    def price_digits(self) -> int:
        """Significant digits that the smallest price keeps: where `price_decimals` hold fewer, it has more decimals."""
        return 1 if self is Mode.VN else 6

    @property
    def money_decimals(self) -> int:
        return 0 if self is Mode.VN else 2

    @property
    def has_whole_volume(self) -> bool:
        """VN volumes are whole shares (int64); exchanges report fractions of a coin (float64)."""
        return self is Mode.VN
