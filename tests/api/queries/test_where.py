"""The language of `where` and `sort_by`: what a text means, and where it is wrong."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockapi.api.queries.where import LONGEST, parse_condition, parse_sum
from stockapi.calc.expressions import names_in, numbers, truth
from stockapi.errors import QueryError

BARS = {"close": [5.0, 2.0, 0.0, math.nan], "volume": [0.0, 3.0, math.nan, 1.0], "rsi14": [30.0, 70.0, -2.5, 0.0]}
COUNT = 4


def columns(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(BARS[name])


def holds(text: str) -> list[bool | None]:
    """For each bar; None for neither."""
    found = truth(parse_condition("where", text), columns)
    is_true, is_false = (np.broadcast_to(each, COUNT).tolist() for each in found)
    return [True if a else False if b else None for a, b in zip(is_true, is_false, strict=True)]


def comes_to(text: str) -> list[float]:
    values: list[float] = np.broadcast_to(numbers(parse_sum("sort_by", text), columns), COUNT).tolist()
    return values


class Made(NamedTuple):
    """A text, how strongly its last sign binds, and what it means for a bar; None for absent, or for neither."""

    text: str
    strength: int
    mean: Callable[[int], float | bool | None]

    def within(self, strength: int) -> str:
        return self.text if self.strength > strength else f"({self.text})"


def _number(value: int) -> Made:
    return Made(str(value), 9, lambda _: float(value))


def _name(name: str) -> Made:
    return Made(name, 9, lambda bar: None if math.isnan(BARS[name][bar]) else BARS[name][bar])


SIGNS: dict[str, tuple[int, Callable[[float, float], float | bool]]] = {
    "+": (5, lambda a, b: a + b),
    "-": (5, lambda a, b: a - b),
    "*": (6, lambda a, b: a * b),
    "/": (6, lambda a, b: a / b if b else math.nan),
    "<": (4, lambda a, b: a < b),
    "<=": (4, lambda a, b: a <= b),
    ">": (4, lambda a, b: a > b),
    ">=": (4, lambda a, b: a >= b),
    "=": (4, lambda a, b: a == b),
    "!=": (4, lambda a, b: a != b),
}


def _joined(sign: str, one: Made, other: Made) -> Made:
    strength, compute = SIGNS[sign]

    def mean(bar: int) -> float | bool | None:
        a, b = one.mean(bar), other.mean(bar)
        found = None if a is None or b is None else compute(a, b)
        return None if found is None or math.isnan(found) else found

    return Made(f"{one.within(strength - 1)} {sign}{other.within(strength)}", strength, mean)


def _and_or(sign: str, one: Made, other: Made) -> Made:
    strength, deciding = {"or": (1, True), "and": (2, False)}[sign]

    def mean(bar: int) -> bool | None:
        both = [one.mean(bar), other.mean(bar)]
        return deciding if deciding in both else None if None in both else not deciding

    return Made(f"{one.within(strength - 1)} {sign} {other.within(strength)}", strength, mean)


def _not(one: Made) -> Made:
    def mean(bar: int) -> bool | None:
        found = one.mean(bar)
        return None if found is None else not found

    return Made(f"not {one.within(2)}", 3, mean)


def _minus(one: Made) -> Made:
    return Made(f"-{one.within(6)}", 7, lambda bar: None if one.mean(bar) is None else -(one.mean(bar) or 0.0))


LEAVES = st.one_of(st.integers(0, 9).map(_number), st.sampled_from(list(BARS)).map(_name))
SUMS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.builds(_joined, st.sampled_from("+-*/"), inner, inner), inner.map(_minus)),
    max_leaves=6,
)
CONDITIONS = st.recursive(
    st.builds(_joined, st.sampled_from(["<", "<=", ">", ">=", "=", "!="]), SUMS, SUMS),
    lambda inner: st.one_of(st.builds(_and_or, st.sampled_from(["and", "or"]), inner, inner), inner.map(_not)),
    max_leaves=5,
)


@given(made=CONDITIONS)
def test_conditions_mean_what_their_parts_mean(made: Made) -> None:
    if len(made.text) <= LONGEST:
        assert holds(made.text) == [made.mean(bar) for bar in range(COUNT)]


@given(made=SUMS)
def test_sums_mean_what_their_parts_mean(made: Made) -> None:
    expected = [made.mean(bar) for bar in range(COUNT)]
    assert comes_to(made.text) == pytest.approx([math.nan if each is None else each for each in expected], nan_ok=True)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("CLOSE>2 AND NOT Rsi14<0", "close > 2 and not rsi14 < 0"),
        ("close==5", "close = 5"),
        ("close>1 or close<1 and volume>1", "close>1 or (close<1 and volume>1)"),
        ("not close>1 and volume>1", "(not close>1) and volume>1"),
        ("close-2-1>0", "(close-2)-1>0"),
        ("-close*2<1", "(-close)*2<1"),
        ("close>1e0", "close>1"),
        ("close>.5", "close>0.5"),
        ("close>5.", "close>5"),
        ("((close))>(2)", "close>2"),
        ("\tclose\n>\r\n2 ", "close>2"),
    ],
)
def test_ways_to_write_the_same(text: str, same: str) -> None:
    assert parse_condition("where", text) == parse_condition("where", same)


def test_names_of_fields_and_of_indicators() -> None:
    text = "close>ma200 and macd_hist>0 and bb20_2_5_lower<value and (stoch5_3_3_k<20 or rsi7<open)"
    names = "close ma200 macd_hist bb20_2_5_lower value stoch5_3_3_k rsi7 open"
    assert names_in(parse_condition("where", text)) == frozenset(names.split(" "))


FIELDS = "is no field"
GO_ON = "allowed: and, or, a sign such as < or +, or the end"
OPERAND = "something is missing here; allowed: a number, a field, or a sum of them, - and brackets"
SUM = "allowed: a number, a field, or a sum of them; conditions are joined by and"
CONDITION = "allowed: a condition such as close>ma200"
TOKEN = "allowed: fields, numbers, and or not, + - * /, < <= > >= = !=, and brackets"


@pytest.mark.parametrize(
    ("text", "marked", "character", "reason"),
    [
        ("close>ma200 and rsi<30", "close>ma200 and ^rsi<30", 17, "'rsi' is no field, rsi14 was meant? allowed: open,"),
        ("colse>1", "^colse>1", 1, "'colse' is no field, close was meant? allowed: open,"),
        (
            "bb20>1",
            "^bb20>1",
            1,
            "'bb20' is no field, bb20_upper or bb20_middle or bb20_lower was meant? allowed: open,",
        ),
        ("price>1", "^price>1", 1, "'price' is no field; allowed: open,"),
        ("close", "^close", 1, CONDITION),
        ("5", "^5", 1, CONDITION),
        ("close>", "close>^", 7, OPERAND),
        (">5", "^>5", 1, OPERAND),
        ("close>5 and", "close>5 and^", 12, OPERAND),
        ("and close>5", "^and close>5", 1, OPERAND),
        ("close>5 or or close<2", "close>5 or ^or close<2", 12, OPERAND),
        ("not", "not^", 4, OPERAND),
        ("()", "(^)", 2, OPERAND),
        ("(close>5", "(close>5^", 9, "a bracket is not closed; allowed: )"),
        ("(close>5 close", "(close>5 ^close", 10, "a bracket is not closed; allowed: )"),
        ("close>5)", "close>5^)", 8, GO_ON),
        ("close>5 rsi14<3", "close>5 ^rsi14<3", 9, f"{GO_ON}; the + of a sum is written %2B in a URL"),
        ("close>5 10", "close>5 ^10", 9, f"{GO_ON}; the + of a sum is written %2B in a URL"),
        ("1<close<5", "^1<close<5", 1, SUM),
        ("close>5 and volume", "close>5 and ^volume", 13, CONDITION),
        ("volume or close>5", "^volume or close>5", 1, CONDITION),
        ("not volume", "not ^volume", 5, CONDITION),
        ("-(close>5)<1", "-(^close>5)<1", 3, SUM),
        ("(close>1)+1>2", "(^close>1)+1>2", 2, SUM),
        ("close=>5", "close=^>5", 7, OPERAND),
        ("close>5;", "close>5^;", 8, TOKEN),
        ("close>5 & volume>1", "close>5 ^& volume>1", 9, TOKEN),
        ("close>$5", "close>^$5", 7, TOKEN),
        ("close!5", "close^!5", 6, TOKEN),
        ("close>'5'", "close>^'5'", 7, TOKEN),
        ("close>1,5", "close>1^,5", 8, TOKEN),
        ("close>\uff15", "close>^\uff15", 7, TOKEN),
        ("clos\u0435>5", "clos^\u0435>5", 5, TOKEN),
        ("close>5\x00", "close>5^\x00", 8, TOKEN),
        ("close>1e999", "close>^1e999", 7, "the number is too large; allowed: numbers up to 1e308"),
        ("__import__('os')", "__import__(^'os')", 12, TOKEN),
        ("__import__(os)", "^__import__(os)", 1, "'__import__' is no field; allowed: open,"),
        ("rsi14(close)>1", "rsi14^(close)>1", 6, GO_ON),
        ("close**2>1", "close*^*2>1", 7, OPERAND),
        (f"{'close>1 and ' * 9}rsi<5", "...se>1 and close>1 and close>1 and ^rsi<5", 109, "'rsi' is no field"),
        (f"colse>1{' and close>1' * 9}", "^colse>1 and close>1 and close>...", 1, "'colse' is no field"),
    ],
)
def test_an_error_points_at_its_character(text: str, marked: str, character: int, reason: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_condition("where", text)
    error = str(caught.value)
    if marked.startswith("..."):
        marked = f"...{marked.split('^')[0][-30:]}^{marked.split('^')[1]}"
    assert error.startswith(f"where {marked!r} is not allowed from the ^ on, character {character}: {reason}")
    assert "\n" not in error


@pytest.mark.parametrize("text", ["close>1", "not close>1", "close>1 and close<2"])
def test_a_condition_is_no_sum(text: str) -> None:
    with pytest.raises(
        QueryError, match=r"^sort_by '\^.*' is not allowed from the \^ on, character 1: allowed: a number, a field"
    ):
        parse_sum("sort_by", text)


@pytest.mark.parametrize(("before", "after"), [("(", ")"), ("not ", ""), ("-", "")])
def test_depth_has_a_limit(before: str, after: str) -> None:
    inner = "close>1" if before != "-" else "1"

    def nested(depth: int) -> str:
        text = f"{before * depth}{inner}{after * depth}"
        return text if before != "-" else f"0<{text}"

    parse_condition("where", nested(20))
    with pytest.raises(QueryError, match="at most 20 brackets, not and - inside each other"):
        parse_condition("where", nested(21))


@pytest.mark.parametrize("text", ["1" + "+1" * 248 + ">0", "1<2" + " and 1<2" * 62, "1<2" + " or 1<2" * 71])
def test_the_longest_texts(text: str) -> None:
    assert len(text) <= LONGEST
    assert holds(text) == [True] * COUNT


@given(text=st.text(st.sampled_from("closervand ot<>=!+-*/().15e_\x00\u00e9"), max_size=60))
def test_any_text_is_a_condition_or_an_error_of_one_line(text: str) -> None:
    with suppress(QueryError):
        assert parse_condition("where", text).is_condition
        return
    with pytest.raises(QueryError) as caught:
        parse_condition("where", text)
    assert str(caught.value).isprintable()
