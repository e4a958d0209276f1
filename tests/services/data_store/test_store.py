"""Queries: the right bars, from the right store, within the budget and the deadline."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi import create_app
from stockapi.calc.aggregator import aggregate, bucket_bounds
from stockapi.calc.indicators import enhance, with_exponential_averages
from stockapi.config import Settings
from stockapi.errors import DeadlineError, QueryError, TooManyRowsError
from stockapi.models import AggregatedInterval, Bars, Interval, Mode, QueryParameters
from stockapi.models.fields import MA_FIELDS
from stockapi.models.interval import AnyInterval
from stockapi.models.query import Indicators
from stockapi.models.series import SeriesKey
from stockapi.services.csv_store import CsvStore
from stockapi.services.data_store import DataSource, DataStore, QueryResult
from stockapi.services.sqlite_store import SqliteStore, blocks, windows
from stockapi.services.sqlite_store.block_format import BARS_PER_BLOCK
from stockapi.services.sqlite_store.tables import TableInfo
from tests.support.stores import MakeStores, Stores, environment, make_bars, without_blocks

DAY = Interval.DAILY
ALL_INTERVALS: list[AnyInterval] = [*Interval, *AggregatedInterval]

COUNTS = {Interval.DAILY: 8_000, Interval.HOURLY: 2_000, Interval.MINUTE: 8_000}
"""Enough for the 200-bar average of every longer interval, months of days included, a quarter left out."""


def with_gaps(mode: Mode, interval: Interval) -> Bars:
    """As markets are: a quarter of the steps, at random, have no bar."""
    bars = make_bars(COUNTS[interval], interval, mode, seed=5)
    kept = bars.take(np.random.default_rng(5).random(len(bars)) < 0.75)
    return enhance(kept, mode, is_index=False)


BASE = {(mode, interval): with_gaps(mode, interval) for mode in Mode for interval in Interval}


@cache
def everything(mode: Mode, interval: AnyInterval, end: int | None, indicators: Indicators) -> Bars:
    """What was known at the end."""
    bars = BASE[mode, interval.base].between(None, end)
    if isinstance(interval, AggregatedInterval):
        bars = enhance(aggregate(bars, interval, mode), mode, is_index=False)
    if indicators is Indicators.NONE:
        return Bars.of(bars.time, bars.prices, bars.volume)
    return bars if indicators is Indicators.SIMPLE else with_exponential_averages(bars, mode)


def expected(
    mode: Mode,
    interval: AnyInterval,
    start: int | None,
    end: int | None,
    limit: int | None,
    indicators: Indicators = Indicators.SIMPLE,
) -> Bars:
    """The answer by the definition: everything up to the end, aggregated, enhanced, and only then cut."""
    if start is not None and (end is None or start <= end) and isinstance(interval, AggregatedInterval):
        start = bucket_bounds(start, interval, mode)[0]
    bars = everything(mode, interval, end, indicators).between(start, end)
    return bars if limit is None else bars.tail(limit)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one ticker of each market is in both stores, not to be changed."""
    directory = tmp_path_factory.mktemp("stores")
    stores = stores_in(directory)
    for (mode, interval), bars in BASE.items():
        stores.save("ABC", bars, interval, mode)
    stores.db_manager.close()
    return directory


def stores_in(directory: Path, **variables: str) -> Stores:
    settings = Settings.from_mapping(environment(directory, **variables))
    return Stores.of(settings)


@pytest.fixture
def filled(directory: Path) -> Iterator[Stores]:
    stores = stores_in(directory)
    yield stores
    stores.db_manager.close()


def query(stores: Stores, params: QueryParameters) -> QueryResult[Bars]:
    return DataStore(stores).get_data_smart_sqlite(params, stores.limits)


def sources(stores: Stores, **params: object) -> tuple[str, list[str]]:
    """Which store answered, and for which tickers."""
    result = query(stores, QueryParameters(**params))  # type: ignore[arg-type]
    return result.source.value, list(result.bars)


# The right bars


