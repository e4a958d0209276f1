"""Reference, ceiling and floor of a day."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stockapi.calc.price_bands import PriceBand, price_band
from stockapi.markets import CRYPTO, VN
from stockapi.markets.listings import listings
from stockapi.markets.market import Exchange
from stockapi.models import Mode


@pytest.mark.parametrize(
    ("exchange", "close", "reference", "ceiling", "floor"),
    [
        ("HOSE", 100_000, 100_000, 107_000, 93_000),
        ("HOSE", 60_300, 60_300, 64_500, 56_100),  # 64,521 and 56,079
        ("HOSE", 25_750, 25_750, 27_550, 23_950),  # 27,552.5 and 23,947.5
        ("HOSE", 6_800, 6_800, 7_270, 6_330),  # 7,276 and 6,324
        # the tick is that of the limit, not that of the reference
        ("HOSE", 9_800, 9_800, 10_450, 9_120),  # 10,486 and 9,114
        ("HOSE", 10_300, 10_300, 11_000, 9_580),  # 11,021 and 9,579
        ("HOSE", 47_000, 47_000, 50_200, 43_750),  # 50,290 and 43,710
        ("HOSE", 53_000, 53_000, 56_700, 49_300),  # 56,710 and 49,290
        # floating point: 1.07 times 100 is 107.00000000000001
        ("HOSE", 700_000, 700_000, 749_000, 651_000),
        # after a dividend the close before it is no multiple of the tick
        ("HOSE", 19_512.2, 19_500, 20_850, 18_150),  # 20,865 and 18,135
        ("HOSE", 9_995.0, 10_000, 10_700, 9_300),
        ("HNX", 15_950, 16_000, 17_600, 14_400),
        ("HNX", 12_300, 12_300, 13_500, 11_100),  # 13,530 and 11,070
        ("UPCOM", 12_300, 12_300, 14_100, 10_500),  # 14,145 and 10,455
        # at least one tick, where the limit is less than that
        ("HNX", 900, 900, 1_000, 800),  # 990 and 810
        ("UPCOM", 500, 500, 600, 400),
        ("HOSE", 100, 100, 110, 90),
        ("HOSE", 140, 140, 150, 130),  # 149.8 and 130.2
        # and none below the first price
        ("HNX", 100, 100, 200, 100),
        ("UPCOM", 30, 100, 200, 100),
        ("HOSE", 10, 10, 20, 10),
    ],
)
def test_the_prices_of_a_day(exchange: str, close: float, reference: int, ceiling: int, floor: int) -> None:
    assert price_band(close, VN.exchanges[exchange]) == PriceBand(reference, ceiling, floor)


@given(
    exchange=st.sampled_from(sorted(VN.exchanges)),
    close=st.floats(0.01, 1e9) | st.integers(1, 200_000).map(lambda tens: tens * 10.0),
)
@example(exchange="HOSE", close=10_000.0)
@example(exchange="HOSE", close=50_000.0)
def test_limits_of_any_price(exchange: str, close: float) -> None:
    rules = VN.exchanges[exchange]
    band = price_band(close, rules)
    assert 0 < band.floor <= band.reference <= band.ceiling
    assert band.reference < band.ceiling, "there is always a price above"
    for price in band:
        assert price % rules.tick(price) == 0, "each is a price that an order may have"
    assert abs(band.reference - close) <= rules.tick(close) / 2 or band.reference == rules.tick(close)
    # Exact bounds, in hundredths: not beyond the limit, and the next price would be beyond it.
    above, below = band.reference * (100 + rules.limit_percent), band.reference * (100 - rules.limit_percent)
    if band.ceiling != band.reference + rules.tick(band.reference):
        assert band.ceiling * 100 <= above < (band.ceiling + rules.tick(band.ceiling)) * 100
    if band.floor not in (band.reference, band.reference - rules.tick(band.reference - 1)):
        assert (band.floor - rules.tick(band.floor - 1)) * 100 < below <= band.floor * 100


@given(exchange=st.sampled_from(sorted(VN.exchanges)), closes=st.tuples(st.floats(1, 1e7), st.floats(1, 1e7)))
def test_a_higher_close_has_no_lower_limit(exchange: str, closes: tuple[float, float]) -> None:
    low, high = (price_band(close, VN.exchanges[exchange]) for close in sorted(closes))
    assert all(mine <= other for mine, other in zip(low, high, strict=True))


@pytest.mark.parametrize(("price", "expected"), [(93_000, True), (107_000, True), (92_900, False), (107_100.0, False)])
def test_a_price_beyond_the_limits_is_told(price: float, expected: bool) -> None:
    assert price_band(100_000, VN.exchanges["HOSE"]).allows(price) is expected


@pytest.mark.parametrize("close", [0.0, -1.0, float("nan")])
def test_what_is_no_price_is_refused(close: float) -> None:
    with pytest.raises(ValueError, match="allowed: a positive price"):
        price_band(close, VN.exchanges["HOSE"])


def test_every_exchange_of_stocks_has_its_limit() -> None:
    stocks = [each for mode in Mode for each in listings(mode).values() if each.type == "stock"]
    assert {each.exchange for each in stocks} == set(VN.exchanges)
    assert not CRYPTO.exchanges


def test_the_tick_is_of_the_price() -> None:
    exchange = Exchange(limit_percent=7, ticks=((10, 1), (float("inf"), 5)))
    assert [exchange.tick(price) for price in (1, 9.99, 10, 1e9)] == [1, 1, 5, 5]
