"""Names of companies and coins: one for every symbol that comes with the project."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import ConfigError
from stockapi.markets.tickers import groups_for, names_for, read_json, sector_of
from stockapi.models import Mode

DEFAULTS = Settings.from_mapping({})


@pytest.fixture(params=Mode, ids=lambda mode: mode.value)
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


def test_every_symbol_that_comes_with_the_project_has_a_name_and_no_other(mode: Mode) -> None:
    names = read_json(files("stockapi") / "data" / f"{mode.value}_names.json")
    assert set(names) == set(sector_of(groups_for(mode, DEFAULTS)))
    assert list(names) == sorted(names)


def test_names_are_short_plain_and_different(mode: Mode) -> None:
    names = names_for(mode, DEFAULTS)
    for symbol, name in names.items():
        assert name == " ".join(name.split()), symbol
        assert name.isascii(), symbol
        assert name.isprintable(), symbol
        assert 2 <= len(name) <= 60, symbol
    assert len({name.casefold() for name in names.values()}) == len(names)


def test_names_are_in_alphabetical_order_of_the_symbols(mode: Mode) -> None:
    names = names_for(mode, DEFAULTS)
    assert list(names) == sorted(sector_of(groups_for(mode, DEFAULTS)))


@pytest.mark.parametrize(
    ("mode", "symbol", "name"),
    [
        (Mode.VN, "VCB", "Vietcombank"),
        (Mode.VN, "HPG", "Hoa Phat Group"),
        (Mode.VN, "FPT", "FPT Corporation"),
        (Mode.VN, "VNINDEX", "VN-Index"),
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
        (Mode.VN, "TICKER_GROUPS_FILE", {"COINS": ["BTC"]}, {}),  # a name is never that of the other market
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
