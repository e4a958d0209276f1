from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stockapi import create_app
from stockapi.config import Settings
from stockapi.constants import VERSION
from stockapi.machine import cgroup_limits
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.registry import provider_for
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_manager.bookkeeping import Bookkeeping, Cycle, Verification
from stockapi.services.sqlite_store import SqliteStore
from stockapi.services.status.health import health_report, troubled_workers, unready_reason
from stockapi.services.status.memory import Memory, measure_memory
from stockapi.services.stores import Stores
from stockapi.services.writer_lock import writer_lock
from tests.support.stores import environment

NOW = datetime(2024, 1, 2, 3, 0, tzinfo=UTC)  # a Tuesday, 10:00 in Vietnam
NOW_S = 1_704_164_400
MEMORY = Memory(used_bytes=64 << 20, limit_bytes=512 << 20)


def settings_in(directory: Path, **changes: str) -> Settings:
    return Settings.from_mapping(environment(directory, **changes))


def manager(settings: Settings, *modes: Mode) -> DatabaseManager:
    """With a database for each of the modes."""
    db_manager = DatabaseManager(settings)
    for mode in modes:
        db_manager.upgrade(mode)
    return db_manager


def report(db_manager: DatabaseManager, **changes: object) -> dict[str, Any]:
    given = {"memory": MEMORY, "now": NOW, "uptime_s": 90.7} | changes
    return health_report(Stores.of(db_manager.settings), **given)  # type: ignore[arg-type]


def before_a_cycle(source: str) -> dict[str, Any]:
    """What is reported of a source that has given nothing yet."""
    return {"name": source, "state": None, "series_asked": None, "series_given": None, "filled_by": None}


def record(db_manager: DatabaseManager, mode: Mode, worker: str, at: int, **changes: Any) -> None:
    """One cycle that ended `at` (Unix seconds)."""
    cycle = {
        "due_every_s": 60,
        "cycle_seconds": 0.12345,
        "rows_written": 3,
        "source": "simulated",
        "source_state": "ok",
        "source_calls": 2,
        "source_errors": 0,
        "last_sync": at,
        "last_error": None,
    }
    Bookkeeping(db_manager).record_cycle(mode, Cycle(worker=worker, **(cycle | changes)), at)


def store_bars(db_manager: DatabaseManager, mode: Mode, ticker: str, interval: Interval, count: int) -> None:
    time_ = 1_704_153_600 - np.arange(count)[::-1] * interval.seconds
    volume = np.ones(count, dtype=np.int64)
    bars = Bars.of(time_, np.ones((4, count)), volume)
    SqliteStore(db_manager).replace(SeriesKey(mode, ticker, interval), bars, csv_stamp="", now=0)


def test_counts_and_workers_of_both_markets(tmp_path: Path) -> None:
    db_manager = manager(settings_in(tmp_path), *Mode)
    store_bars(db_manager, Mode.VN, "VCB", Interval.DAILY, 5)
    store_bars(db_manager, Mode.VN, "VCB", Interval.HOURLY, 3)
    store_bars(db_manager, Mode.VN, "VIC", Interval.DAILY, 2)
    store_bars(db_manager, Mode.CRYPTO, "BTC", Interval.DAILY, 7)
    store_bars(db_manager, Mode.CRYPTO, "BTC", Interval.MINUTE, 4)
    for mode, worker, last_sync in [
        (Mode.VN, "daily", NOW_S),
        (Mode.VN, "hourly", NOW_S + 1),
        (Mode.VN, "minute", NOW_S + 2),
        (Mode.VN, "minute", NOW_S + 3),
        (Mode.CRYPTO, "crypto_priority", NOW_S + 4),
        (Mode.CRYPTO, "crypto_daily", NOW_S + 2),
        (Mode.CRYPTO, "crypto_hourly", NOW_S + 3),
        (Mode.CRYPTO, "crypto_hourly", None),
        (Mode.CRYPTO, "crypto_minute", None),
    ]:
        record(db_manager, mode, worker, last_sync or NOW_S, last_sync=last_sync)
    expected = {
        "daily_last_sync": "2024-01-02T03:00:00Z",
        "hourly_last_sync": "2024-01-02T03:00:01Z",
        "minute_last_sync": "2024-01-02T03:00:03Z",
        "crypto_last_sync": "2024-01-02T03:00:04Z",
        "daily_iteration_count": 1,
        "slow_iteration_count": 3,
        "crypto_iteration_count": 5,
        "total_tickers_count": 3,
        "active_tickers_count": 3,
        "daily_records_count": 14,
        "hourly_records_count": 3,
        "minute_records_count": 4,
    }
    assert {key: value for key, value in report(db_manager).items() if key in expected} == expected


