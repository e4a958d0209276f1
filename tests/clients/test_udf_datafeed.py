"""A charting front end in JavaScript scrolls back through ten years of a running server, without a hole or a double."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.simulated.provider import SimulatedProvider
from tests.support.server import Server, running_server
from tests.support.stores import NOW, Stores, environment

pytestmark = pytest.mark.slow

NODE = shutil.which("node")
NO_NODE = "this test needs node 18 or newer: sudo apt-get install nodejs"
CLIENT = Path(__file__).with_name("udf_datafeed.mjs")
LATER = int(NOW.timestamp()) + 1
"""An end behind the newest bar, which has a time of the simulated market, not of the server's clock."""
_DAYS = {Interval.DAILY: 3_660, Interval.HOURLY: 400, Interval.MINUTE: 12}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if NODE is None:
        if os.environ.get("CI"):
            pytest.fail(NO_NODE)
        pytest.skip(NO_NODE)
    directory = tmp_path_factory.mktemp("market")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    now = int(NOW.timestamp())
    for mode, ticker in ((Mode.VN, "VCB"), (Mode.CRYPTO, "BTC")):
        provider = SimulatedProvider(mode, seed=1)
        for interval in Interval:
            bars = provider.fetch(ticker, interval, now - _DAYS[interval] * SECONDS_PER_DAY, now)
            stores.save(ticker, enhance(bars, mode, is_index=False), interval, mode)
    stores.db_manager.close()
    with running_server(directory, environment(directory, WEB_CONCURRENCY="1")) as running:
        yield running


def scrolled(server: Server, symbol: str, resolution: str, *range_s: int) -> dict[str, Any]:
    """What the front end knows at the end."""
    assert NODE is not None
    command = [NODE, str(CLIENT), f"{server.url}/udf", symbol, resolution, str(LATER), *map(str, range_s)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
    known: dict[str, Any] = json.loads(outcome.stdout)
    return known


def all_bars(server: Server, symbol: str, interval: str, mode: str) -> list[dict[str, Any]]:
    """The same bars as the plain API answers them."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"/tickers?symbol={symbol}&interval={interval}&mode={mode}&limit=0&ma=false")
    with connection.getresponse() as response:
        bars: list[dict[str, Any]] = json.loads(response.read())[symbol]
    connection.close()
    return bars


YEAR_S = 365 * SECONDS_PER_DAY


@pytest.mark.parametrize(
    ("symbol", "resolution", "interval", "mode", "range_s"),
    [
        ("VCB", "1D", "1D", "vn", ()),
        ("VCB", "1D", "1D", "vn", (YEAR_S // 4 + 12_345,)),
        ("VCB", "1W", "1W", "vn", ()),
        ("VCB", "1W", "1W", "vn", (YEAR_S + 100_000,)),
        ("VCB", "1M", "1M", "vn", (2 * YEAR_S,)),
        ("VCB", "60", "1H", "vn", ()),
        ("VCB", "240", "4h", "vn", (40 * SECONDS_PER_DAY + 5_000,)),
        ("VCB", "5", "5m", "vn", ()),
        ("VCB", "1", "1m", "vn", (3_600,)),
        ("BTC", "1D", "1D", "crypto", ()),
        ("BTC", "120", "2h", "crypto", (90 * SECONDS_PER_DAY + 1,)),
    ],
)
def test_scrolling_back_finds_every_bar_once(
    server: Server, symbol: str, resolution: str, interval: str, mode: str, range_s: tuple[int, ...]
) -> None:
    known = scrolled(server, symbol, resolution, *range_s)
    expected = all_bars(server, symbol, interval, mode)
    assert len(expected) > 100
    names = ("open", "high", "low", "close", "volume")
    found = [tuple(bar[name] for name in names) for bar in known["bars"]]
    assert found == [tuple(bar[name] for name in names) for bar in expected]
    times = [bar["time"] for bar in known["bars"]]
    assert times == sorted(set(times))
    assert known["requests"] > 1


def test_ten_years_of_days_are_there(server: Server) -> None:
    bars = scrolled(server, "HOSE:VCB", "1D")["bars"]
    assert (bars[-1]["time"] - bars[0]["time"]) / 1000 / YEAR_S > 9.9
    assert all(bar["time"] % (SECONDS_PER_DAY * 1000) == 0 for bar in bars)


def test_what_the_front_end_reads_besides_bars(server: Server) -> None:
    known = scrolled(server, "vcb", "1D")
    info = known["info"]
    assert (info["ticker"], info["type"], info["timezone"]) == ("HOSE:VCB", "stock", "Asia/Ho_Chi_Minh")
    assert (info["session"], info["minmov"], info["pricescale"]) == ("0900-1130,1300-1500", 10, 1)
    assert known["clock"] > 1_700_000_000
    assert [(each["s"], each["n"]) for each in known["quotes"]] == [("ok", "HOSE:VCB"), ("error", "NO_SUCH")]
    assert known["quotes"][0]["v"]["lp"] == known["bars"][-1]["close"]
    assert known["unknown"] == "error"
