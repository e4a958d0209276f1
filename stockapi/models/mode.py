"""The key of a market."""

from enum import Enum


class Mode(Enum):
    """A market, by the name it has in requests, tables and files. What is true of it: `stockapi.markets.market_of`."""

    VN = "vn"
    CRYPTO = "crypto"
