"""The quarantine keeps each line that is not a bar, with the reason. No line is dropped without a trace."""

import csv
import io
import os
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError
from stockapi.formats.csv_format import DamagedLine
from stockapi.formats.csv_tables import no_formula
from stockapi.machine import open_regular
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment
from stockapi.services.durable import (
    LOCK_TIMEOUT_S,
    FileState,
    csv_errors,
    fsync_directory,
    make_directory,
    open_locked_by_us,
    try_lock,
)

FILE_NAME: Final = "quarantine.csv"
_HEADER: Final = ("seen_at", "source", "line", "reason", "text")
_LONGEST_LINE_BYTES: Final = 1 << 16
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")


class _Memory:
    """The lines that this process has quarantined today. A source sends the same bad line at every poll.

    It remembers the latest 10,000 lines; a forgotten line is written again, which does no harm. When the file was
    removed or became shorter, all lines count as new.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._days: OrderedDict[tuple[str, ...], str] = OrderedDict()
        self._written: dict[Path, FileState | None] = {}
        self._lock = threading.Lock()

    def new_ones(self, path: Path, source: str, lines: Sequence[DamagedLine], day: str) -> Sequence[DamagedLine]:
        before, now = self._written.get(path), _state(path)
        if before is None or now is None or now.file != before.file or now.size < before.size:
            return lines
        with self._lock:
            return [line for line in lines if self._days.get(_key(path, source, line)) != day]

    def remember(self, path: Path, source: str, lines: Sequence[DamagedLine], day: str) -> None:
        with self._lock:
            self._written[path] = _state(path)
            for line in lines:
                self._days[_key(path, source, line)] = day
                self._days.move_to_end(_key(path, source, line))
            while len(self._days) > self._most:
                self._days.popitem(last=False)


def _key(path: Path, source: str, line: DamagedLine) -> tuple[str, ...]:
    return str(path), source, str(line.number), line.reason, line.text


def _state(path: Path) -> FileState | None:
    """None when there is no file."""
    with csv_errors(path), suppress(FileNotFoundError):
        return FileState.of(path.stat())
    return None


_memory = _Memory()


class Quarantine:
    """One file for each market, `<data directory>/quarantine.csv`. It only grows. All processes may use it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def path(self, mode: Mode) -> Path:
        return self._settings.data_dir(mode) / FILE_NAME

    def add(self, mode: Mode, source: str, lines: Sequence[DamagedLine], seen_at: datetime) -> None:
        """Appends the lines durably, all or none. Lines that this process has already added today are left out.

        `source`: where the lines come from. `seen_at`: when they were read, with a time zone.

        :raises CsvError: when they cannot be written.
        """
        path, moment = self.path(mode), format_moment(int(seen_at.timestamp()))
        day, _, _ = moment.partition("T")
        lines = _memory.new_ones(path, source, lines, day)
        if not lines:
            return
        rows = [(moment, _text(source), line.number, _text(line.reason), _text(line.text)) for line in lines]
        with csv_errors(path):
            make_directory(path.parent)
            _append(path, rows)
        _memory.remember(path, source, lines, day)

    def summary(self, mode: Mode) -> Counter[str]:
        """How many lines are kept for each reason, without the text that the reason quotes. Empty when there is no
        file.

        :raises CsvError: when the file cannot be read.
        """
        path = self.path(mode)
        with csv_errors(path):
            if not path.exists():
                return Counter()
            with open(open_regular(path), newline="", encoding="utf-8", errors="replace") as file:
                rows = csv.reader(line.replace("\0", "") for line in file)
                return Counter(
                    _QUOTED.sub("...", row[3]) for row in rows if len(row) == len(_HEADER) and row[2] != "line"
                )


def _append(path: Path, rows: Sequence[Sequence[object]]) -> None:
    descriptor = open_locked_by_us(path, os.O_APPEND)
    with open(descriptor, "a+b", buffering=0) as file:
        if not try_lock(file.fileno(), exclusive=True, timeout_s=LOCK_TIMEOUT_S):
            raise CsvError(f"{path} is locked by another process, for more than {LOCK_TIMEOUT_S:g} s now")
        size = _cut_torn_line(file)
        data = _encode(rows if size else [_HEADER, *rows])
        try:
            if file.write(data) != len(data):
                raise OSError("only a part of the lines could be written")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise
    if not size:
        fsync_directory(path.parent)


def _cut_torn_line(file: io.FileIO) -> int:
    """Removes an incomplete last line, which a crash may leave. Returns the size of the file in bytes."""
    size = os.fstat(file.fileno()).st_size
    end = os.pread(file.fileno(), _LONGEST_LINE_BYTES, max(0, size - _LONGEST_LINE_BYTES))
    whole = size - (len(end) - (end.rfind(b"\n") + 1))
    if whole != size:
        file.truncate(whole)
    return whole


def _encode(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _text(cell: str) -> str:
    """The text on one line, and never a formula."""
    return no_formula(cell).replace("\r", "\\r").replace("\n", "\\n")
