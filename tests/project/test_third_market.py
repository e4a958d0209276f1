"""A market is a record: one that nobody has thought of, added to a copy of the program, does all that the others do."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stockapi.models import AggregatedInterval, Interval
from tests.support.server import ROOT, clean_environment

TICKERS = ("APPL", "PEAR", "PLUM")
RECORD = '''"""The fruit exchange of New York, which nobody has founded. Prices are dollars."""

import math
from datetime import time
from typing import Final
from zoneinfo import ZoneInfo

from stockapi.markets.calendar import Calendar, Session
from stockapi.markets.market import Market, PriceUnit, Schedule, SettingNames, Which
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode

NEW_YORK: Final = ZoneInfo("America/New_York")

FRUIT: Final = Market(
    mode=Mode.FRUIT,
    aliases=("fruits",),
    title="Fruit",
    instruments="stocks of New York",
    first_symbol="APPL",
    benchmark="APPL",
    sample_symbols=("APPL", "PEAR"),
    sample_names=("Appl", "Pear"),
    price_unit=PriceUnit.USD,
    currency="USD",
    price_decimals=4,
    price_digits=1,
    money_decimals=1,
    has_whole_volume=True,
    profile_volume_decimals=1,
    has_legacy_prices=False,
    ticks=((1.0, 0.0001), (math.inf, 0.01)),
    index_tick=0.01,
    exchanges={},
    calendar=Calendar(
        zone=NEW_YORK,
        zone_name="America/New_York",
        clock_name="New York",
        session=Session(opens=time(9, 30), closes=time(16), lunch=None, country="US"),
    ),
    hour_grid_origin_s=14 * 3_600,
    quiet_from=time(1, tzinfo=NEW_YORK),
    odd_jump=3.0,
    indices=(),
    symbol_suffixes=(),
    quotes=(),
    listings_file="fruit_listings.tsv",
    sector_aliases={},
    list_group=None,
    settings=SettingNames(
        database_path="fruit_database_path",
        data_dir="fruit_data_dir",
        groups_file=None,
        index_tickers=None,
        source=None,
    ),
    live_sources=(),
    priority_tickers=(),
    threads={
        "fruit": (
            Schedule(
                worker="fruit",
                health_fields=(),
                tickers=Which.ALL,
                intervals=tuple(Interval),
                every_s=60,
                every_s_when_closed=3_600,
            ),
        )
    },
)
'''
LISTINGS = "".join(
    "\t".join(cells) + "\n"
    for cells in (
        ("symbol", "type", "followed", "sector", "delisted", "name"),
        *(
            (ticker, "fruit", "yes", "SHRUBS" if ticker == "PLUM" else "TREES", "", ticker.title())
            for ticker in TICKERS
        ),
    )
)
SETTINGS = """    fruit_database_path: Path = _setting("fruit_data.db", types.path(), "database of the fruit market")
    fruit_data_dir: Path = _setting("fruit_data", types.path(), "CSV tree of the fruit market")
"""
SIMULATED = """_FRUIT: Final = Market(
    mode=Mode.FRUIT,
    epoch=_day(2017, 1, 2),
    holidays=("01-01", "07-04", "12-25"),
    history_days={Interval.DAILY: 400, Interval.HOURLY: 30, Interval.MINUTE: 3},
    is_back_adjusted=True,
    session=Session(
        np.arange(870, 1_200, dtype=np.int64) * 60, _shares(np.ones(330)), _shares(np.ones(330)), auctions=False
    ),
    volatility=0.01,
    sector_volatility=0.004,
    growth=0.05,
    instruments={
        ticker: Instrument(
            kind=Kind.COIN, price=price, price_decimals=4, daily_volume=1e6, volatility=0.01, beta=1.0, sector="trees"
        )
        for ticker, price in (("APPL", 187.1234), ("PEAR", 12.5), ("PLUM", 0.1234))
    },
)

"""

# Each line of standard output is a command with its exit status and output, or an answer with its status and body.
PROGRAM = """
import json
import sys
from datetime import datetime

from stockapi import create_app
from stockapi.config import Settings

moments = iter([])


def clock():
    return next(moments, datetime.fromisoformat("2026-11-20T15:00:00+00:00"))


app = create_app(Settings.load(), clock=clock)
commands, paths = json.load(sys.stdin)
for command in commands:
    result = app.test_cli_runner().invoke(args=command.split())
    print(json.dumps([command, result.exit_code, result.output]))
for path, *moment in paths:
    moments = iter([datetime.fromisoformat(each) for each in moment] * 9)
    answer = app.test_client().get(path)
    print(json.dumps([path, answer.status_code, answer.headers.get("Cache-Control"), answer.get_data(as_text=True)]))