@st.composite
def queries(draw: st.DrawFn) -> QueryParameters:
    """Windows in and around what is stored, every interval and both markets."""
    mode = draw(st.sampled_from(Mode))
    interval = draw(st.sampled_from(ALL_INTERVALS))
    first, last = (int(BASE[mode, interval.base].time[position]) for position in (0, -1))
    margin = (last - first) // 10
    moments = st.none() | st.integers(first - margin, last + margin)
    start, end = draw(moments), draw(moments)
    if start is not None and end is not None and start > end:
        start, end = end, start
    limit = draw(st.integers(1, 300) | st.sampled_from([252, 1_000_000])) if start is None else None
    symbols = draw(st.sampled_from([None, ("ABC",), ("ABC", "NOSUCH")]))
    indicators = draw(st.sampled_from(Indicators))
    return QueryParameters(
        mode=mode, interval=interval, symbols=symbols, start=start, end=end, limit=limit, indicators=indicators
    )


@settings(max_examples=120, deadline=None)
@given(params=queries())
def test_either_store_answers_by_the_definition(directory: Path, params: QueryParameters) -> None:
    """So indicators of aggregated bars do not depend on the window, and both stores give the same, to the last bit."""
    stores = stores_in(directory)
    right = expected(params.mode, params.interval, params.start, params.end, params.limit, params.indicators)
    for use_sqlite in (True, False):
        result = query(stores, replace(params, use_sqlite=use_sqlite))
        assert list(result.bars) == (["ABC"] if len(right) else [])
        assert result.bars.get("ABC", right).equals(right)
        assert result.source is (DataSource.SQLITE if use_sqlite else DataSource.CSV)
    stores.db_manager.close()


@pytest.mark.parametrize("use_sqlite", [True, False])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("interval", ALL_INTERVALS)
def test_a_year_of_every_interval(filled: Stores, mode: Mode, interval: AnyInterval, use_sqlite: bool) -> None:
    """The default limit, and the last indicator of all: the 200-bar average of the newest bar is there."""
    result = query(filled, QueryParameters(mode=mode, interval=interval, use_sqlite=use_sqlite))
    bars = result.bars["ABC"]
    assert bars.equals(expected(mode, interval, None, None, 252))
    assert np.isfinite(bars.indicators[:, -1]).all()


@pytest.mark.parametrize("use_sqlite", [True, False])
@pytest.mark.parametrize("mode", list(Mode))
def test_exponential_averages_are_the_same_in_every_window(filled: Stores, mode: Mode, use_sqlite: bool) -> None:
    """To the last bit, far enough from the first bar that the warm-up does not reach it, and nearer."""
    whole = everything(mode, DAY, None, Indicators.EXPONENTIAL)
    for position in (0, 9, 199, 4_296, 4_297, 5_000, len(whole) - 1):
        moment = int(whole.time[position])
        windows = {"start": moment, "end": moment, "limit": None}, {"end": moment, "limit": 1}
        for window in windows:
            params = QueryParameters(mode=mode, indicators=Indicators.EXPONENTIAL, use_sqlite=use_sqlite, **window)  # type: ignore[arg-type]
            bars = query(filled, params).bars["ABC"]
            assert bars.equals(whole.take(slice(position, position + 1)))
            assert bars.time.base is None, "a slice would keep the warm-up in memory"


@pytest.mark.parametrize(
    ("interval", "indicators", "selected", "rows"),
    [
        (DAY, Indicators.SIMPLE, ["select_latest"], 5),
        (DAY, Indicators.NONE, ["select_latest_bare"], 5),
        (DAY, Indicators.EXPONENTIAL, ["select_latest", "select_latest_bare"], 5 + 4_296),
        (AggregatedInterval.WEEK_1, Indicators.SIMPLE, ["select_latest_bare"], 206 * 7),
        (AggregatedInterval.WEEK_1, Indicators.NONE, ["select_latest_bare"], 6 * 7),
    ],
)
def test_no_more_rows_are_read_than_are_needed(
    filled: Stores,
    monkeypatch: pytest.MonkeyPatch,
    interval: AnyInterval,
    indicators: Indicators,
    selected: list[str],
    rows: int,
) -> None:
    read: list[int] = []
    statements: list[str] = []
    original = windows.to_bars

    def to_bars(rows: Sequence[tuple[float | None, ...]], mode: Mode) -> Bars:
        read.append(len(rows))
        return original(rows, mode)

    monkeypatch.setattr(windows, "to_bars", to_bars)
    with filled.db_manager.snapshot(Mode.VN) as connection:
        connection.set_trace_callback(lambda text: statements.append(text.partition(" WHERE ")[0]))
    with without_blocks(filled):
        query(filled, QueryParameters(interval=interval, limit=5, indicators=indicators))
    table = TableInfo.of(Mode.VN, DAY)
    assert [text for text in statements if text.endswith(" FROM vn_daily")] == [
        getattr(table, name).partition(" WHERE ")[0] for name in selected
    ]
    assert sum(read) == rows


