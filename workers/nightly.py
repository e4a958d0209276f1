"""Verify and repair both stores of each market once a night, while the market is quiet."""

import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from stockapi.errors import AppError
from stockapi.logs import key_values
from stockapi.markets import market_of
from stockapi.models.mode import Mode
from stockapi.services.stores import Stores
from stockapi.services.upkeep.reconcile import SeriesReport
from stockapi.services.upkeep.verification import CheckOptions, verify_and_repair
from workers.clocks import Clocks
from workers.loop import REPAIRING

log = logging.getLogger(__name__)

FIRST_CHECK_AFTER_S: Final = 600.0
"""A start has other work to do. Without this wait, a process that restarts again and again would always verify."""
_CHECK_EVERY_S: Final = 60.0
_RETRY_AFTER_S: Final = 3_600.0
_LONGEST_PAUSE_S: Final = 1.0


def is_due(mode: Mode, last_done: int | None, now: datetime) -> bool:
    """Whether a quiet hour has begun since the last verification (Unix seconds; None: there was none). A time to come
    was recorded by a clock that was ahead; it does not count.

    If no worker ran at the quiet hour, the verification is due later, while the market is closed. If the market never
    closes, it is due at any time.
    """
    market = market_of(mode)
    local = now.astimezone(market.quiet_from.tzinfo)
    quiet = datetime.combine(local.date(), market.quiet_from)
    if quiet > local:
        quiet -= timedelta(days=1)
    if last_done is not None and quiet.timestamp() <= last_done <= now.timestamp():
        return False
    return market.calendar.session is None or not market.calendar.is_trading_hours(now)


class NightlyVerification:
    """The work of a thread: it checks every minute whether a market is due, until `stop` is set."""

    def __init__(
        self,
        stores: Stores,
        modes: Sequence[Mode],
        stop: threading.Event,
        clocks: Clocks,
    ) -> None:
        self._modes = modes
        self._stores = stores
        self._stop = stop
        self._clock = clocks.now
        self._monotonic = clocks.monotonic
        self._not_before = dict.fromkeys(modes, clocks.monotonic() + FIRST_CHECK_AFTER_S)

    def run(self) -> None:
        try:
            while not self._stop.wait(_CHECK_EVERY_S):
                self.verify_due()
        finally:
            self._stores.db_manager.close_readers()

    def verify_due(self) -> None:
        """Verify the markets that are due. An error is logged, and the next attempt is an hour later."""
        if not self._stores.settings.sqlite_writes:
            return
        for mode in self._modes:
            if self._monotonic() < self._not_before[mode] or self._stop.is_set():
                continue
            try:
                last = self._stores.bookkeeping.last_verification(mode)
                if is_due(mode, None if last is None else last.done_at, self._clock()):
                    self._verify(mode)
            except AppError as exc:
                self._not_before[mode] = self._monotonic() + _RETRY_AFTER_S
                if not self._stop.is_set():
                    log.error(key_values(event="verification_failed", mode=mode.value, error=exc))
            except Exception:
                self._not_before[mode] = self._monotonic() + _RETRY_AFTER_S
                log.exception(key_values(event="verification_failed", mode=mode.value))

    def _verify(self, mode: Mode) -> None:
        with REPAIRING[mode]:
            before, done, left = verify_and_repair(
                self._stores,
                mode,
                self._clock,
                CheckOptions(stop=self._stop, others_write=True, watch=self._gently),
            )
        for report in before.differing:
            why = "" if report.evidence is None else f"; {report.evidence.value}"
            log.warning("%s: %s%s", report.key, ", ".join(report.problems), why)
        log.info(
            key_values(
                event="verified",
                mode=mode.value,
                series=len(before.reports),
                bars=before.bars,
                integrity=before.integrity,
                differing=len(before.differing),
                left=len(left.differing),
                rebuilt=done.is_rebuilt,
            )
        )

    def _gently(self, reports: Iterator[SeriesReport]) -> Iterator[SeriesReport]:
        """Pause after each series as long as it took, but at most a second. So readers have half of the time."""
        started = self._monotonic()
        for report in reports:
            yield report
            self._stop.wait(min(self._monotonic() - started, _LONGEST_PAUSE_S))
            started = self._monotonic()
