"""Where lines go that no bar could be made of: kept, with the reason, never dropped in silence."""

import csv
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError
from stockapi.models.mode import Mode
from stockapi.services.csv_files import LOCK_TIMEOUT_S, csv_errors, fsync_directory, make_directory, try_lock
from stockapi.services.csv_format import DamagedLine

FILE_NAME: Final = "quarantine.csv"
_HEADER: Final = ("seen_at", "source", "line", "reason", "text")
_LONGEST_LINE_BYTES: Final = 1 << 16
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Quarantine:
    """One file for each market, `<data directory>/quarantine.csv`, that only grows. For any number of processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def path(self, mode: Mode) -> Path:
        return self._settings.data_dir(mode) / FILE_NAME

    def add(self, mode: Mode, source: str, lines: Sequence[DamagedLine], seen_at: datetime) -> None:
        """Appends the lines, durably, all or none of them.

        `source` says where they come from, `seen_at` (aware) when they were met.

        :raises CsvError: when they cannot be written.
        """
        if not lines:
            return
        moment = seen_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = [(moment, _text(source), line.number, _text(line.reason), _text(line.text)) for line in lines]
        path = self.path(mode)
        with csv_errors(path):
            make_directory(path.parent)
            _append(path, rows)


def _append(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with open(path, "a+b", buffering=0) as file:
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
    """Removes what a crash has left of a line that was being added; returns the size."""
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
    """On one line, and never a formula.

    A spreadsheet runs a cell that begins as formulas do; behind an apostrophe it is text.
    """
    apostrophe = "'" if cell.startswith(_FORMULA_STARTS) else ""
    return apostrophe + cell.replace("\r", "\\r").replace("\n", "\\n")
