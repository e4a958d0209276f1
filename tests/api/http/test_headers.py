"""The headers that every answer has, whoever made it."""

import pytest
from flask import Flask, Response

from stockapi.api.http import headers

POLICY = "Content-Security-Policy"


@pytest.fixture
def app() -> Flask:
    app = Flask("test")
    headers.install(app, [])
    app.add_url_rule("/plain", view_func=lambda: "")
    app.add_url_rule("/own", view_func=lambda: Response(headers={POLICY.lower(): "default-src 'self'"}), endpoint="own")
    return app


def test_every_answer_has_each_of_them_once(app: Flask) -> None:
    for path in ("/plain", "/nowhere"):
        names = [name for name, _ in app.test_client().get(path).headers]
        assert [name for name in names if name in headers._SECURITY_HEADERS] == list(headers._SECURITY_HEADERS)


def test_what_an_answer_says_itself_counts_in_whatever_case(app: Flask) -> None:
    found = app.test_client().get("/own").headers
    assert found.getlist(POLICY) == ["default-src 'self'"]
    assert found.getlist("X-Frame-Options") == ["DENY"]


@pytest.mark.parametrize(
    ("setting", "origin", "is_allowed"),
    [
        ("https://*.example.org", "https://app.example.org", True),
        ("https://*.example.org", "https://a.b.example.org", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "https://evilexample.org", False),
        ("https://*.example.org", "https://app.example.org.evil.net", False),
        ("https://*.example.org", "http://app.example.org", False),
        ("https://*.example.org", "https://evil.net/.example.org", False),
        ("http://localhost:*", "http://localhost:5173", True),
        ("http://localhost:*", "http://localhost", True),
        ("http://localhost:*", "http://localhost.evil.net:80", False),
        ("https://example.org", "https://example.org", True),
        ("https://example.org", "https://example.org.evil.net", False),
        ("https://example.org", "https://exampleXorg", False),
    ],
)
def test_origins_with_stars(setting: str, origin: str, is_allowed: bool) -> None:
    app = Flask("headers")
    headers.install(app, [setting])
    app.add_url_rule("/", view_func=lambda: "")
    answer = app.test_client().get("/", headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)
