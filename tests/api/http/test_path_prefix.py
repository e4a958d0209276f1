"""Under the path prefix of a proxy: links, redirects and the document have it, and a bad one gets nowhere."""

import re
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.config import Settings
from stockapi.errors import ConfigError
from stockapi.models.literals import ALLOWED_PATH_PREFIX
from tests.support.prefix_proxy import served_under
from tests.support.server import running_server
from tests.support.stores import environment

HEADER = "X-Forwarded-Prefix"
LINK = re.compile(r'(?:href|src)="(/[^"]*)"')
GOOD = ["/markets", "/a/b/c", "/v1.2", "/~me", "/_x-y", "/...", "/docs2", "/" + "a" * 199]
BAD = [
    *("markets", "//evil.example", "//", "/a//b", "/..", "/a/../b", "/.", "/a/./b", "https://evil.example", "/a b"),
    *(
        '/"><script>alert(1)</script>',
        "/a'b",
        "/a?b",
        "/a#b",
        "/a%2e",
        "/a%0d%0aX: y",
        "/\\evil.example",
        "/a;b",
        "/a,/b",
    ),
    *("/\u00e1", "/{{ 7 * 7 }}", "/@evil.example", "/a:b", "/" + "a" * 200, "javascript:alert(1)", "\t/a"),
]


def client_of(directory: Path, **variables: str) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory, **variables))).test_client()


def assert_served_under(prefix: str, client: FlaskClient, **how: Any) -> None:
    """How a request comes is in `how`, but for its path."""
    for page in ("/explorer", "/docs"):
        links = LINK.findall(client.get(page, **how).text)
        assert len(links) > 3
        assert [link for link in links if not link.startswith(f"{prefix}/")] == []
        scripts = [link for link in links if link.endswith(".js")]
        # Each of them is there, once the prefix is taken off.
        assert {client.get(link.removeprefix(prefix), **how).status_code for link in scripts} == {200}
    assert f'data-prefix="{prefix}"' in client.get("/explorer", **how).text
    assert f'data-prefix="{prefix}"' in client.get("/docs", **how).text
    document = client.get("/openapi.json", **how).json
    assert [server["url"] for server in document["servers"]] == [prefix or "/"]
    assert f"[Explorer]({prefix}/explorer)" in document["info"]["description"]
    assert start(client, "text/html", **how).headers["Location"] == f"{prefix}/explorer"
    assert f"{prefix}/tickers" in start(client, "*/*", **how).json["endpoints"]


def start(client: FlaskClient, accept: str, headers: dict[str, str] | None = None, **how: Any) -> Any:
    return client.get("/", headers={**(headers or {}), "Accept": accept}, **how)


@pytest.mark.parametrize("prefix", ["", *GOOD])
def test_of_the_setting(tmp_path: Path, prefix: str) -> None:
    client = client_of(tmp_path, SCRIPT_NAME=prefix)
    assert_served_under(prefix, client)
    for path in ("/tickers/group", "/livez", "/explorer", "/docs"):  # a proxy may leave it in the path
        assert client.get(prefix + path).status_code == 200
    if prefix:
        assert client.get(prefix, headers={"Accept": "text/html"}).headers["Location"] == f"{prefix}/explorer"
        assert client.get(f"{prefix}x/livez").status_code == 404


@pytest.mark.parametrize("prefix", ["/markets", "/a/b"])
def test_of_the_wsgi_server(tmp_path: Path, prefix: str) -> None:
    assert_served_under(prefix, client_of(tmp_path), environ_overrides={"SCRIPT_NAME": prefix})


@pytest.mark.parametrize("prefix", GOOD)
def test_of_a_trusted_proxy(tmp_path: Path, prefix: str) -> None:
    client = client_of(tmp_path, TRUST_FORWARDED_PREFIX="true")
    for text in (prefix, f"{prefix}/") if len(prefix) < 200 else (prefix,):
        assert_served_under(prefix, client, headers={HEADER: text})
    assert_served_under("", client)
    assert_served_under("", client, headers={HEADER: "/"})


