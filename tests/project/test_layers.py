"""Imports go down only, in no circle, and a few packages stay where they belong."""

import pytest

from tests.support.layers import (
    Module,
    circle,
    environment_reads,
    hidden_imports,
    imports_of,
    impurities,
    misplaced_imports,
    parse,
    project,
    shadowed_modules,
    unassigned,
    upward_imports,
)
from tests.support.server import ROOT

# From the top down. `package.*` is the package and everything in it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("app", "gunicorn.conf"),
    ("stockapi",),
    ("stockapi.api.*", "stockapi.cli.*", "workers.*"),
    ("stockapi.context",),
    (
        "stockapi.services.status.*",
        "stockapi.services.symbols",
        "stockapi.services.snapshots",
        "stockapi.services.rotations",
        "stockapi.services.export",
    ),
    ("stockapi.services.ingest.*", "stockapi.services.upkeep.*"),
    ("stockapi.services.csv_enhancer.*", "stockapi.services.data_store.*", "stockapi.services.market_source"),
    ("stockapi.services.stores",),
    ("stockapi.services.csv_store.*", "stockapi.services.sqlite_store.*"),
    (
        "stockapi.services.database_manager.*",
        "stockapi.services.writer_lock",
        "stockapi.services.renames",
        "stockapi.services.asked",
        "stockapi.services.closings",
        "stockapi.services.market_file",
        "stockapi.services.turns",
        "stockapi.services.series_sources",
    ),
    ("stockapi.services.durable", "stockapi.services.listening", "stockapi.providers.*"),
    ("stockapi.calc.*", "stockapi.formats.*"),
    ("stockapi.config",),
    ("stockapi.setting_types", "stockapi.markets.*"),
    (
        "stockapi.clock",
        "stockapi.constants",
        "stockapi.errors",
        "stockapi.logs",
        "stockapi.machine",
        "stockapi.models.*",
        "stockapi.services",  # only the package's own file; it imports nothing
    ),
)
LAYER_OF = dict(enumerate(reversed(LAYERS)))

HTTP_LAYER = ("app", "gunicorn.conf", "stockapi", "stockapi.context", "stockapi.api.*")
COMMAND_LINE = ("stockapi", "stockapi.cli.*", "workers.*")

# A package, and the only modules that may import it.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "dotenv": ("stockapi.config",),
    "sqlite3": (
        "stockapi.errors",
        "stockapi.services.database_manager.*",
        "stockapi.services.sqlite_store.*",
        "stockapi.services.upkeep.checked_copy",
    ),
    "gunicorn": ("stockapi.api.server.*",),
    "flask": (*HTTP_LAYER, *COMMAND_LINE),
    "flask_compress": HTTP_LAYER,
    "flask_cors": HTTP_LAYER,
    "werkzeug": HTTP_LAYER,
    "marshmallow": HTTP_LAYER,
    "apispec": ("stockapi.api.openapi.document",),
    "xxhash": ("stockapi.api.http.responses", "stockapi.services.sqlite_store.blocks"),
    "brotli": ("stockapi.api.pages.assets",),
    "arro3": ("stockapi.services.export",),
    "click": COMMAND_LINE,
    "prometheus_client": (
        "stockapi.api.routes.metrics",
        "stockapi.api.server.metrics_files",
        "stockapi.services.status.metrics",
    ),
    "schedule": ("workers.*",),
    "http.client": ("stockapi.providers.live.*", "stockapi.cli.preflight"),
    "urllib.request": ("stockapi.providers.live.*",),
    "requests": ("stockapi.providers.live.*",),
}

ENVIRONMENT_READER = "stockapi.config"

# Modules of pure computation: what they say of a moment or by chance is given to them.
PURE = ("stockapi.models.*", "stockapi.calc.*", "stockapi.formats.*", "stockapi.markets.*")


# The project


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    return project(ROOT)


def test_every_module_has_a_layer(modules: dict[str, Module]) -> None:
    assert unassigned(modules, LAYER_OF) == []


def test_no_import_goes_up(modules: dict[str, Module]) -> None:
    assert upward_imports(modules, LAYER_OF) == []


def test_no_imports_make_a_circle(modules: dict[str, Module]) -> None:
    assert circle(modules) is None


def test_no_package_hides_its_own_modules(modules: dict[str, Module]) -> None:
    assert shadowed_modules(modules) == []


def test_packages_are_imported_only_where_they_belong(modules: dict[str, Module]) -> None:
    assert misplaced_imports(modules, ONLY_IN) == []


