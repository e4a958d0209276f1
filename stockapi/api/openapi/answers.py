"""The schemas of answers for /openapi.json. The server does not use them to make or check answers.

A test compares every answer with the document, so the schemas are true. Metadata is JSON schema, as in `parameters`.
"""

from typing import Any, Final

from marshmallow import Schema, fields

from stockapi.models.fields import INDICATORS, PRICES, Field
from stockapi.models.requested import SAMPLES, parse_requested
from stockapi.services.status.worker_status import Condition

_OPEN: Final = "open of the bar, UTC: YYYY-MM-DD for 1D, 1W, 2W and 1M, YYYY-MM-DDTHH:MM:SS for the others"
_FORM: Final = "another form with `time`"


def text(description: str, *, null: bool = False, required: bool = True, **schema: Any) -> fields.String:
    return fields.String(required=required, allow_none=null, metadata={"description": description, **schema})


def moment(description: str, *, null: bool = False) -> fields.String:
    return text(description, null=null, format="date-time")


def bar_time(description: str, *, null: bool = False, required: bool = True) -> fields.Raw:
    """The time of a bar: a text, or a number with `time=unix` and `time=ms`."""
    metadata = {"description": f"{description}; {_FORM}", "type": ["string", "integer", *(["null"] if null else [])]}
    return fields.Raw(required=required, metadata=metadata)


def number(description: str, *, null: bool = False, required: bool = True) -> fields.Float:
    return fields.Float(required=required, allow_none=null, metadata={"description": description})


def count(description: str, *, null: bool = False) -> fields.Integer:
    return fields.Integer(required=True, allow_none=null, metadata={"description": description, "minimum": 0})


def flag(description: str) -> fields.Boolean:
    return fields.Boolean(required=True, metadata={"description": description})


def one(schema: type[Schema], description: str, *, null: bool = False) -> fields.Nested:
    return fields.Nested(schema, required=True, allow_none=null, metadata={"description": description})


def several(schema: type[Schema], description: str, *, null: bool = False) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True, allow_none=null, metadata={"description": description})


def array(items: fields.Field[Any]) -> fields.List[Any]:
    return fields.List(items)


def keyed(schema: type[Schema], description: str) -> fields.Dict:
    return fields.Dict(
        keys=fields.String(), values=fields.Nested(schema), required=True, metadata={"description": description}
    )


class ErrorSchema(Schema):
    error = text("what was wrong and what is allowed, in one line")


class StartSchema(Schema):
    endpoints = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "by path, with the prefix of a proxy: what is answered there"},
    )


# Bars


REQUESTED: Final = [field for sample in SAMPLES for field in parse_requested(sample).fields]


def _on_request(field: Field) -> str:
    return f"{field.meaning}; with `indicators`, which also takes other numbers: the name has them then"


BarSchema = Schema.from_dict(
    {
        "time": bar_time(_OPEN, required=False),
        **{field.name: number(field.meaning, required=False) for field in PRICES},
        "volume": number("quantity traded; a whole number where only whole ones are traded", required=False),
        "symbol": text("the ticker", required=False),
        "mode": text("the market, where mode=all asks for every one", required=False),
        **{field.name: number(field.meaning, required=False) for field in INDICATORS},
        **{field.name: number(_on_request(field), required=False) for field in REQUESTED},
    },
    name="Bar",
)
"""No key is required: `columns` selects the fields, and an indicator is left out when it is not defined."""

BarColumnsSchema = Schema.from_dict(
    {
        "mode": text("the market, where mode=all asks for every one", required=False),
        "time": array(bar_time(_OPEN)),
        **{field.name: array(number(field.meaning)) for field in PRICES},
        "volume": array(number("quantity traded")),
        **{field.name: array(number(field.meaning, null=True)) for field in INDICATORS},
        **{field.name: array(number(_on_request(field), null=True)) for field in REQUESTED},
    },
    name="BarColumns",
)
"""The bars of one ticker with `shape=columns`: an array for each field, all of equal length; null when not defined."""


# Reference


class AdjustmentSchema(Schema):
    symbol = text("the ticker")
    ex_date = text("first day at the new price", format="date")
    ratio = number("prices before ex_date are 1 / ratio of what they were")
    seen_at = moment("when the source was first seen to have it")
    applied_at = moment("since when all three intervals have the new prices; null until then", null=True)


