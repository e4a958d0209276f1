"""The revisions of the protocol: which one a message follows, and what that one asks of its headers.

Since 2026-07-28 each request names its revision, in a header and in `_meta`. Earlier clients begin with `initialize`,
and then send the header only; those before 2025-06-18 do not send it either.
"""

import base64
import binascii
from http import HTTPStatus
from typing import Final

from werkzeug.datastructures import Headers

from stockapi.api.mcp.messages import ErrorCode, Message, RpcError

NEWEST: Final = "2026-07-28"
WITH_HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Those that begin with `initialize`, the newest first."""
SUPPORTED: Final = (NEWEST, *WITH_HANDSHAKE)
WITH_BATCHES: Final = "2025-03-26"
"""The only revision with arrays of messages. It is also that of a request that names none."""

HANDSHAKE: Final = "initialize"

META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
META_SERVER: Final = "io.modelcontextprotocol/serverInfo"

VERSION_HEADER: Final = "MCP-Protocol-Version"
METHOD_HEADER: Final = "Mcp-Method"
NAME_HEADER: Final = "Mcp-Name"

_CALL: Final = "tools/call"
_BASE64: Final = ("=?base64?", "?=")


def revision_of(message: Message, headers: Headers) -> str:
    """The revision that the message follows.

    :raises RpcError: for an unknown one, and where headers and message differ.
    """
    if message.method == HANDSHAKE:
        return _negotiated(message)
    header, named = headers.get(VERSION_HEADER), message.meta.get(META_VERSION)
    if NEWEST in (header, named):
        if message.is_request:
            _require_metadata(message, headers)
        return NEWEST
    for asked in (header, named):
        if asked is not None and asked not in SUPPORTED:
            raise RpcError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"protocol version {asked!r:.40} is not supported; allowed: {', '.join(SUPPORTED)}",
                {"supported": SUPPORTED, "requested": asked},
            )
    return header or named or WITH_BATCHES


def status_of(code: ErrorCode, revision: str) -> HTTPStatus:
    """The HTTP status of an error. Earlier revisions answer what was understood with 200."""
    if code is ErrorCode.METHOD_NOT_FOUND:
        return HTTPStatus.NOT_FOUND if revision == NEWEST else HTTPStatus.OK
    if code is ErrorCode.INVALID_PARAMS:
        return HTTPStatus.BAD_REQUEST if revision == NEWEST else HTTPStatus.OK
    return HTTPStatus.BAD_REQUEST


def _negotiated(message: Message) -> str:
    """The revision asked for, or the newest with a handshake where that is not supported."""
    asked = message.params.get("protocolVersion")
    if not isinstance(asked, str):
        raise RpcError(ErrorCode.INVALID_PARAMS, "protocolVersion is missing; allowed: a date such as 2025-11-25")
    return asked if asked in WITH_HANDSHAKE else WITH_HANDSHAKE[0]


def _require_metadata(message: Message, headers: Headers) -> None:
    """:raises RpcError: when the request lacks what `NEWEST` asks for, or when headers and body differ."""
    if VERSION_HEADER in headers and META_VERSION not in message.meta:
        raise RpcError(ErrorCode.INVALID_PARAMS, f"_meta lacks {META_VERSION}; allowed: {NEWEST}")
    _require_same(headers, VERSION_HEADER, message.meta.get(META_VERSION))
    if not isinstance(message.meta.get(META_CAPABILITIES), dict):
        raise RpcError(ErrorCode.INVALID_PARAMS, f"_meta lacks {META_CAPABILITIES}; allowed: an object")
    _require_same(headers, METHOD_HEADER, message.method)
    if message.method == _CALL:
        _require_same(headers, NAME_HEADER, message.params.get("name"))


def _require_same(headers: Headers, name: str, value: object) -> None:
    text = headers.get(name)
    if text is None:
        raise RpcError(ErrorCode.HEADER_MISMATCH, f"the header {name} is missing; allowed: {value!r:.60}")
    if _decoded(name, text.strip(" \t")) != value:
        raise RpcError(ErrorCode.HEADER_MISMATCH, f"the header {name} is {text!r:.60}, but the body says {value!r:.60}")


def _decoded(name: str, text: str) -> str:
    """The text, which may be in Base64: `=?base64?Z2V0X2JhcnM=?=`."""
    begin, end = _BASE64
    if not (name == NAME_HEADER and text.startswith(begin) and text.endswith(end)):
        return text
    try:
        return base64.b64decode(text.removeprefix(begin).removesuffix(end), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise RpcError(ErrorCode.HEADER_MISMATCH, f"the header {name} is not UTF-8 in Base64") from exc
