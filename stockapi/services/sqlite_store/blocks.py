"""A second copy of each series, as blocks of columns. It is written in the same transactions as the rows.

Reading a row makes a Python object of each number; a block becomes arrays directly. The rows are authoritative. A
block is a copy, and it is not used when it may differ from the rows. A series has either no blocks or the blocks of all
its bars, in order. Every block but the newest is full. `ledger.copies_digest` is the digest of the bars in the blocks:
if it differs from the digest of the ledger, the series counts as without blocks. A block has a checksum and the time of
the next block, so a reader notices a damaged or missing block.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final, NamedTuple

import orjson
import xxhash

from stockapi.errors import SqliteError, SqliteFault
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.models.series import SeriesKey
from stockapi.models.window import MIN_TIME, Window
from stockapi.services.sqlite_store.behind import NO_COMPARISON, Comparison
from stockapi.services.sqlite_store.block_format import BARS_PER_BLOCK, decode, encode
from stockapi.services.sqlite_store.tables import choose_tickers


class _Block(NamedTuple):
    """A row of the table. Times are Unix seconds.

    `until`: the first time of the next block; None for the newest block. `indicators`: None when they were not read.
    """

    first_time: int
    until: int | None
    rows: int
    bars_check: int
    bars: bytes
    indicators_check: int | None = None
    indicators: bytes | None = None

    @classmethod
    def of(cls, ticker: str, bars: Bars, until: int | None) -> "_Block":
        place = int(bars.time[0]), until, len(bars)
        seed, (bare, indicators) = _seed(ticker, place), encode(bars)
        return cls(*place, _check(seed, bare), bare, _check(seed, indicators), indicators)

    def is_sound(self, ticker: str) -> bool:
        """Whether the checksums are those of a block of this ticker. In a damaged block any value may have any type."""
        seed = _seed(ticker, self[:3])
        is_sound = isinstance(self.bars, bytes) and self.bars_check == _check(seed, self.bars)
        if self.indicators is None:
            return is_sound
        own = self.indicators
        return is_sound and isinstance(own, bytes) and self.indicators_check == _check(seed, own)


def _seed(ticker: str, place: tuple[object, ...]) -> int:
    return xxhash.xxh3_64_intdigest(f"{ticker} {place}".encode())


def _check(seed: int, data: bytes) -> int:
    """A checksum of 63 bits, because SQLite's integers have a sign."""
    return xxhash.xxh3_64_intdigest(data, seed) >> 1


def _joined(ticker: str, blocks: Sequence[_Block], mode: Mode) -> Bars | None:
    """All bars of consecutive blocks; None when they are not consecutive, or not in the format of this program."""
    if not all(block.is_sound(ticker) for block in blocks) or not _is_chain(blocks):
        return None
    has_indicators = blocks[0].indicators is not None
    try:
        bars = decode(
            [block.bars for block in blocks],
            [block.indicators or b"" for block in blocks] if has_indicators else None,
            whole_volume=market_of(mode).has_whole_volume,
        )
    except ValueError:
        return None
    return bars.take(slice((len(blocks) - 1) * BARS_PER_BLOCK + blocks[-1].rows))


_PLACE: Final = "first_time, until, rows"
_BARE: Final = f"{_PLACE}, bars_check, bars"
_WHOLE: Final = f"{_BARE}, indicators_check, indicators"


@dataclass(frozen=True, slots=True)
class BlockTable:
    """The blocks of one market and interval. Its name comes from the enums, never from a request."""

    mode: Mode
    interval: Interval
    select: dict[tuple[str, bool], str]
    """The statement by the kind of ticker selection, and by whether indicators are read."""
    select_before: str
    upsert: str
    delete_others: str
    clear: str

    @classmethod
    def of(cls, mode: Mode, interval: Interval) -> "BlockTable":
        return _TABLES[mode, interval]

    def read(
        self,
        connection: sqlite3.Connection,
        symbols: Sequence[str] | None,
        window: Window,
        comparison: Comparison = NO_COMPARISON,
    ) -> Iterator[tuple[str, Bars | None]]:
        """Yield the window of each requested ticker (None: all) that the ledger knows, in alphabetical order.

        The bars are None when blocks are missing or damaged. The bars of the warm-up have indicators if the others have
        them. Tickers in which SQLite is behind are left out.

        :raises SqliteError: when the ledger holds an impossible ticker, or cannot be read.
        """
        values: dict[str, object] = {"interval": self.interval.value, **_parameters(window)}
        which, chosen = choose_tickers(symbols)
        found = connection.execute(self.select[which, window.indicators], values | chosen)
        for (ticker, stamp, first, last), rows in groupby(found, key=itemgetter(0, 1, 2, 3)):
            if not is_symbol(str(ticker)):
                raise SqliteError(f"the ledger knows a ticker {ticker!r}, which is none", SqliteFault.CORRUPT)
            blocks = [_Block(*row[4:]) for row in rows if row[4] is not None]
            if not comparison.is_behind(SeriesKey(self.mode, ticker, self.interval), stamp, last):
                yield ticker, self._window(ticker, first, last, blocks, window)

    def _window(self, ticker: str, first: object, last: object, blocks: list[_Block], window: Window) -> Bars | None:
        """The window of one ticker; None when the blocks do not hold all of it.

        `first`, `last`: the times of the oldest and the newest bar in the ledger.
        """
        start, end = window.bounds
        if not blocks:
            is_empty = isinstance(first, int) and end < max(first, start)
            return Bars.empty(whole_volume=market_of(self.mode).has_whole_volume) if is_empty else None
        bars = _joined(ticker, blocks, self.mode)
        if bars is None:
            return None
        stop = int(bars.time.searchsorted(end, side="right"))
        if window.start is None and window.limit is not None:
            begin, reaches_start = stop - window.limit, True
        else:
            begin, reaches_start = int(bars.time.searchsorted(start)), blocks[0].first_time <= start
            begin = max(begin, stop - window.at_most(stop))
        if begin < stop:
            begin -= window.warmup
        reaches_start = (reaches_start and begin >= 0) or blocks[0].first_time == first
        reaches_end = bars.time[-1] == last if blocks[-1].until is None else blocks[-1].until > end
        return bars.take(slice(max(begin, 0), stop)) if reaches_start and reaches_end else None

    def are_true_of(self, connection: sqlite3.Connection, ticker: str, bars: Bars) -> bool:
        """Whether the blocks hold exactly `bars`, all bars of the series."""
        ((_, held),) = self.read(connection, (ticker,), Window())
        return held is not None and held.equals(bars)

    def write(self, connection: sqlite3.Connection, ticker: str, bars: Bars, *, are_all: bool) -> bool:
        """Replace the bars in the blocks, from the first time of `bars` on, by `bars`. Equal blocks are not touched.

        :param are_all: `bars` are all bars of the series. Otherwise its blocks must exist.
        :returns: False, with nothing written, when the block that holds the bar before `bars` is damaged.
        """
        since = MIN_TIME
        row = None if are_all else connection.execute(self.select_before, (ticker, int(bars.time[0]))).fetchone()
        if row is not None:
            held = _joined(ticker, [_Block(*row)], self.mode)
            if held is None:
                return False
            since = int(held.time[0])
            bars = Bars.concatenate([held.between(None, int(bars.time[0]) - 1), bars])
        starts = bars.time[::BARS_PER_BLOCK].tolist()
        connection.execute(self.delete_others, (ticker, since, orjson.dumps(starts).decode()))
        connection.executemany(self.upsert, ((ticker, *block) for block in _cut(ticker, bars)))
        return True


