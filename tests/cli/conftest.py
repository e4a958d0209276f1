"""Fixtures of these tests."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from stockapi import create_app
from stockapi.context import services
from tests.support.commands import Run
from tests.support.stores import NOW, Stores


@pytest.fixture
def runner() -> Iterator[Callable[[Stores], Run]]:
    """What runs command lines against stores, at the time NOW."""
    apps: list[Flask] = []

    def make(stores: Stores) -> Run:
        apps.append(create_app(stores.settings, clock=lambda: NOW))
        cli = apps[-1].test_cli_runner()
        return lambda *args: cli.invoke(args=[str(arg) for arg in args])

    yield make
    for app in apps:
        with app.app_context():
            services().stores.close()


@pytest.fixture
def run(runner: Callable[[Stores], Run], stores: Stores) -> Run:
    return runner(stores)
