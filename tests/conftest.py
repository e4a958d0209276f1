"""Fixtures that many test modules share: both stores of a private directory."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from stockapi.config import Settings
from tests.support.stores import MakeStores, Stores, environment

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("stockapi", deadline=None)
hypothesis.settings.load_profile("stockapi")


@pytest.fixture
def make_stores(tmp_path: Path) -> Iterator[MakeStores]:
    """A function that opens the stores of this test's directory, with settings of one's choice."""
    opened: list[Stores] = []

    def make(**variables: str) -> Stores:
        settings = Settings.from_mapping(environment(tmp_path, **variables))
        stores = Stores.of(settings)
        opened.append(stores)
        return stores

    yield make
    for stores in opened:
        stores.db_manager.close()


@pytest.fixture
def stores(make_stores: MakeStores) -> Stores:
    return make_stores()