def _parameters(window: Window) -> dict[str, object]:
    """The first block to read is `skip` blocks before the block that holds the time `pivot`, or the first of all."""
    start, end = window.bounds
    if window.start is None and window.limit is not None:
        pivot, earlier = end, window.limit - 1 + window.warmup
    else:
        pivot, earlier = start, window.warmup
    return {"pivot": pivot, "skip": -(-earlier // BARS_PER_BLOCK), "end": end}


def _cut(ticker: str, bars: Bars) -> Iterator[_Block]:
    starts = bars.time[::BARS_PER_BLOCK].tolist()
    for number, until in enumerate([*starts[1:], None]):
        part = bars.take(slice(number * BARS_PER_BLOCK, (number + 1) * BARS_PER_BLOCK))
        yield _Block.of(ticker, part, until)


def _is_chain(blocks: Sequence[_Block]) -> bool:
    """Whether the blocks are consecutive, and every block is full except the newest one of the series."""
    return all(one.until == following.first_time for one, following in pairwise(blocks)) and all(
        block.rows == BARS_PER_BLOCK for block in blocks if block.until is not None
    )


def _table(mode: Mode, interval: Interval) -> BlockTable:
    name = f"{mode.value}_{interval.label}_blocks"
    which = {
        "one": "ledger.ticker = :symbol",
        "some": "ledger.ticker IN (SELECT value FROM json_each(:symbols))",
        "every": "true",
    }
    changes = ", ".join(f"{column} = excluded.{column}" for column in _WHOLE.split(", "))
    values = ", ".join(f"excluded.{column}" for column in _WHOLE.split(", "))
    # The SQL is made of constants and enum values only; ruff's S608 cannot know that.
    return BlockTable(
        mode=mode,
        interval=interval,
        select={
            (key, indicators): _windows(name, _WHOLE if indicators else _BARE, condition)
            for key, condition in which.items()
            for indicators in (True, False)
        },
        select_before=(
            f"SELECT {_WHOLE} FROM {name} WHERE ticker = ? AND first_time < ? "  # noqa: S608
            "ORDER BY first_time DESC LIMIT 1"
        ),
        upsert=(
            f"INSERT INTO {name} (ticker, {_WHOLE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
            f"ON CONFLICT (ticker, first_time) DO UPDATE SET {changes} WHERE ({_WHOLE}) IS NOT ({values})"
        ),
        delete_others=(
            f"DELETE FROM {name} WHERE ticker = ? AND first_time >= ? "  # noqa: S608
            "AND first_time NOT IN (SELECT value FROM json_each(?))"
        ),
        clear=f"DELETE FROM {name} WHERE ticker = ?",  # noqa: S608
    )


def _windows(name: str, columns: str, condition: str) -> str:
    """The SELECT of blocks. For each series of the ledger that meets the condition it gives a row for each block, with
    the stamp, the oldest and the newest time of the series. A series without blocks gives one row with NULLs.

    Blocks come in the order of their index. An ORDER BY would sort them again. `_is_chain` rejects another order.
    """
    wanted = ", ".join(f"held.{column}" for column in columns.split(", "))
    wanted = ", ".join(f"held.{column}" for column in columns.split(", "))
    return f"""
        SELECT ledger.ticker, csv_stamp, ledger.first_time, last_time, {wanted}
        FROM ledger LEFT JOIN {name} AS held ON ledger.copies_digest = ledger.digest AND held.ticker = ledger.ticker
            AND held.first_time BETWEEN coalesce((
                SELECT first_time FROM {name} AS earlier WHERE earlier.ticker = ledger.ticker AND first_time <= :pivot
                ORDER BY first_time DESC LIMIT 1 OFFSET :skip
            ), ledger.first_time) AND :end
        WHERE interval = :interval AND {condition}
        ORDER BY ledger.ticker
    """  # noqa: S608


_TABLES = {(mode, interval): _table(mode, interval) for mode in Mode for interval in Interval}
