"""The health report for people and dashboards, and whether the service can answer queries."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path

from stockapi.config import Settings
from stockapi.constants import VERSION
from stockapi.errors import StoreError
from stockapi.markets import market_of
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment
from stockapi.services.database_manager import DatabaseStats
from stockapi.services.database_manager.bookkeeping import WorkerState
from stockapi.services.database_manager.migrations import known_migrations
from stockapi.services.ingest.sources import preference_of
from stockapi.services.market_source import source_of
from stockapi.services.status.memory import Memory
from stockapi.services.status.worker_status import Condition, Worker, workers_of
from stockapi.services.stores import Stores

_MIB = 1 << 20
_NO_DISK_CACHE = {
    "disk_cache_entries": 0,
    "disk_cache_size_bytes": 0,
    "disk_cache_size_mb": 0.0,
    "disk_cache_limit_mb": 0,
    "disk_cache_usage_percent": 0.0,
}
"""Fields that older clients read. There is no such cache."""
LAST_SYNC_FIELDS = ("daily_last_sync", "hourly_last_sync", "minute_last_sync", "crypto_last_sync")
ITERATION_FIELDS = ("daily_iteration_count", "slow_iteration_count", "crypto_iteration_count")
"""Fields that older clients read. `Schedule.health_fields` says which workers are in them; `workers` has all."""

OPEN_FIELDS = (
    *LAST_SYNC_FIELDS,
    "is_trading_hours",
    "trading_hours_timezone",
    "total_tickers_count",
    "active_tickers_count",
    "daily_records_count",
    "hourly_records_count",
    "minute_records_count",
    "uptime_secs",
    "current_system_time",
)
"""What those may see, too, who are no operators: nothing of the machine, the files, the errors and the sources."""


def health_report(
    stores: Stores,
    memory: Memory,
    now: datetime,
    uptime_s: float,
) -> dict[str, object]:
    """The body of /health. It reads only the ledger and bookkeeping tables, and never fails.

    Counts are totals of all markets. A market whose database cannot be read adds 0 bars and no workers; `database` says
    why.
    """
    markets, calendar = stores.settings.markets, market_of(stores.settings.default_market).calendar
    workers = _workers(stores, now)
    stats = [stats for mode in markets if (stats := _stats(stores, mode)) is not None]
    records = {each: sum(market.records[each] for market in stats) for each in Interval}
    return {
        **_sync_report(workers),
        "is_trading_hours": calendar.is_trading_hours(now),
        "trading_hours_timezone": calendar.zone_name,
        **_memory_report(memory),
        "total_tickers_count": sum(market.tickers for market in stats),
        "active_tickers_count": sum(market.active_tickers for market in stats),
        "daily_records_count": records[Interval.DAILY],
        "hourly_records_count": records[Interval.HOURLY],
        "minute_records_count": records[Interval.MINUTE],
        **_NO_DISK_CACHE,
        "uptime_secs": int(uptime_s),
        "current_system_time": format_moment(int(now.timestamp())),
        "database": {mode.value: _database_report(stores, mode) for mode in markets},
        "workers": {worker.name: _worker_report(worker) for of_market in workers.values() for worker in of_market},
        "providers": {mode.value: _provider_report(stores, mode, workers[mode]) for mode in markets},
        "fallback_to_csv": stores.settings.fallback_to_csv,
        "version": VERSION,
    }


def _stats(stores: Stores, mode: Mode) -> DatabaseStats | None:
    try:
        return stores.db_manager.stats(mode)
    except StoreError:  # not swallowed: `database` carries it
        return None


def _workers(stores: Stores, now: datetime) -> dict[Mode, list[Worker]]:
    """The workers of each market; none for a market whose database cannot be read."""
    workers: dict[Mode, list[Worker]] = {mode: [] for mode in stores.settings.markets}
    for mode in workers:
        with suppress(StoreError):  # not swallowed: `database` carries it
            workers[mode] = workers_of(stores, mode, int(now.timestamp()))
    return workers


def _sync_report(workers: Mapping[Mode, Sequence[Worker]]) -> dict[str, object]:
    """The fields that older clients read."""
    states: dict[str, list[WorkerState]] = {field: [] for field in (*LAST_SYNC_FIELDS, *ITERATION_FIELDS)}
    for mode, of_market in workers.items():
        fields = {each.worker: each.health_fields for thread in market_of(mode).threads.values() for each in thread}
        for worker in of_market:
            for field in fields.get(worker.name, ()):  # a worker of an earlier program has none
                states[field].append(worker.state)
    last_syncs = {field: _last_sync(states[field]) for field in LAST_SYNC_FIELDS}
    return last_syncs | {field: _iterations(states[field]) for field in ITERATION_FIELDS}


def _last_sync(states: Sequence[WorkerState]) -> str | None:
    return _moment(max((state.last_sync for state in states if state.last_sync is not None), default=None))


def _iterations(states: Sequence[WorkerState]) -> int:
    return sum(state.iterations for state in states)


def _worker_report(worker: Worker) -> dict[str, object]:
    state = worker.state
    return {
        "state": worker.condition.value,
        "heartbeat": _moment(state.heartbeat_at),
        "iterations": state.iterations,
        "last_sync": _moment(state.last_sync),
        "last_error": state.last_error,
        "last_error_at": _moment(state.last_error_at),
        "rows_written": state.rows_written,
        "cycle_seconds": None if state.cycle_seconds is None else round(state.cycle_seconds, 3),
        "source": state.source,
        "source_state": state.source_state,
    }


def _provider_report(stores: Stores, mode: Mode, workers: Sequence[Worker]) -> dict[str, object]:
    """The source of the market and how it was in the latest cycle of any worker, with the series that it was asked and
    that it gave. They are null before the first cycle.

    `filled_by`: the source that the stored bars come from. It is null when that is not known.
    """
    cycles = [worker.state for worker in workers if worker.state.source is not None]
    latest = max(cycles, key=_last_heard, default=None)
    asked = None if latest is None else latest.cycle_calls
    return {
        "name": stores.settings.source(mode) if latest is None else latest.source,
        "state": None if latest is None else latest.source_state,
        "series_asked": asked,
        "series_given": None if latest is None or asked is None else asked - (latest.cycle_errors or 0),
        "filled_by": _filled_by(stores, mode),
        **_preference_report(stores, mode),
    }


def _preference_report(stores: Stores, mode: Mode) -> dict[str, object]:
    """Of a market with several sources: the one that is asked now, since when and why; both null while it has always
    been so.
    """
    known = preference_of(stores, mode)
    if len(known.sources) == 1:
        return {}
    return {
        "asked": known.source,
        "preferred": known.sources[0],
        "changed_at": _moment(known.since),
        "changed_because": known.why,
    }


def _filled_by(stores: Stores, mode: Mode) -> str | None:
    with suppress(StoreError):  # not swallowed: the worker's start raises it again
        return source_of(stores, mode)
    return None


def _last_heard(state: WorkerState) -> int:
    return max(state.last_sync or 0, state.last_error_at or 0)


def _memory_report(memory: Memory) -> dict[str, object]:
    return {
        "memory_usage_bytes": memory.used_bytes,
        "memory_usage_mb": round(memory.used_bytes / _MIB, 2),
        "memory_limit_mb": memory.limit_bytes // _MIB,
        "memory_usage_percent": round(memory.used_bytes / memory.limit_bytes * 100, 2),
    }


def _database_report(stores: Stores, mode: Mode) -> dict[str, object]:
    health = stores.db_manager.health(mode)
    return {
        "path": _as_configured(Path(health.path)),
        "size_bytes": health.size_bytes,
        "schema_version": health.schema_version,
        "reachable": health.reachable,
        # An error of the operating system names the file by its full path.
        "error": health.error and health.error.replace(health.path, _as_configured(Path(health.path))),
        "last_integrity_check": health.last_integrity_check,
        "last_verification": _verification_report(stores, mode),
    }


def _verification_report(stores: Stores, mode: Mode) -> dict[str, object] | None:
    """The latest verification; None before the first one, or when the database cannot be read."""
    last = None
    with suppress(StoreError):  # not swallowed: `error` carries it
        last = stores.bookkeeping.last_verification(mode)
    if last is None:
        return None
    return {
        "at": format_moment(last.done_at),
        "result": last.result,
        "integrity": last.integrity,
        "series": last.series,
        "bars": last.bars,
        "differing": last.differing,
        "left": last.left,
        "rebuilt": bool(last.is_rebuilt),
        "seconds": round(last.seconds, 3),
    }


def _as_configured(path: Path) -> str:
    """The path relative to the working directory if it is inside, so that the default is shown as `vn_data.db`."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else format_moment(seconds)


