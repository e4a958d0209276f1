"""The language of `where` and `sort_by` of /analysis/screener: text into an expression, or an error at a character.

    condition   condition or condition | condition and condition | not condition | (condition)
                | sum < sum             also <= > >= = == !=
    sum         sum + sum | sum * sum   also - /
                | -sum | (sum) | number | field

`or` binds the least, then `and`, `not`, comparisons, + and -, * and /, and a minus before a sum the most.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, NoReturn

from stockapi.api.queries.near_misses import meant_by
from stockapi.calc.expressions import AND, COMPARISONS, NOT, OR, Name, Node, Number, Operation
from stockapi.calc.screener import FIELDS
from stockapi.errors import QueryError
from stockapi.models.requested import ALLOWED_REQUESTED, meant_requested, names_of, requested_with

LONGEST: Final = 500
"""Characters of a condition."""
_DEEPEST: Final = 20
"""Brackets, `not` and minus signs inside each other."""
_SHOWN: Final = 30
"""Characters shown on each side of an error."""

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|!=|==|[<>=+\-*/()]))",
    re.ASCII,
)
_STRENGTH: Final = {OR: 1, AND: 2, **dict.fromkeys(COMPARISONS, 4), "+": 5, "-": 5, "*": 6, "/": 6}
_NOT_STRENGTH: Final = 3
_MINUS_STRENGTH: Final = 7
_WORDS: Final = (AND, OR, NOT)
_CONDITION: Final = "a condition such as close>ma200"
_SUM: Final = "a number, a field, or a sum of them"


class _Token(NamedTuple):
    """`kind`: number, name, sign, or end. `text`: in lower case."""

    kind: str
    text: str
    at: int


def parse_condition(parameter: str, text: str) -> Node:
    """:raises QueryError: for a text that is no condition. It names the first character that is wrong, and what is
    allowed there.
    """
    return _Parser(parameter, text).whole(is_condition=True)


def parse_sum(parameter: str, text: str) -> Node:
    """:raises QueryError: as `parse_condition`, for a text that is no sum."""
    return _Parser(parameter, text).whole(is_condition=False)


class _Parser:
    """Reads a text once, from left to right: precedence climbing."""

    def __init__(self, parameter: str, text: str) -> None:
        self._parameter = parameter
        self._text = text
        self._tokens = [*self._split()]
        self._position = 0

    def whole(self, *, is_condition: bool) -> Node:
        node = self._expression(0, 0)
        if self._next.kind != "end":
            self._refuse(self._next.at, f"allowed: and, or, a sign such as < or +, or the end{self._plus_hint}")
        return self._require(node, is_condition=is_condition)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _take(self) -> _Token:
        self._position += 1
        return self._tokens[self._position - 1]

    def _split(self) -> Iterable[_Token]:
        at = 0
        while self._text[at:].strip():
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                begin = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                self._refuse(begin, "allowed: fields, numbers, and or not, + - * /, < <= > >= = !=, and brackets")
            text = match[match.lastgroup].lower()
            yield _Token(match.lastgroup, "=" if text == "==" else text, match.start(match.lastgroup))
            at = match.end()
        yield _Token("end", "", len(self._text))

    def _expression(self, least: int, depth: int) -> Node:
        """The longest expression from here on whose signs bind at least so strongly."""
        node = self._operand(depth)
        while _STRENGTH.get(self._next.text, -1) >= max(least, 1):
            token = self._take()
            other = self._expression(_STRENGTH[token.text] + 1, depth)
            are_conditions = token.text in (AND, OR)
            operands = tuple(self._require(each, is_condition=are_conditions) for each in (node, other))
            node = Operation(node.at, token.text, operands)
        return node

    def _operand(self, depth: int) -> Node:
        token = self._take()
        if depth > _DEEPEST:
            self._refuse(token.at, f"allowed: at most {_DEEPEST} brackets, not and - inside each other")
        if token.kind == "number":
            return self._number(token)
        if token.text == "(":
            node = self._expression(0, depth + 1)
            if self._next.text != ")":
                self._refuse(self._next.at, "a bracket is not closed; allowed: )")
            self._take()
            return node
        if token.text == "-":
            node = self._require(self._expression(_MINUS_STRENGTH, depth + 1), is_condition=False)
            return Operation(token.at, "-", (Number(token.at, 0.0), node))
        if token.text == NOT:
            node = self._require(self._expression(_NOT_STRENGTH, depth + 1), is_condition=True)
            return Operation(token.at, NOT, (node,))
        if token.kind != "name" or token.text in _WORDS:
            self._refuse(token.at, f"something is missing here; allowed: {_SUM}, - and brackets{self._plus_hint}")
        return self._name(token)

    def _number(self, token: _Token) -> Node:
        value = float(token.text)
        if value == float("inf"):
            self._refuse(token.at, "the number is too large; allowed: numbers up to 1e308")
        return Number(token.at, value)

    def _name(self, token: _Token) -> Node:
        if token.text not in FIELDS and requested_with(token.text) is None:
            requested = meant_requested(token.text)
            meant = meant_by(token.text, FIELDS) or names_of([requested] if requested else [])
            hint = f", {' or '.join(meant)} was meant?" if meant else ";"
            self._refuse(
                token.at,
                f"{token.text[:_SHOWN]!r} is no field{hint} allowed: {', '.join(FIELDS)}, and fields of indicators: "
                f"{ALLOWED_REQUESTED}",
            )
        return Name(token.at, token.text)

    def _require(self, node: Node, *, is_condition: bool) -> Node:
        if node.is_condition is not is_condition:
            what = _CONDITION if is_condition else f"{_SUM}; conditions are joined by and"
            self._refuse(node.at, f"allowed: {what}")
        return node

    @property
    def _plus_hint(self) -> str:
        """In the query of a URL a plus means a blank."""
        return "; the + of a sum is written %2B in a URL" if " " in self._text else ""

    def _refuse(self, at: int, reason: str) -> NoReturn:
        before, after = self._text[:at], self._text[at:]
        shown = f"{'...' if len(before) > _SHOWN else ''}{before[-_SHOWN:]}^{after[:_SHOWN]}"
        shown += "..." if len(after) > _SHOWN else ""
        raise QueryError(f"{self._parameter} {shown!r} is not allowed from the ^ on, character {at + 1}: {reason}")
