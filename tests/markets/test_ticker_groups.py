"""The lists of tickers: those that come with the project, and files put in their place."""

import json
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import ConfigError
from stockapi.markets.tickers import group_named, groups_for, sector_of, tickers_for
from stockapi.models import Mode
from stockapi.models.query import is_symbol

DEFAULTS = Settings.from_mapping({})


def settings_with(variable: str, file: Path) -> Settings:
    return Settings.from_mapping({variable: str(file)})


# What comes with the project


def test_every_built_in_symbol_is_valid_and_in_one_place_only() -> None:
    groups = groups_for(Mode.VN, DEFAULTS)
    symbols = [symbol for members in groups.values() for symbol in members]
    assert all(map(is_symbol, symbols))
    assert len(symbols) == len(set(symbols))
    assert 240 <= len(symbols) <= 300


def test_built_in_sectors_are_alphabetical_and_stocks_have_three_characters() -> None:
    groups = groups_for(Mode.VN, DEFAULTS)
    assert not any(DEFAULTS.is_index(symbol, Mode.VN) for members in groups.values() for symbol in members)
    for sector, members in groups.items():
        assert members == sorted(members), sector
        assert {len(symbol) for symbol in members} == {3}, sector


@pytest.mark.parametrize(
    ("symbol", "sector"),
    [
        ("VCB", "NGAN_HANG"),
        ("SSI", "CHUNG_KHOAN"),
        ("VIC", "BAT_DONG_SAN"),
        ("HPG", "THEP"),
        ("FPT", "CONG_NGHE"),
    ],
)
def test_well_known_stocks_are_in_their_sector(symbol: str, sector: str) -> None:
    assert sector_of(groups_for(Mode.VN, DEFAULTS))[symbol] == sector


def test_built_in_coins_are_by_rank_without_stablecoins() -> None:
    coins = groups_for(Mode.CRYPTO, DEFAULTS)["CRYPTO_TOP_100"]
    assert coins[:2] == ["BTC", "ETH"]
    assert len(coins) == len(set(coins)) == 87
    assert all(map(is_symbol, coins))
    followed = tickers_for(Mode.CRYPTO, DEFAULTS)
    assert followed[:87] == coins
    assert {"USDT", "USDC", "DAI", "FDUSD", "TUSD", "USDE", "WBTC", "WETH", "STETH", "PAXG"}.isdisjoint(followed)


def test_indices_are_followed_though_in_no_group() -> None:
    assert {"VNINDEX", "VN30"} < set(tickers_for(Mode.VN, DEFAULTS))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NANG_LUONG", "NANG_LUONG"),
        ("nang_luong", "NANG_LUONG"),
        ("DIEN", "NANG_LUONG"),
        ("dien", "NANG_LUONG"),
        ("THIET_BI_DIEN", "NANG_LUONG"),
        ("DUOC_PHAM", "SUC_KHOE"),
        ("VAT_LIEU_XAY_DUNG", "VLXD"),
        ("KHOANG_SAN", "KHAI_KHOANG"),
        ("PHAN_BON", "HOA_CHAT"),
        ("GO_GIAY", "OTHERS"),
        ("CANG_BIEN", "VAN_TAI"),
        ("INDEX", None),
        ("", None),
    ],
)
def test_a_sector_by_the_name_or_an_alias(text: str, expected: str | None) -> None:
    assert group_named(text, groups_for(Mode.VN, DEFAULTS), Mode.VN) == expected


def test_a_group_of_ones_own_comes_before_an_alias_of_its_name() -> None:
    groups = {"Dien": ["POW"], "NANG_LUONG": ["GEG"], "Mine": ["A"], "MINE": ["B"]}
    each = {text: group_named(text, groups, Mode.VN) for text in ("DIEN", "Mine", "MINE", "THIET_BI_DIEN", "VLXD")}
    assert each == {"DIEN": "Dien", "Mine": "Mine", "MINE": "MINE", "THIET_BI_DIEN": "NANG_LUONG", "VLXD": None}


def test_built_in_lists_are_found_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert groups_for(Mode.VN, DEFAULTS)
    assert tickers_for(Mode.CRYPTO, DEFAULTS)


# Files in their place


