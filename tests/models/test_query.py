"""Symbols and queries: what text they take, and what they stand for."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.errors import QueryError
from stockapi.models import Interval, Mode, QueryParameters
from stockapi.models.query import is_symbol, parse_symbol

# Symbols


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("VCB", "VCB"),
        ("vcb", "VCB"),
        ("VnIndex", "VNINDEX"),
        ("1INCH", "1INCH"),
        ("0", "0"),
        ("BRK.B", "BRK.B"),
        ("a-b_c.d", "A-B_C.D"),
        ("A..", "A.."),
        ("A" * 20, "A" * 20),
    ],
)
def test_symbols_are_put_in_upper_case(text: str, symbol: str) -> None:
    assert parse_symbol(text) == symbol
    assert is_symbol(symbol)


NOT_SYMBOLS = [
    *("", " ", "A B", " A", "A ", "A\n", "\nA", "A\r\n", "A\t", "A\0", "\0"),
    *(".", "..", "...", ".A", "-A", "_A", "../A", "A/B", "A\\B", "/", "A/..", "%2e%2e", "A%00", "A:B"),
    "A" * 21,
    *("A,B", "A;B", "A'", 'A"', "=A", "+A", "@A", "A*", "A?", "$A", "A|B"),
    "ＶＣＢ",  # full-width letters
    "V\u0131",  # a dotless i, whose upper case is the ASCII I
    "\u017f",  # a long s, whose upper case is the ASCII S
    "\ufb01",  # the ligature fi, whose upper case is the two letters FI
    *("É", "Đ", "A\u200b", "A\u0301", "１", "\u0661", "\ud800"),
]


@pytest.mark.parametrize("text", NOT_SYMBOLS)
def test_what_could_not_be_a_symbol_is_refused_in_one_line(text: str) -> None:
    assert not is_symbol(text)
    with pytest.raises(QueryError) as caught:
        parse_symbol(text)
    message = str(caught.value)
    assert message == (
        f"symbol {text!r} is not allowed; a symbol is 1 to 20 of A-Z 0-9 . _ -, beginning with a letter or digit"
    )
    assert message.isprintable()


@pytest.mark.parametrize("text", ["vcb", "Vcb", "1inch"])
def test_a_stored_symbol_is_in_upper_case(text: str) -> None:
    assert not is_symbol(text)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=24))
def test_only_what_the_contract_allows_ever_gets_through(text: str) -> None:
    try:
        symbol = parse_symbol(text)
    except QueryError:
        assert not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,19}", text)
    else:
        assert symbol == text.upper()
        assert re.fullmatch("[A-Z0-9][A-Z0-9._-]{0,19}", symbol)


# Queries


def test_a_query_asks_for_a_year_of_every_vn_ticker_unless_told_otherwise() -> None:
    query = QueryParameters()
    assert (query.mode, query.interval, query.symbols) == (Mode.VN, Interval.DAILY, None)
    assert (query.start, query.end, query.limit) == (None, None, 252)
    assert (query.legacy, query.use_sqlite) == (False, True)


@pytest.mark.parametrize(("start", "end"), [(5, 5), (5, 6), (-1, 0), (5, None), (6, 5)])
def test_a_start_replaces_the_limit(start: int, end: int | None) -> None:
    query = QueryParameters(start=start, end=end, limit=None)
    assert (query.start, query.end, query.limit) == (start, end, None)


@pytest.mark.parametrize(("start", "limit"), [(5, 10), (None, None)])
def test_a_limit_goes_with_an_open_start_and_only_with_one(start: int | None, limit: int | None) -> None:
    with pytest.raises(ValueError, match="limit"):
        QueryParameters(start=start, limit=limit)
