"""What is listed: facts of every ticker that the project knows."""

import re
import subprocess
import sys
import unicodedata
from collections import Counter
from importlib.resources import files

import pytest

from stockapi.config import Settings
from stockapi.markets import market_of
from stockapi.markets.listings import DELISTED, LISTED, NO_PAIR, Listing, former_symbols, listing, listings
from stockapi.markets.tickers import groups_for, tickers_for
from stockapi.models import Mode
from stockapi.models.query import is_symbol

DEFAULTS = Settings.from_mapping({})


def get(mode: Mode, symbol: str) -> Listing:
    found = listing(mode, symbol)
    assert found is not None, symbol
    return found


@pytest.fixture(params=Mode, ids=lambda mode: mode.value)
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


def test_a_stock_with_all_that_is_known() -> None:
    assert get(Mode.VN, "VCB") == Listing(
        symbol="VCB",
        mode=Mode.VN,
        type="stock",
        exchange="HOSE",
        sector="NGAN_HANG",
        industry="NGAN_HANG",
        indices=("VNINDEX", "VN30"),
        currency="VND",
        rank=None,
        pair=None,
        delisted=None,
        former_names=(),
        short_name="Vietcombank",
        name="Joint Stock Commercial Bank for Foreign Trade of Vietnam",
        name_vi="Ngân hàng TMCP Ngoại thương Việt Nam",
        is_followed=True,
    )


@pytest.mark.parametrize(
    ("mode", "symbol", "expected"),
    [
        (Mode.VN, "HPG", {"name_vi": "CTCP Tập đoàn Hòa Phát", "sector": "THEP", "exchange": "HOSE"}),
        (Mode.VN, "SHS", {"exchange": "HNX", "indices": ("HNXINDEX",), "sector": "CHUNG_KHOAN"}),
        (Mode.VN, "ACV", {"exchange": "UPCOM", "indices": ("UPCOMINDEX",), "sector": "HANG_KHONG"}),
        # found, and followed since the first lists; the old API had it in no sector
        (Mode.VN, "ABB", {"sector": None, "industry": "NGAN_HANG", "is_followed": True, "exchange": "UPCOM"}),
        # found, and not followed
        (
            Mode.VN,
            "A32",
            {"sector": None, "industry": None, "is_followed": False, "short_name": "32 Joint Stock Company"},
        ),
        (Mode.VN, "VNINDEX", {"type": "index", "currency": None, "is_followed": True}),
        (Mode.VN, "VN30F1M", {"type": "future", "currency": None, "exchange": "HNX", "is_followed": False}),
        (Mode.VN, "VPL", {"indices": ("VNINDEX", "VN30")}),
        (Mode.VN, "BCM", {"indices": ("VNINDEX",)}),
        (Mode.VN, "CAV", {"status": DELISTED, "delisted": "2024-07-18", "exchange": "HOSE", "is_followed": False}),
        (Mode.VN, "VOC", {"status": DELISTED, "delisted": "2026-01", "exchange": "UPCOM", "is_followed": False}),
        # under the names of today
        (Mode.VN, "STB", {"name": "Saigon Tai Loc Commercial Joint Stock Bank"}),
        (Mode.VN, "ITD", {"name": "ITD Technology Corporation", "short_name": "ITD Technology"}),
        (Mode.CRYPTO, "BTC", {"rank": 1, "pair": "BTCUSDT", "currency": "USD", "type": "coin", "status": LISTED}),
        (Mode.CRYPTO, "USDT", {"rank": 3, "type": "pegged", "sector": None, "is_followed": False}),
        (Mode.CRYPTO, "HYPE", {"rank": 11, "pair": NO_PAIR, "status": LISTED, "is_followed": True}),
        (Mode.CRYPTO, "XMR", {"rank": 18, "pair": NO_PAIR, "status": DELISTED, "delisted": "2024-02-20"}),
        (Mode.CRYPTO, "HNT", {"pair": NO_PAIR, "status": DELISTED, "delisted": "2023-03-24"}),
        (Mode.CRYPTO, "BSV", {"pair": NO_PAIR, "status": DELISTED, "delisted": "2019-04"}),
        (Mode.CRYPTO, "CC", {"rank": 30, "pair": None}),
        (Mode.CRYPTO, "GRAM", {"rank": 27, "former_names": ("TON",), "pair": "GRAMUSDT"}),
        (Mode.CRYPTO, "TON", {"symbol": "GRAM"}),
        (Mode.CRYPTO, "MATIC", {"symbol": "POL", "rank": 49, "former_names": ("MATIC",)}),
        # a thousand of the new coins are one of the old, so these are two
        (Mode.CRYPTO, "BTT", {"symbol": "BTT", "status": DELISTED, "pair": NO_PAIR}),
        (Mode.CRYPTO, "BTTC", {"symbol": "BTTC", "former_names": (), "pair": "BTTCUSDT"}),
        (Mode.CRYPTO, "CRV", {"name": "Curve DAO"}),
        (Mode.VN, "CRV", {"name": "CRV Real Estate Group Joint Stock Company"}),
    ],
)
def test_facts(mode: Mode, symbol: str, expected: dict[str, object]) -> None:
    found = get(mode, symbol)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(("mode", "symbol"), [(Mode.VN, "BTC"), (Mode.CRYPTO, "VCB"), (Mode.VN, ""), (Mode.VN, "vcb")])
