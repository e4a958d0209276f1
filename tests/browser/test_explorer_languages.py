"""/explorer in English and Vietnamese: by the browser's language, or by choice."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import stockapi
from tests.browser.conftest import DESKTOP
from tests.browser.explorer_page import Explorer
from tests.browser.watched import Watched
from tests.support.server import Server

pytestmark = pytest.mark.long

STATIC = Path(stockapi.__file__).parent / "static" / "explorer"
TRANSLATED = re.compile(r'\bt\(\s*"([^"]+)"')
SAME = {"CSV", "PNG", "EMA", "MA", "MA10", "MA20", "MA50", "MA100", "MA200", "RSI 14", "MACD 12 26 9", "stockapi"}
SAME |= {"TradingView Lightweight Charts\u2122"}


class Texts(HTMLParser):
    """What a page says, and what its attributes say to those who hear or point."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in {"code", "kbd"}
        said = [text for name, text in attrs if name in {"aria-label", "title", "placeholder"} and text]
        self.found.update(text for text in said if "{{" not in text)

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in {"code", "kbd"}

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if not self.silent and re.search("[A-Za-z]{2}", text) and "{" not in text:
            self.found.add(text)


def test_every_text_has_its_translation() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    texts = Texts()
    texts.feed(page[page.index("<body") :])
    scripts = [path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")]
    wanted = {text.replace("\\u2026", "\u2026") for script in scripts for text in TRANSLATED.findall(script)}
    words = (STATIC / "words-vi.js").read_text(encoding="utf-8")
    known = dict(re.findall(r'^  "(.+?)": "(.+?)",$', words, re.MULTILINE))
    assert (wanted | texts.found) - SAME - set(known) == set()
    for english, vietnamese in known.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", vietnamese)), english


@pytest.fixture
def vietnamese(browser: Browser, server: Server) -> Iterator[Explorer]:
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce", locale="vi-VN") as context:
        context.set_default_timeout(15_000)
        watched = Watched(context.new_page(), server.url)
        with watched.listening():
            yield Explorer(watched, server)
        watched.nothing_was_wrong()


def test_the_browsers_language_is_spoken_until_another_is_chosen(vietnamese: Explorer) -> None:
    vietnamese.open(symbol="VCB", range="1M", interval="1D")
    [bar] = vietnamese.bars("VCB", limit=1)
    html, price = vietnamese.page.locator("html"), vietnamese.page.locator("#last-price")
    expect(html).to_have_attribute("lang", "vi")
    expect(price).to_have_text(f"{bar['close']:,.0f} \u20ab".replace(",", "."))
    change = f"{abs(bar['close_changed']):.2f}%".replace(".", ",")
    expect(vietnamese.page.locator("#last-change")).to_contain_text(change)
    expect(vietnamese.page.get_by_role("heading", name="Phân bố khối lượng")).to_be_visible()
    expect(vietnamese.readout.first).to_have_text("02/03/2026")
    expect(vietnamese.page.get_by_role("columnheader", name="Đóng cửa").first).to_be_visible()
    expect(vietnamese.page.locator("#company")).to_contain_text("Ngân hàng TMCP Ngoại thương Việt Nam")
    search = vietnamese.page.get_by_role("combobox", name="Mã hoặc tên")
    search.fill("vietcombank")  # what people call it is found all the same
    found = vietnamese.page.get_by_role("listbox", name="Các mã").get_by_role("option")
    expect(found).to_have_text(["VCB Ngân hàng TMCP Ngoại thương Việt Nam Việt Nam"])
    search.press("Escape")
    vietnamese.part("language").click()
    expect(html).to_have_attribute("lang", "en")
    vietnamese.expect_ticker("VCB")
    expect(vietnamese.page.locator("#company")).to_contain_text("Vietcombank")
    expect(price).to_have_text(f"{bar['close']:,.0f} \u20ab")
    vietnamese.page.reload()
    expect(html).to_have_attribute("lang", "en")