def test_a_file_of_ones_own_replaces_the_built_in_groups_and_keeps_its_order(tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text('{"THEP": ["NKG", "HPG"], "A": ["VCB"]}')
    groups = groups_for(Mode.VN, settings_with("TICKER_GROUPS_FILE", file))
    assert list(groups.items()) == [("THEP", ["NKG", "HPG"]), ("A", ["VCB"])]


def test_a_list_of_ones_own_replaces_the_built_in_coins_and_keeps_its_order(tmp_path: Path) -> None:
    file = tmp_path / "coins.json"
    file.write_text('["ETH", "BTC", "1INCH"]')
    assert tickers_for(Mode.CRYPTO, settings_with("CRYPTO_LIST_FILE", file)) == ["ETH", "BTC", "1INCH"]


def test_a_change_of_the_file_is_seen_at_the_next_call(tmp_path: Path) -> None:
    file = tmp_path / "coins.json"
    file.write_text('["BTC"]')
    own = settings_with("CRYPTO_LIST_FILE", file)
    assert tickers_for(Mode.CRYPTO, own) == ["BTC"]
    file.write_text('["ETH"]')
    assert tickers_for(Mode.CRYPTO, own) == ["ETH"]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "coins.json"
    file.write_bytes(b'\xef\xbb\xbf["BTC"]')
    assert tickers_for(Mode.CRYPTO, settings_with("CRYPTO_LIST_FILE", file)) == ["BTC"]


@pytest.mark.parametrize("mode", Mode)
def test_the_groups_of_a_market(mode: Mode, tmp_path: Path) -> None:
    (tmp_path / "groups.json").write_text('{"THEP": ["HPG"]}')
    (tmp_path / "coins.json").write_text('["ETH", "BTC"]')
    own = Settings.from_mapping(
        {"TICKER_GROUPS_FILE": str(tmp_path / "groups.json"), "CRYPTO_LIST_FILE": str(tmp_path / "coins.json")}
    )
    expected = {Mode.VN: {"THEP": ["HPG"]}, Mode.CRYPTO: {"CRYPTO_TOP_100": ["ETH", "BTC"]}}
    assert groups_for(mode, own) == expected[mode]


# Files that are not allowed

LISTS = {"TICKER_GROUPS_FILE": Mode.VN, "CRYPTO_LIST_FILE": Mode.CRYPTO}
ALLOWED = {
    "TICKER_GROUPS_FILE": "a JSON object, group name to a list of different symbols, none empty; ",
    "CRYPTO_LIST_FILE": "a JSON array of different symbols, not empty; ",
}


def refusal(variable: str, file: Path) -> str:
    """What the error says between the file and what is allowed, both of which must stand in it."""
    with pytest.raises(ConfigError) as caught:
        groups_for(LISTS[variable], settings_with(variable, file))
    begin, end = f"{variable}={str(file)!r} is not allowed: ", f"; allowed: {ALLOWED[variable]}"
    text = str(caught.value)
    assert text.startswith(begin)
    assert "\n" not in text
    reason, found, _ = text.removeprefix(begin).partition(end)
    assert found, text
    return reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ('{"THEP": ["HPG"]', "Expecting ',' delimiter: line 1 column 17 (char 16)"),
        ('["HPG"]', "it is not an object, or an empty one"),
        ("{}", "it is not an object, or an empty one"),
        ("null", "it is not an object, or an empty one"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"THEP": "HPG"}', "group 'THEP' is not an array, or an empty one"),
        ('{"THEP": []}', "group 'THEP' is not an array, or an empty one"),
        ('{"THEP": {"HPG": 1}}', "group 'THEP' is not an array, or an empty one"),
        ('{"THEP": ["hpg", "HPG"]}', "group 'THEP' holds 'HPG' twice"),
        ('{"THEP": ["../HPG"]}', "group 'THEP' holds '../HPG'"),
        ('{"THEP": ["HPG\\n"]}', "group 'THEP' holds 'HPG\\n'"),
        ('{"THEP": [7]}', "group 'THEP' holds 7"),
        ('{"THEP": ["HPG", null]}', "group 'THEP' holds None"),
        ('{"THEP": ["HPG", "NKG", "HPG"]}', "group 'THEP' holds 'HPG' twice"),
        ('{"THEP": ["HPG"], "THEP": ["NKG"]}', "the object holds 'THEP' twice"),
    ],
)
def test_a_file_that_is_no_set_of_groups_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text(content)
    assert refusal("TICKER_GROUPS_FILE", file) == reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("BTC ETH", "Expecting value: line 1 column 1 (char 0)"),
        ('{"BTC": 1}', "it is an object without one array in it"),
        ("[]", "the list is not an array, or an empty one"),
        ('["BTC", "E TH"]', "the list holds 'E TH'"),
        ('["BTC", "BTC"]', "the list holds 'BTC' twice"),
    ],
)
def test_a_file_that_is_no_list_of_coins_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "coins.json"
    file.write_text(content)
    assert refusal("CRYPTO_LIST_FILE", file) == reason


