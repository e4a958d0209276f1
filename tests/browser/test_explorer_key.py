"""/explorer and /docs on a server that wants a key: asked for once, kept by the tab, shown nowhere."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP
from tests.support.server import Server, running_server

pytestmark = pytest.mark.long

KEY = "an-explorer-key"


@pytest.fixture(scope="module")
def guarded(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"anna {sha256(KEY.encode()).hexdigest()}\n")
    variables = {"DATA_PROVIDER": "simulated", "WEB_CONCURRENCY": "1", "API_KEYS_FILE": str(path)}
    with running_server(market, variables) as server:
        yield server


@pytest.fixture
def page(browser: Browser, guarded: Server) -> Iterator[Page]:
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(f"{guarded.url}/explorer?symbol=VCB")
        yield page


def test_the_key_is_asked_for_until_it_is_right_and_then_kept(page: Page) -> None:
    dialog, given = page.get_by_test_id("key-dialog"), page.get_by_label("Key", exact=True)
    for key in ("wrong", KEY):
        expect(dialog).to_be_visible()
        expect(page.get_by_text("The key is not known here.")).to_be_visible(visible=key == KEY)
        given.fill(key)
        given.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#last-price")).to_contain_text("\u20ab")
    assert page.get_by_test_id("curl").inner_text().startswith('curl -H "X-API-Key: $KEY" ')
    page.reload()
    expect(page.locator("#last-price")).to_contain_text("\u20ab")
    expect(dialog).to_be_hidden()
    assert KEY not in page.content()
    assert KEY not in page.url


def test_who_has_none_is_told_why_and_not_asked_again(page: Page) -> None:
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_test_id("key-dialog")).to_be_hidden()
    expect(page.get_by_test_id("quote")).to_contain_text("this needs a key")


def test_requests_of_the_docs_have_the_key(page: Page, guarded: Server) -> None:
    page.goto(f"{guarded.url}/docs")
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container input").first.fill(KEY)
    page.locator(".auth-container button.authorize").first.click()
    page.locator(".auth-container button.btn-done").first.click()
    page.locator("#operations-Reference-clock").click()
    page.locator("#operations-Reference-clock").get_by_role("button", name="Execute").click()
    expect(page.locator("#operations-Reference-clock .live-responses-table .response-col_status").last).to_contain_text(
        "200"
    )
    expect(page.get_by_text("Servers", exact=True)).to_be_hidden()
