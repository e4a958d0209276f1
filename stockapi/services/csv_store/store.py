"""The tree of CSV files: `<data directory>/<TICKER>/<interval>.csv`. Durable writes, consistent reads.

One process writes (see `writer_lock`), any number read. For a short time there may be, beside a file `1m.csv`:

    .1m.journal            a new tail on its way into the file
    .1m.csv.<...>.tmp      a new file, or journal, on its way to its name

The time of change of the writer's lock file says when a file of the market was last written.
"""

import logging
import os
import re
import time
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import CsvError, LayoutError, QueryError
from stockapi.formats.csv_fast_reader import MAX_TIME, MIN_TIME
from stockapi.formats.csv_format import HEADER, ParsedCsv, format_rows, parse_rows
from stockapi.machine import memory_limit_bytes
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, is_symbol
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE, Window
from stockapi.services import durable, writer_lock
from stockapi.services.csv_store import journal
from stockapi.services.csv_store.journal import FileView
from stockapi.services.csv_store.row_search import HEAD, CanonicalRows, KnownFiles
from stockapi.services.durable import LockedError, csv_errors

log = logging.getLogger(__name__)

FILE_NAMES: Final = {interval: f"{interval.value}.csv" for interval in Interval}
_OLD_NAMES: Final = {Interval.HOURLY: "1h.csv"}
_ALL_NAMES: Final = (*FILE_NAMES.values(), *_OLD_NAMES.values())
_STAMP: Final = re.compile(r"[0-9]+:[0-9]+:(?P<changed_ns>[0-9]{1,20})(?::|$)", re.ASCII)
_READERS_PATIENCE_S: Final = 0.25
"""A writer moves a tail in milliseconds. One that is stopped in mid-write must not hold the threads of the web."""
_PARSED_TIMES: Final = 4
"""While a file is parsed, it takes about so many times its size."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a crashed writer had left. A journal that could not be used counts as a temporary file."""

    journals_finished: int
    temp_files_removed: int


