"""Sums and conditions over the fields of bars, such as `close > ma200 and rsi14 < 30`, and what they come to.

A condition about an absent number is neither true nor false. `not` leaves it so; `and` is false, and `or` true, when
its other side alone decides (Kleene's logic, as in SQL).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stockapi.models.bars import Float

Flags = NDArray[np.bool_]
Columns = Callable[[str], Float]
"""The numbers of a field, by its name; NaN where absent. All have the same length, or one."""

_SUMS: Final[dict[str, Callable[[Float, Float], Float]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
_COMPARISONS: Final[dict[str, Callable[[Float, Float], Flags]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}
SUMS: Final = tuple(_SUMS)
COMPARISONS: Final = tuple(_COMPARISONS)
AND: Final = "and"
OR: Final = "or"
NOT: Final = "not"


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression. `at`: the position of its first character in the text."""

    at: int = field(compare=False)

    @property
    def is_condition(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: float


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A field of the bars."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation(Node):
    """A sum or comparison of two numbers, `and` or `or` of two conditions, or `not` of one."""

    sign: str
    operands: tuple[Node, ...]

    @property
    def is_condition(self) -> bool:
        return self.sign not in _SUMS


class Truth(NamedTuple):
    """For each bar whether a condition is true, and whether it is false; neither where a number is absent."""

    is_true: Flags
    is_false: Flags


def names_in(node: Node) -> frozenset[str]:
    """The fields of an expression."""
    if isinstance(node, Name):
        return frozenset([node.name])
    return frozenset().union(*map(names_in, node.operands)) if isinstance(node, Operation) else frozenset()


def numbers(node: Node, columns: Columns) -> Float:
    """What a sum comes to for each bar; NaN where a number is absent, or where the result is not finite."""
    if isinstance(node, Number):
        return np.array(node.value)
    if isinstance(node, Name):
        return columns(node.name)
    if not isinstance(node, Operation) or node.is_condition:
        raise TypeError(f"{node} is no number")
    with np.errstate(all="ignore"):
        found = _SUMS[node.sign](*(numbers(each, columns) for each in node.operands))
    return np.where(np.isfinite(found), found, np.nan)


def truth(node: Node, columns: Columns) -> Truth:
    """For which bars the condition holds."""
    if not isinstance(node, Operation) or not node.is_condition:
        raise TypeError(f"{node} is no condition")
    if node.sign in _COMPARISONS:
        one, other = (numbers(each, columns) for each in node.operands)
        found, is_known = _COMPARISONS[node.sign](one, other), ~np.isnan(one) & ~np.isnan(other)
        return Truth(found & is_known, ~found & is_known)
    first, *rest = (truth(each, columns) for each in node.operands)
    if node.sign == NOT:
        return Truth(first.is_false, first.is_true)
    (second,) = rest
    if node.sign == AND:
        return Truth(first.is_true & second.is_true, first.is_false | second.is_false)
    return Truth(first.is_true | second.is_true, first.is_false & second.is_false)