@pytest.mark.parametrize(
    ("interval", "indicators", "with_indicators", "bars"),
    [
        (DAY, Indicators.SIMPLE, True, 5),
        (DAY, Indicators.NONE, False, 5),
        (DAY, Indicators.EXPONENTIAL, True, 5 + 4_296),
        (AggregatedInterval.WEEK_1, Indicators.SIMPLE, False, 206 * 7),
        (AggregatedInterval.WEEK_1, Indicators.NONE, False, 6 * 7),
    ],
)
def test_no_more_blocks_are_read_than_are_needed(
    filled: Stores,
    monkeypatch: pytest.MonkeyPatch,
    interval: AnyInterval,
    indicators: Indicators,
    with_indicators: bool,
    bars: int,
) -> None:
    read: list[tuple[int, bool]] = []
    original = blocks.decode

    def decode(bare: Sequence[bytes], values: Sequence[bytes] | None, *, whole_volume: bool) -> Bars:
        read.append((len(bare), values is not None))
        return original(bare, values, whole_volume=whole_volume)

    monkeypatch.setattr(blocks, "decode", decode)
    query(filled, QueryParameters(symbols=("ABC",), interval=interval, limit=5, indicators=indicators))
    ((number, has_indicators),) = read
    assert has_indicators is with_indicators
    # The block of the first bar wanted and that of the last are read whole.
    assert number <= (bars - 1) // BARS_PER_BLOCK + 2


@pytest.mark.parametrize("use_sqlite", [True, False])
@pytest.mark.parametrize("interval", list(AggregatedInterval))
def test_a_single_aggregated_bar_has_all_its_indicators(
    filled: Stores, interval: AggregatedInterval, use_sqlite: bool
) -> None:
    """However it is asked for: as the newest one, or by a window that begins in it and ends with its last base bar."""
    newest = expected(Mode.VN, interval, None, None, 1)
    first, last = int(newest.time[0]), int(BASE[Mode.VN, interval.base].time[-1])
    for window in (
        {"limit": 1},
        {"start": first, "end": last, "limit": None},
        {"start": last, "limit": None},
        {"end": last, "limit": 1},
    ):
        params = QueryParameters(interval=interval, use_sqlite=use_sqlite, **window)  # type: ignore[arg-type]
        assert query(filled, params).bars["ABC"].equals(newest)


@pytest.mark.parametrize("use_sqlite", [True, False])
@pytest.mark.parametrize(
    ("symbols", "found"),
    [
        (None, ["ACB", "VCB", "VIC"]),
        (("VIC", "ACB"), ["ACB", "VIC"]),
        (("NOSUCH",), []),
        (("NOSUCH", "VCB"), ["VCB"]),
        ((), []),
    ],
)
def test_symbols_come_in_alphabetical_order_and_unknown_ones_do_not_come(
    stores: Stores, symbols: tuple[str, ...] | None, found: list[str], use_sqlite: bool
) -> None:
    for ticker in ("VIC", "ACB", "VCB"):
        stores.save(ticker, make_bars(5))
    stores.save("HOURLY", make_bars(5, Interval.HOURLY), Interval.HOURLY)
    assert sources(stores, symbols=symbols, use_sqlite=use_sqlite)[1] == found


@pytest.mark.parametrize("use_sqlite", [True, False])
def test_a_window_without_bars_is_no_entry(filled: Stores, use_sqlite: bool) -> None:
    for interval in (DAY, AggregatedInterval.WEEK_1):
        assert sources(filled, interval=interval, start=1, end=2, limit=None, use_sqlite=use_sqlite)[1] == []


