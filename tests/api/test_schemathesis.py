"""Requests made up from /openapi.json, those it allows and those it does not: every answer is as it says.

2,000 cases and more, the same in every run.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import schemathesis
from flask import Flask, Response
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stockapi import create_app
from stockapi.api.openapi import document
from tests.support import api_market

DOCUMENT = document.document()
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
HEADERS_OF_ALL = {
    "Content-Type",
    "Content-Length",
    "Cache-Control",
    "Vary",
    "X-Content-Type-Options",
    "Content-Security-Policy",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cross-Origin-Resource-Policy",
}
"""What every answer may have; all other headers are to be in the document."""

ANY = GenerationMode.POSITIVE, {}
WRONG = GenerationMode.NEGATIVE, {}
OF_A_TICKER = GenerationMode.POSITIVE, {"symbol": "VCB"}
OF_DAYS = GenerationMode.POSITIVE, {"symbol": "VCB", "start_date": "2024-01-31"}
OF_A_CONDITION = GenerationMode.POSITIVE, {"where": "close>ma50 and rsi14<60"}

CASES: list[tuple[str, tuple[GenerationMode, Mapping[str, str]], int]] = [
    ("/tickers", ANY, 150),
    ("/tickers", OF_A_TICKER, 200),
    ("/tickers", WRONG, 250),
    ("/tickers/group", WRONG, 50),
    ("/tickers/names", WRONG, 50),
    ("/tickers/search", ANY, 60),
    ("/tickers/search", WRONG, 40),
    ("/tickers/info", ANY, 30),
    ("/tickers/snapshot", ANY, 40),
    ("/tickers/coverage", ANY, 60),
    ("/tickers/coverage", OF_A_TICKER, 100),
    ("/tickers/coverage", WRONG, 100),
    ("/adjustments", ANY, 60),
    ("/adjustments", WRONG, 100),
    ("/calendar", ANY, 30),
    ("/calendar", WRONG, 50),
    ("/clock", WRONG, 20),
    ("/analysis/top-performers", ANY, 150),
    ("/analysis/top-performers", WRONG, 150),
    ("/analysis/ma-scores-by-sector", ANY, 150),
    ("/analysis/ma-scores-by-sector", WRONG, 150),
    ("/analysis/rrg", ANY, 100),
    ("/analysis/rrg", WRONG, 100),
    ("/analysis/screener", OF_A_CONDITION, 100),
    ("/analysis/screener", WRONG, 60),
    ("/analysis/volume-profile", ANY, 50),
    ("/analysis/volume-profile", OF_DAYS, 150),
    ("/analysis/volume-profile", WRONG, 100),
    ("/udf/symbols", ANY, 30),
    ("/udf/symbols", WRONG, 30),
    ("/udf/search", ANY, 30),
    ("/udf/history", OF_A_TICKER, 100),
    ("/udf/history", WRONG, 60),
    ("/udf/quotes", ANY, 30),
    ("/assets/{bundle}/{version}/{name}", ANY, 40),
]
"""Path, what to ask for, how often. A route without a query has one case only."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_app(api_market.fill(tmp_path_factory.mktemp("market")), clock=lambda: api_market.NOW)


@pytest.fixture(scope="module")
def schema(app: Flask) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


def answered(
    operation: APIOperation[Any, Any, Any, Any],
    cases: int,
    mode: GenerationMode = GenerationMode.POSITIVE,
    query: Mapping[str, str] | None = None,
) -> list[int]:
    """The status of each of up to `cases` made-up requests.

    :raises FailureGroup: when an answer is not as the document says.
    """
    statuses = []

    @settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode, query=dict(query or {})))
    def ask(case: Case) -> None:
        answer = case.call(headers={"Accept-Encoding": "identity"})
        case.validate_response(answer, checks=CHECKS)
        assert undocumented_headers(case, answer) == []
        statuses.append(answer.status_code)

    ask()
    return statuses


def undocumented_headers(case: Case, answer: schemathesis.Response) -> list[str]:
    described = DOCUMENT["paths"][case.operation.path][case.method.lower()]["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    known = {name.lower() for name in (*HEADERS_OF_ALL, *described.get("headers", ()))}
    return [name for name in answer.headers if name.lower() not in known]


def name_of(case: tuple[str, tuple[GenerationMode, Mapping[str, str]], int]) -> str:
    path, (mode, query), _ = case
    return "-".join([path, mode.value, *query])


@pytest.mark.long
@pytest.mark.parametrize(("path", "kind", "cases"), CASES, ids=[name_of(each) for each in CASES])
def test_answers_are_as_documented(
    schema: schemathesis.BaseSchema,
    path: str,
    kind: tuple[GenerationMode, Mapping[str, str]],
    cases: int,
) -> None:
    mode, query = kind
    statuses = answered(schema[path]["GET"], cases, mode, query)
    assert len(statuses) >= cases
    if kind in (OF_A_TICKER, OF_DAYS, OF_A_CONDITION):
        assert statuses.count(200) > cases / 10


def test_there_are_two_thousand_cases() -> None:
    assert sum(cases for _, _, cases in CASES) >= 2_000


def test_every_route_answers_as_documented(schema: schemathesis.BaseSchema) -> None:
    for found in schema.get_all_operations():
        operation = found.ok()
        assert answered(operation, 5), operation.path


# That it can fail


def with_status(status: int) -> Response:
    return Response(b'{"error":"x"}', status, content_type="application/json")


def healthy(**changes: Any) -> Response:
    response = Response(b'{"NGAN_HANG":["VCB"]}', content_type="application/json")
    response.headers.update({"ETag": '"1"', "Cache-Control": "max-age=300"} | changes)
    return response


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda: healthy(), None),
        (lambda: with_status(500), "Server error"),
        (lambda: with_status(418), "Undocumented status code"),
        (lambda: healthy(**{"Content-Type": "text/html"}), "Undocumented Content-Type"),
        (lambda: Response(b"[]", headers=dict(healthy().headers)), "Response violates schema"),
        (lambda: Response(b'{"A":["VCB",1]}', headers=dict(healthy().headers)), "Response violates schema"),
        (lambda: Response(b"{", headers=dict(healthy().headers)), "JSON deserialization error"),
        (lambda: Response(b"{}", content_type="application/json"), "Missing required response headers"),
        (lambda: healthy(**{"X-Other": "1"}), "x-other"),
    ],
    ids=["healthy", "500", "418", "HTML", "list", "number", "torn", "bare", "header"],
)
def test_an_answer_that_is_not_as_documented_is_found(
    app: Flask, answer: Callable[[], Response], found: str | None
) -> None:
    broken = create_app(app.extensions["stockapi"].settings, clock=lambda: api_market.NOW)
    broken.view_functions["groups.tickers_by_group"] = answer
    operation = schemathesis.openapi.from_wsgi("/openapi.json", broken)["/tickers/group"]["GET"]
    if found is None:
        assert answered(operation, 1) == [200]
        return
    with pytest.raises((FailureGroup, AssertionError)) as caught:
        answered(operation, 1)
    shown = caught.value.exceptions if isinstance(caught.value, FailureGroup) else [caught.value]
    assert any(found in f"{getattr(each, 'title', '')} {each}" for each in shown)