class AdjustmentsAnswerSchema(Schema):
    adjustments = several(AdjustmentSchema, "by day, then symbol")


class GapSchema(Schema):
    first = text("first day without a bar", format="date")
    last = text("last day without a bar", format="date")
    days = count("trading days without a bar; of a market that never closes, days")


class CoverageSchema(Schema):
    first = bar_time("time of the first bar")
    last = bar_time("time of the last bar")
    idle_days = count("trading days that have ended since the day of the last bar")
    count = count("bars stored")
    gaps = several(GapSchema, "runs of trading days without any bar")


_LISTING: dict[str, fields.Field[Any]] = {
    "symbol": text("its present one"),
    "mode": text("its market"),
    "name": text("in English, in full; the symbol where no name is known"),
    "short_name": text("what people call it"),
    "name_vi": text("in Vietnamese, with accents", null=True),
    "exchange": text("HOSE, HNX or UPCOM; null for coins, and where it is not known", null=True),
    "type": text("stock, index, future, coin, or pegged: a coin at the price of a currency or of gold", null=True),
    "sector": text("its group of /tickers/group", null=True),
    "industry": text("a later grouping", null=True),
    "indices": fields.List(fields.String(), required=True, metadata={"description": "those that it is counted in"}),
    "currency": text("of its price; null for points", null=True),
    "status": text("whether it still trades", enum=["listed", "delisted"]),
}

FoundSymbolSchema = Schema.from_dict({**_LISTING, "has_bars": flag("whether bars are stored")}, name="FoundSymbol")


class SearchAnswerSchema(Schema):
    total = count("symbols that fit")
    symbols = several(FoundSymbolSchema, "the first of them: those with bars before the others, then the best")


InfoSchema = Schema.from_dict(
    {
        **_LISTING,
        "rank": count("place of a coin by market capitalisation", null=True),
        "delisted": text("since when it no longer trades: a year, a month or a day", null=True),
        "former_names": fields.List(fields.String(), required=True, metadata={"description": "earlier symbols"}),
        "first_bar": text("day of the first daily bar", null=True, format="date"),
        "last_bar": text("day of the last daily bar", null=True, format="date"),
    },
    name="SymbolInfo",
)


class QuoteSchema(Schema):
    price = number("close of the newest day")
    change = number("since the close of the day before; null without one", null=True)
    change_percent = number("the same in percent", null=True)
    open = number("of the newest day")
    high = number("of the newest day")
    low = number("of the newest day")
    volume = number("shares, or units of the coin, of the newest day")
    value = number("price x volume")
    reference = count("price that the limits of the day are counted from; null without limits", null=True)
    ceiling = count("highest price of the day by the rules of the exchange; null without limits", null=True)
    floor = count("lowest price of the day by the rules of the exchange; null without limits", null=True)
    newest_day = bar_time("of its newest daily bar")
    previous_day = bar_time("of the one before; null without one", null=True)
    newest_minute = bar_time("open of its newest minute, UTC; null without minutes", null=True)


class SnapshotAnswerSchema(Schema):
    mode = text("the market")
    is_open = flag("whether it is open now, as /clock says")
    tickers = keyed(QuoteSchema, "by symbol, alphabetical; those without daily bars are left out")


class SessionSchema(Schema):
    date = text("local date of the market", format="date")
    open = moment("first moment of the session")
    close = moment("first moment after it")
    lunch_start = moment("first moment of the lunch break; null without one", null=True)
    lunch_end = moment("first moment after the lunch break; null without one", null=True)


class HolidaySchema(Schema):
    date = text("local date of the market", format="date")
    name = text("in English; null for a day that the settings name", null=True)


class CalendarAnswerSchema(Schema):
    mode = text("the market")
    timezone = text("of its local dates, as in the time zone database")
    sessions = several(SessionSchema, "ascending; of a market that never closes, days of 24 hours")
    holidays = several(HolidaySchema, "ascending: Mondays to Fridays without a session")


class ClockSchema(Schema):
    mode = text("the market")
    timezone = text("where it is, as in the time zone database")
    time = moment("the server's clock")
    is_open = flag("whether the market is open at that time; it is not in the lunch break")
    is_lunch_break = flag("whether it is closed for lunch only")
    next_open = moment("when it opens next, after the lunch break too; null where it never closes", null=True)
    next_close = moment("when it closes next, for the lunch break too; null where it never closes", null=True)


