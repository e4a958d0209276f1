"""The loop of every worker: when its jobs are due, what a cycle does, what it records for others to read."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

import schedule

from stockapi.errors import (
    AppError,
    ProviderError,
    ProviderStoppedError,
    SqliteError,
    SqliteFault,
    StoreError,
)
from stockapi.logs import key_values
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.base import Provider
from stockapi.services.database_manager.bookkeeping import Cycle
from stockapi.services.ingest.newest import newest_closings
from stockapi.services.ingest.sources import LOST_AFTER, Sources
from stockapi.services.ingest.sync import Wanted, sync_ticker
from stockapi.services.stores import Stores
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.upkeep.reconcile import DAMAGE, rebuild, reconcile_out_of_step
from workers.clocks import Clocks
from workers.forming import FormingBars
from workers.jobs import Job
from workers.tally import Tally

log = logging.getLogger(__name__)

_CHECK_EVERY_S: Final = 1.0
_BEAT_EVERY_S: Final = 10.0
_CLOCK_SLACK_S: Final = 5.0
"""If wall clock and monotonic clock differ by more than this about when a job is due, the monotonic clock decides."""
_REPAIR_AGAIN_AFTER_S: Final = 60.0
_REPAIR_AGAIN_AFTER_TIMES: Final = 10
"""The wait after a failed repair: a minute, or ten times as long as the repair took. That is minutes for a large
database.
"""
_PAUSE_TIMES: Final = 4
"""The pause after each series, as a multiple of its CPU time: a thread uses at most a fifth of a core.

