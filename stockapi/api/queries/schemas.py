"""The query parameters of each route. They are parsed here, once, into types of the lower layers."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Self, cast

from marshmallow import post_load
from werkzeug.datastructures import MultiDict

from stockapi.api.queries.continuing import SealedParameter, WantedPage, parse_page, parse_since, sealed_page
from stockapi.api.queries.parameters import (
    EVERY_MARKET,
    CallsParameter,
    ListParameter,
    Markets,
    QuerySchema,
    as_csv,
    boolean,
    choice,
    interval,
    load,
    market,
    market_or_all,
    moment,
    refusal,
    stored_interval,
    symbols,
    time_form,
    whole,
)
from stockapi.constants import DEFAULT_LIMIT
from stockapi.errors import QueryError
from stockapi.formats.default_rows import TextForm
from stockapi.formats.json_format import BAR_FIELDS, BARE_FIELDS, DEFAULT_FIELDS
from stockapi.markets import market_of
from stockapi.models.changes import ChangesRequest, Mark, Since
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.pages import Place
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.requested import (
    ALLOWED_REQUESTED,
    KINDS,
    MOST_REQUESTED,
    SAMPLES,
    Requested,
    names_of,
    parse_requested,
    requested_with,
)
from stockapi.models.timestamps import TimeForm, TimeStyle

MAX_LIMIT = 1_000_000
"""More bars of one symbol than an answer may have by default. Computations with limits stay far below 64 bits."""

_FIRST_SECOND = 0
"""1970-01-01: no bar is older."""


class Format(Enum):
    """The format of an answer."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    ARROW = "arrow"


class Shape(Enum):
    """The shape of a JSON answer: one object for each bar, or one array for each field."""

    ROWS = "rows"
    COLUMNS = "columns"


_AVAILABLE_FIELDS = {
    (has_mode, has_indicators): tuple(
        name for name in BAR_FIELDS if (has_mode or name != "mode") and (has_indicators or name in BARE_FIELDS)
    )
    for has_mode in (True, False)
    for has_indicators in (True, False)
}


@dataclass(frozen=True, slots=True)
class TickersQuery:
    """A parsed request for /tickers.

    `fields`: the fields of each bar, a part of BAR_FIELDS in its order, and those of requested indicators.
    `every_market`: all enabled markets if the query is for all; () if it is for the market in `parameters`.
    `times`: how the times of the bars are written.
    `is_closed`: only bars that are known to be closed.
    `since`: only bars that are new or have changed since then; None for all.
    `page`: which part of the answer; None for all of it.
    """

    parameters: QueryParameters
    format: Format = Format.JSON
    shape: Shape = Shape.ROWS
    fields: tuple[str, ...] = _AVAILABLE_FIELDS[False, True]
    every_market: Markets = ()
    times: TimeStyle = TimeStyle.DATE
    is_closed: bool = False
    since: Since | None = None
    page: WantedPage | None = None

    @property
    def is_every_market(self) -> bool:
        return bool(self.every_market)

    @property
    def of_each_market(self) -> list[QueryParameters]:
        """The queries for the stores: one for each requested market."""
        if not self.is_every_market:
            return [self.parameters]
        return [replace(self.parameters, mode=mode) for mode in self.every_market]

    @property
    def has_whole_volume(self) -> bool:
        """Whether all volumes of the answer are whole numbers."""
        return all(market_of(each.mode).has_whole_volume for each in self.of_each_market)

    def until(self, now: int) -> Self:
        """The query with an end: `now` (Unix seconds) where none was given: no later bar is the newest.

        With `is_closed`, no later end than `now`. All pages have the `now` of the first one. Changes have no end: a bar
        of a time to come would not be told of when its time has come.
        """
        if self.since is not None:
            return self
        now = self._moment(now)
        start, end = self.parameters.start, self.parameters.end
        if self.is_closed:
            until = now if end is None else min(end, now)
            return replace(self, parameters=replace(self.parameters, end=until, closed_at=now))
        if end is not None:
            return self
        return replace(self, parameters=replace(self.parameters, end=max(now, start or now)))

    def cursor(self, now: int, last: Place, until: Mark | None = None) -> str:
        """What the page after `last` is asked for with.

        :param now: the moment of this request, in Unix seconds.
        :param until: how far a page of changes reached.
        """
        return sealed_page(self._moment(now), last, until, replace(self, page=None))

    def _moment(self, now: int) -> int:
        """All pages have the `now` of the first one."""
        begun_at = None if self.page is None else self.page.request.begun_at
        return now if begun_at is None else begun_at

    @property
    def changes(self) -> ChangesRequest | None:
        """Which changes are wanted; None for bars whether they have changed or not."""
        if self.since is None:
            return None
        if self.page is None:
            return ChangesRequest(self.since)
        return ChangesRequest(self.since, self.page.request.size, self.page.request.after, self.page.until)

    @property
    def text_form(self) -> TextForm | None:
        """The form of its rows, where they are those of a default answer; None for other fields, times or bars, for
        columns and for pages.
        """
        if self.shape is Shape.COLUMNS or self.fields != DEFAULT_FIELDS or self.is_every_market or self.is_closed:
            return None
        if self.format is Format.ARROW or self.page is not None:
            return None
        if self.times is not TimeStyle.of(self.parameters.interval):
            return None
        return TextForm.CSV if self.format is Format.CSV else TextForm.JSON