def unready_reason(stores: Stores) -> str | None:
    """Why neither store of some market can answer, without paths; None when every market can be answered."""
    for mode in stores.settings.markets:
        sqlite_reason = _sqlite_unready_reason(stores, mode)
        csv_reason = _csv_unready_reason(stores.settings, mode)
        if sqlite_reason and csv_reason:
            return f"market {mode.value}: {sqlite_reason}, and {csv_reason}"
    return None


def troubled_workers(stores: Stores, now: datetime) -> dict[str, str]:
    """The workers that are `stale` or `dead`, by name; empty when there are none.

    Workers of a database that cannot be read are not included.
    """
    return {
        worker.name: worker.condition.value
        for of_market in _workers(stores, now).values()
        for worker in of_market
        if worker.condition is not Condition.OK
    }


def _sqlite_unready_reason(stores: Stores, mode: Mode) -> str | None:
    if not stores.settings.sqlite_reads:
        return "SQLITE_READS is off"
    health = stores.db_manager.health(mode)
    if not health.reachable:
        return "its database cannot be read"
    if (health.schema_version or 0) < _latest_schema_version(mode):
        return f"its database has schema version {health.schema_version}, not {_latest_schema_version(mode)}"
    return None


def _csv_unready_reason(settings: Settings, mode: Mode) -> str | None:
    if settings.sqlite_reads and not settings.fallback_to_csv:
        return "FALLBACK_TO_CSV is off"
    directory = settings.data_dir(mode)
    is_readable = directory.is_dir() and os.access(directory, os.R_OK | os.X_OK)
    return None if is_readable else "its CSV directory cannot be read"


@cache
def _latest_schema_version(mode: Mode) -> int:
    return known_migrations(mode)[-1].version
