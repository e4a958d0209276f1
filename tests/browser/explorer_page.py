"""The page at /explorer, as the tests speak of it, and numbers as it writes them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.watched import Watched
from tests.support.server import Server

PANELS = ("quote", "chart-panel", "profile-panel", "performers-panel", "sectors-panel")
BARS = re.compile(r"/tickers\?.*columns=time,open,high,low,close,volume,ma10,")
CHART = "document.getElementById('chart').chart"
EDGES = f"(chart => chart.edges.map(at => at - chart.count + 1))({CHART})"
QUOTE = re.compile(r"/tickers\?.*limit=2&")
PROFILE = re.compile(r"/analysis/volume-profile\?")
PERFORMERS = re.compile(r"/analysis/top-performers\?")
SECTORS = re.compile(r"/analysis/ma-scores-by-sector\?")


@dataclass(frozen=True)
class Explorer:
    watched: Watched
    server: Server

    @property
    def page(self) -> Page:
        return self.watched.page

    def open(self, *, ready: tuple[str, ...] = PANELS, **query: str) -> None:
        """The page with this query in its address; `from_` is `from`. Panels not in `ready` may still be loading."""
        address = urlencode({name.rstrip("_"): text for name, text in query.items()})
        self.page.goto(f"{self.server.url}/explorer?{address}")
        self.expect_state("ready", *ready)

    def part(self, test_id: str) -> Locator:
        return self.page.get_by_test_id(test_id)

    def expect_state(self, state: str, *panels: str) -> None:
        """Each has settled there: nothing newer is under way."""
        for panel in panels or PANELS:
            # Not `expect`, which looks again after ever longer pauses: that would double the time of most tests.
            self.page.locator(f'[data-testid={panel}][data-state={state}]:not([aria-busy="true"])').wait_for()

    def expect_ticker(self, symbol: str, interval: str = "1D") -> None:
        """Title, head and chart are of this ticker, and everything has been loaded."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(symbol)
        label = re.compile(rf"^Price chart of {symbol}, \d+ bars of {interval}$")
        expect(self.chart).to_have_attribute("aria-label", label)
        expect(self.page).to_have_title(re.compile(rf"^{symbol}\b"))
        self.expect_state("ready")

    def expect_address(self, **wanted: str | None) -> None:
        """The address has these parameters, and has not those that are None."""

        def fits(url: str) -> bool:
            query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            return all(query.get(name.rstrip("_")) == value for name, value in wanted.items())

        self.page.wait_for_url(fits, wait_until="commit")

    @property
    def chart(self) -> Locator:
        return self.page.locator("#chart")

    @property
    def search(self) -> Locator:
        return self.page.get_by_role("combobox", name="Ticker or name")

    @property
    def options(self) -> Locator:
        return self.page.get_by_role("listbox", name="Tickers").get_by_role("option")

    @property
    def live(self) -> Locator:
        """What is read aloud when it changes."""
        return self.page.get_by_role("status")

    @property
    def readout(self) -> Locator:
        return self.part("readout").locator("> :is(b, span:not(.break))")

    @property
    def bar_count(self) -> int:
        found = re.search(r", (\d+) bars", self.chart.get_attribute("aria-label") or "")
        assert found is not None
        return int(found[1])

    def choose(self, group: str, value: str) -> None:
        """One of a group of radio buttons."""
        self.page.get_by_role("group", name=group, exact=True).get_by_role("radio", name=value, exact=True).check()

    def request(self, kind: str) -> str:
        """The address in the line to copy."""
        self.part("which").select_option(label=kind)
        return (self.part("curl").text_content() or "").removeprefix("curl '").removesuffix("'")

    def api(self, path: str, **query: str | int) -> Any:
        """What the API says, asked past the page."""
        with urlopen(f"{self.server.url}{path}?{urlencode(query)}") as answer:
            return json.load(answer)

    def bars(self, symbol: str, interval: str = "1D", mode: str = "vn", limit: int = 5_000) -> list[dict[str, Any]]:
        answer = self.api("/tickers", mode=mode, symbol=symbol, interval=interval, limit=limit)
        bars: list[dict[str, Any]] = answer[symbol]
        return bars

    def view(self) -> tuple[float, float]:
        """Positions at the edges of the chart; 0 is the last bar that the page holds, those before it are negative."""
        low, high = self.page.evaluate(EDGES)
        return low, high

    @property
    def first(self) -> int:
        """Position of the first bar in view."""
        first: int = self.page.evaluate(f"{CHART}.visible[0]")
        return first

    @property
    def held(self) -> int:
        """How many bars the page holds; not all need be in view."""
        count: int = self.page.evaluate(f"{CHART}.count")
        return count

    @property
    def layers(self) -> list[str]:
        """What is drawn on the chart."""
        names: list[str] = self.page.evaluate(f"{CHART}.layers")
        return names

    def expect_layers(self, *names: str) -> None:
        """These and no others are drawn, besides candles and volume."""
        wanted = ["price", "volume", *names]
        arrived = f"wanted => String({CHART}.layers) === String(wanted)"
        self.page.wait_for_function(arrived, arg=wanted)

    def expect_view(self, low: float, high: float, within: float = 0.01) -> None:
        """The chart comes to show from this position to that."""
        away = f"(([l, h]) => Math.max(Math.abs(l - low), Math.abs(h - high)))({EDGES})"
        self.page.wait_for_function(f"([low, high, within]) => {away} <= within", arg=[low, high, within])

    def expect_other_view(self, before: tuple[float, float]) -> tuple[float, float]:
        """The view, once it is another than before."""
        self.page.wait_for_function(f"before => String({EDGES}) !== String(before)", arg=list(before))
        return self.view()

    def place_of(self, index: int) -> tuple[float, float]:
        """Where on the page a bar is; 0 is the first in view."""
        self.chart.scroll_into_view_if_needed()
        box = self.chart.bounding_box()
        assert box is not None
        x = self.page.evaluate(f"at => {CHART}.xOf(at)", self.first + index)
        return box["x"] + x, box["y"] + box["height"] / 3

    @property
    def bar_width(self) -> float:
        """Pixels from bar to bar."""
        width: float = self.page.evaluate(
            "(chart => chart.xOf(1) - chart.xOf(0))(document.getElementById('chart').chart)"
        )
        return width

    def point_at(self, index: int) -> None:
        """The mouse moves on to a bar of those in view."""
        self.page.mouse.move(*self.place_of(index), steps=3)

    @contextmanager
    def refreshed(self, *addresses: re.Pattern[str]) -> Iterator[None]:
        """Within, these are asked for; afterwards they are answered."""
        with ExitStack() as stack:
            for address in addresses:
                asked = self.page.expect_request_finished(lambda request, a=address: bool(a.search(request.url)))
                stack.enter_context(asked)
            yield
        self.settle()

    def settle(self) -> None:
        """Time for an answer that has come to be shown, or to do harm: a question and its answer, and two frames."""
        self.page.evaluate(
            """async () => {
                await (await fetch("/tickers?symbol=VCB&cache=false")).text();
                for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
            }"""
        )

    def fail(self, address: re.Pattern[str], status: int = 503, text: str = "neither store can answer") -> None:
        """From now on the API refuses these requests."""
        self.watched.failures_meant.append(address.pattern.partition("\\?")[0])
        body = json.dumps({"error": text})
        self.page.route(address, lambda route: route.fulfill(status=status, content_type="application/json", body=body))

    def hold(self, address: re.Pattern[str]) -> "Held":
        """From now on these requests wait until the test lets them go."""
        held = Held()
        self.page.route(address, held.arrive)
        return held


