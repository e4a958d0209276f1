"""/docs, as a person meets it: requests are tried out, in either colour scheme, and nobody else hears of it."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.watched import Watched
from tests.support.server import Server


def open_docs(watched: Watched, server: Server, fragment: str = "") -> Page:
    watched.page.goto(f"{server.url}/docs{fragment}")
    expect(watched.page.locator(".opblock").first).to_be_visible()
    return watched.page


def test_every_route_is_listed(watched: Watched, server: Server) -> None:
    page = open_docs(watched, server)
    assert page.title() == "stockapi: the HTTP API"
    listed = {text.strip() for text in page.locator(".opblock-summary-path").all_inner_texts()}
    assert {"/tickers", "/analysis/volume-profile", "/health", "/openapi.json"} <= {
        text.replace("\u200b", "")
        for text in listed  # where Swagger UI lets a long path break
    }
    watched.nothing_was_wrong()


def test_a_request_is_tried_out(watched: Watched, server: Server) -> None:
    page = open_docs(watched, server, "#/Bars/tickers")
    block = page.locator("#operations-Bars-tickers")
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table tbody tr").first
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    expect(answer).to_contain_text('"VCB"')
    expect(answer).to_contain_text("x-data-source: sqlite")
    watched.nothing_was_wrong()


def test_a_refusal_says_why(watched: Watched, server: Server) -> None:
    page = open_docs(watched, server, "#/Analysis/analysis_volume_profile")
    block = page.locator("#operations-Analysis-analysis_volume_profile")
    block.locator('[data-param-name="start_date"] input').fill("2020-01-01")
    block.locator('[data-param-name="date"] input').fill("2020-01-01")
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table tbody tr").first
    expect(answer).to_contain_text("400")
    expect(answer).to_contain_text("date is given together with start_date")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colour_scheme(watched: Watched, server: Server, scheme: str) -> None:
    watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page = open_docs(watched, server)
    is_dark = "dark-mode" in (page.locator("html").get_attribute("class") or "")
    assert is_dark is (scheme == "dark")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class("dark-mode")
    watched.nothing_was_wrong()


def test_a_phone_need_not_scroll_sideways(watched: Watched, server: Server) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 800})
    page = open_docs(watched, server, "#/Bars/tickers")
    expect(page.locator("#operations-Bars-tickers").get_by_role("button", name="Execute")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
