"""The key of a market."""

from enum import Enum


class Mode(Enum):
    """A market. The value is its name in requests, tables and files. `stockapi.markets.market_of` has its facts."""

    VN = "vn"
    CRYPTO = "crypto"
