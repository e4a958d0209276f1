"""Every series once more as blocks of columns, beside the table of its rows and written in the same transactions.

Of rows each number becomes a Python object first; a block becomes arrays as it is. The rows stay what counts: a block
is a copy, and no answer where it may not be one. Of a series there are either no blocks, or those of all its bars, in
order, each full but the newest; `ledger.blocks_digest` says of which bars, and another digest than that of the ledger
means: none. A block has a checksum, and knows when the next one begins, so that a damaged or a missing one is noticed
by whoever reads it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
import orjson
import xxhash

from stockapi.errors import SqliteError, SqliteFault
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.models.window import MIN_TIME, Window
from stockapi.services.sqlite_store.block_format import BARS_PER_BLOCK, decode, encode
from stockapi.services.sqlite_store.tables import SELECT_HAS_BLOCKS


class _Block(NamedTuple):
    """A row of the table. `until`: when the next block begins, None for the newest. `indicators`: None if not read."""

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
        bare, indicators = encode(bars)
        return cls(*place, _check(ticker, place, bare), bare, _check(ticker, place, indicators), indicators)

    def is_sound(self, ticker: str) -> bool:
        """Whether it is what was written as a block of this ticker. Damage can make anything of any value."""
        place, pairs = self[:3], (self[3:5], self[5:7])
        return all(
            isinstance(data, bytes) and check == _check(ticker, place, data)
            for check, data in pairs
            if data is not None
        )


def _check(ticker: str, place: tuple[object, ...], data: bytes) -> int:
    """63 bits: SQLite's numbers have a sign."""
    return xxhash.xxh3_64_intdigest(data, xxhash.xxh3_64_intdigest(f"{ticker} {place}".encode())) >> 1


def _joined(ticker: str, blocks: Sequence[_Block], mode: Mode) -> Bars | None:
    """All bars of blocks that follow each other; None where they do not, or are not as this program writes them."""
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
    """By which tickers, and whether with indicators."""
    select_before: str
    upsert: str
    delete_others: str
    clear: str

    @classmethod
    def of(cls, mode: Mode, interval: Interval) -> "BlockTable":
        return _TABLES[mode, interval]

    def read(
        self, connection: sqlite3.Connection, symbols: Sequence[str] | None, window: Window
    ) -> Iterator[tuple[str, Bars | None]]:
        """The window of every ticker asked for (None: all) that the ledger knows, in alphabetical order; None where
        the blocks are not there, or not sound. The bars of the warm-up have their indicators, too, if the others do.

        :raises SqliteError: for a ticker that is none.
        """
        values: dict[str, object] = {"interval": self.interval.value, **_parameters(window)}
        if symbols is None:
            which = "every"
        elif len(symbols) == 1:
            which, values["symbol"] = "one", symbols[0]
        else:
            which, values["symbols"] = "some", orjson.dumps(symbols).decode()
        found = connection.execute(self.select[which, window.indicators], values)
        for (ticker, first, last), rows in groupby(found, key=itemgetter(0, 1, 2)):
            if not is_symbol(str(ticker)):
                raise SqliteError(f"the ledger knows a ticker {ticker!r}, which is none", SqliteFault.CORRUPT)
            blocks = [_Block(*row[3:]) for row in rows if row[3] is not None]
            yield ticker, self._window(ticker, first, last, blocks, window)

    def _window(self, ticker: str, first: object, last: object, blocks: list[_Block], window: Window) -> Bars | None:
        """`first`, `last`: the times of the oldest and the newest bar, by the ledger."""
        start, end = window.bounds
        if not blocks:
            is_empty = isinstance(first, int) and end < max(first, start)
            return Bars.empty(whole_volume=market_of(self.mode).has_whole_volume) if is_empty else None
        bars = _joined(ticker, blocks, self.mode)
        if bars is None:
            return None
        stop = int(np.searchsorted(bars.time, end, side="right"))
        if window.start is None and window.limit is not None:
            begin, reaches_start = stop - window.limit, True
        else:
            begin, reaches_start = int(np.searchsorted(bars.time, start)), blocks[0].first_time <= start
            begin = max(begin, stop - window.at_most(stop))
        if begin < stop:
            begin -= window.warmup
        reaches_start = (reaches_start and begin >= 0) or blocks[0].first_time == first
        reaches_end = bars.time[-1] == last if blocks[-1].until is None else blocks[-1].until > end
        return bars.take(slice(max(begin, 0), stop)) if reaches_start and reaches_end else None

    def is_true_of(self, connection: sqlite3.Connection, ticker: str, bars: Bars) -> bool:
        """Whether they are the blocks of `bars`, all bars of the series, or do not exist."""
        if not self.exist(connection, ticker):
            return True
        ((_, held),) = self.read(connection, (ticker,), Window())
        return held is not None and held.equals(bars)

    def exist(self, connection: sqlite3.Connection, ticker: str) -> bool:
        row = connection.execute(SELECT_HAS_BLOCKS, (ticker, self.interval.value)).fetchone()
        return row is not None and bool(row[0])

    def write(self, connection: sqlite3.Connection, ticker: str, bars: Bars, *, are_all: bool) -> bool:
        """Make them those of a series that from the first of `bars` on is `bars`; what is so already is not touched.

        :param are_all: the series has no bars before. Otherwise its blocks must exist.
        :returns: False, with nothing written, when the block with the bar before is damaged.
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
    """The block to begin with is `skip` before the one that holds the moment `pivot`; without that the first of all."""
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
    """Whether each is followed by the next one of the series, and all that are followed are full."""
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
    # Only constants and enum values go into the texts; ruff's S608 cannot know.
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
    """Of each series of the ledger that meets the condition: its oldest and newest time, and a block a row; one row
    of NULL where there are no blocks.

    Blocks come in the order of their index. Should they not, they are no chain; to ask for it would sort them again.
    """
    return f"""
        SELECT ledger.ticker, ledger.first_time, ledger.last_time, {", ".join(f"held.{c}" for c in columns.split(", "))}
        FROM ledger LEFT JOIN {name} AS held ON ledger.blocks_digest = ledger.digest AND held.ticker = ledger.ticker
            AND held.first_time BETWEEN coalesce((
                SELECT first_time FROM {name} AS earlier WHERE earlier.ticker = ledger.ticker AND first_time <= :pivot
                ORDER BY first_time DESC LIMIT 1 OFFSET :skip
            ), ledger.first_time) AND :end
        WHERE interval = :interval AND {condition}
        ORDER BY ledger.ticker
    """  # noqa: S608


_TABLES = {(mode, interval): _table(mode, interval) for mode in Mode for interval in Interval}
