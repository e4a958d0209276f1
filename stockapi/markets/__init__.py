"""The facts of each market: its record (`market`), its calendar and its tickers."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from stockapi.errors import QueryError
from stockapi.markets.crypto import CRYPTO
from stockapi.markets.market import Market
from stockapi.markets.vn import VN
from stockapi.models.mode import Mode

__all__ = ["CRYPTO", "VN", "Market", "cache_max_age_s", "market_of", "mode_names", "parse_mode"]

TRADING_MAX_AGE_S: Final = 30
CLOSED_MAX_AGE_S: Final = 120

_MARKETS: Final[Mapping[Mode, Market]] = {market.mode: market for market in (VN, CRYPTO)}
assert list(_MARKETS) == list(Mode), "each mode has a record, in the order of the modes"


def market_of(mode: Mode) -> Market:
    """The record of a market."""
    return _MARKETS[mode]


def parse_mode(text: str, modes: Collection[Mode] = tuple(Mode)) -> Mode:
    """:raises QueryError: when the name is neither one of these markets nor an alias of one. Case does not matter."""
    for mode in modes:
        if text.lower() in (mode.value, *market_of(mode).aliases):
            return mode
    names, aliases = mode_names(modes)[: len(modes)], mode_names(modes)[len(modes) :]
    allowed = ", ".join(names) + (f" (aliases {', '.join(aliases)})" if aliases else "")
    raise QueryError(f"mode {text!r} is unknown; allowed: {allowed}")


def mode_names(modes: Collection[Mode] = tuple(Mode)) -> list[str]:
    """The names that `parse_mode` accepts: those of the markets, then their aliases."""
    return [*(mode.value for mode in modes), *(alias for mode in modes for alias in market_of(mode).aliases)]


def cache_max_age_s(now: datetime, modes: Iterable[Mode]) -> int:
    """How many seconds a client may cache an answer that is given now. It is less while one of these markets is open.

    :raises ValueError: as `Calendar.is_trading_hours`.
    """
    calendars = [market_of(mode).calendar for mode in modes]
    is_open = any(each.is_trading_hours(now) for each in calendars if each.session is not None)
    return TRADING_MAX_AGE_S if is_open else CLOSED_MAX_AGE_S
