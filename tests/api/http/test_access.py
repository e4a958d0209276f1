"""Keys and limits: who is let in, what is counted for whom, and what the headers say."""

import logging
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from stockapi import create_app
from stockapi.api.http import access
from stockapi.api.openapi.operations import OPEN_ROUTES, OPERATIONS, OPERATOR_ROUTES
from stockapi.config import Settings
from stockapi.errors import ConfigError
from stockapi.services.status.health import OPEN_FIELDS
from tests.support.stores import environment

ANNA, BOB, OPERATOR, WRONG = "anna-key", "bob-key", "operator-key", "wrong-key-7f3a"
DATA = (
    "/tickers",
    "/tickers/search?q=vcb",
    "/analysis/top-performers",
    "/udf/time",
    "/udf/nothing",
    "/nowhere",
    "/health",
)
OPEN = ("/", "/livez", "/readyz", "/docs", "/explorer", "/openapi.json", "/livez/")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def in_header(key: str) -> dict[str, str]:
    return {"X-API-Key": key}


def key_line(name: str, key: str, more: str = "") -> str:
    return f"{name} {sha256(key.encode()).hexdigest()} {more}\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The settings of both files of keys."""
    (tmp_path / "keys").write_text(key_line("anna", ANNA) + key_line("bob", BOB, "2"))
    (tmp_path / "operators").write_text(key_line("prometheus", OPERATOR, "0"))
    return {"API_KEYS_FILE": str(tmp_path / "keys"), "OPERATOR_KEYS_FILE": str(tmp_path / "operators")}


def client_of(directory: Path, **variables: str) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory, **variables))).test_client()


def only(files: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: files[name] for name in names}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    directory = tmp_path_factory.mktemp("guarded")
    (directory / "keys").write_text(key_line("anna", ANNA))
    return client_of(directory, API_KEYS_FILE=str(directory / "keys"))


# Without settings


def test_without_settings_nothing_is_installed(tmp_path: Path) -> None:
    client = client_of(tmp_path, TRUSTED_PROXIES="1")
    assert [
        each.__module__ for each in client.application.before_request_funcs[None] if "access" in each.__module__
    ] == []
    for headers in ({}, bearer(WRONG)):
        answer = client.get("/clock", headers=headers)
        assert answer.status_code == 200
        assert not {"RateLimit", "RateLimit-Policy", "WWW-Authenticate"} & {*answer.headers.keys()}
        assert "private" not in answer.headers["Cache-Control"]


# Keys


def test_data_needs_a_key(tmp_path: Path, files: dict[str, str]) -> None:
    client, plain = client_of(tmp_path, **only(files, "API_KEYS_FILE")), client_of(tmp_path)
    for path in DATA:
        without = client.get(path)
        assert without.status_code == 401, path
        assert without.headers["WWW-Authenticate"] == 'Bearer realm="stockapi"'
        assert without.headers["Cache-Control"] == "no-store"
        text = (without.json or {})["errmsg" if path.startswith("/udf") else "error"]
        assert text == "this needs a key; allowed: a header Authorization: Bearer <key>, or X-API-Key: <key>"
        for wrong in (bearer(WRONG), in_header(WRONG), bearer(f"{ANNA}x"), bearer(f"{ANNA} {ANNA}"), in_header("\xe1")):
            refused = client.get(path, headers=wrong)
            assert refused.status_code == 401, (path, wrong)
            assert refused.headers["WWW-Authenticate"] == 'Bearer realm="stockapi", error="invalid_token"'
        expected = plain.get(path).status_code
        for right in (bearer(ANNA), in_header(ANNA), {"Authorization": f"bEARER  {ANNA} "}):
            assert client.get(path, headers=right).status_code == expected, (path, right)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Basic eDp5", "X-API-Key": ANNA}, 200),  # a proxy's own password
        ({"Authorization": f"Basic {ANNA}"}, 401),
        ({"Authorization": ANNA}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"X-API-Key": ""}, 401),
        ({"Authorization": f"Bearer {WRONG}", "X-API-Key": ANNA}, 401),
        ({"Authorization": f"Bearer {ANNA}", "X-API-Key": WRONG}, 200),
        ({"X-API-Key": f"{ANNA},{ANNA}"}, 401),
        ({"Cookie": f"key={ANNA}"}, 401),
    ],
)
def test_one_header_has_the_key(headers: dict[str, str], status: int, guarded: FlaskClient) -> None:
    assert guarded.get("/clock", headers=headers).status_code == status


@pytest.mark.parametrize("query", [f"key={ANNA}", f"api_key={ANNA}", f"apikey={ANNA}", f"access_token={ANNA}"])
def test_a_key_in_the_query_is_none(query: str, guarded: FlaskClient) -> None:
    assert guarded.get(f"/clock?{query}").status_code == 401


