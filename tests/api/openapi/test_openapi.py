"""The document says what there is: every route, parameter, status and header, and nothing that is not."""

import inspect
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from stockapi import create_app
from stockapi.api.http.access import UNPROTECTED
from stockapi.api.openapi import document as openapi
from stockapi.api.openapi.operation import ErrorForm
from stockapi.api.openapi.operations import OPERATIONS, Operation
from stockapi.api.queries import analysis_schemas, reference_schemas, schemas, screener_schemas, udf_schemas
from stockapi.api.queries.parameters import EVERY_MARKET, ListParameter, Parameter, QuerySchema
from stockapi.constants import VERSION
from stockapi.markets import market_of
from tests.support import api_market
from tests.support.server import ROOT


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_app(api_market.fill(tmp_path_factory.mktemp("market")), clock=lambda: api_market.NOW)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def described(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][openapi.openapi_path(operation)][operation.method]
    return found


def fields_of(operation: Operation) -> dict[str, Any]:
    return operation.query(EVERY_MARKET).fields if operation.query else {}


PARAMETERS = [(each, name) for each in OPERATIONS for name in fields_of(each)]


def example_of(operation: Operation) -> dict[str, object]:
    return dict(operation.example(market_of(EVERY_MARKET[0])))


def each_example() -> Iterator[tuple[Operation, dict[str, object]]]:
    """Whole requests: the example of each operation, and with each further example of a parameter in its place."""
    document = openapi.document()
    for operation in OPERATIONS:
        yield operation, example_of(operation)
        for parameter in described(document, operation)["parameters"]:
            for example in parameter["schema"].get("examples", []):
                yield operation, with_example(operation, parameter["name"], example)


def with_example(operation: Operation, name: str, value: object) -> dict[str, object]:
    """The operation's example with another value of a parameter, and dates that go with it."""
    request = example_of(operation)
    if name in ("start_date", "end_date") and "date" in request:
        del request["date"]
        request["start_date"] = value
    return request | {name: value}


EXAMPLES = list(each_example())


def schemas_that_parse() -> set[type[QuerySchema]]:
    return {
        value
        for module in (schemas, analysis_schemas, reference_schemas, screener_schemas, udf_schemas)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, QuerySchema) and value.__module__ == module.__name__
    }


def path_of(operation: Operation) -> str:
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)
    return path.format(**{name: example_of(operation)[name] for name in operation.path_parameters})


def ask(client: FlaskClient, operation: Operation, example: dict[str, object]) -> Any:
    query = {name: value for name, value in example.items() if name not in operation.path_parameters}
    body = None if operation.body is None else operation.body[1]
    return client.open(path_of(operation), method=operation.method.upper(), query_string=query, json=body)


# What is in it


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_it_has_every_route_and_no_other(app: Flask) -> None:
    rules = sorted(rule.rule for rule in app.url_map.iter_rules())
    assert sorted(operation.path for operation in OPERATIONS) == rules


def test_it_has_every_schema_that_parses_parameters() -> None:
    assert {each.query for each in OPERATIONS if each.query} == schemas_that_parse()


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.query], ids=lambda each: each.path)
def test_it_has_every_parameter(document: dict[str, Any], operation: Operation) -> None:
    parameters = {each["name"]: each for each in described(document, operation)["parameters"]}
    assert list(parameters) == list(fields_of(operation))
    for name, field in fields_of(operation).items():
        shown = parameters[name]
        assert shown["in"] == "query"
        assert shown["required"] is field.required
        assert shown["description"] == field.metadata["description"]
        assert shown["schema"] == {key: value for key, value in field.metadata.items() if key != "description"}


@pytest.mark.parametrize(("operation", "name"), PARAMETERS, ids=lambda each: getattr(each, "path", each))
def test_the_route_parses_what_the_document_says_it_does(client: FlaskClient, operation: Operation, name: str) -> None:
    answer = ask(client, operation, example_of(operation) | {name: ["x" * 100, "y"]})
    assert answer.status_code == 400
    error = answer.json["errmsg" if operation.error_form is ErrorForm.UDF else "error"]
    assert re.search(rf"(^|; ){name} ('x|is given 2 times)", error)


@pytest.mark.parametrize(("operation", "name"), PARAMETERS, ids=lambda each: getattr(each, "path", each))
def test_a_default_in_the_document_is_the_one_that_holds(operation: Operation, name: str) -> None:
    field = fields_of(operation)[name]
    assert isinstance(field, Parameter)
    if "default" in field.metadata:
        assert field.deserialize([str(field.metadata["default"])], name) == field.load_default
    else:
        assert field.required or not field.load_default