@dataclass(frozen=True, slots=True)
class AdjustmentsQuery:
    """A parsed request for /adjustments; `since` in Unix seconds."""

    mode: Mode
    since: int


@dataclass(frozen=True, slots=True)
class CoverageQuery:
    """A parsed request for /tickers/coverage; `symbols` is None for every ticker of the market."""

    mode: Mode
    interval: Interval
    symbols: tuple[str, ...] | None
    times: TimeStyle
    is_csv: bool = False


def _columns() -> ListParameter:
    """Names of fields. Other parameters decide which of them an answer can have."""

    def parse(name: str, text: str) -> str:
        if text.lower() not in BAR_FIELDS and requested_with(text.lower()) is None:
            raise refusal(name, text, f"{', '.join(BAR_FIELDS)} (mode with mode=all only), and those of indicators")
        return text.lower()

    of_requested = {"pattern": f"^({'|'.join(kind.name for kind in KINDS)})[0-9_]*(_[a-z]+)?$"}
    items = {"type": "string", "anyOf": [{"enum": list(BAR_FIELDS)}, of_requested]}
    schema = {"type": "array", "items": items, "examples": [["time", "close"]]}
    return ListParameter(
        parse, description="fields of each bar, repeated or separated by commas; all when absent", schema=schema
    )


def indicators_parameter() -> ListParameter:
    """Indicators that are computed on read. `require_few` checks how many."""
    schema = {
        "type": "array",
        "items": {"type": "string", "examples": list(SAMPLES)},
        "maxItems": MOST_REQUESTED,
        "examples": [["rsi14", "macd(12,26,9)"]],
    }
    return CallsParameter(
        lambda _, text: parse_requested(text),
        description=f"further indicators, computed on read, repeated or separated by commas: {ALLOWED_REQUESTED}",
        schema=schema,
    )


class TickersSchema(QuerySchema):
    symbol = symbols(description="symbols, repeated or separated by commas; all when absent")
    interval = interval()
    start_date = moment(description="first day or moment, UTC, inclusive")
    end_date = moment(is_end=True, description="last day or moment, UTC, inclusive of the whole day")
    limit = whole(
        MAX_LIMIT,
        default=DEFAULT_LIMIT,
        description=(
            "newest bars of each symbol, counted back from end_date or now; 0 for all of them; ignored with "
            "start_date and updated_since"
        ),
    )
    legacy = boolean(
        default=False,
        description="prices and averages in thousands, but not of indices; ignored where older clients have none",
    )
    ma = boolean(default=True, description=f"false leaves out all {len(INDICATOR_FIELDS)} stored indicators")
    ema = boolean(default=False, description="averages are exponential, and scores are against those")
    indicators = indicators_parameter()
    closed = boolean(default=False, description="true leaves out bars that are not known to be closed")
    columns = _columns()
    format = choice({each.value: each for each in Format}, default=Format.JSON, description="how the answer is written")
    shape = choice(
        {each.value: each for each in Shape},
        default=Shape.ROWS,
        description="of JSON: rows is one object per bar, columns one array per field",
    )
    time = time_form()
    cache = boolean(default=True, description="false reads the CSV files and not SQLite")
    mode = market_or_all()
    updated_since = SealedParameter(
        description="only bars that are new or have changed since then: the X-Updated-Until of an answer, or a time",
        examples=["2026-10-01T09:15:00Z"],
    )
    page_size = whole(
        MAX_LIMIT, low=1, default=None, description="at most so many bars; the header Link leads to the next ones"
    )
    cursor = SealedParameter(description="where the page begins: as the Link header of the page before has it")

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> TickersQuery:
        """:raises QueryError: when the parameters contradict each other."""
        query = replace(self._whole_query(data), since=parse_since(data["updated_since"], data))
        page = parse_page(data["page_size"], data["cursor"], query)
        if page is not None and query.is_every_market:
            raise QueryError("page_size does not go with mode=all; allowed: one market")
        return query if page is None else replace(query, page=page)

    def _whole_query(self, data: dict[str, Any]) -> TickersQuery:
        if data["ema"] and not data["ma"]:
            raise QueryError("ma=false and ema=true do not go together; allowed: one of them")
        if data["shape"] is Shape.COLUMNS and data["format"] is not Format.JSON:
            raise QueryError(f"shape=columns does not go with format={data['format'].value}; allowed: format=json")
        if data["format"] is Format.ARROW and data["time"] is not TimeForm.PLAIN:
            raise QueryError(
                f"time={data['time'].value} does not go with format=arrow, whose times are timestamps in UTC; "
                f"allowed: {TimeForm.PLAIN.value}"
            )
        requested = require_few(data["indicators"] or ())
        available = _AVAILABLE_FIELDS[data["mode"] is None, data["ma"]]
        fields = _fields(data["columns"], (*available, *names_of(requested)))
        mode = data["mode"] or self.markets[0]
        is_all = data["start_date"] is None and (not data["limit"] or data["updated_since"] is not None)
        start = _FIRST_SECOND if is_all else data["start_date"]
        parameters = QueryParameters(
            mode=mode,
            interval=data["interval"],
            symbols=data["symbol"],
            start=start,
            end=data["end_date"],
            limit=data["limit"] if start is None else None,
            legacy=data["legacy"] and market_of(mode).has_legacy_prices,
            indicators=_indicators(fields, is_exponential=data["ema"]),
            requested=tuple(each for each in requested if not set(fields).isdisjoint(names_of([each]))),
            use_sqlite=data["cache"],
        )
        every_market = self.markets if data["mode"] is None else ()
        form, times = (data["format"], data["shape"], fields), TimeStyle.of(data["interval"], data["time"])
        return TickersQuery(parameters, *form, every_market, times, data["closed"])


