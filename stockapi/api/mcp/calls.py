"""Call a tool: ask its route, as a client would, and give back what it answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import orjson
from flask import current_app, request
from werkzeug.test import run_wsgi_app

from stockapi.api.http import limits
from stockapi.api.mcp.tools import Tool
from stockapi.errors import QueryError
from stockapi.models.limits import RowBudget

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_OF_THE_BODY: Final = ("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING")
_NOT_PASSED_ON: Final = (
    *_OF_THE_BODY,
    *("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ORIGIN", "HTTP_RANGE"),
    *("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"),
)
_MOST_VALUES: Final = 500
"""Values in a list, such as symbols."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answered: JSON, or the text of its error."""

    content: bytes
    is_error: bool


def call(tool: Tool, arguments: Mapping[str, Any]) -> Answer:
    """The answer of the tool's route. Errors are those of the route.

    The request has the deadline and the row budget of the current one. It is admitted, logged and counted as any other.
    """
    try:
        environ = _environ(tool, urlencode([*_pairs(tool, arguments)]))
    except QueryError as exc:
        return Answer(str(exc).encode(), is_error=True)
    # A context of its own, because the one of the current request would lend it its `g`.
    with current_app.app_context():
        pieces, status, _ = run_wsgi_app(current_app, environ, buffered=True)
    body = b"".join(pieces)
    if int(status.split()[0]) == HTTPStatus.OK:
        return Answer(body, is_error=False)
    return Answer(orjson.loads(body)["error"].encode(), is_error=True)


def _environ(tool: Tool, query: str) -> "WSGIEnvironment":
    """Of a GET for the route of the tool, from the same client as the current request."""
    current = limits.current()
    if tool.max_rows is not None:
        current = replace(current, row_budget=RowBudget(min(tool.max_rows, current.row_budget.limit)))
    environ = {name: value for name, value in request.environ.items() if name not in _NOT_PASSED_ON}
    environ |= {"REQUEST_METHOD": "GET", "PATH_INFO": tool.path, "QUERY_STRING": query}
    limits.pass_on(environ, current)
    return environ


def _pairs(tool: Tool, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The parameters of the query.

    :raises QueryError: for an argument that the tool does not have, a missing one, and a value that is no text, number,
        boolean or list of them.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    unknown = [name for name in given if name not in tool.parameters]
    if unknown:
        raise QueryError(f"argument {unknown[0]!r:.40} is unknown; allowed: {', '.join(tool.parameters)}")
    missing = [name for name in tool.required if not any(each != "" for each in _values(given.get(name, [])))]
    if missing:
        raise QueryError(f"{missing[0]} is missing; allowed: one or several of them")
    for name, most in tool.most.items():
        if name in given and not _is_at_most(given[name], most):
            raise QueryError(
                f"{name} {given[name]!r:.40} is not allowed; allowed: a whole number from 1 to {most}; "
                "for more, ask in pieces with start_date and end_date, or for a longer interval"
            )
    for name, value in {**tool.defaults, **given}.items():
        values = _values(value)
        if len(values) > _MOST_VALUES:
            raise QueryError(f"{name} has {len(values)} values; allowed: at most {_MOST_VALUES}")
        yield from ((name, _text(name, each)) for each in values)


def _values(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_at_most(value: object, most: int) -> bool:
    text = _text("", value) if isinstance(value, str | int | float) else ""
    return text.isascii() and text.isdigit() and 1 <= int(text) <= most


def _text(name: str, value: object) -> str:
    """As one writes it in a query."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # programs write 60 as 60.0, and mean a whole number
    if isinstance(value, str | int | float):
        return str(value)
    raise QueryError(f"{name} {value!r:.40} is not allowed; allowed: a text, a number, a boolean, or a list of them")
