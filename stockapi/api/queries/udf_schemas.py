"""The query parameters of the routes under /udf."""

import math
import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from marshmallow import post_load
from werkzeug.datastructures import MultiDict

from stockapi.api.queries.parameters import (
    EVERY_MARKET,
    ListParameter,
    Markets,
    Parameter,
    QuerySchema,
    load,
    refusal,
    whole,
)
from stockapi.api.queries.schemas import MAX_LIMIT
from stockapi.calc.aggregator import bucket_bounds
from stockapi.errors import QueryError
from stockapi.models.interval import AggregatedInterval, AnyInterval, Interval, parse_interval
from stockapi.models.literals import is_number
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, Indicators, QueryParameters, parse_symbol
from stockapi.models.timestamps import FIRST_SECOND, LAST_SECOND

RESOLUTIONS: Final[dict[str, AnyInterval]] = {
    "1": Interval.MINUTE,
    "5": AggregatedInterval.MIN_5,
    "15": AggregatedInterval.MIN_15,
    "30": AggregatedInterval.MIN_30,
    "60": Interval.HOURLY,
    "120": AggregatedInterval.HOUR_2,
    "240": AggregatedInterval.HOUR_4,
    "1D": Interval.DAILY,
    "1W": AggregatedInterval.WEEK_1,
    "1M": AggregatedInterval.MONTH_1,
}
"""The resolutions in /udf/config. Numbers are minutes."""
_ALIASES: Final = {"D": "1D", "W": "1W", "M": "1M", "H": "60", "1440": "1D", "10080": "1W"}
"""What clients write instead. The names of intervals are taken, too."""

_NAME: Final = re.compile(r"(?:([A-Za-z0-9_-]{1,20}):)?([^:]*)", re.ASCII)
_ALLOWED_NAME: Final = f"a symbol, or EXCHANGE:SYMBOL; a symbol is {ALLOWED_SYMBOL}"
_NAME_PATTERN: Final = "^([A-Za-z0-9_-]{1,20}:)?[A-Za-z0-9][A-Za-z0-9._-]{0,19}$"