def require_few(requested: tuple[Requested, ...]) -> tuple[Requested, ...]:
    """The same indicators.

    :raises QueryError: when there are too many.
    """
    if len(requested) > MOST_REQUESTED:
        raise QueryError(f"{len(requested)} different indicators are asked for; allowed: at most {MOST_REQUESTED}")
    return requested


def _fields(columns: tuple[str, ...] | None, available: tuple[str, ...]) -> tuple[str, ...]:
    """The requested fields (None: all), in the order of those that are available.

    :raises QueryError: for a field that the bars of this answer do not have.
    """
    if columns is None:
        return available
    unavailable = [name for name in columns if name not in available]
    if unavailable:
        raise QueryError(
            f"columns {', '.join(unavailable)} are not in this answer (mode is with mode=all, indicators are not with "
            f"ma=false, those on request are with indicators=); allowed: {', '.join(available)}"
        )
    return tuple(name for name in available if name in columns)


def _indicators(fields: tuple[str, ...], *, is_exponential: bool) -> Indicators:
    """The kind of indicators to read; none when no field needs them."""
    if not any(name in INDICATOR_FIELDS for name in reversed(fields)):
        return Indicators.NONE
    return Indicators.EXPONENTIAL if is_exponential else Indicators.SIMPLE


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


class NamesSchema(QuerySchema):
    mode = market_or_all()

    @post_load
    def _as_modes(self, data: dict[str, Any], **_: Any) -> Markets:
        return self.markets if data["mode"] is None else (data["mode"],)


class CoverageSchema(QuerySchema):
    symbol = symbols(description="symbols, repeated or separated by commas; all when absent")
    interval = stored_interval()
    format = as_csv()
    time = time_form()
    mode = market()

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> CoverageQuery:
        times = TimeStyle.of(data["interval"], data["time"])
        return CoverageQuery(data["mode"], data["interval"], data["symbol"], times, data["format"])


def parse_tickers_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> TickersQuery:
    """Parse the query parameters of /tickers. `markets`, here and below: the enabled markets.

    :raises QueryError: as `parameters.load`.
    """
    return cast(TickersQuery, load(TickersSchema, arguments, markets))


def parse_group_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> Mode:
    """:raises QueryError: as `parameters.load`."""
    return cast(Mode, load(GroupSchema, arguments, markets))


def parse_adjustments_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> AdjustmentsQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(AdjustmentsQuery, load(AdjustmentsSchema, arguments, markets))


def parse_names_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> Markets:
    """:raises QueryError: as `parameters.load`."""
    return cast(Markets, load(NamesSchema, arguments, markets))


def parse_coverage_query(arguments: MultiDict[str, str], markets: Markets = EVERY_MARKET) -> CoverageQuery:
    """:raises QueryError: as `parameters.load`."""
    return cast(CoverageQuery, load(CoverageSchema, arguments, markets))