class CsvStore:
    """Reads and writes the series of all markets. Thread-safe, if no two threads write the same series.

    Every method that uses a file raises `CsvError` when the system refuses; the cause is kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known = KnownFiles()
        self._last_written_ns = 0
        self._roots = {mode: os.fspath(settings.data_dir(mode)) for mode in Mode}
        self._notes = {mode: f"{settings.data_dir(mode)}/{writer_lock.FILE_NAME}" for mode in Mode}

    def path(self, key: SeriesKey) -> Path:
        """The path of the file of the series, which need not exist.

        :raises QueryError: when its ticker is not a symbol.
        :raises CsvError: when a symbolic link leads out of the data directory.
        """
        if not is_symbol(key.ticker):
            raise QueryError(f"symbol {key.ticker!r} is not allowed; a symbol is {ALLOWED_SYMBOL}")
        # As texts: a save asks some eight times, and a `Path` of each part takes longer than the two looks at the disk.
        directory = f"{self._roots[key.mode]}/{key.ticker}"
        path = f"{directory}/{FILE_NAMES[key.interval]}"
        may_lead_out = "/" in key.ticker or key.ticker.startswith(".")  # no symbol does: a second look at the same
        if may_lead_out or os.path.islink(path) or os.path.islink(directory):  # noqa: PTH114
            self._require_inside(key.mode, Path(path))
        return Path(path)

    def tickers(self, mode: Mode, *, besides: Container[str] = ()) -> list[str]:
        """The tickers that have at least one file, sorted. Those in `besides` are left out and not checked.

        A ticker whose directory is inaccessible is included: it may have files, and reading them fails. With 287
        tickers, listing the names takes 0.2 ms, and checking all directories 0.8 ms more.
        """
        return [entry.name for entry in self._directories(mode, besides) if _may_hold_a_file(entry.path)]

    def is_within_reach(self, mode: Mode, ticker: str) -> bool:
        """Whether this process may read the directory of the ticker. It needs no file descriptor."""
        directory = self._settings.data_dir(mode) / ticker
        return os.access(directory, os.R_OK | os.X_OK, effective_ids=True)

    def stamp(self, key: SeriesKey) -> str:
        """The stamp of the file: inode, size, time of change. Two states of the file have different stamps. "" when
        there is no file.
        """
        with self._reading(key) as view:
            # Without the device: its number may change when the machine starts.
            if view is None:
                return ""
            (_, *state), journal = view.identity
            return ":".join(map(str, [*state, journal])).rstrip(":")

    def read(self, key: SeriesKey, window: Window = WHOLE) -> ParsedCsv:
        """The bars of the window, with its warm-up before them. No file: no bars.

        For a few bars of a large file only their part is read, if the file is as this store writes it. Damaged lines in
        the rest of the file are then not reported.
        """
        with _in_memory(self.path(key)):
            if window != WHOLE:
                found = self._read_window(key, window)
                if found is not None:
                    return found
            parsed = self._read_whole(key)
        return ParsedCsv(parsed.bars.take(window.positions(parsed.bars.time)), parsed.damaged, parsed.duplicates)

    def newest_if_whole(self, key: SeriesKey) -> int | None:
        """The time of the newest bar (Unix seconds); None for no file, or one not as this store writes it."""
        path = self.path(key)
        with self._reading(key) as view:
            if view is None:
                return None
            rows = CanonicalRows(view, key)
            if not self._known.is_canonical(path, rows):
                return None
            last = view.read(rows.offset_of_last(1, rows.first, rows.end), rows.end)
        bars = _parse(HEAD + last, key).bars
        return int(bars.time[-1]) if len(bars) else None

    def write(self, key: SeriesKey, bars: Bars) -> int:
        """Replaces the whole series by `bars`, durably. Returns the number of bytes written.

        :raises CsvError: also for bars that could not be read back.
        """
        path = self.path(key)
        _require_storable(path, bars, key.interval)
        data = f"{HEADER}\n{format_rows(key, bars)}".encode("ascii")
        writer_lock.require_held()
        with csv_errors(path):
            durable.make_directory(path.parent)
            is_first = not path.exists()
            journal.finish_journal(path)
            durable.replace_file(path, data)
            self._known.remember(path, journal.identity_of(path.stat()), True)
            self._note_write(key.mode)
            if is_first:
                # After a crash the directory may exist, but its entry in the parent may not be durable yet.
                durable.fsync_directory(path.parent.parent)
                if key.interval in _OLD_NAMES:
                    path.with_name(_OLD_NAMES[key.interval]).unlink(missing_ok=True)
        return len(data)

    def write_tail(self, key: SeriesKey, bars: Bars, cutoff: int) -> int:
        """Replaces the rows at or after `cutoff` (Unix seconds) by `bars`, durably. Returns the number of bytes
        changed; 0 when nothing differs.

        The cost grows with those rows only. But if there is no file yet, or it is not as this store writes it, the
        whole file is written. Damaged lines between the replaced rows are removed; `read` has reported them.

        :raises CsvError: also for bars that could not be read back, and when the file has a bar at or after `cutoff` at
            a time that is not in `bars`. To remove bars, use `write`.
        """
        path = self.path(key)
        _require_storable(path, bars, key.interval)
        if len(bars) and bars.time[0] < cutoff:
            raise CsvError(f"{path}: bars from {bars.time[0]} on cannot replace those from {cutoff} on")
        writer_lock.require_held()
        with csv_errors(path):
            journal.finish_journal(path)
            place = self._tail_place(path, key, cutoff)
            if place is None:
                return self._rewrite_from(key, bars, cutoff)
            offset, old = place
            new = format_rows(key, bars).encode("ascii")
            if new == old:
                return 0
            _require_no_loss(path, _parse(HEAD + old, key).bars, bars)
            journal.replace_tail(path, offset, new)
            self._known.remember(path, journal.identity_of(path.stat()), True)
            self._note_write(key.mode)
        return len(new)

    def written_ns(self, mode: Mode) -> int | None:
        """Differs between any two writes of files of the market by this program; None when the
        system does not tell, or there never was a writer.
        """
        with suppress(OSError):
            return os.stat(self._notes[mode]).st_mtime_ns  # noqa: PTH116 - asked by each query
        return None

    def _note_write(self, mode: Mode) -> None:
        self._last_written_ns = now = max(time.time_ns(), self._last_written_ns + 1)
        with suppress(FileNotFoundError):  # then `written_ns` says nothing
            os.utime(self._notes[mode], ns=(now, now))

    def remove(self, key: SeriesKey) -> None:
        """Removes the file of the series durably, and the directory of the ticker when nothing else is in it."""
        path = self.path(key)
        directory = path.parent
        with csv_errors(path), suppress(FileNotFoundError):
            with durable.locked(directory, exclusive=True):
                # The journal first: without its file it would be a leftover.
                for name in (journal.journal_path(path).name, path.name, _OLD_NAMES.get(key.interval, path.name)):
                    (directory / name).unlink(missing_ok=True)
                durable.fsync_directory(directory)
            if not directory.is_symlink() and not any(directory.iterdir()):
                directory.rmdir()
                durable.fsync_directory(directory.parent)

    def recover(self, mode: Mode) -> Recovery:
        """Finishes the journals and removes the temporary files of a crashed writer. Only the one writer may call it.

        A directory that refuses stays as it is, and the log says so. That does no harm: readers see the file as if its
        journal were finished, and the next write finishes it.
        """
        finished = removed = 0
        root = self._settings.data_dir(mode)
        # The root has temporary files of names, sources and changes.
        for directory in [*([root] if root.is_dir() else []), *map(Path, self._directories(mode))]:
            try:
                done = _recover_in(directory)
            except CsvError as exc:
                log.error("%s %s is left as it is: %s", mode.value, directory.name, exc)
            else:
                finished, removed = finished + done.journals_finished, removed + done.temp_files_removed
        return Recovery(finished, removed)

    def _read_whole(self, key: SeriesKey) -> ParsedCsv:
        with self._reading(key) as view:
            _require_readable(self.path(key), 0 if view is None else view.size)
            data = b"" if view is None else view.read(0, view.size)
        try:
            return _parse(data, key)
        except LayoutError as exc:
            raise LayoutError(f"{self.path(key)}: {exc}", exc.text) from exc

    def _read_window(self, key: SeriesKey, window: Window) -> ParsedCsv | None:
        """The window; None when the whole file has to be parsed."""
        path = self.path(key)
        with self._reading(key) as view:
            if view is None:
                return ParsedCsv(Bars.empty(whole_volume=market_of(key.mode).has_whole_volume), [])
            rows = CanonicalRows(view, key)
            if not self._known.is_canonical(path, rows):
                return None
            data = view.read(*rows.span(window))
        parsed = _parse(HEAD + data, key)
        # Only ticker and time of the rows were checked. A row that is not a bar makes the count and the line numbers
        # wrong.
        return None if parsed.damaged else parsed

    @contextmanager
    def _reading(self, key: SeriesKey) -> Iterator[FileView | None]:
        """The file, with the lock of readers held; None when there is no file. Parse after this context."""
        path = self.path(key)
        with csv_errors(path), ExitStack() as stack:
            refusal = _share(stack, path.parent)
            view = self._enter(stack, key, path)
            yield view
            # Without the lock, it counts only if the file is still as it was.
            if refusal is not None and view is not None and not journal.is_unchanged(path, view):
                raise refusal

    def _enter(self, stack: ExitStack, key: SeriesKey, path: Path) -> FileView | None:
        with suppress(FileNotFoundError):
            return stack.enter_context(journal.opened(path))
        if key.interval in _OLD_NAMES:
            old = path.with_name(_OLD_NAMES[key.interval])
            self._require_inside(key.mode, old)
            # Between the two attempts the writer may have replaced the old name by the new one.
            for name in (old, path):
                with suppress(FileNotFoundError):
                    return stack.enter_context(journal.opened(name))
        return None

    def _tail_place(self, path: Path, key: SeriesKey, cutoff: int) -> tuple[int, bytes] | None:
        """Offset and bytes of the rows at or after `cutoff`; None when they cannot be replaced in place."""
        try:
            with journal.opened(path) as view:
                rows = CanonicalRows(view, key)
                if not self._known.is_canonical(path, rows):
                    return None
                offset = rows.offset_of(cutoff)
                return offset, view.read(offset, view.size)
        except FileNotFoundError:
            return None

    def _rewrite_from(self, key: SeriesKey, bars: Bars, cutoff: int) -> int:
        stored = self._read_whole(key).bars
        _require_no_loss(self.path(key), stored.between(cutoff, None), bars)
        series = Bars.concatenate([stored.between(None, cutoff - 1), bars])
        return self.write(key, series) if len(series) else 0

    def _directories(self, mode: Mode, besides: Container[str] = ()) -> list["os.DirEntry[str]"]:
        """The directories with the name of a ticker, sorted. Links that lead out of the data directory are left out.

        A link that cannot be followed is included: it may lead to a directory.
        """
        root = self._settings.data_dir(mode)
        with csv_errors(root), suppress(FileNotFoundError), os.scandir(root) as entries:
            named = [entry for entry in entries if entry.name not in besides and is_symbol(entry.name)]
            return sorted((entry for entry in named if self._is_directory_inside(mode, entry)), key=attrgetter("name"))
        return []

    def _is_directory_inside(self, mode: Mode, entry: "os.DirEntry[str]") -> bool:
        # An entry that is not a link knows its type, without another access to the disk.
        if entry.is_symlink():
            return _may_be_directory(entry) and self._is_inside(mode, Path(entry))
        return entry.is_dir(follow_symlinks=False)

    def _require_inside(self, mode: Mode, path: Path) -> None:
        if not self._is_inside(mode, path):
            raise CsvError(f"{path} leads out of {self._settings.data_dir(mode)}")

    def _is_inside(self, mode: Mode, path: Path) -> bool:
        root = os.path.realpath(self._settings.data_dir(mode))
        return os.path.realpath(path).startswith(root + os.sep)


def _share(stack: ExitStack, directory: Path) -> LockedError | None:
    """Take the lock of readers. Returns the refusal when a writer, or somebody else, does not let go of it."""
    try:
        with suppress(FileNotFoundError):  # then there is no file either
            stack.enter_context(durable.locked(directory, exclusive=False, timeout_s=_READERS_PATIENCE_S))
    except LockedError as exc:
        return exc
    return None


@contextmanager
def _in_memory(path: Path) -> Iterator[None]:
    """:raises CsvError: when what is done with the file takes more memory than there is."""
    try:
        yield
    except MemoryError as exc:
        raise CsvError(f"{path} does not fit into memory") from exc


def _require_readable(path: Path, size: int) -> None:
    """:raises CsvError: for a file that would take all memory when it is read whole; windows of it are still read."""
    most = memory_limit_bytes() // _PARSED_TIMES
    if size > most:
        raise CsvError(f"{path} has {size:,} bytes; allowed: {most:,}, a part of the memory of this process")


def _may_be_directory(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a directory, or a link that the system does not follow: for example one that leads to itself."""
    try:
        return entry.is_dir()
    except OSError:  # not swallowed: the next access raises it again
        return True


