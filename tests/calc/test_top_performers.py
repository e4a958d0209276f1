import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.cross_section import CrossSection
from stockapi.calc.top_performers import SORT_KEYS, Ranking, rank, rank_hours, with_volume
from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS

NAN = math.nan
DAY = 1_704_412_800  # 2024-01-05
HOUR = 3_600


def bar(time: float = DAY, close: float = 100.0, volume: float = 50_000, **indicators: float) -> Bars:
    """One bar; indicators that are not given are absent."""
    column = np.array([[indicators.get(name, NAN)] for name in INDICATOR_FIELDS])
    return Bars.of(np.array([time], dtype=np.int64), np.full((4, 1), close), np.array([volume]), column)


def section_of(bars: Mapping[str, Bars]) -> CrossSection:
    return CrossSection.of_last(bars, whole_volume=True)


def changes(**changed: float) -> CrossSection:
    return section_of({symbol: bar(close_changed=value) for symbol, value in changed.items()})


def symbols(ranked: dict[str, list[dict[str, object]]]) -> tuple[str, str]:
    """Of the performers and the worst performers, as one text each."""
    first, other = (
        " ".join(str(each["symbol"]) for each in ranked[name]) for name in ("performers", "worst_performers")
    )
    return first, other


# Ranking


@pytest.mark.parametrize(
    ("changed", "ranking", "expected"),
    [
        ({"A": 1.0, "B": 3.0, "C": 2.0}, Ranking(), ("B C A", "A C B")),
        ({"A": 1.0, "B": 3.0, "C": 2.0}, Ranking(is_descending=False), ("A C B", "B C A")),
        ({"A": 1.0, "B": 3.0, "C": 2.0}, Ranking(limit=1), ("B", "A")),
        ({"A": -1.0, "B": 0.0, "C": -0.0}, Ranking(), ("B C A", "A B C")),
        # equal ones by symbol in both directions
        ({"A": 1.0, "B": 1.0, "C": 2.0}, Ranking(), ("C A B", "A B C")),
        # absent ones last in both directions, by symbol
        ({"A": NAN, "B": NAN, "C": 1.0, "D": 2.0}, Ranking(), ("D C A B", "C D A B")),
        ({"A": NAN, "B": NAN, "C": 1.0, "D": 2.0}, Ranking(is_descending=False), ("C D A B", "D C A B")),
        ({"A": NAN, "B": 1.0}, Ranking(limit=1), ("B", "B")),
        ({}, Ranking(), ("", "")),
    ],
)
def test_the_order(changed: dict[str, float], ranking: Ranking, expected: tuple[str, str]) -> None:
    assert symbols(rank(changes(**changed), {}, ranking)) == expected


@pytest.mark.parametrize("key", [key for key in SORT_KEYS if key != "value"])
def test_every_key_ranks_by_its_own_field(key: str) -> None:
    # Falling in the key, rising in every other field.
    def fields(value: float) -> dict[str, float]:
        return dict.fromkeys((*INDICATOR_FIELDS, "volume"), 10.0 - value) | {key: value}

    section = section_of({symbol: bar(**fields(value)) for symbol, value in (("A", 3.0), ("B", 2.0), ("C", 1.0))})
    assert symbols(rank(section, {}, Ranking(sort_by=key, limit=2))) == ("A B", "C B")


def test_the_keys_are_those_of_the_contract() -> None:
    others = ["close_changed", "volume", "value", "volume_changed", "total_money_changed"]
    assert list(SORT_KEYS) == [*others, "ma10_score", "ma20_score", "ma50_score", "ma100_score", "ma200_score"]


def test_value_is_the_close_times_the_volume() -> None:
    section = section_of(
        {"A": bar(close=10.0, volume=50), "B": bar(close=2.0, volume=300), "C": bar(close=90.0, volume=5)}
    )
    assert symbols(rank(section, {}, Ranking(sort_by="value"))) == ("B A C", "C A B")


def test_whole_volumes_are_compared_to_the_last_share() -> None:
    big = 1 << 53
    section = section_of({"A": bar(volume=big), "B": bar(volume=big + 1)})
    assert symbols(rank(section, {}, Ranking(sort_by="volume"))) == ("B A", "A B")


def test_a_performer_has_all_its_fields_in_order() -> None:
    values = {name: float(number) for number, name in enumerate(INDICATOR_FIELDS, start=1)}
    (performer,) = rank(section_of({"VCB": bar(close=60.5, **values)}), {"VCB": "BANKS"}, Ranking())["performers"]
    assert list(performer.items()) == [
        ("symbol", "VCB"),
        ("time", "2024-01-05"),
        ("close", 60.5),
        ("volume", 50_000),
        ("close_changed", 11.0),
        ("volume_changed", 12.0),
        *((f"ma{period}", float(number)) for number, period in enumerate((10, 20, 50, 100, 200), start=1)),
        *((f"ma{period}_score", float(number)) for number, period in enumerate((10, 20, 50, 100, 200), start=6)),
        ("sector", "BANKS"),
        ("total_money_changed", 13.0),
    ]


