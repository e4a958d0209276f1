"""Answers without HTTP: from SQLite, and from CSV, to the bytes; SQLite alone; and all that in a market of 1 %."""

import math
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from stockapi.api.http.responses import KeyedBars, json_body
from stockapi.config import Settings
from stockapi.formats.default_rows import TextForm
from stockapi.formats.json_format import DEFAULT_FIELDS
from stockapi.models import Bars, Interval, Mode, QueryParameters
from stockapi.models.limits import Limits, RowBudget
from stockapi.models.series import SeriesKey
from stockapi.models.window import MAX_TIME
from stockapi.services.csv_store import CsvStore
from stockapi.services.data_store import DataStore, PrerenderedText
from stockapi.services.sqlite_store.tables import TableInfo
from stockapi.services.stores import Stores
from tests.bench.machine import environment
from tests.bench.questions import SYMBOL, Question

QUERIES = 100
UNLIMITED = Limits(math.inf, RowBudget(sys.maxsize), time.monotonic)


@dataclass(frozen=True, slots=True)
class Times:
    """Median milliseconds of one answer. `whole_csv_ms`: its file parsed whole; `alone_ms`: SQLite only steps."""

    bars: int
    sqlite_ms: float
    csv_ms: float
    whole_csv_ms: float
    alone_ms: float
    small_ms: float


@contextmanager
def data_store(directory: Path) -> Iterator[tuple[DataStore, CsvStore]]:
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    try:
        yield DataStore(stores), stores.csv_store
    finally:
        stores.close()


def measure(question: Question, large: Path, small: Path) -> Times:
    """`small`: a market with a hundredth of the tickers."""
    database = f"file:{large / 'vn_data.db'}?mode=ro"
    with (
        data_store(large) as (store, csv_store),
        data_store(small) as (small_store, _),
        closing(sqlite3.connect(database, uri=True)) as connection,
    ):
        assert isinstance(question.interval, Interval)
        query = question.query()
        body = answer(store, query)
        assert body == answer(store, question.query(use_sqlite=False))
        # As many bars, if not the same: earlier runs may have appended minutes to the large market.
        bars = len(orjson.loads(body)[SYMBOL])
        assert bars == len(orjson.loads(answer(small_store, query))[SYMBOL])
        sqlite_ms, csv_ms, alone_ms, small_ms = medians_ms(
            [
                partial(answer, store, query),
                partial(answer, store, question.query(use_sqlite=False)),
                stepping(connection, question),
                partial(answer, small_store, query),
            ],
            QUERIES,
        )
        (whole_ms,) = medians_ms([partial(from_whole_file, csv_store, query)], QUERIES // 20)
        assert body == from_whole_file(csv_store, query)
    return Times(bars, sqlite_ms, csv_ms, whole_ms, alone_ms, small_ms)


def answer(store: DataStore, query: QueryParameters) -> bytes:
    """What `GET /tickers` sends: the pre-rendered answer where SQLite has it, else made of bars."""
    return _rendered(store.get_text_or_bars(TextForm.JSON, query, UNLIMITED).bars, query)


def from_whole_file(csv_store: CsvStore, query: QueryParameters) -> bytes:
    """The same from a file that is parsed from its first line to its last, as plain programs read CSV."""
    assert isinstance(query.interval, Interval)
    bars = csv_store.read(SeriesKey(query.mode, SYMBOL, query.interval)).bars.between(query.start, query.end)
    return _rendered({SYMBOL: bars if query.limit is None else bars.tail(query.limit)}, query)


def _rendered(bars: Mapping[str, Bars | PrerenderedText], query: QueryParameters) -> bytes:
    series = [KeyedBars(symbol, symbol, query.mode, each) for symbol, each in bars.items()]
    return b"".join(json_body(series, query.interval, DEFAULT_FIELDS))


def stepping(connection: sqlite3.Connection, question: Question) -> Callable[[], object]:
    """SQLite reads every column of the same rows, and hands out only their maxima: no row becomes Python's."""
    query = question.query()
    assert isinstance(question.interval, Interval)
    table = TableInfo.of(Mode.VN, question.interval)
    if query.start is None:
        inner, values = table.select_latest, (SYMBOL, MAX_TIME, query.limit)
    else:
        inner, values = table.select_range, (SYMBOL, query.start, query.end)
    cursor = connection.execute(inner, values)
    maxima = ", ".join(f"max({column[0]})" for column in cursor.description)
    cursor.close()
    return lambda: connection.execute(f"SELECT {maxima} FROM ({inner})", values).fetchall()


def medians_ms(runs: Sequence[Callable[[], object]], count: int) -> list[float]:
    """Of each, run in turn so that a noisy machine disturbs all alike; the first time is not counted."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(count + 1):
        for run, spent in zip(runs, times, strict=True):
            started = time.perf_counter()
            run()
            spent.append((time.perf_counter() - started) * 1000)
    return [statistics.median(spent[1:]) for spent in times]
