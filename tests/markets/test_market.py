"""The record of each market, and the names it goes by."""

import pytest

from stockapi.errors import QueryError
from stockapi.markets import market_of, parse_mode
from stockapi.models import Mode


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        *[(text, Mode.VN) for text in ("vn", "VN", "Vn", "stock", "Stock", "stocks", "STOCKS")],
        *[(text, Mode.CRYPTO) for text in ("crypto", "CRYPTO", "cryptos", "Cryptos")],
    ],
)
def test_modes_and_their_aliases_are_taken_in_any_case(text: str, mode: Mode) -> None:
    assert parse_mode(text) is mode


@pytest.mark.parametrize("text", ["", " vn", "vn\n", "us", "coin", "vn,crypto", "ｖｎ", "stock\0", "VN30"])
def test_other_modes_are_refused_with_the_two_there_are(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_mode(text)
    assert str(caught.value) == (f"mode {text!r} is unknown; allowed: vn, crypto (aliases stock, stocks, cryptos)")


@pytest.mark.parametrize(
    ("mode", "price", "digits", "money", "whole_volume"), [(Mode.VN, 2, 1, 0, True), (Mode.CRYPTO, 8, 6, 2, False)]
)
def test_the_market_decides_how_numbers_are_rounded(
    mode: Mode, price: int, digits: int, money: int, whole_volume: bool
) -> None:
    market = market_of(mode)
    assert (market.price_decimals, market.price_digits) == (price, digits)
    assert (market.money_decimals, market.has_whole_volume) == (money, whole_volume)
