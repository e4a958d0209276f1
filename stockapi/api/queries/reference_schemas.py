"""The query parameters of /calendar, /clock, /tickers/search, /tickers/info and /tickers/snapshot."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast

from marshmallow import post_load
from werkzeug.datastructures import MultiDict

from stockapi.api.queries.parameters import (
    EVERY_MARKET,
    MarketParameter,
    Markets,
    Parameter,
    QuerySchema,
    choice,
    day,
    load,
    market,
    market_or_all,
    refusal,
    required_symbol,
    symbols,
    time_form,
    whole,
)
from stockapi.errors import QueryError
from stockapi.markets import market_of
from stockapi.models.literals import BOOLEANS
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, parse_symbol
from stockapi.models.timestamps import TimeForm
from stockapi.services.symbols import Criteria, Symbol

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2100, 12, 31)
"""Later no lunar holiday is known."""
_MOST_DAYS: Final = 3_660
_DEFAULT_DAYS: Final = 30
_MOST_FOUND: Final = 10_000


@dataclass(frozen=True, slots=True)
class CalendarQuery:
    """A parsed request for /calendar. `first`, `last`: local dates, None where not given."""

    mode: Mode
    first: date | None
    last: date | None

    def days(self, today: date) -> tuple[date, date]:
        """The first and the last date: without an end the 30 days from the start on, without a start from `today`.

        :raises QueryError: when a date is outside of the calendar, or when there are too many dates.
        """
        first = today if self.first is None else self.first
        more = timedelta(days=min(_DEFAULT_DAYS - 1, max(0, (LAST_DAY - first).days)))
        last = first + more if self.last is None else self.last
        if min(first, last) < FIRST_DAY or max(first, last) > LAST_DAY:
            raise QueryError(
                f"{first} to {last} is outside of the calendar; allowed: days from {FIRST_DAY} to {LAST_DAY}"
            )
        if (last - first).days >= _MOST_DAYS:
            raise QueryError(f"{first} to {last} has {(last - first).days + 1} days; allowed: at most {_MOST_DAYS}")
        return first, last


@dataclass(frozen=True, slots=True)
class SymbolSearch:
    """A parsed request for /tickers/search."""

    modes: Markets
    criteria: Criteria
    limit: int


@dataclass(frozen=True, slots=True)
class SnapshotQuery:
    """A parsed request for /tickers/snapshot. `symbols`, `sector`: None for all."""

    mode: Mode
    symbols: tuple[str, ...] | None
    sector: str | None
    times: TimeForm


class CalendarSchema(QuerySchema):
    start_date = day(description="first day, local date of the market; today when absent")
    end_date = day(description=f"last day, included; {_DEFAULT_DAYS} days in all when absent")
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> CalendarQuery:
        return CalendarQuery(data["mode"], _date(data["start_date"]), _date(data["end_date"]))


class ClockSchema(QuerySchema):
    mode = market()

    @post_load
    def _as_mode(self, data: dict[str, Any], **_: Any) -> Mode:
        return cast(Mode, data["mode"])


def exchange_of_market() -> MarketParameter:
    """An exchange of the enabled markets. A market without exchanges is one itself."""

    def make(markets: Markets) -> Parameter:
        names = [name for mode in markets for name in market_of(mode).exchanges or (mode.value.upper(),)]

        def parse(name: str, text: str) -> str:
            if text.upper() not in names:
                raise refusal(name, text, ", ".join(names))
            return text.upper()

        return Parameter(
            parse,
            description="only symbols of this exchange, in any case; of coins the market",
            schema={"type": "string", "enum": names},
        )

    return MarketParameter(make)


def index_symbol() -> Parameter:
    def parse(name: str, text: str) -> str:
        try:
            return parse_symbol(text)
        except QueryError:
            raise refusal(name, text, f"the symbol of an index, {ALLOWED_SYMBOL}") from None

    schema = {"type": "string", "examples": ["VN30"]}
    return Parameter(parse, description="only symbols that are counted in this index", schema=schema)


class SearchSchema(QuerySchema):
    q = Parameter(
        lambda _, text: text,
        default="",
        description="words of a symbol or a name, without accents if need be; all symbols when absent",
        schema={"type": "string", "examples": ["hoa phat"]},
    )
    mode = market_or_all()
    exchange = exchange_of_market()
    sector = Parameter(
        lambda _, text: text,
        description="only symbols of this group of /tickers/group, its name in any case",
        schema={"type": "string", "examples": ["NGAN_HANG"]},
    )
    index = index_symbol()
    active = choice(
        BOOLEANS,
        default=None,
        description="true: only symbols that still trade; false: only those that do not any more",
        schema={"type": "boolean"},
    )
    has_bars = choice(
        BOOLEANS,
        default=None,
        description="true: only symbols of which bars are stored; false: only the others",
        schema={"type": "boolean"},
    )
    limit = whole(_MOST_FOUND, default=30, description="at most so many symbols")

    @post_load
    def _as_search(self, data: dict[str, Any], **_: Any) -> SymbolSearch:
        criteria = Criteria(
            text=data["q"],
            exchange=data["exchange"],
            sector=data["sector"],
            index=data["index"],
            active=data["active"],
            has_bars=data["has_bars"],
        )
        return SymbolSearch(self.markets if data["mode"] is None else (data["mode"],), criteria, data["limit"])


class SnapshotSchema(QuerySchema):
    symbol = symbols(description="symbols, repeated or separated by commas; all when absent")
    sector = Parameter(
        lambda _, text: text,
        description="only symbols of this group of /tickers/group, its name in any case",
        schema={"type": "string", "examples": ["NGAN_HANG"]},
    )
    time = time_form()
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> SnapshotQuery:
        return SnapshotQuery(data["mode"], data["symbol"], data["sector"], data["time"])


class InfoSchema(QuerySchema):
    symbol = required_symbol(description="one symbol")
    mode = market()

    @post_load
    def _as_symbol(self, data: dict[str, Any], **_: Any) -> Symbol:
        return Symbol(data["mode"], data["symbol"])


def parse_calendar_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> CalendarQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(CalendarQuery, load(CalendarSchema, arguments, markets))


def parse_clock_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> Mode:
    """:raises QueryError: as `parameters.load`."""
    return cast(Mode, load(ClockSchema, arguments, markets))


def parse_search_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> SymbolSearch:
    """:raises QueryError: as `parameters.load`."""
    return cast(SymbolSearch, load(SearchSchema, arguments, markets))


def parse_snapshot_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> SnapshotQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(SnapshotQuery, load(SnapshotSchema, arguments, markets))


def parse_info_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> Symbol:
    """:raises QueryError: as `parameters.load`."""
    return cast(Symbol, load(InfoSchema, arguments, markets))


def _date(seconds: int | None) -> date | None:
    return None if seconds is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date()
