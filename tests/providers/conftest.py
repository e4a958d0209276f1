"""Fixtures of these tests."""

from collections.abc import Iterator

import pytest

from stockapi.config import Settings
from stockapi.providers.base import Provider
from tests.fake_upstream import FakeTime, FakeUpstream
from tests.support.live_sources import DAY, MIDNIGHT, NOW, PROVIDERS, MakeProvider


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(NOW, listed={"SOL": MIDNIGHT - 40 * DAY, "FPT": MIDNIGHT - 40 * DAY}) as upstream:
        yield upstream


@pytest.fixture
def upstream(server: FakeUpstream) -> FakeUpstream:
    server.repair()
    server.forget_requests()
    server.now = NOW
    server.used_weight = None
    return server


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime(NOW)


@pytest.fixture
def make(upstream: FakeUpstream, clock: FakeTime) -> MakeProvider:
    """A source by name, in front of the fake upstream; with settings."""

    def make(source: str, **variables: str) -> Provider:
        settings = Settings.from_mapping(upstream.variables() | {"VCI_REQUESTS_PER_MINUTE": "1000"} | variables)
        return PROVIDERS[source](settings, clock.timing())

    return make
