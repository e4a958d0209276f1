"""Which source filled a market, and each of its series. No other source may continue the bars without consent.

Bars of two sources do not fit together: one source may be invented, or their volumes are those of different exchanges.
The name of the source is in the database and in a file beside the CSV files, so each store has it. Settings that name
several sources are consent that these continue each other, but not blindly: `services.ingest.sync` compares the bars.
"""

import json
import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError, ForeignSourceError, SqliteError
from stockapi.machine import parse_json, read_regular
from stockapi.markets import market_of
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_moment
from stockapi.services.durable import csv_errors, make_directory, replace_file
from stockapi.services.series_sources import NOBODY, Origin
from stockapi.services.stores import Stores

log = logging.getLogger(__name__)

FILE_NAME: Final = "source.json"


def source_of(stores: Stores, mode: Mode) -> str | None:
    """The source that filled the market; None when it is not known.

    If the file and the database have two names, both are returned. If no name was recorded, it is the source of the
    workers.

    :raises CsvError: when the file cannot be read.
    """
    marks = {name for name in (_in_file(stores.settings, mode), _in_database(stores, mode)) if name is not None}
    if not marks:
        with suppress(SqliteError):  # not swallowed: work on the database raises it again
            states = stores.bookkeeping.worker_states(mode).values()
            marks = {state.source for state in states if state.source is not None}
    return " and ".join(sorted(marks)) if marks else None


def require_source(stores: Stores, mode: Mode) -> None:
    """Check the source. Call it before anything is written, also before a repair, which could mix bars of two sources.

    Any source may fill a market without bars, or a market whose source is not known because it was imported.

    :raises ForeignSourceError: when another source than that of the settings filled the market.
    """
    if stores.settings.sqlite_writes and stores.settings.database_path(mode).exists():
        with suppress(SqliteError):  # not swallowed: work on the database raises it again
            stores.db_manager.upgrade(mode)
    held, allowed = source_of(stores, mode), stores.settings.origins(mode)
    if held is None or held in allowed or not _has_bars(stores, mode):
        return
    names, wanted = market_of(mode).settings, allowed[0]
    raise ForeignSourceError(
        f"{mode.value} was filled by {held}, and {wanted} does not continue its bars; name other places for {wanted} "
        f"({names.data_dir.upper()}, {names.database_path.upper()}), go back to {held}, "
        f"or let {wanted} go on all the same: flask data adopt --mode {mode.value}"
    )


def origin_of(stores: Stores, key: SeriesKey) -> Origin | None:
    """Where the bars of the series come from: its own origin, or the source of the market; None when it is not known.

    :raises CsvError: as `source_of`.
    """
    own = stores.series_sources.of(key)
    if own is not None:
        return own
    held = source_of(stores, key.mode)
    return None if held is None else Origin(held)


def is_from_another(stores: Stores, key: SeriesKey, name: str) -> bool:
    """Whether the stored bars of the series come from another source than this one of the settings.

    :raises CsvError: as `source_of`.
    """
    if _is_of_one_source(stores, key):
        return False
    origin = origin_of(stores, key)
    return origin is not None and origin.source != name


def may_be_continued(stores: Stores, key: SeriesKey, name: str) -> bool:
    """Whether this source may go on with bars of another one, where both agree in the newest: not if their replacement
    was interrupted, and not if it has the whole history of the days. All three intervals must be of one level.

    :raises CsvError: as `source_of`.
    """
    of_days = origin_of(stores, key._replace(interval=Interval.DAILY))
    return NOBODY not in (origin_of(stores, key), of_days) and of_days != Origin(name)


def record_series_source(stores: Stores, key: SeriesKey, name: str, since: int = 0) -> None:
    """Record that the bars of the series from `since` on (Unix seconds; 0: all of them) are those of this source.

    :raises CsvError: when a file cannot be read or written.
    """
    if _is_of_one_source(stores, key):
        return
    if since == 0 and name == source_of(stores, key.mode):
        stores.series_sources.forget(key)
    elif stores.series_sources.of(key) != Origin(name, since):
        stores.series_sources.put(key, Origin(name, since))


def _is_of_one_source(stores: Stores, key: SeriesKey) -> bool:
    """Whether the market has had one source only: `require_source` has looked at that."""
    return len(stores.settings.sources(key.mode)) == 1 and stores.series_sources.of(key) is None


def record_source(stores: Stores, mode: Mode, now: datetime) -> None:
    """Record that the preferred source of the settings fills the market from now on, unless one of them has done so.

    :raises CsvError: when the file cannot be read or written.
    :raises SqliteError: when the database cannot be written and FALLBACK_TO_CSV is off.
    """
    held, allowed, seconds = source_of(stores, mode), stores.settings.origins(mode), int(now.timestamp())
    # Series without an origin of their own are of this source, so another order of the settings must not change it.
    name = held if held in allowed else allowed[0]
    if _in_file(stores.settings, mode) != name:
        path = _path(stores.settings, mode)
        with csv_errors(path):
            make_directory(path.parent)
            replace_file(path, json.dumps({"source": name, "since": format_moment(seconds)}).encode() + b"\n")
    if not stores.settings.sqlite_writes or _in_database(stores, mode) == name:
        return
    try:
        stores.bookkeeping.record_source(mode, name, seconds)
    except SqliteError as exc:
        if not stores.settings.fallback_to_csv:
            raise
        log.error("the %s database does not record its source; the file does: %s", mode.value, exc)


def _has_bars(stores: Stores, mode: Mode) -> bool:
    if stores.csv_store.tickers(mode):
        return True
    with suppress(SqliteError):  # not swallowed: work on the database raises it again
        return bool(stores.sqlite_store.ledger(mode))
    return False


def _in_database(stores: Stores, mode: Mode) -> str | None:
    with suppress(SqliteError):  # a database that is missing, damaged or older has no say: the file has
        return stores.bookkeeping.source(mode)
    return None


def _in_file(settings: Settings, mode: Mode) -> str | None:
    path = _path(settings, mode)
    with csv_errors(path), suppress(FileNotFoundError):
        return _parsed(path, read_regular(path))
    return None


def _parsed(path: Path, data: bytes) -> str:
    try:
        name = parse_json(data)["source"]
    except (ValueError, LookupError, TypeError):
        name = None
    if not isinstance(name, str) or not name:
        raise CsvError(f'{path} is not as it was written; allowed: {{"source": "<name>"}}, or no such file')
    return name


def _path(settings: Settings, mode: Mode) -> Path:
    return settings.data_dir(mode) / FILE_NAME