# The state of the service


class VerificationSchema(Schema):
    at = moment("when it ended")
    result = text("repaired: what differed does not any more; differs: something is left")
    integrity = text("ok, or what SQLite found wrong with the file")
    series = count("series compared")
    bars = count("bars compared")
    differing = count("series that differed")
    left = count("series that still do")
    rebuilt = flag("whether the database was filled anew")
    seconds = number("how long it took")


class DatabaseSchema(Schema):
    path = text("the file")
    size_bytes = count("its size")
    schema_version = count("the newest migration applied", null=True)
    reachable = flag("whether it can be read")
    error = text("why not", null=True)
    last_integrity_check = text("result and moment of the latest check", null=True)
    last_verification = one(VerificationSchema, "of both stores against each other; null before the first", null=True)


class WorkerSchema(Schema):
    state = text("stale: overdue; dead: no process is the writer", enum=[each.value for each in Condition])
    heartbeat = moment("last sign of life", null=True)
    iterations = count("cycles completed")
    last_sync = moment("end of the last good cycle", null=True)
    last_error = text("what went wrong last", null=True)
    last_error_at = moment("when", null=True)
    rows_written = count("since the database was made")
    cycle_seconds = number("duration of the latest cycle", null=True)
    source = text("where its bars came from", null=True)
    source_state = text("ok, or what kept the source from answering", null=True)


class SourceSchema(Schema):
    name = text("the source of bars")
    state = text("ok, or why it gave half of the series of the latest cycle at most; null before the first", null=True)
    series_asked = count("series that the latest cycle asked for; null before the first", null=True)
    series_given = count("those of them that it gave", null=True)
    filled_by = text("the source that the stored bars come from; null when that is not known", null=True)
    asked = text("of several sources: the one that is asked now", required=False)
    preferred = text("of several sources: the best", required=False)
    changed_at = text("when another source was begun to be asked", null=True, required=False, format="date-time")
    changed_because = text("why", null=True, required=False)


class HealthSchema(Schema):
    daily_last_sync = moment("last good cycle of the daily worker", null=True)
    hourly_last_sync = moment("last good cycle of the hourly worker", null=True)
    minute_last_sync = moment("last good cycle of the minute worker", null=True)
    crypto_last_sync = moment("last good cycle of any crypto worker", null=True)
    daily_iteration_count = count("cycles of the daily worker")
    slow_iteration_count = count("cycles of the hourly and minute workers")
    crypto_iteration_count = count("cycles of the crypto workers")
    is_trading_hours = flag("whether the default market is open now")
    trading_hours_timezone = text("where those hours are")
    memory_usage_bytes = count("resident memory of the answering process")
    memory_usage_mb = number("the same, MiB")
    memory_limit_mb = count("what the machine or its control group allows, whole MiB")
    memory_usage_percent = number("share of the limit")
    total_tickers_count = count("tickers of all markets")
    active_tickers_count = count("those with a recent bar")
    daily_records_count = count("daily bars of all markets")
    hourly_records_count = count("hourly bars of all markets")
    minute_records_count = count("minute bars of all markets")
    disk_cache_entries = count("always 0, for older clients")
    disk_cache_size_bytes = count("always 0, for older clients")
    disk_cache_size_mb = number("always 0, for older clients")
    disk_cache_limit_mb = count("always 0, for older clients")
    disk_cache_usage_percent = number("always 0, for older clients")
    uptime_secs = count("age of the answering process")
    current_system_time = moment("the server's clock")
    database = keyed(DatabaseSchema, "by market")
    workers = keyed(WorkerSchema, "by name; those that have ever run")
    providers = keyed(SourceSchema, "by market")
    fallback_to_csv = flag("the setting FALLBACK_TO_CSV")
    version = text("of the program and of this API")


class LiveSchema(Schema):
    status = text("the process is up", enum=["ok"])


class ReadySchema(Schema):
    status = text("queries of every market can be answered", enum=["ready"])
    workers = fields.Dict(
        keys=fields.String(),
        values=fields.String(metadata={"enum": [each.value for each in Condition if each is not Condition.OK]}),
        metadata={"description": "those that are stale or dead, where any is: answers grow old"},
    )
