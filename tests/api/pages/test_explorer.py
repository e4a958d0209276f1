"""The page as the server gives it: what it may load, that all of it is there, and that none of it is elsewhere."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.api.pages import explorer
from stockapi.api.pages.assets import package_file, static_file
from stockapi.config import Settings
from stockapi.markets.market import PriceUnit
from stockapi.models import AggregatedInterval, Interval, Mode
from tests.support.stores import environment

FOLDER = static_file("explorer")
SCRIPTS = sorted(FOLDER.glob("*.js"))
STYLES = sorted(FOLDER.glob("*.css"))
LIBRARY = package_file("litecharts", "litecharts/js/lightweight-charts.js")
LIBRARY_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"
"""Of `lightweight-charts.standalone.production.js` of the npm package lightweight-charts 5.1.0."""
IMPORT = re.compile(r'^(?:import|export) (?:[^;"]* from )?"([^"]+)";$', re.MULTILINE)
BY_ID = re.compile(r'byId\("([^"]+)"\)')
ADDRESS = re.compile(r"(?:https?:)?//[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)
CREDIT = "https://www.tradingview.com"  # a link to follow, which the licence of the charting library asks for
SVG_NAMESPACE = "http://www.w3.org"  # a name, in the icon; nothing is loaded from it
UNSAFE = re.compile(
    r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function|setAttribute\(.style)"
)
MOST_LINES = 300


class Page(HTMLParser):
    """The tags of a document with their attributes, and what stands between script and style tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in {"script", "style"}:
            self.inline += data.strip()

    def having(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [found for name, found in self.tags if name == tag and attributes.items() <= found.items()]

    @property
    def files(self) -> list[str]:
        """What the browser loads with the page; not what it opens when one follows a link."""
        links = [found["href"] for found in self.having("link")]
        return [link for link in links if not link.startswith("data:")] + [
            each["src"] for each in self.having("script")
        ]


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app(Settings.from_mapping(environment(tmp_path, INDEX_TICKERS="VNINDEX,HNX30")))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def page(client: FlaskClient) -> Page:
    return Page(client.get("/explorer").text)


def test_the_page_may_load_from_its_own_host_only(client: FlaskClient) -> None:
    answer = client.get("/explorer")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].split("; ") == [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_is_asked_for_each_time_and_sent_when_it_has_changed(client: FlaskClient) -> None:
    answer = client.get("/explorer")
    assert answer.headers["Cache-Control"] == "max-age=0"
    again = client.get("/explorer", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_nothing_is_written_into_the_page_that_the_policy_forbids(page: Page) -> None:
    assert page.inline == ""
    assert [found for _, found in page.tags if "style" in found] == []
    assert [name for _, found in page.tags for name in found if name.startswith("on")] == []


def test_every_file_of_the_page_is_served(client: FlaskClient, page: Page) -> None:
    assert len(page.files) > len(STYLES)
    for path in page.files:
        answer = client.get(path)
        kind = {"js": "text/javascript", "css": "text/css"}[path.rpartition(".")[2]]
        assert (path, answer.status_code, answer.mimetype) == (path, 200, kind)
        assert answer.cache_control.immutable, path


def test_every_file_of_the_folder_is_named_by_the_page(page: Page) -> None:
    """Those of another language excepted: a script loads them when it is chosen."""
    named = {path.rpartition("/")[2] for path in page.files}
    assert named == {path.name for path in (*SCRIPTS, *STYLES)} - {"words-vi.js"} | {"lightweight-charts.js"}
    assert "import(`./words-${language}.js`)" in (FOLDER / "i18n.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_only_their_neighbours(script: Path) -> None:
    for target in IMPORT.findall(script.read_text(encoding="utf-8")):
        assert target.startswith("./"), target
        assert (FOLDER / target).is_file(), target


def test_scripts_ask_only_for_elements_that_are_there(page: Page) -> None:
    ids = {found["id"] for _, found in page.tags if "id" in found}
    asked = {name for script in SCRIPTS for name in BY_ID.findall(script.read_text(encoding="utf-8"))}
    assert "chart" in asked
    assert asked - ids == set()


def test_each_id_is_given_once(page: Page) -> None:
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("label", ["for", "aria-controls", "aria-describedby", "aria-labelledby"])
def test_references_between_elements_lead_somewhere(label: str, page: Page) -> None:
    ids = {found["id"] for _, found in page.tags if "id" in found}
    references = {name for _, found in page.tags for name in found.get(label, "").split()}
    assert references
    assert references - ids == set()


@pytest.mark.parametrize("path", [*SCRIPTS, *STYLES, FOLDER / "index.html"], ids=lambda path: path.name)
def test_no_source_names_another_host(path: Path) -> None:
    found = set(ADDRESS.findall(path.read_text(encoding="utf-8")))
    assert found <= ({SVG_NAMESPACE, CREDIT} if path.suffix == ".html" else set())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup_of_text_and_stay_small(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert UNSAFE.search(text) is None
    assert text.count("\n") < MOST_LINES


def test_the_charting_library_comes_from_its_package_and_is_its_makers_file(client: FlaskClient, page: Page) -> None:
    """The package is of one author, who is not the library's: what runs in the page is what TradingView published."""
    (script,) = page.having("script", id="library-script")
    content = client.get(script["src"]).data
    assert hashlib.sha256(content).hexdigest() == LIBRARY_SHA256
    assert content == LIBRARY.read_bytes()
    assert b"Lightweight Charts" in content[:200]
    assert list(FOLDER.rglob("lightweight*.js")) == []


def test_the_charting_library_adds_no_style_sheet_and_gets_its_credit(page: Page) -> None:
    """Its logo would bring an inline style sheet, which the policy stops; its licence then asks for text and a link."""
    assert LIBRARY.read_text(encoding="utf-8").count('createElement("style")') == 1
    assert "attributionLogo: false" in (FOLDER / "look.js").read_text(encoding="utf-8")
    (credit,) = page.having("a", href=f"{CREDIT}/")
    assert credit["rel"] == "noopener noreferrer"


@pytest.fixture
def facts(page: Page) -> dict[str, list[dict[str, Any]]]:
    (body,) = page.having("body")
    found: dict[str, list[dict[str, Any]]] = json.loads(body["data-facts"])
    return found


def test_the_page_knows_which_tickers_are_indices(facts: dict[str, list[dict[str, Any]]]) -> None:
    assert {market["mode"]: market["indices"] for market in facts["markets"]} == {
        "vn": ["VNINDEX", "HNX30"],
        "crypto": [],
    }


def test_the_page_can_show_prices_in_every_unit() -> None:
    (known,) = re.findall(r"@typedef \{(.+)\} Unit", (FOLDER / "format.js").read_text(encoding="utf-8"))
    assert {unit.strip('" ') for unit in known.split("|")} == {*(unit.value for unit in PriceUnit), "points"}


def test_every_interval_can_be_chosen_the_shortest_first(page: Page, facts: dict[str, list[dict[str, Any]]]) -> None:
    names = [interval["name"] for interval in facts["intervals"]]
    assert sorted(names) == sorted(interval.value for interval in (*Interval, *AggregatedInterval))
    assert [found["value"] for found in page.having("input", name="interval")] == names
    minutes = {interval["name"]: (interval["title"], interval["lengthMs"] / 60_000) for interval in facts["intervals"]}
    assert list(minutes.values()) == sorted(minutes.values(), key=lambda each: each[1])
    assert minutes["1m"] == ("1 minute", 1)
    assert minutes["4h"] == ("4 hours", 240)
    assert minutes["1D"] == ("1 day", 1_440)
    assert [interval["name"] for interval in facts["intervals"] if not interval["isIntraday"]] == [
        "1D",
        "1W",
        "2W",
        "1M",
    ]


def test_every_market_can_be_chosen(page: Page, facts: dict[str, list[dict[str, Any]]]) -> None:
    modes = [market["mode"] for market in facts["markets"]]
    assert modes == [mode.value for mode in Mode]
    assert [found["value"] for found in page.having("input", name="mode")] == modes
    described = set(re.findall(r"@property \{.*\} (\w+)", (FOLDER / "markets.js").read_text(encoding="utf-8")))
    for market in facts["markets"]:
        assert set(market) == described | {"title"}, "what the scripts expect of a market"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_names_a_market(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert [mode.value for mode in Mode if f'"{mode.value}"' in text] == []


def test_only_the_versioned_files_are_served(client: FlaskClient) -> None:
    assert client.get(explorer.OWN.url("main.js")).status_code == 200
    assert client.get("/assets/explorer/0000000000000000/main.js").status_code == 404
    assert client.get(explorer.OWN.url("main.js").replace("main.js", "index.html")).status_code == 404
