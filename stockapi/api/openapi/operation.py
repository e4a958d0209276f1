"""What is said of a route for /openapi.json."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from marshmallow import Schema

from stockapi.api.queries.parameters import QuerySchema
from stockapi.markets import Market

JsonSchema = Mapping[str, Any]
Content = Mapping[str, type[Schema] | JsonSchema]
"""For each media type: a marshmallow schema, or a JSON schema that may contain marshmallow schemas."""
Example = Callable[[Market], Mapping[str, object]]
"""An example is made for a market, with its symbols and its hours."""

JSON: Final = "application/json"
CSV: Final = "text/csv"
TEXT: Final = {"type": "string"}
BAR_ERRORS: Final = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


class ErrorForm(Enum):
    """The form of the errors of a route. The value begins the names of their components."""

    PLAIN = ""
    UDF = "Udf"
    RPC = "Rpc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route with one method, its 200 and its errors.

    `path`: the rule of the application, with `<name>` for a variable part.
    `body`: of a request of another method than `get`: its schema, and an example.
    `answer`: the description of the 200. `content`: its body.
    `example`: values of parameters that make a useful request; /docs fills them in.
    `sample`: an example of the first body in `content`. Both are those of the default market.
    `redirect`, `accepted`: the descriptions of the 302 and of the 202, if there is one.
    `headers`: the names of the further header components of the 200.
    `is_conditional`: the answer has an ETag, and If-None-Match gives 304. Otherwise the answer must not be stored.
    `errors`: the further errors of this route. Every route has some, and a route with a query has 400.
    `is_open`: it never needs a key, and its requests are not counted.
    `is_for_operators`: it needs an operator's key, when there are any.
    """

    path: str
    tag: str
    summary: str
    description: str
    answer: str
    content: Content
    method: str = "get"
    body: tuple[JsonSchema, JsonSchema] | None = None
    query: type[QuerySchema] | None = None
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    example: Example = lambda _: {}
    sample: Example | None = None
    headers: tuple[str, ...] = ()
    is_conditional: bool = True
    redirect: str = ""
    accepted: str = ""
    errors: tuple[HTTPStatus, ...] = ()
    is_open: bool = False
    is_for_operators: bool = False
    error_form: ErrorForm = ErrorForm.PLAIN


def table(rows: str, columns: Sequence[str]) -> JsonSchema:
    """The body of a table in CSV. `rows`: what each row is."""
    return {"type": "string", "description": f"a header, then a row for {rows}: {', '.join(columns)}"}


def by_symbol(values: type[Schema] | JsonSchema) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}