@pytest.mark.parametrize(("operation", "name"), PARAMETERS, ids=lambda each: getattr(each, "path", each))
def test_every_name_of_a_choice_is_allowed(operation: Operation, name: str) -> None:
    field = fields_of(operation)[name]
    assert isinstance(field, Parameter)
    shown = field.metadata["items"] if isinstance(field, ListParameter) else field.metadata
    for text in shown.get("enum", ()):
        field.deserialize([str(text)], name)
    for bound in ("minimum", "maximum"):
        if bound in shown:
            field.deserialize([str(shown[bound])], name)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.path)
def test_every_route_is_described_in_full(document: dict[str, Any], operation: Operation) -> None:
    shown = described(document, operation)
    assert all(shown[key] for key in ("operationId", "tags", "summary", "description"))
    assert {"200", "414", "431", "500"} <= shown["responses"].keys()
    assert ("304" in shown["responses"]) is operation.is_conditional
    assert ("400" in shown["responses"]) is (operation.query is not None or operation.body is not None)
    assert ("requestBody" in shown) is (operation.body is not None) is (operation.method == "post")
    assert all(parameter["description"] for parameter in shown["parameters"])
    known_tags = {tag["name"] for tag in document["tags"]}
    assert set(shown["tags"]) <= known_tags


def test_names_of_operations_are_different(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


def test_its_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "stockapi.constants.VERSION"}
    assert openapi.document()["info"]["version"] == VERSION
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", VERSION)


def test_no_part_of_it_is_left_unused(document: dict[str, Any]) -> None:
    text = openapi._text(EVERY_MARKET, "", UNPROTECTED).decode()
    for kind, components in document["components"].items():
        assert [name for name in components if f'"#/components/{kind}/{name}"' not in text] == []


@pytest.mark.parametrize(("operation", "name"), PARAMETERS, ids=lambda each: getattr(each, "path", each))
def test_values_that_are_no_names_of_a_language_have_names(operation: Operation, name: str) -> None:
    """A generated client would call them VALUE_0."""
    shown = fields_of(operation)[name].metadata
    texts = [text for text in shown.get("enum", ()) if isinstance(text, str)]
    names = shown.get("x-enum-varnames", texts)
    assert all(each.isidentifier() for each in names)
    assert len(set(names)) == len(texts)


# What is in it is so


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for operation in OPERATIONS:
        for media_type, body in described(document, operation)["responses"]["200"]["content"].items():
            yield f"{operation.path} {media_type}", body
        for media_type, body in described(document, operation).get("requestBody", {}).get("content", {}).items():
            yield f"to {operation.path} {media_type}", body
    for name, answer in document["components"]["responses"].items():
        yield name, answer["content"]["application/json"]


def test_every_sample_of_a_body_fits_its_schema(document: dict[str, Any]) -> None:
    samples = {name: body for name, body in bodies(document) if "example" in body}
    assert {"/tickers application/json", "to /mcp application/json", "Error400"} <= samples.keys()
    for name, body in samples.items():
        schema = body["schema"] | {"components": document["components"]}
        assert [error.message for error in OAS31Validator(schema).iter_errors(body["example"])] == [], name


@pytest.mark.parametrize(("operation", "example"), EXAMPLES, ids=lambda each: getattr(each, "path", None))
def test_every_example_is_answered(client: FlaskClient, operation: Operation, example: dict[str, object]) -> None:
    answer = ask(client, operation, example)
    assert answer.status_code == 200, answer.text
    assert answer.mimetype in operation.content


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.path)
def test_an_answer_that_may_be_kept_has_a_tag_and_the_others_say_so(client: FlaskClient, operation: Operation) -> None:
    answer = ask(client, operation, example_of(operation))
    again = client.get(answer.request.full_path, headers={"If-None-Match": answer.headers.get("ETag", '"-"')})
    assert ("ETag" in answer.headers, again.status_code == 304) == (operation.is_conditional, operation.is_conditional)
    assert ("no-store" in answer.headers["Cache-Control"]) is not operation.is_conditional


# How it is served


def test_it_is_json_that_may_be_kept_for_a_while(client: FlaskClient, document: dict[str, Any]) -> None:
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "max-age=300"
    assert answer.json == document


def test_it_comes_compressed(client: FlaskClient) -> None:
    plain = client.get("/openapi.json")
    small = client.get("/openapi.json", headers={"Accept-Encoding": "br"})
    assert small.headers["Content-Encoding"] == "br"
    assert len(small.data) < len(plain.data) / 3


def test_it_is_made_once(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/openapi.json")
    monkeypatch.setattr(openapi, "OPERATIONS", ())
    assert client.get("/openapi.json").data == first.data
