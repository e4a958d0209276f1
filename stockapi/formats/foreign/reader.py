"""Read one file of any known layout as series of bars."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, TextIOWrapper
from itertools import chain, repeat
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import numpy as np

from stockapi.calc.moments import Regular, as_bars
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import LayoutError
from stockapi.formats.csv_lenient_reader import DamagedLine
from stockapi.formats.csv_numbers import shown
from stockapi.formats.foreign.dialect import OtherContentError, PassedOverError, blocks_of, text_of
from stockapi.formats.foreign.layouts import Layout
from stockapi.formats.foreign.names import STORED, FileName, interval_named, symbol_named
from stockapi.formats.foreign.rows import OTHER_MARKET, Block, RowReader, Rules, Written
from stockapi.formats.foreign.start import Start, find_start
from stockapi.formats.foreign.times import TimeReader
from stockapi.markets import market_of
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey

Given = TypeVar("Given")
Found = TypeVar("Found")

_SURE_STEPS: Final = 10
"""So many steps between times are all multiples of five minutes by no chance."""
_DAY_AT_LEAST_S: Final = 20 * 3_600
"""Between two stamps of days in a row, which summer time may move."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are to be read.

    `layout`: the only layout that a file may have; None: any. `zone`: of times without an offset; None: UTC.
    `latest`: the newest moment that a bar may have, in Unix seconds. `factor`: the number by which the caller will
    multiply prices.
    """

    mode: Mode
    latest: int
    layout: Layout | None = None
    zone: ZoneInfo | None = None
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class FileOfBars:
    """The content of a file. `series`: at least one, none empty. `notes`: lines for the user."""

    layout: Layout
    series: dict[SeriesKey, Regular]
    damaged: tuple[DamagedLine, ...]
    notes: tuple[str, ...]


def read_bars(stream: BufferedReader, name: FileName, how: Reading) -> FileOfBars:
    """Recognise the layout by the beginning of the file, then read it block by block.

    If rows have equal moments, the later one counts. Rows of different moments in one bar are merged: see `moments`.

    :raises LayoutError: when it is no file of bars, or most lines are no bars. The error says what the file seems to
        be, and what
        is expected.
    :raises PassedOverError: when neither its name nor its content tells the ticker, or the interval is not stored.
    """
    text = text_of(stream)
    try:
        return _read(text, name, how)
    finally:
        text.detach()  # it would close the stream, which is the caller's


def _read(text: TextIOWrapper, name: FileName, how: Reading) -> FileOfBars:
    blocks = blocks_of(text)
    head = next(blocks, "")
    try:
        start = find_start(head.split("\n"), how.layout)
    except OtherContentError as exc:
        raise exc if name.ticker else PassedOverError(str(exc)) from exc
    owners = _Owners(name, start, how)
    reader = RowReader(start, owners.rules())
    above_and_rows = head.split("\n", start.first)
    number = start.first + 1
    for block in chain(above_and_rows[start.first :], blocks):
        if block:
            reader.add(block, number)
        number += block.count("\n")
    series = owners.series(reader.finish())
    merged = sum(regular.merged for regular in series.values())
    notes = (*start.notes, f"{merged:,} rows were put together with others of the same bar") if merged else start.notes
    return FileOfBars(start.layout, series, tuple(reader.damaged), notes)


class _Owners:
    """Finds the series of each row: by the name of the file, by its columns, and by the steps between its times."""

    def __init__(self, name: FileName, start: Start, how: Reading) -> None:
        self._market, self._layout, self._how = market_of(how.mode), start.layout, how
        written_ticker, written_interval = name.read_as(start.layout)
        has_tickers, has_periods = ("ticker" in start.columns.places), ("period" in start.columns.places)
        self._ticker = self._ticker_of_all(name, written_ticker, start, has_tickers=has_tickers)
        self._interval: Interval | None = None
        if written_interval is not None:
            self._interval = _as(PassedOverError, interval_named, written_interval)
        elif not has_periods:
            self._interval = _as(LayoutError, _interval_of, start)
        self._keys: list[SeriesKey] = []
        self._codes: dict[Written, int] = {}
        if self._ticker is not None and self._interval is not None:
            self._keys.append(SeriesKey(how.mode, self._ticker, self._interval))

    def rules(self) -> Rules:
        return Rules(
            self._code,
            lambda code: code != OTHER_MARKET and self._keys[code].interval is Interval.DAILY,
            self._keys[0] if self._keys else None,
            self._market.has_whole_volume,
            self._how.latest,
            sys.float_info.max / self._how.factor,
            self._how.zone,
        )

    def series(self, rows: Block) -> dict[SeriesKey, Regular]:
        keyed = ((self._keys[code], moments) for code, moments in rows.by_series())
        return {key: as_bars(moments, key.interval, key.mode) for key, moments in keyed}

    def _ticker_of_all(self, name: FileName, written: str | None, start: Start, *, has_tickers: bool) -> str | None:
        """The ticker that all rows must have; None when each row has its own.

        If the file is in the directory of a ticker, it is that ticker. Otherwise it is the ticker in the name of the
        file, if there is no column of tickers, or if most rows have that ticker.

        :raises PassedOverError: when nothing tells the ticker.
        :raises LayoutError: when it is a pair that is not priced in the unit of the market.
        """
        if name.is_of_the_tree:
            return name.directory
        own = None if written is None else self._symbol_in_name(written, is_free=written == name.ticker)
        if not has_tickers:
            own = own or (None if start.ticker is None else self._symbol_in_name(start.ticker, is_free=False))
            if own is None:
                raise PassedOverError(
                    "nothing says which ticker it is of: it has no such column, and its name is neither "
                    "<TICKER>/1D.csv, 1H.csv, 1m.csv nor <TICKER>.csv"
                )
            return own
        if own is None:
            return None
        tickers = Counter(start.first_cells("ticker"))
        of_name = sum(count for text, count in tickers.items() if own in (text.upper(), self._symbol(text)))
        return own if 2 * of_name > tickers.total() else None

    def _symbol_in_name(self, text: str, *, is_free: bool) -> str:
        name = partial(symbol_named, market=self._market, layout=self._layout, by_layout=not is_free)
        return _as(LayoutError, name, text)

    def _symbol(self, text: str) -> str | None:
        try:
            return symbol_named(text, self._market, self._layout)
        except ValueError:
            return None

    def _code(self, written: Written) -> int:
        code = self._codes.get(written)
        if code is None:
            code = self._codes[written] = self._new_code(written)
        return code

    def _new_code(self, written: Written) -> int:
        ticker, period, mode = written
        if mode and mode.strip().lower() not in (self._market.mode.value, *self._market.aliases):
            return OTHER_MARKET
        interval = self._interval if not period else interval_named(period.strip())
        if interval is None or (self._interval is not None and interval is not self._interval):
            raise ValueError(f"period {shown(period)} is not that of the file")
        key = SeriesKey(self._how.mode, self._symbol_of_row(ticker), interval)
        if key not in self._keys:
            self._keys.append(key)
        return self._keys.index(key)

    def _symbol_of_row(self, text: str) -> str:
        if self._ticker is None:
            return symbol_named(text, self._market, self._layout)
        if text and text.strip().upper() != self._ticker and self._symbol(text) != self._ticker:
            raise ValueError(f"ticker {shown(text)} is not {self._ticker}")
        return self._ticker


def _as(error: type[LayoutError], read: Callable[[Given], Found], given: Given) -> Found:
    """The result of `read` for `given`. Its ValueError becomes this error."""
    try:
        return read(given)
    except ValueError as exc:
        raise error(str(exc)) from None


def _interval_of(start: Start) -> Interval:
    """The interval, from the steps between the times of the first rows. If they tell nothing, it is days.

    :raises ValueError: when the steps are longer than those of every stored interval.
    """
    reader = TimeReader(start.order)
    clocks_apart = start.first_cells("clock") if "clock" in start.columns.places else repeat(None)
    written = zip(start.first_cells("time"), clocks_apart, strict=False)
    clocks = []
    for text, clock in written:
        try:
            clocks.append(reader.moment(text, clock)[0])
        except (ValueError, OverflowError):
            continue  # a bad line, which the reading of rows reports
    times = np.unique(np.array(clocks, dtype=np.int64))
    steps = np.diff(times)
    if not len(steps) or not (times % SECONDS_PER_DAY).any() or steps.min() >= _DAY_AT_LEAST_S:
        return Interval.DAILY
    step = int(np.gcd.reduce(steps))
    if len(steps) >= _SURE_STEPS and step not in (Interval.MINUTE.seconds, Interval.HOURLY.seconds) and step > 60:
        raise ValueError(f"its bars are {step // 60} minutes apart; {STORED}")
    return Interval.HOURLY if step % Interval.HOURLY.seconds == 0 else Interval.MINUTE
