"""`flask data pull --fill` and `--start`: what is missing before the newest bars, also after a kill."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stockapi.calc.indicators import enhance
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.upkeep.reconcile import verify
from tests.fake_upstream import FakeUpstream
from tests.support.commands import Run, failed_with, succeeded
from tests.support.server import clean_environment
from tests.support.stores import NOW, MakeStores, Stores, environment

DAILY = ("--interval", "1D")
VCB = SimulatedProvider(Mode.VN, 1).fetch("VCB", Interval.DAILY, 0, int(NOW.timestamp()))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def put_pieces(stores: Stores) -> None:
    pieces = [VCB.between(at("2024-01-02"), at("2024-12-31")), VCB.between(at("2025-08-18"), at("2026-02-27"))]
    stores.save("VCB", enhance(Bars.concatenate(pieces), Mode.VN, is_index=False))


def assert_held(stores: Stores, first: str) -> None:
    held = stores.in_csv("VCB")
    assert held.time.tolist() == VCB.between(at(first), None).time.tolist()
    assert held.equals(stores.in_sqlite("VCB"))


def test_fill_brings_what_coverage_misses(stores: Stores, run: Run) -> None:
    put_pieces(stores)
    args = ("data", "pull", "--mode", "vn", "--ticker", "VCB", *DAILY)
    assert succeeded(run(*args)) == ["vn: 1 series from simulated, 1 bars new or changed, 0 failed"]
    bars = len(VCB.between(at("2025-01-01"), at("2025-08-17")))
    assert succeeded(run(*args, "--fill")) == [
        "vn: 1 series from simulated, 0 bars new or changed, 0 failed",
        f"vn: 1 windows asked for, {bars} missing bars filled in, 0 windows empty",
    ]
    assert_held(stores, "2024-01-02")
    assert succeeded(run(*args, "--fill"))[-1] == "vn: 0 windows asked for, 0 missing bars filled in, 0 windows empty"
    succeeded(run("data", "verify"))


@pytest.mark.parametrize("has_bars", [True, False])
def test_start_brings_older_bars_and_fills(stores: Stores, run: Run, has_bars: bool) -> None:
    if has_bars:
        put_pieces(stores)
    succeeded(run("data", "pull", "--ticker", "VCB", *DAILY, "--start", "2018-01-01"))
    assert_held(stores, "2018-01-01")
    succeeded(run("data", "verify"))


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (("--full", "--fill"), 1, "--full does not go with --fill and --start"),
        (("--full", "--start", "2024-01-01"), 1, "--full does not go with --fill and --start"),
        (("--start", "2962-01-01"), 1, "--start is in the future; allowed: a time that is past"),
        (("--start", "yesterday"), 2, "'yesterday' is not allowed; allowed: 2024-01-31 or 2024-01-31T09:15:00Z"),
    ],
)
def test_what_does_not_go_together(run: Run, options: tuple[str, ...], status: int, reason: str) -> None:
    assert reason in failed_with(run("data", "pull", *options), status)


@pytest.mark.long
def test_a_killed_fill_goes_on_where_it_was(make_stores: MakeStores, tmp_path: Path) -> None:
    """Minutes of a coin with a hole of four weeks: several windows, the process killed in between, then once more."""
    now = datetime(2026, 9, 15, 3, 20, 30, tzinfo=UTC)
    with FakeUpstream(int(now.timestamp()), {Mode.CRYPTO: ["BTC"]}) as upstream:
        stores = make_stores(**upstream.variables())
        key = SeriesKey(Mode.CRYPTO, "BTC", Interval.MINUTE)
        whole = upstream.market.bars(Mode.CRYPTO, "BTC", Interval.MINUTE, at("2026-08-10"), int(now.timestamp()) - 60)
        pieces = [whole.between(None, at("2026-08-11")), whole.between(at("2026-09-08"), None)]
        stores.save("BTC", enhance(Bars.concatenate(pieces), Mode.CRYPTO, is_index=False), key.interval, key.mode)
        stores.db_manager.close()
        upstream.latency_s = 0.1
        asked = stores.settings.crypto_data_dir / "asked.json"
        _kill_when(_pull(tmp_path, upstream), asked.exists)
        ((last, *_),) = json.loads(asked.read_text())["1m"].values()
        held = len(stores.csv_store.read(key).bars)
        upstream.forget_requests()
        upstream.latency_s = 0.0
        assert _pull(tmp_path, upstream).wait(60) == 0
        windows = [each for each in upstream.requests if each.params["endTime"] < str(at("2026-09-08") * 1_000)]
        assert windows
        assert all(int(each.params["startTime"]) < last[0] * 1_000 for each in windows), "no saved window again"
    bars = stores.csv_store.read(key).bars
    assert len(bars) > held
    assert set(whole.time.tolist()) <= set(bars.time.tolist())
    assert [report for report in verify(stores, Mode.CRYPTO, Interval) if report.problems] == []


def _pull(directory: Path, upstream: FakeUpstream) -> "subprocess.Popen[bytes]":
    options = ("--mode", "crypto", "--ticker", "BTC", "--interval", "1m", "--fill")
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "data", "pull", *options],
        cwd=directory,
        env=clean_environment(directory) | environment(directory) | upstream.variables(),
    )


def _kill_when(process: "subprocess.Popen[bytes]", condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