def test_no_import_is_hidden(modules: dict[str, Module]) -> None:
    assert hidden_imports(modules) == []


def test_only_config_reads_the_environment(modules: dict[str, Module]) -> None:
    assert environment_reads(modules, ENVIRONMENT_READER) == []


def test_pure_modules_read_no_clock_and_throw_no_dice(modules: dict[str, Module]) -> None:
    assert impurities(modules, PURE) == []


def test_the_checks_see_the_project(modules: dict[str, Module]) -> None:
    """A moved folder must not leave the checks above with nothing to look at."""
    assert {"app", "stockapi", "stockapi.models", "stockapi.models.bars", "stockapi.config", "workers"} <= set(modules)
    bars_targets = {each.target for each in imports_of(modules["stockapi.models.bars"])}
    assert "stockapi.models.fields.PRICE_FIELDS" in bars_targets
    assert environment_reads({"other": Module("other", modules[ENVIRONMENT_READER].tree)}, ENVIRONMENT_READER) != []


# The checks themselves, on small made-up projects


def tree(**sources: str) -> dict[str, Module]:
    """Modules by name, with `__` for a dot; one whose name others continue is a package."""
    names = {key.replace("__", "."): source for key, source in sources.items()}
    return {
        name: parse(name, source, is_package=any(other.startswith(f"{name}.") for other in names))
        for name, source in names.items()
    }


def test_a_module_without_a_layer_is_named() -> None:
    made_up = tree(stockapi__config="", stockapi__services="", stockapi__services__gossip="", stray="")
    assert unassigned(made_up, LAYER_OF) == [
        "stockapi.services.gossip has no layer: put it into LAYERS",
        "stray has no layer: put it into LAYERS",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import stockapi.services.data_store",
        "import stockapi.services.data_store as store",
        "from stockapi.services import data_store",
        "from stockapi.services.data_store import DataStore",
        "from . import data_store",
        "from .data_store import DataStore",
        "from ..services import data_store",
        "from stockapi.services.data_store import *",
        "if TYPE_CHECKING:\n    from stockapi.services.data_store import DataStore",
        "def late():\n    from stockapi.services.data_store import DataStore",
        "try:\n    import x\nexcept ImportError:\n    import stockapi.services.data_store",
    ],
)
def test_an_import_that_goes_up_is_found_however_it_is_written(source: str) -> None:
    made_up = tree(
        stockapi="", stockapi__services="", stockapi__services__data_store="", stockapi__services__durable=source
    )
    (problem,) = upward_imports(made_up, LAYER_OF)
    assert problem.startswith("stockapi.services.durable line ")
    assert problem.endswith(": layer 4 imports stockapi.services.data_store of layer 8")


@pytest.mark.parametrize("source", ["from stockapi import create_app", "import stockapi", "from .. import create_app"])
def test_the_application_factory_is_above_the_services(source: str) -> None:
    made_up = tree(stockapi="", stockapi__services="", stockapi__services__durable=source)
    (problem,) = upward_imports(made_up, LAYER_OF)
    assert problem == "stockapi.services.durable line 1: layer 4 imports stockapi of layer 13"


@pytest.mark.parametrize(
    "source",
    [
        "from stockapi.models.bars import Bars",
        "from stockapi.services import csv_store",
        "from .health import now",
        "from . import csv_store",
        "import os.path, json, numpy as np",
        "from stockapi.services.missing import nothing",
    ],
)
def test_imports_that_go_down_or_sideways_or_out_are_fine(source: str) -> None:
    made_up = tree(
        stockapi="",
        stockapi__models="",
        stockapi__models__bars="class Bars: ...",
        stockapi__services="",
        stockapi__services__csv_store="",
        stockapi__services__health="",
        stockapi__services__data_store=source,
    )
    assert upward_imports(made_up, LAYER_OF) == []
    assert circle(made_up) is None


def test_a_circle_in_one_layer_is_found() -> None:
    made_up = tree(
        stockapi__models="from .bars import Bars",
        stockapi__models__bars="from stockapi.models.query import Query",
        stockapi__models__query="def late():\n    from stockapi.models import Bars",
    )
    assert upward_imports(made_up, LAYER_OF) == []
    found = circle(made_up)
    assert found is not None
    assert set(found.split(" <- ")) == {"stockapi.models", "stockapi.models.bars", "stockapi.models.query"}


