"""MARKETS: one of the markets alone is served, kept up to date and looked after; nothing of the other is touched."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from stockapi import create_app
from stockapi.config import Settings
from stockapi.errors import ConfigError
from stockapi.markets import market_of, mode_names
from stockapi.models import Mode
from tests.support.server import clean_environment
from tests.support.stores import environment

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
TICKER = {Mode.VN: "VCB", Mode.CRYPTO: "BTC"}
GROUP = {Mode.VN: "NGAN_HANG", Mode.CRYPTO: "CRYPTO_TOP_100"}
NAMED = {Mode.VN: ["vn", "stock", "stocks"], Mode.CRYPTO: ["crypto", "cryptos"]}
ROUTES = (
    "/tickers?limit=1",
    "/tickers/group?",
    "/tickers/names?",
    "/tickers/name?",
    "/tickers/coverage?",
    "/tickers/search?q={ticker}",
    "/tickers/info?symbol={ticker}",
    "/tickers/snapshot?",
    "/adjustments?",
    "/calendar?",
    "/clock?",
    "/analysis/top-performers?min_volume=0",
    "/analysis/ma-scores-by-sector?",
    "/analysis/rrg?benchmark={ticker}",
    "/analysis/screener?where=rsi14>0",
    "/analysis/volume-profile?symbol={ticker}&date=2026-11-20",
)
"""Every route that has a market."""


@dataclass(frozen=True)
class Alone:
    """An application with one market only, in a directory of its own, and the market that it does not have."""

    app: Flask
    directory: Path
    mode: Mode
    other: Mode

    def run(self, *arguments: str) -> str:
        outcome = self.app.test_cli_runner().invoke(args=list(arguments))
        assert outcome.exit_code == 0, outcome.output
        return outcome.output

    def url(self, route: str) -> str:
        return route.format(ticker=TICKER[self.mode])


def variables(directory: Path, mode: Mode) -> dict[str, str]:
    return environment(directory, MARKETS=mode.value)


@pytest.fixture(scope="module", params=list(Mode), ids=lambda mode: f"{mode.value} alone")
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    mode: Mode = request.param
    (other,) = (each for each in Mode if each is not mode)
    directory = tmp_path_factory.mktemp(mode.value)
    app = create_app(Settings.from_mapping(variables(directory, mode)), clock=lambda: NOW)
    market = Alone(app, directory, mode, other)
    market.run("db", "upgrade")
    market.run("data", "pull", "--ticker", TICKER[mode])
    return market


def files(market: Alone) -> set[str]:
    return {path.name for path in market.directory.iterdir()}


def test_commands_are_about_it_alone(alone: Alone) -> None:
    begin = f"{alone.mode.value}: "
    for arguments in ("db upgrade", "db optimize", "data verify"):
        assert all(line.startswith(begin) for line in alone.run(*arguments.split()).splitlines()), arguments
    for arguments in ("status", "db status"):
        headings = [line for line in alone.run(*arguments.split()).splitlines() if not line.startswith("  ")]
        assert [line.startswith(begin) for line in headings] == [True], arguments
    assert f"{begin}3 series, " in alone.run("data", "verify")
    assert not any(alone.other.value in name or name == "market_data" for name in files(alone) - own_files(alone))


def own_files(market: Alone) -> set[str]:
    settings = Settings.from_mapping(variables(market.directory, market.mode))
    database = settings.database_path(market.mode).name
    files = {database, f"{database}-wal", f"{database}-shm", f".{database}.writer.lock"}
    return {*files, settings.data_dir(market.mode).name}


def test_nothing_of_the_other_is_made(alone: Alone) -> None:
    for route in ROUTES:
        alone.app.test_client().get(alone.url(route))
    assert files(alone) <= own_files(alone)


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_that_names_no_market_means_it(alone: Alone, route: str) -> None:
    client, url = alone.app.test_client(), alone.url(route)
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.data == client.get(f"{url}&mode={alone.mode.value}").data
    assert answer.json not in ({}, None)


@pytest.mark.parametrize("route", ROUTES)
def test_the_other_is_unknown(alone: Alone, route: str) -> None:
    answer = alone.app.test_client().get(f"{alone.url(route)}&mode={alone.other.value}")
    assert answer.status_code == 400
    assert answer.json["error"].startswith(f"mode '{alone.other.value}' is ")
    allowed = answer.json["error"].partition("allowed: ")[2]
    assert allowed.startswith(alone.mode.value)
    assert not any(name in allowed.replace("(", " ").replace(",", " ").split() for name in NAMED[alone.other])


def test_all_markets_are_this_one(alone: Alone) -> None:
    client = alone.app.test_client()
    every = client.get("/tickers?mode=all&limit=1").json
    assert {bar["mode"] for bars in every.values() for bar in bars} == {alone.mode.value}
    assert list(every) == [TICKER[alone.mode]]


def test_the_reports_are_about_it_alone(alone: Alone) -> None:
    client = alone.app.test_client()
    health = client.get("/health").json
    assert list(health["database"]) == list(health["providers"]) == [alone.mode.value]
    assert health["database"][alone.mode.value]["reachable"]
    assert health["total_tickers_count"] == 1
    expected = {Mode.VN: (True, "Asia/Ho_Chi_Minh"), Mode.CRYPTO: (True, "UTC")}
    assert (health["is_trading_hours"], health["trading_hours_timezone"]) == expected[alone.mode]
    assert health["crypto_last_sync"] is None
    assert client.get("/readyz").status_code == 200
    metrics = client.get("/metrics").text
    assert f'stockapi_database_up{{mode="{alone.mode.value}"}} 1.0' in metrics
    assert f'mode="{alone.other.value}"' not in metrics


def test_the_documents_know_it_alone(alone: Alone) -> None:
    client = alone.app.test_client()
    paths = client.get("/openapi.json").json["paths"]
    shown = [
        parameter["schema"]
        for operations in paths.values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "mode"
    ]
    assert len(shown) == len(ROUTES)
    assert {each["default"] for each in shown} == {alone.mode.value}
    assert {name for each in shown for name in each["enum"]} == {*NAMED[alone.mode], "all"}
    of_other = market_of(alone.other)
    words = (of_other.instruments, of_other.price_unit.in_words, *of_other.sample_symbols, *of_other.sample_names)
    texts = client.get("/openapi.json").text
    assert [word for word in (*words, f'"{alone.other.value}"', "both markets") if word in texts] == []
    assert market_of(alone.mode).instruments in texts
    page = client.get("/explorer").text
    assert f"symbol={of_other.first_symbol}" not in page
    assert f'value="{alone.mode.value}"' in page
    assert f'value="{alone.other.value}"' not in page


def test_an_answer_may_be_kept_as_long_as_its_exchange_is_closed(alone: Alone) -> None:
    """Coins are traded at any hour, and have no exchange that closes."""
    expected = {Mode.VN: "max-age=30", Mode.CRYPTO: "max-age=120"}
    assert alone.app.test_client().get("/tickers?limit=1").headers["Cache-Control"] == expected[alone.mode]


@pytest.mark.parametrize("command", ["data pull", "data import .", "data verify", "db upgrade", "status"])
def test_a_command_for_the_other_is_refused(alone: Alone, command: str) -> None:
    outcome = alone.app.test_cli_runner().invoke(args=[*command.split(), "--mode", alone.other.value])
    assert outcome.exit_code == 2
    assert f"mode '{alone.other.value}' is unknown; allowed: {alone.mode.value} (alias" in outcome.output


def test_a_list_of_the_other_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "coins.json").write_text("no list")
    bad = {"CRYPTO_LIST_FILE": str(tmp_path / "coins.json")}
    assert create_app(Settings.from_mapping(variables(tmp_path, Mode.VN) | bad))
    with pytest.raises(ConfigError, match=r"^CRYPTO_LIST_FILE="):
        create_app(Settings.from_mapping(variables(tmp_path, Mode.CRYPTO) | bad))


_PATIENCE_S = 400
"""The whole market is fetched, and a worker's thread computes a fifth of the time: two minutes on a slow machine."""