def test_what_is_not_known(mode: Mode, symbol: str) -> None:
    assert listing(mode, symbol) is None


def test_every_stock_of_the_three_exchanges_is_known() -> None:
    stocks = [each for each in listings(Mode.VN).values() if each.type == "stock" and each.delisted is None]
    assert Counter(each.exchange for each in stocks) == {"HOSE": 403, "HNX": 302, "UPCOM": 839}
    assert sum("VN30" in each.indices for each in stocks) == 30
    assert {len(each.symbol) for each in stocks} == {3}
    assert {each.exchange: each.indices[0] for each in stocks} == {
        "HOSE": "VNINDEX",
        "HNX": "HNXINDEX",
        "UPCOM": "UPCOMINDEX",
    }


def test_indices_and_futures_are_those_of_the_settings() -> None:
    for each in listings(Mode.VN).values():
        assert DEFAULTS.is_index(each.symbol, Mode.VN) == (each.type in ("index", "future")), each.symbol


def test_every_line_is_whole(mode: Mode) -> None:
    for symbol, each in listings(mode).items():
        assert is_symbol(symbol)
        assert symbol == each.symbol
        assert each.type in ("stock", "index", "future", "coin", "pegged")
        assert each.delisted is None or re.fullmatch(r"\d{4}(-\d\d){0,2}", each.delisted), symbol
        assert each.pair in (None, NO_PAIR, f"{symbol}USDT"), symbol
        assert not each.sector or each.is_followed, symbol
        for text in filter(None, (each.short_name, each.name, each.name_vi)):
            assert text == " ".join(unicodedata.normalize("NFC", text).split()), symbol
            assert text.isprintable(), symbol


def test_lines_are_in_their_order() -> None:
    stocks = [each.symbol for each in listings(Mode.VN).values() if each.type == "stock"]
    assert stocks == sorted(stocks)
    ranks = [each.rank for each in listings(Mode.CRYPTO).values()]
    ranked = [rank for rank in ranks if rank is not None]
    assert ranked == sorted(set(ranked)) == ranks[: len(ranked)]


def test_a_former_symbol_is_none_of_today(mode: Mode) -> None:
    assert former_symbols(mode).keys().isdisjoint(listings(mode))
    assert former_symbols(mode) == ({"TON": "GRAM", "MATIC": "POL"} if mode is Mode.CRYPTO else {})


def test_sectors_are_those_of_the_old_api(mode: Mode) -> None:
    sectors = (
        "BAN_LE BAO_HIEM BAT_DONG_SAN BAT_DONG_SAN_KCN CAO_SU CHUNG_KHOAN CONG_NGHE DAU_KHI DAU_TU_CONG DET_MAY "
        "HANG_KHONG HOA_CHAT KHAI_KHOANG NANG_LUONG NGAN_HANG NHUA NONG_NGHIEP OTHERS PENNY SUC_KHOE THEP THUC_PHAM "
        "THUY_SAN VAN_TAI VLXD XAY_DUNG XAY_LAP_DIEN"
    )
    groups = groups_for(mode, DEFAULTS)
    assert list(groups) == ("CRYPTO_TOP_100" if mode is Mode.CRYPTO else sectors).split()
    assert sum(map(len, groups.values())) == (87 if mode is Mode.CRYPTO else 284)
    aliases = market_of(mode).sector_aliases
    assert set(aliases.values()) <= set(groups)
    assert groups.keys().isdisjoint(aliases)


def test_what_is_followed_is_listed_and_in_a_sector_or_more(mode: Mode) -> None:
    followed = tickers_for(mode, DEFAULTS)
    assert len(followed) == len(set(followed)) == {Mode.VN: 361, Mode.CRYPTO: 114}[mode]
    assert {symbol for group in groups_for(mode, DEFAULTS).values() for symbol in group} < set(followed)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    program = (
        "import stockapi, stockapi.markets.listings as each; print(each.listings.cache_info().currsize);"
        "from stockapi.models.mode import Mode; each.listings(Mode.CRYPTO); print(each.listings.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]


def test_the_files_are_small(mode: Mode) -> None:
    text = (files("stockapi") / "data" / market_of(mode).listings_file).read_bytes()
    assert len(text) < 200_000
    assert b"\r" not in text
