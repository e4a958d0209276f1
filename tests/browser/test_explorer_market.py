"""Finding and keeping tickers in /explorer: the search, the watch list, the heat map."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.explorer_page import Explorer, change, dong, percent

pytestmark = pytest.mark.long

BOTH = {"VCB": "vn", "BTC": "crypto"}


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("hoa phat", "HPG Hoa Phat Group Vietnam"),
        ("H\u00f2a Ph\u00e1t", "HPG Hoa Phat Group Vietnam"),
        ("ngoai thuong", "VCB Vietcombank Vietnam"),  # in its Vietnamese name
        ("foreign trade", "VCB Vietcombank Vietnam"),  # in its full one
        ("bitcoin", "BTC Bitcoin Crypto"),
        ("shi", "SHIB Shiba Inu Crypto"),
    ],
)
def test_what_has_bars_is_found_in_both_markets(explorer: Explorer, typed: str, found: str) -> None:
    explorer.open(symbol="VCB")
    explorer.expect_state("ready", "heat-panel")
    explorer.search.fill(typed)
    expect(explorer.options).to_have_text([found])
    explorer.search.press("Enter")
    explorer.expect_ticker(found.split()[0])
    explorer.expect_address(mode="crypto" if found.endswith("Crypto") else "vn")


def test_what_has_no_bars_is_not_offered(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.expect_state("ready", "heat-panel")
    explorer.search.fill("vinamilk")
    expect(explorer.options).to_have_count(0)
    expect(explorer.page.locator("#ticker-list .none")).to_be_visible()


def test_the_chart_is_asked_for_before_what_stands_below_it(first_visit: Explorer) -> None:
    asked: list[str] = []
    first_visit.page.on("request", lambda request: asked.append(request.url.removeprefix(first_visit.server.url)))
    first_visit.open(symbol="VCB")
    quote, bars, *_ = [url for url in asked if re.match(r"/(tickers|analysis)", url)]
    first_visit.expect_state("ready", "heat-panel")
    assert sum("/tickers/" in url or "limit=1&" in url for url in asked) == 3, (
        "what there is: last bars, and each market"
    )
    assert "symbol=VCB&interval=1D&limit=2&" in quote
    assert re.search(r"symbol=VCB&interval=1D&limit=\d{3}&", bars)


def test_what_is_watched_is_kept_with_its_price(first_visit: Explorer) -> None:
    first_visit.open(symbol="VCB")
    star, rows = first_visit.part("star"), first_visit.part("watch").get_by_role("listitem")
    first_visit.expect_state("empty", "watch-panel")
    for symbol, mode in BOTH.items():
        first_visit.open(symbol=symbol, mode=mode)
        star.click()
        expect(star).to_have_attribute("aria-pressed", "true")
    first_visit.page.reload()
    first_visit.expect_state("ready", "watch-panel")
    [vcb], [btc] = (first_visit.bars(symbol, limit=1, mode=mode) for symbol, mode in BOTH.items())
    expect(rows).to_have_text(
        [
            f"VCB{dong(vcb['close'])}{change(vcb['close_changed'])}\u00d7",
            re.compile(rf"^BTC[\d,.]+{re.escape(change(btc['close_changed']))}\u00d7$"),
        ]
    )
    first_visit.part("watch").get_by_role("link", name="VCB").click()
    first_visit.expect_ticker("VCB")
    first_visit.expect_address(mode="vn")
    expect(star).to_have_attribute("aria-pressed", "true")
    first_visit.page.get_by_role("button", name="Watch VCB no more").click()
    expect(rows).to_have_count(1)
    expect(star).to_have_attribute("aria-pressed", "false")


def test_the_heat_map_is_of_what_was_traded(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.expect_state("ready", "heat-panel")
    sectors = {"VCB": "Banks", "FPT": "Technology", "HPG": "Steel", "SSI": "Securities"}
    bars = {symbol: explorer.bars(symbol, limit=1)[0] for symbol in sectors}
    largest = sorted(sectors, key=lambda symbol: -bars[symbol]["close"] * bars[symbol]["volume"])
    tiles = explorer.part("heat").get_by_role("button")
    expect(tiles.locator("b")).to_have_text([sectors[symbol] for symbol in largest])
    expect(tiles.locator("span")).to_have_text([change(bars[symbol]["close_changed"]) for symbol in largest])
    whole = explorer.part("heat").bounding_box()
    assert whole is not None
    total = sum(bar["close"] * bar["volume"] for bar in bars.values())
    for tile, symbol in zip(tiles.all(), largest, strict=True):
        box = tile.bounding_box()
        assert box is not None
        share = bars[symbol]["close"] * bars[symbol]["volume"] / total
        assert box["width"] * box["height"] == pytest.approx(share * whole["width"] * whole["height"], rel=0.02)
    label = re.compile(rf"^Steel: {re.escape(percent(bars['HPG']['close_changed']))}, .* traded$")
    explorer.part("heat").get_by_role("button", name=label).click()
    explorer.expect_address(sector="THEP")
