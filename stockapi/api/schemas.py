"""What each route accepts: every parameter is parsed here, once, into the types the floors below work with."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from marshmallow import post_load
from werkzeug.datastructures import MultiDict

from stockapi.api.parameters import QuerySchema, boolean, choice, interval, load, market, moment, symbols, whole
from stockapi.constants import DEFAULT_LIMIT
from stockapi.models.mode import Mode
from stockapi.models.query import QueryParameters

MAX_LIMIT = 1_000_000
"""More bars of one symbol than any answer may hold by default; the arithmetic of limits stays far from 64 bits."""


class Format(Enum):
    """How an answer is written."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class TickersQuery:
    """A parsed request for /tickers."""

    parameters: QueryParameters
    format: Format


@dataclass(frozen=True, slots=True)
class AdjustmentsQuery:
    """A parsed request for /adjustments; `since` in Unix seconds."""

    mode: Mode
    since: int


class TickersSchema(QuerySchema):
    symbol = symbols(description="symbols, repeated or separated by commas; all when absent")
    interval = interval()
    start_date = moment(description="first day or moment, UTC, inclusive")
    end_date = moment(is_end=True, description="last day or moment, UTC, inclusive of the whole day")
    limit = whole(
        1,
        MAX_LIMIT,
        default=DEFAULT_LIMIT,
        description="newest bars of each symbol, counted back from end_date or now; ignored with start_date",
    )
    legacy = boolean(default=False, description="prices and averages of Vietnamese stocks divided by 1000")
    format = choice({each.value: each for each in Format}, default=Format.JSON, description="how the answer is written")
    cache = boolean(default=True, description="false reads the CSV files and not SQLite")
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> TickersQuery:
        """:raises QueryError: when start_date is after end_date."""
        parameters = QueryParameters(
            mode=data["mode"],
            interval=data["interval"],
            symbols=data["symbol"],
            start=data["start_date"],
            end=data["end_date"],
            limit=data["limit"] if data["start_date"] is None else None,
            legacy=data["legacy"] and data["mode"] is Mode.VN,
            use_sqlite=data["cache"],
        )
        return TickersQuery(parameters, data["format"])


class GroupSchema(QuerySchema):
    mode = market()

    @post_load
    def _as_mode(self, data: dict[str, Any], **_: Any) -> Mode:
        return cast(Mode, data["mode"])


class AdjustmentsSchema(QuerySchema):
    mode = market()
    since = moment(
        default=0, description="those that began to be served, or were seen, at or after it; all when absent"
    )

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> AdjustmentsQuery:
        return AdjustmentsQuery(**data)


TICKERS = TickersSchema()
GROUP = GroupSchema()
ADJUSTMENTS = AdjustmentsSchema()


def parse_tickers_query(arguments: MultiDict[str, str]) -> TickersQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(TickersQuery, load(TICKERS, arguments))


def parse_group_query(arguments: MultiDict[str, str]) -> Mode:
    """:raises QueryError: as `parameters.load`."""
    return cast(Mode, load(GROUP, arguments))


def parse_adjustments_query(arguments: MultiDict[str, str]) -> AdjustmentsQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(AdjustmentsQuery, load(ADJUSTMENTS, arguments))