@dataclass
class Held:
    """Requests that wait; those that come once it is open do not."""

    routes: list[Route] = field(default_factory=list)
    is_open: bool = False

    def arrive(self, route: Route) -> None:
        if self.is_open:
            route.continue_()
        else:
            self.routes.append(route)

    def release(self) -> None:
        self.is_open = True
        for route in self.routes:
            route.continue_()


def rounded(value: float, decimals: int) -> str:
    """As people round: halves away from zero, of the number as it is written; with separators and a real minus."""
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{exact:,}".replace("-", "\u2212")


def dong(value: float) -> str:
    return rounded(value, 0)


def cents(value: float) -> str:
    """Points of an index, or the dollars of a coin that is worth ten or more."""
    return rounded(value, 2)


def signed(value: float, text: Callable[[float], str]) -> str:
    return f"{'+' if value > 0 else ''}{text(value)}"


def percent(value: float, decimals: int = 2) -> str:
    return f"{'+' if value > 0 else ''}{rounded(value, decimals)}%"


def change(value: float) -> str:
    arrow = "\u25b2 " if value > 0 else "\u25bc " if value < 0 else ""
    return f"{arrow}{percent(value)}"


def compact(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            text = rounded(value / size, 2)
            return f"{text.rstrip('0').rstrip('.')}{letter}"
    return rounded(value, 2).rstrip("0").rstrip(".")


def time_text(time: str, mode: str = "vn") -> str:
    """A bar's time on the market's clock."""
    moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
    if "T" not in time:
        return f"{moment.day} {moment:%b %Y}"
    moment += timedelta(hours=7 if mode == "vn" else 0)
    return f"{moment.day} {moment:%b %Y %H:%M}"


def readout_of(bar: dict[str, Any], averages: tuple[int, ...] = (10, 20, 50, 100, 200)) -> list[str]:
    """What stands above the chart for a bar of a VN stock."""
    return [
        time_text(bar["time"]),
        *[f"{name[0].upper()} {dong(bar[name])}" for name in ("open", "high", "low", "close")],
        change(bar["close_changed"]),
        f"Vol {compact(bar['volume'])}",
        f"({percent(bar['volume_changed'], 1)})",
        *[f"MA{period} {dong(bar[f'ma{period}'])}" for period in averages],
    ]