def test_a_key_outside_ascii_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(key_line("anna", "kh\u00f3a"))
    client = client_of(tmp_path, API_KEYS_FILE=str(tmp_path / "keys"))
    assert client.get("/clock", headers=in_header("kh\u00f3a".encode().decode("latin-1"))).status_code == 200


def test_pages_and_probes_are_open_and_not_counted(tmp_path: Path, files: dict[str, str]) -> None:
    client, plain = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="1", **files), client_of(tmp_path)
    for path in (*OPEN, *OPEN):
        answer, expected = client.get(path), plain.get(path)
        assert answer.status_code == expected.status_code, path
        assert {*answer.headers.keys()} == {*expected.headers.keys()}, path
        assert answer.headers["Cache-Control"] == expected.headers["Cache-Control"], path


def test_the_files_of_pages_are_open() -> None:
    assert {each.path for each in OPERATIONS if each.path.startswith("/assets")} <= OPEN_ROUTES
    assert not OPEN_ROUTES & OPERATOR_ROUTES


def test_only_get_and_head_of_a_route_are_open(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, **files)
    assert [client.open("/livez", method=method).status_code for method in ("HEAD", "OPTIONS", "POST")] == [
        200,
        200,
        401,
    ]


def test_a_preflight_needs_no_key_and_lets_the_headers_in(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, CORS_ORIGINS="https://example.org", RATE_LIMIT_PER_MINUTE="1", **files)
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    for _ in range(3):
        names = "authorization, x-api-key"
        answer = client.options("/tickers", headers={**asked, "Access-Control-Request-Headers": names})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Headers"] == names
    refused = client.get("/tickers", headers=asked)
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://example.org", "the page may read why"
    exposed = refused.headers["Access-Control-Expose-Headers"]
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= {*exposed.split(", ")}


def test_answers_to_keys_are_for_no_shared_cache(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, **only(files, "API_KEYS_FILE"))
    first = client.get("/calendar", headers=in_header(ANNA))
    again = client.get("/calendar", headers={**in_header(ANNA), "If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    for answer in (first, again):
        assert answer.cache_control.private
        assert answer.cache_control.max_age is not None


def test_a_key_that_is_taken_out_of_the_file_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, **files)
    assert client.get("/clock", headers=bearer(ANNA)).status_code == 200
    (tmp_path / "keys").write_text(key_line("bob", BOB))
    assert [client.get("/clock", headers=bearer(key)).status_code for key in (ANNA, BOB)] == [401, 200]


@pytest.mark.parametrize("variable", ["API_KEYS_FILE", "OPERATOR_KEYS_FILE"])
def test_a_bad_file_refuses_to_start(variable: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"anna {ANNA}")
    with pytest.raises(ConfigError) as caught:
        client_of(tmp_path, **{variable: str(tmp_path / "keys")})
    assert str(caught.value).startswith(f"{variable}='{tmp_path}/keys' is not allowed: line 1 is no key")
    assert ANNA not in str(caught.value)
    with pytest.raises(
        ConfigError, match=f"{variable}='.*missing' is not allowed; allowed: the path of an existing file"
    ):
        client_of(tmp_path, **{variable: str(tmp_path / "missing")})


# Operators


@pytest.mark.parametrize(
    ("names", "key", "metrics", "health", "bars"),
    [
        (["API_KEYS_FILE"], None, 401, 401, 401),
        (["API_KEYS_FILE"], ANNA, 200, "long", 200),
        (["API_KEYS_FILE"], OPERATOR, 401, 401, 401),
        (["OPERATOR_KEYS_FILE"], None, 401, "short", 200),
        (["OPERATOR_KEYS_FILE"], WRONG, 401, "short", 200),
        (["OPERATOR_KEYS_FILE"], ANNA, 401, "short", 200),
        (["OPERATOR_KEYS_FILE"], OPERATOR, 200, "long", 200),
        (["API_KEYS_FILE", "OPERATOR_KEYS_FILE"], None, 401, 401, 401),
        (["API_KEYS_FILE", "OPERATOR_KEYS_FILE"], ANNA, 401, "short", 200),
        (["API_KEYS_FILE", "OPERATOR_KEYS_FILE"], OPERATOR, 200, "long", 200),
    ],
)
def test_who_sees_what(
    names: list[str], key: str | None, metrics: int, health: int | str, bars: int, tmp_path: Path, files: dict[str, str]
) -> None:
    client, headers = client_of(tmp_path, **only(files, *names)), bearer(key) if key else {}
    assert client.get("/metrics", headers=headers).status_code == metrics
    assert client.get("/clock", headers=headers).status_code == bars
    report = client.get("/health", headers=headers)
    if isinstance(health, int):
        assert report.status_code == health
    else:
        assert ({*(report.json or {})} == {*OPEN_FIELDS}) is (health == "short")
        assert ("vn_data.db" in report.text) is (health == "long")


def test_metrics_say_whose_key_they_need(tmp_path: Path, files: dict[str, str]) -> None:
    refused = client_of(tmp_path, **files).get("/metrics", headers=bearer(ANNA))
    assert (refused.json or {})["error"].startswith("this needs an operator's key; allowed: ")


# Limits


def statuses(client: FlaskClient, count: int, headers: Mapping[str, str], **how: Any) -> list[int]:
    return [client.get("/clock", headers=headers, **how).status_code for _ in range(count)]


def test_each_key_has_its_own_limit(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="3", **files)
    assert statuses(client, 4, bearer(ANNA)) == [200, 200, 200, 429]
    assert statuses(client, 3, in_header(BOB)) == [200, 200, 429], "its line says 2"
    assert statuses(client, 9, bearer(OPERATOR)) == [200] * 9, "its line says 0"
    assert statuses(client, 1, in_header(ANNA)) == [429], "whichever header it is in"


def test_a_line_alone_may_have_a_limit(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, **only(files, "API_KEYS_FILE"))
    assert statuses(client, 3, bearer(BOB)) == [200, 200, 429]
    assert statuses(client, 3, bearer(ANNA)) == [200] * 3


def test_what_the_headers_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="2")
    expected = [(5, 200, 1, 60), (17.5, 200, 0, 48), (64.2, 429, 0, 1), (64.999, 429, 0, 1), (65, 200, 1, 60)]
    for second, status, left, until in expected:
        now = int(second * 1e9)
        answer = client.get("/clock")
        assert answer.status_code == status
        assert answer.headers["RateLimit-Policy"] == '"default";q=2;w=60'
        assert answer.headers["RateLimit"] == f'"default";r={left};t={until}'
        assert answer.headers.get("Retry-After") == (str(until) if status == 429 else None)
        if status == 429:
            text = "too many requests; allowed: 2 a minute; the next one in 1 second"
            assert (answer.json, answer.headers["Cache-Control"]) == ({"error": text}, "no-store")


