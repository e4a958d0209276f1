"""The answers of /analysis and /tickers/coverage as tables: what is nested in JSON becomes columns or rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter, itemgetter
from typing import Any, Final

from stockapi.calc.ma_scores import Sector, Stock
from stockapi.calc.top_performers import PERFORMER_FIELDS
from stockapi.calc.volume_profile import VolumeProfile
from stockapi.formats.csv_tables import Table

Ranked = Mapping[str, Sequence[Mapping[str, object]]]
"""`performers` and `worst_performers`, as `top_performers.rank` returns them."""

_LISTS: Final = ("performers", "worst_performers")
_SECTOR_FIELDS: Final = ("sector_name", "total_stocks", "stocks_above_threshold", "average_score")
_STOCK_FIELDS: Final = tuple(field.name for field in fields(Stock))
_BIN_FIELDS: Final = ("price", "volume", "percentage", "cumulative_percentage")

PERFORMER_COLUMNS: Final = ("list", *PERFORMER_FIELDS)
HOUR_COLUMN: Final = "hour"
SECTOR_COLUMNS: Final = (*_SECTOR_FIELDS, *_STOCK_FIELDS)
ROTATION_COLUMNS: Final = (
    *("symbol", "time", "close", "volume"),
    *("rs_ratio", "rs_momentum", "raw_rs", "quadrant", "sector"),
)
PROFILE_COLUMNS: Final = ("symbol", *_BIN_FIELDS, "is_poc", "in_value_area")
COVERAGE_COLUMNS: Final = ("symbol", "first", "last", "count", "idle_days", "gaps", "missing_days")


def performers_table(day: Ranked, hours: Sequence[Mapping[str, Any]] | None) -> Table:
    """A row for each entry of both lists. With `hours`, their rows follow, and `hour` is empty in those of the day."""
    if hours is None:
        return Table(PERFORMER_COLUMNS, _performers(day))
    of_day = ((*row, None) for row in _performers(day))
    of_hours = ((*row, each[HOUR_COLUMN]) for each in hours for row in _performers(each))
    return Table((*PERFORMER_COLUMNS, HOUR_COLUMN), [*of_day, *of_hours])


def _performers(ranked: Ranked) -> Iterator[tuple[object, ...]]:
    return ((name, *(each[field] for field in PERFORMER_FIELDS)) for name in _LISTS for each in ranked[name])


def sectors_table(sectors: Sequence[Sector]) -> Table:
    """A row for each stock, with its sector. A sector of which no stock is shown has one row, without a stock."""
    of_sector, of_stock = attrgetter(*_SECTOR_FIELDS), attrgetter(*_STOCK_FIELDS)
    nobody = (None,) * len(_STOCK_FIELDS)
    rows = [
        (*of_sector(sector), *stock)
        for sector in sectors
        for stock in (list(map(of_stock, sector.top_stocks)) or [nobody])
    ]
    return Table(SECTOR_COLUMNS, rows)


def rotation_table(tickers: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each point of each ticker, ascending; without trails one for each ticker.

    `tickers`: as `rotation.rotations` returns them. Only the last point has what a point of a trail has not.
    """
    rows = list[Sequence[object]]()
    for ticker in tickers:
        earlier = ({"symbol": ticker["symbol"], **point, "sector": ticker["sector"]} for point in _earlier(ticker))
        rows += ([point.get(name) for name in ROTATION_COLUMNS] for point in (*earlier, ticker))
    return Table(ROTATION_COLUMNS, rows)


def _earlier(ticker: Mapping[str, Any]) -> Sequence[Mapping[str, object]]:
    """The points of the trail before the last, which is the ticker itself."""
    return (ticker["trails"] or ())[:-1]


def profile_table(profile: VolumeProfile) -> Table:
    """A row for each bin. The other figures of the profile are in JSON alone."""
    of_bin, poc, area = attrgetter(*_BIN_FIELDS), profile.poc.price, profile.value_area
    rows = [
        (profile.symbol, *of_bin(each), each.price == poc, _is_between(area.low, each.price, area.high))
        for each in profile.profile
    ]
    return Table(PROFILE_COLUMNS, rows)


def _is_between(low: float | None, price: float, high: float | None) -> bool:
    return low is not None and high is not None and low <= price <= high


def coverage_table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each ticker, with the number of its gaps and of the days in them. `entries`: as in JSON, by symbol."""
    of_ticker = itemgetter(*COVERAGE_COLUMNS[1:5])
    rows = [
        (
            symbol,
            *of_ticker(each),
            len(each["gaps"]),
            sum(gap["days"] for gap in each["gaps"]),
        )
        for symbol, each in entries.items()
    ]
    return Table(COVERAGE_COLUMNS, rows)
