"""The key of a market."""

from enum import Enum


class Mode(Enum):
    """A market. The value is its name in requests, tables and files. `stockapi.markets.market_of` has its facts."""

    VN = "vn"
    CRYPTO = "crypto"

    # Enum's own is a function of Python; a save asked it some hundred times for keys of tables.
    __hash__ = object.__hash__
