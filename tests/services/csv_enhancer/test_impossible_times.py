"""Bars before 1970 or more than a day ahead: no door lets them in, and a file edited by hand is one."""

from datetime import UTC, datetime, timedelta

import pytest

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import reconcile_series
from stockapi.services.upkeep.doctor import Kind, examine_series, fix
from tests.support.stores import NOW, Stores, make_bars

KEY = SeriesKey(Mode.VN, "VCB", Interval.DAILY)
BARS = make_bars(30)
IMPOSSIBLE = ["1969-12-31", "0001-01-01", "2062-11-27", "9999-12-31", f"{NOW + timedelta(days=2):%Y-%m-%d}"]
ROW = "VCB,{date},1.00,1.00,1.00,1.00,1,,,,,,,,,,,,,"


def edit(stores: Stores, date: str) -> None:
    with stores.csv_store.path(KEY).open("a") as file:
        file.write(ROW.format(date=date) + "\n")


@pytest.mark.parametrize("date", IMPOSSIBLE)
def test_a_row_written_by_hand_goes_to_the_quarantine(stores: Stores, date: str) -> None:
    stores.save("VCB", BARS)
    edit(stores, date)
    assert reconcile_series(stores, KEY, NOW).quarantined >= 1
    assert stores.in_csv("VCB").equals(BARS)
    assert stores.in_sqlite("VCB").equals(BARS)
    kept = [
        line for each in stores.settings.market_data_dir.rglob("*quarantine*") for line in each.read_text().splitlines()
    ]
    assert any(date in line for line in kept)


@pytest.mark.parametrize("year", [1969, 2062])
def test_one_that_both_stores_have_is_found_and_set_aside(stores: Stores, year: int) -> None:
    """As an earlier version has stored it."""
    time = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    odd = BARS.tail(1)
    both = BARS.merge(Bars.of(odd.time * 0 + time, odd.prices, odd.volume))
    stores.save("VCB", enhance(both, Mode.VN, is_index=False))
    findings = examine_series(stores, KEY, NOW)
    assert Kind.UNTIMELY in {each.kind for each in findings}
    _, left = fix(stores, findings, NOW)
    assert Kind.UNTIMELY not in {each.kind for each in left}
    assert stores.in_csv("VCB").equals(BARS)
    assert stores.in_sqlite("VCB").equals(BARS)


def test_without_any_other_bar_nothing_is_taken_away(stores: Stores) -> None:
    far = make_bars(1)
    far = Bars.of(far.time + 12_000 * 86_400, far.prices, far.volume)
    stores.save("VCB", enhance(far, Mode.VN, is_index=False))
    edit(stores, "2063-01-01")
    reconcile_series(stores, KEY, NOW)
    assert len(stores.in_csv("VCB")) == 2


@pytest.mark.parametrize("form", ["json", "csv", "ndjson"])
@pytest.mark.parametrize("options", ["", "&ma=false", "&interval=1W", "&columns=time"])
def test_a_query_without_an_end_ends_now(stores: Stores, form: str, options: str) -> None:
    stores.save("VCB", BARS)
    now = datetime.fromtimestamp(int(BARS.time[19]), UTC)
    client = create_app(stores.settings, clock=lambda: now).test_client()
    url = f"/tickers?symbol=VCB&limit=1{options}&format={form}"
    last = f"{now:%Y-%m-%d}" if "1W" not in options else f"{now - timedelta(days=now.weekday()):%Y-%m-%d}"
    assert last in client.get(url).text
