"""Names of companies and coins: one for every symbol that comes with the project."""

import json
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import ConfigError
from stockapi.markets.tickers import names_for, tickers_for
from stockapi.models import Mode

DEFAULTS = Settings.from_mapping({})


@pytest.fixture(params=Mode, ids=lambda mode: mode.value)
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


def test_every_symbol_that_is_followed_has_a_name_and_no_other(mode: Mode) -> None:
    assert list(names_for(mode, DEFAULTS)) == sorted(tickers_for(mode, DEFAULTS))


def test_names_are_short_plain_and_different(mode: Mode) -> None:
    names = names_for(mode, DEFAULTS)
    for symbol, name in names.items():
        assert name == " ".join(name.split()), symbol
        assert name.isascii(), symbol
        assert name.isprintable(), symbol
        assert 2 <= len(name) <= 60, symbol
    assert len({name.casefold() for name in names.values()}) == len(names)


@pytest.mark.parametrize(
    ("mode", "symbol", "name"),
    [
        (Mode.VN, "VCB", "Vietcombank"),
        (Mode.VN, "HPG", "Hoa Phat Group"),
        (Mode.VN, "FPT", "FPT Corporation"),
        (Mode.VN, "VNINDEX", "VN-Index"),
        (Mode.VN, "VPL", "Vinpearl"),
        (Mode.VN, "VPI", "Van Phu Real Estate Development"),
        (Mode.VN, "BCM", "Becamex Investment and Industrial Development Group"),
        (Mode.CRYPTO, "BTC", "Bitcoin"),
        (Mode.CRYPTO, "ETC", "Ethereum Classic"),
    ],
)
def test_well_known_names(mode: Mode, symbol: str, name: str) -> None:
    assert names_for(mode, DEFAULTS)[symbol] == name


@pytest.mark.parametrize(
    ("mode", "variable", "content", "expected"),
    [
        (
            Mode.VN,
            "TICKER_GROUPS_FILE",
            {"LARGE": ["VIC", "XYZ"], "BANKS": ["ACB", "VIC"]},
            {"ACB": "Asia Commercial Bank (ACB)", "VIC": "Vingroup"},
        ),
        (Mode.VN, "TICKER_GROUPS_FILE", {"LARGE": ["XYZ"]}, {}),
        (Mode.VN, "TICKER_GROUPS_FILE", {"ANY": ["A32"]}, {"A32": "32 Joint Stock Company"}),  # of all that are listed
        (Mode.VN, "TICKER_GROUPS_FILE", {"COINS": ["BTC"]}, {}),  # a name is never that of the other market
        (Mode.CRYPTO, "CRYPTO_LIST_FILE", ["TON"], {"TON": "Gram (Toncoin)"}),
        (Mode.CRYPTO, "CRYPTO_LIST_FILE", ["XRP", "NOSUCH", "BTC"], {"BTC": "Bitcoin", "XRP": "XRP"}),
    ],
)
def test_of_a_list_of_ones_own_the_symbols_that_have_a_name(
    mode: Mode, variable: str, content: object, expected: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps(content))
    names = names_for(mode, Settings.from_mapping({variable: str(file)}))
    assert list(names.items()) == list(expected.items())


def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text("[]")
    own = Settings.from_mapping({"CRYPTO_LIST_FILE": str(file)})
    with pytest.raises(ConfigError, match="CRYPTO_LIST_FILE"):
        names_for(Mode.CRYPTO, own)
