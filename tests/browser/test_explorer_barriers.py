"""/explorer without barriers: what axe-core finds, and what is chosen where the system gives all colours."""

from pathlib import Path
from typing import Any, Literal

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from tests.browser.explorer_page import Explorer

pytestmark = pytest.mark.long

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN = (
    "axe.run(document).then((found) => found.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target)]))"
)


def barriers(explorer: Explorer) -> Any:
    explorer.page.evaluate(AXE)
    return explorer.page.evaluate(RUN)


@pytest.mark.parametrize(
    ("scheme", "forced"), [("light", "none"), ("dark", "none"), ("light", "active"), ("dark", "active")]
)
def test_axe_finds_nothing(
    explorer: Explorer, scheme: Literal["light", "dark"], forced: Literal["active", "none"]
) -> None:
    explorer.page.emulate_media(color_scheme=scheme, forced_colors=forced)
    explorer.open(symbol="VCB", bb="1", pane="macd", compare="HPG", range="1M", sector="NGAN_HANG")
    explorer.part("bars-table").locator("summary").click()
    explorer.search.click()
    expect(explorer.options.first).to_be_visible()
    assert barriers(explorer) == []
    explorer.page.emulate_media(forced_colors="null")


def test_axe_finds_nothing_on_a_phone(phone: Explorer) -> None:
    phone.open(mode="crypto", symbol="SHIB")
    assert barriers(phone) == []


def test_what_is_chosen_is_seen_in_forced_colours(explorer: Explorer) -> None:
    explorer.page.emulate_media(forced_colors="active")
    explorer.open(symbol="VCB", sector="NGAN_HANG")
    ground = "node => getComputedStyle(node).backgroundColor"
    for one, other in (
        (".segments input:checked + span", ".segments input:not(:checked) + span"),
        (".sectors [aria-pressed=true]", ".sectors [aria-pressed=false]"),
    ):
        chosen, rest = (explorer.page.locator(each).first.evaluate(ground) for each in (one, other))
        assert chosen != rest
    bar = explorer.page.locator(".sectors [aria-pressed=false] .bar").first
    assert bar.evaluate(ground) != explorer.part("sectors").evaluate(ground)
    explorer.page.emulate_media(forced_colors="null")
