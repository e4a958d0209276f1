"""`flask data pull`, `flask status` and /metrics of a market with several sources."""

from collections.abc import Callable, Iterator

import pytest

from stockapi.models import Mode
from stockapi.services.ingest.sources import preference_of
from stockapi.services.status.metrics import StoreCollector
from tests.fake_upstream import FakeUpstream, Fault
from tests.support.commands import Run, succeeded
from tests.support.stores import NOW, MakeStores, Stores

PULL = ("data", "pull", "--mode", "vn", "--ticker", "VCB", "--interval", "1D")


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(int(NOW.timestamp())) as upstream:
        yield upstream


@pytest.fixture
def upstream(server: FakeUpstream) -> FakeUpstream:
    server.repair()
    return server


@pytest.fixture
def two(upstream: FakeUpstream, make_stores: MakeStores) -> Stores:
    return make_stores(**upstream.variables(), VN_PROVIDERS="vci,vps", PROVIDER_RETRIES="0")


@pytest.fixture
def run(runner: Callable[[Stores], Run], two: Stores) -> Run:
    return runner(two)


def source_line(run: Run) -> str:
    return succeeded(run("status", "--mode", "vn"))[1].strip()


def test_a_pull_names_its_source_and_goes_on_with_the_next_one(run: Run, two: Stores, upstream: FakeUpstream) -> None:
    assert succeeded(run(*PULL))[-1].startswith("vn: 1 series from vci, ")
    assert source_line(run) == "source: vci, of vci, vps; filled by vci"
    upstream.fail(Fault.FORBIDDEN, source="vci", times=None)
    result = run(*PULL)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "vn: 1 series from vps, 0 bars new or changed, 0 failed"
    assert "vn: VCI VCB 1D: turned away (403); vps is asked instead\n" in result.stderr
    assert source_line(run) == (
        "source: vps, of vci, vps, since 2026-03-02T05:00:00Z: vci failed: VCI VCB 1D: turned away (403); "
        "filled by vci, 1 series from vps"
    )
    assert preference_of(two, Mode.VN).source == "vps", "the worker goes on with it"


def test_one_ticker_that_the_source_does_not_have_changes_no_source(run: Run, two: Stores) -> None:
    result = run("data", "pull", "--mode", "vn", "--ticker", "ZZZ")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "vn: 0 series from vci, 0 bars new or changed, 3 failed"
    assert preference_of(two, Mode.VN).source == "vci"


def test_all_sources_fail(run: Run, upstream: FakeUpstream) -> None:
    upstream.fail(Fault.UNAVAILABLE, times=None)
    result = run(*PULL)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "vn: 0 series from vps, 0 bars new or changed, 1 failed"


def samples(stores: Stores) -> dict[tuple[str, str], float]:
    families = StoreCollector(stores, lambda: NOW).collect()
    return {
        (sample.name, sample.labels.get("source", "")): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("stockapi_source_")
    }


def test_the_metrics_name_it(two: Stores, run: Run, upstream: FakeUpstream, make_stores: MakeStores) -> None:
    asked = "stockapi_source_asked"
    assert samples(two) == {(asked, "vci"): 1.0, (asked, "vps"): 0.0}
    upstream.fail(Fault.UNAVAILABLE, source="vci", times=None)
    assert run(*PULL).exit_code == 0
    changed = ("stockapi_source_changed_timestamp_seconds", "")
    assert samples(two) == {(asked, "vci"): 0.0, (asked, "vps"): 1.0, changed: NOW.timestamp()}
    assert samples(make_stores(DATA_PROVIDER="live")) == {}, "one source needs none"
