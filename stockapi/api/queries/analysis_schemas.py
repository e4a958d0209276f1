"""The query parameters of the routes under /analysis."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Self, cast

from marshmallow import post_load
from werkzeug.datastructures import MultiDict

from stockapi.api.queries.parameters import (
    EVERY_MARKET,
    MarketParameter,
    Markets,
    Parameter,
    QuerySchema,
    as_csv,
    boolean,
    choice,
    day,
    load,
    market,
    refusal,
    required_symbol,
    time_form,
    whole,
)
from stockapi.calc.top_performers import SORT_KEYS, Ranking
from stockapi.calc.volume_profile import ProfileOptions
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import QueryError
from stockapi.markets import market_of
from stockapi.models.fields import MA_PERIODS
from stockapi.models.interval import Interval
from stockapi.models.literals import is_number, parse_whole
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, Indicators, QueryParameters, parse_symbol
from stockapi.models.timestamps import TimeForm, format_time

LATEST = "latest"
BINS = (2, 200)
VALUE_AREA_PCT = (60.0, 90.0)
ROTATION_PERIODS = (4, 50)
"""The minimum and the maximum. A value outside is replaced by the nearest of the two."""

_MAX_VOLUME = 1_000_000_000_000_000
_MAX_SCORE = 1_000_000.0
_MAX_AGE_DAYS = 36_500
_MAX_TRAILS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class TopPerformersQuery:
    """A parsed query. `day`: Unix seconds of its start; None: each ticker's newest bar. `sector`: as the client wrote
    it; None for all.
    """

    mode: Mode
    day: int | None
    ranking: Ranking
    sector: str | None
    min_volume: int
    max_age_days: int
    with_hour: bool
    times: TimeForm
    is_csv: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorScoresQuery:
    """A parsed query. `day`: as in `TopPerformersQuery`."""

    mode: Mode
    day: int | None
    max_age_days: int
    ma_period: int
    min_score: float
    above_threshold_only: bool
    top_per_sector: int
    times: TimeForm
    is_csv: bool


class Algorithm(Enum):
    """How the coordinates of relative rotation are computed."""

    JDK = "jdk"
    MASCORE = "mascore"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationQuery:
    """A parsed query. `day`, `sector`: as in `TopPerformersQuery`. `benchmark`: a symbol; that of the market when none
    is given. `trails`: points of each ticker; 0: none are shown.
    """

    mode: Mode
    day: int | None
    algorithm: Algorithm
    benchmark: str
    period: int
    trails: int
    sector: str | None
    min_volume: int
    times: TimeForm
    is_csv: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeProfileQuery:
    """A parsed query. `minutes`: the bars to read. `dates`: the requested days, as the answer shows them.

    For the newest day, `dates` is LATEST and `minutes` is the newest bar. `of_days` makes the query for a day.
    """

    symbol: str
    mode: Mode
    minutes: QueryParameters
    dates: str
    options: ProfileOptions
    is_csv: bool

    def of_days(self, first: int, last: int) -> Self:
        """The same query for these days: the first seconds of the first and of the last."""
        minutes = replace(self.minutes, start=first, end=end_of_day(last), limit=None)
        dates = format_day(first) if first == last else f"{format_day(first)} to {format_day(last)}"
        return replace(self, minutes=minutes, dates=dates)


def day_or_latest(*, description: str) -> Parameter:
    """As `day`; LATEST, in any case, for the newest one."""
    dated = day(description=description)

    def parse(name: str, text: str) -> int | str:
        if text.lower() == LATEST:
            return LATEST
        try:
            return cast(int, dated._parse(name, text))
        except QueryError as exc:
            raise QueryError(f"{exc}, or {LATEST}") from exc

    schema = {"type": "string", "anyOf": [{"format": "date"}, {"const": LATEST}], "examples": ["2024-01-31", LATEST]}
    return Parameter(parse, description=description, schema=schema)


def number(low: float, high: float, *, default: float, description: str) -> Parameter:
    def parse(name: str, text: str) -> float:
        if not _is_number(text) or not low <= float(text) <= high:
            raise refusal(name, text, f"a number from {low:.0f} to {high:.0f}")
        return float(text) + 0.0  # -0 is 0

    schema = {"type": "number", "minimum": low, "maximum": high, "default": default}
    return Parameter(parse, default=default, description=description, schema=schema)


def clamped_number(low: float, high: float, *, default: float, description: str) -> Parameter:
    """A number. A number below `low` becomes `low`, and a number above `high` becomes `high`."""

    def parse(name: str, text: str) -> float:
        if not _is_number(text):
            raise refusal(name, text, f"a number; it is clamped to {low:.0f} to {high:.0f}")
        return min(max(float(text), low), high)

    return Parameter(parse, default=default, description=description, schema={"type": "number", "default": default})


def clamped_whole(low: int, high: int, *, default: int, description: str) -> Parameter:
    """A whole number. A number below `low` becomes `low`, and a number above `high` becomes `high`."""

    def parse(name: str, text: str) -> int:
        try:
            return min(max(parse_whole(text), low), high)
        except ValueError:
            raise refusal(name, text, f"a whole number; it is clamped to {low} to {high}") from None

    return Parameter(parse, default=default, description=description, schema={"type": "integer", "default": default})


def _is_number(text: str) -> bool:
    # A plus in a URL means a blank. A plus that is written as %2B is more likely a mistake than a sign.
    return is_number(text) and not text.startswith("+")


def max_age_days() -> Parameter:
    return whole(
        _MAX_AGE_DAYS, default=0, description="also tickers whose last bar is so many days older than the market's"
    )


def _sector() -> Parameter:
    return Parameter(
        lambda _, text: text,
        description="only tickers of this group of /tickers/group, its name in any case",
        schema={"type": "string", "examples": ["NGAN_HANG"]},
    )


def _benchmark() -> MarketParameter:
    """A symbol; None when not given, because the default depends on the market."""

    def parse(name: str, text: str) -> str:
        try:
            return parse_symbol(text)
        except QueryError:
            raise refusal(name, text, f"a symbol, {ALLOWED_SYMBOL}") from None

    def make(markets: Markets) -> Parameter:
        defaults = ", ".join(f"{market_of(mode).benchmark} ({mode.value})" for mode in markets)
        return Parameter(
            parse,
            description=f"of jdk: the ticker that others are compared with; when absent {defaults}",
            schema={"type": "string", "examples": [market_of(markets[0]).benchmark]},
        )

    return MarketParameter(make)


class TopPerformersSchema(QuerySchema):
    date = day_or_latest(
        description="rank the bars of the market's last day on or before that one; its newest when absent"
    )
    sort_by = choice({name: name for name in SORT_KEYS}, default=SORT_KEYS[0], description="what is ranked")
    direction = choice(
        {"desc": True, "asc": False},
        default=True,
        description="whether the highest (desc) or the lowest (asc) are the performers",
    )
    limit = whole(100, default=10, description="tickers in each list, at most 100")
    sector = _sector()
    min_volume = whole(_MAX_VOLUME, default=10_000, description="only tickers with at least this volume that day")
    max_age_days = max_age_days()
    with_hour = boolean(default=False, description="rank the hours of the day too")
    format = as_csv()
    time = time_form()
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> TopPerformersQuery:
        return TopPerformersQuery(
            mode=data["mode"],
            day=day_of(data["date"]),
            ranking=Ranking(sort_by=data["sort_by"], is_descending=data["direction"], limit=data["limit"]),
            sector=data["sector"],
            min_volume=data["min_volume"],
            max_age_days=data["max_age_days"],
            with_hour=data["with_hour"],
            times=data["time"],
            is_csv=data["format"],
        )


class SectorScoresSchema(QuerySchema):
    date = day_or_latest(description="the bars of the market's last day on or before that one; its newest when absent")
    max_age_days = max_age_days()
    ma_period = choice(
        {str(period): period for period in MA_PERIODS},
        default=20,
        description="bars of the moving average",
        schema={"type": "integer", "enum": list(MA_PERIODS), "default": 20},
    )
    min_score = number(-_MAX_SCORE, _MAX_SCORE, default=0.0, description="threshold: a score is above it from here on")
    above_threshold_only = boolean(
        default=False, description="show only stocks above the threshold, and only sectors that have one"
    )
    top_per_sector = whole(50, default=10, description="stocks shown of each sector, at most 50")
    format = as_csv()
    time = time_form()
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> SectorScoresQuery:
        renamed = {"day": day_of(data.pop("date")), "times": data.pop("time"), "is_csv": data.pop("format")}
        return SectorScoresQuery(**renamed, **data)


class RotationSchema(QuerySchema):
    algorithm = choice(
        {each.value: each for each in Algorithm},
        default=Algorithm.JDK,
        description="jdk: strength against a benchmark; mascore: distance from the averages of 20 and of 100 closes",
    )
    benchmark = _benchmark()
    period = clamped_whole(
        *ROTATION_PERIODS, default=10, description="of jdk: sessions of each mean; clamped to 4 to 50"
    )
    trails = whole(
        _MAX_TRAILS, default=10, description=f"last points of each ticker, at most {_MAX_TRAILS}; 0 for none"
    )
    date = day_or_latest(description="the market's last day on or before that one; its newest when absent")
    sector = _sector()
    min_volume = whole(_MAX_VOLUME, default=10_000, description="only tickers with at least this volume that day")
    format = as_csv()
    time = time_form()
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> RotationQuery:
        renamed = {"day": day_of(data.pop("date")), "times": data.pop("time"), "is_csv": data.pop("format")}
        benchmark = data.pop("benchmark") or market_of(data["mode"]).benchmark
        return RotationQuery(benchmark=benchmark, **renamed, **data)


class VolumeProfileSchema(QuerySchema):
    symbol = required_symbol(description="one symbol")
    date = day_or_latest(description="one day (UTC), or the newest that the symbol traded on; or start_date instead")
    start_date = day(description="first day (UTC) of a range, or the one day")
    end_date = day(description="last day of the range, included; with start_date only")
    bins = clamped_whole(*BINS, default=50, description="at most so many bins; clamped to 2 to 200")
    value_area_pct = clamped_number(
        *VALUE_AREA_PCT, default=70.0, description="share of the volume in the value area; clamped to 60 to 90"
    )
    format = as_csv()
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> VolumeProfileQuery:
        """:raises QueryError: when the days are missing or given in two ways."""
        first, last = _range(data["date"], data["start_date"], data["end_date"])
        query = VolumeProfileQuery(
            symbol=data["symbol"],
            mode=data["mode"],
            minutes=QueryParameters(
                mode=data["mode"],
                interval=Interval.MINUTE,
                symbols=(data["symbol"],),
                limit=1,
                indicators=Indicators.NONE,
            ),
            dates=LATEST,
            options=ProfileOptions(data["bins"], data["value_area_pct"]),
            is_csv=data["format"],
        )
        return query if first is None or last is None else query.of_days(first, last)


def parse_top_performers_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> TopPerformersQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(TopPerformersQuery, load(TopPerformersSchema, arguments, markets))


def parse_sector_scores_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> SectorScoresQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(SectorScoresQuery, load(SectorScoresSchema, arguments, markets))


def parse_rotation_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> RotationQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(RotationQuery, load(RotationSchema, arguments, markets))


def parse_volume_profile_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> VolumeProfileQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(VolumeProfileQuery, load(VolumeProfileSchema, arguments, markets))


def format_day(seconds: int | None) -> str:
    """The day as a date; `latest` when none was given."""
    return LATEST if seconds is None else format_time(seconds, Interval.DAILY)


def end_of_day(seconds: int) -> int:
    return seconds + SECONDS_PER_DAY - 1


def day_of(date: int | str | None) -> int | None:
    """None for the newest day."""
    return None if date == LATEST else cast(int | None, date)


def _range(date: int | str | None, start: int | None, end: int | None) -> tuple[int | None, int | None]:
    """The first seconds of the first and of the last day. None: the newest day."""
    allowed = "allowed: either date, or start_date with or without end_date"
    if date is not None:
        if start is not None or end is not None:
            raise QueryError(f"date is given together with start_date or end_date; {allowed}")
        return day_of(date), day_of(date)
    if start is None:
        raise QueryError(f"{'date' if end is None else 'start_date'} is missing; {allowed}")
    return start, start if end is None else end
