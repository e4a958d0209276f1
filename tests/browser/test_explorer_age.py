"""How old what /explorer shows is, that new bars come by themselves, and that all recovers after an outage."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from stockapi.config import Settings
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.registry import provider_for
from stockapi.services.ingest.sync import sync_ticker
from stockapi.services.stores import Stores
from tests.browser.conftest import DESKTOP, NOW
from tests.browser.explorer_page import Explorer
from tests.browser.watched import Watched
from tests.support.server import running_server
from tests.support.stores import environment

AGE = """([start, interval, mode, now]) => {
    const link = document.querySelector("link[href$='/age.js']").href;
    return import(link).then(({ ageOf }) => ageOf(Date.parse(start), interval, mode, Date.parse(now)));
}"""
FORMING, COMPLETE, LATE = "forming", "complete", "late"
CASES = [
    ("vn", "1D", "2026-02-27T00:00Z", "2026-02-27T14:59Z", FORMING),
    ("vn", "1D", "2026-02-27T00:00Z", "2026-02-27T15:00Z", COMPLETE),
    ("vn", "1D", "2026-02-27T00:00Z", "2026-03-01T23:00Z", COMPLETE),  # a weekend
    ("vn", "1D", "2026-02-27T00:00Z", "2026-03-02T15:00Z", COMPLETE),
    ("vn", "1D", "2026-02-27T00:00Z", "2026-03-03T09:01Z", LATE),
    ("vn", "1D", "2026-02-13T00:00Z", "2026-02-20T15:00Z", COMPLETE),  # Tet
    ("vn", "1W", "2026-02-23T00:00Z", "2026-02-27T14:00Z", FORMING),
    ("vn", "1W", "2026-02-23T00:00Z", "2026-02-27T16:00Z", COMPLETE),
    ("vn", "1M", "2026-02-01T00:00Z", "2026-02-28T14:00Z", FORMING),
    ("vn", "5m", "2026-02-27T10:00Z", "2026-02-27T10:04Z", FORMING),
    ("vn", "5m", "2026-02-27T10:00Z", "2026-02-27T10:06Z", COMPLETE),
    ("vn", "5m", "2026-02-27T10:00Z", "2026-02-27T10:41Z", LATE),
    ("vn", "1H", "2026-02-27T14:00Z", "2026-03-02T09:30Z", COMPLETE),
    ("crypto", "1D", "2026-02-27T00:00Z", "2026-02-27T23:59Z", FORMING),
    ("crypto", "1m", "2026-02-27T23:59Z", "2026-02-28T00:01Z", COMPLETE),
    ("crypto", "1m", "2026-02-27T23:59Z", "2026-02-28T01:00Z", LATE),
]


def test_a_bar_forms_until_its_end_and_is_late_when_the_market_went_on(first_visit: Explorer) -> None:
    first_visit.page.clock.install(time=NOW)
    first_visit.open(symbol="VCB")
    expect(first_visit.part("as-of")).to_have_text("As of 2 Mar 2026, complete")
    for mode, interval, start, now, said in CASES:
        age = first_visit.page.evaluate(AGE, [start, interval, mode, now])
        wanted = {"isForming": said == FORMING, "isLate": said == LATE}
        assert age == wanted, (mode, interval, start, now)


@pytest.mark.long
def test_new_bars_come_by_themselves_and_all_recovers_after_an_outage(tmp_path: Path, browser: Browser) -> None:
    flags = {"DATA_PROVIDER": "simulated", "WEB_CONCURRENCY": "1"}
    settings = Settings.from_mapping(environment(tmp_path))
    provider = provider_for(Mode.VN, settings)

    def store(now: datetime) -> None:
        stores = Stores.of(settings)
        for interval in (Interval.DAILY, Interval.MINUTE):
            sync_ticker(stores, provider, SeriesKey(provider.mode, "VCB", interval), now)
        stores.close()

    store(NOW - timedelta(days=3))
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context:
        with running_server(tmp_path, flags) as server:
            explorer = Explorer(Watched(context.new_page(), server.url), server)
            explorer.open(symbol="VCB")
            expect(explorer.part("as-of")).to_contain_text("As of 27 Feb 2026")
            store(NOW)
            stored = datetime.now(UTC)
            expect(explorer.part("as-of")).to_contain_text("As of 2 Mar 2026")
            expect(explorer.readout.first).to_have_text("2 Mar 2026")
            assert datetime.now(UTC) - stored < timedelta(seconds=8)
        port = server.port
        expect(explorer.part("updated")).to_contain_text("Not refreshed")
        expect(explorer.page.locator("#chart-panel")).to_have_class("plot stale")
        explorer.page.get_by_role("combobox", name="Sort").select_option("volume")
        explorer.expect_state("error", "performers-panel")
        with running_server(tmp_path, flags, port=port):
            expect(explorer.part("updated")).to_be_empty(timeout=45_000)
            explorer.expect_state("ready", "performers-panel", "quote", "chart-panel", "profile-panel", "heat-panel")
