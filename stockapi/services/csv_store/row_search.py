"""Finding a few rows of a large file without reading the rest.

It works only if every row begins `TICKER,<time>,` with times of one width that strictly ascend, as the writer makes
them. So the bytes of a file are checked once before the first search: 100,000 rows take 30 ms, against 300 ms to parse
them. The result is kept until the file changes.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.formats.csv_fast_reader import MAX_TIME, MIN_TIME
from stockapi.formats.csv_format import HEADER
from stockapi.models.bars import Int
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_time
from stockapi.models.window import Window
from stockapi.services.csv_store.journal import FileView, Identity
from stockapi.services.durable import FileState

HEAD: Final = f"{HEADER}\n".encode()
_SCAN_BYTES: Final = 1 << 21
_STEP_BYTES: Final = 512
_ROW_BYTES: Final = 256  # an estimate: rows have 120 to 250 bytes
PARSING_TIMES: Final = 10
"""To parse a row takes ten times as long as to check it."""
_NEWLINE: Final = ord("\n")
_ZERO: Final = ord("0")


class KnownFiles:
    """The files that this process has checked: which are canonical. About 100 bytes for each. Thread-safe."""

    def __init__(self) -> None:
        self._verdicts: dict[Path, tuple[Identity, bool]] = {}
        self._checks: dict[Path, threading.Lock] = {}
        self._lock = threading.Lock()

    def is_canonical(self, path: Path, rows: "CanonicalRows") -> bool:
        """Whether the file is canonical: from memory while the file is unchanged, otherwise after a check.

        Threads that ask at the same time wait for the one that checks, instead of reading every byte each.
        """
        verdict = self._verdict(path, rows.view.identity)
        if verdict is not None:
            return verdict
        with self._lock:
            check = self._checks.setdefault(path, threading.Lock())
        with check:
            verdict = self._verdict(path, rows.view.identity)
            if verdict is None:
                verdict = rows.are_canonical()
                self.remember(path, rows.view.identity, verdict)
        return verdict

    def work_bytes(self, path: Path, state: FileState) -> int:
        """How many bytes are looked through before a window of the file is found, weighed by what that takes: none of a
        file that is known, each of one that is new or has changed, each several times of one that must be parsed.
        """
        with self._lock:
            (known, _), verdict = self._verdicts.get(path, ((None, ""), False))
        if known != state:
            return state.size
        return 0 if verdict else state.size * PARSING_TIMES

    def _verdict(self, path: Path, identity: Identity) -> bool | None:
        with self._lock:
            known, verdict = self._verdicts.get(path, (None, False))
        return verdict if known == identity else None

    def remember(self, path: Path, identity: Identity, verdict: bool) -> None:
        with self._lock:
            self._verdicts[path] = identity, verdict


@dataclass(frozen=True, slots=True)
class CanonicalRows:
    """The rows of one file, searched by byte offset. Call the other methods only after `are_canonical` has returned
    True.
    """

    view: FileView
    key: SeriesKey

    @property
    def first(self) -> int:
        """Offset of the first row, in bytes."""
        return len(HEAD)

    @property
    def end(self) -> int:
        """Offset behind the last row."""
        return self.view.size

    def are_canonical(self) -> bool:
        """Whether the header, the tickers, and the form and order of the times are as the writer makes them, and the
        last line is complete.
        """
        if self.view.read(0, min(len(HEAD), self.end)) != HEAD:
            return False
        shape = _Shape(self.key)
        position, newest = self.first, -1
        while position < self.end:
            piece = self.view.read(position, min(self.end, position + _SCAN_BYTES))
            lines = piece[: piece.rfind(b"\n") + 1]
            times = shape.times(lines) if lines else None
            if times is None or times[0] <= newest or (times[1:] <= times[:-1]).any():
                return False
            position, newest = position + len(lines), int(times[-1])
        return True

    def offset_of(self, time: int) -> int:
        """Offset of the first row at or after `time` (Unix seconds); `end` when there is none."""
        step = 1 if self.key.interval.is_intraday else SECONDS_PER_DAY
        at = -(-max(time, MIN_TIME) // step) * step  # a file of days has only midnights: use the next one
        if at > MAX_TIME:
            return self.end
        wanted = format_time(at, self.key.interval).encode()
        prefix = len(self.key.ticker) + 1
        low, high = self.first, self.end
        while low < high:
            start, row = self._row_around((low + high) // 2, low, high)
            if row[prefix : prefix + len(wanted)] >= wanted:
                high = start
            else:
                low = start + len(row)
        return low

    def span(self, window: Window) -> tuple[int, int]:
        """Offsets of the first byte of the window with its warm-up, and of the byte after its last row."""
        first = self.first if window.start is None else self.offset_of(window.start)
        stop = self.end if window.end is None else self.offset_of(window.end + 1)
        if window.limit is not None:
            first = self.offset_of_last(window.limit, first, stop)
        if window.warmup and first < stop:
            first = self.offset_of_last(window.warmup, self.first, first)
        return first, stop

    def offset_of_last(self, count: int, start: int, stop: int) -> int:
        """Offset of the last `count` rows between two offsets; `start` when there are not more rows."""
        count = min(count, self.end)  # no file has more rows than bytes
        reach = count * _ROW_BYTES
        while True:
            first = max(start, stop - reach)
            before, *rows = self.view.read(first, stop).rsplit(b"\n", count + 1)
            if len(rows) == count + 1:  # the last element is the empty text after the last newline
                return first + len(before) + 1
            if first == start:
                return start
            reach *= 2

    def _row_around(self, position: int, low: int, high: int) -> tuple[int, bytes]:
        """Offset and bytes of the row that holds the byte at `position`; `low` and `high` are where rows begin."""
        reach = _STEP_BYTES
        while True:
            first = max(low, position - reach)
            piece = self.view.read(first, min(high, position + reach))
            start = piece.rfind(b"\n", 0, position - first) + 1
            stop = piece.find(b"\n", position - first) + 1
            if stop and (start or first == low):
                return first + start, piece[start:stop]
            reach *= 2


class _Shape:
    """How every row begins: the ticker, a comma, a time of fixed width, a comma."""

    def __init__(self, key: SeriesKey) -> None:
        ticker = key.ticker
        time = "0000-00-00T00:00:00" if key.interval.is_intraday else "0000-00-00"
        self._text = np.frombuffer(f"{ticker},{time},".encode(), dtype=np.uint8)
        self._is_digit = np.array([False] * (len(ticker) + 1) + [symbol == "0" for symbol in time] + [False])
        self._powers = 10 ** np.arange(int(self._is_digit.sum()), dtype=np.int64)[::-1]

    def times(self, lines: bytes) -> Int | None:
        """The time of each line as one long number (20240102 for a day); None when a line begins in another way."""
        buffer = np.frombuffer(lines, dtype=np.uint8)
        ends = np.flatnonzero(buffer == _NEWLINE)
        starts = np.concatenate([[0], ends[:-1] + 1])
        if (ends - starts).min() < len(self._text):
            return None
        symbols = buffer[starts[:, np.newaxis] + np.arange(len(self._text))]
        digits = symbols[:, self._is_digit] - _ZERO
        # Unsigned: a byte below "0" becomes a number far above 9.
        if (symbols[:, ~self._is_digit] != self._text[~self._is_digit]).any() or (digits > 9).any():
            return None
        times: Int = digits @ self._powers
        return times
