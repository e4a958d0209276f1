"""Bars as columns of bytes: back to the last bit, whatever the numbers are, in as few bytes as they take."""

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS, INDICATORS, PRICE_FIELDS
from stockapi.services.sqlite_store import block_format
from stockapi.services.sqlite_store.block_format import BARS_PER_BLOCK, decode, encode
from tests.support.stores import make_bars

ROWS = 1 + len(PRICE_FIELDS) + 1 + len(INDICATOR_FIELDS)

NUMBERS = st.one_of(
    st.integers(-(10**12), 10**12).map(lambda cents: cents / 100),
    st.integers(-(2**31), 2**31).map(lambda units: units / 10_000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 21_474_836.47, 21_474_836.48, -21_474_836.48, 0.001, 1.28e-9, 2.0**53, 1e308]),
)


@st.composite
def series(draw: st.DrawFn) -> tuple[Bars, bool]:
    count, whole = draw(st.integers(1, 2 * BARS_PER_BLOCK + 1)), draw(st.booleans())
    distinct = draw(st.lists(st.one_of(NUMBERS, st.just(float("nan"))), min_size=1, max_size=12))
    dice = np.random.default_rng(draw(st.integers(0, 2**32)))
    indicators = dice.choice(np.array(distinct), (len(INDICATOR_FIELDS), count))
    prices = np.nan_to_num(dice.choice(np.array(distinct), (len(PRICE_FIELDS), count)))
    time = np.cumsum(dice.integers(1, draw(st.sampled_from([61, 86_401, 2**40])), count))
    volume = dice.integers(0, 2**63 - 1, count) if whole else np.abs(prices[0])
    return Bars(time, prices, volume, indicators), whole


def blocks_of(bars: Bars) -> tuple[list[bytes], list[bytes]]:
    starts = range(0, len(bars), BARS_PER_BLOCK)
    pairs = [encode(bars.take(slice(start, start + BARS_PER_BLOCK))) for start in starts]
    return [bare for bare, _ in pairs], [indicators for _, indicators in pairs]


def bits(bars: Bars) -> list[bytes]:
    """NaN is the same whatever its bits, and 0 whatever its sign: neither store tells those apart."""
    columns = [bars.time, bars.prices + 0.0, bars.volume, np.where(np.isnan(bars.indicators), np.nan, bars.indicators)]
    return [np.ascontiguousarray(column + 0).tobytes() for column in columns]


@settings(deadline=None)
@given(series())
def test_what_goes_in_comes_out(drawn: tuple[Bars, bool]) -> None:
    bars, whole = drawn
    bare, indicators = blocks_of(bars)
    back = decode(bare, indicators, whole_volume=whole).take(slice(len(bars)))
    assert bits(back) == bits(bars)
    assert back.volume.dtype == bars.volume.dtype
    assert not np.signbit(back.prices[back.prices == 0.0]).any(), "SQLite's rows hold no -0.0"
    assert bits(decode(bare, None, whole_volume=whole).take(slice(len(bars)))) == bits(bars.without_indicators())


@pytest.mark.parametrize(
    ("mode", "scale", "bytes_of_a_bar"),
    [(Mode.VN, 1.0, 92), (Mode.CRYPTO, 1.0, 128), (Mode.VN, 1_000.0, 128)],
    ids=["stocks", "coins of many digits", "prices beyond 21 million"],
)
def test_decimals_of_few_digits_take_half_the_bytes(mode: Mode, scale: float, bytes_of_a_bar: int) -> None:
    bars = make_bars(900, mode=mode).tail(BARS_PER_BLOCK)
    averages = bars.indicators.copy()
    averages[:5] *= scale
    bare, indicators = encode(Bars(bars.time, bars.prices * scale, bars.volume, averages))
    assert len(bare) + len(indicators) == bytes_of_a_bar * BARS_PER_BLOCK + 2 * 8


def test_one_bar_more_changes_bytes_in_their_place() -> None:
    """So SQLite writes a few pages of a block, and moves none."""
    bars = make_bars(100, Interval.MINUTE)
    for before, after in zip(encode(bars.take(slice(99))), encode(bars), strict=True):
        assert len(before) == len(after)
        differing = np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8)
        assert 0 < differing.sum() <= ROWS * 8


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"\x07" + data[1:], lambda data: data + data[:9]]
)
def test_what_has_no_form_is_no_block(damage: Callable[[bytes], bytes]) -> None:
    bare, indicators = encode(make_bars(10))
    with pytest.raises(ValueError, match=r"none of the forms|buffer size must be a multiple"):
        decode([bare, damage(bare)], [indicators] * 2, whole_volume=True)


def test_blocks_of_other_fields_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that an older program wrote, before an indicator took the place of another."""
    bare, indicators = encode(make_bars(10))
    renamed = [replace(field, name=f"new_{field.name}") if field.name == "ma50" else field for field in INDICATORS]
    groups = [list(fields) for _, fields in groupby(renamed, block_format._units)]
    newer = block_format._Format.of(
        *(
            block_format._Group(block_format._name(g), len(g), np.dtype("<f8"), block_format._units(g[0]))
            for g in groups
        )
    )
    monkeypatch.setattr(block_format, "_INDICATORS", newer)
    with pytest.raises(ValueError, match="none of the forms"):
        decode([bare], [indicators], whole_volume=True)
