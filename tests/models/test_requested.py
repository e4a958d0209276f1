"""The grammar of indicators that a request may name."""

import pytest

from stockapi.errors import QueryError
from stockapi.models.requested import ALLOWED_REQUESTED, KINDS, SAMPLES, names_of, parse_requested, requested_with

ALLOWED = [
    ("rsi14", "rsi14"),
    ("RSI14", "rsi14"),
    ("rsi(14)", "rsi14"),
    ("rsi( 2 )", "rsi2"),
    ("rsi200", "rsi200"),
    ("macd", "macd macd_signal macd_hist"),
    ("macd(12,26,9)", "macd macd_signal macd_hist"),
    ("MACD (12, 26, 9)", "macd macd_signal macd_hist"),
    ("macd(5,35,5)", "macd5_35_5 macd5_35_5_signal macd5_35_5_hist"),
    ("macd5_35_5", "macd5_35_5 macd5_35_5_signal macd5_35_5_hist"),
    ("bb20", "bb20_upper bb20_middle bb20_lower"),
    ("bb(20)", "bb20_upper bb20_middle bb20_lower"),
    ("bb(20,2)", "bb20_upper bb20_middle bb20_lower"),
    ("bb(20,2.0)", "bb20_upper bb20_middle bb20_lower"),
    ("bb(20,2.5)", "bb20_2_5_upper bb20_2_5_middle bb20_2_5_lower"),
    ("bb20_2_5", "bb20_2_5_upper bb20_2_5_middle bb20_2_5_lower"),
    ("bb(20,3)", "bb20_3_upper bb20_3_middle bb20_3_lower"),
    ("bb(10,0.25)", "bb10_0_25_upper bb10_0_25_middle bb10_0_25_lower"),
    ("atr14", "atr14"),
    ("vwap", "vwap"),
    ("roc10", "roc10"),
    ("stoch14", "stoch14_k stoch14_d"),
    ("stoch(14,1,3)", "stoch14_k stoch14_d"),
    ("stoch(14,3,3)", "stoch14_3_3_k stoch14_3_3_d"),
    ("stoch(14,3,1)", "stoch14_3_1_k stoch14_3_1_d"),
    ("obv", "obv"),
]


@pytest.mark.parametrize(("text", "names"), ALLOWED)
def test_the_names_of_fields(text: str, names: str) -> None:
    requested = parse_requested(text)
    assert names_of([requested]) == tuple(names.split(" "))
    assert parse_requested(requested.name) == requested
    assert {requested_with(name) for name in names.split(" ")} == {requested}


def test_they_sort_as_they_are_listed_and_then_by_their_numbers() -> None:
    texts = ["obv", "stoch14", "rsi14", "macd(5,35,5)", "bb20", "rsi7", "macd", "vwap"]
    names = [each.name for each in sorted(map(parse_requested, texts))]
    assert names == ["rsi7", "rsi14", "macd5_35_5", "macd", "bb20", "vwap", "stoch14", "obv"]


def test_every_kind_has_a_sample_and_a_name_that_is_no_beginning_of_another() -> None:
    assert [parse_requested(sample).kind for sample in SAMPLES] == list(KINDS)
    assert all(sample in ALLOWED_REQUESTED for sample in SAMPLES)
    names = [kind.name for kind in KINDS]
    assert not [(a, b) for a in names for b in names if a != b and a.startswith(b)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("rsi", "rsi14"),
        ("rsi_14", "rsi14"),
        ("rsi-14", "rsi14"),
        ("rsi 7", "rsi7"),
        ("rsi014", "rsi14"),
        ("rsi(14", "rsi14"),
        ("rsi14)", "rsi14"),
        ("rsi[7]", "rsi7"),
        ("rsi1", "rsi14"),
        ("rsi0", "rsi14"),
        ("rsi201", "rsi14"),
        ("rsi(14,2)", "rsi14"),
        ("rsi(14.5)", "rsi14"),
        ("rsi()", "rsi14"),
        ("rsi(-14)", "rsi14"),
        ("macd(12,26)", "macd"),
        ("macd(26,12,9)", "macd"),
        ("macd(12,12,9)", "macd"),
        ("macd12_26_9", "macd"),
        ("macd 5 35 5", "macd5_35_5"),
        ("macd_signal", "macd"),
        ("bb", "bb20"),
        ("bb20_2", "bb20"),
        ("bb20_upper", "bb20"),
        ("bb(20,0)", "bb20"),
        ("bb(20,11)", "bb20"),
        ("bb(20,2.125)", "bb20"),
        ("bb(20,2,5)", "bb20"),
        ("vwap14", "vwap"),
        ("vwap()", "vwap"),
        ("stoch(14,3)", "stoch14"),
        ("stoch14_1_3", "stoch14"),
        ("obv1", "obv"),
    ],
)
def test_what_is_almost_allowed_is_refused_with_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_requested(text)
    assert str(caught.value) == (f"indicators {text!r} is not allowed; {meant} was meant? allowed: {ALLOWED_REQUESTED}")


@pytest.mark.parametrize(
    "text", ["", " ", "sma20", "ma20", "14", "(14)", "rsi14;", "r\u015fi14", "rsi\uff11\uff14", "__import__", "rsi14\n"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match=r"is not allowed; .*allowed: rsi14, macd"):
        parse_requested(text)


@pytest.mark.parametrize(
    "name", ["close", "ma20", "macd_upper", "bb20", "rsi14_k", "stoch14", "bb_upper", "rsi1", "", "obv_"]
)
def test_other_names_are_no_fields_of_requested_indicators(name: str) -> None:
    assert requested_with(name) is None
