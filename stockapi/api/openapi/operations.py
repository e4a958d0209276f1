"""The description of each route for /openapi.json: one `Operation` for each rule of the application.

`query` is the schema with which the route parses its parameters. This module describes the other parameters, the
answers and the errors.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from http import HTTPStatus
from typing import Final

from stockapi.api.http import responses
from stockapi.api.openapi import answers as answers
from stockapi.api.openapi.analysis_operations import ANALYSES
from stockapi.api.openapi.mcp_operations import MCP
from stockapi.api.openapi.operation import BAR_ERRORS, CSV, JSON, TEXT, Operation, by_symbol, table
from stockapi.api.openapi.udf_operations import UDF
from stockapi.api.pages import docs
from stockapi.api.queries import reference_schemas, schemas
from stockapi.api.routes.calendar import calendar_answer
from stockapi.formats.analysis_tables import COVERAGE_COLUMNS
from stockapi.markets import Market


def _bars(market: Market) -> Mapping[str, object]:
    bar = {
        "time": "2026-10-01",
        "open": 103900.0,
        "high": 105500.0,
        "low": 103800.0,
        "close": 104900.0,
        "volume": 1131700,
        "symbol": market.sample_symbols[0],
        "ma10": 102520.0,
        "ma10_score": 2.3215,
        "close_changed": 1.2548,
        "volume_changed": -30.2453,
        "total_money_changed": 1471210000.0,
    }
    return {market.sample_symbols[0]: [bar]}


def _coverage(market: Market) -> Mapping[str, object]:
    return {
        market.sample_symbols[0]: {
            "first": "2015-01-05",
            "last": "2026-11-20",
            "count": 2962,
            "idle_days": 0,
            "gaps": [{"first": "2020-03-04", "last": "2020-03-05", "days": 2}],
        }
    }


def _groups(market: Market) -> Mapping[str, object]:
    return {market.list_group or "A_SECTOR": list(market.sample_symbols)}


_SAMPLE_DAYS: Final = date(2026, 11, 20), date(2026, 11, 24)


def _calendar(market: Market) -> Mapping[str, object]:
    return calendar_answer(market.mode, market.calendar.hours(*_SAMPLE_DAYS), *_SAMPLE_DAYS)


_NAMES: Final = Operation(
    path="/tickers/names",
    tag="Reference",
    summary="What is behind each symbol",
    description="The company of a stock, the name of a coin.",
    query=schemas.NamesSchema,
    answer="Names by symbol, alphabetical.",
    content={JSON: by_symbol(TEXT)},
    sample=lambda market: dict(zip(market.sample_symbols, market.sample_names, strict=True)),
)

_BARS: Final = (
    Operation(
        path="/tickers",
        tag="Bars",
        summary="Bars of one, several or all tickers",
        description=(
            "The newest `limit` bars of each symbol, or all of a range of days. Stored intervals are `1D`, `1H` and "
            "`1m`; the others are computed on read, with indicators that do not depend on the range asked for. "
            "A symbol nobody knows is not in the answer; nothing found is `{}`. With `mode=all` a symbol that "
            "several markets have bars of stands under `<market>:<symbol>`."
        ),
        query=schemas.TickersSchema,
        answer="Bars by symbol, alphabetical, each list ascending; indicators that are not defined are left out.",
        content={
            JSON: {
                "anyOf": [
                    by_symbol({"type": "array", "items": answers.BarSchema}) | {"title": "shape=rows"},
                    by_symbol(answers.BarColumnsSchema) | {"title": "shape=columns"},
                ]
            },
            CSV: {
                "type": "string",
                "description": "a header, then a row per bar, by symbol and time; numbers in their shortest form",
            },
            "application/x-ndjson": {"type": "string", "description": "a bar per line, as in JSON with shape=rows"},
            responses.ARROW_TYPE: {"description": "a stream of Arrow with the columns of CSV, a record batch a ticker"},
        },
        example=lambda market: {"symbol": list(market.sample_symbols), "limit": 5},
        sample=_bars,
        headers=(
            *("X-Data-Source", "X-Renamed", "Content-Disposition", "Link"),
            *("X-Updated-Until", "X-Replaced", "X-Behind"),
        ),
        errors=BAR_ERRORS,
    ),
    Operation(
        path="/tickers/group",
        tag="Reference",
        summary="Which tickers belong together",
        description="The sectors of a market's tickers; of a market without sectors its ranked list, as one group.",
        query=schemas.GroupSchema,
        answer="Symbols by group.",
        content={JSON: by_symbol({"type": "array", "items": TEXT})},
        sample=_groups,
    ),
    _NAMES,
    replace(_NAMES, path="/tickers/name", summary="What is behind each symbol, as older clients ask"),
    Operation(
        path="/tickers/snapshot",
        tag="Bars",
        summary="The newest prices of a whole market",
        description="Price, change, volume, and the limits of the day by the rules of the exchange, in one answer.",
        query=reference_schemas.SnapshotSchema,
        answer="Prices by symbol.",
        content={JSON: answers.SnapshotAnswerSchema},
        example=lambda market: {"symbol": list(market.sample_symbols)},
        headers=("X-Data-Source", "X-Renamed"),
        errors=BAR_ERRORS,
    ),
    Operation(
        path="/tickers/search",
        tag="Reference",
        summary="Find symbols by name",
        description=(
            "All symbols that are listed, stored, or in a list of the settings. Accents and case do not matter: "
            "`hoa phat` finds HPG."
        ),
        query=reference_schemas.SearchSchema,
        answer="The symbols, the best first.",
        content={JSON: answers.SearchAnswerSchema},
        example=lambda market: {"q": market.sample_names[0]},
        errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Operation(
        path="/tickers/info",
        tag="Reference",
        summary="What is known of a symbol",
        description="Names, exchange, sector, indices, and its first and last daily bar.",
        query=reference_schemas.InfoSchema,
        answer="The symbol, under its present name.",
        content={JSON: answers.InfoSchema},
        example=lambda market: {"symbol": market.sample_symbols[0]},
        headers=("X-Data-Source", "X-Renamed"),
        errors=(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        path="/tickers/coverage",
        tag="Reference",
        summary="How much of each ticker is stored",
        description="First and last bar, count, and the runs of trading days between them without any bar.",
        query=schemas.CoverageSchema,
        answer="Coverage by symbol, alphabetical.",
        content={
            JSON: by_symbol(answers.CoverageSchema),
            CSV: table("each ticker, with how many gaps there are and days in them", COVERAGE_COLUMNS),
        },
        example=lambda market: {"symbol": [market.sample_symbols[0]]},
        sample=_coverage,
        headers=("X-Data-Source", "X-Renamed", "Content-Disposition"),
        errors=(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        path="/adjustments",
        tag="Reference",
        summary="Histories that a dividend or split has changed",
        description="What to download again: prices before `ex_date` are 1 / `ratio` of what they were.",
        query=schemas.AdjustmentsSchema,
        answer="Adjustments by day, then symbol.",
        content={JSON: answers.AdjustmentsAnswerSchema},
        errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Operation(
        path="/calendar",
        tag="Reference",
        summary="The sessions and holidays of a market",
        description=(
            "Every day with a session from `start_date` to `end_date`, and every Monday to Friday without one. At most "
            "3,660 days, from 1970 to 2100. The hours are those known today, for past years too."
        ),
        query=reference_schemas.CalendarSchema,
        answer="Sessions and holidays, ascending.",
        content={JSON: answers.CalendarAnswerSchema},
        example=lambda _: dict(zip(("start_date", "end_date"), map(str, _SAMPLE_DAYS), strict=True)),
        sample=_calendar,
    ),
    Operation(
        path="/clock",
        tag="Reference",
        summary="Whether a market is open now",
        description="And when it opens and closes next. The lunch break counts as closed.",
        query=reference_schemas.ClockSchema,
        answer="The state of the market.",
        content={JSON: answers.ClockSchema},
        is_conditional=False,
    ),
)

_SERVICE: Final = (
    Operation(
        path="/health",
        tag="Service",
        summary="What is stored, how fresh, and how the workers are",
        description="Cheap enough to be polled every second; 200 whatever it says.",
        answer="The report.",
        content={JSON: answers.HealthSchema},
        is_conditional=False,
    ),
    Operation(
        path="/livez",
        is_open=True,
        tag="Service",
        summary="Whether the process is up",
        description="Looks at nothing else.",
        answer="It is.",
        content={JSON: answers.LiveSchema},
        is_conditional=False,
    ),
    Operation(
        path="/readyz",
        is_open=True,
        tag="Service",
        summary="Whether queries of every market can be answered",
        description="A worker that is stale or dead is named and changes nothing: answers grow old, but are given.",
        answer="They can.",
        content={JSON: answers.ReadySchema},
        is_conditional=False,
        errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Operation(
        path="/metrics",
        is_for_operators=True,
        tag="Service",
        summary="Counters and gauges for Prometheus",
        description="Over all processes since the start of the server.",
        answer="Prometheus text, version 0.0.4.",
        content={"text/plain": TEXT},
        is_conditional=False,
        errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
)

_PAGES: Final = (
    Operation(
        path="/",
        is_open=True,
        tag="Pages",
        summary="Where to go from here",
        description="Browsers, who would rather have HTML, are led to the explorer; others get the endpoints.",
        answer="The paths of the API, and what each answers.",
        content={JSON: answers.StartSchema},
        redirect="To `/explorer`, with `Accept: text/html`.",
    ),
    Operation(
        path="/llms.txt",
        is_open=True,
        tag="Pages",
        summary="The same for language models",
        description="Short Markdown: what there is to ask for, and where it is described.",
        answer="The text.",
        content={"text/plain": TEXT},
    ),
    Operation(
        path="/openapi.json",
        is_open=True,
        tag="Pages",
        summary="This document",
        description="OpenAPI 3.1, made from the schemas that parse the parameters.",
        answer="The document.",
        content={JSON: {"type": "object"}},
    ),
    Operation(
        path="/docs",
        is_open=True,
        tag="Pages",
        summary="This document as a page that can be tried out",
        description="Swagger UI; it loads nothing from other hosts.",
        answer="The page.",
        content={"text/html": TEXT},
    ),
    Operation(
        path="/explorer",
        is_open=True,
        tag="Pages",
        summary="Charts, rankings and sectors as a page",
        description="It asks this API alone, and shows what it asked.",
        answer="The page.",
        content={"text/html": TEXT},
    ),
    Operation(
        path="/assets/<bundle>/<version>/<path:name>",
        is_open=True,
        tag="Pages",
        summary="Scripts, styles and pictures of the pages",
        description="The version changes with the content, so that browsers keep each for a year.",
        path_parameters={
            "bundle": "the page or library they belong to",
            "version": "a digest of the content",
            "name": "the file",
        },
        answer="The file.",
        content={"text/javascript": TEXT, "text/css": TEXT, "image/svg+xml": TEXT, "image/png": TEXT},
        example=lambda _: {"bundle": docs.OWN.name, "version": docs.OWN.version, "name": "docs.js"},
        errors=(HTTPStatus.NOT_FOUND,),
    ),
)

OPERATIONS: Final = (*_BARS, *ANALYSES, *UDF, MCP, *_SERVICE, *_PAGES)

OPEN_ROUTES: Final = frozenset(each.path for each in OPERATIONS if each.is_open)
OPERATOR_ROUTES: Final = frozenset(each.path for each in OPERATIONS if each.is_for_operators)
