"""Under the path prefix of a proxy, in a browser: everything works, and nothing is asked for outside of the prefix."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESKTOP
from tests.browser.explorer_page import Explorer
from tests.browser.watched import Watched
from tests.support.prefix_proxy import Proxied, served_under
from tests.support.server import running_server

PREFIX = "/tools/markets"
TRUSTED = ({"TRUST_FORWARDED_PREFIX": "true"}, True, {"X-Forwarded-Prefix": PREFIX})
LEFT = ({"SCRIPT_NAME": PREFIX}, False, {})
TAKEN_OFF = ({"SCRIPT_NAME": PREFIX}, True, {})


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(TRUSTED, id="the proxy takes it off and says so"),
        pytest.param(LEFT, id="SCRIPT_NAME, and the proxy leaves it", marks=pytest.mark.long),
        pytest.param(TAKEN_OFF, id="SCRIPT_NAME, and the proxy takes it off", marks=pytest.mark.long),
    ],
)
def proxied(request: pytest.FixtureRequest, market: Path) -> Iterator[Proxied]:
    variables, strips, headers = request.param
    variables = {"DATA_PROVIDER": "simulated", "WEB_CONCURRENCY": "1", **variables}
    with (
        running_server(market, variables) as server,
        served_under(server, PREFIX, strips=strips, headers=headers) as proxied,
    ):
        yield proxied


def test_the_pages_work(browser: Browser, proxied: Proxied) -> None:
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context:
        watched = Watched(context.new_page(), proxied.url)
        explorer, page = Explorer(watched, proxied), watched.page
        with watched.listening():
            page.goto(f"{proxied.url}/")  # leads on
            explorer.expect_state("ready")
            assert page.url.startswith(f"{proxied.url}/explorer")

            explorer.open(symbol="FPT", interval="1H")
            explorer.expect_ticker("FPT", "1H")
            assert f"{proxied.url}/tickers?" in page.get_by_test_id("curl").inner_text()
            assert explorer.api("/tickers", symbol="FPT", limit=1)["FPT"]

            page.get_by_role("link", name="API docs").click()
            page.locator("#operations-Bars-tickers").click()
            block = page.locator("#operations-Bars-tickers")
            block.get_by_role("button", name="Execute").click()
            answer = block.locator(".live-responses-table tbody tr").first
            expect(answer.locator(".response-col_status")).to_contain_text("200")
            expect(block.locator(".request-url pre")).to_contain_text(f"{proxied.url}/tickers?")
            link = page.get_by_role("link", name="Explorer", exact=True)
            expect(link).to_have_attribute("href", f"{PREFIX}/explorer")
        watched.nothing_was_wrong()
