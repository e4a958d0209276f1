"""What each route accepts: every parameter is parsed here, once, into the types the floors below work with."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load
from werkzeug.datastructures import MultiDict

from stockapi.constants import DEFAULT_LIMIT
from stockapi.errors import QueryError
from stockapi.models.interval import Interval, parse_interval
from stockapi.models.mode import Mode
from stockapi.models.query import QueryParameters, parse_symbol
from stockapi.models.timestamps import parse_range_end, parse_time

MAX_LIMIT = 1_000_000
"""More bars of one symbol than any answer may hold by default; the arithmetic of limits stays far from 64 bits."""

_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_MAX_VALUE_LENGTH = 64
_SHOWN_LENGTH = 32
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_WHOLE = re.compile(r"[0-9]+", re.ASCII)


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


class _Parameter(fields.Field[Any]):
    """A parameter given once: its text goes through `parse`, which raises QueryError for what is not allowed."""

    def __init__(self, parse: Callable[[str, str], Any], *, default: Any) -> None:
        super().__init__(load_default=default)
        self._parse = parse

    def _deserialize(self, value: list[str], attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> Any:  # noqa: ARG002
        try:
            return self._parsed(attr or "", value)
        except QueryError as exc:
            raise ValidationError(str(exc)) from exc

    def _parsed(self, name: str, texts: list[str]) -> Any:
        if len(texts) > 1:
            raise QueryError(f"{name} is given {len(texts)} times; allowed: once")
        return self._parse(name, _of_sane_length(name, texts[0]))


class _Symbols(_Parameter):
    """Symbols, repeated or separated by commas, as a tuple of different ones in alphabetical order."""

    def __init__(self) -> None:
        super().__init__(lambda name, text: parse_symbol(_of_sane_length(name, text)), default=None)

    def _parsed(self, name: str, texts: list[str]) -> tuple[str, ...]:
        symbols = {self._parse(name, item.strip(" ")) for text in texts for item in text.split(",")}
        return tuple(sorted(symbols))


def _of_sane_length(name: str, text: str) -> str:
    if len(text) > _MAX_VALUE_LENGTH:
        raise QueryError(
            f"{name} {text[:_SHOWN_LENGTH] + '...'!r} is {len(text)} characters long; "
            f"allowed: at most {_MAX_VALUE_LENGTH}"
        )
    return text


def _refusal(name: str, text: str, allowed: str) -> QueryError:
    return QueryError(f"{name} {text!r} is not allowed; allowed: {allowed}")


def _boolean(name: str, text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise _refusal(name, text, ", ".join(_BOOLEANS)) from None


def _format(name: str, text: str) -> Format:
    try:
        return Format(text.lower())
    except ValueError:
        raise _refusal(name, text, ", ".join(each.value for each in Format)) from None


def _limit(name: str, text: str) -> int:
    # int() alone would take "+5", " 5", "1_000" and digits of other scripts.
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= MAX_LIMIT:
        raise _refusal(name, text, f"a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _moment(parse: Callable[[str], int]) -> Callable[[str, str], int]:
    def parse_within_range(name: str, text: str) -> int:
        allowed = "a date such as 2024-01-31 or a time such as 2024-01-31T09:15:00Z, in the years 1970 to 9999"
        hint = "; the + of an offset is written %2B in a URL" if " " in text else ""
        try:
            seconds = parse(text)
        except ValueError:
            raise _refusal(name, text, allowed + hint) from None
        if not 0 <= seconds <= _LAST_SECOND:
            raise _refusal(name, text, allowed)
        return seconds

    return parse_within_range


class _QuerySchema(Schema):
    """Base: each value of the input is the list of texts the parameter was given; unknown parameters are ignored."""

    class Meta:
        unknown = EXCLUDE

    @pre_load
    def _as_lists(self, arguments: MultiDict[str, str], **_: Any) -> dict[str, list[str]]:
        return dict(arguments.lists())


class _TickersSchema(_QuerySchema):
    symbol = _Symbols()
    interval = _Parameter(lambda _, text: parse_interval(text), default=Interval.DAILY)
    start_date = _Parameter(_moment(parse_time), default=None)
    end_date = _Parameter(_moment(parse_range_end), default=None)
    limit = _Parameter(_limit, default=DEFAULT_LIMIT)
    legacy = _Parameter(_boolean, default=False)
    format = _Parameter(_format, default=Format.JSON)
    cache = _Parameter(_boolean, default=True)
    mode = _Parameter(lambda _, text: Mode.parse(text), default=Mode.VN)

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


class _GroupSchema(_QuerySchema):
    mode = _Parameter(lambda _, text: Mode.parse(text), default=Mode.VN)

    @post_load
    def _as_mode(self, data: dict[str, Any], **_: Any) -> Mode:
        return cast(Mode, data["mode"])


class _AdjustmentsSchema(_QuerySchema):
    mode = _Parameter(lambda _, text: Mode.parse(text), default=Mode.VN)
    since = _Parameter(_moment(parse_time), default=0)

    @post_load
    def _as_query(self, data: dict[str, Any], **_: Any) -> AdjustmentsQuery:
        return AdjustmentsQuery(**data)


_TICKERS = _TickersSchema()
_GROUP = _GroupSchema()
_ADJUSTMENTS = _AdjustmentsSchema()


def parse_tickers_query(arguments: MultiDict[str, str]) -> TickersQuery:
    """:raises QueryError: one line that names each wrong parameter, its value and what is allowed."""
    return cast(TickersQuery, _load(_TICKERS, arguments))


def parse_group_query(arguments: MultiDict[str, str]) -> Mode:
    """:raises QueryError: as `parse_tickers_query`."""
    return cast(Mode, _load(_GROUP, arguments))


def parse_adjustments_query(arguments: MultiDict[str, str]) -> AdjustmentsQuery:
    """:raises QueryError: as `parse_tickers_query`."""
    return cast(AdjustmentsQuery, _load(_ADJUSTMENTS, arguments))


def _load(schema: Schema, arguments: MultiDict[str, str]) -> object:
    try:
        return schema.load(arguments)
    except ValidationError as exc:
        messages = [text for texts in exc.messages_dict.values() for text in texts]
        raise QueryError("; ".join(messages)) from exc