def test_the_same_symbol_of_the_other_market_is_another(stores: Stores) -> None:
    stores.save("ABC", make_bars(5))
    for mode, found in ((Mode.VN, ["ABC"]), (Mode.CRYPTO, [])):
        (stores.settings.data_dir(mode)).mkdir(exist_ok=True)
        stores.db_manager.upgrade(mode)
        assert sources(stores, mode=mode)[1] == found


@pytest.mark.parametrize("window", [{"start": None, "limit": None}, {"start": 5, "limit": 10}])
def test_a_limit_goes_with_an_open_start_only(window: dict[str, int | None]) -> None:
    with pytest.raises(ValueError, match="limit goes with an open start"):
        QueryParameters(**window)  # type: ignore[arg-type]


def test_the_path_of_a_csv_file_is_made_from_symbols_only(stores: Stores) -> None:
    stores.save("VCB", make_bars(5))
    with pytest.raises(QueryError, match="is not allowed"):
        query(stores, QueryParameters(symbols=("../VCB",), use_sqlite=False))


# Thousands of dong


@pytest.mark.parametrize("use_sqlite", [True, False])
@pytest.mark.parametrize("interval", ALL_INTERVALS)
def test_legacy_divides_prices_and_averages_of_stocks_by_a_thousand(
    filled: Stores, interval: AnyInterval, use_sqlite: bool
) -> None:
    params = QueryParameters(interval=interval, use_sqlite=use_sqlite)
    plain = query(filled, params).bars["ABC"]
    legacy = query(filled, replace(params, legacy=True)).bars["ABC"]
    scaled = np.vstack([legacy.prices, legacy.indicators[: len(MA_FIELDS)]])
    full = np.vstack([plain.prices, plain.indicators[: len(MA_FIELDS)]])
    np.testing.assert_allclose(scaled, full / 1000, rtol=1e-15)
    # 15048.95 is 15.04895, not 15.048950000000001: the nearest number to the text with three more decimals.
    texts = [f"{value:.2f}" for value in full[np.isfinite(full)].tolist()]
    assert scaled[np.isfinite(full)].tolist() == [float(f"{text}e-3") for text in texts]
    assert np.array_equal(np.isnan(scaled), np.isnan(full))
    assert np.array_equal(legacy.indicators[len(MA_FIELDS) :], plain.indicators[len(MA_FIELDS) :], equal_nan=True)
    assert (legacy.time.tolist(), legacy.volume.tolist()) == (plain.time.tolist(), plain.volume.tolist())


@pytest.mark.parametrize(("mode", "ticker"), [(Mode.VN, "VNINDEX"), (Mode.VN, "VN30"), (Mode.CRYPTO, "VNINDEX")])
@pytest.mark.parametrize("interval", [DAY, AggregatedInterval.WEEK_1])
def test_legacy_leaves_indices_and_coins_as_they_are(
    stores: Stores, mode: Mode, ticker: str, interval: AnyInterval
) -> None:
    stores.save(ticker, make_bars(50, mode=mode), mode=mode)
    plain, legacy = (
        query(stores, QueryParameters(mode=mode, interval=interval, legacy=legacy)).bars[ticker]
        for legacy in (False, True)
    )
    assert legacy.equals(plain)


def test_legacy_scales_copies(stores: Stores) -> None:
    stores.save("VCB", make_bars(50))
    params = QueryParameters(legacy=True)
    assert query(stores, params).bars["VCB"].equals(query(stores, params).bars["VCB"])


@pytest.mark.parametrize("interval", [Interval.HOURLY, AggregatedInterval.HOUR_4])
def test_an_aggregated_index_has_no_money_flow(stores: Stores, interval: AnyInterval) -> None:
    for ticker in ("VNINDEX", "VCB"):
        bars = make_bars(50, Interval.HOURLY)
        stores.save(ticker, enhance(bars, Mode.VN, is_index=ticker == "VNINDEX"), Interval.HOURLY)
    found = query(stores, QueryParameters(interval=interval)).bars
    assert set(found["VNINDEX"].indicator("total_money_changed")[1:].tolist()) == {0.0}
    assert 0.0 not in found["VCB"].indicator("total_money_changed")[1:]