def test_every_answer_counts_and_says_so(tmp_path: Path) -> None:
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="9")
    tag = client.get("/calendar").headers["ETag"]
    asked = [
        client.get("/calendar", headers={"If-None-Match": tag}),
        client.head("/clock"),
        client.get("/clock?mode=none"),
        client.get("/nowhere"),
        client.post("/clock"),
        client.get("/metrics"),
        client.get("/udf/history"),
    ]
    assert [each.status_code for each in asked] == [304, 200, 400, 404, 405, 200, 400]
    assert [each.headers["RateLimit"] for each in asked] == [f'"default";r={left};t=60' for left in range(7, 0, -1)]


def test_udf_has_its_own_form_of_a_refusal(tmp_path: Path) -> None:
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="1")
    first, second = client.get("/udf/time"), client.get("/udf/time")
    assert (first.status_code, second.status_code) == (200, 429)
    assert [*(second.json or {})] == ["s", "errmsg"]


def test_who_tries_keys_is_counted_by_address(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="3", **files)
    tried = [client.get("/clock", headers=bearer(f"guess-{number}")).status_code for number in range(5)]
    assert tried == [401, 401, 401, 429, 429]
    assert statuses(client, 1, bearer(ANNA)) == [200], "who has a key at this address goes on"


# Addresses

V6 = "2001:db8:1:2"


