import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.cross_section import CrossSection
from stockapi.calc.ma_scores import Sector, Stock, ma_scores_by_sector, scored_stocks
from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS, MA_PERIODS

NAN = math.nan
DAY = "1970-01-02"


def bar(volume: float = 7, **indicators: float) -> Bars:
    column = np.array([[indicators.get(name, NAN)] for name in INDICATOR_FIELDS])
    return Bars.of(np.array([86_400]), np.full((4, 1), 12.5), np.array([volume]), column)


def section_of(series: dict[str, Bars]) -> CrossSection:
    return CrossSection.of_last(series, whole_volume=True)


def stocks(**scores: float) -> dict[str, Stock]:
    return {symbol: Stock(symbol, DAY, 12.5, 7, 10.0, score, None, None) for symbol, score in scores.items()}


def sectors(
    found: dict[str, Stock],
    groups: dict[str, list[str]],
    min_score: float = 0.0,
    above_threshold_only: bool = False,
    top_per_sector: int = 10,
) -> list[Sector]:
    return ma_scores_by_sector(
        found, groups, min_score=min_score, above_threshold_only=above_threshold_only, top_per_sector=top_per_sector
    )


def shown(sector: Sector) -> str:
    return " ".join(stock.symbol for stock in sector.top_stocks)


# The stocks


@pytest.mark.parametrize("period", MA_PERIODS)
def test_a_stock_has_the_average_and_score_of_the_period(period: int) -> None:
    values = {name: float(number) for number, name in enumerate(INDICATOR_FIELDS)}
    number = MA_PERIODS.index(period)
    assert scored_stocks(section_of({"VCB": bar(**values)}), period) == {
        "VCB": Stock("VCB", DAY, 12.5, 7, float(number), 5.0 + number, 10.0, 11.0)
    }


def test_the_last_bar_counts() -> None:
    series = Bars.concatenate([bar(ma20_score=1.0), bar(ma20_score=2.0)])
    assert scored_stocks(section_of({"A": series}), 20)["A"].ma_score == 2.0


def test_a_stock_without_the_score_is_left_out_and_other_absent_numbers_are_none() -> None:
    found = scored_stocks(section_of({"A": bar(ma10_score=1.0), "B": bar(ma20_score=2.0)}), 20)
    assert found == {"B": Stock("B", DAY, 12.5, 7, None, 2.0, None, None)}


@pytest.mark.parametrize("volume", [7, 7.25])
def test_volumes_keep_their_kind(volume: float) -> None:
    found = scored_stocks(section_of({"A": bar(volume, ma20_score=1.0)}), 20)["A"].volume
    assert (found, type(found)) == (volume, type(volume))


# The sectors


def test_sectors_by_falling_average_and_stocks_by_falling_score() -> None:
    found = sectors(stocks(A=-1.0, B=2.0, C=5.0, D=4.0, E=9.0), {"LOW": ["A", "B"], "HIGH": ["C", "D"], "NONE": ["Z"]})
    assert [(each.sector_name, each.average_score, shown(each)) for each in found] == [
        ("HIGH", 4.5, "C D"),
        ("LOW", 0.5, "B A"),
    ]


def test_equal_sectors_by_name_and_equal_stocks_by_symbol() -> None:
    found = sectors(stocks(A=1.0, B=1.0, C=1.0), {"Y": ["C"], "X": ["B", "A"]})
    assert [(each.sector_name, shown(each)) for each in found] == [("X", "A B"), ("Y", "C")]


@pytest.mark.parametrize(
    ("min_score", "only", "top", "expected"),
    [
        (0.0, False, 10, [("X", 3, 2, 1.0, "A B C"), ("Y", 1, 0, -4.0, "D")]),
        (0.0, True, 10, [("X", 3, 2, 1.0, "A B")]),
        # at the threshold is above it
        (5.0, True, 10, [("X", 3, 1, 1.0, "A")]),
        (5.0001, True, 10, []),
        (5.0001, False, 10, [("X", 3, 0, 1.0, "A B C"), ("Y", 1, 0, -4.0, "D")]),
        (-10.0, True, 10, [("X", 3, 3, 1.0, "A B C"), ("Y", 1, 1, -4.0, "D")]),
        # the number shown changes no other number
        (0.0, False, 1, [("X", 3, 2, 1.0, "A"), ("Y", 1, 0, -4.0, "D")]),
    ],
)
def test_threshold_and_stocks_shown(min_score: float, only: bool, top: int, expected: list[tuple[object, ...]]) -> None:
    found = sectors(stocks(A=5.0, B=0.0, C=-2.0, D=-4.0), {"X": ["A", "B", "C"], "Y": ["D"]}, min_score, only, top)
    assert [
        (each.sector_name, each.total_stocks, each.stocks_above_threshold, each.average_score, shown(each))
        for each in found
    ] == expected


def test_a_symbol_of_two_groups_counts_in_both() -> None:
    found = sectors(stocks(A=1.0, B=3.0), {"X": ["A", "B"], "Y": ["A"]})
    assert [(each.sector_name, each.total_stocks) for each in found] == [("X", 2), ("Y", 1)]


def test_an_average_is_rounded_once_and_never_minus_zero() -> None:
    assert sectors(stocks(A=0.0001, B=0.0001, C=0.0003), {"X": list("ABC")})[0].average_score == 0.0002
    (sector,) = sectors(stocks(A=-0.00001), {"X": ["A"]})
    assert math.copysign(1.0, sector.average_score) == 1.0


@settings(max_examples=100, deadline=None)
@given(
    scores=st.dictionaries(st.sampled_from("ABCDEFGH"), st.integers(-50_000, 50_000), max_size=8),
    members=st.lists(st.sampled_from(["X", "Y", "Z"]), min_size=8, max_size=8),
    min_score=st.integers(-60_000, 60_000),
    only=st.booleans(),
    top=st.integers(1, 9),
)
def test_against_counting_by_hand(
    scores: dict[str, int], members: list[str], min_score: int, only: bool, top: int
) -> None:
    """Scores have four decimals: count in ten-thousandths, exactly."""
    groups: dict[str, list[str]] = {"X": [], "Y": [], "Z": []}
    for symbol, name in zip("HGFEDCBA", members, strict=True):
        groups[name].append(symbol)
    found = sectors(
        stocks(**{symbol: score / 10_000 for symbol, score in scores.items()}), groups, min_score / 10_000, only, top
    )
    by_name = {each.sector_name: each for each in found}
    assert [each.sector_name for each in found] == sorted(
        by_name, key=lambda name: (-by_name[name].average_score, name)
    )
    for name, symbols in groups.items():
        own = [(scores[symbol], symbol) for symbol in symbols if symbol in scores]
        above = [(score, symbol) for score, symbol in own if score >= min_score]
        listed = above if only else own
        if not listed:
            assert name not in by_name
            continue
        sector = by_name[name]
        assert (sector.total_stocks, sector.stocks_above_threshold) == (len(own), len(above))
        assert abs(Fraction(sum(score for score, _ in own), len(own)) - Fraction(sector.average_score) * 10_000) <= 0.51
        falling = sorted(listed, key=lambda each: (-each[0], each[1]))
        assert [stock.symbol for stock in sector.top_stocks] == [symbol for _, symbol in falling][:top]