class UdfName(NamedTuple):
    """A symbol as a client names it. `text`: as it was given. `prefix`: an exchange or a market, in upper case; ""
    without one. `symbol`: in upper case.
    """

    text: str
    prefix: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """A parsed request for /udf/history. Bars with start <= time < stop (Unix seconds), or the last `count` with
    time < stop. `start` is None exactly when `count` is given. `stop`: None for all bars up to now.
    """

    name: UdfName
    interval: AnyInterval
    start: int | None
    stop: int | None
    count: int | None

    def bars_of(self, mode: Mode, symbol: str, now: int) -> QueryParameters:
        """The query for the bars. `now`: Unix seconds; later bars are not answered.

        A bar of a longer interval that begins before `stop` is answered whole, and one that begins before `start` is
        not: clients put answers together by the times of bars.
        """
        last = now if self.stop is None else min(self.stop - 1, now)
        start = self.start
        if isinstance(self.interval, AggregatedInterval):
            if start is not None:
                first, following = bucket_bounds(start, self.interval, mode)
                start = start if start == first else following
            last = min(bucket_bounds(last, self.interval, mode)[1] - 1, now)
        return QueryParameters(
            mode=mode,
            interval=self.interval,
            symbols=(symbol,),
            start=start,
            end=last,
            limit=self.count,
            indicators=Indicators.NONE,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """A parsed request for /udf/search. `type`, `exchange`: in any case; "" for all."""

    text: str
    type: str
    exchange: str
    limit: int


def udf_name(name: str, text: str) -> UdfName:
    """:raises QueryError: when it is no symbol, with or without an exchange."""
    parts = _NAME.fullmatch(text)
    try:
        if parts:
            return UdfName(text, (parts[1] or "").upper(), parse_symbol(parts[2]))
    except QueryError:
        pass
    raise refusal(name, text, _ALLOWED_NAME)


class NamesParameter(ListParameter):
    """Symbols in the order given, each once."""

    def _parsed(self, name: str, texts: list[str]) -> tuple[UdfName, ...]:
        return tuple(self._items(name, texts))


def _symbol(description: str) -> Parameter:
    return Parameter(
        udf_name,
        description=description,
        schema={"type": "string", "pattern": _NAME_PATTERN},
        missing=f"symbol is missing; allowed: {_ALLOWED_NAME}",
    )


def _resolution() -> Parameter:
    allowed = f"{', '.join(RESOLUTIONS)}; numbers are minutes, M is a month"

    def parse(name: str, text: str) -> AnyInterval:
        # Lower case has a meaning in "1m" alone.
        upper = text if text.endswith("m") else text.upper()
        known = RESOLUTIONS.get(_ALIASES.get(upper, upper))
        if known is not None:
            return known
        try:
            found = parse_interval(text)
        except QueryError:
            raise refusal(name, text, allowed) from None
        if found not in RESOLUTIONS.values():
            raise refusal(name, text, allowed)
        return found

    return Parameter(
        parse,
        default=Interval.DAILY,
        description="length of a bar; the names of intervals of /tickers, and D W M, are taken too",
        schema={
            "type": "string",
            "enum": [*RESOLUTIONS, "D", "W", "M"],
            "x-enum-varnames": [*(each.name for each in RESOLUTIONS.values()), "D", "W", "M"],
            "default": "1D",
        },
    )


def _unix_time(description: str) -> Parameter:
    """Unix seconds, rounded up: bars have times in whole seconds. Times outside the years 1 to 9999 are the first or
    the last second of these.
    """

    def parse(name: str, text: str) -> int:
        if not is_number(text) or text.startswith("+"):
            raise refusal(name, text, "a time in Unix seconds, such as 1704067200")
        return math.ceil(min(max(float(text), FIRST_SECOND), LAST_SECOND))

    return Parameter(parse, description=description, schema={"type": "number", "examples": [1704067200]})


class HistorySchema(QuerySchema):
    class Meta(QuerySchema.Meta):
        include = {"from": _unix_time("first moment, in Unix seconds; ignored with countback")}  # noqa: RUF012

    symbol = _symbol("one symbol, with or without its exchange")
    resolution = _resolution()
    to = _unix_time("end, not included, in Unix seconds; now when absent")
    countback = whole(MAX_LIMIT, default=0, description="the last so many bars before the end; 0 is as absent")

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> HistoryQuery:
        """:raises QueryError: when neither from nor countback is given."""
        count = data["countback"] or None
        if count is None and data["from"] is None:
            raise QueryError("from is missing; allowed: from, or countback, the last so many bars")
        return HistoryQuery(
            name=data["symbol"],
            interval=data["resolution"],
            start=data["from"] if count is None else None,
            stop=data["to"],
            count=count,
        )


class SymbolsSchema(QuerySchema):
    symbol = _symbol("one symbol, with or without its exchange")

    @post_load
    def _as_name(self, data: dict[str, Any], **_: Any) -> UdfName:
        return cast(UdfName, data["symbol"])


class QuotesSchema(QuerySchema):
    symbols = NamesParameter(
        udf_name,
        description="symbols, repeated or separated by commas, with or without their exchanges",
        schema={"type": "array", "items": {"type": "string", "pattern": _NAME_PATTERN}},
        missing=f"symbols is missing; allowed: symbols separated by commas, each {_ALLOWED_NAME}",
    )

    @post_load
    def _as_names(self, data: dict[str, Any], **_: Any) -> tuple[UdfName, ...]:
        return cast(tuple[UdfName, ...], data["symbols"])


def parse_history_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> HistoryQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(HistoryQuery, load(HistorySchema, arguments, markets))


def parse_symbols_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> UdfName:
    """:raises QueryError: as `parameters.load`."""
    return cast(UdfName, load(SymbolsSchema, arguments, markets))


def parse_quotes_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> tuple[UdfName, ...]:
    """:raises QueryError: as `parameters.load`."""
    return cast(tuple[UdfName, ...], load(QuotesSchema, arguments, markets))


def _text(description: str) -> Parameter:
    return Parameter(lambda _, text: text, default="", description=description, schema={"type": "string"})


class UdfSearchSchema(QuerySchema):
    query = _text("a part of a symbol or a name")
    type = _text("a type of /udf/config; all when absent")
    exchange = _text("an exchange of /udf/config; all when absent")
    limit = whole(1_000, default=30, description="at most so many symbols")

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> SearchQuery:
        return SearchQuery(text=data["query"], type=data["type"], exchange=data["exchange"], limit=data["limit"])


def parse_udf_search_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> SearchQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(SearchQuery, load(UdfSearchSchema, arguments, markets))