def test_a_trusted_header_comes_before_the_setting(tmp_path: Path) -> None:
    client = client_of(tmp_path, SCRIPT_NAME="/inner", TRUST_FORWARDED_PREFIX="true")
    assert_served_under("/outer/inner", client, headers={HEADER: "/outer/inner"})
    assert_served_under("/inner", client)


def test_gunicorn_takes_the_prefix_as_the_proxy_sends_it(tmp_path: Path) -> None:
    """gunicorn itself reads SCRIPT_NAME too, and would refuse every other path."""
    with running_server(tmp_path, {"SCRIPT_NAME": "/markets", "WEB_CONCURRENCY": "1"}) as server:
        for strips in (True, False):
            with served_under(server, "/markets", strips=strips) as proxied:
                for path in ("/livez", "/docs", "/explorer"):
                    with urlopen(f"{proxied.url}{path}") as answer:
                        links = LINK.findall(answer.read().decode())
                    assert all(link.startswith("/markets/") for link in links)
                with urlopen(Request(f"{proxied.url}/", headers={"Accept": "text/html"})) as answer:
                    assert answer.url == f"{proxied.url}/explorer"
        assert "SCRIPT_NAME" not in server.log


@pytest.mark.parametrize("text", ["/markets", *BAD])
def test_a_header_nobody_trusts_changes_nothing(tmp_path: Path, text: str) -> None:
    client = client_of(tmp_path)
    headers = {HEADER: text.encode().decode("latin-1")}
    for path in ("/explorer", "/docs", "/openapi.json", "/tickers/group", "/"):
        plain, other = client.get(path), client.get(path, headers=headers)
        assert (other.status_code, other.data, other.headers["Vary"]) == (
            plain.status_code,
            plain.data,
            plain.headers["Vary"],
        )


@pytest.mark.parametrize("text", BAD)
def test_a_trusted_header_that_is_no_prefix_is_an_error_everywhere(tmp_path: Path, text: str) -> None:
    client = client_of(tmp_path, TRUST_FORWARDED_PREFIX="1")
    for path in ("/explorer", "/docs", "/openapi.json", "/tickers/group", "/", "/nowhere"):
        answer = client.get(path, headers={HEADER: text.encode().decode("latin-1"), "Accept": "text/html"})
        assert (answer.status_code, answer.mimetype) == (400, "application/json")
        assert answer.json["error"].startswith(f"{HEADER} ")
        assert "Location" not in answer.headers


@pytest.mark.parametrize("text", BAD)
def test_a_setting_that_is_no_prefix_stops_the_start(tmp_path: Path, text: str) -> None:
    if text == text.strip() and text != "//":
        with pytest.raises(ConfigError, match=re.escape(f"is not allowed; allowed: {ALLOWED_PATH_PREFIX}")):
            Settings.from_mapping(environment(tmp_path, SCRIPT_NAME=text))


def test_caches_keep_the_pages_of_different_prefixes_apart(tmp_path: Path) -> None:
    client = client_of(tmp_path, TRUST_FORWARDED_PREFIX="true")
    for path in ("/explorer", "/docs", "/openapi.json", "/", "/tickers/group"):
        assert HEADER in client.get(path).headers["Vary"]
    assert HEADER not in client_of(tmp_path).get("/explorer").headers.get("Vary", "")


@pytest.mark.parametrize(
    ("accept", "is_led"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("text/*", True),
        ("text/html, application/json;q=0.9", True),
        ("TEXT/HTML;q=0.9, */*;q=0.1", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0", False),
        ("text/plain, */*;q=0.1", False),
        ("nonsense", False),
    ],
)
def test_the_first_page_is_the_explorer_for_browsers_and_a_list_for_others(
    tmp_path: Path, accept: str, is_led: bool
) -> None:
    answer = client_of(tmp_path).get("/", headers={"Accept": accept} if accept else {})
    assert "Accept" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "max-age=300"
    if is_led:
        assert (answer.status_code, answer.headers["Location"], answer.data) == (302, "/explorer", b"")
    else:
        assert answer.status_code == 200
        assert answer.json["endpoints"]["/tickers"] == "Bars of one, several or all tickers"
        assert not any("<" in path for path in answer.json["endpoints"])
