"""GET /adjustments: which histories a dividend or split has changed, so that clients know what to download again."""

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import responses
from stockapi.api.queries.schemas import parse_adjustments_query
from stockapi.context import services
from stockapi.models.interval import Interval
from stockapi.models.timestamps import format_moment, format_time
from stockapi.services.database_manager.bookkeeping import RecordedAdjustment

blueprint = Blueprint("adjustments", __name__)

_MAX_AGE_S = 30
"""As long as bars may be kept in trading hours."""


@blueprint.get("/adjustments")
def adjustments() -> Response:
    """Those of a market (`mode`) served, or if not served yet seen, at or after `since`; by day, then symbol."""
    query = parse_adjustments_query(request.args, services().settings.markets)
    found = services().stores.bookkeeping.adjustments(query.mode, query.since)
    body = orjson.dumps({"adjustments": [_entry(each) for each in found]})
    return responses.conditional([body], responses.JSON_TYPE, _MAX_AGE_S)


def _entry(adjustment: RecordedAdjustment) -> dict[str, object]:
    return {
        "symbol": adjustment.ticker,
        "ex_date": format_time(adjustment.ex_time, Interval.DAILY),
        "ratio": adjustment.ratio,
        "seen_at": format_moment(adjustment.seen_at),
        "applied_at": None if adjustment.applied_at is None else format_moment(adjustment.applied_at),
    }
