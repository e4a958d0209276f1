"""The metrics of the databases at a scrape of /metrics: workers, stored bars, age of the newest bar."""

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from stockapi.config import Settings
from stockapi.errors import StoreError
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.database_manager import DatabaseStats
from stockapi.services.ingest.preference import Preference
from stockapi.services.ingest.sources import preference_of
from stockapi.services.status.worker_status import Condition, Worker, workers_of
from stockapi.services.stores import Stores

_BY_MODE = ("mode",)
_BY_WORKER = ("mode", "worker")
_BY_INTERVAL = ("mode", "interval")


class StoreCollector(Collector):
    """Reads the ledger and the bookkeeping tables at each scrape. The time grows with tickers, not with bars.

    A database that cannot be read gives `stockapi_database_up` 0, and no other metric from its tables.
    """

    def __init__(
        self,
        stores: Stores,
        clock: Callable[[], datetime],
    ) -> None:
        self._stores = stores
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        now = int(self._clock().timestamp())
        stored, worked, files, sources = _StoredMetrics(), _WorkerMetrics(), _FileMetrics(), _SourceMetrics()
        for mode in self._stores.settings.markets:
            if len(self._stores.settings.sources(mode)) > 1:
                sources.add(mode, preference_of(self._stores, mode))
            try:
                stats = self._stores.db_manager.stats(mode)
                workers = workers_of(self._stores, mode, now)
            except StoreError:  # not swallowed: `up` reports it
                files.add(self._stores.settings, mode, is_up=False)
                continue
            files.add(self._stores.settings, mode, is_up=True)
            stored.add(mode, stats, now)
            for worker in workers:
                worked.add(mode, worker)
        for group in (files, stored, worked):
            yield from vars(group).values()
        yield from (family for family in vars(sources).values() if family.samples)


class _FileMetrics:
    """Metrics of the database files."""

    def __init__(self) -> None:
        self.up = GaugeMetricFamily(
            "stockapi_database_up", "1 when the database can be read, 0 when not.", labels=_BY_MODE
        )
        self.wal_size = GaugeMetricFamily(
            "stockapi_database_wal_size_bytes", "Size of the write-ahead log; 0 without one.", labels=_BY_MODE
        )

    def add(self, settings: Settings, mode: Mode, *, is_up: bool) -> None:
        self.up.add_metric([mode.value], is_up)
        path = settings.database_path(mode)
        try:
            size = path.with_name(f"{path.name}-wal").stat().st_size
        except FileNotFoundError:
            size = 0
        except OSError:
            return  # unknown is not 0
        self.wal_size.add_metric([mode.value], size)


class _SourceMetrics:
    """Which source is asked, of the markets that have several."""

    def __init__(self) -> None:
        self.asked = GaugeMetricFamily(
            "stockapi_source_asked", "1 for the source that is asked, 0 for the others.", labels=("mode", "source")
        )
        self.changed = GaugeMetricFamily(
            "stockapi_source_changed_timestamp_seconds",
            "When it was last changed; absent while it has not been.",
            labels=_BY_MODE,
        )

    def add(self, mode: Mode, preference: Preference) -> None:
        for source in preference.sources:
            self.asked.add_metric([mode.value, source], source == preference.source)
        if preference.since is not None:
            self.changed.add_metric([mode.value], preference.since)


class _StoredMetrics:
    """Metrics of the bars, by market and interval."""

    def __init__(self) -> None:
        self.bars = GaugeMetricFamily("stockapi_stored_bars", "Bars in the database.", labels=_BY_INTERVAL)
        self.newest_age = GaugeMetricFamily(
            "stockapi_newest_bar_age_seconds", "Since the newest bar opened.", labels=_BY_INTERVAL
        )

    def add(self, mode: Mode, stats: DatabaseStats, now: int) -> None:
        for interval in Interval:
            labels = [mode.value, interval.value]
            self.bars.add_metric(labels, stats.records[interval])
            newest = stats.newest[interval]
            if newest is not None:
                self.newest_age.add_metric(labels, now - newest)


class _WorkerMetrics:
    """Metrics of the workers. Counts are totals since the database was created."""

    def __init__(self) -> None:
        self.state = GaugeMetricFamily(
            "stockapi_worker_state", "1 for the state it is in: ok, stale or dead.", labels=(*_BY_WORKER, "state")
        )
        self.cycles = CounterMetricFamily("stockapi_worker_cycles", "Cycles it has run.", labels=_BY_WORKER)
        self.cycle_duration = GaugeMetricFamily(
            "stockapi_worker_last_cycle_duration_seconds", "How long its latest cycle took.", labels=_BY_WORKER
        )
        self.rows_written = CounterMetricFamily("stockapi_worker_rows_written", "Rows written.", labels=_BY_WORKER)
        self.source_calls = CounterMetricFamily(
            "stockapi_worker_source_calls", "Series asked of its source.", labels=_BY_WORKER
        )
        self.source_errors = CounterMetricFamily(
            "stockapi_worker_source_errors", "Series its source has failed to give.", labels=_BY_WORKER
        )

    def add(self, mode: Mode, worker: Worker) -> None:
        state, labels = worker.state, [mode.value, worker.name]
        for condition in Condition:
            self.state.add_metric([*labels, condition.value], worker.condition is condition)
        self.cycles.add_metric(labels, state.iterations)
        if state.cycle_seconds is not None:
            self.cycle_duration.add_metric(labels, state.cycle_seconds)
        self.rows_written.add_metric(labels, state.rows_written)
        self.source_calls.add_metric(labels, state.source_calls)
        self.source_errors.add_metric(labels, state.source_errors)
