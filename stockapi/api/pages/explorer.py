"""GET /explorer: a page with charts of the markets, from an installed package. It loads nothing from other hosts.

Its scripts know no market by name, and no interval except the day. They read both from the page, which is made from the
enums and the records of the markets.
"""

import math
from functools import lru_cache
from typing import Any, Final

from flask import Blueprint, Response, render_template_string

from stockapi.api.http.path_prefix import path_prefix
from stockapi.api.pages.assets import AssetBundle, package_file, static_file
from stockapi.api.pages.page import REMEMBERED_PAGES, page
from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.context import services
from stockapi.markets import market_of
from stockapi.markets.calendar import Calendar
from stockapi.markets.listings import STOCK, listings
from stockapi.markets.tickers import tickers_for
from stockapi.models.interval import AggregatedInterval, AnyInterval, Interval
from stockapi.models.mode import Mode

blueprint = Blueprint("explorer", __name__)

# A separate bundle: after a change of our own files, browsers need not load the library again.
LIBRARY = AssetBundle(
    "charts", {"lightweight-charts.js": package_file("litecharts", "litecharts/js/lightweight-charts.js")}
)
OWN = AssetBundle(
    "explorer",
    {path.name: path for path in static_file("explorer").iterdir() if path.suffix in {".css", ".js"}},
)
_STYLES = ("base.css", "layout.css", "parts.css")
_LATER = {"theme-early.js", "words-vi.js"}
_MODULES = sorted(path.name for path in static_file("explorer").glob("*.js") if path.name not in _LATER)
_PAGE = static_file("explorer/index.html")

_DAY_MS: Final = SECONDS_PER_DAY * 1_000
_UNITS: Final = {
    "m": ("minute", 60_000),
    "h": ("hour", 3_600_000),
    "H": ("hour", 3_600_000),
    "D": ("day", _DAY_MS),
    "W": ("week", 7 * _DAY_MS),
    "M": ("month", 28 * _DAY_MS),
}
"""For the last letter of an interval's name: the word, and its shortest length in milliseconds."""


@blueprint.get("/explorer")
def explorer() -> Response:
    """The page. Its scripts use the API of this server, and no other host."""
    return page(_html(services().settings, services().clock().year, path_prefix()))


@lru_cache(REMEMBERED_PAGES)
def _html(settings: Settings, year: int, prefix: str) -> bytes:
    """The page. Call it in a request with this prefix."""
    return render_template_string(
        _PAGE.read_text(encoding="utf-8"),
        prefix=prefix,
        url=OWN.url,
        library=LIBRARY.url("lightweight-charts.js"),
        styles=_STYLES,
        modules=_MODULES,
        facts=_facts(settings, year),
    ).encode()


def _facts(settings: Settings, year: int) -> dict[str, object]:
    intervals = map(_interval, (*Interval, *AggregatedInterval))
    return {
        "markets": [_market(mode, settings, year) for mode in settings.markets],
        "intervals": sorted(intervals, key=lambda each: each["lengthMs"]),
    }


def _market(mode: Mode, settings: Settings, year: int) -> dict[str, object]:
    """The facts of a market for the page. `markets.js` explains each of them."""
    market = market_of(mode)
    return {
        "mode": mode.value,
        "title": market.title,
        "firstSymbol": market.first_symbol,
        "unit": market.price_unit.value,
        "indices": settings.indices(mode),
        "timeZone": market.calendar.zone_name,
        "clock": market.calendar.clock_name,
        "opensMs": _opens_ms(market.calendar),
        "sessionMs": market.calendar.session_s * 1_000,
        "holidays": market.calendar.holidays(range(year - 1, year + 2)),
        "daysPerWeek": market.calendar.days_per_week,
        "exchanges": _exchanges(mode, settings),
        "isWholeVolume": market.has_whole_volume,
        "isOneSector": market.list_group is not None,
    }


def _exchanges(mode: Mode, settings: Settings) -> dict[str, object]:
    """For each exchange the rules of `calc.price_bands` and the stocks, of those that are followed, in one short text.

    JSON has no infinity, so the last limit is null.
    """
    followed = map(listings(mode).get, tickers_for(mode, settings))
    stocks = [each for each in followed if each is not None and each.type == STOCK]
    return {
        name: {
            "limitPercent": exchange.limit_percent,
            "ticks": [(None if math.isinf(limit) else limit, tick) for limit, tick in exchange.ticks],
            "symbols": " ".join(each.symbol for each in stocks if each.exchange == name),
        }
        for name, exchange in market_of(mode).exchanges.items()
    }


def _opens_ms(calendar: Calendar) -> int:
    """Milliseconds from midnight to the open."""
    if calendar.session is None:
        return 0
    opens = calendar.session.opens
    return (opens.hour * 60 + opens.minute) * 60_000


def _interval(interval: AnyInterval) -> dict[str, Any]:
    """The facts of an interval for the page: the title of `4h` is `4 hours`."""
    name = interval.value
    count, (unit, unit_ms) = int(name[:-1]), _UNITS[name[-1]]
    title = f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return {"name": name, "title": title, "isIntraday": interval.is_intraday, "lengthMs": count * unit_ms}