def test_every_field_of_the_contract_on_an_empty_service(tmp_path: Path) -> None:
    body = report(manager(settings_in(tmp_path), *Mode))
    databases = body.pop("database")
    assert body == {
        "daily_last_sync": None,
        "hourly_last_sync": None,
        "minute_last_sync": None,
        "crypto_last_sync": None,
        "daily_iteration_count": 0,
        "slow_iteration_count": 0,
        "crypto_iteration_count": 0,
        "is_trading_hours": True,
        "trading_hours_timezone": "Asia/Ho_Chi_Minh",
        "memory_usage_bytes": 67_108_864,
        "memory_usage_mb": 64.0,
        "memory_limit_mb": 512.0,
        "memory_usage_percent": 12.5,
        "total_tickers_count": 0,
        "active_tickers_count": 0,
        "daily_records_count": 0,
        "hourly_records_count": 0,
        "minute_records_count": 0,
        "disk_cache_entries": 0,
        "disk_cache_size_bytes": 0,
        "disk_cache_size_mb": 0.0,
        "disk_cache_limit_mb": 0.0,
        "disk_cache_usage_percent": 0.0,
        "uptime_secs": 90,
        "current_system_time": "2024-01-02T03:00:00Z",
        "workers": {},
        "providers": {
            "vn": before_a_cycle("simulated"),
            "crypto": before_a_cycle("simulated"),
        },
        "fallback_to_csv": True,
        "version": VERSION,
    }
    assert list(databases) == ["vn", "crypto"]
    vn = databases["vn"]
    assert vn.pop("size_bytes") > 0
    assert vn.pop("schema_version") >= 1
    assert vn == {
        "path": str(tmp_path / "vn_data.db"),
        "reachable": True,
        "error": None,
        "last_integrity_check": None,
        "last_verification": None,
    }


def test_a_broken_database_shows_and_the_other_still_counts(tmp_path: Path) -> None:
    db_manager = manager(settings_in(tmp_path), Mode.CRYPTO)
    store_bars(db_manager, Mode.CRYPTO, "BTC", Interval.DAILY, 7)
    (tmp_path / "vn_data.db").write_bytes(b"garbage " * 1_000)
    body = report(db_manager)
    assert (body["total_tickers_count"], body["daily_records_count"]) == (1, 7)
    databases = body["database"]
    assert databases["vn"]["reachable"] is False
    assert databases["vn"]["error"] == "SQLite error: file is not a database"
    assert databases["vn"]["size_bytes"] == 8_000
    assert databases["crypto"]["reachable"] is True


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, "ok"),
        ({"differing": 2}, "repaired"),
        ({"is_rebuilt": True}, "repaired"),
        ({"differing": 2, "left": 1}, "differs"),
        ({"integrity": "row 1 missing from index"}, "differs"),
    ],
)
def test_the_last_verification(tmp_path: Path, changes: dict[str, Any], result: str) -> None:
    db_manager = manager(settings_in(tmp_path), Mode.VN)
    earlier = Verification(NOW_S - 90, 1.0, "ok", 1, 5, 1, 1, True)
    Bookkeeping(db_manager).record_verification(Mode.VN, earlier)
    latest = replace(Verification(NOW_S - 60, 2.71828, "ok", 3, 1_500, 0, 0, False), **changes)
    Bookkeeping(db_manager).record_verification(Mode.VN, latest)
    assert report(db_manager)["database"]["vn"]["last_verification"] == {
        "at": "2024-01-02T02:59:00Z",
        "result": result,
        "integrity": latest.integrity,
        "series": 3,
        "bars": 1_500,
        "differing": latest.differing,
        "left": latest.left,
        "rebuilt": latest.is_rebuilt,
        "seconds": 2.718,
    }


# Workers and sources


