"""GET /openapi.json: the API in OpenAPI 3.1, made from `operations` and their marshmallow schemas."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, cast

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Blueprint, Response
from marshmallow import Schema
from marshmallow.fields import Field

from stockapi.api.http import responses
from stockapi.api.http.access import UNPROTECTED, Protection
from stockapi.api.http.error_handlers import RETRIED, RETRY_AFTER_S
from stockapi.api.http.path_prefix import path_prefix
from stockapi.api.openapi.analysis_answers import ScreenedSchema
from stockapi.api.openapi.answers import BarColumnsSchema, BarSchema, ErrorSchema
from stockapi.api.openapi.mcp_operations import RPC_ERRORS, RpcErrorSchema
from stockapi.api.openapi.operation import Content, ErrorForm, Operation
from stockapi.api.openapi.operations import OPERATIONS
from stockapi.api.openapi.protection import protect
from stockapi.api.openapi.udf_answers import UdfErrorSchema
from stockapi.api.pages.page import REMEMBERED_PAGES
from stockapi.api.queries.parameters import EVERY_MARKET, Markets, Parameter
from stockapi.constants import VERSION
from stockapi.context import services
from stockapi.markets import Market, market_of
from stockapi.models.requested import FIELDS_WITH_NUMBERS

blueprint = Blueprint("openapi", __name__)

_MAX_AGE_S = 300
_DESCRIPTION = """\
OHLCV bars of {instruments}, with moving averages and their scores.
[Explorer]({prefix}/explorer) is a page to look at them.

* Every route answers `GET` and `HEAD`, but `/mcp` only `POST`; another method is a 405 whose `Allow` names those \
there are.
* Times are UTC. Prices are {prices}; indices are in points.
* Every error is `{{"error": "<what was wrong, what is allowed>"}}`, under `/udf/` \
`{{"s": "error", "errmsg": "<the same>"}}`, of `/mcp` one of JSON-RPC. A parameter given more than once \
(other than a list), or with a value that is not allowed, is a 400; one without a value is absent; one that nobody \
knows is ignored, unless its name is almost that of a known one (`symbols`, `start`): that is a 400, too.
* `ETag` and `If-None-Match` save a download; `gzip`, `br` and `zstd` make it small.
"""
_TAGS: Final = {
    "Bars": "open, high, low, close, volume and 13 indicators",
    "Reference": "what there is to ask for",
    "Analysis": "computed over bars",
    "UDF": "the protocol of TradingView's charting library",
    "Service": "for operators",
    "Pages": "for people",
}
_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ETag": {"description": "give it back as If-None-Match", "required": True, "schema": {"type": "string"}},
    "Cache-Control": {
        "description": "how long the answer may be kept",
        "required": True,
        "schema": {"type": "string", "examples": ["max-age=30"]},
    },
    "X-Data-Source": {
        "description": "which store the answer is from",
        "required": True,
        "schema": {"type": "string", "enum": ["sqlite", "csv", "mixed"]},
    },
    "Link": {
        "description": "of a page: the path of the next one; the last page has none",
        "schema": {"type": "string", "examples": ['</tickers?page_size=1000&cursor=AbC>; rel="next"']},
    },
    "X-Updated-Until": {
        "description": "with updated_since: what to give as updated_since next time",
        "schema": {"type": "string", "examples": ["MTIzNDU2Nzg5MA"]},
    },
    "X-Replaced": {
        "description": "with updated_since: symbols of which a copy must be dropped before it takes these bars; *: all",
        "schema": {"type": "string", "examples": ["OLD, NEW"]},
    },
    "X-Behind": {
        "description": "with updated_since: symbols that have newer bars, which a later answer has",
        "schema": {"type": "string", "examples": ["NEW"]},
    },
    "X-Renamed": {
        "description": "where a symbol asked for has another name now: old and new one",
        "schema": {"type": "string", "examples": ["OLD=NEW"]},
    },
    "Location": {
        "description": "where to go on",
        "required": True,
        "schema": {"type": "string", "examples": ["/explorer"]},
    },
    "Content-Disposition": {
        "description": "of CSV and Arrow: the name of a file to save it in",
        "schema": {"type": "string", "examples": ['attachment; filename="tickers_1D.csv"']},
    },
    "Retry-After": {
        "description": "seconds to wait before the next attempt",
        "schema": {"type": "integer", "examples": [RETRY_AFTER_S]},
    },
}
_WITH_REQUESTED: Final[Mapping[type[Schema], Mapping[str, Any]]] = {
    BarSchema: {"type": "number"},
    BarColumnsSchema: {"type": "array", "items": {"type": ["number", "null"]}},
    ScreenedSchema: {"type": ["number", "null"]},
}
"""What has the fields of `indicators`, whose names depend on their numbers, and what such a field is there."""
_CONDITIONAL_HEADERS: Final = ("ETag", "Cache-Control")
_ERRORS: Final = {
    HTTPStatus.BAD_REQUEST: (
        "A parameter is not allowed; the text names each, its value and what is allowed.",
        "limit '0' is not allowed; allowed: a whole number from 1 to 1000000",
    ),
    HTTPStatus.NOT_FOUND: (
        "There is nothing of this; the text says of what.",
        "there are no minute bars of {symbol} on 2024-02-10 (mode {mode}); "
        "allowed: a symbol, and days on which it traded",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "The answer would pass the row budget; the text says how to narrow the query.",
        "the answer would have more than 1000000 rows; ask for fewer symbols, a shorter range or a smaller limit",
    ),
    HTTPStatus.REQUEST_URI_TOO_LONG: (
        "The request line is too long: give symbols in one list, separated by commas.",
        "the request line is too long; allowed: 8190 bytes; ask for fewer symbols, in one list separated by commas",
    ),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "A header is too long, or there are too many.",
        "the headers are too large; allowed: 100 headers of 8190 bytes each",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "A fault of the server.",
        "something went wrong here; the operator can see what",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "Too many large queries at once.",
        "too many large queries at once; try again shortly, or ask for fewer symbols",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "No store can answer, or not in time.",
        "the market data cannot be read right now; try again shortly",
    ),
}
_ERRORS_OF_ALL: Final = (
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
_ERROR_FORMS: Final[Mapping[ErrorForm, tuple[type[Schema], Callable[[str], Mapping[str, object]]]]] = {
    ErrorForm.PLAIN: (ErrorSchema, lambda text: {"error": text}),
    ErrorForm.UDF: (UdfErrorSchema, lambda text: {"s": "error", "errmsg": text}),
    ErrorForm.RPC: (
        RpcErrorSchema,
        lambda text: {"jsonrpc": "2.0", "id": None, "error": {"code": responses.RPC_INVALID_REQUEST, "message": text}},
    ),
}
_BEFORE_ROUTING: Final = (HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
"""The errors of the server in front of the application: they have one form for all paths."""
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")


class _Converter(OpenAPIConverter):
    def field2default(self, field: Field[Any], **_: Any) -> dict[str, Any]:
        """The default from the metadata. `load_default` is the parsed value, for example an enum."""
        return {"default": field.metadata["default"]} if "default" in field.metadata else {}

    def field2nullable(self, field: Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
        """Only values in answers may be null. A parameter is a text or missing."""
        return {} if isinstance(field, Parameter) else super().field2nullable(field, ret)


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The document. It is made at the first request."""
    settings = services().settings
    text = _text(settings.markets, path_prefix(), Protection.of(settings))
    return responses.conditional([text], responses.JSON_TYPE, _MAX_AGE_S)


