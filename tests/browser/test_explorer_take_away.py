"""What one takes along from /explorer: CSV, a picture, and numbers that are written as short as they are."""

import csv

import pytest
from playwright.sync_api import Page, expect

from tests.browser.explorer_page import Explorer

pytestmark = pytest.mark.long


def saved(page: Page, button: str) -> tuple[str, bytes]:
    """Name and content of the file."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button, exact=True).click()
    return waiting.value.suggested_filename, waiting.value.path().read_bytes()


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ({"ma": "20,50"}, ["ma20", "ma50", "close_changed", "volume_changed"]),
        ({"ma": "none", "bb": "1"}, ["close_changed", "volume_changed", "bb20_middle", "bb20_upper", "bb20_lower"]),
        ({"ma": "10", "avg": "ema"}, ["ema10", "close_changed", "volume_changed"]),
    ],
)
def test_csv_has_the_bars_in_view_with_what_is_shown(
    explorer: Explorer, query: dict[str, str], more: list[str]
) -> None:
    explorer.open(symbol="VCB", from_="2026-02-02", to="2026-02-26", **query)
    name, content = saved(explorer.page, "CSV")
    assert name == "VCB_1D_2026-02-02_2026-02-26.csv"
    rows = list(csv.DictReader(content.decode().splitlines()))
    prices = ["open", "high", "low", "close", "volume"]
    assert sorted(rows[0]) == sorted(["symbol", "time", *prices, *more])
    wanted = [bar for bar in explorer.bars("VCB") if "2026-02-02" <= bar["time"] <= "2026-02-26"]
    assert [row["time"] for row in rows] == [bar["time"] for bar in wanted]
    assert [[float(row[key]) for key in prices] for row in rows] == [[bar[key] for key in prices] for bar in wanted]
    expect(explorer.live).to_have_text(f"Saved as {name}")


def test_png_is_the_chart(explorer: Explorer) -> None:
    explorer.open(symbol="VCB", range="1M")
    name, content = saved(explorer.page, "PNG")
    assert name.startswith("VCB_1D_2026-02-0")
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") >= 1_000, "pixels across"


def test_a_coin_of_many_zeros_changes_by_no_more_digits_than_it_has(explorer: Explorer) -> None:
    explorer.open(mode="crypto", symbol="SHIB")
    price = explorer.page.locator("#last-price").text_content() or ""
    change = (explorer.page.locator("#last-change").text_content() or "").split()[1]
    assert len(change.rpartition(".")[2]) <= len(price.rpartition(".")[2])
    assert not change.endswith("0")
