"""What one chooses at /explorer: ticker, market, interval, range, averages, and what the address remembers of it."""

import json
import shlex
from urllib.request import urlopen

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.explorer_page import Explorer, cents, change, dong, readout_of

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("typed", "found", "keys", "symbol"),
    [
        pytest.param("hoa ph", ["HPG Hoa Phat Group Vietnam"], [], "HPG", id="part of a name"),
        pytest.param("ssi sec", ["SSI SSI Securities Vietnam"], ["ArrowDown", "ArrowUp"], "SSI", id="arrows"),
        pytest.param(
            "fpt",
            ["FPT FPT Corporation Vietnam"],
            ["ArrowDown", "ArrowUp", "ArrowUp", "ArrowDown"],
            "FPT",
            id="the symbol first",
        ),
    ],
)
def test_a_ticker_is_found_by_the_keyboard_alone(
    explorer: Explorer, typed: str, found: list[str], keys: list[str], symbol: str
) -> None:
    explorer.open(symbol="VCB")
    keyboard = explorer.page.keyboard
    keyboard.press("/")
    expect(explorer.search).to_be_focused()
    expect(explorer.search).to_have_value("VCB")
    keyboard.type(typed)
    expect(explorer.options).to_have_text(found)
    for key in keys:
        keyboard.press(key)
    chosen = explorer.options.and_(explorer.page.locator("[aria-selected=true]"))
    expect(chosen).to_contain_text(symbol)
    expect(explorer.search).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "none")
    keyboard.press("Enter")
    explorer.expect_ticker(symbol)
    explorer.expect_address(symbol=symbol)
    expect(explorer.options).to_have_count(0)
    expect(explorer.search).to_be_focused()
    bar = explorer.bars(symbol, limit=1)[0]
    expect(explorer.readout).to_have_text(readout_of(bar))


