"""What is true of a market: a record each (`market`), its calendar, its tickers."""

from collections.abc import Iterable, Mapping
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

_BY_NAME: Final = {name: mode for mode, market in _MARKETS.items() for name in (mode.value, *market.aliases)}


def market_of(mode: Mode) -> Market:
    """The record of a market."""
    return _MARKETS[mode]


def parse_mode(text: str) -> Mode:
    """:raises QueryError: for a name that is neither a market nor an alias of one (any case)."""
    try:
        return _BY_NAME[text.lower()]
    except KeyError:
        names, aliases = ", ".join(mode_names()[: len(Mode)]), ", ".join(mode_names()[len(Mode) :])
        raise QueryError(f"mode {text!r} is unknown; allowed: {names} (aliases {aliases})") from None


def mode_names() -> list[str]:
    """What `parse_mode` takes: the markets, then their aliases."""
    return [*(mode.value for mode in _MARKETS), *(alias for market in _MARKETS.values() for alias in market.aliases)]


def cache_max_age_s(now: datetime, modes: Iterable[Mode]) -> int:
    """Seconds for which an answer given now may be kept: fewer while an exchange among these markets is open.

    :raises ValueError: as `Calendar.is_trading_hours`.
    """
    calendars = [market_of(mode).calendar for mode in modes]
    is_open = any(each.is_trading_hours(now) for each in calendars if each.session is not None)
    return TRADING_MAX_AGE_S if is_open else CLOSED_MAX_AGE_S