With two busy cores and cycles without a break, the 99th percentile of most requests was 1.0 to 1.3 times that of a
system at rest, at worst 1.6 times. Without pauses it was twice as long, at any priority.
"""

WAL_ALARM_BYTES: Final = 64 << 20

REPAIRING: Final = {mode: threading.Lock() for mode in Mode}
"""A thread must hold this lock to replace the database of the market."""


class WorkerLoop:
    """Runs jobs of one market in one thread until `stop` is set. An error in a job does not end it."""

    def __init__(
        self,
        stores: Stores,
        jobs: Sequence[Job],
        source: Provider | Sources,
        stop: threading.Event,
        clocks: Clocks,
    ) -> None:
        self._jobs = jobs
        self._sources = Sources.of(stores, source)
        self._provider = self._sources.current
        """The source of this cycle, and until the next one."""
        self._stores = stores
        self._stop = stop
        self._clock = clocks.now
        self._monotonic = clocks.monotonic
        self._cpu_seconds = clocks.cpu_seconds
        self._scheduler = schedule.Scheduler()  # one a thread: `schedule` keeps its jobs in a plain list
        self._due: dict[str, float] = {}
        self._beaten = float("-inf")
        self._forming = FormingBars()
        self._damaged: tuple[int, int] | None = None
        """The database file in which this cycle found damage, as `DatabaseManager.file` returns it; None for none."""
        self._repair_not_before = float("-inf")

    def run(self) -> None:
        """Run each job when it is due, until `stop` is set. A run in an earlier process counts too."""
        for job in self._jobs:
            self._schedule(job, self._first_delay_s(job))
            self._resume_forming(job)
        try:
            while not self._stop.is_set():
                self._tick()
                self._stop.wait(_CHECK_EVERY_S)
        finally:
            self._stores.db_manager.close_readers()

    def run_once(self) -> int:
        """Run each job now, once, the longest neglected first; if another source is to be asked then, once more.

        :returns: the number of series that failed.
        """
        failed = 0
        for job in sorted(self._jobs, key=self._last_sync):
            failed += self._guarded_cycle(job)
            if self._provider is not self._sources.current:
                failed += self._guarded_cycle(job)
        return failed

    def neglected_since(self) -> int:
        """When the job that was not successful for the longest time was so last (Unix seconds); 0 for never."""
        return min(map(self._last_sync, self._jobs))

    def _tick(self) -> None:
        self._scheduler.run_pending()
        for job in self._jobs:
            # `schedule` uses the wall clock: if it is set back by an hour, `schedule` would sleep for an hour.
            if self._monotonic() > self._due[job.worker] + _CLOCK_SLACK_S and not self._stop.is_set():
                log.warning(key_values(event="clock_moved", worker=job.worker))
                self._run_and_reschedule(job)
        self._fetch_closed()
        self._beat()

    def _schedule(self, job: Job, delay_s: float) -> None:
        self._scheduler.clear(job.worker)
        self._due[job.worker] = self._monotonic() + delay_s
        waiting = self._scheduler.every(max(1, round(delay_s))).seconds.do(self._run_and_reschedule, job)
        waiting.tag(job.worker)
        if delay_s <= 0.0:
            # `schedule` accepts no interval of 0 seconds, and uses local time.
            waiting.next_run = self._clock().astimezone().replace(tzinfo=None)

    def _run_and_reschedule(self, job: Job) -> type[schedule.CancelJob]:
        started = self._monotonic()
        if not self._stop.is_set():
            self._guarded_cycle(job)
        spent = self._monotonic() - started
        is_current = self._provider is self._sources.current
        self._schedule(job, max(0.0, job.due_every_s(self._clock()) - spent) if is_current else 0.0)
        return schedule.CancelJob

    def _first_delay_s(self, job: Job) -> float:
        """The seconds until the first cycle. The last cycle counts, even if it was in another process."""
        now = self._clock()
        due_at = self._last_sync(job) + job.due_every_s(now)
        return max(0.0, min(job.due_every_s(now), due_at - now.timestamp()))

    def _last_sync(self, job: Job) -> int:
        """When a cycle of the job was successful last, in any process (Unix seconds); 0 for never."""
        try:
            state = self._stores.bookkeeping.worker_states(job.mode).get(job.worker)
        except AppError as exc:
            log.error("%s begins at once, for its last cycle is not known: %s", job.worker, exc)
            return 0
        return 0 if state is None or state.last_sync is None else state.last_sync

    def _guarded_cycle(self, job: Job) -> int:
        """Run a cycle. An error is logged and counted, and the next cycle tries again.

        :returns: the number of series that failed; 1 when the cycle ended with another error.
        """
        try:
            return self._cycle(job)
        except StoreError as exc:
            log.error(key_values(event="cycle_failed", worker=job.worker, error=str(exc)))
            return 1
        except Exception:
            log.exception(key_values(event="cycle_failed", worker=job.worker))
            return 1

    def _cycle(self, job: Job) -> int:
        self._damaged = None
        try:
            return self._bring_up_to_date(job)
        finally:
            # Also when nothing could be written: on a full disk this frees the log.
            self._checkpoint(job.mode)

    def _bring_up_to_date(self, job: Job) -> int:
        started = self._monotonic()
        tally = Tally()
        self._sources.look_back(self._clock())
        self._provider = self._sources.current
        has_tried = not self._is_usable(job.mode) and self._repair(job.mode, reconcile_out_of_step)
        try:
            tickers = job.tickers(self._provider)
        except AppError as exc:
            tickers = []
            tally.has_refused, tally.source_error = True, str(exc)
            tally.fail(str(exc))
        self._sync_all(job, tickers, tally)
        seconds = self._monotonic() - started
        if tally.series and not self._stop.is_set():
            self._sources.cycle_ended(job.worker, self._provider, tally.source_failure, self._clock())
        try:
            self._report(job, tally, seconds)
        except SqliteError as exc:
            self._note(job.mode, exc.fault)
            raise
        finally:
            # If another thread has replaced the file meanwhile, the new file is not the damaged one.
            if self._damaged is not None and not has_tried and self._damaged == self._stores.db_manager.file(job.mode):
                self._repair(job.mode, rebuild)
        return tally.failed

    def _is_usable(self, mode: Mode) -> bool:
        """Whether each table of bars can be read. Damage further inside is found, and noted, when a series is saved."""
        if not self._stores.settings.sqlite_writes:
            return True
        if not self._stores.db_manager.health(mode).reachable:
            return False
        try:
            self._stores.sqlite_store.require_tables(mode)
        except SqliteError:
            return False
        return True

    def _repair(self, mode: Mode, repair: Callable[..., object]) -> bool:
        """Rebuild a missing or damaged database from CSV, in one thread. The other threads continue.

        :param repair: `reconcile_out_of_step`, which checks first whether the database is damaged, or `rebuild`.
        :returns: whether it was tried.
        """
        started = self._monotonic()
        if started < self._repair_not_before or not REPAIRING[mode].acquire(blocking=False):
            return False
        try:
            repair(self._stores, mode, self._clock(), self._stop)
        except StoreError as exc:
            log.error("the %s database could not be repaired: %s", mode.value, exc)
            is_well = False
        else:
            is_well = self._is_usable(mode)
        finally:
            REPAIRING[mode].release()
        if not is_well:
            ended = self._monotonic()
            self._repair_not_before = ended + max(_REPAIR_AGAIN_AFTER_S, _REPAIR_AGAIN_AFTER_TIMES * (ended - started))
        return True

    def _note(self, mode: Mode, fault: SqliteFault | None) -> None:
        """Note the damage that a save or a report found. A busy, full or unreachable database is not damaged."""
        if fault in DAMAGE and self._damaged is None:
            self._damaged = self._stores.db_manager.file(mode)

    def _sync_all(self, job: Job, tickers: Sequence[str], tally: Tally) -> None:
        keys = [SeriesKey(job.mode, ticker, interval) for interval in job.intervals for ticker in tickers]
        # A source that gives some answers and then refuses would otherwise never be asked for the last ones.
        keys = self._stores.turns.in_turn(job.mode, job.worker, keys)
        for number, key in enumerate(keys):
            computed = self._cpu_seconds()
            if self._stop.is_set() or not self._sync_one(key, tally, job):
                self._stores.turns.broke_off(job.mode, job.worker, keys, number)
                return
            self._fetch_closed()
            self._beat()
            self._stop.wait(_PAUSE_TIMES * (self._cpu_seconds() - computed))
        if keys:
            self._stores.turns.completed(job.mode, job.worker)

    def _resume_forming(self, job: Job) -> None:
        """Note the series that an earlier process has left with a bar that is not known to be closed."""
        if self._stop.is_set():
            return
        try:
            tickers = job.tickers(self._provider)
            keys = [SeriesKey(job.mode, ticker, interval) for interval in job.intervals for ticker in tickers]
            found = newest_closings(self._stores, keys, self._clock())
        except AppError as exc:
            log.error("%s does not know which bars are still forming: %s", job.worker, exc)
            return
        for key, closes in found.items():
            self._forming.note(key, closes, job.due_every_s)

    def _fetch_closed(self) -> None:
        """Fetch the series again whose newest bar has closed meanwhile."""
        now, tally = self._clock().timestamp(), Tally()
        due = self._forming.take_due(now)
        for number, key in enumerate(due, start=1):
            computed, failed = self._cpu_seconds(), tally.failed
            if self._stop.is_set():
                return
            is_refused = not self._sync_one(key, tally)
            if is_refused or tally.failed > failed:
                self._forming.put_back([key], now)
            if is_refused:
                self._forming.put_back(due[number:], now)
                break
            self._beat()
            self._stop.wait(_PAUSE_TIMES * (self._cpu_seconds() - computed))
        if due:
            log.info(key_values(event="closed_bars", series=tally.series, rows=tally.rows_written, failed=tally.failed))

    def _sync_one(self, key: SeriesKey, tally: Tally, job: Job | None = None) -> bool:
        """:param job: None when the series is fetched for its closed bars. A forming bar is not stored then: the series
            would have to be fetched again for that one, and so on.
        :returns: False when the cycle must end, because further requests would be useless or harmful.
        """
        tally.series += 1
        wanted = Wanted.CLOSED if job is None else Wanted.NEW
        try:
            stats = sync_ticker(self._stores, self._provider, key, self._clock(), wanted=wanted)
        except ProviderStoppedError:
            return False
        except ProviderError as exc:
            is_lost = self._sources.has_others and tally.failed_in_a_row + 1 >= LOST_AFTER
            tally.fail_at_source(exc, ends=exc.stops_cycle or is_lost)
            tally.fail(f"{key}: {exc}")
            log.warning("%s: %s", key, exc)
            return not tally.has_refused
        except StoreError as exc:
            # The message says what is wrong, and with which file. It comes at every cycle until that is repaired.
            tally.fail(f"{key}: {exc}")
            log.warning("%s failed: %s", key, exc)
            self._note(key.mode, exc.fault if isinstance(exc, SqliteError) else None)
            return True
        except Exception as exc:
            # The failure of one series must not stop the others.
            tally.fail(f"{key}: {exc}")
            log.exception("%s failed", key)
            return True
        if job is not None:
            self._forming.note(key, stats.forming_until, job.due_every_s)
        else:
            self._forming.done(key)
        tally.failed_in_a_row = 0
        tally.rows_written += stats.saved.rows
        if stats.waits_for:
            tally.last_error = f"{key}: {stats.told_to_wait}"
        if stats.saved.sqlite_error is not None:
            tally.last_error = stats.saved.sqlite_error
        self._note(key.mode, stats.saved.sqlite_fault)
        return True

    def _checkpoint(self, mode: Mode) -> None:
        """Copy the write-ahead log into the database. If the log still grows, some reader never ends."""
        self._stores.db_manager.checkpoint(mode)
        log_bytes = DatabaseUtils(self._stores.db_manager).sizes(mode).write_ahead_log
        if log_bytes > WAL_ALARM_BYTES:
            log.warning(key_values(event="write_ahead_log_large", mode=mode.value, bytes=log_bytes))

    def _report(self, job: Job, tally: Tally, seconds: float) -> None:
        now = int(self._clock().timestamp())
        cycle = Cycle(
            worker=job.worker,
            due_every_s=job.due_every_s(self._clock()),
            cycle_seconds=seconds,
            rows_written=tally.rows_written,
            source=self._provider.name,
            source_state=tally.source_state,
            source_calls=tally.series,
            source_errors=tally.source_errors,
            last_sync=now if tally.series > tally.failed else None,
            last_error=tally.last_error,
        )
        log.info(
            key_values(
                event="cycle",
                worker=job.worker,
                source=cycle.source,
                series=tally.series,
                rows=tally.rows_written,
                failed=tally.failed,
                seconds=seconds,
            )
        )
        self._stores.bookkeeping.record_cycle(job.mode, cycle, now)

    def _beat(self) -> None:
        """Record from time to time that this thread is alive. An error here does not stop the thread."""
        if self._monotonic() - self._beaten < _BEAT_EVERY_S:
            return
        self._beaten = self._monotonic()
        now = self._clock()
        for job in self._jobs:
            try:
                self._stores.bookkeeping.beat(job.mode, job.worker, job.due_every_s(now), int(now.timestamp()))
            except AppError as exc:
                log.error("no heartbeat of %s: %s", job.worker, exc)