def _may_hold_a_file(directory: str) -> bool:
    """Whether the directory has an entry with the file name of a series, of any type, or is inaccessible."""
    for name in _ALL_NAMES:
        try:
            # As text: making a `Path` of each takes longer than the check.
            os.lstat(f"{directory}/{name}")
        except FileNotFoundError:
            continue
        except OSError:  # not swallowed: reading the series raises it again
            return True
        return True
    return False


def _recover_in(directory: Path) -> Recovery:
    """:raises CsvError: when the system refuses; the steps before stay done."""
    finished = removed = 0
    with csv_errors(directory):
        names = {path.name for path in directory.iterdir()}
        for file_name in FILE_NAMES.values():
            if journal.journal_path(directory / file_name).name in names:
                was_sound = journal.finish_journal(directory / file_name)
                finished, removed = finished + was_sound, removed + (not was_sound)
        for name in names:
            if name.startswith(".") and name.endswith(durable.TEMPORARY_SUFFIX):
                (directory / name).unlink()
                removed += 1
    return Recovery(finished, removed)


def _parse(data: bytes, key: SeriesKey) -> ParsedCsv:
    # A byte that is not UTF-8 damages its own line, not the file.
    return parse_rows(data.decode("utf-8", "replace"), key)


def is_older(stamp: str, other: str) -> bool:
    """Whether `stamp` is of an earlier write than `other`. False when one of them is not a stamp."""
    return 0 <= changed_ns(stamp) < changed_ns(other)


