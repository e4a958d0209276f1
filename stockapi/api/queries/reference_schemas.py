"""The query parameters of /calendar and /clock."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast

from marshmallow import post_load
from werkzeug.datastructures import MultiDict

from stockapi.api.queries.parameters import EVERY_MARKET, Markets, QuerySchema, day, load, market
from stockapi.errors import QueryError
from stockapi.models.mode import Mode

FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2100, 12, 31)
"""Later no lunar holiday is known."""
_MOST_DAYS: Final = 3_660
_DEFAULT_DAYS: Final = 30


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
        last = min(first + timedelta(days=_DEFAULT_DAYS - 1), LAST_DAY) if self.last is None else self.last
        if min(first, last) < FIRST_DAY or max(first, last) > LAST_DAY:
            raise QueryError(
                f"{first} to {last} is outside of the calendar; allowed: days from {FIRST_DAY} to {LAST_DAY}"
            )
        if (last - first).days >= _MOST_DAYS:
            raise QueryError(f"{first} to {last} has {(last - first).days + 1} days; allowed: at most {_MOST_DAYS}")
        return first, last


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


def parse_calendar_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> CalendarQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(CalendarQuery, load(CalendarSchema, arguments, markets))


def parse_clock_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> Mode:
    """:raises QueryError: as `parameters.load`."""
    return cast(Mode, load(ClockSchema, arguments, markets))


def _date(seconds: int | None) -> date | None:
    return None if seconds is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date()