def test_a_package_may_gather_its_modules_without_a_circle() -> None:
    made_up = tree(
        stockapi__models="from .bars import Bars\nfrom .query import Query",
        stockapi__models__bars="",
        stockapi__models__query="from stockapi.models.bars import Bars",
    )
    assert circle(made_up) is None


@pytest.mark.parametrize(
    ("source", "is_fine"),
    [
        ("from stockapi.api import errors", False),
        ("from .api import errors", False),
        ("from stockapi.api import health as errors", False),
        ("from stockapi.api import errors as error_answers", True),
        ("from stockapi.api import health", True),
        ("from stockapi import errors", True),
        ("from . import errors", True),
    ],
)
def test_a_package_that_hides_a_module_of_its_own_is_found(source: str, is_fine: bool) -> None:
    made_up = tree(
        stockapi=source, stockapi__errors="", stockapi__api="", stockapi__api__errors="", stockapi__api__health=""
    )
    assert (shadowed_modules(made_up) == []) is is_fine


@pytest.mark.parametrize(
    ("name", "source", "is_fine"),
    [
        ("stockapi.services.csv_store", "import sqlite3", False),
        ("stockapi.services.csv_store", "from sqlite3 import Error", False),
        ("stockapi.services.sqlite_store", "import sqlite3", True),
        ("stockapi.services.data_store", "from flask import request", False),
        ("stockapi.api.routes.tickers", "from flask import request", True),
        ("stockapi.services.ingest.sync", "import flask.json", False),
        ("stockapi.services.ingest.sync", "from urllib.request import urlopen", False),
        ("stockapi.services.ingest.sync", "from urllib import request", False),
        ("stockapi.services.ingest.sync", "from urllib.parse import quote", True),
        ("stockapi.providers.live.vci", "import urllib.request", True),
        ("stockapi.logs", "from dotenv.main import load_dotenv", False),
        ("stockapi.services.ingest.sync", "import sqlite3_tools, flasky", True),
    ],
)
def test_a_package_out_of_place_is_found(name: str, source: str, is_fine: bool) -> None:
    assert (misplaced_imports({name: parse(name, source)}, ONLY_IN) == []) is is_fine


@pytest.mark.parametrize(
    ("source", "is_fine"),
    [
        ("import os\nos.environ['PORT']", False),
        ("import os\nos.environ", False),
        ("import os as system\nport = system.getenv('PORT')", False),
        ("from os import environ", False),
        ("from os import getenv as look", False),
        ("from os import *", False),
        ("def late():\n    import os\n    return os.environb", False),
        ("import os.path\nos.environ", False),
        ("import os.path\nos.path.join('a')", True),
        ("from flask import request\nrequest.environ['HTTP_HOST']", True),
        ("from os import fsync", True),
    ],
)
def test_a_read_of_the_environment_is_found(source: str, is_fine: bool) -> None:
    assert (environment_reads({"stockapi.logs": parse("stockapi.logs", source)}, ENVIRONMENT_READER) == []) is is_fine
    assert environment_reads({ENVIRONMENT_READER: parse(ENVIRONMENT_READER, source)}, ENVIRONMENT_READER) == []


@pytest.mark.parametrize(
    ("source", "is_fine"),
    [
        ("import importlib\nimportlib.import_module('stockapi.api')", False),
        ("from importlib import import_module\nimport_module('x')", False),
        ("__import__('stockapi.api')", False),
        ("import importlib.resources\nimportlib.resources.files('stockapi')", True),
    ],
)
def test_an_import_by_text_is_found(source: str, is_fine: bool) -> None:
    assert (hidden_imports({"stockapi.logs": parse("stockapi.logs", source)}) == []) is is_fine


@pytest.mark.parametrize(
    ("source", "is_fine"),
    [
        ("from datetime import datetime, UTC\ndatetime.now(UTC)", False),
        ("import datetime\ndatetime.date.today()", False),
        ("import time\ntime.time()", False),
        ("import random", False),
        ("from secrets import token_hex", False),
        ("def is_open(now):\n    return now.time() > nine", True),
        ("from datetime import time\ntime(9, 0)", True),
    ],
)
def test_a_look_at_the_clock_is_found_in_pure_modules_only(source: str, is_fine: bool) -> None:
    name = "stockapi.markets.calendar"
    assert (impurities({name: parse(name, source)}, PURE) == []) is is_fine
    assert impurities({"workers.loop": parse("workers.loop", source)}, PURE) == []
