"""GET /adjustments: the histories that a dividend or split has changed. Clients must download these again."""

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
"""The same as for bars in trading hours."""


@blueprint.get("/adjustments")
def adjustments() -> Response:
    """The adjustments of a market (`mode`) that were applied, or seen but not applied yet, at or after `since`.

    They are in the order of their day, then symbol.
    """
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
