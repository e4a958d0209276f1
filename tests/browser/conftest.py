"""A real browser, Debian's Chromium, before a real server with a small market in its stores."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route, sync_playwright

from tests.server import Server, clean_environment, running_server

_TICKERS = {"vn": ("VCB", "FPT", "HPG", "SSI", "VNINDEX"), "crypto": ("BTC", "ETH", "SHIB")}
_ARGUMENTS = (
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_IN_CI = bool(os.environ.get("CI"))


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if _EXECUTABLE is None:
        message = "browser tests need Chromium: sudo apt-get install chromium"
        if _IN_CI:
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=_EXECUTABLE, args=list(_ARGUMENTS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory, playwright: Playwright) -> Path:
    """A directory with a few tickers of the simulated market in both stores, as `flask data pull` brings them."""
    directory = tmp_path_factory.mktemp("market")
    environment = clean_environment(directory) | {"DATA_PROVIDER": "simulated"}
    flask = [sys.executable, "-m", "flask", "--app", "app"]
    subprocess.run([*flask, "db", "upgrade"], cwd=directory, env=environment, check=True, capture_output=True)
    for mode, tickers in _TICKERS.items():
        chosen = [option for ticker in tickers for option in ("--ticker", ticker)]
        pull = [*flask, "data", "pull", "--mode", mode, *chosen]
        subprocess.run(pull, cwd=directory, env=environment, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="session")
def server(market: Path) -> Iterator[Server]:
    with running_server(market, {"DATA_PROVIDER": "simulated", "WEB_CONCURRENCY": "1"}) as server:
        yield server


@dataclass
class Watched:
    """A page, and what a person with the developer tools open would have seen."""

    page: Page
    console_errors: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def watched(context: BrowserContext, server: Server) -> Watched:
    """A page whose console errors and requests to other hosts are kept; the latter never leave the browser."""
    watched = Watched(context.new_page())
    watched.page.on(
        "console", lambda message: watched.console_errors.append(message.text) if message.type == "error" else None
    )
    watched.page.on("pageerror", lambda error: watched.console_errors.append(str(error)))

    def check_host(route: Route) -> None:
        url = route.request.url
        if url.startswith((server.url, "data:", "blob:")):
            route.continue_()
        else:
            watched.foreign_requests.append(url)
            route.abort()

    context.route("**/*", check_host)
    return watched
