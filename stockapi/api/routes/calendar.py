"""GET /calendar and /clock: when a market trades."""

from collections.abc import Iterable
from datetime import date

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import limits, responses
from stockapi.api.queries.reference_schemas import parse_calendar_query, parse_clock_query
from stockapi.context import services
from stockapi.markets import market_of
from stockapi.markets.calendar import Hours
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment

blueprint = Blueprint("calendar", __name__)

_MAX_AGE_S = 300


@blueprint.get("/calendar")
def sessions() -> Response:
    """The sessions of a range of days, and the holidays that leave one out."""
    query = parse_calendar_query(request.args, services().settings.markets)
    calendar = market_of(query.mode).calendar
    first, last = query.days(services().clock().astimezone(calendar.zone).date())
    hours = limits.current().within(calendar.hours(first, last), "looking up sessions")
    body = calendar_answer(query.mode, hours, first, last)
    return responses.conditional([orjson.dumps(body)], responses.JSON_TYPE, _MAX_AGE_S)


@blueprint.get("/clock")
def clock() -> Response:
    """Whether the market is open now, and when that changes."""
    mode = parse_clock_query(request.args, services().settings.markets)
    calendar, now = market_of(mode).calendar, services().clock()
    state = calendar.at(now)
    return responses.uncached_json(
        {
            "mode": mode.value,
            "timezone": calendar.zone_name,
            "time": format_moment(int(now.timestamp())),
            "is_open": state.is_open,
            "is_lunch_break": state.is_lunch_break,
            "next_open": _moment(state.next_open),
            "next_close": _moment(state.next_close),
        }
    )


def calendar_answer(mode: Mode, hours: Iterable[Hours], first: date, last: date) -> dict[str, object]:
    """The body of /calendar. `hours`: those of the days from `first` to `last`, ascending."""
    calendar = market_of(mode).calendar
    holidays = calendar.named_holidays(range(first.year, last.year + 1))
    return {
        "mode": mode.value,
        "timezone": calendar.zone_name,
        "sessions": [_session(each) for each in hours],
        "holidays": [{"date": day.isoformat(), "name": name} for day, name in holidays.items() if first <= day <= last],
    }


def _session(hours: Hours) -> dict[str, str | None]:
    return {
        "date": hours.date.isoformat(),
        "open": _moment(hours.open),
        "close": _moment(hours.close),
        "lunch_start": _moment(hours.lunch_start),
        "lunch_end": _moment(hours.lunch_end),
    }


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else format_moment(seconds)
