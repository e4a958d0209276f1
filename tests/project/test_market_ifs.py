"""Nobody outside `stockapi/markets/` decides by which market it has before it: what differs is a fact of the record."""

import ast
from collections.abc import Iterator

import pytest

from stockapi.markets import mode_names
from stockapi.models import Mode
from tests.support.layers import Module, matches, parse, project
from tests.support.server import ROOT

RECORDS = ("stockapi.markets.*",)
MEMBERS = {mode.name for mode in Mode}
"""Of `Mode`, and what the records are called."""
TEXTS = MEMBERS | set(mode_names())


def decisions_by_market(module: Module) -> list[str]:
    """The lines on which one of the markets is compared with, looked up, or matched."""
    return sorted(
        {
            f"{module.name} line {place.lineno}: {ast.unparse(place)} tells markets apart: make it a fact of a record"
            for node in ast.walk(module.tree)
            for place in _deciding_parts(node)
            if any(_is_a_market(each) for each in ast.walk(place))
        }
    )


def _deciding_parts(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Compare():
            yield node
        case ast.Dict(keys=keys):
            yield from (key for key in keys if key is not None)
        case ast.Subscript(slice=index):
            yield index
        case ast.MatchValue(value=value):
            yield value


def _is_a_market(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in MEMBERS
        case ast.Constant(value=str(text)):
            return text in TEXTS
    return False


def test_no_decision_is_made_by_the_market_outside_its_record() -> None:
    modules = [module for module in project(ROOT).values() if not matches(module.name, RECORDS)]
    assert len(modules) > 100, "the project is not where it was"
    assert [line for module in modules for line in decisions_by_market(module)] == []


@pytest.mark.parametrize(
    ("source", "is_fine"),
    [
        ("x = 1 if mode is Mode.VN else 2", False),
        ("if key.mode == Mode.CRYPTO:\n    pass", False),
        ("x = mode is not models.Mode.VN and wanted", False),
        ("x = mode in (Mode.VN,)", False),
        ("x = [mode for mode in Mode if mode is not Mode.CRYPTO]", False),
        ("x = {Mode.VN: 2.0, Mode.CRYPTO: 10.0}", False),
        ("x = TICKS[Mode.VN]", False),
        ("match mode:\n    case Mode.VN:\n        pass", False),
        ("x = market_of(mode) is VN", False),
        ("x = mode.value == 'vn'", False),
        ("x = {'crypto': 1}[mode.value]", False),
        ("x = mode.name == 'VN'", False),
        ("class Source:\n    mode = Mode.VN", True),  # a source is one of a market
        ("x = market_of(mode).has_whole_volume and mode in enabled", True),
        ("x = [market_of(mode) for mode in Mode]", True),
        ("x = VN.calendar.is_trading_hours(now)", True),
        ("x = {mode: 1 for mode in Mode}", True),
        ("x: dict[Mode, int] = {}", True),
    ],
)
def test_a_decision_by_the_market_is_found(source: str, is_fine: bool) -> None:
    assert (decisions_by_market(parse("stockapi.calc.made_up", source)) == []) is is_fine