# From the right store


@pytest.fixture
def both(stores: Stores) -> Stores:
    """BOTH is in both stores, with other values in each; ONLYCSV and ONLYSQL are in one."""
    stores.save("BOTH", make_bars(5))
    stores.save("ONLYSQL", make_bars(5))
    stores.csv_store.path(SeriesKey(Mode.VN, "ONLYSQL", DAY)).unlink()
    path = stores.csv_store.path(SeriesKey(Mode.VN, "BOTH", DAY))
    recorded_ns = path.stat().st_mtime_ns
    stores.csv_store.write(SeriesKey(Mode.VN, "BOTH", DAY), make_bars(5, seed=2))
    os.utime(path, ns=(recorded_ns, recorded_ns))  # else CSV would be ahead, and answer
    stores.csv_store.write(SeriesKey(Mode.VN, "ONLYCSV", DAY), make_bars(5))
    return stores


@pytest.mark.parametrize(
    ("variables", "params", "source", "found"),
    [
        ({}, {}, "mixed", ["BOTH", "ONLYCSV", "ONLYSQL"]),
        ({}, {"symbols": ("BOTH",)}, "sqlite", ["BOTH"]),
        ({}, {"symbols": ("ONLYSQL",)}, "sqlite", ["ONLYSQL"]),
        ({}, {"symbols": ("ONLYCSV",)}, "csv", ["ONLYCSV"]),
        ({}, {"symbols": ("ONLYCSV", "ONLYSQL")}, "mixed", ["ONLYCSV", "ONLYSQL"]),
        ({}, {"symbols": ("NOSUCH",)}, "sqlite", []),
        ({}, {"symbols": ("BOTH",), "start": 1, "end": 2, "limit": None}, "sqlite", []),
        ({}, {"use_sqlite": False}, "csv", ["BOTH", "ONLYCSV"]),
        ({"FALLBACK_TO_CSV": "false"}, {}, "sqlite", ["BOTH", "ONLYSQL"]),
        ({"FALLBACK_TO_CSV": "false"}, {"symbols": ("ONLYCSV",)}, "sqlite", []),
        ({"FALLBACK_TO_CSV": "false"}, {"use_sqlite": False}, "csv", ["BOTH", "ONLYCSV"]),
        ({"SQLITE_READS": "false"}, {}, "csv", ["BOTH", "ONLYCSV"]),
        ({"SQLITE_READS": "false", "FALLBACK_TO_CSV": "false"}, {}, "csv", ["BOTH", "ONLYCSV"]),
        # SQLite falls behind while nobody writes it.
        ({"SQLITE_WRITES": "false"}, {}, "csv", ["BOTH", "ONLYCSV"]),
    ],
)
def test_which_store_answers(
    both: Stores,
    make_stores: MakeStores,
    variables: dict[str, str],
    params: dict[str, object],
    source: str,
    found: list[str],
) -> None:
    both.db_manager.close()
    result = query(make_stores(**variables), QueryParameters(**params))  # type: ignore[arg-type]
    assert (result.source.value, list(result.bars)) == (source, found)
    for symbol, bars in result.bars.items():
        is_from_csv = symbol == "ONLYCSV" or source == "csv"
        seed = 2 if symbol == "BOTH" and is_from_csv else 1
        assert bars.equals(make_bars(5, seed=seed))


@pytest.mark.parametrize(
    ("params", "asked"),
    [
        ({"symbols": ("BOTH",)}, {"sqlite"}),
        ({"symbols": ("NOSUCH",)}, {"sqlite", "csv"}),
        ({}, {"sqlite", "csv"}),
        ({"use_sqlite": False}, {"csv"}),
    ],
)
def test_the_time_in_each_store_that_was_asked_is_measured(
    both: Stores, params: dict[str, object], asked: set[str]
) -> None:
    timings_ms = query(both, QueryParameters(**params)).timings_ms  # type: ignore[arg-type]
    assert timings_ms.keys() == asked
    assert all(0.0 < spent_ms < 10_000.0 for spent_ms in timings_ms.values())


