"""The description of the routes under /udf for /openapi.json."""

from http import HTTPStatus
from typing import Any, Final

from stockapi.api.openapi import udf_answers as answers
from stockapi.api.openapi.operation import BAR_ERRORS, JSON, TEXT, ErrorForm, Operation
from stockapi.api.queries import udf_schemas

_NUMBERS: Final = {"type": "array", "items": {"type": "number"}}
_TIMES: Final = {"type": "array", "items": {"type": "integer"}}
_BARS: Final[dict[str, Any]] = {
    "type": "object",
    "title": "bars",
    "required": ["s", "t", "o", "h", "l", "c", "v"],
    "properties": {
        "s": {"type": "string", "enum": ["ok"]},
        "t": _TIMES | {"description": "when each bar begins, Unix seconds; days at 00:00 UTC"},
        **dict.fromkeys(("o", "h", "l", "c", "v"), _NUMBERS),
    },
}
_NO_BARS: Final[dict[str, Any]] = {
    "type": "object",
    "title": "no bars",
    "required": ["s"],
    "properties": {
        "s": {"type": "string", "enum": ["no_data"]},
        "nextTime": {"type": "integer", "description": "of the newest older bar; absent where there is none"},
    },
}

UDF: Final = (
    Operation(
        path="/udf/config",
        tag="UDF",
        summary="What the feed can do",
        description="Resolutions, exchanges and types of symbols.",
        answer="The configuration.",
        content={JSON: {"type": "object"}},
        error_form=ErrorForm.UDF,
    ),
    Operation(
        path="/udf/time",
        tag="UDF",
        summary="The server's clock",
        description="Unix seconds.",
        answer="The time as plain text.",
        content={"text/plain": TEXT},
        is_conditional=False,
        error_form=ErrorForm.UDF,
    ),
    Operation(
        path="/udf/symbols",
        tag="UDF",
        summary="What a chart must know of a symbol",
        description=(
            "Exchange, session, time zone, holidays, and how prices are written. `ticker` is unique over all markets."
        ),
        query=udf_schemas.SymbolsSchema,
        answer="The symbol.",
        content={JSON: answers.UdfSymbolSchema},
        example=lambda market: {"symbol": market.sample_symbols[0]},
        headers=("X-Data-Source",),
        errors=(HTTPStatus.NOT_FOUND, *BAR_ERRORS),
        error_form=ErrorForm.UDF,
    ),
    Operation(
        path="/udf/search",
        tag="UDF",
        summary="Find symbols",
        description="By a part of a symbol or a name, without accents; those with bars come first.",
        query=udf_schemas.UdfSearchSchema,
        answer="Symbols, the best first.",
        content={JSON: {"type": "array", "items": answers.UdfFoundSchema}},
        example=lambda market: {"query": market.sample_symbols[0]},
        errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
        error_form=ErrorForm.UDF,
    ),
    Operation(
        path="/udf/history",
        tag="UDF",
        summary="Bars of one symbol as columns",
        description=(
            "Bars with `from` <= time < `to`, or the last `countback` before `to`. Every bar is whole. A listed symbol "
            "without bars is `no_data`."
        ),
        query=udf_schemas.HistorySchema,
        answer="Bars, ascending, or when the newest older one is.",
        content={JSON: {"anyOf": [_BARS, _NO_BARS]}},
        example=lambda market: {"symbol": market.sample_symbols[0], "resolution": "1D", "countback": 5},
        sample=lambda _: {
            "s": "ok",
            "t": [1790812800],
            "o": [103900.0],
            "h": [105500.0],
            "l": [103800.0],
            "c": [104900.0],
            "v": [1131700],
        },
        headers=("X-Data-Source",),
        errors=(HTTPStatus.NOT_FOUND, *BAR_ERRORS),
        error_form=ErrorForm.UDF,
    ),
    Operation(
        path="/udf/quotes",
        tag="UDF",
        summary="The newest prices of symbols",
        description="A symbol without bars is an error of its own within the answer.",
        query=udf_schemas.QuotesSchema,
        answer="Quotes in the order of the request.",
        content={JSON: answers.UdfQuotesSchema},
        example=lambda market: {"symbols": list(market.sample_symbols)},
        headers=("X-Data-Source",),
        errors=BAR_ERRORS,
        error_form=ErrorForm.UDF,
    ),
)
