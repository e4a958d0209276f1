"""What /openapi.json says of keys and limits, on a server that has them. Elsewhere the document has nothing of it."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from stockapi.api.http.access import BEARER, KEY_HEADER, LIMIT_HEADERS, Protection
from stockapi.api.openapi.operation import Operation
from stockapi.services.status.health import OPEN_FIELDS

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": BEARER.lower(), "description": f"Authorization: {BEARER} KEY"},
    "header": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{name: []} for name in _SCHEMES]
_UNAUTHORIZED: Final = str(HTTPStatus.UNAUTHORIZED.value)
_TOO_MANY: Final = str(HTTPStatus.TOO_MANY_REQUESTS.value)
_LIMITS: Final = {
    LIMIT_HEADERS[0]: ("requests in a window of so many seconds", '"default";q=600;w=60'),
    LIMIT_HEADERS[1]: ("requests left in the present window, and the seconds until it ends", '"default";r=599;t=60'),
}
_CHALLENGE: Final = "WWW-Authenticate"
_TOO_OFTEN: Final = "Too many requests of this client in a minute, or too many large queries at once."


def protect(document: dict[str, Any], operations: Mapping[str, Operation], protection: Protection) -> None:
    """Add to the document what the settings ask for.

    :param operations: by the path in the document.
    """
    if not protection.is_on:
        return
    _add_components(document["components"], protection)
    for path, operation in operations.items():
        if not operation.is_open:
            _protect_operation(document["paths"][path][operation.method], operation, protection)


def _add_components(components: dict[str, Any], protection: Protection) -> None:
    if protection.is_limited:
        components["headers"] |= {
            name: {"description": description, "schema": {"type": "string", "examples": [example]}}
            for name, (description, example) in _LIMITS.items()
        }
    if protection.needs_key or protection.has_operators:
        components["securitySchemes"] = _SCHEMES
        components["headers"][_CHALLENGE] = {"required": True, "schema": {"type": "string", "examples": [BEARER]}}
    if protection.has_operators:
        components["schemas"]["Health"]["required"] = list(OPEN_FIELDS)


def _protect_operation(described: dict[str, Any], operation: Operation, protection: Protection) -> None:
    responses = described["responses"]
    if protection.needs_key or (protection.has_operators and operation.is_for_operators):
        described["security"] = _SECURITY
        responses[_UNAUTHORIZED] = _refusal(operation, "A key is missing or unknown.", _CHALLENGE)
    if protection.is_limited:
        responses[_TOO_MANY] = _refusal(operation, _TOO_OFTEN, "Retry-After")
        for response in responses.values():
            if "description" in response:  # the others are references to what is the same everywhere
                response["headers"] = response.get("headers", {}) | _references(_LIMITS)


def _refusal(operation: Operation, description: str, header: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{operation.error_form.value}Error"}
    content = {"application/json": {"schema": schema}}
    return {"description": description, "headers": _references([header]), "content": content}


def _references(headers: Iterable[str]) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
