"""Which source filled a market. No other source may continue its bars without consent.

Bars of two sources do not fit together: one source may be invented, or their volumes are those of different exchanges.
The name of the source is in the database and in a file beside the CSV files, so each store has it.
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
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment
from stockapi.services.durable import csv_errors, make_directory, replace_file
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
    held, wanted = source_of(stores, mode), stores.settings.origin(mode)
    if held is None or held == wanted or not _has_bars(stores, mode):
        return
    names = market_of(mode).settings
    raise ForeignSourceError(
        f"{mode.value} was filled by {held}, and {wanted} does not continue its bars; name other places for {wanted} "
        f"({names.data_dir.upper()}, {names.database_path.upper()}), go back to {held}, "
        f"or let {wanted} go on all the same: flask data adopt --mode {mode.value}"
    )


def record_source(stores: Stores, mode: Mode, now: datetime) -> None:
    """Record that the source of the settings fills the market from now on, unless it is recorded already.

    :raises CsvError: when the file cannot be written.
    :raises SqliteError: when the database cannot be written and FALLBACK_TO_CSV is off.
    """
    name, seconds = stores.settings.origin(mode), int(now.timestamp())
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