def test_what_is_absent_is_none_and_stays_in_the_answer() -> None:
    (performer,) = rank(section_of({"VCB": bar()}), {"ACB": "BANKS"}, Ranking())["performers"]
    assert {name for name, value in performer.items() if value is None} == {*INDICATOR_FIELDS, "sector"}


def naive_order(keys: dict[str, float], *, is_descending: bool) -> list[str]:
    """Selection sort over a dict: the best of those left, smaller symbols first; then those without a key."""
    left = {symbol: value for symbol, value in keys.items() if value == value}
    order = []
    while left:
        best = max(left.values()) if is_descending else min(left.values())
        winner = min(symbol for symbol, value in left.items() if value == best)
        order.append(winner)
        del left[winner]
    return order + sorted(symbol for symbol, value in keys.items() if value != value)


@settings(max_examples=100, deadline=None)
@given(
    keys=st.dictionaries(
        st.text("ABC", min_size=1, max_size=3), st.sampled_from([NAN, -2.5, -0.0, 0.0, 1.0, 1e300]), max_size=12
    ),
    is_descending=st.booleans(),
    limit=st.integers(1, 14),
    key=st.sampled_from(sorted(set(SORT_KEYS) - {"volume", "value"})),
)
def test_against_a_sort_by_hand(keys: dict[str, float], is_descending: bool, limit: int, key: str) -> None:
    section = section_of({symbol: bar(**{key: value}) for symbol, value in sorted(keys.items())})
    ranked = rank(section, {}, Ranking(sort_by=key, is_descending=is_descending, limit=limit))
    assert [each["symbol"] for each in ranked["performers"]] == naive_order(keys, is_descending=is_descending)[:limit]
    others = naive_order(keys, is_descending=not is_descending)[:limit]
    assert [each["symbol"] for each in ranked["worst_performers"]] == others
    assert all(each[key] is None or each[key] == keys[str(each["symbol"])] for each in ranked["performers"])


# What is ranked


@pytest.mark.parametrize(
    ("min_volume", "among", "expected"),
    [
        (0, None, ["A", "B", "C"]),
        (10, None, ["B", "C"]),
        (11, None, ["C"]),
        (1_000, None, []),
        (0, {"C", "A", "Z"}, ["A", "C"]),
        (10, {"A"}, []),
        (0, set(), []),
    ],
)
def test_the_filters(min_volume: int, among: set[str] | None, expected: list[str]) -> None:
    bars = {"A": bar(volume=0), "B": bar(volume=10), "C": bar(volume=20)}
    section = with_volume(section_of(bars), min_volume)
    if among is not None:
        section = section.keep(among.__contains__)
    assert section.symbols == expected
    assert section.bars.volume.tolist() == [bars[symbol].volume[0] for symbol in expected]


def test_of_a_longer_series_the_last_bar_counts() -> None:
    series = Bars.concatenate([bar(DAY, volume=1, close_changed=9.0), bar(DAY + HOUR, volume=2, close_changed=-9.0)])
    section = with_volume(section_of({"A": series}), 2)
    (performer,) = rank(section, {}, Ranking())["performers"]
    assert (performer["volume"], performer["close_changed"]) == (2, -9.0)


@pytest.mark.parametrize(
    ("times", "expected"),
    [({}, None), ({"A": DAY}, DAY), ({"A": DAY + 5 * HOUR, "B": DAY - 1}, DAY), ({"A": DAY - 1}, DAY - 24 * HOUR)],
)
def test_the_newest_day(times: dict[str, int], expected: int | None) -> None:
    assert section_of({symbol: bar(time) for symbol, time in times.items()}).newest_day == expected


# Hours


def test_each_hour_ranks_the_tickers_that_have_a_bar_of_it() -> None:
    series = {
        "A": Bars.concatenate([bar(DAY + 2 * HOUR, close_changed=1.0), bar(DAY + 3 * HOUR, close_changed=5.0)]),
        "B": Bars.concatenate([bar(DAY + 2 * HOUR, close_changed=3.0), bar(DAY + 4 * HOUR)]),
        "C": bar(DAY + 2 * HOUR, close_changed=2.0),
    }
    hours = rank_hours(series, {"B": "BANKS"}, Ranking(limit=2))
    assert [list(each) for each in hours] == [["hour", "performers", "worst_performers"]] * 3
    assert [(each["hour"], *symbols(each)) for each in hours] == [  # type: ignore[arg-type]
        ("2024-01-05T02:00:00", "B C", "A C"),
        ("2024-01-05T03:00:00", "A", "A"),
        ("2024-01-05T04:00:00", "B", "B"),
    ]


def test_no_bars_have_no_hours() -> None:
    assert rank_hours({}, {}, Ranking()) == []
