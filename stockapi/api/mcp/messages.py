"""JSON-RPC 2.0 as the Model Context Protocol uses it: what a message is, and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Final, Self

import orjson

from stockapi.api.http.responses import RPC_INVALID_REQUEST
from stockapi.errors import AppError

VERSION: Final = "2.0"

Id = str | int | None
"""Of a request; None where it is not known, and in errors without a request."""


class ErrorCode(IntEnum):
    """Those of JSON-RPC, and the last two of the protocol."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = RPC_INVALID_REQUEST
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    HEADER_MISMATCH = -32020
    UNSUPPORTED_VERSION = -32022


class RpcError(AppError):
    """An error of the protocol, and not of a tool. `data`: details for programs."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, code: ErrorCode, text: str, data: Mapping[str, object] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.data = data


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a client. A notification has no id. A response has no method; its content is not kept."""

    method: str | None
    id: Id
    params: Mapping[str, Any]

    @property
    def is_request(self) -> bool:
        return self.method is not None and self.id is not None

    @property
    def meta(self) -> Mapping[str, Any]:
        """Its `_meta`; empty where there is none."""
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}

    @classmethod
    def of(cls, value: object) -> Self:
        """:raises RpcError: when it is no message."""
        if not isinstance(value, dict) or value.get("jsonrpc") != VERSION:
            raise _invalid(f'it is no message; allowed: an object with "jsonrpc": "{VERSION}"')
        if "method" not in value and ("result" in value or "error" in value):
            return cls(None, None, {})
        method, params = value.get("method"), value.get("params", {})
        if not isinstance(method, str):
            raise _invalid("method is missing; allowed: a text")
        if "id" in value and id_of(value) is None:
            raise _invalid("id is not allowed; allowed: a text or a whole number")
        if not isinstance(params, dict):
            raise RpcError(ErrorCode.INVALID_PARAMS, "params is not allowed; allowed: an object")
        return cls(method, id_of(value), params)


def id_of(value: object) -> Id:
    """The id of what may be a request; None where it has no good one."""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def parse(body: bytes) -> Any:
    """:raises RpcError: when the body is not JSON in UTF-8."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise RpcError(ErrorCode.PARSE_ERROR, "the body is not JSON; allowed: one message in UTF-8") from exc


def result(of: Id, content: Mapping[str, object]) -> dict[str, object]:
    return {"jsonrpc": VERSION, "id": of, "result": content}


def error(of: Id, exc: RpcError) -> dict[str, object]:
    details = {} if exc.data is None else {"data": exc.data}
    return {"jsonrpc": VERSION, "id": of, "error": {"code": int(exc.code), "message": str(exc), **details}}


def _invalid(text: str) -> RpcError:
    return RpcError(ErrorCode.INVALID_REQUEST, text)
