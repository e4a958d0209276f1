"""Moving about in the chart of /explorer: into the past, along the prices, and back to where an address leads."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Request, Route, expect

from tests.browser.explorer_page import BARS, CHART, Explorer, readout_of, time_text

pytestmark = pytest.mark.long

CHUNK = 600
"""Bars that are asked for when the past comes near."""


@contextmanager
def asked_for_bars(explorer: Explorer) -> Iterator[list[str]]:
    """The addresses of the requests for bars that are made within, apart from those that look for newer ones."""
    asked: list[str] = []

    def note(request: Request) -> None:
        query = parse_qs(urlsplit(request.url).query)
        if BARS.search(request.url) and "end_date" in query:
            asked.append(query["end_date"][0])

    explorer.page.on("request", note)
    yield asked
    explorer.page.remove_listener("request", note)


def drag(explorer: Explorer, pixels: float, *, steps: int = 20) -> None:
    x, y = explorer.place_of(explorer.bar_count // 2)
    explorer.page.mouse.move(x, y)
    explorer.page.mouse.down()
    explorer.page.mouse.move(x + pixels, y, steps=steps)
    explorer.page.mouse.up()


def test_the_past_comes_by_itself_and_says_when_there_is_no_more(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    everything = explorer.bars("VCB")
    edge = explorer.page.locator("#edge")
    with asked_for_bars(explorer) as asked:
        while explorer.held < len(everything):
            before = explorer.held
            drag(explorer, 480)
            explorer.settle()
            assert explorer.held - before in {0, CHUNK, len(everything) - before}
        drag(explorer, 480)
        drag(explorer, 480)
        explorer.settle()
    # 1,293 bars: 457 at first, 600 more, and the rest with a request that says that there is no more.
    assert len(asked) == len(set(asked)) == -(-(len(everything) - 457) // CHUNK)
    assert asked == sorted(asked, reverse=True)
    expect(edge).to_have_text("No earlier bars")
    explorer.page.keyboard.press("Escape")
    explorer.point_at(0)
    first = everything[0]
    expect(explorer.readout.first).to_have_text("1 Mar 2021")
    assert first["time"] == "2021-03-01"


def test_what_is_in_view_stays_where_it_is_while_the_past_arrives(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    held = explorer.hold(re.compile(r"/tickers\?.*limit=600&end_date="))
    before = explorer.held
    while not held.routes:
        drag(explorer, 480)
    view = explorer.view()
    held.release()
    explorer.page.wait_for_function(f"count => {CHART}.count > count", arg=before)
    explorer.page.wait_for_function(
        f"count => [...{CHART}._layers.values()].every(({{ api }}) => api.data().length > count)", arg=before
    )
    explorer.expect_view(*view)


def test_bars_that_take_the_place_of_others_leave_the_view(explorer: Explorer) -> None:
    """A corrected close makes the page ask for its bars anew: without those that one has scrolled to before."""
    explorer.open(symbol="VCB", range="6M")
    while explorer.held < 700:
        drag(explorer, 480)
        explorer.settle()
    explorer.page.mouse.dblclick(*explorer.place_of(100))
    explorer.expect_address(from_=None, to=None)
    explorer.settle()
    seen, held = explorer.part("summary").text_content() or "", explorer.held

    def corrected(route: Route) -> None:
        answer = route.fetch()
        bars = answer.json()["VCB"]
        bars["close"] = [
            close + 100 if time == "2026-02-26" else close
            for time, close in zip(bars["time"], bars["close"], strict=True)
        ]
        route.fulfill(json={"VCB": bars})

    explorer.page.route(BARS, corrected)
    explorer.page.wait_for_function(f"held => {CHART}.count < held", arg=held)
    expect(explorer.part("summary")).to_have_text(seen)


def test_a_bar_chosen_by_key_is_the_same_after_the_past_has_come(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", range="1M", ma="none")
    explorer.chart.press("ArrowLeft")
    days = [bar["time"] for bar in reversed(explorer.bars("VCB"))]
    before, at = explorer.held, 0
    while explorer.held == before:
        explorer.chart.press("ArrowLeft")
        at += 1
    for _ in range(3):
        explorer.chart.press("ArrowLeft")
        at += 1
    expect(explorer.readout.first).to_have_text(time_text(days[at]))


def test_the_choice_of_ranges_says_that_one_has_moved_away_and_leads_back(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", range="6M")
    view = explorer.view()
    drag(explorer, 200)
    expect(explorer.page.locator("#range input:checked")).to_have_count(0)
    expect(explorer.page.locator("#from")).not_to_have_value("")
    explorer.choose("Range", "6M")
    explorer.expect_view(*view)


def test_a_window_without_bars_is_left_by_a_button(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", from_="2010-01-04", to="2010-02-01", ready=("quote",))
    explorer.expect_state("empty", "chart-panel")
    explorer.page.get_by_role("button", name="Show the range again").click()
    explorer.expect_ticker("VCB")


def test_panels_beside_a_chart_that_waits_for_its_bars_are_shown_all_the_same(explorer: Explorer) -> None:
    held = explorer.hold(BARS)
    explorer.open(symbol="VCB", ready=("quote", "performers-panel"))
    held.release()
    explorer.expect_state("ready", "chart-panel")


def test_a_failure_at_the_edge_is_said_and_leaves_the_chart(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    older = re.compile(r"/tickers\?.*limit=600&end_date=")
    explorer.fail(older, text="neither store can answer")
    before = explorer.held
    drag(explorer, 480)
    drag(explorer, 480)
    expect(explorer.page.locator("#edge")).to_have_text("Earlier bars: neither store can answer")
    explorer.expect_state("ready", "chart-panel")
    assert explorer.held == before


def test_where_one_has_moved_to_stands_in_the_address(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.point_at(100)
    explorer.page.mouse.wheel(0, -400)
    drag(explorer, 200)
    explorer.page.wait_for_url(re.compile("from=.*to="))
    explorer.expect_state("ready")
    seen = explorer.part("summary").text_content()
    count = explorer.bar_count
    explorer.page.reload()
    explorer.expect_ticker("VCB")
    expect(explorer.part("summary")).to_have_text(seen or "")

    window = re.search(r"bars of 1D, (.* to .*?):", seen or "")
    assert window is not None
    explorer.part("worst").get_by_role("link", name="HPG").click()
    explorer.expect_ticker("HPG")
    expect(explorer.part("summary")).to_contain_text(window[1])
    assert explorer.bar_count == count
    explorer.choose("Interval", "1W")
    explorer.expect_ticker("HPG", "1W")
    assert explorer.bar_count == pytest.approx(count / 5, abs=3)
    explorer.page.go_back()
    explorer.page.go_back()
    explorer.expect_ticker("VCB")
    expect(explorer.part("summary")).to_have_text(seen or "")


@pytest.mark.parametrize(
    ("interval", "window", "first", "last"),
    [
        pytest.param(
            "5m", {"from_": "2026-02-25T03:00", "to": "2026-02-26T07:00"}, "2026-02-25T03:00:00", "2026-02-26T07:00:00",
            id="minutes are those of UTC",
        ),
        pytest.param("1W", {"from_": "2024-01-01", "to": "2024-06-30"}, "2024-01-01", "2024-06-24", id="whole weeks"),
        pytest.param("1M", {"to": "2024-06-10"}, "2021-03-01", "2024-06-01", id="whole months, to an end"),
        pytest.param("1D", {"from_": "2026-02-02"}, "2026-02-02", "2026-03-02", id="from a day to the newest"),
    ],
)  # fmt: skip
def test_a_window_in_the_address_is_what_is_seen(
    explorer: Explorer, interval: str, window: dict[str, str], first: str, last: str
) -> None:
    explorer.open(symbol="VCB", interval=interval, **window)
    bars = [bar for bar in explorer.bars("VCB", interval) if first <= bar["time"] <= last]
    assert explorer.bar_count == len(bars)
    explorer.chart.press("Home")
    expect(explorer.readout).to_contain_text([text_of(bars[0])])
    for _ in range(len(bars) - 1 if len(bars) < 30 else 0):
        explorer.chart.press("ArrowRight")
    if len(bars) < 30:
        whole = [f"C {bars[-1]['close']:,.0f}"]
        expect(explorer.readout.filter(has_text="C ")).to_contain_text(whole)


def text_of(bar: dict[str, str]) -> str:
    return str(readout_of({**bar, "close_changed": 0, "volume_changed": 0}, ())[0])


def test_the_right_edge_brings_later_bars(explorer: Explorer) -> None:
    with asked_for_bars(explorer) as asked:
        explorer.open(symbol="VCB", from_="2021-06-01", to="2021-11-30")
        explorer.settle()
        for _ in range(40):
            explorer.chart.press("Shift+ArrowRight")
    explorer.settle()
    assert len(asked) == len(set(asked)) >= 3, "the window, what is left of it, and at least one later piece"
    explorer.chart.press("End")
    bars = explorer.bars("VCB")
    expect(explorer.readout).to_have_text(readout_of(bars[-1]))
    assert explorer.held == len(bars), "without a hole or a bar twice"
    explorer.chart.press("0")
    explorer.expect_address(from_=None, to=None)
    expect(explorer.part("summary")).to_contain_text("2 Mar 2026")


@pytest.mark.parametrize("scale", ["log", "percent"])
def test_scales(explorer: Explorer, scale: str) -> None:
    explorer.open(symbol="VCB")
    spread = f"(chart => [90000, 91000, 100000, 101000].map(price => chart.yOf(price)))({CHART})"
    a, b, c, d = explorer.page.evaluate(spread)
    assert a - b == pytest.approx(c - d, abs=0.01)
    explorer.page.get_by_role("combobox", name="Price scale").select_option(scale)
    explorer.expect_address(scale=scale)
    if scale == "log":
        explorer.page.wait_for_function(f"(([a, b, c, d]) => a - b > 1.05 * (c - d))({spread})")
    explorer.page.reload()
    explorer.expect_ticker("VCB")
    expect(explorer.page.get_by_role("combobox", name="Price scale")).to_have_value(scale)


def test_the_price_axis_is_dragged_and_a_double_click_fits_it_again(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    box = explorer.chart.bounding_box()
    assert box is not None
    height = f"(chart => chart.yOf(80000) - chart.yOf(100000))({CHART})"
    before = explorer.page.evaluate(height)
    x, y = box["x"] + box["width"] - 20, box["y"] + 120
    explorer.page.mouse.move(x, y)
    explorer.page.mouse.down()
    explorer.page.mouse.move(x, y + 100, steps=10)
    explorer.page.mouse.up()
    explorer.page.wait_for_function(f"before => {height} < 0.8 * before", arg=before)
    explorer.page.mouse.dblclick(*explorer.place_of(100))
    explorer.page.wait_for_function(f"before => Math.abs({height} - before) < 1", arg=before)


def test_averages_far_away_do_not_squash_the_candles(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", from_="2026-01-26", to="2026-03-02")
    far = f"(chart => chart.yOf(60000))({CHART})"
    height = explorer.page.evaluate(f"(chart => chart.yOf(86000) - chart.yOf(94000))({CHART})")
    explorer.open(symbol="VCB", from_="2026-01-26", to="2026-03-02", ma="none")
    alone = explorer.page.evaluate(f"(chart => chart.yOf(86000) - chart.yOf(94000))({CHART})")
    assert height == pytest.approx(alone, abs=0.5)
    assert explorer.page.evaluate(far) > 200
