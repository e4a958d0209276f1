"""The record of each market, and the names it goes by."""

import pytest

from stockapi.config import Settings
from stockapi.errors import QueryError
from stockapi.markets import market_of, parse_mode
from stockapi.markets.tickers import names_for, tickers_for
from stockapi.models import Mode
from stockapi.services.status.health import ITERATION_FIELDS, LAST_SYNC_FIELDS


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


@pytest.mark.parametrize("mode", Mode)
def test_the_samples_for_the_documents_are_tickers_with_their_names(mode: Mode) -> None:
    market = market_of(mode)
    names = names_for(mode, Settings.from_mapping({}))
    assert tuple(names[symbol] for symbol in market.sample_symbols) == market.sample_names
    assert {market.first_symbol, market.benchmark} <= set(tickers_for(mode, Settings.from_mapping({})))


@pytest.mark.parametrize("mode", Mode)
def test_a_worker_reports_in_fields_that_health_has(mode: Mode) -> None:
    known = {*LAST_SYNC_FIELDS, *ITERATION_FIELDS}
    schedules = [schedule for thread in market_of(mode).threads.values() for schedule in thread]
    assert {field for schedule in schedules for field in schedule.health_fields} <= known