"""
COMMANDS = (
    "db upgrade",
    "data pull",
    "data verify",
    "data doctor",
    "data enhance",
    "data verify",
    "status",
    "db status",
)
INTERVALS = (*Interval, *AggregatedInterval)
PATHS = (
    *(f"/tickers?interval={interval.value}&limit=3" for interval in INTERVALS),
    *("/tickers?format=csv&limit=2", "/tickers?format=ndjson&limit=2", "/tickers?shape=columns&ema=true&limit=2"),
    *("/tickers?cache=false&limit=2", "/tickers?mode=fruits&legacy=true&limit=2"),
    *("/tickers/group", "/tickers/names", "/tickers/coverage", "/adjustments"),
    *("/analysis/top-performers?with_hour=true", "/analysis/ma-scores-by-sector"),
    "/analysis/volume-profile?symbol=PLUM&date=2026-11-19",
    *("/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/explorer", "/docs"),
)
IN_SUMMER, IN_WINTER = "2026-07-15T13:45:00+00:00", "2026-01-14T13:45:00+00:00"
"""Wednesdays: 09:45 in New York, and 08:45."""


def insert(file: Path, pattern: str, addition: str) -> None:
    """`addition` before the one place that matches."""
    text, count = re.subn(pattern, lambda found: addition + found.group(), file.read_text(), flags=re.MULTILINE)
    assert count == 1, f"{pattern} is in {file} {count} times"
    file.write_text(text)


def replace(file: Path, text: str, other: str) -> None:
    assert file.read_text().count(text) == 1, f"{text} is in {file} {file.read_text().count(text)} times"
    file.write_text(file.read_text().replace(text, other))


def add_market(package: Path) -> None:
    """What docs/extending.md says: six files."""
    insert(package / "models/mode.py", r"\Z", '    FRUIT = "fruit"\n')
    (package / "markets/fruit.py").write_text(RECORD)
    markets = package / "markets/__init__.py"
    insert(markets, r"^from stockapi\.markets\.market ", "from stockapi.markets.fruit import FRUIT\n")
    replace(markets, "for market in (VN, CRYPTO)}", "for market in (VN, CRYPTO, FRUIT)}")
    insert(package / "config.py", r"^    sqlite_batch_size: ", SETTINGS)
    (package / "data/fruit_listings.tsv").write_text(LISTINGS)
    universe = package / "providers/simulated/universe.py"
    insert(universe, r"^MARKETS: Final", SIMULATED)
    replace(universe, "for market in (_VN, _CRYPTO)}", "for market in (_VN, _CRYPTO, _FRUIT)}")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What a copy of the program that has one market more says, while that market alone is enabled."""
    directory = tmp_path_factory.mktemp("third market")
    for folder in ("stockapi", "migrations"):
        shutil.copytree(ROOT / folder, directory / folder, ignore=shutil.ignore_patterns("__pycache__"))
    add_market(directory / "stockapi")
    question = [COMMANDS, [*([path] for path in PATHS), *(["/tickers?limit=1", at] for at in (IN_SUMMER, IN_WINTER))]]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=directory,
        env=clean_environment(directory)
        | {"PYTHONPATH": str(directory), "MARKETS": "fruit", "DATA_PROVIDER": "simulated"},
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def answers(spoken: list[list[Any]]) -> dict[str, str]:
    return {path: body for path, _, _, body in spoken[len(COMMANDS) : -2]}


@pytest.mark.slow
def test_it_is_filled_and_both_stores_hold_the_same(spoken: list[list[Any]]) -> None:
    outputs = [output for _, _, output in spoken[: len(COMMANDS)]]
    assert [status for _, status, _ in spoken[: len(COMMANDS)]] == [0] * len(COMMANDS), outputs
    assert "fruit: 9 series from simulated" in outputs[1]
    assert [re.search(r"(\d+) differences", outputs[number])[1] for number in (2, 5)] == ["0", "0"]  # type: ignore[index]


@pytest.mark.slow
def test_it_answers_at_every_endpoint(spoken: list[list[Any]], answers: dict[str, str]) -> None:
    assert {path: status for path, status, _, _ in spoken[len(COMMANDS) :] if status != 200} == {}
    for interval in INTERVALS:
        assert [*json.loads(answers[f"/tickers?interval={interval.value}&limit=3"])] == list(TICKERS), interval
    assert json.loads(answers["/tickers/group"]) == {"SHRUBS": ["PLUM"], "TREES": ["APPL", "PEAR"]}
    assert json.loads(answers["/tickers/names"]) == {"APPL": "Appl", "PEAR": "Pear", "PLUM": "Plum"}
    assert [*json.loads(answers["/health"])["database"]] == ["fruit"]
    sectors = json.loads(answers["/analysis/ma-scores-by-sector"])["data"]["sectors"]
    assert {each["sector_name"] for each in sectors} == {"TREES", "SHRUBS"}


@pytest.mark.slow
def test_its_numbers_are_as_its_record_says(answers: dict[str, str]) -> None:
    days = json.loads(answers["/tickers?interval=1D&limit=3"])
    prices = [bar[name] for bars in days.values() for bar in bars for name in ("open", "close", "ma200")]
    assert all(price == round(price, 4) for price in prices)
    assert any(price != round(price, 2) for price in prices), "more decimals than dong have"
    assert all(isinstance(bar["volume"], int) for bars in days.values() for bar in bars)
    assert json.loads(answers["/tickers?mode=fruits&legacy=true&limit=2"]) == {
        ticker: bars[1:] for ticker, bars in days.items()
    }, "no prices in thousands"


@pytest.mark.slow
def test_its_session_follows_daylight_saving_time(spoken: list[list[Any]]) -> None:
    assert [cached for _, _, cached, _ in spoken[-2:]] == ["max-age=30", "max-age=120"]
