"""/explorer as it opens: everything is there, its numbers are the API's, and it costs what it may."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Request, expect

from stockapi.calc.price_bands import price_band
from stockapi.markets import VN
from tests.browser.explorer_page import (
    Explorer,
    cents,
    change,
    compact,
    dong,
    percent,
    readout_of,
    rounded,
    signed,
    time_text,
)

MOST_REQUESTS = 60
MOST_BYTES = 150_000


def test_it_opens_with_the_index_and_everything_is_there(explorer: Explorer) -> None:
    explorer.open()
    explorer.expect_ticker("VNINDEX")
    explorer.expect_address(mode="vn", symbol="VNINDEX", interval=None)
    expect(explorer.page.get_by_text("VN-Index")).to_be_visible()
    explorer.expect_layers("ma10", "ma20", "ma50", "ma100", "ma200")
    assert explorer.page.evaluate("document.getElementById('chart').chart.profile.bins.length") > 0
    expect(explorer.part("top").locator("tbody tr")).to_have_count(0)  # all four fell on that day
    expect(explorer.part("worst").locator("tbody tr")).to_have_count(4)
    expect(explorer.part("sectors").get_by_role("listitem")).to_have_count(4)
    expect(explorer.part("as-of")).to_have_text("As of 2 Mar 2026, nothing newer since")
    expect(explorer.part("updated")).to_be_empty()


def test_a_first_visit_is_cheap_and_a_second_one_free(first_visit: Explorer) -> None:
    done: list[Request] = []
    first_visit.page.on("requestfinished", lambda request: done.append(request))
    first_visit.open()
    requests = [request for request in done if not request.url.startswith("data:")]
    assert len(requests) <= MOST_REQUESTS
    files = [request for request in requests if request.resource_type in {"document", "script", "stylesheet"}]
    assert MOST_BYTES / 2 < transferred(files) <= MOST_BYTES
    assert all(request.response().ok for request in requests if request.response())

    done.clear()
    first_visit.page.reload()
    first_visit.expect_state("ready")
    files = [request for request in done if request.resource_type in {"script", "stylesheet"}]
    assert files
    assert transferred(files) == 0


def transferred(requests: list[Request]) -> int:
    """Bytes of the answers as they came, compressed, with their headers.

    Of what the browser had kept it gives the size of the headers, and of the body the same below zero.
    """
    sizes = [request.sizes() for request in requests]
    return sum(each["responseHeadersSize"] + each["responseBodySize"] for each in sizes)


def test_a_bar_of_each_end_and_the_middle_is_read_out_under_the_pointer(explorer: Explorer) -> None:
    explorer.open(symbol="VCB")
    bars = explorer.bars("VCB")[-explorer.bar_count :]
    expect(explorer.readout).to_have_text(readout_of(bars[-1]))
    for index in (0, len(bars) // 2, len(bars) - 2):
        explorer.point_at(index)
        expect(explorer.readout).to_have_text(readout_of(bars[index]))
    explorer.page.mouse.move(0, 0)
    expect(explorer.readout).to_have_text(readout_of(bars[-1]))


@pytest.mark.parametrize(
    ("mode", "symbol", "interval", "price"),
    [
        ("vn", "VCB", "15m", dong),
        ("vn", "VNINDEX", "1W", cents),
        ("crypto", "BTC", "1H", cents),
    ],
)
def test_times_within_the_day_are_those_of_the_market(
    explorer: Explorer, mode: str, symbol: str, interval: str, price: Callable[[float], str]
) -> None:
    explorer.open(mode=mode, symbol=symbol, interval=interval)
    bars = explorer.bars(symbol, interval, mode)[-explorer.bar_count :]
    index = len(bars) // 3
    explorer.point_at(index)
    expect(explorer.readout.first).to_have_text(time_text(bars[index]["time"], mode))
    expect(explorer.readout.nth(1)).to_have_text(f"O {price(bars[index]['open'])}")


def test_the_quote_is_the_last_day(explorer: Explorer) -> None:
    explorer.open(symbol="HPG", interval="15m")
    before, last = explorer.bars("HPG", limit=2)
    expect(explorer.page.locator("#last-price")).to_have_text(f"{dong(last['close'])} \u20ab")
    arrow, difference = change(last["close_changed"])[0], signed(last["close"] - before["close"], dong)
    last_change = f"{arrow} {difference} ({percent(last['close_changed'])})"
    expect(explorer.page.locator("#last-change")).to_have_text(last_change)
    band = price_band(before["close"], VN.exchanges["HOSE"])
    facts = {
        "Day": time_text(last["time"]),
        "Open": dong(last["open"]),
        "High": dong(last["high"]),
        "Low": dong(last["low"]),
        **{name.title(): dong(limit) for name, limit in band._asdict().items()},
        "Volume": compact(last["volume"]),
        "MA20": percent(last["ma20_score"]),
        "Source": "SQLite",
    }
    expect(explorer.part("quote").locator("dl > div")).to_have_text([f"{name}{text}" for name, text in facts.items()])


LAST_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "close_changed": lambda row: change(row["ma20_score"]),
    "volume": lambda row: change(row["ma20_score"]),
    "ma50_score": lambda row: change(row["ma50_score"]),
    "total_money_changed": lambda row: signed(row["total_money_changed"], compact),
}


def test_performers_are_those_of_the_api(explorer: Explorer) -> None:
    explorer.open()
    for sort, last_column in LAST_COLUMNS.items():
        explorer.page.get_by_role("combobox", name="Sort").select_option(sort)
        answer = explorer.api("/analysis/top-performers", mode="vn", sort_by=sort, limit=8)["data"]
        for table, rows in (("top", answer["performers"]), ("worst", answer["worst_performers"])):
            # A ticker that has fallen is no gainer.
            if sort == "close_changed":
                rows = [row for row in rows if (row[sort] > 0) == (table == "top")]
            shown = [
                [
                    row["symbol"],
                    dong(row["close"]),
                    change(row["close_changed"]),
                    compact(row["volume"]),
                    percent(row["volume_changed"], 0),
                    last_column(row),
                ]
                for row in rows
            ]
            cells = explorer.part(table).locator("tbody").locator("th, td")
            expect(cells).to_have_text([text for row in shown for text in row])
        explorer.expect_address(sort=None if sort == "close_changed" else sort)


def test_sectors_are_those_of_the_api(explorer: Explorer) -> None:
    explorer.open(period="50")
    answer = explorer.api("/analysis/ma-scores-by-sector", mode="vn", ma_period=50)["data"]["sectors"]
    names = {"NGAN_HANG": "Banks", "CONG_NGHE": "Technology", "THEP": "Steel", "CHUNG_KHOAN": "Securities"}
    expect(explorer.part("sectors").get_by_role("listitem")).to_have_text(
        [
            f"{names[each['sector_name']]}{change(each['average_score'])}"
            f"{each['stocks_above_threshold']}/{each['total_stocks']}"
            for each in answer
        ]
    )


def test_the_profile_is_that_of_the_last_day(explorer: Explorer) -> None:
    explorer.open(symbol="FPT")
    [last] = explorer.bars("FPT", limit=1)
    found = explorer.api("/analysis/volume-profile", symbol="FPT", date=last["time"])["data"]
    poc, area = found["poc"], found["value_area"]
    expect(explorer.page.locator("#profile-facts dd")).to_have_text(
        [
            time_text(last["time"]),
            f"{dong(poc['price'])} \u20ab ({rounded(poc['percentage'], 1)}%)",
            f"{dong(area['low'])} \u2013 {dong(area['high'])} ({rounded(area['percentage'], 1)}%)",
            f"{compact(found['total_volume'])} in {found['total_minutes']} minutes",
        ]
    )
    assert explorer.page.evaluate("document.getElementById('chart').chart.profile.bins") == found["profile"]


def test_the_table_has_the_bars_of_the_chart_newest_first(explorer: Explorer) -> None:
    explorer.open(symbol="SSI", range="1M", ma="20")
    bars = explorer.bars("SSI")[-explorer.bar_count :]
    explorer.part("bars-table").locator("summary").click()
    rows = explorer.part("bars-table").locator("tbody tr")
    expect(rows).to_have_count(len(bars))
    newest = bars[-1]
    expect(rows.first.locator("th, td")).to_have_text(
        [
            time_text(newest["time"]),
            *[dong(newest[name]) for name in ("open", "high", "low", "close")],
            percent(newest["close_changed"]),
            f"{newest['volume']:,}",
            dong(newest["ma20"]),
        ]
    )
    summary = re.compile(rf"^SSI, {len(bars)} bars of 1D, .*{time_text(newest['time'])}")
    expect(explorer.part("summary")).to_have_text(summary)
