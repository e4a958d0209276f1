"""POST /mcp by the specification of the Model Context Protocol, of 2026-07-28 and of the revisions with a handshake."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from werkzeug.test import TestResponse

from stockapi import create_app
from stockapi.api.mcp.tools import TOOLS
from stockapi.config import Settings
from tests.support import api_market
from tests.support.stores import environment

NOW, OLD = "2026-07-28", "2025-11-25"
VERSION, CAPABILITIES = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"
META = {VERSION: NOW, CAPABILITIES: {}}
NAMES = (
    "search_symbols, get_bars, get_snapshot, top_performers, ma_scores_by_sector, volume_profile, "
    "screener, data_coverage"
)
PARSE, INVALID, NO_METHOD, PARAMS, MISMATCH, UNSUPPORTED = -32700, -32600, -32601, -32602, -32020, -32022


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("market")
    api_market.fill(directory)
    return directory


def client_of(directory: Path, **changes: str) -> FlaskClient:
    settings = Settings.from_mapping(environment(directory, **changes))
    return create_app(settings, clock=lambda: api_market.NOW).test_client()


@pytest.fixture
def client(directory: Path) -> FlaskClient:
    return client_of(directory)


def message(method: str, params: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, **({} if params is None else {"params": params}), **more}


def now(method: str, **params: Any) -> dict[str, Any]:
    """A message of the newest revision."""
    return message(method, {"_meta": META, **params})


def headers(method: str, name: str | None = None, **more: str) -> dict[str, str]:
    """What the newest revision asks for. `more`: `Mcp_Name` for Mcp-Name; an empty one is taken away."""
    asked = {"MCP-Protocol-Version": NOW, "Mcp-Method": method, **({} if name is None else {"Mcp-Name": name})}
    asked |= {key.replace("_", "-"): value for key, value in more.items()}
    return {key: value for key, value in asked.items() if value}


def post(client: FlaskClient, body: object, asked: Mapping[str, str] | None = None) -> TestResponse:
    return client.post("/mcp", json=body, headers=dict(asked or {}))


def called(client: FlaskClient, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = post(client, message("tools/call", {"name": tool, "arguments": arguments}))
    assert answer.status_code == 200
    result: dict[str, Any] = answer.json["result"]  # type: ignore[index]
    return result


def error_of(client: FlaskClient, tool: str, **arguments: Any) -> str:
    result = called(client, tool, **arguments)
    assert set(result) == {"content", "isError"}
    assert result["isError"] is True
    (content,) = result["content"]
    text: str = content["text"]
    return text


# The handshake of earlier revisions


@pytest.mark.parametrize(
    ("asked", "negotiated"),
    [
        *((each, each) for each in ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")),
        (NOW, OLD),  # it has no handshake
        ("1900-01-01", OLD),
        ("", OLD),
    ],
)
def test_the_handshake_agrees_on_a_revision(client: FlaskClient, asked: str, negotiated: str) -> None:
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    answer = post(client, message("initialize", params))
    assert answer.status_code == 200
    assert "Mcp-Session-Id" not in answer.headers
    result = answer.json["result"]  # type: ignore[index]
    assert list(result) == ["protocolVersion", "capabilities", "serverInfo", "instructions"]
    assert (result["protocolVersion"], result["capabilities"]) == (negotiated, {"tools": {"listChanged": False}})
    assert result["serverInfo"]["name"] == "stockapi"


@pytest.mark.parametrize("revision", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", None])
def test_after_it_the_header_alone_names_the_revision(client: FlaskClient, revision: str | None) -> None:
    asked = {} if revision is None else {"MCP-Protocol-Version": revision}
    assert post(client, message("ping"), asked).json == {"jsonrpc": "2.0", "id": 7, "result": {}}
    tools = post(client, message("tools/list"), asked).json["result"]  # type: ignore[index]
    assert list(tools) == ["tools"]


# The revision without a handshake


def test_a_server_that_is_discovered(client: FlaskClient) -> None:
    answer = post(client, now("server/discover"), headers("server/discover"))
    result = answer.json["result"]  # type: ignore[index]
    assert (answer.status_code, result["resultType"], result["cacheScope"]) == (200, "complete", "public")
    assert result["supportedVersions"] == [NOW, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "stockapi"


def test_lists_say_how_long_they_hold_and_results_that_they_are_complete(client: FlaskClient) -> None:
    listed = post(client, now("tools/list"), headers("tools/list")).json["result"]  # type: ignore[index]
    assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == ("complete", 3_600_000, "public")
    asked = now("tools/call", name="get_bars", arguments={"symbol": "VCB", "limit": 1})
    result = post(client, asked, headers("tools/call", "get_bars")).json["result"]  # type: ignore[index]
    assert result["resultType"] == "complete"
    assert len(result["structuredContent"]["VCB"]) == 1


GET_BARS = now("tools/call", name="get_bars", arguments={"symbol": "VCB", "limit": 1})
CODED = f"=?base64?{base64.b64encode(b'get_bars').decode()}?="


@pytest.mark.parametrize(
    ("body", "asked", "status", "code"),
    [
        (GET_BARS, headers("tools/call", CODED), 200, None),
        (GET_BARS, headers("tools/call", "  get_bars "), 200, None),
        (GET_BARS, {name.lower(): value for name, value in headers("tools/call", "get_bars").items()}, 200, None),
        (GET_BARS, headers("tools/call", "get_bars", Mcp_Session_Id="x"), 200, None),
        (GET_BARS, headers("tools/call"), 400, MISMATCH),
        (GET_BARS, headers("tools/call", "GET_BARS"), 400, MISMATCH),
        (GET_BARS, headers("tools/call", "data_coverage"), 400, MISMATCH),
        (GET_BARS, headers("tools/call", "=?base64?!?="), 400, MISMATCH),
        (GET_BARS, headers("tools/call", "=?base64?/w==?="), 400, MISMATCH),
        (GET_BARS, headers("tools/list", "get_bars"), 400, MISMATCH),
        (GET_BARS, headers("TOOLS/CALL", "get_bars"), 400, MISMATCH),
        (GET_BARS, headers("tools/call", "get_bars", Mcp_Method=""), 400, MISMATCH),
        (GET_BARS, headers("tools/call", "get_bars", MCP_Protocol_Version=""), 400, MISMATCH),
        (GET_BARS, headers("tools/call", "get_bars", MCP_Protocol_Version=OLD), 400, MISMATCH),
        (GET_BARS, {}, 400, MISMATCH),
        (message("tools/list", {"_meta": {VERSION: NOW}}), headers("tools/list"), 400, PARAMS),
        (message("tools/list", {"_meta": {CAPABILITIES: {}}}), headers("tools/list"), 400, PARAMS),
        (message("tools/list"), headers("tools/list"), 400, PARAMS),
        (now("ping"), headers("ping"), 404, NO_METHOD),
        (now("resources/list"), headers("resources/list"), 404, NO_METHOD),
        (now("subscriptions/listen"), headers("subscriptions/listen"), 404, NO_METHOD),
        (now("tools/call", name="nope"), headers("tools/call", "nope"), 400, PARAMS),
        (now("tools/call", name=5), headers("tools/call", "5"), 400, MISMATCH),
        (now("tools/list", cursor="x"), headers("tools/list"), 400, PARAMS),
        ({**now("tools/list"), "id": None}, headers("tools/list"), 400, INVALID),
        ([now("tools/list")], headers("tools/list"), 400, INVALID),
    ],
)
def test_what_headers_and_metadata_have_to_be(
    client: FlaskClient, body: object, asked: Mapping[str, str], status: int, code: int | None
) -> None:
    answer = post(client, body, asked)
    found: Any = answer.json
    assert (answer.status_code, found.get("error", {}).get("code")) == (status, code)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (message("tools/list"), {"MCP-Protocol-Version": "1900-01-01"}),
        (message("ping"), {"MCP-Protocol-Version": "latest"}),
        (
            message("tools/list", {"_meta": {VERSION: "2099-01-01", CAPABILITIES: {}}}),
            {"MCP-Protocol-Version": "2099-01-01"},
        ),
    ],
)
def test_an_unknown_revision_is_told_the_known_ones(client: FlaskClient, body: object, asked: dict[str, str]) -> None:
    answer = post(client, body, asked)
    error = answer.json["error"]  # type: ignore[index]
    assert (answer.status_code, error["code"]) == (400, UNSUPPORTED)
    assert error["data"] == {
        "supported": [NOW, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"],
        "requested": asked["MCP-Protocol-Version"],
    }


# JSON-RPC


@pytest.mark.parametrize(
    ("body", "status", "code", "of"),
    [
        ('{"jsonrpc"', 400, PARSE, None),
        ("\ufeff{}", 400, PARSE, None),
        ('{"a":NaN}', 400, PARSE, None),
        ("[" * 2_000, 400, PARSE, None),
        ("5", 400, INVALID, None),
        ("null", 400, INVALID, None),
        ('"ping"', 400, INVALID, None),
        ("[]", 400, INVALID, None),
        ("{}", 400, INVALID, None),
        ('{"jsonrpc":"1.0","id":1,"method":"ping"}', 400, INVALID, 1),
        ('{"jsonrpc":"2.0","id":"a"}', 400, INVALID, "a"),
        ('{"jsonrpc":"2.0","id":1,"method":5}', 400, INVALID, 1),
        ('{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, INVALID, None),
        ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400, INVALID, None),
        ('{"jsonrpc":"2.0","id":true,"method":"ping"}', 400, INVALID, None),
        ('{"jsonrpc":"2.0","id":{},"method":"ping"}', 400, INVALID, None),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', 200, PARAMS, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', 200, PARAMS, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"initialize"}', 200, PARAMS, 1),
        ('{"jsonrpc":"2.0","id":"x","method":"nope"}', 200, NO_METHOD, "x"),
        ('{"jsonrpc":"2.0","id":0,"method":"server/discover"}', 200, NO_METHOD, 0),
        ('{"jsonrpc":"2.0","id":1,"method":"logging/setLevel"}', 200, NO_METHOD, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}', 200, PARAMS, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"tools/call"}', 200, PARAMS, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["get_bars"]}}', 200, PARAMS, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_bars","arguments":[]}}', 200, PARAMS, 1),
    ],
)
def test_errors_of_messages(client: FlaskClient, body: str, status: int, code: int, of: object) -> None:
    answer = client.post("/mcp", data=body.encode(), content_type="application/json")
    found: Any = answer.json
    assert (answer.status_code, found["id"], found["error"]["code"]) == (status, of, code)
    assert "\n" not in found["error"]["message"]
    assert list(found) == ["jsonrpc", "id", "error"]


@pytest.mark.parametrize("asked", [{}, {"MCP-Protocol-Version": OLD}, {"MCP-Protocol-Version": NOW}])
@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
        {"jsonrpc": "2.0", "method": "nobody/knows"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
    ],
)
def test_what_needs_no_answer_gets_none(client: FlaskClient, body: object, asked: dict[str, str]) -> None:
    answer = post(client, body, asked)
    assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (202, b"", False)


@pytest.mark.parametrize("asked", [{}, {"MCP-Protocol-Version": "2025-03-26"}])
def test_several_messages_of_the_revision_that_has_them(client: FlaskClient, asked: dict[str, str]) -> None:
    wrong = message("nope", id=3)
    answer = post(client, [message("ping", id=1), {"jsonrpc": "2.0", "method": "x"}, wrong, 5], asked)
    assert answer.status_code == 200
    found: Any = answer.json
    assert [(each["id"], each.get("error", {}).get("code")) for each in found] == [
        (1, None),
        (3, NO_METHOD),
        (None, INVALID),
    ]
    assert post(client, [{"jsonrpc": "2.0", "method": "x"}] * 2, asked).status_code == 202


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ([message("ping")], {"MCP-Protocol-Version": "2025-06-18"}),
        ([message("ping")], {"MCP-Protocol-Version": "2024-11-05"}),
        ([message("ping")] * 11, {}),
        ([message("ping"), message("initialize", {"protocolVersion": OLD})], {}),
    ],
)
def test_several_messages_that_are_refused(client: FlaskClient, body: object, asked: dict[str, str]) -> None:
    answer = post(client, body, asked)
    assert answer.status_code == 400
    error = answer.json["error"]  # type: ignore[index]
    assert error["code"] == INVALID
    assert error["message"].endswith(
        "is not allowed; allowed: one message, or 1 to 10 with MCP-Protocol-Version: 2025-03-26, "
        "initialize not among them"
    )


# HTTP


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_only_post_is_answered(client: FlaskClient, method: str) -> None:
    answer = client.open("/mcp", method=method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


@pytest.mark.parametrize(
    ("origin", "cors", "status"),
    [
        (None, "", 200),
        ("http://localhost", "", 200),
        ("http://LOCALHOST:6274", "", 200),
        ("https://127.0.0.1:3000", "", 200),
        ("http://[::1]:8080", "", 200),
        ("http://localhost.evil.example", "", 403),
        ("http://evil.example", "", 403),
        ("http://evil.example:3000", "", 403),
        ("null", "", 403),
        ("", "", 403),
        ("http://localhost:3000@evil.example", "", 403),
        ("https://good.example", "https://good.example", 200),
        ("https://other.example", "https://good.example", 403),
        ("https://a.good.example", "https://*.good.example", 200),
        ("https://evil.example", "*", 200),
    ],
)
def test_pages_of_other_sites_are_refused(directory: Path, origin: str | None, cors: str, status: int) -> None:
    """Whatever Host says: a page that has given its name the address of this machine chooses that, too."""
    asked = {} if origin is None else {"Origin": origin}
    answer = client_of(directory, CORS_ORIGINS=cors).post(
        "/mcp", json=message("ping"), headers={**asked, "Host": "evil.example"}
    )
    assert answer.status_code == status
    if status == 403:
        error = answer.json["error"]  # type: ignore[index]
        assert error["message"] == (
            f"pages of {origin!r} may not use this; allowed: those of this machine, and of CORS_ORIGINS"
        )


def test_a_page_that_may_use_it_is_told_how(directory: Path) -> None:
    client = client_of(directory, CORS_ORIGINS="https://good.example")
    asked = {"Origin": "https://good.example", "Access-Control-Request-Method": "POST"}
    wished = {"Access-Control-Request-Headers": "content-type, mcp-protocol-version"}
    answer = client.options("/mcp", headers={**asked, **wished})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://good.example"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "mcp-protocol-version" in answer.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" not in client.options("/tickers", headers=asked).headers.get("Access-Control-Allow-Methods", "")


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"Content-Type": "text/plain"}, 415, "Content-Type 'text/plain' is not allowed; allowed: application/json"),
        ({"Content-Type": ""}, 415, "Content-Type '' is not allowed; allowed: application/json"),
        ({"Accept": "text/html"}, 406, "answers are application/json; allowed: to accept that"),
    ],
)
def test_requests_that_are_refused_before_their_message(
    client: FlaskClient, changes: dict[str, str], status: int, text: str
) -> None:
    asked = {"Content-Type": "application/json", **changes}
    body = json.dumps(message("ping"))
    answer = client.post("/mcp", data=body, headers={name: value for name, value in asked.items() if value})
    assert_refused(answer, status, text)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (None, 411, "Content-Length is missing; allowed: the length of the body"),
        (b" " * 32_769, 413, "the body has 32769 bytes; allowed: at most 32768"),
    ],
)
def test_bodies_that_are_refused(client: FlaskClient, body: bytes | None, status: int, text: str) -> None:
    assert_refused(client.post("/mcp", data=body, content_type="application/json"), status, text)
    longest = client.post("/mcp", data=json.dumps(message("ping")).ljust(32_768), content_type="application/json")
    assert longest.status_code == 200


def assert_refused(answer: TestResponse, status: int, text: str) -> None:
    assert answer.status_code == status
    assert answer.json == {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID, "message": text}}


@pytest.mark.parametrize("accepted", ["application/json, text/event-stream", "*/*", "application/*", "text/html, */*"])
def test_clients_that_accept_json(client: FlaskClient, accepted: str) -> None:
    answer = client.post("/mcp/", json=message("ping"), headers={"Accept": accepted})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")


# The tools


def test_the_tools_are_listed_with_their_schemas(client: FlaskClient) -> None:
    tools = post(client, message("tools/list")).json["result"]["tools"]  # type: ignore[index]
    assert ", ".join(each["name"] for each in tools) == NAMES
    for each in tools:
        assert each["annotations"]["readOnlyHint"] is True
        assert len(each["description"]) > 80
        for schema in (each["inputSchema"], each["outputSchema"]):
            OAS31Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert "#/components" not in json.dumps(schema)
        assert each["inputSchema"]["additionalProperties"] is False
        assert all(shown["description"] for shown in each["inputSchema"]["properties"].values())


def test_their_parameters_are_those_of_the_description_of_the_api(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").json["paths"]  # type: ignore[index]
    tools = post(client, message("tools/list")).json["result"]["tools"]  # type: ignore[index]
    for tool, shown in zip(TOOLS, tools, strict=True):
        described = {each["name"]: each for each in paths[tool.path]["get"]["parameters"]}
        for name, schema in shown["inputSchema"]["properties"].items():
            assert schema["description"] == described[name]["description"]
    (bars,) = (each["inputSchema"] for each in tools if each["name"] == "get_bars")
    assert bars["required"] == ["symbol"]
    assert bars["properties"]["limit"].items() >= {"default": 60, "minimum": 1, "maximum": 500}.items()


def test_only_enabled_markets_are_offered(directory: Path) -> None:
    tools = post(client_of(directory, MARKETS="crypto"), message("tools/list")).json["result"]["tools"]  # type: ignore[index]
    assert {each["inputSchema"]["properties"]["mode"]["default"] for each in tools} == {"crypto"}


ASKED: list[tuple[str, dict[str, Any], str]] = [
    ("search_symbols", {"q": "hoa phat", "limit": 3}, "/tickers/search?q=hoa+phat&limit=3"),
    ("search_symbols", {"has_bars": True, "mode": "all", "sector": None}, "/tickers/search?has_bars=true&mode=all"),
    ("get_bars", {"symbol": "VCB"}, "/tickers?symbol=VCB&limit=60"),
    ("get_bars", {"symbol": "vcb,FPT", "limit": 2}, "/tickers?symbol=VCB,FPT&limit=2"),
    ("get_bars", {"symbol": ["VCB", "FPT"], "limit": 2.0}, "/tickers?symbol=VCB,FPT&limit=2"),
    ("get_bars", {"symbol": ["VCB"], "limit": "3", "ma": False}, "/tickers?symbol=VCB&limit=3&ma=false"),
    (
        "get_bars",
        {"symbol": "BTC", "mode": "crypto", "interval": "1W", "start_date": "2026-01-01", "shape": "columns"},
        "/tickers?symbol=BTC&mode=crypto&interval=1W&start_date=2026-01-01&shape=columns",
    ),
    ("get_bars", {"symbol": "NOSUCH"}, "/tickers?symbol=NOSUCH"),
    ("get_bars", {"symbol": "VCB", "columns": ["time", "close"]}, "/tickers?symbol=VCB&limit=60&columns=time,close"),
    ("get_snapshot", {"symbol": ["VCB"]}, "/tickers/snapshot?symbol=VCB"),
    ("top_performers", {"min_volume": 0, "limit": 2}, "/analysis/top-performers?min_volume=0&limit=2"),
    ("ma_scores_by_sector", {"min_score": -1.5}, "/analysis/ma-scores-by-sector?min_score=-1.5"),
    ("volume_profile", {"symbol": "VCB", "date": "latest"}, "/analysis/volume-profile?symbol=VCB&date=latest"),
    (
        "screener",
        {"where": "close>ma20 or rsi14<90", "sort_by": "rsi14"},
        "/analysis/screener?where=close>ma20+or+rsi14<90&sort_by=rsi14&limit=20",
    ),
    (
        "get_bars",
        {"symbol": "VCB", "limit": 2, "indicators": ["rsi14", "macd(12,26,9)"]},
        "/tickers?symbol=VCB&limit=2&indicators=rsi14,macd(12,26,9)",
    ),
    (
        "get_bars",
        {"symbol": "VCB", "limit": 2, "indicators": ["rsi7", "macd(5,35,5)", "bb(20,2.5)", "stoch(14,3,3)"]},
        "/tickers?symbol=VCB&limit=2&indicators=rsi7,macd(5,35,5),bb(20,2.5),stoch(14,3,3)",
    ),
    (
        "get_bars",
        {"symbol": "VCB", "limit": 2, "indicators": "bb(20,2.5)", "shape": "columns"},
        "/tickers?symbol=VCB&limit=2&indicators=bb(20,2.5)&shape=columns",
    ),
    (
        "screener",
        {"where": "close>0 or roc7<900", "indicators": ["bb(20,2.5)"]},
        "/analysis/screener?where=close>0+or+roc7<900&indicators=bb(20,2.5)&limit=20",
    ),
    ("data_coverage", {"symbol": ["VCB"]}, "/tickers/coverage?symbol=VCB"),
]


@pytest.mark.parametrize(("tool", "arguments", "url"), ASKED)
def test_a_tool_answers_what_its_route_does(
    client: FlaskClient, tool: str, arguments: dict[str, Any], url: str
) -> None:
    result = called(client, tool, **arguments)
    assert list(result) == ["content", "isError", "structuredContent"]
    assert result["isError"] is False
    assert result["structuredContent"] == client.get(url).json
    (content,) = result["content"]
    assert content == {"type": "text", "text": client.get(url).text}
    tools = post(client, message("tools/list")).json["result"]["tools"]  # type: ignore[index]
    (schema,) = (each["outputSchema"] for each in tools if each["name"] == tool)
    assert [error.message for error in OAS31Validator(schema).iter_errors(result["structuredContent"])] == []


@pytest.mark.parametrize(
    ("tool", "arguments", "url"),
    [
        ("get_bars", {"symbol": "VCB", "interval": "2D"}, "/tickers?symbol=VCB&interval=2D"),
        ("get_bars", {"symbol": "../x"}, "/tickers?symbol=../x"),
        (
            "get_bars",
            {"symbol": "VCB", "start_date": "x&mode=crypto"},
            "/tickers?symbol=VCB&start_date=x%26mode=crypto",
        ),
        ("get_bars", {"symbol": "VCB", "mode": ["vn", "crypto"]}, "/tickers?symbol=VCB&mode=vn&mode=crypto"),
        (
            "volume_profile",
            {"symbol": "VCB", "date": "2000-01-01"},
            "/analysis/volume-profile?symbol=VCB&date=2000-01-01",
        ),
        ("volume_profile", {}, "/analysis/volume-profile?"),
        ("top_performers", {"limit": 1.5}, "/analysis/top-performers?limit=1.5"),
    ],
)
def test_an_error_of_its_route_is_an_error_of_the_tool(
    client: FlaskClient, tool: str, arguments: dict[str, Any], url: str
) -> None:
    assert error_of(client, tool, **arguments) == client.get(url).json["error"]  # type: ignore[index]


TOO_MANY = (
    "the answer would have more than 500 rows; ask for fewer symbols, a shorter start_date..end_date, "
    "a smaller limit or a longer interval"
)


def of_limit(shown: str) -> str:
    return (
        f"limit {shown} is not allowed; allowed: a whole number from 1 to 500; "
        "for more, ask in pieces with start_date and end_date, or for a longer interval"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "symbol is missing; allowed: one or several of them"),
        ({"symbol": []}, "symbol is missing; allowed: one or several of them"),
        ({"symbol": [""]}, "symbol is missing; allowed: one or several of them"),
        ({"symbol": ["", ""], "limit": 1}, "symbol is missing; allowed: one or several of them"),
        ({"symbol": "VCB", "limit": 501}, of_limit("501")),
        ({"symbol": "VCB", "limit": 0}, of_limit("0")),
        ({"symbol": "VCB", "limit": "many"}, of_limit("'many'")),
        ({"symbol": "VCB", "limit": True}, of_limit("True")),
        ({"symbol": "VCB", "limit": [5]}, of_limit("[5]")),
        ({"symbol": ["VCB", "FPT"], "limit": 251}, TOO_MANY),
        ({"symbol": "VCB", "start_date": "2023-01-01"}, TOO_MANY),
        (
            {"symbols": "VCB"},
            "argument 'symbols' is unknown; allowed: symbol, interval, start_date, end_date, limit, mode, closed, "
            "indicators, ma, ema, columns, shape",
        ),
        (
            {"symbol": {"a": 1}},
            "symbol {'a': 1} is not allowed; allowed: a text, a number, a boolean, or a list of them",
        ),
        ({"symbol": ["VCB"] * 501}, "symbol has 501 values; allowed: at most 500"),
    ],
)
def test_bars_that_are_refused(client: FlaskClient, arguments: dict[str, Any], text: str) -> None:
    assert error_of(client, "get_bars", **arguments) == text


def test_as_many_bars_as_are_allowed_are_given(client: FlaskClient) -> None:
    assert len(called(client, "get_bars", symbol="VCB", limit=500)["structuredContent"]["VCB"]) == 500


# Limits are those of the request


def test_the_deadline_and_the_row_budget_of_the_settings_hold(directory: Path) -> None:
    late = client_of(directory, QUERY_DEADLINE_MS="1")
    texts = {error_of(late, "get_bars", symbol="VCB", interval="1W", limit=200) for _ in range(3)}
    assert texts == {"the query took too long; ask for fewer symbols, a shorter range or a smaller limit"}
    few = client_of(directory, MAX_RESPONSE_ROWS="10")
    assert error_of(few, "get_bars", symbol="VCB").startswith("the answer would have more than 10 rows;")


def test_several_calls_share_the_row_budget(directory: Path) -> None:
    client = client_of(directory, MAX_RESPONSE_ROWS="6")
    call = message("tools/call", {"name": "get_snapshot", "arguments": {"symbol": "VCB"}})
    found: Any = post(client, [call] * 4).json
    assert [each["result"]["isError"] for each in found] == [False, False, True, True]


def test_a_call_is_counted_as_a_request_of_its_route_and_none_stays_in_progress(client: FlaskClient) -> None:
    for _ in range(3):
        called(client, "data_coverage", symbol="VCB")
    counts = client.get("/metrics").text
    assert 'stockapi_http_requests_total{method="POST",route="/mcp",source="none",status="200"} 3.0' in counts
    assert 'route="/tickers/coverage",source="sqlite",status="200"} 3.0' in counts
    assert "stockapi_http_requests_in_progress 1.0" in counts  # this one


def test_a_key_is_passed_on_to_the_route_and_a_call_counts_as_two_requests(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"reader {hashlib.sha256(b'secret').hexdigest()}\n")
    client = client_of(directory, API_KEYS_FILE=str(file), RATE_LIMIT_PER_MINUTE="4")
    call = message("tools/call", {"name": "data_coverage", "arguments": {"symbol": "VCB"}})
    refused = post(client, call)
    assert (refused.status_code, refused.json["error"]["code"]) == (401, INVALID)  # type: ignore[index]
    assert "Bearer" in refused.headers["WWW-Authenticate"]
    answers = [post(client, call, {"Authorization": "Bearer secret"}) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.json["result"]["isError"] for each in answers[:2]] == [False, False]  # type: ignore[index]


def test_a_prefix_of_a_proxy_changes_nothing(directory: Path) -> None:
    client = client_of(directory, SCRIPT_NAME="/markets")
    answer = client.post("/markets/mcp", json=message("tools/call", {"name": "data_coverage", "arguments": {}}))
    assert answer.json["result"]["isError"] is False  # type: ignore[index]


# /llms.txt


def test_a_text_for_models(client: FlaskClient, directory: Path) -> None:
    answer = client.get("/llms.txt")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    lines = answer.text.splitlines()
    assert lines[0] == "# stockapi"
    assert lines[2].startswith("> ")
    assert "- [/tickers](/tickers): Bars of one, several or all tickers" in lines
    assert len(answer.text) < 4_000
    assert client.get("/llms.txt", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    compressed = client.get("/llms.txt", headers={"Accept-Encoding": "gzip"})
    again = {"Accept-Encoding": "gzip", "If-None-Match": compressed.headers["ETag"]}
    assert (compressed.content_encoding, client.get("/llms.txt", headers=again).status_code) == ("gzip", 304)
    prefixed = client_of(directory, SCRIPT_NAME="/markets").get("/markets/llms.txt").text
    assert "- [/tickers](/markets/tickers): " in prefixed