def test_the_report_of_a_worker(tmp_path: Path) -> None:
    db_manager = manager(settings_in(tmp_path), Mode.VN)
    failure = {"last_sync": None, "last_error": "vn VCB 1D: no answer", "source_state": "no answer"}
    record(db_manager, Mode.VN, "daily", NOW_S - 60)
    record(db_manager, Mode.VN, "daily", NOW_S - 1, **failure)
    with writer_lock(db_manager.settings, [Mode.VN]):
        workers = report(db_manager)["workers"]
    assert workers == {
        "daily": {
            "state": "ok",
            "heartbeat": "2024-01-02T02:59:59Z",
            "iterations": 2,
            "last_sync": "2024-01-02T02:59:00Z",
            "last_error": "vn VCB 1D: no answer",
            "last_error_at": "2024-01-02T02:59:59Z",
            "rows_written": 6,
            "cycle_seconds": 0.123,
            "source": "simulated",
            "source_state": "no answer",
        }
    }


def test_a_worker_that_has_not_finished_a_cycle(tmp_path: Path) -> None:
    db_manager = manager(settings_in(tmp_path), Mode.VN)
    Bookkeeping(db_manager).beat(Mode.VN, "daily", 15, NOW_S)
    worker = report(db_manager)["workers"]["daily"]
    assert {key for key, value in worker.items() if value is not None} == {
        "state",
        "heartbeat",
        "iterations",
        "rows_written",
    }
    assert report(db_manager)["providers"]["vn"] == before_a_cycle("simulated")


def test_workers_that_are_stale_or_dead_are_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    db_manager = manager(settings, *Mode)
    record(db_manager, Mode.VN, "daily", NOW_S - 10)
    record(db_manager, Mode.VN, "hourly", NOW_S - 1_000)
    record(db_manager, Mode.CRYPTO, "crypto_daily", NOW_S - 10)
    with writer_lock(settings, [Mode.VN]):
        states = {name: worker["state"] for name, worker in report(db_manager)["workers"].items()}
        troubled = troubled_workers(Stores.of(db_manager.settings), NOW)
    assert states == {"daily": "ok", "hourly": "stale", "crypto_daily": "dead"}
    assert troubled == {"hourly": "stale", "crypto_daily": "dead"}


def test_a_broken_database_hides_the_workers_of_its_market_only(tmp_path: Path) -> None:
    db_manager = manager(settings_in(tmp_path), Mode.CRYPTO)
    record(db_manager, Mode.CRYPTO, "crypto_daily", NOW_S)
    (tmp_path / "vn_data.db").write_bytes(b"garbage " * 1_000)
    assert list(report(db_manager)["workers"]) == ["crypto_daily"]
    assert troubled_workers(Stores.of(db_manager.settings), NOW) == {"crypto_daily": "dead"}


@pytest.mark.parametrize(
    "changes", [{}, {"DATA_PROVIDER": "live"}, {"DATA_PROVIDER": "live", "CRYPTO_PROVIDER": "cryptocompare"}]
)
def test_before_a_cycle_the_source_is_the_configured_one(tmp_path: Path, changes: dict[str, str]) -> None:
    settings = settings_in(tmp_path, **changes)
    assert report(DatabaseManager(settings))["providers"] == {
        mode.value: before_a_cycle(provider_for(mode, settings).name) for mode in Mode
    }


@pytest.mark.parametrize(
    ("minute", "state"),
    [
        ({"at": NOW_S - 20}, "blocked"),
        ({"at": NOW_S - 5}, "ok"),
        ({"at": NOW_S - 5, "last_sync": None, "last_error": "slow", "source_state": "slow"}, "slow"),
    ],
)
def test_a_source_is_as_its_latest_cycle_found_it(tmp_path: Path, minute: dict[str, Any], state: str) -> None:
    db_manager = manager(settings_in(tmp_path), Mode.VN)
    record(db_manager, Mode.VN, "daily", NOW_S - 10, source="vci", source_state="blocked", last_error="blocked")
    record(db_manager, Mode.VN, "minute", source="vci", **minute)
    expected = {"name": "vci", "state": state, "series_asked": 2, "series_given": 2, "filled_by": "vci"}
    assert report(db_manager)["providers"]["vn"] == expected


# The process


def test_a_path_beneath_the_working_directory_is_shown_as_one_would_configure_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    databases = report(DatabaseManager(settings_in(tmp_path)))["database"]
    assert [each["path"] for each in databases.values()] == ["vn_data.db", "crypto_data.db"]