def test_a_window_and_its_warm_up_are_one_read_of_a_csv_file(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """They must be of one version, however often the file changes."""
    old, new = make_bars(300), make_bars(300, seed=2)
    stores.csv_store.write(SeriesKey(Mode.VN, "VCB", DAY), old)
    start = int(old.time[150])
    original = CsvStore.read
    reads = 0

    def read(self: CsvStore, *key_and_window: object) -> object:
        nonlocal reads
        reads += 1
        parsed = original(self, *key_and_window)  # type: ignore[arg-type]
        self.write(SeriesKey(Mode.VN, "VCB", DAY), new)
        return parsed

    monkeypatch.setattr(CsvStore, "read", read)
    params = QueryParameters(interval=AggregatedInterval.WEEK_1, start=start, limit=None, use_sqlite=False)
    weeks = enhance(aggregate(old, AggregatedInterval.WEEK_1, Mode.VN), Mode.VN, is_index=False)
    first = bucket_bounds(start, AggregatedInterval.WEEK_1, Mode.VN)[0]
    assert query(stores, params).bars["VCB"].equals(weeks.between(first, None))
    assert reads == 1


def test_the_answer_is_what_was_known_at_its_end(make_stores: MakeStores) -> None:
    """A month of which the first days are asked for, one that contains the start, and a start after the end in it."""
    stores = make_stores()
    stores.save("VCB", make_bars(400))
    days = make_bars(400)
    moment = int(days.time[-12])
    month = bucket_bounds(moment, AggregatedInterval.MONTH_1, Mode.VN)[0]
    known = days.between(month, moment)

    def months(**window: int | None) -> Bars | None:
        params = QueryParameters(symbols=("VCB",), interval=AggregatedInterval.MONTH_1, **window)  # type: ignore[arg-type]
        return query(stores, params).bars.get("VCB")

    for window in ({"end": moment, "limit": 1}, {"start": moment, "end": moment, "limit": None}):
        found = months(**window)
        assert found is not None
        assert (found.time.tolist(), found.close.tolist()) == ([month], [known.close[-1]])
        assert found.high.tolist() == [known.high.max()]
        assert found.volume.tolist() == [known.volume.sum()]
    assert months(start=moment, end=moment - 86_400, limit=None) is None


# Within bounds


@pytest.mark.parametrize("use_sqlite", [True, False])
@pytest.mark.parametrize(
    ("interval", "window", "rows"),
    [
        (DAY, {"limit": 70}, 210),
        (DAY, {"limit": 1_000_000}, 300),
        (DAY, {"start": 0, "limit": None}, 300),
        (AggregatedInterval.WEEK_1, {"limit": 10}, 30),
        (AggregatedInterval.WEEK_1, {"start": 0, "limit": None}, 45),
    ],
)
def test_the_row_budget_is_that_of_the_answer(
    make_stores: MakeStores, interval: AnyInterval, window: dict[str, int | None], rows: int, use_sqlite: bool
) -> None:
    """For an aggregated interval too: the base bars that had to be read do not count."""
    params = QueryParameters(interval=interval, use_sqlite=use_sqlite, **window)  # type: ignore[arg-type]
    for budget in (rows, rows - 1):
        stores = make_stores(MAX_RESPONSE_ROWS=str(budget))
        for ticker in ("ACB", "VCB", "VIC"):
            stores.save(ticker, make_bars(100))
        if budget == rows:
            assert sum(map(len, query(stores, params).bars.values())) == rows
        else:
            with pytest.raises(TooManyRowsError, match=f"more than {budget} rows; ask for fewer symbols"):
                query(stores, params)
        stores.db_manager.close()


def test_the_row_budget_counts_both_stores_together(make_stores: MakeStores) -> None:
    stores = make_stores(MAX_RESPONSE_ROWS="9")
    stores.save("VCB", make_bars(5))
    stores.csv_store.write(SeriesKey(Mode.VN, "ACB", DAY), make_bars(5))
    assert sources(stores, limit=4)[0] == "mixed"
    with pytest.raises(TooManyRowsError, match="more than 9 rows"):
        sources(stores, limit=5)


@pytest.mark.parametrize("interval", [DAY, AggregatedInterval.WEEK_1])
@pytest.mark.parametrize("source", ["sqlite", "csv", "mixed"])
def test_a_query_past_its_deadline_is_stopped(make_stores: MakeStores, interval: AnyInterval, source: str) -> None:
    """Not answered from CSV instead, which would take longer still."""
    stores = make_stores(QUERY_DEADLINE_MS="1")
    for ticker in ("ACB", "VCB"):
        if source == "sqlite":
            stores.sqlite_store.replace(SeriesKey(Mode.VN, ticker, DAY), BASE[Mode.VN, DAY], csv_stamp="", now=0)
        else:
            stores.csv_store.write(SeriesKey(Mode.VN, ticker, DAY), BASE[Mode.VN, DAY])
    stores.db_manager.upgrade(Mode.VN)
    started = time.monotonic()
    # Blocks would be read in time.
    with without_blocks(stores), pytest.raises(DeadlineError, match="deadline"):
        sources(stores, interval=interval, start=0, limit=None, use_sqlite=source != "csv")
    assert time.monotonic() - started < 5.0


def in_every_market(stores: Stores, params: QueryParameters) -> dict[Mode, QueryResult[Bars]]:
    """As one request asks for them."""
    store, limits = DataStore(stores), stores.limits
    return {mode: store.get_data_smart_sqlite(replace(params, mode=mode), limits) for mode in Mode}


@pytest.mark.parametrize("use_sqlite", [True, False])
def test_every_market_at_once(filled: Stores, use_sqlite: bool) -> None:
    for mode, result in in_every_market(filled, QueryParameters(limit=3, use_sqlite=use_sqlite)).items():
        assert result.bars["ABC"].equals(expected(mode, DAY, None, None, 3))
        assert result.source is (DataSource.SQLITE if use_sqlite else DataSource.CSV)


@pytest.mark.parametrize("use_sqlite", [True, False])
def test_the_row_budget_is_for_every_market_together(make_stores: MakeStores, use_sqlite: bool) -> None:
    for budget in (8, 7):
        stores = make_stores(MAX_RESPONSE_ROWS=str(budget))
        for mode, count in ((Mode.VN, 5), (Mode.CRYPTO, 3)):
            stores.save("ABC", make_bars(count, mode=mode), mode=mode)
        params = QueryParameters(use_sqlite=use_sqlite)
        if budget == 8:
            assert sum(len(result.bars["ABC"]) for result in in_every_market(stores, params).values()) == 8
        else:
            with pytest.raises(TooManyRowsError, match="more than 7 rows"):
                in_every_market(stores, params)
        stores.db_manager.close()


def test_the_deadline_is_for_every_market_together(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[float | None] = []
    original = SqliteStore.read_each

    def read_each(self: SqliteStore, *query: object, **bounds: float | None) -> object:
        deadlines.append(bounds["deadline"])
        return original(self, *query, **bounds)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteStore, "read_each", read_each)
    assert create_app(filled.settings).test_client().get("/tickers?mode=all").status_code == 200
    assert len(deadlines) == 2
    assert len(set(deadlines)) == 1


@pytest.mark.parametrize(
    ("sources", "source"),
    [
        ([DataSource.CSV, DataSource.CSV], DataSource.CSV),
        ([DataSource.SQLITE], DataSource.SQLITE),
        ([DataSource.SQLITE, DataSource.CSV], DataSource.MIXED),
        ([DataSource.MIXED, DataSource.SQLITE], DataSource.MIXED),
    ],
)
def test_the_source_of_an_answer_out_of_several(sources: list[DataSource], source: DataSource) -> None:
    assert DataSource.of_all(sources) is source


def test_both_stores_share_one_deadline(stores: Stores) -> None:
    """It begins with the query, and is not the one that connections have by themselves."""
    stores.save("ABC", BASE[Mode.VN, DAY])
    hurried = replace(stores, settings=replace(stores.settings, query_deadline_ms=1))
    # Blocks would be read in time.
    with without_blocks(stores), pytest.raises(DeadlineError, match=r"SQLite error: .+ was stopped at its deadline"):
        DataStore(stores).get_data_smart_sqlite(QueryParameters(start=0, limit=None), hurried.limits)
