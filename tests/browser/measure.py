"""`python -m tests.browser.measure`: what a visit of /explorer costs, as docs/explorer.md quotes it.

Bytes of a first visit without data, median milliseconds until the chart stands (at full speed and with the processor
slowed four times), and of a drag over a month of minutes: frames per second and the longest task.
"""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, Request, sync_playwright

from stockapi.config import Settings
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.registry import provider_for
from stockapi.services.ingest.filling import fill_series
from stockapi.services.ingest.sync import sync_ticker
from stockapi.services.stores import Stores
from tests.browser.conftest import _ARGUMENTS, _EXECUTABLE, DESKTOP, NOW
from tests.support.server import running_server
from tests.support.stores import environment

VISITS = 5
MONTH = timedelta(days=40)
"""A month of minutes, and some more to scroll to."""
MINUTES = "symbol=VCB&interval=1m&range=1M"
READY = "[data-testid=chart-panel][data-state=ready]"
WATCH = """() => {
    globalThis.seen = { frames: [], tasks: [0] };
    new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => seen.tasks.push(duration)))
        .observe({ type: "longtask" });
    const frame = (at) => { seen.frames.push(at); requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
}"""


def store(directory: Path) -> None:
    settings = Settings.from_mapping(environment(directory))
    stores, provider = Stores.of(settings), provider_for(Mode.VN, settings)
    for interval in Interval:
        sync_ticker(stores, provider, SeriesKey(Mode.VN, "VCB", interval), NOW)
    minutes = SeriesKey(Mode.VN, "VCB", Interval.MINUTE)
    for _ in fill_series(stores, provider, minutes, lambda: NOW, int((NOW - MONTH).timestamp())):
        pass
    stores.close()


@contextmanager
def opened(browser: Browser, address: str, slower: int = 1) -> Iterator[tuple[Page, float, int]]:
    """The page in a new browser, milliseconds until its chart stood, and bytes of its files.

    It is closed afterwards: it asks for news every five seconds, and the next one is measured on the same processor.
    """
    with browser.new_context(viewport=DESKTOP) as context:
        page = context.new_page()
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
        done: list[Request] = []
        page.on("requestfinished", lambda request: done.append(request))
        page.goto(address, wait_until="commit")
        page.locator(READY).wait_for()
        taken = page.evaluate("performance.now()")
        page.wait_for_load_state("networkidle")
        files = [each.sizes() for each in done if each.resource_type in {"document", "script", "stylesheet"}]
        yield page, taken, sum(each["responseHeadersSize"] + each["responseBodySize"] for each in files)


def visited(browser: Browser, address: str, slower: int) -> tuple[float, int]:
    with opened(browser, address, slower) as (_, taken, size):
        return taken, size


def panning(page: Page) -> tuple[float, float]:
    """Frames per second, and milliseconds of the longest task, while the chart is dragged."""
    box = page.locator("#chart").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 3
    page.evaluate(WATCH)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 400, y, steps=120)
    page.mouse.move(x, y, steps=120)
    seen = page.evaluate("seen")
    page.mouse.up()
    frames = seen["frames"]
    return 1_000 * (len(frames) - 1) / (frames[-1] - frames[0]), max(seen["tasks"])


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        store(Path(name))
        browser = playwright.chromium.launch(executable_path=_EXECUTABLE, args=list(_ARGUMENTS))
        with running_server(Path(name), {"DATA_PROVIDER": "simulated", "WEB_CONCURRENCY": "1"}) as server:
            url = f"{server.url}/explorer?"
            for title, query, slower in (
                ("a year of days", "symbol=VCB", 1),
                ("the same, four times slower", "symbol=VCB", 4),
                ("a month of minutes", MINUTES, 1),
            ):
                visits = [visited(browser, url + query, slower) for _ in range(VISITS)]
                taken = statistics.median(time for time, _ in visits)
                print(f"{title}: chart after {taken:.0f} ms, files of {visits[0][1] / 1_000:.0f} KB")
            with opened(browser, url + MINUTES) as (page, *_):
                frames, longest = panning(page)
                bars = page.locator("#chart").get_attribute("aria-label")
                print(f"panning ({bars}): {frames:.0f} frames a second, longest task {longest:.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