def changed_ns(stamp: str) -> int:
    """When the file was changed, in nanoseconds; -1 when this is not a stamp."""
    match = _STAMP.match(stamp)
    return -1 if match is None else int(match["changed_ns"])


def is_storable(bars: Bars, interval: Interval) -> NDArray[np.bool_]:
    """For each bar: whether it can be written to a file and read back."""
    step = 1 if interval.is_intraday else SECONDS_PER_DAY
    fits = (bars.time >= MIN_TIME) & (bars.time <= MAX_TIME) & (bars.time % step == 0)
    fits &= (np.isfinite(bars.prices) & (bars.prices >= 0.0)).all(axis=0)
    fits &= np.isfinite(bars.volume) & (bars.volume >= 0) & ~np.isinf(bars.indicators).any(axis=0)
    return np.asarray(fits)


def _require_storable(path: Path, bars: Bars, interval: Interval) -> None:
    """:raises CsvError: for a bar that would be read back as a damaged line."""
    fits = is_storable(bars, interval)
    fits[1:] &= bars.time[1:] > bars.time[:-1]
    if not fits.all():
        first = int(np.flatnonzero(~fits)[0])
        raise CsvError(
            f"{path}: the bar at position {first}, time {bars.time[first]}, cannot be stored; times must ascend"
            f" (days: at midnight), prices and volume be finite and not negative, indicators finite or absent"
        )


def _require_no_loss(path: Path, stored: Bars, bars: Bars) -> None:
    lost = np.setdiff1d(stored.time, bars.time)
    if len(lost):
        raise CsvError(
            f"{path}: {len(lost)} stored bars, the first at {lost[0]}, would be lost; to drop bars, write the series"
        )
