"""Query parameters: how a text is parsed into a type of the lower layers, and how OpenAPI describes it.

The functions make marshmallow fields. The metadata of a field is its JSON schema (2020-12) in `/openapi.json`.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load
from werkzeug.datastructures import MultiDict

from stockapi.api.queries.near_misses import require_no_near_miss
from stockapi.errors import QueryError
from stockapi.markets import mode_names, parse_mode
from stockapi.models.interval import AggregatedInterval, AnyInterval, Interval, parse_interval
from stockapi.models.literals import BOOLEANS, parse_whole
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, parse_symbol
from stockapi.models.timestamps import TimeForm, parse_range_end, parse_time, with_two_digits

Markets = tuple[Mode, ...]
"""The enabled markets, at least one. The first is the default."""
EVERY_MARKET: Markets = tuple(Mode)

_REMEMBERED_QUERIES = 256
_REMEMBERED_LENGTH = 256
"""The length in characters up to which a query is remembered. Parsing takes 23 to 100 us, a tenth of a small answer.
But long lists of symbols would need megabytes.
"""
_SHOWN_LENGTH = 32
_DAY_LENGTH = len("2024-01-31")
_MARKET_DESCRIPTION = "market, by its name or an alias, in any case"
_OUTER_COMMA = re.compile(r",(?![^()]*\))")
_SYMBOL_SCHEMA = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,19}$"}


class Parameter(fields.Field[Any]):
    """A parameter that may be given once. `parse` takes its name and text, and raises QueryError for a bad text.

    `schema`: the JSON schema of the text. `missing`: the error when the parameter is not given; None: use `default`.
    A subclass may allow longer texts.
    """

    longest = 64

    def __init__(
        self,
        parse: Callable[[str, str], Any],
        *,
        default: Any = None,
        description: str,
        schema: Mapping[str, object],
        missing: str | None = None,
    ) -> None:
        metadata = {**schema, "description": description}
        if missing is None:
            super().__init__(load_default=default, metadata=metadata)
        else:
            super().__init__(required=True, metadata=metadata, error_messages={"required": missing})
        self._parse = parse

    def _deserialize(self, value: list[str], attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> Any:  # noqa: ARG002
        try:
            return self._parsed(attr or "", value)
        except QueryError as exc:
            raise ValidationError(str(exc)) from exc

    def _parsed(self, name: str, texts: list[str]) -> Any:
        if len(texts) > 1:
            raise QueryError(f"{name} is given {len(texts)} times; allowed: once")
        return self._parse(name, self._of_sane_length(name, texts[0]))

    def _of_sane_length(self, name: str, text: str) -> str:
        if len(text) > self.longest:
            raise QueryError(
                f"{name} {text[:_SHOWN_LENGTH] + '...'!r} is {len(text)} characters long; "
                f"allowed: at most {self.longest}"
            )
        return text


class ListParameter(Parameter):
    """A list: the parameter is repeated, or has commas. The value is a tuple in ascending order, each item once; None
    when it is not given.
    """

    def _parsed(self, name: str, texts: list[str]) -> tuple[Any, ...]:
        return tuple(sorted(self._items(name, texts)))

    def _items(self, name: str, texts: list[str]) -> list[Any]:
        """Each item once, in the order given."""
        items = (item.strip(" ") for text in texts for item in self._split(text))
        return list(dict.fromkeys(self._parse(name, self._of_sane_length(name, item)) for item in items))

    def _split(self, text: str) -> list[str]:
        return text.split(",")


class CallsParameter(ListParameter):
    """A list whose items may be calls: a comma within parentheses separates the arguments of one item."""

    def _split(self, text: str) -> list[str]:
        return _OUTER_COMMA.split(text)


class MarketParameter(Parameter):
    """A parameter that depends on the enabled markets: `make` makes it for the markets of its schema."""

    def __init__(self, make: Callable[[Markets], Parameter]) -> None:
        super().__init__(lambda *_: None, description="", schema={})  # until it is bound
        self._make = make

    def choose_among(self, markets: Markets) -> None:
        made = self._make(markets)
        self._parse, self.load_default, self.metadata = made._parse, made.load_default, made.metadata


class QuerySchema(Schema):
    """The base of all schemas. Each input value is the list of the given texts. Unknown parameters are ignored.

    A parameter without a text is absent.
    """

    class Meta:
        unknown = EXCLUDE

    def __init__(self, markets: Markets) -> None:
        self.markets = markets  # must be set first: the constructor of marshmallow binds the parameters
        super().__init__()

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:  # noqa: ARG002
        if isinstance(field_obj, MarketParameter):
            field_obj.choose_among(self.markets)

    @pre_load
    def _as_lists(self, arguments: MultiDict[str, str], **_: Any) -> dict[str, list[str]]:
        given = {name: [text for text in texts if text] for name, texts in arguments.lists()}
        return {name: texts for name, texts in given.items() if texts}


def load(schema: type[QuerySchema], arguments: MultiDict[str, str], markets: Markets) -> Any:
    """Parse the arguments of a request with a schema. `markets`: the enabled markets.

    The result of a short query is remembered, so it must be a value that never changes. Clients repeat their queries.

    :raises QueryError: one line with each wrong parameter, its value and what is allowed.
    """
    pairs = tuple(arguments.items(multi=True))
    is_short = sum(len(name) + len(text) for name, text in pairs) <= _REMEMBERED_LENGTH
    return _remembered(schema, pairs, markets) if is_short else _load(schema, arguments, markets)


@lru_cache(maxsize=_REMEMBERED_QUERIES)
def _remembered(schema: type[QuerySchema], pairs: tuple[tuple[str, str], ...], markets: Markets) -> Any:
    return _load(schema, MultiDict(pairs), markets)


def _load(schema: type[QuerySchema], arguments: MultiDict[str, str], markets: Markets) -> Any:
    made = _made(schema, markets)
    require_no_near_miss([name for name, text in arguments.items(multi=True) if text], made.fields)
    try:
        return made.load(arguments)
    except ValidationError as exc:
        messages = [text for texts in exc.messages_dict.values() for text in texts]
        raise QueryError("; ".join(messages)) from exc


@cache
def _made(schema: type[QuerySchema], markets: Markets) -> QuerySchema:
    return schema(markets)


def refusal(name: str, text: str, allowed: str) -> QueryError:
    return QueryError(f"{name} {text!r} is not allowed; allowed: {allowed}")


def boolean(*, default: bool, description: str) -> Parameter:
    """A boolean: `true false 1 0`, in upper or lower case."""
    schema = {"type": "boolean", "default": default}
    return choice(BOOLEANS, default=default, description=description, schema=schema)


def choice(
    values: Mapping[str, Any], *, default: Any, description: str, schema: Mapping[str, object] | None = None
) -> Parameter:
    """One of the names in `values`. The names are lower-case; the text may have any case. `default`: a value."""

    def parse(name: str, text: str) -> Any:
        try:
            return values[text.lower()]
        except KeyError:
            raise refusal(name, text, ", ".join(values)) from None

    if schema is None:
        shown = next((name for name, value in values.items() if value == default), None)
        schema = {"type": "string", "enum": list(values)} | ({} if shown is None else {"default": shown})
    return Parameter(parse, default=default, description=description, schema=schema)


def whole(high: int, *, low: int = 0, default: int | None, description: str) -> Parameter:
    """A whole number from `low` on; one above `high` is taken for it. `default`: None for none."""

    def parse(name: str, text: str) -> int:
        try:
            return min(parse_whole(text, low), high)
        except ValueError:
            raise refusal(name, text, f"a whole number from {low} on, clamped to {high}") from None

    schema = {"type": "integer", "minimum": low} | ({} if default is None else {"default": default})
    return Parameter(parse, default=default, description=description, schema=schema)


def moment(*, is_end: bool = False, default: int | None = None, description: str) -> Parameter:
    """A date or time, as Unix seconds. With `is_end`: its last second, for a date the last second of the day."""
    parse_seconds = parse_range_end if is_end else parse_time

    def parse(name: str, text: str) -> int:
        allowed = "a date such as 2024-01-31 or a time such as 2024-01-31T09:15:00Z, in the years 1 to 9999"
        hint = "; the + of an offset is written %2B in a URL" if " " in text else ""
        try:
            return parse_seconds(with_two_digits(text))
        except ValueError:
            raise refusal(name, text, allowed + hint) from None

    schema = {
        "type": "string",
        "anyOf": [{"format": "date"}, {"format": "date-time"}],
        "examples": ["2024-01-31", "2024-01-31T09:15:00Z"],
    }
    return Parameter(parse, default=default, description=description, schema=schema)


def day(*, description: str) -> Parameter:
    """A date as the Unix seconds of its midnight, UTC; None when not given."""

    def parse(name: str, text: str) -> int:
        date = with_two_digits(text)
        try:
            if len(date) == _DAY_LENGTH:
                return parse_time(date)
        except ValueError:
            pass
        raise refusal(name, text, "a date such as 2024-01-31, in the years 1 to 9999")

    schema = {"type": "string", "format": "date", "examples": ["2024-01-31"]}
    return Parameter(parse, description=description, schema=schema)


def time_form() -> Parameter:
    """The form of the times of bars."""
    return choice(
        {each.value: each for each in TimeForm},
        default=TimeForm.PLAIN,
        description=(
            "how times of bars are written: 2024-01-31T02:15:00, the same with a Z (iso), as Unix seconds or as "
            "milliseconds; a day is a date or the number of its 00:00 UTC"
        ),
    )


def as_csv() -> Parameter:
    """The format of an answer that JSON writes as objects: whether it is a table in CSV instead."""
    return choice(
        {"json": False, "csv": True}, default=False, description="how the answer is written: JSON, or a table in CSV"
    )


def market() -> Parameter:
    """One of the markets of the schema."""
    return MarketParameter(
        lambda markets: Parameter(
            lambda _, text: parse_mode(text, markets),
            default=markets[0],
            description=_MARKET_DESCRIPTION,
            schema={"type": "string", "enum": mode_names(markets), "default": markets[0].value},
        )
    )


def market_or_all() -> Parameter:
    """One of the markets of the schema, or None for all of them."""
    return MarketParameter(
        lambda markets: choice(
            {name: parse_mode(name, markets) for name in mode_names(markets)} | {"all": None},
            default=markets[0],
            description=f"{_MARKET_DESCRIPTION}; all: every market in one answer",
        )
    )


def interval() -> Parameter:
    """Any interval. Stored intervals may have their long names."""

    def parse(_: str, text: str) -> AnyInterval:
        return parse_interval(text)

    return Parameter(
        parse,
        default=Interval.DAILY,
        description="length of a bar; 1m is a minute, 1M a month",
        schema=_interval_schema(*Interval, *AggregatedInterval),
    )


def _interval_schema(*intervals: AnyInterval) -> dict[str, object]:
    """With names for generated clients, which would call them VALUE_0, VALUE_1 and so on: no name of a programming
    language begins with a digit.
    """
    return {
        "type": "string",
        "enum": [*(each.value for each in intervals), *(each.label for each in Interval)],
        "x-enum-varnames": [*(each.name for each in intervals), *(f"{each.name}_BY_NAME" for each in Interval)],
        "default": Interval.DAILY.value,
    }


def stored_interval() -> Parameter:
    """A stored interval, by its short or long name."""

    def parse(name: str, text: str) -> Interval:
        with suppress(QueryError):
            found = parse_interval(text)
            if isinstance(found, Interval):
                return found
        raise refusal(name, text, ", ".join(each.value for each in Interval))

    return Parameter(
        parse,
        default=Interval.DAILY,
        description="length of a bar, of those stored; 1m is a minute",
        schema=_interval_schema(*Interval),
    )


def symbols(*, description: str) -> Parameter:
    return ListParameter(
        lambda _, text: parse_symbol(text),
        description=description,
        schema={"type": "array", "items": _SYMBOL_SCHEMA},
    )


def required_symbol(*, description: str) -> Parameter:
    return Parameter(
        lambda _, text: parse_symbol(text),
        description=description,
        schema=_SYMBOL_SCHEMA,
        missing=f"symbol is missing; allowed: one symbol, {ALLOWED_SYMBOL}",
    )
