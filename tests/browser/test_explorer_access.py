"""/explorer for everyone: by keyboard, by ear, in either theme, on a phone, with a mouse."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.explorer_page import Explorer, dong, percent, readout_of, time_text

pytestmark = pytest.mark.long

NAMELESS = re.compile(
    r"^\s*- (?:button|checkbox|combobox|heading|link|listbox|option|radio|region|table|textbox)(?! \"[^\"]*\w).*$",
    re.MULTILINE,
)
GROUND = "getComputedStyle(document.body).backgroundColor"
DARK, LIGHT = "rgb(12, 16, 21)", "rgb(242, 244, 247)"


def test_every_control_and_landmark_has_a_name(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.page.keyboard.press("/")
    explorer.page.keyboard.press("ArrowDown")
    expect(explorer.options.first).to_be_visible()
    tree = explorer.page.locator("body").aria_snapshot()
    assert NAMELESS.findall(tree) == []
    for role in ("banner", "main", "navigation", "status"):
        expect(explorer.page.get_by_role(role)).to_have_count(1)
    for name in ("VCB", "Price chart", "Volume profile", "Performers", "Sector strength", "Request"):
        expect(explorer.page.get_by_role("region", name=name, exact=True)).to_have_count(1)
    expect(explorer.page.get_by_role("heading", level=1)).to_have_count(1)
    expect(explorer.page.locator("html")).to_have_attribute("lang", "en")


FOCUSED = """() => {
    const at = document.activeElement;
    if (at === document.body) return null;
    const shown = at.matches(".segments input") ? at.nextElementSibling : at;
    const { outlineStyle, outlineWidth } = getComputedStyle(shown);
    const { width, height } = shown.getBoundingClientRect();
    const name = at.id || at.getAttribute("aria-label") || at.name || at.textContent;
    return { name, visible: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 && width > 0 && height > 0 };
}"""


def test_tab_reaches_everything_and_the_focus_is_seen(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    reached: list[str] = []
    for _ in range(80):
        explorer.page.keyboard.press("Tab")
        focused = explorer.page.evaluate(FOCUSED)
        if focused is None:
            break
        assert focused["visible"], focused
        reached.append(focused["name"])
    wanted = [
        "Skip to the chart",
        "mode",
        "ticker",
        "API docs",
        "language",
        "theme",
        "star",
        "interval",
        "range",
        "from",
        "to",
    ]
    wanted += ["Earlier bars", "Show the range again", "kind", "MA10", "MA200", "bb", "pane", "scale", "compare"]
    wanted += ["chart", "scope", "sort", "sector", "day", "rows", "FPT"]
    wanted += ["period", "which", "curl", "copy", "Bars as a table", "Keyboard"]
    assert [name for name in wanted if name not in reached] == []
    in_order = [name for name in reached if name in wanted]
    assert sorted(set(in_order), key=in_order.index) == wanted


def test_the_skip_link_leads_to_the_chart(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.page.keyboard.press("Tab")
    explorer.page.keyboard.press("Enter")
    expect(explorer.chart).to_be_focused()
    explorer.expect_ticker("VCB")


def test_a_new_ticker_is_announced(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    expect(explorer.live).to_have_text(re.compile(r"^VCB, \d+ bars of 1D, .*: close .* high .* low "))
    expect(explorer.live).to_have_attribute("aria-live", "polite")
    explorer.choose("Interval", "1W")
    expect(explorer.live).to_have_text(re.compile(r"^VCB, \d+ bars of 1W"))
    assert explorer.live.text_content() == explorer.part("summary").text_content()


def spoken(bar: dict[str, float | str]) -> re.Pattern[str]:
    prices = ", ".join(f"{name} {dong(float(bar[name]))}" for name in ("open", "high", "low", "close"))
    said = f"{time_text(str(bar['time']))}: {prices}, {percent(float(bar['close_changed']))}, volume "
    return re.compile(f"^{re.escape(said)}")


def test_the_chart_is_walked_bar_by_bar_with_the_keys(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", range="1M")
    bars = explorer.bars("VCB")[-explorer.bar_count :]
    keys = ("ArrowLeft", "ArrowLeft", "ArrowRight", "Home", "ArrowRight", "ArrowLeft", "End")
    for key, index in zip(keys, (-1, -2, -1, 0, 1, 0, -1), strict=True):
        explorer.chart.press(key)
        expect(explorer.live).to_have_text(spoken(bars[index]))
        expect(explorer.readout).to_have_text(readout_of(bars[index]))
    explorer.page.keyboard.press("Tab")
    expect(explorer.readout).to_have_text(readout_of(bars[-1]))


def test_the_chart_zooms_and_pans(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    everything = explorer.view()
    width = everything[1] - everything[0] + 1  # bars from the left edge of the first to the right edge of the last

    def shows(bars: float, *, to_the_end: bool) -> None:
        low, high = explorer.view()
        assert high - low + 1 == pytest.approx(bars)
        assert (high > 0) == to_the_end

    explorer.chart.press("+")
    shows(width / 1.4, to_the_end=False)
    explorer.chart.press("Shift+ArrowRight")
    explorer.chart.press("Shift+ArrowRight")
    shows(width / 1.4, to_the_end=True)
    explorer.chart.press("-")
    shows(width, to_the_end=True)
    explorer.page.get_by_role("button", name="Zoom in").click()
    explorer.page.get_by_role("button", name="Earlier bars").click()
    shows(width / 1.4, to_the_end=False)
    explorer.page.get_by_role("button", name="Show the range again").click()
    explorer.expect_view(*everything)
    explorer.chart.press("+")
    explorer.chart.press("0")
    explorer.expect_view(*everything)


def test_the_chart_is_zoomed_and_dragged_with_the_mouse(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    everything = explorer.view()
    middle = explorer.bar_count // 2
    at = explorer.first + middle - explorer.held + 1
    explorer.point_at(middle)
    explorer.page.mouse.wheel(0, -200)
    zoomed = explorer.expect_other_view(everything)
    assert everything[0] < zoomed[0] < at < zoomed[1] < everything[1]
    x, y = explorer.place_of(explorer.bar_count // 2)
    explorer.page.mouse.move(x, y)
    explorer.page.mouse.down()
    explorer.page.mouse.move(x + 20 * explorer.bar_width, y, steps=50)
    explorer.page.mouse.up()
    explorer.expect_view(zoomed[0] - 20, zoomed[1] - 20, within=2)  # it takes eight pixels to be a drag
    low, high = explorer.view()
    assert high - low == pytest.approx(zoomed[1] - zoomed[0])
    explorer.page.mouse.dblclick(x, y)
    explorer.expect_view(*everything)


@pytest.mark.parametrize(("system", "other"), [("light", "dark"), ("dark", "light")])
def test_the_theme_is_the_systems_until_it_is_chosen(first_visit: Explorer, system: str, other: str) -> None:
    grounds = {"light": LIGHT, "dark": DARK}
    body, button = first_visit.page.locator("body"), first_visit.part("theme")
    first_visit.page.emulate_media(color_scheme="dark" if system == "dark" else "light")
    first_visit.open(symbol="VCB")
    expect(body).to_have_css("background-color", grounds[system])
    expect(button).to_have_attribute("aria-label", f"Switch to the {other} theme")
    corner = """() => {
        const canvas = document.getElementById("chart").chart.picture();
        return [...canvas.getContext("2d").getImageData(2, 2, 1, 1).data].slice(0, 3).join(", ");
    }"""
    panels = {"light": "255, 255, 255", "dark": "19, 25, 32"}
    assert first_visit.page.evaluate(corner) == panels[system]
    button.click()
    expect(body).to_have_css("background-color", grounds[other])
    assert first_visit.page.evaluate(corner) == panels[other]
    first_visit.page.reload()
    first_visit.expect_state("ready")
    expect(body).to_have_css("background-color", grounds[other])
    button.click()  # what the system says: nothing is remembered, and it is followed again
    first_visit.page.emulate_media(color_scheme="dark" if other == "dark" else "light")
    expect(body).to_have_css("background-color", grounds[other])
    expect(button).to_have_attribute("aria-label", f"Switch to the {system} theme")


UNREACHABLE = """() => {
    const shown = (control) => !control.closest("dialog:not([open])");
    const controls = [...document.querySelectorAll("button, select, input, summary, #curl, nav a")].filter(shown);
    return controls.filter((control) => {
        control.scrollIntoView({ block: "center", inline: "nearest" });
        const { left, right, top, height } = control.getBoundingClientRect();
        const hit = document.elementFromPoint((left + right) / 2, top + height / 2);
        const isHit = control.contains(hit) || control.closest("label")?.contains(hit);
        return left < 0 || right > innerWidth || height < 14 || !isHit;
    }).map((control) => control.outerHTML);
}"""


@pytest.mark.parametrize(("width", "mode"), [(360, "vn"), (390, "crypto")])
def test_a_phone_need_not_scroll_sideways(phone: Explorer, width: int, mode: str) -> None:
    phone.page.set_viewport_size({"width": width, "height": 780})
    phone.open(mode=mode)
    phone.part("bars-table").locator("summary").click()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= width
    assert phone.page.evaluate(UNREACHABLE) == []
    phone.search.tap()
    expect(phone.options.first).to_be_visible()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("height", [667, 844])
def test_the_chart_fills_the_first_screen_of_a_phone(phone: Explorer, height: int) -> None:
    phone.page.set_viewport_size({"width": 390, "height": height})
    phone.open(symbol="VCB")
    plot, interval = (phone.page.locator(each).bounding_box() for each in ("#chart-panel", "#interval"))
    assert plot is not None
    assert interval is not None
    assert plot["height"] >= 0.5 * height
    assert interval["y"] >= plot["y"] + plot["height"], "below the chart, where the thumb is"
    assert interval["y"] + 34 <= height, "and on the first screen"
    assert phone.bar_width >= 4


def test_two_fingers_zoom_and_one_pans(phone: Explorer) -> None:
    phone.open(symbol="VCB")
    client = phone.page.context.new_cdp_session(phone.page)
    x, y = phone.place_of(phone.bar_count // 2)

    def touch(*steps: list[tuple[float, float]]) -> None:
        for kind, points in zip(["touchStart", *["touchMove"] * (len(steps) - 1)], steps, strict=True):
            fingers = [{"x": at_x, "y": at_y, "id": at} for at, (at_x, at_y) in enumerate(points)]
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    before = phone.view()
    touch(*[[(x - 20 - apart, y), (x + 20 + apart, y)] for apart in range(0, 90, 6)])
    # The view goes along with the fingers: what counts is where it has come to rest.
    phone.expect_other_view(before)
    phone.settle()
    zoomed = phone.view()
    assert zoomed[1] - zoomed[0] < 0.7 * (before[1] - before[0])
    width = phone.bar_width
    touch(*[[(x + along, y)] for along in range(0, 120, 6)])
    phone.expect_other_view(zoomed)
    phone.settle()
    panned = phone.view()
    assert panned[0] < zoomed[0]
    assert phone.bar_width == pytest.approx(width)


def test_a_phone_is_used_by_finger(phone: Explorer) -> None:
    phone.open(symbol="VCB", range="1M")
    bars = phone.bars("VCB")[-phone.bar_count :]
    phone.page.touchscreen.tap(*phone.place_of(0))
    expect(phone.readout).to_have_text(readout_of(bars[0]))
    phone.search.tap()
    phone.search.fill("fpt corp")
    phone.options.first.tap()
    phone.expect_ticker("FPT")
    phone.part("worst").get_by_role("link", name="HPG").tap()
    phone.expect_ticker("HPG")