def test_uptime_and_hours_are_those_of_the_moment_given(tmp_path: Path) -> None:
    body = report(DatabaseManager(settings_in(tmp_path)), now=NOW + timedelta(hours=12), uptime_s=0.2)
    assert (body["is_trading_hours"], body["uptime_secs"]) == (False, 0)
    assert body["current_system_time"] == "2024-01-02T15:00:00Z"


def test_memory_is_that_of_this_process() -> None:
    memory = measure_memory()
    assert 10 << 20 < memory.used_bytes < memory.limit_bytes
    ballast = b"x" * (64 << 20)
    assert measure_memory().used_bytes > memory.used_bytes + len(ballast) // 2


@pytest.mark.parametrize(
    ("membership", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "1000\n"}, [1000]),
        ("0::/\n", {"memory.max": "max\n"}, []),
        ("0::/a/b\n", {"a/b/memory.max": "500\n", "a/memory.max": "max\n", "memory.max": "900\n"}, [500, 900]),
        ("0::/host/path\n", {"memory.max": "700\n"}, [700]),
        ("4:memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": "300\n"}, [300]),
        ("4:cpu,memory:/x\n", {"memory/memory.limit_in_bytes": "400\n"}, [400]),
        ("1:cpu:/\n", {"memory.max": "5\n"}, []),
        ("", {}, []),
        (None, {"memory.max": "5\n"}, []),
    ],
)
def test_memory_limits_of_control_groups(
    tmp_path: Path, membership: str | None, files: dict[str, str], limits: list[int]
) -> None:
    for name, text in files.items():
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if membership is not None:
        (tmp_path / "membership").write_text(membership)
    assert list(cgroup_limits(tmp_path / "root", tmp_path / "membership")) == limits


# Readiness


def test_ready_with_both_databases_alone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, FALLBACK_TO_CSV="false")
    assert unready_reason(Stores.of(manager(settings, *Mode).settings)) is None


def test_ready_with_csv_alone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    for mode in Mode:
        settings.data_dir(mode).mkdir()
    assert unready_reason(Stores.of(settings)) is None


def test_ready_with_a_different_store_for_each_market(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.crypto_data_dir.mkdir()
    assert unready_reason(Stores.of(manager(settings, Mode.VN).settings)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "its database cannot be read, and its CSV directory cannot be read"),
        ({"FALLBACK_TO_CSV": "false"}, "its database cannot be read, and FALLBACK_TO_CSV is off"),
        ({"SQLITE_READS": "false"}, "SQLITE_READS is off, and its CSV directory cannot be read"),
        (
            {"SQLITE_READS": "false", "FALLBACK_TO_CSV": "false"},
            "SQLITE_READS is off, and its CSV directory cannot be read",
        ),
    ],
)
def test_not_ready_while_one_market_has_no_store(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    settings = settings_in(tmp_path, **changes)
    settings.market_data_dir.mkdir()
    db_manager = manager(settings, Mode.VN)
    (tmp_path / "crypto_data.db").write_bytes(b"garbage " * 1_000)
    found = unready_reason(Stores.of(db_manager.settings))
    assert found == f"market crypto: {reason}"
    assert str(tmp_path) not in found


def test_not_ready_with_an_older_schema(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, FALLBACK_TO_CSV="false")
    db_manager = manager(settings, *Mode)
    with db_manager.transaction(Mode.VN) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version > 1")
    reason = unready_reason(Stores.of(db_manager.settings))
    assert reason is not None
    assert reason.startswith("market vn: its database has schema version 1, not ")


def test_a_worker_that_is_not_well_is_named_and_queries_are_answered_all_the_same(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    db_manager = manager(settings, *Mode)
    client = create_app(settings, clock=lambda: NOW).test_client()
    record(db_manager, Mode.VN, "daily", NOW_S)
    record(db_manager, Mode.VN, "minute", NOW_S - 1_000)
    with writer_lock(settings, list(Mode)):
        stale = client.get("/readyz")
        record(db_manager, Mode.VN, "minute", NOW_S)
        well = client.get("/readyz")
    dead = client.get("/readyz")
    assert (stale.status_code, stale.json) == (200, {"status": "ready", "workers": {"minute": "stale"}})
    assert (well.status_code, well.json) == (200, {"status": "ready"})
    assert (dead.status_code, dead.json) == (
        200,
        {"status": "ready", "workers": {"daily": "dead", "minute": "dead"}},
    )
