"""Whose bars a market has: remembered by each store alone, and asked before anything is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stockapi import create_app
from stockapi.config import Settings
from stockapi.errors import AppError, CsvError, ForeignSourceError
from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.bookkeeping import Cycle
from stockapi.services.market_source import FILE_NAME, record_source, require_source, source_of
from tests.support.stores import NOW, Stores, environment, make_bars
from workers.__main__ import main

LIVE = {"DATA_PROVIDER": "live"}
CRYPTOCOMPARE = LIVE | {"CRYPTO_PROVIDER": "cryptocompare", "CRYPTOCOMPARE_API_KEY": "key"}
OTHER_SEED = {"SIMULATED_SEED": "2"}


def stores_in(directory: Path, variables: dict[str, str] | None = None) -> Stores:
    return Stores.of(Settings.from_mapping(environment(directory) | (variables or {})))


def filled(directory: Path, mode: Mode, variables: dict[str, str] | None = None) -> Stores:
    """With bars of the source that the variables name."""
    stores = stores_in(directory, variables)
    stores.save("VCB" if mode is Mode.VN else "BTC", make_bars(3, mode=mode), mode=mode)
    record_source(stores, mode, NOW)
    stores.close()
    return stores


def forget_file(stores: Stores, mode: Mode) -> None:
    (stores.settings.data_dir(mode) / FILE_NAME).unlink()


def forget_database(stores: Stores, mode: Mode) -> None:
    stores.settings.database_path(mode).unlink()


def forget_nothing(stores: Stores, mode: Mode) -> None:
    pass


def run(directory: Path, variables: dict[str, str], *arguments: str) -> Result:
    app = create_app(stores_in(directory, variables).settings, clock=lambda: NOW)
    return app.test_cli_runner().invoke(args=list(arguments))


FOREIGN = [
    pytest.param(Mode.VN, {}, LIVE, "simulated", "vci", id="invented bars, then real ones"),
    pytest.param(Mode.CRYPTO, {}, LIVE, "simulated", "binance", id="invented coins, then real ones"),
    pytest.param(Mode.VN, LIVE, {}, "vci", "simulated", id="real bars, then invented ones"),
    pytest.param(Mode.CRYPTO, LIVE, CRYPTOCOMPARE, "binance", "cryptocompare", id="the volume of one, then of many"),
    pytest.param(Mode.VN, {}, OTHER_SEED, "simulated", "simulated with seed 2", id="another invented market"),
]


@pytest.mark.parametrize("forget", [forget_nothing, forget_file, forget_database])
@pytest.mark.parametrize(("mode", "first", "then", "held", "wanted"), FOREIGN)
def test_another_source_stops_as_long_as_one_store_tells(
    tmp_path: Path,
    mode: Mode,
    first: dict[str, str],
    then: dict[str, str],
    held: str,
    wanted: str,
    forget: Callable[[Stores, Mode], None],
) -> None:
    forget(filled(tmp_path, mode, first), mode)
    assert source_of(stores_in(tmp_path, then), mode) == held
    with pytest.raises(ForeignSourceError) as caught:
        require_source(stores_in(tmp_path, then), mode)
    text = str(caught.value)
    assert f"{mode.value} was filled by {held}, and {wanted} does not continue its bars" in text
    assert f"flask data adopt --mode {mode.value}" in text
    assert "\n" not in text
    require_source(stores_in(tmp_path, first), mode)


@pytest.mark.parametrize("arguments", [(), ("--full",), ("--if-empty",), ("--ticker", "ACB")])
def test_a_pull_of_another_source_is_one_line_and_writes_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    before = filled(tmp_path, Mode.VN, LIVE).in_csv("VCB")
    result = run(tmp_path, {}, "data", "pull", "--mode", "vn", *arguments)
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "Error: vn was filled by vci" in result.output
    assert stores_in(tmp_path).in_csv("VCB").equals(before)
    assert stores_in(tmp_path).csv_store.tickers(Mode.VN) == ["VCB"]


def test_the_worker_of_another_source_stops_before_it_repairs_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = filled(tmp_path, Mode.VN, LIVE)
    forget_database(stores, Mode.VN)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["workers", "--once", "--only", "daily"])
    monkeypatch.setattr("workers.__main__.yield_to_readers", lambda: None)
    monkeypatch.setattr("workers.__main__._stop_on_signals", lambda: None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert str(caught.value).startswith("workers: vn was filled by vci, and simulated does not continue its bars")
    assert not stores.settings.database_path(Mode.VN).exists()


def test_stores_of_two_sources_side_by_side_are_not_put_together(tmp_path: Path) -> None:
    stores = filled(tmp_path, Mode.VN)
    (stores.settings.data_dir(Mode.VN) / FILE_NAME).write_text(json.dumps({"source": "vci"}))
    for variables in ({}, LIVE):
        with pytest.raises(ForeignSourceError, match="filled by simulated and vci"):
            require_source(stores_in(tmp_path, variables), Mode.VN)


def test_adopting_is_consent_and_both_stores_know_it(tmp_path: Path) -> None:
    filled(tmp_path, Mode.CRYPTO, LIVE)
    result = run(tmp_path, CRYPTOCOMPARE, "data", "adopt", "--mode", "crypto")
    assert result.output == "crypto: filled by binance until now, by cryptocompare from now on\n"
    for forget in (forget_nothing, forget_file):
        stores = stores_in(tmp_path, CRYPTOCOMPARE)
        forget(stores, Mode.CRYPTO)
        require_source(stores, Mode.CRYPTO)
        with pytest.raises(ForeignSourceError):
            require_source(stores_in(tmp_path, LIVE), Mode.CRYPTO)


def test_a_market_without_bars_may_be_filled_by_anybody(tmp_path: Path) -> None:
    record_source(stores_in(tmp_path), Mode.VN, NOW)
    live = stores_in(tmp_path, LIVE)
    require_source(live, Mode.VN)
    record_source(live, Mode.VN, NOW)
    assert source_of(live, Mode.VN) == "vci"


@pytest.mark.parametrize(
    ("worked", "held"),
    [
        pytest.param(["simulated"], "simulated", id="its workers tell"),
        pytest.param(["binance", "simulated"], "binance and simulated", id="mixed already: say so"),
        pytest.param([], None, id="imported, or pulled without a worker: nobody knows, anybody may go on"),
    ],
)
def test_stores_of_before_this_was_recorded(tmp_path: Path, worked: list[str], held: str | None) -> None:
    stores = stores_in(tmp_path, LIVE)
    stores.save("BTC", make_bars(3, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    for number, source in enumerate(worked):
        outcome: dict[str, Any] = {"source_state": "ok", "source_calls": 1, "source_errors": 0, "last_error": None}
        duration: dict[str, Any] = {"due_every_s": 60, "cycle_seconds": 1.0, "rows_written": 1, "last_sync": 1}
        cycle = Cycle(worker=f"w{number}", source=source, **outcome, **duration)
        stores.bookkeeping.record_cycle(Mode.CRYPTO, cycle, 1)
    assert source_of(stores, Mode.CRYPTO) == held
    if held is None:
        require_source(stores, Mode.CRYPTO)
    else:
        with pytest.raises(ForeignSourceError):
            require_source(stores, Mode.CRYPTO)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"source": 5}', '{"source": ""}', "{}"])
def test_a_file_that_is_not_as_it_was_written_stops(tmp_path: Path, text: str) -> None:
    stores = filled(tmp_path, Mode.VN)
    (stores.settings.data_dir(Mode.VN) / FILE_NAME).write_text(text)
    with pytest.raises(CsvError, match="is not as it was written"):
        require_source(stores, Mode.VN)


def test_a_pull_remembers_its_source_and_status_and_health_name_it(tmp_path: Path) -> None:
    assert run(tmp_path, {}, "data", "pull", "--mode", "vn", "--ticker", "VCB", "--interval", "1D").exit_code == 0
    stores = stores_in(tmp_path, LIVE)
    assert json.loads((stores.settings.data_dir(Mode.VN) / FILE_NAME).read_text())["source"] == "simulated"
    assert stores.bookkeeping.source(Mode.VN) == "simulated"
    assert "  source: simulated; the settings name vci\n" in run(tmp_path, LIVE, "status", "--mode", "vn").output
    app = create_app(stores.settings, clock=lambda: NOW)
    providers = app.test_client().get("/health").json["providers"]  # type: ignore[index]
    assert (providers["vn"]["name"], providers["vn"]["filled_by"]) == ("vci", "simulated")


def test_it_is_an_error_of_the_application() -> None:
    assert issubclass(ForeignSourceError, AppError)


def test_after_consent_the_new_source_is_asked_for_the_holes_of_the_old_one(tmp_path: Path) -> None:
    """What was deleted does not come back from it."""
    stores, key, now = filled(tmp_path, Mode.VN), SeriesKey(Mode.VN, "VCB", Interval.DAILY), int(NOW.timestamp())
    stores.asked.record(key, (1_000, 2_000), now)
    stores.asked.record(key, (5_000, 6_000), now, forever=True)
    assert run(tmp_path, {}, "data", "adopt", "--mode", "vn").exit_code == 0
    assert stores_in(tmp_path).asked.spans(key, now) == [(1_000, 2_000), (5_000, 6_000)]
    assert run(tmp_path, LIVE, "data", "adopt", "--mode", "vn").exit_code == 0
    assert stores_in(tmp_path, LIVE).asked.spans(key, now) == [(5_000, 6_000)]
