"""What `tools/list` says of the tools. All of it is from /openapi.json, so it is what the routes parse and answer."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from stockapi.api.http.responses import JSON_TYPE
from stockapi.api.mcp.tools import TOOLS, Tool
from stockapi.api.openapi.document import document
from stockapi.api.queries.parameters import Markets

_COMPONENT: Final = "#/components/schemas/"
_DEFINITION: Final = "#/$defs/"
_OF_GENERATORS: Final = "x-enum-varnames"
_ANNOTATIONS: Final = {
    "readOnlyHint": True,
    "destructiveHint": False,
    "idempotentHint": True,
    "openWorldHint": False,
}


@lru_cache
def tool_list(markets: Markets) -> list[dict[str, Any]]:
    """Every tool, in the order of `TOOLS`. `markets`: the enabled ones. The result must not be changed."""
    described = document(markets)
    return [_described(tool, described) for tool in TOOLS]


def _described(tool: Tool, api: dict[str, Any]) -> dict[str, Any]:
    operation = api["paths"][tool.path]["get"]
    parts = (f"{operation['summary']}.", operation["description"], tool.hint)
    return {
        "name": tool.name,
        "title": tool.title,
        "description": " ".join(filter(None, parts)),
        "inputSchema": _input(tool, operation["parameters"]),
        "outputSchema": _output(operation["responses"]["200"]["content"][JSON_TYPE]["schema"], api),
        "annotations": {"title": tool.title, **_ANNOTATIONS},
    }


def _input(tool: Tool, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    by_name = {each["name"]: each for each in parameters}
    required = [name for name in tool.parameters if by_name[name]["required"] or name in tool.required]
    return {
        "type": "object",
        "properties": {name: _property(tool, by_name[name]) for name in tool.parameters},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _property(tool: Tool, parameter: dict[str, Any]) -> dict[str, Any]:
    name = parameter["name"]
    schema = {key: value for key, value in parameter["schema"].items() if key != _OF_GENERATORS}
    if schema.get("type") == "array":
        # Models write a single symbol as a text.
        schema = {"anyOf": [schema, {"type": "string"}]}
    changed = {
        **({"default": tool.defaults[name]} if name in tool.defaults else {}),
        **({"minimum": 1, "maximum": tool.most[name]} if name in tool.most else {}),
    }
    return {**schema, **changed, "description": parameter["description"]}


def _output(schema: dict[str, Any], api: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer, with the components that it refers to."""
    components = api["components"]["schemas"]
    found: dict[str, Any] = {}
    resolved = _resolved(schema)
    if "$ref" in resolved:  # clients of earlier revisions want the type at the top
        resolved = _resolved(components[resolved["$ref"].removeprefix(_DEFINITION)])
    waiting = [*_references(resolved)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _resolved(components[name])
            waiting += _references(found[name])
    definitions = {name: found[name] for name in sorted(found)}
    return {"type": "object", **resolved, **({"$defs": definitions} if definitions else {})}


def _resolved(value: Any) -> Any:
    """The same schema, with references to `$defs`."""
    if isinstance(value, dict):
        return {key: _resolved(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each) for each in value]
    if isinstance(value, str) and value.startswith(_COMPONENT):
        return _DEFINITION + value.removeprefix(_COMPONENT)
    return value


def _references(value: Any) -> Iterator[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each.removeprefix(_DEFINITION)
            else:
                yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
