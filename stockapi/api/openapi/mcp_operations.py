"""The description of POST /mcp for /openapi.json."""

from http import HTTPStatus
from typing import Any, Final

from marshmallow import Schema, fields

from stockapi.api.openapi.answers import one, text
from stockapi.api.openapi.operation import JSON, ErrorForm, Operation

_NULLABLE: Final = ["string", "integer", "null"]
_VERSION: Final = {"type": "string", "enum": ["2.0"]}
_ID: Final = {"type": ["string", "integer"], "description": "of a request; a notification has none"}


class RpcProblemSchema(Schema):
    code = fields.Integer(required=True, metadata={"description": "of JSON-RPC, or of the protocol"})
    message = text("what was wrong and what is allowed, in one line")


class RpcErrorSchema(Schema):
    jsonrpc = text("always 2.0", enum=["2.0"])
    id = fields.Raw(
        required=True, metadata={"description": "of the request; null where it is not known", "type": _NULLABLE}
    )
    error = one(RpcProblemSchema, "the error")


def _one_or_several(message: dict[str, Any]) -> dict[str, Any]:
    several = {"type": "array", "items": message, "minItems": 1, "maxItems": 10, "title": "several"}
    return {"anyOf": [message | {"title": "one"}, several]}


_ASKED: Final = _one_or_several(
    {
        "type": "object",
        "required": ["jsonrpc", "method"],
        "properties": {
            "jsonrpc": _VERSION,
            "id": _ID,
            "method": {"type": "string", "examples": ["initialize", "tools/list", "tools/call", "server/discover"]},
            "params": {"type": "object"},
        },
    }
)
_ANSWERED: Final = _one_or_several(
    {
        "type": "object",
        "required": ["jsonrpc", "id"],
        "properties": {
            "jsonrpc": _VERSION,
            "id": {"type": _NULLABLE},
            "result": {"type": "object"},
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": {"type": "object"}},
            },
        },
    }
)
_CALL: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "search_symbols", "arguments": {"q": "hoa phat"}},
}

RPC_ERRORS: Final = {
    HTTPStatus.BAD_REQUEST: (
        "The body is no message, or not as its revision of the protocol wants it.",
        'it is no message; allowed: an object with "jsonrpc": "2.0"',
    ),
    HTTPStatus.FORBIDDEN: (
        "The request is from a page of another site.",
        "pages of 'https://example.org' may not use this; allowed: those of this machine, and of CORS_ORIGINS",
    ),
    HTTPStatus.NOT_FOUND: (
        "There is no such method. (Clients of earlier revisions get this error with 200.)",
        "method 'prompts/list' is unknown; allowed: server/discover, tools/list, tools/call",
    ),
    HTTPStatus.NOT_ACCEPTABLE: (
        "The client takes no JSON.",
        "answers are application/json; allowed: to accept that",
    ),
    HTTPStatus.LENGTH_REQUIRED: (
        "The request does not tell the length of its body.",
        "Content-Length is missing; allowed: the length of the body",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "The body is too long.",
        "the body has 100000 bytes; allowed: at most 32768",
    ),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        "The body is not JSON.",
        "Content-Type 'text/plain' is not allowed; allowed: application/json",
    ),
}
"""The errors of this route that others do not have, or describe in another way."""

MCP: Final = Operation(
    path="/mcp",
    method="post",
    tag="Service",
    summary="The same as tools of the Model Context Protocol",
    description=(
        "JSON-RPC over its Streamable HTTP transport, without state: `server/discover`, `tools/list` and `tools/call`; "
        "`initialize` and `ping` for clients of earlier revisions. Each tool asks a route of this API; an error of the "
        "route is a result with `isError`."
    ),
    body=(_ASKED, _CALL),
    answer="The answer to the message, or the answers to several.",
    content={JSON: _ANSWERED},
    sample=lambda _: {"jsonrpc": "2.0", "id": 1, "result": {"content": [], "isError": False}},
    is_conditional=False,
    accepted="The message needs no answer: a notification.",
    errors=tuple(RPC_ERRORS),
    error_form=ErrorForm.RPC,
)