@lru_cache(REMEMBERED_PAGES)
def _text(markets: Markets, prefix: str, protection: Protection) -> bytes:
    return orjson.dumps(document(markets, prefix, protection))


def document(markets: Markets = EVERY_MARKET, prefix: str = "", protection: Protection = UNPROTECTED) -> dict[str, Any]:
    """The OpenAPI document of all `OPERATIONS` for these enabled markets. It takes about 5 ms.

    Examples are of the first market. `prefix`: the path under which a proxy serves the API, such as /markets.
    """
    plugin, market = _Plugin(), market_of(markets[0])
    spec = APISpec(
        title="stockapi",
        version=VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": _description(markets, prefix), "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": prefix or "/", "description": "this server"}],
    )
    converter = cast(_Converter, plugin.converter)
    for name, description in _TAGS.items():
        spec.tag({"name": name, "description": description})
    for name, header in _HEADERS.items():
        spec.components.header(name, dict(header))
    errors = {(status, _form(each, status)) for each in OPERATIONS for status in _statuses(each)}
    for status, form in sorted(errors, key=lambda each: (each[0], each[1].value)):
        spec.components.response(_name(status, form), _error(status, form, converter, market))
    for operation in OPERATIONS:
        spec.path(openapi_path(operation), operations={operation.method: _operation(operation, converter, markets)})
    described: dict[str, Any] = spec.to_dict()
    for of_bars in (BarSchema, BarColumnsSchema):
        fields = described["components"]["schemas"][of_bars.__name__.removesuffix("Schema")]["properties"]
        fields["mode"]["enum"] = [mode.value for mode in markets]
    for with_requested, value in _WITH_REQUESTED.items():
        component = described["components"]["schemas"][with_requested.__name__.removesuffix("Schema")]
        component["patternProperties"] = {FIELDS_WITH_NUMBERS: value}
    protect(described, {openapi_path(operation): operation for operation in OPERATIONS}, protection)
    return described


