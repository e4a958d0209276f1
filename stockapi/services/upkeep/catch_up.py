"""Bring SQLite up to CSV as soon as it can be written again."""

import logging
from collections.abc import Callable
from datetime import datetime
from threading import Event

from stockapi.errors import CsvError
from stockapi.models.mode import Mode
from stockapi.services.csv_enhancer import reconcile_if_out_of_step
from stockapi.services.stores import Stores
from stockapi.services.upkeep.database_utils import DatabaseUtils

log = logging.getLogger(__name__)


def catch_up(stores: Stores, mode: Mode, clock: Callable[[], datetime], stop: Event) -> bool:
    """Reconcile the series in which SQLite is behind, as far as this process knows. When `stop` is set, it ends after
    the current series.

    :returns: whether none is left.
    :raises SqliteError: when SQLite still cannot be written: one small commit shows it, before any series is read.
    """
    keys = stores.behind.of(mode)
    if not keys:
        return True
    DatabaseUtils(stores.db_manager).record(mode, "catch_up", f"{len(keys)} series", clock())
    for key in keys:
        if stop.is_set():
            return False
        try:
            error = reconcile_if_out_of_step(stores, key, clock())
        except CsvError as exc:
            log.error("%s is left as it is: %s", key, exc)
            continue
        if error is not None:
            return False
    return not stores.behind.of(mode)
