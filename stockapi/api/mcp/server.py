"""Answer the messages of a client. It keeps nothing between two requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from werkzeug.datastructures import Headers

from stockapi.api.mcp import calls, messages, revisions
from stockapi.api.mcp.descriptions import tool_list
from stockapi.api.mcp.messages import ErrorCode, Message, RpcError
from stockapi.api.mcp.tools import BY_NAME
from stockapi.api.queries.parameters import Markets
from stockapi.constants import VERSION

MAX_BATCH: Final = 10
"""Messages in an array. All of them have one deadline and one row budget."""
_TTL_MS: Final = 3_600_000
"""How long clients may keep the list of tools: it changes with the program and its settings."""
_SERVER: Final = {"name": "stockapi", "title": "stockapi: OHLCV bars and analyses", "version": VERSION}
_CAPABILITIES: Final = {"tools": {"listChanged": False}}
_INSTRUCTIONS: Final = (
    "Market data: bars (open, high, low, close, volume) with moving averages, rankings and analyses. Nothing can be "
    "changed. `mode` chooses the market. Times are UTC. search_symbols finds symbols; ask for few bars and few fields."
)


@dataclass(frozen=True, slots=True)
class Reply:
    """The status and the body of the HTTP answer; b"" for none."""

    status: HTTPStatus
    body: bytes


def reply(body: bytes, headers: Headers, markets: Markets) -> Reply:
    """The answer to the body of a request. `markets`: the enabled ones."""
    try:
        value = messages.parse(body)
    except RpcError as exc:
        return Reply(exc.status, orjson.dumps(messages.error(None, exc)))
    if isinstance(value, list):
        return _to_batch(value, headers, markets)
    status, content = _to_one(value, headers, markets)
    return Reply(status, b"" if content is None else orjson.dumps(content))


def _to_batch(values: list[Any], headers: Headers, markets: Markets) -> Reply:
    named = headers.get(revisions.VERSION_HEADER, revisions.WITH_BATCHES)
    begins = any(isinstance(value, dict) and value.get("method") == revisions.HANDSHAKE for value in values)
    if begins or named != revisions.WITH_BATCHES or not 1 <= len(values) <= MAX_BATCH:
        exc = RpcError(
            ErrorCode.INVALID_REQUEST,
            f"an array of {len(values)} messages is not allowed; allowed: one message, or 1 to {MAX_BATCH} "
            f"with {revisions.VERSION_HEADER}: {revisions.WITH_BATCHES}, {revisions.HANDSHAKE} not among them",
        )
        return Reply(exc.status, orjson.dumps(messages.error(None, exc)))
    contents = [content for value in values for _, content in [_to_one(value, headers, markets)] if content is not None]
    return Reply(HTTPStatus.OK, orjson.dumps(contents)) if contents else Reply(HTTPStatus.ACCEPTED, b"")


def _to_one(value: Any, headers: Headers, markets: Markets) -> tuple[HTTPStatus, Mapping[str, object] | None]:
    """The status and the message that answers one message; None for a notification."""
    revision = headers.get(revisions.VERSION_HEADER, "")
    try:
        message = Message.of(value)
        revision = revisions.revision_of(message, headers)
        if not message.is_request:
            return HTTPStatus.ACCEPTED, None
        return HTTPStatus.OK, messages.result(message.id, _result(message, revision, markets))
    except RpcError as exc:
        return revisions.status_of(exc.code, revision), messages.error(messages.id_of(value), exc)


def _result(message: Message, revision: str, markets: Markets) -> Mapping[str, object]:
    """:raises RpcError: for an unknown method, and for wrong parameters."""
    known = _METHODS_NOW if revision == revisions.NEWEST else _METHODS_BEFORE
    handle = known.get(str(message.method))
    if handle is None:
        raise RpcError(
            ErrorCode.METHOD_NOT_FOUND, f"method {message.method!r:.60} is unknown; allowed: {', '.join(known)}"
        )
    content = handle(message, revision, markets)
    if revision != revisions.NEWEST:
        return content
    return {"resultType": "complete", **content, "_meta": {revisions.META_SERVER: _SERVER}}


_Method = Callable[[Message, str, Markets], Mapping[str, object]]


def _initialize(_message: Message, revision: str, _markets: Markets) -> Mapping[str, object]:
    return {
        "protocolVersion": revision,
        "capabilities": _CAPABILITIES,
        "serverInfo": _SERVER,
        "instructions": _INSTRUCTIONS,
    }


def _discover(_message: Message, _revision: str, _markets: Markets) -> Mapping[str, object]:
    return {
        "supportedVersions": revisions.SUPPORTED,
        "capabilities": _CAPABILITIES,
        "instructions": _INSTRUCTIONS,
        **_for_caches(),
    }


def _ping(_message: Message, _revision: str, _markets: Markets) -> Mapping[str, object]:
    return {}


def _list_tools(message: Message, revision: str, markets: Markets) -> Mapping[str, object]:
    if message.params.get("cursor") is not None:
        raise RpcError(ErrorCode.INVALID_PARAMS, "cursor is not allowed; allowed: none, as the list has one page")
    return {"tools": tool_list(markets), **(_for_caches() if revision == revisions.NEWEST else {})}


def _call_tool(message: Message, _revision: str, _markets: Markets) -> Mapping[str, object]:
    name, arguments = message.params.get("name"), message.params.get("arguments")
    tool = BY_NAME.get(name) if isinstance(name, str) else None
    if tool is None:
        raise RpcError(ErrorCode.INVALID_PARAMS, f"tool {name!r:.60} is unknown; allowed: {', '.join(BY_NAME)}")
    if not isinstance(arguments, dict | None):
        raise RpcError(ErrorCode.INVALID_PARAMS, "arguments is not allowed; allowed: an object")
    answer = calls.call(tool, arguments or {})
    text = {"content": [{"type": "text", "text": answer.content.decode()}], "isError": answer.is_error}
    return text if answer.is_error else {**text, "structuredContent": orjson.Fragment(answer.content)}


def _for_caches() -> Mapping[str, object]:
    return {"ttlMs": _TTL_MS, "cacheScope": "public"}


_METHODS_NOW: Final[Mapping[str, _Method]] = {
    "server/discover": _discover,
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}
_METHODS_BEFORE: Final[Mapping[str, _Method]] = {
    revisions.HANDSHAKE: _initialize,
    "ping": _ping,
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}
