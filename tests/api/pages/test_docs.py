"""GET /docs: the page, the files it names, and that none is elsewhere. What it does is in tests/browser."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from stockapi import create_app
from stockapi.api.pages import docs
from stockapi.api.pages.assets import static_file
from stockapi.config import Settings
from tests.support.stores import environment

ADDRESS = re.compile(r'(?:src|href)="([^"]+)"')


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(tmp_path))).test_client()


@pytest.fixture
def page(client: FlaskClient) -> TestResponse:
    return client.get("/docs")


def test_it_is_html_that_is_asked_for_each_time(client: FlaskClient, page: TestResponse) -> None:
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["Cache-Control"] == "max-age=0"
    assert client.get("/docs", headers={"If-None-Match": page.headers["ETag"]}).status_code == 304


def test_its_policy_allows_files_of_this_server_alone(page: TestResponse) -> None:
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "X-Content-Type-Options" in page.headers


def test_it_has_no_script_or_style_of_its_own(page: TestResponse) -> None:
    assert re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=|javascript:", page.text) == []


def test_every_file_it_names_is_there(client: FlaskClient, page: TestResponse) -> None:
    addresses = ADDRESS.findall(page.text)
    assert all(address.startswith("/") for address in addresses)
    assert {address.rpartition("/")[2] for address in addresses} == {
        *("swagger-ui.css", "swagger-ui-bundle.js"),
        *("docs.css", "docs.js", "icon.svg", "openapi.json"),
    }
    assert [client.get(address).status_code for address in addresses] == [200] * len(addresses)


def test_the_files_may_be_kept_for_a_year_and_come_compressed(client: FlaskClient) -> None:
    answer = client.get(docs.SWAGGER_UI.url("swagger-ui-bundle.js"), headers={"Accept-Encoding": "gzip, deflate, br"})
    assert answer.headers["Content-Encoding"] == "br"
    assert "immutable" in answer.headers["Cache-Control"]
    assert len(answer.data) < 450_000


def test_it_reads_this_servers_document_and_tells_nobody(client: FlaskClient) -> None:
    script = client.get(docs.OWN.url("docs.js")).text
    assert 'url: `${document.getElementById("swagger-ui").dataset.prefix}/openapi.json`' in script
    assert "validatorUrl: null" in script
    assert "http" not in script


def test_every_file_of_ours_is_served() -> None:
    served = {path.name for path in static_file("docs").iterdir()} - {"index.html"}
    assert served == set(docs.OWN._files)
