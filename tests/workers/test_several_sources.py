"""VCI breaks and comes back: `python -m workers` as it is, before HTTP sources, killed where it hurts."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stockapi import create_app
from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.market_source import origin_of
from stockapi.services.upkeep.reconcile import verify
from tests.fake_upstream import FakeUpstream, Fault
from tests.fake_upstream.faults import version
from tests.support.server import clean_environment
from tests.support.stores import Stores, environment

pytestmark = pytest.mark.long

TICKERS = ("FPT", "VCB", "VNINDEX")
KILLS = 6
LIFE_S = 2.5
"""Longer than a run takes in which nothing is downloaded."""


@dataclass
class Chain:
    directory: Path
    upstream: FakeUpstream
    variables: dict[str, str]

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "workers", "--once", "--only", "daily,hourly,minute"],
            cwd=self.directory,
            env=clean_environment(self.directory) | self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self) -> int:
        """All jobs once. :returns: 0 when no series failed."""
        return self.start().wait(120)

    def kill_often(self, dice: random.Random) -> None:
        for _ in range(KILLS):
            worker = self.start()
            time.sleep(dice.uniform(0.5, LIFE_S))
            worker.kill()
            worker.wait()

    def health(self) -> dict[str, Any]:
        app = create_app(Settings.from_mapping(self.variables))
        found: dict[str, Any] = app.test_client().get("/health").json["providers"]["vn"]  # type: ignore[index]
        return found

    def status(self) -> str:
        app = create_app(Settings.from_mapping(self.variables))
        return app.test_cli_runner().invoke(args=["status", "--mode", "vn"]).output

    def shown(self, ticker: str, interval: Interval, fault: Fault | None = None) -> Bars:
        """What a source with that fault has; without one, what VCI has."""
        now = self.upstream.now
        bars = self.upstream.market.bars(Mode.VN, ticker, interval, 0, now)
        return version(bars, fault, interval, now)

    def assert_held(self, source: str, fault: Fault | None = None) -> None:
        """Every bar of every series is that of the source, and both stores have it."""
        stores = Stores.of(Settings.from_mapping(self.variables))
        for ticker in TICKERS:
            for interval in Interval:
                held, shown = stores.in_csv(ticker, interval), self.shown(ticker, interval, fault)
                assert held.time.tolist() == shown.time.tolist(), "no bar is lost, none invented"
                assert held.prices.tolist() == shown.prices.tolist(), (ticker, interval)
                origin = origin_of(stores, SeriesKey(Mode.VN, ticker, interval))
                assert origin is not None
                assert origin.source == source
        assert not [report for report in verify(stores, Mode.VN, Interval) if report.problems]
        assert not Bookkeeping(stores.db_manager).adjustments(Mode.VN, since=0)
        stores.close()

    def assert_nothing_lost(self, *faults: Fault | None) -> None:
        """Each series is one version of its history, after whatever interruption."""
        stores = Stores.of(Settings.from_mapping(self.variables))
        for ticker in TICKERS:
            for interval in Interval:
                held = stores.in_csv(ticker, interval)
                versions = [self.shown(ticker, interval, fault) for fault in faults]
                assert held.time.tolist() == versions[0].time.tolist()
                assert any(np.array_equal(held.prices, each.prices) for each in versions), (ticker, interval)
        stores.close()


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Filled by VCI until Wednesday of last week, after the close, so nothing changes while the test goes on."""
    days = int(time.time()) // SECONDS_PER_DAY
    wednesday = (days - (days + 3) % 7 - 5) * SECONDS_PER_DAY
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps({"ALL": list(TICKERS)}))
    listed = dict.fromkeys(TICKERS, wednesday - 40 * SECONDS_PER_DAY)
    with FakeUpstream(wednesday + 10 * 3_600, {Mode.VN: TICKERS, Mode.CRYPTO: ()}, listed) as upstream:
        variables = environment(
            tmp_path,
            **{name: value for name, value in upstream.variables().items() if name != "DATA_PROVIDER"},
            TICKER_GROUPS_FILE=str(groups),
            VN_PROVIDERS="vci,vps",
            SOURCE_RETURN_AFTER_S="1",
            PROVIDER_RETRIES="0",
            LOG_LEVEL="warning",
        )
        variables["DATA_PROVIDER"] = "live"
        variables |= {f"{name}_REQUESTS_PER_MINUTE": "100000" for name in ("VCI", "VPS")}
        made = Chain(tmp_path, upstream, variables)
        assert made.run() == 0
        made.assert_held("vci")
        yield made


def runs_until(chain: Chain, asked: str, most: int) -> int:
    for number in range(most + 1):
        if chain.health()["asked"] == asked:
            return number
        chain.run()
        time.sleep(1.1)
    raise AssertionError(chain.status())


@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.UNAVAILABLE, Fault.NO_JSON, Fault.EMPTY])
def test_vci_breaks_another_source_goes_on_and_vci_comes_back(chain: Chain, fault: Fault) -> None:
    chain.upstream.fail(fault, source="vci", times=None)
    chain.upstream.now += SECONDS_PER_DAY  # another session, which VCI does not give
    assert runs_until(chain, "vps", 2) == 1
    assert chain.run() == 0
    chain.assert_held("vps")
    assert chain.health()["changed_because"].startswith("vci failed: VCI ")
    assert "source: vps, of vci, vps, since " in chain.status()
    chain.upstream.repair()
    assert runs_until(chain, "vci", 4) <= 3
    assert chain.run() == 0
    chain.assert_held("vci")
    assert chain.health()["changed_because"] == "vci answers again"


@pytest.mark.timeout(600)
def test_kills_while_histories_are_replaced_leave_one_version_of_each(chain: Chain) -> None:
    """There and back again: the other source has adjusted by other rules."""
    dice = random.Random(14)
    chain.upstream.fail(Fault.FORBIDDEN, source="vci", times=None)
    chain.upstream.fail(Fault.ADJUSTED, source="vps", times=None)
    for _ in range(2):
        chain.kill_often(dice)
        chain.assert_nothing_lost(None, Fault.ADJUSTED)
    runs_until(chain, "vps", 2)
    assert chain.run() == 0
    chain.assert_held("vps", Fault.ADJUSTED)
    chain.upstream.repair()
    chain.upstream.fail(Fault.ADJUSTED, source="vps", times=None)
    for _ in range(2):
        chain.kill_often(dice)
        chain.assert_nothing_lost(None, Fault.ADJUSTED)
    runs_until(chain, "vci", 4)
    assert chain.run() == 0
    chain.assert_held("vci")