def run_worker(directory: Path, mode: Mode, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers", "--once", *arguments],
        cwd=directory,
        env=clean_environment(directory) | variables(directory, mode),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_S,
    )


@pytest.mark.long
@pytest.mark.timeout(_PATIENCE_S + 60)
def test_the_worker_keeps_it_alone_up_to_date(alone: Alone, tmp_path: Path) -> None:
    ended = run_worker(tmp_path, alone.mode)
    assert ended.returncode == 0, ended.stderr
    workers = {Mode.VN: {"daily", "hourly", "minute"}, Mode.CRYPTO: {"crypto_priority", "crypto_daily"}}
    assert all(f"event=cycle worker={name} " in ended.stderr for name in workers[alone.mode])
    assert not any(f"event=cycle worker={name} " in ended.stderr for name in workers[alone.other])
    made = Alone(alone.app, tmp_path, alone.mode, alone.other)
    assert files(made) <= own_files(made)


def test_the_worker_has_no_thread_of_the_other(tmp_path: Path) -> None:
    ended = run_worker(tmp_path, Mode.VN, "--only", "daily,crypto")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.endswith(
        "workers: --only 'daily,crypto' is not allowed, as MARKETS leaves some of these out; "
        "allowed: daily, hourly, minute, separated by commas\n"
    )


def test_names_are_those_of_the_contract() -> None:
    assert sorted(mode_names()) == sorted(name for names in NAMED.values() for name in names)