@pytest.mark.parametrize("variable", LISTS)
def test_a_file_that_is_not_utf_8_is_refused(variable: str, tmp_path: Path) -> None:
    file = tmp_path / "latin.json"
    file.write_bytes(json.dumps(["BTC"]).encode("utf-16"))
    assert "codec can't decode byte" in refusal(variable, file)


@pytest.mark.parametrize("variable", LISTS)
def test_a_long_wrong_value_is_cut_in_the_message(variable: str, tmp_path: Path) -> None:
    file = tmp_path / "long.json"
    wrong = ["X" * 10_000]
    file.write_text(json.dumps({"A": wrong} if variable == "TICKER_GROUPS_FILE" else wrong))
    assert len(refusal(variable, file)) < 100


@pytest.mark.parametrize("variable", LISTS)
def test_a_file_gone_since_the_start_is_reported(variable: str, tmp_path: Path) -> None:
    file = tmp_path / "gone.json"
    file.write_text("[]")
    own = settings_with(variable, file)
    file.unlink()
    with pytest.raises(ConfigError) as caught:
        groups_for(LISTS[variable], own)
    assert str(caught.value).startswith(
        f"{variable}={str(file)!r} cannot be read: No such file or directory; allowed: "
    )


def test_a_symbol_of_several_groups_belongs_to_the_first() -> None:
    sectors = sector_of({"BANKS": ["VCB", "ACB"], "LARGE": ["VIC", "VCB"]})
    assert list(sectors.items()) == [("VCB", "BANKS"), ("ACB", "BANKS"), ("VIC", "LARGE")]


@pytest.mark.parametrize(
    "content",
    [
        '["btc", "Eth"]',
        '{"data": [{"symbol": "BTC"}, {"symbol": "eth", "name": "Ethereum", "rank": 2}]}',
        '[{"symbol": "BTC"}, {"symbol": "ETH"}, {"symbol": "btc"}]',
        '{"data": [{"symbol": "BTC"}, {"name": "a coin without one"}, {"symbol": "ETH"}], "errors": []}',
        '{"status": {"error": 0}, "coins": ["BTC", "ETH"], "total": 2}',
    ],
)
def test_the_list_of_coins_may_be_that_of_the_old_api(tmp_path: Path, content: str) -> None:
    file = tmp_path / "coins.json"
    file.write_text(content)
    settings = Settings.from_mapping({"CRYPTO_LIST_FILE": str(file)})
    assert groups_for(Mode.CRYPTO, settings) == {"CRYPTO_TOP_100": ["BTC", "ETH"]}


def test_what_is_no_symbol_here_is_left_out_of_a_ranking_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ranking = ["1inch", "btt", "币安人生", "BTC", "$TRUMP", "b\u0131tcoin", "H", "", None, "UPPER" * 5, "1INCH", "4"]
    (tmp_path / "coins.json").write_text(json.dumps({"data": [{"symbol": symbol, "rank": 1} for symbol in ranking]}))
    settings = Settings.from_mapping({"CRYPTO_LIST_FILE": str(tmp_path / "coins.json")})
    for _ in range(2):
        assert groups_for(Mode.CRYPTO, settings) == {"CRYPTO_TOP_100": ["1INCH", "BTT", "BTC", "H", "4"]}
    (line,) = [record.getMessage() for record in caplog.records if "list of coins" in record.getMessage()]
    assert all(repr(symbol)[:30] in line for symbol in ("币安人生", "$TRUMP", None, "UPPER" * 5))


def test_a_ranking_without_any_symbol_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "coins.json"
    file.write_text('{"data": [{"symbol": "$TRUMP"}]}')
    assert refusal("CRYPTO_LIST_FILE", file) == "the list is not an array, or an empty one"


@pytest.mark.parametrize("spoil", ["cut short", "gone", "a directory", "empty"])
def test_while_a_file_is_written_what_it_held_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    path = tmp_path / "groups.json"
    path.write_text('{"BANKS": ["VCB"]}')
    settings = Settings.from_mapping({"TICKER_GROUPS_FILE": str(path)})
    assert groups_for(Mode.VN, settings) == {"BANKS": ["VCB"]}
    if spoil == "cut short":
        path.write_text('{"BANKS": ["VC')
    else:
        path.unlink()
    if spoil == "a directory":
        path.mkdir()
    if spoil == "empty":
        path.touch()
    for _ in range(3):
        assert groups_for(Mode.VN, settings) == {"BANKS": ["VCB"]}
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("; what it held before counts")
    if spoil == "a directory":
        path.rmdir()
    path.write_text('{"BANKS": ["VCB", "ACB"]}')
    assert groups_for(Mode.VN, settings) == {"BANKS": ["VCB", "ACB"]}
