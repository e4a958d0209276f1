"""Read the rows of a file, block by block, as columns of numbers.

A block without bad rows is read by columns. In other blocks, the rows near a bad one are read one by one, and each bad
row gets its reason.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import LayoutError
from stockapi.formats.csv_fast_reader import parse_plain
from stockapi.formats.csv_header import Header
from stockapi.formats.csv_lenient_reader import SHOWN_CHARS, DamagedLine
from stockapi.formats.csv_numbers import floats, parse_number, parse_whole, shown, whole_numbers
from stockapi.formats.foreign.dialect import WANTED, split
from stockapi.formats.foreign.start import HEAD_LINES, Columns, Start
from stockapi.formats.foreign.times import NO_OFFSET, TimeReader, offsets_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import PRICE_FIELDS
from stockapi.models.series import SeriesKey

_FEW_LINES: Final = 64
_MOST_BAD_OF_FEW: Final = 20
"""Bad lines that a file may have however few good ones it has: an edit by hand, or a download that broke off."""
_MOST_BAD_SHARE: Final = 0.2
_MOST_BAD_KEPT: Final = 10_000
"""Bad lines after which their share is judged before the end of the file is seen."""

OTHER_MARKET: Final = -1
"""In place of a series: the row is of a market that is not wanted."""
Written = tuple[str, str, str]
"""Ticker, period and market as a row has them; "" where there is no such column."""
_WRITTEN: Final = ("ticker", "period", "mode")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for the rows of a file.

    `series`: gives the number of the series of a row, or `OTHER_MARKET`; raises ValueError for a row without a series.
    `is_daily`: whether the series with this number has days.
    `plain`: the series with the number 0, if all rows in the form of our own files belong to it; otherwise None.
    `latest`: the newest moment allowed, in Unix seconds. `most_price`: the highest price.
    `zone`: of times without an offset. Without a zone they are UTC, and times of days must be midnights.
    """

    series: Callable[[Written], int]
    is_daily: Callable[[int], bool]
    plain: SeriesKey | None
    has_whole_volume: bool
    latest: int
    most_price: float
    zone: ZoneInfo | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Columns of rows in the order of the file. `series`: numbers that `Rules.series` gave.

    `moment`: Unix seconds; the midnight of UTC for a row with a date only.
    """

    series: Int
    moment: Int
    prices: Float
    volume: Int | Float

    @classmethod
    def joined(cls, blocks: Sequence["Block"]) -> "Block":
        return cls(
            np.concatenate([block.series for block in blocks]),
            np.concatenate([block.moment for block in blocks]),
            np.concatenate([block.prices for block in blocks], axis=1),
            np.concatenate([block.volume for block in blocks]),
        )

    def by_series(self) -> Iterator[tuple[int, Bars]]:
        """The rows of each series, with their moments, in the order of the file. They are not yet merged to bars."""
        if (self.series == self.series[0]).all():
            yield int(self.series[0]), Bars.of(self.moment, self.prices, self.volume)
            return
        order = np.argsort(self.series, kind="stable")
        numbers, firsts = np.unique(self.series[order], return_index=True)
        for number, which in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=True):
            yield number, Bars.of(self.moment[which], self.prices[:, which], self.volume[which])


_Row = tuple[int, int, list[float], float]
"""Series, moment, prices, volume."""


@dataclass
class RowReader:
    """Reads the blocks of one file in turn. After each block it decides whether this can be a file of bars."""

    start: Start
    rules: Rules
    blocks: list[Block] = field(default_factory=list)
    damaged: list[DamagedLine] = field(default_factory=list)
    good: int = 0
    columns: Columns = field(init=False)

    def __post_init__(self) -> None:
        self.columns = self.start.columns

    @cached_property
    def times(self) -> TimeReader:
        return TimeReader(self.start.order)

    def add(self, text: str, number: int) -> None:
        """`number`: the number of the first line, counted from 1. Only the last block of a file may lack a newline at
        its end.

        :raises LayoutError: when too many of the lines so far are no bars.
        """
        plain = self._plain(text)
        added = [plain] if plain is not None else self._split(text, number)
        self.good += sum(len(block.moment) for block in added)
        self.blocks += added
        bad = len(self.damaged)
        if (bad >= HEAD_LINES and not self.good) or bad > _MOST_BAD_KEPT:
            self._require_bars()

    def finish(self) -> Block:
        """:raises LayoutError: as `add`."""
        self._require_bars()
        if not self.good:
            raise LayoutError("has a header and no bars")
        return Block.joined(self.blocks)

    def _require_bars(self) -> None:
        bad, good = len(self.damaged), self.good
        if bad and not good:
            first = self.damaged[0]
            raise LayoutError(
                f"none of its first {bad:,} lines is a bar (line {first.number}: {first.reason}); {WANTED}"
            )
        if bad > max(_MOST_BAD_OF_FEW, _MOST_BAD_SHARE * (bad + good)):
            first = self.damaged[0]
            raise LayoutError(
                f"{bad:,} of {bad + good:,} lines are no bars (line {first.number}: {first.reason}); {WANTED}"
            )

    def _plain(self, text: str) -> Block | None:
        """Rows of one series in the form of our own files; None when a row has another form."""
        key = self.rules.plain
        if key is None or not self.columns.is_own:
            return None
        bars = parse_plain(text, self.columns.width, key, with_indicators=False)
        if bars is None:
            return None
        series = np.zeros(len(bars), dtype=np.int64)
        moment, is_day = self._placed(bars.time, np.full(len(bars), NO_OFFSET), series)
        return self._block(series, moment, is_day, bars.prices, bars.volume)

    def _split(self, text: str, number: int) -> list[Block]:
        """The rows by columns. If some are bad, only the lines near them are read one by one."""
        lines = text.removesuffix("\n").split("\n")
        rows = split(lines, self.start.separator)
        block = self._by_columns(rows)
        if block is not None:
            return [block]
        if len(rows) != len(lines):  # quotes hold line ends
            lines = [self.start.separator.join(cells) for cells in rows]
        blocks = list[Block]()
        for first in range(0, len(rows), _FEW_LINES):
            few = slice(first, first + _FEW_LINES)
            block = self._by_columns(rows[few])
            if block is None:
                is_torn = first + _FEW_LINES >= len(rows) and not text.endswith("\n")
                block = self._one_by_one(lines[few], rows[few], number + first, is_torn=is_torn)
            blocks.append(block)
        return blocks

    def _by_columns(self, rows: Sequence[Sequence[str]]) -> Block | None:
        """The rows read by columns; None when a row is not plain."""
        if {len(row) for row in rows} != {self.columns.width}:
            return None
        cells, places, style = list(zip(*rows, strict=True)), self.columns.places, self.start.style
        prices = [floats(cells[places[name]], style) for name in PRICE_FIELDS]
        volume = self._volumes(cells[places["volume"]])
        if volume is None or any(column is None for column in prices):
            return None
        clocks = cells[places["clock"]] if "clock" in places else repeat(None)
        try:
            series = self._series(cells, len(rows))
            shown_and_offset = list(map(self.times.moment, cells[places["time"]], clocks))
        except (ValueError, OverflowError):
            return None
        clock, offsets = np.array(shown_and_offset, dtype=np.int64).T
        moment, is_day = self._placed(clock, offsets, series)
        return self._block(series, moment, is_day, np.array(prices), volume)

    def _block(self, series: Int, moment: Int, is_day: "_Flags", prices: Float, volume: Int | Float) -> Block | None:
        """The rows of this market; None when any of them breaks a rule."""
        is_wanted = series != OTHER_MARKET
        is_good = (moment >= 0) & (moment <= self.rules.latest) & is_day & (prices <= self.rules.most_price).all(axis=0)
        if not (is_good | ~is_wanted).all():
            return None
        if is_wanted.all():
            return Block(series, moment, prices, volume)
        return Block(series[is_wanted], moment[is_wanted], prices[:, is_wanted], volume[is_wanted])

    def _series(self, cells: Sequence[Sequence[str]], count: int) -> Int:
        places = [self.columns.places.get(name) for name in _WRITTEN]
        if places == [None, None, None]:
            return np.full(count, self.rules.series(("", "", "")), dtype=np.int64)
        written = list(zip(*(repeat("", count) if place is None else cells[place] for place in places), strict=True))
        codes = {each: self.rules.series(each) for each in dict.fromkeys(written)}
        return np.array([codes[each] for each in written], dtype=np.int64)

    def _volumes(self, texts: Sequence[str]) -> Int | Float | None:
        style = self.start.style
        if not self.rules.has_whole_volume:
            values = floats(texts, style)
            return None if values is None else np.array(values)
        whole = whole_numbers(texts, style)
        if whole is None and floats(texts, style) is not None:
            try:
                whole = [parse_whole("volume", text, style) for text in texts]
            except ValueError:
                return None
        return None if whole is None else np.array(whole, dtype=np.int64)

    def _placed(self, clock: Int, offsets: Int, series: Int) -> tuple[Int, "_Flags"]:
        """The moments, from the shown clock times and their offsets from UTC; and whether their series may have them.

        A row of days may have a date, a midnight in UTC or in its own offset, or any moment with an offset.
        """
        is_open = offsets == NO_OFFSET
        known = np.where(is_open, 0, offsets)
        if self.rules.zone is not None and is_open.any():
            known[is_open] = offsets_of(self.rules.zone, clock[is_open])
        moment = clock - known
        codes = np.unique(series)
        is_daily = np.isin(series, [code for code in codes.tolist() if self.rules.is_daily(code)])
        if not is_daily.any():
            return moment, np.ones(len(moment), dtype=np.bool_)
        is_date = is_daily & (clock % SECONDS_PER_DAY == 0) & (moment % SECONDS_PER_DAY != 0)
        is_day = (
            ~is_daily | (clock % SECONDS_PER_DAY == 0) | ~is_open | np.full(len(clock), self.rules.zone is not None)
        )
        return np.where(is_date, clock, moment), is_day

    def _one_by_one(self, lines: Sequence[str], rows: Sequence[Sequence[str]], number: int, *, is_torn: bool) -> Block:
        good = list[_Row]()
        for index, cells in enumerate(rows):
            if not any(cell.strip() for cell in cells):
                continue
            try:
                row = self._row(cells)
            except ValueError as exc:
                if not self._is_header(cells, number + index):
                    reason = f"torn last line: {exc}" if is_torn and index == len(rows) - 1 else str(exc)
                    self.damaged.append(DamagedLine(number + index, reason, lines[index][:SHOWN_CHARS]))
            else:
                if row[0] != OTHER_MARKET:
                    good.append(row)
        series, moment, prices, volume = zip(*good, strict=True) if good else ((), (), (), ())
        volumes: Int | Float = np.array(volume, dtype=np.float64)
        if self.rules.has_whole_volume:
            volumes = np.array(volume, dtype=np.int64)
        return Block(
            np.array(series, dtype=np.int64),
            np.array(moment, dtype=np.int64),
            np.array(prices, dtype=np.float64).reshape(-1, len(PRICE_FIELDS)).T,
            volumes,
        )

    def _is_header(self, cells: Sequence[str], number: int) -> bool:
        """Whether the line is another header. Then it applies to the rows below it.

        :raises LayoutError: for an incomplete header.
        """
        header = Header.of(cells)
        if header is None:
            return False
        if not header.is_whole:
            raise LayoutError(f"its header in line {number} {header.fault}; {WANTED}")
        self.columns = Columns.of_header(header)
        return True

    def _row(self, cells: Sequence[str]) -> _Row:
        """:raises ValueError: when the row is no bar, with the reason."""
        width, places = self.columns.width, self.columns.places
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            raise ValueError(f"{len(cells)} fields, a row has {width}")
        row = {role: cells[place].strip() for role, place in places.items()}
        ticker, period, mode = (row.get(name, "") for name in _WRITTEN)
        series = self.rules.series((ticker, period, mode))
        moment = self._moment(row["time"], row.get("clock"), series)
        style = self.start.style
        prices = [parse_number(name, row[name], style) for name in PRICE_FIELDS]
        for name, price in zip(PRICE_FIELDS, prices, strict=True):
            if price > self.rules.most_price:
                raise ValueError(f"{name} {shown(row[name])} is beyond {self.rules.most_price:g}")
        volume = row["volume"]
        whole = self.rules.has_whole_volume
        return series, moment, prices, (parse_whole if whole else parse_number)("volume", volume, style)

    def _moment(self, text: str, clock: str | None, series: int) -> int:
        """:raises ValueError: for a text that is no time, a time that no bar can have, and a time of day in a series
        of days.
        """
        written = shown(text if clock is None else f"{text} {clock}")
        try:
            seconds, offset = self.times.moment(text, clock)
        except (ValueError, OverflowError):
            raise ValueError(f"time {written} is not a time") from None
        zone, is_open = self.rules.zone, offset == NO_OFFSET
        if is_open:
            offset = 0 if zone is None else int(offsets_of(zone, np.array([seconds]))[0])
        moment = seconds - offset
        if series != OTHER_MARKET and self.rules.is_daily(series):
            if seconds % SECONDS_PER_DAY == 0 and moment % SECONDS_PER_DAY != 0:
                moment = seconds
            elif is_open and zone is None and seconds % SECONDS_PER_DAY != 0:
                raise ValueError(f"time {written} is not a day")
        if not 0 <= moment <= self.rules.latest:
            raise ValueError(f"time {written} is {'before 1970' if moment < 0 else 'in the future'}")
        return moment


_Flags = NDArray[np.bool_]
