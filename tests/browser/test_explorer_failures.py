"""/explorer when there is nothing to show, and when the API fails, is slow, or answers in another order."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.explorer_page import (
    BARS,
    PANELS,
    PERFORMERS,
    PROFILE,
    QUOTE,
    SECTORS,
    Explorer,
    dong,
    readout_of,
)

pytestmark = pytest.mark.long

REQUESTS = {
    "quote": QUOTE,
    "chart-panel": BARS,
    "profile-panel": PROFILE,
    "performers-panel": PERFORMERS,
    "sectors-panel": SECTORS,
}
LIBRARY = re.compile(r"/lightweight-charts[^/]*\.js")
REASON = "SQLite failed and FALLBACK_TO_CSV is false"


@pytest.mark.parametrize("panel", PANELS)
def test_a_failure_is_said_in_the_words_of_the_api_and_retried(explorer: Explorer, panel: str) -> None:
    others = tuple(each for each in PANELS if each != panel)
    explorer.fail(REQUESTS[panel], 503, REASON)
    explorer.open(symbol="VCB", ready=others)
    explorer.expect_state("error", panel)
    expect(explorer.part(panel).get_by_text("The request failed (503)")).to_be_visible()
    expect(explorer.part(panel).get_by_text(REASON)).to_be_visible()
    retry = explorer.part(panel).get_by_role("button", name="Try again")
    retry.click()
    explorer.expect_state("error", panel)

    explorer.page.unroute(REQUESTS[panel])
    retry.press("Enter")
    explorer.expect_state("ready")
    expect(retry).to_have_count(0)
    expect(explorer.part(panel).get_by_text(REASON)).to_have_count(0)
    focused_inside = explorer.part(panel).evaluate("panel => panel.contains(document.activeElement)")
    assert focused_inside, "the focus went with the button"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "text"),
    [
        (429, "application/json", '{"error": "too many requests: at most 8 at a time"}', "at most 8 at a time"),
        (502, "text/html", "<h1>Bad gateway</h1>", "the answer is no JSON"),
        (0, "", "", "the server cannot be reached"),
    ],
)
def test_every_kind_of_failure_has_its_words(
    explorer: Explorer, status: int, content_type: str, body: str, text: str
) -> None:
    explorer.watched.failures_meant.append("/tickers")
    if status:
        explorer.page.route(BARS, lambda route: route.fulfill(status=status, content_type=content_type, body=body))
    else:
        explorer.page.route(BARS, lambda route: route.abort("connectionrefused"))
    explorer.open(symbol="VCB", ready=("quote", "performers-panel", "sectors-panel"))
    explorer.expect_state("error", "chart-panel")
    expect(explorer.part("chart-panel")).to_contain_text(text)
    expect(explorer.part("chart-panel").get_by_role("heading")).to_have_count(0)
    expect(explorer.part("readout")).to_be_empty()


def test_a_failure_is_read_aloud(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.fail(PERFORMERS, text=REASON)
    explorer.page.get_by_role("combobox", name="Sort").select_option("volume")
    explorer.expect_state("error", "performers-panel")
    expect(explorer.live).to_have_text(f"Performers: {REASON}")
    expect(explorer.part("tables")).not_to_be_visible()  # nor heard: they are of the question before


def test_a_library_that_does_not_load_is_a_failure_like_others(first_visit: Explorer) -> None:
    first_visit.page.route(LIBRARY, lambda route: route.abort())
    first_visit.open(symbol="VCB", ready=("quote", "performers-panel", "sectors-panel"))
    first_visit.expect_state("error", "chart-panel", "profile-panel")
    expect(first_visit.part("chart-panel")).to_contain_text("the charting library could not be loaded")
    assert all(
        "charting library" in error or "lightweight-charts" in error for error in first_visit.watched.console_errors
    )
    first_visit.watched.console_errors.clear()
    first_visit.page.unroute(LIBRARY)
    for panel in ("chart-panel", "profile-panel"):
        first_visit.part(panel).get_by_role("button", name="Try again").click()
    first_visit.expect_ticker("VCB")


def test_days_without_minutes_have_an_empty_profile(explorer: Explorer) -> None:
    explorer.watched.failures_meant.append("/analysis/volume-profile")  # the browser reports a 404, however welcome
    others = tuple(each for each in PANELS if each != "profile-panel")
    explorer.open(symbol="VCB", from_="2025-01-06", to="2025-01-31", profile="view", ready=others)
    explorer.expect_state("empty", "profile-panel")
    expect(explorer.part("profile-panel")).to_contain_text(
        "No minutes of VCB are stored for 6 Jan 2025 \u2013 31 Jan 2025."
    )
    expect(explorer.part("profile-panel").get_by_role("button")).to_have_count(0)
    explorer.page.get_by_role("radio", name="Day", exact=True).check()
    explorer.expect_state("ready", "profile-panel")


def test_a_range_without_bars_is_empty(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", from_="1999-01-01", to="1999-12-31", ready=("quote", "profile-panel"))
    explorer.expect_state("empty", "chart-panel")
    expect(explorer.part("chart-panel")).to_contain_text("No 1D bars of VCB in this range.")
    explorer.choose("Range", "1M")
    explorer.expect_ticker("VCB")


@pytest.mark.parametrize("panel", PANELS)
def test_a_slow_answer_shows_that_it_is_awaited(explorer: Explorer, panel: str) -> None:
    held = explorer.hold(REQUESTS[panel])
    explorer.open(symbol="VCB", ready=tuple(each for each in PANELS if each not in {panel, "profile-panel"}))
    expect(explorer.part(panel)).to_have_attribute("data-state", "loading")
    expect(explorer.part(panel)).to_have_attribute("aria-busy", "true")
    expect(explorer.part(panel).get_by_text("Loading\u2026")).to_be_visible()
    held.release()
    explorer.expect_state("ready")
    expect(explorer.page.get_by_text("Loading\u2026")).to_have_count(0)


def test_what_was_shown_does_not_stand_under_a_new_name(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.hold(QUOTE)
    explorer.hold(BARS)
    explorer.part("worst").get_by_role("link", name="HPG").click()
    expect(explorer.page.get_by_role("heading", level=1)).to_have_text("HPG")
    expect(explorer.part("readout")).to_be_empty()
    expect(explorer.page.locator("#last-price")).to_have_text("")
    for panel in ("quote", "chart-panel", "profile-panel"):
        expect(explorer.part(panel)).to_have_attribute("aria-busy", "true")


@pytest.mark.parametrize("address", [QUOTE, BARS], ids=["quote", "bars"])
def test_a_late_answer_does_not_replace_a_newer_one(explorer: Explorer, address: re.Pattern[str]) -> None:
    explorer.open(symbol="VCB")
    held = explorer.hold(address)
    with explorer.page.expect_request(address):
        explorer.part("worst").get_by_role("link", name="HPG").click()
    held.is_open = True
    explorer.part("worst").get_by_role("link", name="SSI").click()
    explorer.expect_ticker("SSI")
    assert ["symbol=HPG&" in route.request.url for route in held.routes] == [True]
    held.release()
    explorer.settle()
    explorer.expect_ticker("SSI")
    bar = explorer.bars("SSI", limit=1)[0]
    expect(explorer.readout).to_have_text(readout_of(bar))
    expect(explorer.page.locator("#last-price")).to_have_text(f"{dong(bar['close'])} \u20ab")
    assert "symbol=SSI&" in explorer.request("Bars")
    assert "symbol=SSI&" in explorer.request("Volume profile")


def test_while_tickers_are_flicked_through_nothing_is_called_empty(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.hold(QUOTE)
    explorer.hold(BARS)
    explorer.page.evaluate(
        """() => {
            const panel = document.getElementById("profile-panel");
            const note = () => (panel.dataset.seen = `${panel.dataset.seen ?? ""} ${panel.dataset.state}`);
            new MutationObserver(note).observe(panel, { attributeFilter: ["data-state"] });
        }"""
    )
    for symbol in ("HPG", "SSI", "FPT"):
        explorer.part("worst").get_by_role("link", name=symbol).click()
    expect(explorer.page.get_by_role("heading", level=1)).to_have_text("FPT")
    explorer.settle()
    assert "empty" not in (explorer.part("profile-panel").get_attribute("data-seen") or "")
    expect(explorer.part("profile-panel")).to_have_attribute("aria-busy", "true")


def test_what_has_grown_old_is_asked_for_anew(first_visit: Explorer) -> None:
    first_visit.page.clock.install()
    first_visit.open(symbol="VCB")
    pointed = readout_of(first_visit.bars("VCB")[-first_visit.bar_count :][3])
    first_visit.point_at(3)
    expect(first_visit.readout).to_have_text(pointed)
    with first_visit.refreshed(*REQUESTS.values()):
        first_visit.page.clock.fast_forward("04:00")  # Cache-Control says two minutes at most
    first_visit.expect_state("ready")
    expect(first_visit.readout).to_have_text(pointed)


def test_a_refresh_that_fails_leaves_what_is_shown_and_says_so(first_visit: Explorer) -> None:
    first_visit.page.clock.install()
    first_visit.open(symbol="VCB")
    first_visit.fail(BARS, text=REASON)
    with first_visit.refreshed(*REQUESTS.values()):
        first_visit.page.clock.fast_forward("04:00")
    expect(first_visit.part("updated")).to_have_text(f"Not refreshed: Bars: {REASON}")
    first_visit.expect_state("ready")
    expect(first_visit.readout).to_have_text(readout_of(first_visit.bars("VCB", limit=1)[0]))
    first_visit.page.unroute(BARS)
    with first_visit.refreshed(BARS):
        first_visit.page.clock.fast_forward("00:31")
    expect(first_visit.part("updated")).to_be_empty()


def test_a_chart_that_was_refused_is_not_loaded_by_the_clock(first_visit: Explorer) -> None:
    first_visit.page.clock.install()
    first_visit.open(mode="crypto", symbol="BTC", interval="1m", range="1d")
    first_visit.page.get_by_label("From", exact=True).fill("2020-01-01")
    expect(first_visit.part("chart-panel")).to_contain_text("too many for a chart")
    held = first_visit.hold(BARS)
    first_visit.page.clock.fast_forward("04:00")
    first_visit.settle()
    assert held.routes == []
    expect(first_visit.part("chart-panel")).to_contain_text("too many for a chart")