def test_arrows_go_around_the_list_and_escape_leaves_it(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    keyboard = explorer.page.keyboard
    keyboard.press("/")
    keyboard.press("ArrowDown")
    keyboard.press("ArrowUp")
    expect(explorer.options.last).to_have_attribute("aria-selected", "true")
    keyboard.press("ArrowDown")
    expect(explorer.options.first).to_have_attribute("aria-selected", "true")
    expect(explorer.search).to_have_attribute("aria-expanded", "true")
    keyboard.press("Escape")
    expect(explorer.search).to_have_attribute("aria-expanded", "false")
    expect(explorer.options).to_have_count(0)
    expect(explorer.search).to_have_value("VCB")
    expect(explorer.search).to_be_focused()
    explorer.expect_address(symbol="VCB")


def test_the_slash_leads_to_the_search_from_buttons_too(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.choose("Range", "6M")
    explorer.page.keyboard.press("/")
    expect(explorer.search).to_be_focused()
    explorer.page.keyboard.type("a/b")
    expect(explorer.search).to_have_value("a/b")


def test_a_ticker_the_lists_do_not_know_is_tried_all_the_same(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.page.keyboard.press("/")
    explorer.page.keyboard.type("zzz9")
    nothing = "No ticker like that; Enter tries it all the same"
    expect(explorer.page.locator("#ticker-list")).to_have_text(nothing)
    expect(explorer.live).to_have_text(nothing)
    explorer.page.keyboard.press("Enter")
    explorer.expect_state("empty", "quote", "chart-panel", "profile-panel")
    expect(explorer.part("chart-panel")).to_contain_text("No 1D bars of ZZZ9 in this range.")
    expect(explorer.part("readout")).to_be_empty()
    explorer.expect_state("ready", "performers-panel", "sectors-panel")


@pytest.mark.parametrize("symbol", ["HPG", "SSI"])
def test_a_click_on_a_performer_shows_it(explorer: Explorer, symbol: str) -> None:
    explorer.open(symbol="VCB")
    row = explorer.part("worst").get_by_role("row").filter(has_text=symbol)
    row.locator("td").first.click()
    explorer.expect_ticker(symbol)
    expect(row.get_by_role("link", name=symbol)).to_have_attribute("aria-current", "true")
    expect(explorer.search).to_have_value(symbol)


def test_a_performer_chosen_by_key_keeps_the_focus(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    link = explorer.part("worst").get_by_role("link", name="FPT")
    link.press("Enter")
    explorer.expect_ticker("FPT")
    expect(link).to_be_focused()


def test_the_other_market(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", sector="NGAN_HANG")
    explorer.choose("Market", "Crypto")
    explorer.expect_ticker("BTC")
    explorer.expect_address(mode="crypto", symbol="BTC", sector=None)
    expect(explorer.page.locator("#company")).to_have_text("Bitcoin \u00b7 Crypto top 100")
    [bar] = explorer.bars("BTC", mode="crypto", limit=1)
    expect(explorer.page.locator("#last-price")).to_have_text(f"${cents(bar['close'])}")
    expect(explorer.part("tables").locator("tbody th")).to_have_count(3)
    explorer.page.keyboard.press("/")
    explorer.page.keyboard.type("ethereum")
    expect(explorer.options).to_have_text(["ETH Ethereum Crypto"])
    explorer.page.keyboard.press("Enter")
    explorer.expect_ticker("ETH")
    explorer.page.get_by_role("radio", name="Crypto").press("ArrowLeft")
    explorer.expect_ticker("VNINDEX")


@pytest.mark.parametrize(
    ("interval", "range_", "since"),
    [
        pytest.param("1m", "2d", "2026-02-27", id="two trading days: Monday and the Friday before"),
        pytest.param("15m", "10d", "", id="fewer days stored than asked for"),
        pytest.param("4h", "3M", "2025-12-03", id="three months back from 2 March"),
        pytest.param("1W", "1Y", "2025-03-03", id="a year"),
        pytest.param("1M", "All", "", id="everything"),
    ],
)
def test_interval_and_range(explorer: Explorer, interval: str, range_: str, since: str) -> None:
    explorer.open(symbol="VCB")
    explorer.choose("Interval", interval)
    explorer.expect_ticker("VCB", interval)
    explorer.choose("Range", range_)
    explorer.expect_ticker("VCB", interval)
    expect(explorer.page.get_by_role("group", name="Range").get_by_role("radio", checked=True)).to_have_value(range_)
    bars = explorer.bars("VCB", interval)
    assert explorer.bar_count == sum(bar["time"] >= since for bar in bars)
    expect(explorer.readout).to_have_text(readout_of(bars[-1]) if "ma200" in bars[-1] else readout_text(bars[-1]))
    assert f"interval={interval}&" in explorer.request("Bars")


def readout_text(bar: dict[str, float]) -> list[str]:
    """With a dash for averages that there are not enough bars for."""
    known = tuple(period for period in (10, 20, 50, 100, 200) if f"ma{period}" in bar)
    missing = [f"MA{period} \u2013" for period in (10, 20, 50, 100, 200) if period not in known]
    return readout_of(bar, known) + missing


def test_two_days_of_ones_choice(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.page.get_by_label("From", exact=True).fill("2025-06-02")
    explorer.page.get_by_label("To", exact=True).fill("2025-06-30")
    expect(explorer.part("summary")).to_contain_text("2 Jun 2025 to 30 Jun 2025")
    explorer.expect_address(from_="2025-06-02", to="2025-06-30", range=None)
    assert "start_date=2025-06-02&end_date=2025-06-30" in explorer.request("Bars")
    explorer.choose("Range", "3M")
    expect(explorer.page.get_by_label("From", exact=True)).to_have_value("")
    explorer.expect_address(from_=None, to=None, range="3M")


def test_more_bars_than_a_chart_can_show_are_offered_in_a_longer_interval(explorer: Explorer) -> None:
    window = {"from_": "2026-02-25", "to": "2026-03-02"}  # 7,000 minutes of a coin
    explorer.open(mode="crypto", symbol="BTC", interval="1m", **window, ready=("quote",))
    expect(explorer.part("chart-panel")).to_contain_text("more than 6,000 bars of 1m, too many for a chart")
    explorer.part("chart-panel").get_by_role("button", name="Show bars of 5m").click()
    explorer.expect_state("ready", "chart-panel")
    explorer.expect_address(interval="5m", **window)


def test_whether_bars_are_too_many_is_counted_not_guessed(explorer: Explorer) -> None:
    """Three years of minutes would be 180,000; what is stored of them are five days."""
    explorer.open(symbol="VCB", interval="1m", from_="2023-01-02", to="2026-02-27")
    bars = [bar for bar in explorer.bars("VCB", "1m") if bar["time"] < "2026-02-28"]
    assert explorer.bar_count == len(bars)


def test_averages_come_and_go(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    bar = explorer.bars("VCB", limit=1)[0]
    explorer.page.get_by_role("checkbox", name="MA50").uncheck()
    explorer.expect_layers("ma10", "ma20", "ma100", "ma200")
    expect(explorer.readout).to_have_text(readout_of(bar, (10, 20, 100, 200)))
    explorer.expect_address(ma="10,20,100,200")
    for period in (10, 20, 100, 200):
        explorer.page.get_by_role("checkbox", name=f"MA{period}", exact=True).uncheck()
    explorer.expect_layers()
    explorer.expect_address(ma="none")
    explorer.page.reload()
    explorer.expect_state("ready", "chart-panel")
    expect(explorer.readout).to_have_text(readout_of(bar, ()))
    explorer.page.get_by_role("checkbox", name="MA200").check()
    explorer.expect_layers("ma200")
    expect(explorer.readout).to_have_text(readout_of(bar, (200,)))


def test_a_sector_shows_its_performers(explorer: Explorer) -> None:
    explorer.open()
    banks = explorer.part("sectors").get_by_role("button", name="Banks")
    banks.click()
    expect(explorer.part("worst").locator("tbody th")).to_have_text(["VCB"])
    expect(explorer.page.get_by_role("combobox", name="Sector", exact=True)).to_have_value("NGAN_HANG")
    expect(banks).to_have_attribute("aria-pressed", "true")
    explorer.expect_address(sector="NGAN_HANG")
    banks.click()
    expect(explorer.part("worst").locator("tbody th")).to_have_count(4)
    explorer.expect_address(sector=None)


def test_performers_of_another_day(explorer: Explorer) -> None:
    explorer.open(sort="volume")
    explorer.page.get_by_role("textbox", name="Day").fill("2025-12-27")  # a Saturday: the bars are Friday's
    rows = explorer.api("/analysis/top-performers", date="2025-12-27", sort_by="volume")["data"]["performers"]
    friday = explorer.api("/tickers", symbol=rows[0]["symbol"], start_date="2025-12-26", end_date="2025-12-26")
    assert friday[rows[0]["symbol"]][0]["close"] == rows[0]["close"]
    first = explorer.part("top").locator("tbody tr").first.locator("th, td")
    expect(first.nth(0)).to_have_text(rows[0]["symbol"])
    expect(first.nth(1)).to_have_text(dong(rows[0]["close"]))
    expect(first.nth(2)).to_have_text(change(rows[0]["close_changed"]))


def controls(explorer: Explorer) -> dict[str, Locator]:
    page = explorer.page
    return {
        "crypto": page.get_by_role("group", name="Market").locator("input:checked"),
        "4h": page.get_by_role("group", name="Interval").locator("input:checked"),
        "3M": page.get_by_role("group", name="Range").locator("input:checked"),
        "volume": page.get_by_role("combobox", name="Sort"),
        "5": page.get_by_role("combobox", name="Rows"),
        "100": page.get_by_role("combobox", name="Average"),
        "2026-02-20": page.get_by_role("textbox", name="Day"),
        "ETH": explorer.search,
    }


def test_the_address_brings_everything_back(explorer: Explorer) -> None:
    state = {
        "mode": "crypto",
        "symbol": "ETH",
        "interval": "4h",
        "range": "3M",
        "ma": "20",
        "sort": "volume",
        "rows": "5",
        "period": "100",
        "date": "2026-02-20",
    }
    explorer.open(**state)
    explorer.expect_ticker("ETH", "4h")
    for reload in (False, True):
        if reload:
            explorer.page.reload()
            explorer.expect_ticker("ETH", "4h")
        for value, control in controls(explorer).items():
            expect(control).to_have_value(value)
        explorer.expect_layers("ma20")
        explorer.expect_address(**state)


def test_the_back_button(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.choose("Interval", "1W")
    explorer.expect_ticker("VCB", "1W")
    explorer.page.get_by_role("checkbox", name="MA50").uncheck()  # no step of its own
    explorer.part("worst").get_by_role("link", name="HPG").click()
    explorer.expect_ticker("HPG", "1W")
    explorer.page.go_back()
    explorer.expect_ticker("VCB", "1W")
    expect(explorer.page.get_by_role("checkbox", name="MA50")).not_to_be_checked()
    explorer.page.go_back()
    explorer.expect_ticker("VCB", "1D")
    expect(explorer.page.get_by_role("radio", name="1D", exact=True)).to_be_checked()
    explorer.page.go_forward()
    explorer.expect_ticker("VCB", "1W")


@pytest.mark.parametrize(
    "query",
    [
        {"mode": "bonds", "symbol": "../etc", "interval": "7h", "range": "9Y", "ma": "7", "rows": "1e9"},
        {"symbol": "<img src=x onerror=alert(1)>", "from_": "2026-13-01", "to": "2025-02-30", "sector": "'\"><b>"},
    ],
)
def test_nonsense_in_the_address_becomes_the_default(explorer: Explorer, query: dict[str, str]) -> None:
    explorer.open(**query)
    explorer.expect_ticker("VNINDEX")
    gone = dict.fromkeys(["interval", "range", "rows", "from", "to", "sector"])
    explorer.expect_address(mode="vn", symbol="VNINDEX", **gone)


def test_the_copied_line_is_the_one_shown(explorer: Explorer) -> None:
    explorer.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=explorer.server.url)
    explorer.open(symbol="VCB")
    url = explorer.request("Sector strength")
    explorer.part("copy").click()
    expect(explorer.part("copy")).to_have_text("Copied")
    expect(explorer.live).to_have_text("Copied")
    line = explorer.page.evaluate("navigator.clipboard.readText()")
    assert line == explorer.part("curl").text_content()
    assert shlex.split(line) == ["curl", url]


def test_comparisons_and_the_watch_list_have_a_line_for_each_request(first_visit: Explorer) -> None:
    for symbol, mode in (("HPG", "vn"), ("BTC", "crypto")):
        first_visit.open(symbol=symbol, mode=mode)
        first_visit.part("star").click()
    first_visit.open(symbol="VCB", compare="HPG,FPT")
    first_visit.expect_state("ready", "watch-panel")
    for kind, symbols in (("Compare", ["HPG", "FPT"]), ("Watch list", ["HPG", "BTC"])):
        first_visit.part("which").select_option(label=kind)
        expect(first_visit.part("curl")).to_contain_text(symbols[0])
        lines = (first_visit.part("curl").text_content() or "").splitlines()
        for line, symbol in zip(lines, symbols, strict=True):
            program, url = shlex.split(line)
            assert program == "curl"
            with urlopen(url) as answer:
                assert list(json.load(answer)) == [symbol]
    first_visit.open(symbol="VCB")
    first_visit.part("which").select_option(label="Compare")
    expect(first_visit.part("copy")).to_be_disabled()


def test_every_line_works(explorer: Explorer) -> None:
    explorer.open(
        symbol="VCB", profile="view", from_="2026-02-25", to="2026-02-27", sector="NGAN_HANG", date="2026-02-27"
    )
    answers = {"Bars": "VCB", "Quote": "VCB", "Volume profile": "data", "Performers": "data", "Sector strength": "data"}
    for kind, key in answers.items():
        with urlopen(explorer.request(kind)) as response:
            assert key in json.load(response)


def test_the_line_of_the_bars_gives_the_bars_of_the_chart(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", from_="2026-02-02", to="2026-02-27")
    before = explorer.request("Bars")
    explorer.part("worst").get_by_role("link", name="FPT").click()
    explorer.expect_ticker("FPT")
    url = explorer.request("Bars")
    assert url == before.replace("symbol=VCB", "symbol=FPT")
    with urlopen(url) as response:
        assert response.read().count(b'"2026-02-') == explorer.bar_count
