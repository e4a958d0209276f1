"""The tree of CSV files: `<data directory>/<TICKER>/<interval>.csv`. Durable writes, consistent reads.

One process writes (see `writer_lock`), any number read. For a short time there may be, beside a file `1m.csv`:

    .1m.journal            a new tail on its way into the file
    .1m.csv.<...>.tmp      a new file, or journal, on its way to its name

The time of change of the writer's lock file says when a file of the market was last written.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError, LayoutError
from stockapi.formats.csv_format import HEADER, ParsedCsv, format_rows, parse_rows
from stockapi.machine import memory_limit_bytes
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE, Window
from stockapi.services import durable, writer_lock
from stockapi.services.csv_store import journal
from stockapi.services.csv_store.journal import FileView
from stockapi.services.csv_store.row_search import HEAD, PARSING_TIMES, CanonicalRows, KnownFiles
from stockapi.services.csv_store.storable import require_no_loss, require_storable
from stockapi.services.csv_store.tree import FILE_NAMES, OLD_NAMES, CsvTree
from stockapi.services.durable import FileState, LockedError, csv_errors

log = logging.getLogger(__name__)

_READERS_PATIENCE_S: Final = 0.25
"""A writer moves a tail in milliseconds. One that is stopped in mid-write must not hold the threads of the web."""
_PARSED_TIMES: Final = 4
"""While a file is parsed, it takes about so many times its size."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a crashed writer had left. A journal that could not be used counts as a temporary file."""

    journals_finished: int
    temp_files_removed: int


class CsvStore(CsvTree):
    """Reads and writes the series of all markets. Thread-safe, if no two threads write the same series.

    Every method that uses a file raises `CsvError` when the system refuses; the cause is kept.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._known = KnownFiles()
        self._last_written_ns = 0
        self._notes = {mode: f"{settings.data_dir(mode)}/{writer_lock.FILE_NAME}" for mode in Mode}

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

    def work_bytes(self, mode: Mode, interval: Interval, tickers: Iterable[str], *, whole: bool = False) -> int:
        """How many bytes of files have to be looked through before windows of these series are found, or, if `whole`,
        to read the series: see `KnownFiles.work_bytes`. It takes one `stat` for each.
        """
        total = 0
        for ticker in tickers:
            path = f"{self._roots[mode]}/{ticker}/{FILE_NAMES[interval]}"
            with suppress(OSError):  # no file, or none that can be read: reading it tells
                state = FileState.of(os.stat(path))  # noqa: PTH116 - of each series of a market
                total += state.size * PARSING_TIMES if whole else self._known.work_bytes(Path(path), state)
        return total

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
        require_storable(path, bars, key.interval)
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
                if key.interval in OLD_NAMES:
                    path.with_name(OLD_NAMES[key.interval]).unlink(missing_ok=True)
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
        require_storable(path, bars, key.interval)
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
            require_no_loss(path, _parse(HEAD + old, key).bars, bars)
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
        writer_lock.require_held()
        with csv_errors(path), suppress(FileNotFoundError):
            with durable.locked(directory, exclusive=True):
                # The journal first: without its file it would be a leftover.
                for name in (journal.journal_path(path).name, path.name, OLD_NAMES.get(key.interval, path.name)):
                    (directory / name).unlink(missing_ok=True)
                durable.fsync_directory(directory)
            if not directory.is_symlink() and not any(directory.iterdir()):
                _remove_directory(directory)

    def recover(self, mode: Mode) -> Recovery:
        """Finishes the journals and removes the temporary files of a crashed writer. Only the one writer may call it.

        A directory that refuses stays as it is, and the log says so. That does no harm: readers see the file as if its
        journal were finished, and the next write finishes it.
        """
        finished = removed = 0
        root = self._settings.data_dir(mode)
        # The root has temporary files of names, sources and changes.
        for directory in [*([root] if root.is_dir() else []), *map(Path, self.directories(mode))]:
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
        if key.interval in OLD_NAMES:
            old = path.with_name(OLD_NAMES[key.interval])
            self.require_inside(key.mode, old)
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
        require_no_loss(self.path(key), stored.between(cutoff, None), bars)
        series = Bars.concatenate([stored.between(None, cutoff - 1), bars])
        return self.write(key, series) if len(series) else 0


def _remove_directory(directory: Path) -> None:
    """An empty one. Where another disk is mounted at it, it stays: it holds no bar."""
    try:
        directory.rmdir()
    except OSError as exc:
        log.warning("%s stays, and is empty: %s", directory, exc.strerror)
    else:
        durable.fsync_directory(directory.parent)


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
