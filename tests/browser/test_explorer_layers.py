"""What can be laid over the prices of /explorer, and below them; its numbers against others computed here."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import expect

from tests.browser.explorer_page import CHART, Explorer, dong, percent, readout_of, rounded

pytestmark = pytest.mark.long

Column = NDArray[np.float64]

RUN = """async ([name, closes]) => {
    const link = document.querySelector("link[href$='/indicators.js']").href;
    return (await import(link)).INDICATORS[name](closes);
}"""


def bands(closes: Column) -> dict[str, Column]:
    windows = np.lib.stride_tricks.sliding_window_view(closes, 20)
    mean, spread = windows.mean(axis=1), 2 * windows.std(axis=1)
    late = np.full(19, np.nan)
    sides = {"upper": mean + spread, "middle": mean, "lower": mean - spread}
    return {f"bb20_{side}": np.concatenate([late, column]) for side, column in sides.items()}


def wilder(values: Column, period: int) -> Column:
    """Smoothed from the second value on; the first `period` of those are averaged."""
    found = np.full(len(values), np.nan)
    found[period] = values[1 : period + 1].mean()
    for at in range(period + 1, len(values)):
        found[at] = (found[at - 1] * (period - 1) + values[at]) / period
    return found


def rsi(closes: Column) -> dict[str, Column]:
    change = np.diff(closes, prepend=closes[0])
    gain, loss = wilder(np.maximum(change, 0), 14), wilder(np.maximum(-change, 0), 14)
    return {"rsi14": 100 * gain / (gain + loss)}


def ema(values: Column, period: int) -> Column:
    found = np.full(len(values), np.nan)
    start = int(np.flatnonzero(~np.isnan(values))[0]) + period - 1
    found[start] = values[start + 1 - period : start + 1].mean()
    for at in range(start + 1, len(values)):
        found[at] = found[at - 1] + 2 / (period + 1) * (values[at] - found[at - 1])
    return found


def macd(closes: Column) -> dict[str, Column]:
    line = ema(closes, 12) - ema(closes, 26)
    signal = ema(line, 9)
    return {"macd": line, "macd_signal": signal, "macd_hist": line - signal}


@pytest.mark.parametrize("indicator", [bands, rsi, macd], ids=["bb", "rsi", "macd"])
def test_indicators_are_what_their_formulas_say(
    explorer: Explorer, indicator: Any, request: pytest.FixtureRequest
) -> None:
    explorer.open(symbol="VCB")
    closes = np.array([bar["close"] for bar in explorer.bars("VCB")])
    name = request.node.callspec.id
    found = explorer.page.evaluate(RUN, [name, closes.tolist()])
    wanted = indicator(closes)
    assert list(found) == list(wanted)
    for key, column in wanted.items():
        np.testing.assert_allclose(np.array(found[key], dtype=float), column, rtol=1e-9, atol=1e-9, err_msg=key)


@pytest.mark.parametrize(
    ("name", "closes", "wanted"),
    [
        ("rsi", [100.0] * 20, [None] * 14 + [50] * 6),
        ("rsi", [float(at) for at in range(1, 21)], [None] * 14 + [100] * 6),
        ("rsi", [1.0, 2.0], [None, None]),
        ("rsi", [], []),
    ],
)
def test_indicators_of_flat_and_short_columns(
    explorer: Explorer, name: str, closes: list[float], wanted: list[float | None]
) -> None:
    explorer.open(symbol="VCB")
    assert explorer.page.evaluate(RUN, [name, closes]) == {"rsi14": wanted}
    for other in ("bb", "macd"):
        columns = explorer.page.evaluate(RUN, [other, closes[:5]]).values()
        assert [set(column) <= {None} and len(column) == len(closes[:5]) for column in columns] == [True] * 3


def test_exponential_averages_are_those_of_the_api(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    explorer.page.get_by_role("combobox", name="Simple or exponential").select_option("ema")
    explorer.expect_state("ready")
    [bar] = explorer.api("/tickers", symbol="VCB", limit=1, ema="true")["VCB"]
    expect(explorer.readout).to_have_text([text.replace("MA", "EMA") for text in readout_of(bar)])
    explorer.expect_address(avg="ema")
    assert "ema=true" in explorer.request("Bars")


def test_a_band_and_a_pane_are_drawn_read_out_and_remembered(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", ma="none")
    closes = np.array([bar["close"] for bar in explorer.bars("VCB")])
    explorer.page.get_by_role("checkbox", name="Bollinger").check()
    explorer.expect_layers("bb20_upper", "bb20_middle", "bb20_lower")
    sides = " / ".join(dong(round(float(column[-1]), 6)) for column in bands(closes).values())
    expect(explorer.readout.last).to_have_text(f"BB20 {sides}")
    explorer.page.get_by_role("combobox", name="Pane").select_option("rsi")
    explorer.expect_layers("bb20_upper", "bb20_middle", "bb20_lower", "rsi14")
    expect(explorer.readout.last).to_have_text(f"RSI14 {rounded(float(rsi(closes)['rsi14'][-1]), 1)}")
    explorer.page.get_by_role("checkbox", name="Bollinger").uncheck()
    explorer.page.get_by_role("combobox", name="Pane").select_option("macd")
    explorer.expect_layers("macd_hist", "macd", "macd_signal")
    values = " / ".join(dong(round(float(column[-1]), 6)) for column in macd(closes).values())
    expect(explorer.readout.last).to_have_text(f"MACD {values}")
    explorer.expect_address(pane="macd", bb=None)
    explorer.page.reload()
    explorer.expect_state("ready")
    explorer.expect_layers("macd_hist", "macd", "macd_signal")


def test_an_indicator_does_not_depend_on_the_window(explorer: Explorer) -> None:
    closes = np.array([bar["close"] for bar in explorer.bars("VCB")])
    explorer.open(symbol="VCB", pane="rsi", ma="none", from_="2026-02-23")
    expect(explorer.readout.last).to_have_text(f"RSI14 {rounded(float(rsi(closes)['rsi14'][-1]), 1)}")


def test_tickers_are_compared_in_percent(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", ma="none", from_="2026-01-05")
    box = explorer.page.get_by_role("combobox", name="Compare", exact=True)
    for symbol in ("hpg", "VNINDEX"):
        box.fill(symbol)
        box.press("Enter")
    explorer.expect_layers("vs HPG", "vs VNINDEX")
    explorer.expect_address(compare="HPG,VNINDEX")
    expect(explorer.page.get_by_role("combobox", name="Price scale")).to_have_value("percent")
    wanted = []
    for symbol in ("VCB", "HPG", "VNINDEX"):
        bars = [bar for bar in explorer.bars(symbol) if bar["time"] >= "2026-01-05"]
        wanted.append(f"{symbol} {percent((bars[-1]['close'] / bars[0]['close'] - 1) * 100)}")
    shown = explorer.part("readout").locator(".break").last.locator("~ span")
    expect(shown).to_have_text(wanted)
    explorer.page.reload()
    explorer.expect_layers("vs HPG", "vs VNINDEX")
    explorer.page.get_by_role("button", name="Compare no more with HPG").click()
    explorer.expect_layers("vs VNINDEX")
    explorer.page.get_by_role("button", name="Compare no more with VNINDEX").click()
    explorer.expect_layers()
    expect(explorer.page.get_by_role("combobox", name="Price scale")).to_have_value("linear")


def test_four_are_compared_at_most_and_each_once(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", ma="none", compare="HPG,HPG,VCB,SSI,FPT,VNINDEX,VN30")
    explorer.expect_layers("vs HPG", "vs SSI", "vs FPT", "vs VNINDEX")
    expect(explorer.page.get_by_role("combobox", name="Compare", exact=True)).to_be_disabled()


def test_the_profile_lies_on_the_scale_of_the_prices(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", interval="1m", range="1d")
    [last] = explorer.bars("VCB", limit=1)
    found = explorer.api("/analysis/volume-profile", symbol="VCB", date=last["time"])["data"]
    line = f"{CHART}.profile.levels.map(level => level.price)"
    assert explorer.page.evaluate(line) == [
        found["value_area"]["high"],
        found["poc"]["price"],
        found["value_area"]["low"],
    ]
    pixel = """([price, share]) => {
        const chart = document.getElementById("chart").chart, ratio = devicePixelRatio;
        const canvas = chart.picture(), x = chart.width * (1 - share) * ratio, y = chart.yOf(price) * ratio + 2;
        return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
    }"""
    bins = sorted(found["profile"], key=lambda each: -each["volume"])
    drawn, ground = (explorer.page.evaluate(pixel, [bins[0]["price"], share]) for share in (0.02, 0.6))
    assert drawn != ground


def test_a_profile_of_the_view_follows_the_view(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", interval="5m", profile="view", range="1d")
    facts = explorer.page.locator("#profile-facts dd")
    expect(facts.first).to_have_text("2 Mar 2026")
    explorer.choose("Range", "5d")
    expect(facts.first).to_have_text("24 Feb 2026 \u2013 2 Mar 2026")
    found = explorer.api("/analysis/volume-profile", symbol="VCB", start_date="2026-02-24", end_date="2026-03-02")[
        "data"
    ]
    expect(facts.nth(1)).to_contain_text(dong(found["poc"]["price"]))
    explorer.page.get_by_role("radio", name="Off").check()
    expect(facts).to_have_count(0)
    assert explorer.page.evaluate(f"{CHART}.profile.bins.length") == 0
