"""Words of names, without accents and case."""

import pytest

from stockapi.markets.symbol_texts import Texts, folded, rank_of

HPG = Texts.of("HPG", "Hoa Phat Group", "Hoa Phat Group Joint Stock Company", "CTCP Tập đoàn Hòa Phát")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hòa Phát", "hoa phat"),
        ("HÒA  PHÁT!", "hoa phat"),
        ("Tập đoàn", "tap doan"),
        ("ĐẤT XANH", "dat xanh"),
        ("Ho\u0300a", "hoa"),  # the accent as a sign of its own
        ("A.B-C_D", "a b c d"),
        ("\ufb01n", "fin"),
        ("  ", ""),
        ("", ""),
    ],
)
def test_folded(text: str, expected: str) -> None:
    assert folded(text) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("hpg", 0),
        ("", 0),
        ("hp", 1),
        ("hoa phat", 2),
        ("ctcp tap", 2),
        ("phat hoa", 3),
        ("group pha", 3),
        ("oa hat", 4),
        ("hoa vcb", None),
        ("hpgx", None),
    ],
)
def test_how_well_a_text_fits(wanted: str, expected: int | None) -> None:
    assert rank_of(HPG, wanted) == expected
