"""Bad requests get exactly the answer that the table in `bad_requests` gives for them."""

import json
import re
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.api.queries import parameters
from stockapi.models import Mode
from tests.support.bad_requests import ANY_TEXT, COMBINED, LANGUAGES, ROUTES, BadRequest, all_requests, of_parameter
from tests.support.server import running_server
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

PARAMETERS = [(route, base, name) for route, base, kinds in ROUTES for name in kinds]
KINDS = {(route, base, name): kind for route, base, kinds in ROUTES for name, kind in kinds.items()}


def fill(stores: Stores) -> None:
    for mode in Mode:
        stores.save("VCB", make_bars(5, mode=mode), mode=mode)


def groups_file(directory: Path) -> str:
    file = directory / "groups.json"
    file.write_text('{"BANKS": ["VCB"], "STEEL": ["HPG"]}')
    return str(file)


@pytest.fixture
def client(make_stores: MakeStores, tmp_path: Path) -> FlaskClient:
    stores = make_stores(TICKER_GROUPS_FILE=groups_file(tmp_path))
    fill(stores)
    stores.db_manager.close()
    return create_app(stores.settings, clock=lambda: NOW).test_client()


def wrong_answers(client: FlaskClient, requests: list[BadRequest]) -> list[str]:
    """What is not as the table has it."""
    problems = []
    for request in requests:
        answer = client.get(request.url)
        expected = (request.status, request.body, "application/json", "no-store")
        found = (answer.status_code, answer.json, answer.mimetype, answer.headers.get("Cache-Control"))
        if found != expected:
            problems.append(f"{request.url}\n  got      {found}\n  expected {expected}")
    return problems


@pytest.mark.parametrize(("route", "base", "name"), PARAMETERS)
def test_every_wrong_value_of_every_parameter(client: FlaskClient, route: str, base: str, name: str) -> None:
    requests = list(of_parameter(route, base, name, KINDS[route, base, name]))
    assert len(requests) > 40
    assert wrong_answers(client, requests) == []


def test_parameters_that_do_not_go_together(client: FlaskClient) -> None:
    assert wrong_answers(client, [BadRequest(route, query, 400, error) for route, query, error in COMBINED]) == []


def test_the_table_has_every_parameter_of_every_route(client: FlaskClient) -> None:
    """So that a new one is put into the table too; /openapi.json lists what there is."""
    paths = client.get("/openapi.json").json["paths"]  # type: ignore[index]
    described = {
        (path, parameter["name"])
        for path, operations in paths.items()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    assert described - ANY_TEXT - LANGUAGES == {(route, name) for route, _, name in PARAMETERS}


def test_the_table_is_large_and_has_nothing_twice() -> None:
    table = all_requests()
    assert len(table) > 2_000
    assert len({request.url for request in table}) == len(table)


@pytest.mark.parametrize(
    "query", ["x=1", "symbols=", "LIMIT=", "__proto__=1", "_=17", "fbclid=x", "=", "&&", ";", "symbol%5B%5D="]
)
def test_a_parameter_that_there_is_not_is_ignored(client: FlaskClient, query: str) -> None:
    assert client.get(f"/tickers?{query}").json == client.get("/tickers").json


@pytest.mark.slow
def test_a_sample_of_the_table_over_the_wire(make_stores: MakeStores, tmp_path: Path) -> None:
    """gunicorn in between changes nothing; and none of it leaves a control character in the log."""
    stores = make_stores()
    fill(stores)
    stores.db_manager.close()
    variables = environment(tmp_path, TICKER_GROUPS_FILE=groups_file(tmp_path))
    problems = []
    with running_server(tmp_path, variables) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        for request in all_requests()[::17]:
            connection.request("GET", request.url)
            with connection.getresponse() as response:
                found = (response.status, json.loads(response.read()))
            if found != (request.status, request.body):
                problems.append((request.url, found))
        connection.close()
        assert problems == []
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", server.log)
        assert "Traceback" not in server.log


# The table finds a parser that was made lax


@pytest.fixture
def parsed_anew() -> Iterator[None]:
    """What a lax parser takes must not be remembered, nor what a strict one took."""
    parameters._remembered.cache_clear()
    yield
    parameters._remembered.cache_clear()


def lax_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "parse_symbol", str.upper)


def lax_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stockapi.models.literals._WHOLE", re.compile(r"\s*[+-]?[\d_]+\s*"))


def lax_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters.Parameter, "longest", 10_000)


def lax_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stockapi.models.timestamps._DATE", re.compile(r"\d{4}-?\d{2}-?\d{2}\s*"))


@pytest.mark.usefixtures("parsed_anew")
@pytest.mark.parametrize(
    ("name", "make_lax"),
    [("symbol", lax_symbol), ("limit", lax_whole), ("limit", lax_length), ("start_date", lax_moment)],
)
def test_a_lax_parser_is_found(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, name: str, make_lax: Callable[[pytest.MonkeyPatch], None]
) -> None:
    make_lax(monkeypatch)
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    assert wrong_answers(client, list(of_parameter("/tickers", "", name, KINDS["/tickers", "", name]))) != []
