"""Reference, ceiling and floor in /explorer: as the server computes them, in the colours that traders know."""

import re

import pytest
from playwright.sync_api import Locator, Route, expect

from stockapi.calc.price_bands import price_band
from stockapi.markets import VN
from tests.browser.explorer_page import Explorer, dong

CLOSES = [
    *(30.0, 100.0, 499.0, 900.0, 9_995.0, 10_000.0, 10_300.0, 19_512.2, 47_000.0, 50_000.0, 53_000.0, 700_000.0),
    *(round(17.3 * 1.07**step, 2) for step in range(150)),
]
BANDS = """async ({ closes, exchanges }) => {
    const module = document.querySelector('link[rel=modulepreload][href*="bands.js"]').href;
    const { bandOf } = await import(module);
    return exchanges.map((name) => closes.map((close) => bandOf("vn", name, close)));
}"""
TONES = """async (prices) => {
    const { bandOf, toneOf, toneOfDay } = await import(document.querySelector('link[href*="bands.js"]').href);
    const band = bandOf("vn", "HOSE", 100000);
    const none = [bandOf("vn", "", 100000), bandOf("crypto", "HOSE", 100000), bandOf("vn", "HOSE", null)];
    const days = [["VCB", 107000, 7], ["VCB", 93100, -7], ["VCB", 93000, -7], ["VNINDEX", 1070, 7], ["VCB", 100, null]];
    return {
        tones: prices.map((price) => toneOf(price, band, "otherwise")),
        none: none.every((each) => !each),
        days: days.map((day) => toneOfDay("vn", ...day)),
    };
}"""


def colour(part: Locator) -> str:
    found: str = part.evaluate("each => getComputedStyle(each).color")
    return found


def test_the_page_computes_what_the_server_does(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    exchanges = list(VN.exchanges)
    found = explorer.page.evaluate(BANDS, {"closes": CLOSES, "exchanges": exchanges})
    for name, bands in zip(exchanges, found, strict=True):
        assert bands == [price_band(close, VN.exchanges[name])._asdict() for close in CLOSES], name


def test_a_price_has_the_tone_of_its_place_in_the_band(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    prices = {107_000: "ceiling", 106_900: "up", 100_000: "reference", 99_900: "down", 93_000: "floor"}
    beyond = dict.fromkeys([107_100, 92_900], "otherwise")  # of a day with other limits
    found = explorer.page.evaluate(TONES, [*prices, *beyond])
    assert found["tones"] == [*prices.values(), *beyond.values()]
    assert found["none"], "an exchange that is not known, another market, no close"
    assert found["days"] == ["ceiling", "floor", "floor", "up", "unknown"]


def close_at(explorer: Explorer, close: float, before: float) -> None:
    """From now on the newest day closes there."""

    def answer(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["VCB"]["close"][-1], body["VCB"]["close_changed"][-1] = close, round((close / before - 1) * 100, 4)
        route.fulfill(response=response, json=body)

    explorer.page.route(re.compile(r"limit=2&"), answer)


@pytest.mark.parametrize("part", ["reference", "ceiling", "floor"])
def test_the_quote_shows_the_limits_in_their_colours(explorer: Explorer, part: str) -> None:
    before = explorer.bars("VCB", limit=2)[0]["close"]
    band = price_band(before, VN.exchanges["HOSE"])
    close_at(explorer, getattr(band, part), before)
    explorer.open(symbol="VCB")
    facts = explorer.page.locator("#quote-facts")
    for name, limit in zip(("Reference", "Ceiling", "Floor"), band, strict=True):
        expect(facts.locator("div", has_text=name)).to_have_text(f"{name}{dong(limit)}")
    expect(explorer.page.locator("#last-price")).to_have_class(part)
    expect(explorer.page.locator("#last-change")).to_have_class(f"change {part}")
    limits = {"ceiling": "Ceiling", "floor": "Floor"}
    if part in limits:
        expect(explorer.page.locator("#last-change")).to_contain_text(limits[part])
    shown = {name: colour(facts.locator(f".{name}")) for name in ("reference", "ceiling", "floor")}
    assert len(set(shown.values())) == 3


@pytest.mark.parametrize("query", [{"symbol": "VNINDEX"}, {"mode": "crypto", "symbol": "BTC"}])
def test_what_has_no_limits_shows_none(explorer: Explorer, query: dict[str, str]) -> None:
    explorer.open(**query)
    explorer.expect_state("ready", "heat-panel")
    expect(explorer.page.locator("#quote-facts .ceiling")).to_have_count(0)
