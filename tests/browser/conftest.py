"""A real browser, Debian's Chromium, before a real server with a small market in its stores."""

import os
import shutil
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, expect, sync_playwright

from stockapi.config import Settings
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.registry import provider_for
from stockapi.services.ingest.sync import sync_ticker
from stockapi.services.stores import Stores
from tests.browser.explorer_page import Explorer
from tests.browser.watched import Watched
from tests.support.server import Server, running_server
from tests.support.stores import environment

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
"""A Monday, 17:00 in Ho Chi Minh City: the day's session is over. The same bars are served whenever the tests run."""

DESKTOP = ViewportSize(width=1440, height=900)
_TICKERS = {Mode.VN: ("VCB", "FPT", "HPG", "SSI", "VNINDEX"), Mode.CRYPTO: ("BTC", "ETH", "SHIB")}
_ARGUMENTS = (
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # No request to another host leaves the browser. (Playwright's interception would do it too, but without a cache.)
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_NO_BROWSER = "browser tests need Chromium: sudo apt-get install chromium"

_IN_CI = bool(os.environ.get("CI"))
_TIMEOUT_MS = 15_000

expect.set_options(timeout=_TIMEOUT_MS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests that were skipped for want of a browser share one line of the summary, which joins those of one place."""
    report = yield
    if report.skipped and _EXECUTABLE is None:
        report.longrepr = (__file__, None, f"Skipped: {_NO_BROWSER}")
    return report


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if _EXECUTABLE is None:
        if _IN_CI:
            pytest.fail(_NO_BROWSER)
        pytest.skip(_NO_BROWSER)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=_EXECUTABLE, args=list(_ARGUMENTS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory, playwright: Playwright) -> Path:
    """A directory with a few tickers of the simulated market in both stores, as they were at `NOW`."""
    directory = tmp_path_factory.mktemp("market")
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    for mode, tickers in _TICKERS.items():
        provider = provider_for(mode, settings)
        for ticker in tickers:
            for interval in Interval:
                sync_ticker(stores, provider, SeriesKey(provider.mode, ticker, interval), NOW)
    stores.close()
    return directory


@pytest.fixture(scope="session")
def server(market: Path) -> Iterator[Server]:
    with running_server(market, {"DATA_PROVIDER": "simulated", "WEB_CONCURRENCY": "1"}) as server:
        yield server


@pytest.fixture(scope="session")
def page(browser: Browser) -> Iterator[Page]:
    """One for many tests: in a new one, all scripts are compiled anew, and a test takes twice the time.

    Tests that make the browser remember something, or set its clock, take `first_visit`.
    """
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context:
        context.set_default_timeout(_TIMEOUT_MS)
        yield context.new_page()


@pytest.fixture
def watched(page: Page, server: Server) -> Iterator[Watched]:
    """A page, and what a person with the developer tools open would have seen."""
    watched = Watched(page, server.url)
    with watched.listening():
        yield watched
    page.unroute_all(behavior="ignoreErrors")
    page.emulate_media(color_scheme="null")
    page.set_viewport_size(DESKTOP)
    page.goto("about:blank")


@pytest.fixture
def explorer(watched: Watched, server: Server) -> Iterator[Explorer]:
    """The page at /explorer. Whatever a test does with it, the console stays silent, and nobody else hears of it."""
    yield Explorer(watched, server)
    watched.nothing_was_wrong()


@pytest.fixture
def first_visit(browser: Browser, server: Server) -> Iterator[Explorer]:
    """The same in a browser that has neither cache nor memory."""
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context:
        yield from _explorer(context, server)


@pytest.fixture
def phone(browser: Browser, server: Server) -> Iterator[Explorer]:
    """The same on a phone, as far as a browser can tell: small, and touched."""
    size = ViewportSize(width=390, height=800)
    with browser.new_context(viewport=size, has_touch=True, is_mobile=True, reduced_motion="reduce") as context:
        yield from _explorer(context, server)


def _explorer(context: BrowserContext, server: Server) -> Iterator[Explorer]:
    context.set_default_timeout(_TIMEOUT_MS)
    watched = Watched(context.new_page(), server.url)
    with watched.listening():
        yield Explorer(watched, server)
    watched.nothing_was_wrong()
