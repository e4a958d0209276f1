"""The facts of a symbol in the words of the UDF protocol."""

import math
from datetime import datetime
from typing import Final

from stockapi.api.queries.udf_schemas import RESOLUTIONS
from stockapi.markets import market_of
from stockapi.markets.calendar import Calendar
from stockapi.markets.listings import Listing

TYPES: Final = dict(
    zip(("stock", "index", "futures", "crypto"), (("stock",), ("index",), ("future",), ("coin", "pegged")), strict=True)
)
"""The types of symbols there, and what they are here."""

_LEAST_DECIMALS: Final = 2
"""Of prices without a tick."""
_INTRADAY: Final = [name for name, interval in RESOLUTIONS.items() if interval.is_intraday]


def exchange_of(listing: Listing) -> str:
    """The exchange; for coins, and where it is not known, the market."""
    return listing.exchange or listing.mode.value.upper()


def full_name_of(listing: Listing) -> str:
    """The name that is unique: `HOSE:VCB`, `CRYPTO:BTC`."""
    return f"{exchange_of(listing)}:{listing.symbol}"


def type_of(listing: Listing) -> str:
    """ "" where it is not known."""
    return next((theirs for theirs, ours in TYPES.items() if listing.type in ours), "")


def symbol_info(listing: Listing, *, is_index: bool, price: float | None, now: datetime) -> dict[str, object]:
    """`price`: the newest, from which the decimals of coins follow; None when there is none."""
    market, exchange = market_of(listing.mode), exchange_of(listing)
    return {
        "name": listing.symbol,
        "ticker": full_name_of(listing),
        "full_name": full_name_of(listing),
        "description": listing.name_vi or listing.name,
        "type": type_of(listing),
        "exchange": exchange,
        "listed_exchange": exchange,
        # Older clients read these.
        "exchange-traded": exchange,
        "exchange-listed": exchange,
        "timezone": market.calendar.zone_name if market.calendar.session else "Etc/UTC",
        "session": _session(market.calendar),
        "session_holidays": _holidays(market.calendar, now),
        "format": "price",
        **_steps(listing, is_index=is_index, price=price),
        "has_intraday": True,
        "has_daily": True,
        "has_weekly_and_monthly": True,
        "intraday_multipliers": _INTRADAY,
        "supported_resolutions": list(RESOLUTIONS),
        "visible_plots_set": "ohlcv",
        "volume_precision": 0 if market.has_whole_volume else 8,
        "data_status": "streaming",
        "currency_code": listing.currency,
    }


def _session(calendar: Calendar) -> str:
    """The hours of a day: `0900-1130,1300-1500`; `24x7` for a market that never closes."""
    if calendar.session is None:
        return "24x7"
    opens, closes, lunch = calendar.session.opens, calendar.session.closes, calendar.session.lunch
    parts = [(opens, closes)] if lunch is None else [(opens, lunch[0]), (lunch[1], closes)]
    return ",".join(f"{begin:%H%M}-{end:%H%M}" for begin, end in parts)


def _holidays(calendar: Calendar, now: datetime) -> str:
    """The weekdays without a session of last year, this year and the next: `20260101,20260216`."""
    return ",".join(day.replace("-", "") for day in calendar.holidays(range(now.year - 1, now.year + 2)))


def _steps(listing: Listing, *, is_index: bool, price: float | None) -> dict[str, object]:
    """The smallest change of a price: `minmov` / `pricescale`."""
    market = market_of(listing.mode)
    if is_index:
        return _step(market.index_tick)
    rules = market.exchanges.get(listing.exchange or "")
    if rules is None:
        digits = market.price_digits - 1 - math.floor(math.log10(price)) if price else market.price_decimals
        return _step(10.0 ** -max(_LEAST_DECIMALS, digits))
    step = _step(rules.ticks[0][1])
    if len(rules.ticks) == 1:
        return step
    texts = (f"{tick} {limit:.0f}" if math.isfinite(limit) else f"{tick}" for limit, tick in rules.ticks)
    return {**step, "variable_tick_size": " ".join(texts)}


def _step(tick: float) -> dict[str, object]:
    scale = 1 if tick >= 1 else round(1 / tick)
    return {"pricescale": scale, "minmov": round(tick * scale), "minmov2": 0, "fractional": False}
