"""The query parameters of /analysis/screener."""

from dataclasses import dataclass
from typing import Any, cast

from marshmallow import post_load
from werkzeug.datastructures import MultiDict

from stockapi.api.queries.analysis_schemas import day_of, day_or_latest, max_age_days
from stockapi.api.queries.parameters import (
    EVERY_MARKET,
    Markets,
    Parameter,
    QuerySchema,
    as_csv,
    choice,
    interval,
    load,
    market,
    time_form,
    whole,
)
from stockapi.api.queries.reference_schemas import exchange_of_market, index_symbol
from stockapi.api.queries.schemas import indicators_parameter, require_few
from stockapi.api.queries.where import LONGEST, parse_condition, parse_sum
from stockapi.calc.screener import VALUE, Screen, requested_in
from stockapi.models.interval import AnyInterval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import TimeForm
from stockapi.services.symbols import Criteria

_EXAMPLE = "close>ma200 and rsi14<30 and value>1e10"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenerQuery:
    """A parsed query. `day`: as in `TopPerformersQuery`. `criteria`: which symbols are looked at; None for all."""

    mode: Mode
    interval: AnyInterval
    day: int | None
    max_age_days: int
    criteria: Criteria | None
    screen: Screen
    is_csv: bool
    times: TimeForm


class _Expression(Parameter):
    longest = LONGEST


class ScreenerSchema(QuerySchema):
    where = _Expression(
        parse_condition,
        description=(
            "the condition: fields of bars, value (close x volume) and fields of indicators, compared by < <= > >= = "
            "!=, computed with + - * /, joined by and, or, not, and brackets"
        ),
        schema={"type": "string", "maxLength": LONGEST, "examples": [_EXAMPLE]},
        missing=f"where is missing; allowed: a condition such as {_EXAMPLE}",
    )
    sort_by = _Expression(
        parse_sum,
        default=parse_sum("sort_by", VALUE),
        description="what is ranked: a field, or a sum of fields; absent ones come last",
        schema={"type": "string", "maxLength": LONGEST, "default": VALUE, "examples": ["rsi14", "close/ma200"]},
    )
    direction = choice({"desc": True, "asc": False}, default=True, description="whether the highest come first")
    limit = whole(10_000, default=50, description="at most so many tickers")
    indicators = indicators_parameter()
    interval = interval()
    date = day_or_latest(description="the bars of the market's last day on or before that one; its newest when absent")
    max_age_days = max_age_days()
    exchange = exchange_of_market()
    sector = Parameter(
        lambda _, text: text,
        description="only tickers of this group of /tickers/group, its name in any case",
        schema={"type": "string", "examples": ["NGAN_HANG"]},
    )
    index = index_symbol()
    format = as_csv()
    time = time_form()
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> ScreenerQuery:
        """:raises QueryError: for too many indicators."""
        named = requested_in(data["where"], data["sort_by"])
        requested = require_few(tuple(sorted(named.union(data["indicators"] or ()))))
        only = {name: data[name] for name in ("exchange", "sector", "index") if data[name] is not None}
        return ScreenerQuery(
            mode=data["mode"],
            interval=data["interval"],
            day=day_of(data["date"]),
            max_age_days=data["max_age_days"],
            criteria=Criteria(has_bars=True, **only) if only else None,
            screen=Screen(
                where=data["where"],
                sort_by=data["sort_by"],
                is_descending=data["direction"],
                limit=data["limit"],
                requested=requested,
            ),
            is_csv=data["format"],
            times=data["time"],
        )


def parse_screener_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> ScreenerQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(ScreenerQuery, load(ScreenerSchema, arguments, markets))
