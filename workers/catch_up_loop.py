"""After a save that reached only CSV, bring SQLite up to date as soon as it can be written, not at the next cycle."""

import logging
import threading
from collections.abc import Sequence
from typing import Final

from stockapi.errors import AppError, SqliteError
from stockapi.logs import key_values
from stockapi.models.mode import Mode
from stockapi.services.stores import Stores
from stockapi.services.upkeep.catch_up import catch_up
from stockapi.services.upkeep.reconcile import DAMAGE, reconcile_out_of_step
from workers.clocks import Clocks
from workers.loop import REPAIRING

log = logging.getLogger(__name__)

_CHECK_EVERY_S: Final = 1.0
_AGAIN_AFTER_TIMES: Final = 10
"""The wait after a failed attempt is ten times as long as the attempt: it may have read a whole series."""


class CatchUpLoop:
    """The work of a thread: it checks every second for series in which SQLite is behind, until `stop` is set."""

    def __init__(self, stores: Stores, modes: Sequence[Mode], stop: threading.Event, clocks: Clocks) -> None:
        self._modes = modes
        self._stores = stores
        self._stop = stop
        self._clock = clocks.now
        self._monotonic = clocks.monotonic
        self._not_before = dict.fromkeys(modes, float("-inf"))

    def run(self) -> None:
        try:
            while not self._stop.wait(_CHECK_EVERY_S):
                self.run_once()
        finally:
            self._stores.db_manager.close_readers()

    def run_once(self) -> None:
        """Reconcile these series once. Errors do not end the thread. They are logged, except the one it waits for."""
        for mode in self._modes:
            started = self._monotonic()
            if started < self._not_before[mode]:
                continue
            try:
                is_done = catch_up(self._stores, mode, self._clock, self._stop)
            except SqliteError as exc:
                if exc.fault in DAMAGE:
                    self._repair(mode)
            except AppError as exc:
                log.error(key_values(event="catching_up_failed", mode=mode.value, error=exc))
            except Exception:
                log.exception(key_values(event="catching_up_failed", mode=mode.value))
            else:
                if is_done:
                    continue
            ended = self._monotonic()
            self._not_before[mode] = ended + _AGAIN_AFTER_TIMES * (ended - started)

    def _repair(self, mode: Mode) -> None:
        """Rebuild a damaged database, unless another thread does it already."""
        if not REPAIRING[mode].acquire(blocking=False):
            return
        try:
            reconcile_out_of_step(self._stores, mode, self._clock(), self._stop)
        except AppError as exc:
            log.error("the %s database could not be repaired: %s", mode.value, exc)
        finally:
            REPAIRING[mode].release()