def _description(markets: Markets, prefix: str) -> str:
    records = [market_of(mode) for mode in markets]
    return _DESCRIPTION.format(
        prefix=prefix,
        instruments=" and of ".join(each.instruments for each in records),
        prices=", ".join(f"{each.price_unit.in_words} ({each.instruments})" for each in records),
    )


def openapi_path(operation: Operation) -> str:
    """The path of an operation as OpenAPI writes it: `{name}` for a variable part."""
    return _VARIABLE.sub(r"{\1}", operation.path)


def _operation(operation: Operation, converter: OpenAPIConverter, markets: Markets) -> dict[str, Any]:
    return {
        "operationId": "_".join(re.findall(r"\w+", openapi_path(operation))) or "start",
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation, converter, markets),
        **_request_body(operation),
        "responses": _responses(operation, converter, market_of(markets[0])),
    }


def _request_body(operation: Operation) -> dict[str, Any]:
    if operation.body is None:
        return {}
    schema, example = operation.body
    return {"requestBody": {"required": True, "content": {responses.JSON_TYPE: {"schema": schema, "example": example}}}}


def _parameters(operation: Operation, converter: OpenAPIConverter, markets: Markets) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = [
        {"in": "path", "name": name, "required": True, "description": description, "schema": {"type": "string"}}
        for name, description in operation.path_parameters.items()
    ]
    if operation.query is not None:
        described += converter.schema2parameters(operation.query(markets), location="query")
    example = operation.example(market_of(markets[0]))
    for parameter in described:
        if parameter["name"] in example:
            parameter["example"] = example[parameter["name"]]
    return described


def _responses(operation: Operation, converter: OpenAPIConverter, market: Market) -> dict[str, Any]:
    always = _CONDITIONAL_HEADERS if operation.is_conditional else ("Cache-Control",)
    described: dict[str, Any] = {
        "200": {
            "description": operation.answer,
            "headers": _header_references(*always, *operation.headers),
            "content": _content(operation.content, converter, operation.sample and operation.sample(market)),
        }
    }
    if operation.is_conditional:
        described["304"] = {
            "description": "The client has it already.",
            "headers": _header_references(*always, *operation.headers),
        }
    if operation.redirect:
        described["302"] = {
            "description": operation.redirect,
            "headers": _header_references("Cache-Control", "Location"),
        }
    if operation.accepted:
        described["202"] = {"description": operation.accepted, "headers": _header_references("Cache-Control")}
    for status in sorted(_statuses(operation)):
        reference = f"#/components/responses/{_name(status, _form(operation, status))}"
        described[str(status.value)] = {"$ref": reference}
    return described


def _statuses(operation: Operation) -> set[HTTPStatus]:
    """Those of the errors of a route."""
    query_errors = () if operation.query is None else (HTTPStatus.BAD_REQUEST,)
    return {*query_errors, *operation.errors, *_ERRORS_OF_ALL}


def _content(content: Content, converter: OpenAPIConverter, sample: object = None) -> dict[str, Any]:
    """The `content` of an answer in OpenAPI. `sample`: an example of the first media type."""
    described = {media_type: {"schema": _resolved(schema, converter)} for media_type, schema in content.items()}
    if sample is not None:
        next(iter(described.values()))["example"] = sample
    return described


def _resolved(schema: Any, converter: OpenAPIConverter) -> Any:
    """The JSON schema, with each marshmallow schema replaced by a reference to its component."""
    if isinstance(schema, type) and issubclass(schema, Schema):
        return converter.resolve_nested_schema(schema)  # type: ignore[no-untyped-call]
    if isinstance(schema, Mapping):
        return {key: _resolved(value, converter) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_resolved(each, converter) for each in schema]
    return schema


def _name(status: HTTPStatus, form: ErrorForm) -> str:
    """The name of the component. It has no phrase, because the phrases of Python 3.13 and 3.11 differ."""
    return f"{form.value}Error{status.value}"


def _form(operation: Operation, status: HTTPStatus) -> ErrorForm:
    """The form of this error of the route."""
    return ErrorForm.PLAIN if status in _BEFORE_ROUTING else operation.error_form


def _error(status: HTTPStatus, form: ErrorForm, converter: OpenAPIConverter, market: Market) -> dict[str, Any]:
    description, text = (_ERRORS | RPC_ERRORS)[status] if form is ErrorForm.RPC else _ERRORS[status]
    text = text.format(symbol=market.sample_symbols[0], mode=market.mode.value)
    headers = {"headers": _header_references("Retry-After")} if status in RETRIED else {}
    schema, sample = _ERROR_FORMS[form]
    return {
        "description": description,
        **headers,
        "content": _content({responses.JSON_TYPE: schema}, converter, sample(text)),
    }


def _header_references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