@pytest.mark.parametrize(
    ("proxies", "first", "second", "same"),
    [
        (0, ("192.0.2.1", None), ("192.0.2.1", None), True),
        (0, ("192.0.2.1", None), ("192.0.2.2", None), False),
        (0, (f"{V6}::1", None), (f"{V6}:ffff::2", None), True),
        (0, (f"{V6}::1", None), ("2001:db8:1:3::1", None), False),
        (0, ("::ffff:192.0.2.1", None), ("192.0.2.1", None), True),
        (0, ("::ffff:192.0.2.1", None), ("::ffff:192.0.2.2", None), False),
        (0, ("192.0.2.1", "198.51.100.1"), ("192.0.2.1", "198.51.100.2"), True),  # nobody is trusted
        (1, ("192.0.2.1", "198.51.100.1"), ("192.0.2.1", "198.51.100.2"), False),
        (1, ("192.0.2.1", "198.51.100.1"), ("192.0.2.9", "198.51.100.1"), True),
        (1, ("192.0.2.1", "10.0.0.1, 198.51.100.1"), ("192.0.2.1", "10.0.0.2,198.51.100.1"), True),  # forged before it
        (1, ("192.0.2.1", "198.51.100.1:50000"), ("192.0.2.1", "198.51.100.1"), True),
        (1, ("192.0.2.1", f"[{V6}::1]:443"), ("192.0.2.1", f"{V6}::2"), True),
        (1, ("192.0.2.1", f"[{V6}::1]"), ("192.0.2.1", f"{V6}::2"), True),
        (1, ("192.0.2.1", f"{V6}::1%eth0"), ("192.0.2.1", f"{V6}::2"), True),
        (1, ("192.0.2.1", "unknown"), ("192.0.2.1", None), True),
        (1, ("192.0.2.1", "a"), ("192.0.2.1", "b"), True),
        (1, ("192.0.2.1", ""), ("192.0.2.1", "198.51.100.1,"), True),
        (1, ("192.0.2.1", "\u0661.2.3.4"), ("192.0.2.1", "x"), True),
        (2, ("192.0.2.1", "198.51.100.1, 10.0.0.1"), ("192.0.2.1", "198.51.100.1, 10.0.0.2"), True),
        (2, ("192.0.2.1", "198.51.100.1, 10.0.0.1"), ("192.0.2.1", "198.51.100.2, 10.0.0.1"), False),
        (2, ("192.0.2.1", "198.51.100.1"), ("192.0.2.1", "198.51.100.2"), True),  # past one of the proxies
    ],
)
def test_whose_requests_are_counted_together(
    proxies: int, first: tuple[str, str | None], second: tuple[str, str | None], same: bool
) -> None:
    def counted_for(address: str, forwarded: str | None) -> str:
        headers = {} if forwarded is None else {"X-Forwarded-For": forwarded.encode().decode("latin-1")}
        with Flask("test").test_request_context(headers=headers, environ_base={"REMOTE_ADDR": address}):
            return access._client_address(proxies)

    assert (counted_for(*first) == counted_for(*second)) is same


def test_the_setting_says_how_many_proxies_there_are(tmp_path: Path) -> None:
    for proxies, expected in (("0", [200, 429]), ("1", [200, 200])):
        client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="1", TRUSTED_PROXIES=proxies)
        asked = [client.get("/clock", headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in range(2)]
        assert [each.status_code for each in asked] == expected


# What others learn


def test_no_key_is_in_the_log_or_in_an_answer(
    tmp_path: Path, files: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="4", TRUST_FORWARDED_PREFIX="true", **files)
    for key in (ANNA, WRONG):
        for path in ("/clock", "/nowhere", "/metrics", "/tickers?limit=x", "/clock", "/clock"):
            answer = client.get(path, headers={**bearer(key), **in_header(key)})
            assert key not in f"{answer.headers}{answer.text}"
    assert "status=401" in caplog.text
    assert "status=429" in caplog.text
    for key in (ANNA, WRONG):
        assert key not in caplog.text
        assert sha256(key.encode()).hexdigest() not in caplog.text


def test_refusals_are_counted_in_the_metrics(tmp_path: Path, files: dict[str, str]) -> None:
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="1", **files)
    statuses(client, 2, {})
    text = client.get("/metrics", headers=bearer(OPERATOR)).text
    for status in (401, 429):
        assert f'route="/clock",source="none",status="{status}"}} 1.0' in text


@pytest.mark.long
def test_the_document_is_valid_with_all_of_it(tmp_path: Path, files: dict[str, str]) -> None:
    document = client_of(tmp_path, RATE_LIMIT_PER_MINUTE="5", **files).get("/openapi.json").json
    OpenAPIV31SpecValidator(document).validate()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "limit", "secured"),
    [
        ([], "0", set()),
        ([], "5", set()),
        (["OPERATOR_KEYS_FILE"], "0", {"/metrics"}),
        (["API_KEYS_FILE"], "0", {each.path for each in OPERATIONS} - OPEN_ROUTES),
        (["API_KEYS_FILE", "OPERATOR_KEYS_FILE"], "5", {each.path for each in OPERATIONS} - OPEN_ROUTES),
    ],
)
def test_the_document_says_what_is_asked_for(
    names: list[str], limit: str, secured: set[str], tmp_path: Path, files: dict[str, str]
) -> None:
    client = client_of(tmp_path, RATE_LIMIT_PER_MINUTE=limit, **only(files, *names))
    document: dict[str, Any] = client.get("/openapi.json").json or {}
    operations = {path: operation for path, each in document["paths"].items() for operation in each.values()}
    assert {path for path, each in operations.items() if "security" in each} == secured
    assert {path for path, each in operations.items() if "401" in each["responses"]} == secured
    assert ("securitySchemes" in document["components"]) is bool(secured)
    if not names and limit == "0":
        assert document == client_of(tmp_path).get("/openapi.json").json
        assert "RateLimit" not in document["components"]["headers"]
    else:
        assert {*operations["/clock"]["responses"]["200"]["headers"]} >= {"RateLimit", "RateLimit-Policy"}
        assert "RateLimit" not in operations["/livez"]["responses"]["200"]["headers"]
        assert "429" in operations["/clock"]["responses"]
