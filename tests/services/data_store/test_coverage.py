"""What is stored of each ticker: the right figures, from the right store, without reading all bars."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.gaps import Gap
from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import CsvError, DeadlineError, SqliteError, SqliteFault
from stockapi.markets import VN, market_of
from stockapi.models import Bars, Interval, Mode
from stockapi.models.limits import Limits
from stockapi.models.selection import Selection
from stockapi.models.series import SeriesKey
from stockapi.services.data_store import DataSource
from stockapi.services.data_store.coverage import CoverageReader, CoverageResult, TickerCoverage
from stockapi.services.sqlite_store.tables import TableInfo
from tests.support.stores import MakeStores, Stores, environment

MONDAY = 1_709_510_400  # 2024-03-04, in a month without holidays


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def bars_at(times: list[int], mode: Mode = Mode.VN) -> Bars:
    ones = np.ones(len(times))
    volume = np.ones(len(times), dtype=np.int64 if market_of(mode).has_whole_volume else np.float64)
    return Bars.of(np.array(sorted(times), dtype=np.int64), np.tile(ones, (4, 1)), volume)


def days(*texts: str) -> Bars:
    return bars_at([at(text) for text in texts])


def coverage(
    stores: Stores, symbols: tuple[str, ...] | None = None, interval: Interval = Interval.DAILY, mode: Mode = Mode.VN
) -> CoverageResult:
    return CoverageReader(stores).read(mode, interval, symbols, stores.limits)


# The right figures


def by_definition(times: set[int], mode: Mode) -> TickerCoverage:
    """Day by day, with sets."""
    with_bar = {moment // SECONDS_PER_DAY for moment in times}
    gaps: list[Gap] = []
    run: list[int] = []
    for day in range(min(with_bar), max(with_bar) + 1):
        date = datetime.fromtimestamp(day * SECONDS_PER_DAY, UTC).date()
        if mode is Mode.VN and not VN.calendar.is_trading_day(date):
            continue
        if day not in with_bar:
            run.append(day * SECONDS_PER_DAY)
        elif run:
            gaps.append(Gap(run[0], run[-1], len(run)))
            run = []
    if run:
        gaps.append(Gap(run[0], run[-1], len(run)))
    return TickerCoverage(min(times), max(times), len(times), gaps)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    own = Settings.from_mapping(environment(tmp_path_factory.mktemp("stores")))
    stores = Stores.of(own)
    yield stores
    stores.db_manager.close()


@st.composite
def series(draw: st.DrawFn) -> tuple[Interval, Mode, set[int]]:
    """Some bars of some days around Tet, at weekends and on holidays too."""
    interval, mode = draw(st.sampled_from(Interval)), draw(st.sampled_from(Mode))
    first = at("2024-01-26")
    if not interval.is_intraday:
        return interval, mode, {first + day * SECONDS_PER_DAY for day in draw(st.sets(st.integers(0, 40), min_size=1))}
    steps = SECONDS_PER_DAY // interval.seconds
    bars = st.tuples(st.integers(0, 20), st.integers(0, steps - 1) | st.sampled_from([0, steps - 1]))
    chosen = draw(st.sets(bars, min_size=1, max_size=60))
    return interval, mode, {first + day * SECONDS_PER_DAY + step * interval.seconds for day, step in chosen}


@settings(max_examples=60, deadline=None)
@given(series())
def test_either_store_gives_the_coverage_of_the_definition(
    scratch: Stores, drawn: tuple[Interval, Mode, set[int]]
) -> None:
    interval, mode, times = drawn
    scratch.save("ABC", bars_at(list(times), mode), interval, mode, rewrite_all=True)
    csv_only = Stores.of(
        Settings.from_mapping(environment(scratch.settings.market_data_dir.parent, SQLITE_READS="false"))
    )
    for stores, source in ((scratch, DataSource.SQLITE), (csv_only, DataSource.CSV)):
        result = coverage(stores, ("ABC",), interval, mode)
        assert result.tickers == {"ABC": by_definition(times, mode)}
        assert result.source is source


@pytest.mark.parametrize(
    ("stored", "gaps"),
    [
        (["2024-03-04"], []),
        (["2024-03-08", "2024-03-11"], []),  # over a weekend
        (["2024-02-07", "2024-02-15"], []),  # over Tet
        (["2024-02-06", "2024-02-16"], [("2024-02-07", "2024-02-15", 2)]),  # a day on either side of Tet
        (
            ["2024-03-04", "2024-03-06", "2024-03-11"],
            [("2024-03-05", "2024-03-05", 1), ("2024-03-07", "2024-03-08", 2)],
        ),
        (["2024-03-08", "2024-03-09", "2024-03-11"], []),  # a bar on a Saturday
    ],
)
def test_days_on_which_the_market_was_closed_are_no_gap(
    stores: Stores, stored: list[str], gaps: list[tuple[str, str, int]]
) -> None:
    stores.save("VCB", days(*stored))
    (found,) = coverage(stores).tickers.values()
    assert found.gaps == [Gap(at(first), at(last), count) for first, last, count in gaps]


def test_a_coin_is_expected_every_day(stores: Stores) -> None:
    stores.save("BTC", bars_at([at("2024-03-08"), at("2024-03-11")], Mode.CRYPTO), mode=Mode.CRYPTO)
    (found,) = coverage(stores, mode=Mode.CRYPTO).tickers.values()
    assert found.gaps == [Gap(at("2024-03-09"), at("2024-03-10"), 2)]


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [(None, ["ACB", "VCB"]), (("VCB",), ["VCB"]), (("NOSUCH", "VCB"), ["VCB"]), (("NOSUCH",), []), (("BTC",), [])],
)
def test_symbols_are_alphabetical_and_unknown_ones_left_out(
    stores: Stores, symbols: tuple[str, ...] | None, expected: list[str]
) -> None:
    stores.save("VCB", days("2024-03-04"))
    stores.save("ACB", days("2024-03-04"))
    stores.save("ACB", bars_at([MONDAY]), Interval.MINUTE)
    stores.save("BTC", bars_at([MONDAY], Mode.CRYPTO), mode=Mode.CRYPTO)
    assert list(coverage(stores, symbols).tickers) == expected


def test_a_file_without_a_single_bar_is_no_coverage(make_stores: MakeStores) -> None:
    stores = make_stores(SQLITE_READS="false")
    path = stores.csv_store.path(SeriesKey(Mode.VN, "VCB", Interval.DAILY))
    path.parent.mkdir(parents=True)
    path.write_text("")
    assert coverage(stores).tickers == {}


# From the right store


@pytest.mark.parametrize(
    ("variables", "has_database", "source", "symbols"),
    [
        ({}, True, DataSource.MIXED, ["ACB", "VCB"]),
        ({}, False, DataSource.CSV, ["ACB", "VCB"]),
        ({"FALLBACK_TO_CSV": "false"}, True, DataSource.SQLITE, ["VCB"]),
        ({"SQLITE_READS": "false"}, True, DataSource.CSV, ["ACB", "VCB"]),
        ({"SQLITE_WRITES": "false"}, True, DataSource.CSV, ["ACB", "VCB"]),
        ({"SQLITE_READS": "false", "FALLBACK_TO_CSV": "false"}, True, DataSource.CSV, ["ACB", "VCB"]),
    ],
)
def test_sqlite_first_and_csv_where_it_may(
    make_stores: MakeStores, variables: dict[str, str], has_database: bool, source: DataSource, symbols: list[str]
) -> None:
    """VCB is in both stores, ACB in CSV alone."""
    before = make_stores()
    before.save("VCB", days("2024-03-04"))
    before.csv_store.write(SeriesKey(Mode.VN, "ACB", Interval.DAILY), days("2024-03-04"))
    before.db_manager.close()
    if not has_database:
        before.settings.vn_database_path.unlink()
    result = coverage(make_stores(**variables))
    assert (result.source, list(result.tickers)) == (source, symbols)


def test_without_the_fallback_a_failure_is_an_error(make_stores: MakeStores) -> None:
    stores = make_stores(FALLBACK_TO_CSV="false")
    stores.csv_store.write(SeriesKey(Mode.VN, "ACB", Interval.DAILY), days("2024-03-04"))
    with pytest.raises(SqliteError):
        coverage(stores)


def test_when_neither_store_can_answer_it_is_an_error(stores: Stores) -> None:
    with pytest.raises(CsvError):
        coverage(stores)


@pytest.mark.parametrize("value", ["no number", b"\x00\xff", 1.5e300])
def test_a_damaged_time_is_left_to_csv(stores: Stores, value: object) -> None:
    stores.save("VCB", days("2024-03-04", "2024-03-05"))
    stores.db_manager.close()
    with closing(sqlite3.connect(stores.settings.vn_database_path)) as connection, connection:
        connection.execute("UPDATE vn_daily SET time = ? WHERE time = ?", (value, MONDAY))
    result = coverage(stores)
    assert result.source is DataSource.CSV
    assert result.tickers["VCB"].count == 2


def test_a_time_that_is_no_number_is_damage(stores: Stores) -> None:
    stores.save("VCB", days("2024-03-04"))
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("UPDATE vn_daily SET time = 'no number'")
    with pytest.raises(SqliteError) as caught:
        stores.sqlite_store.extents(Selection(Mode.VN, Interval.DAILY), deadline=float("inf"))
    assert caught.value.fault is SqliteFault.CORRUPT


# Without reading all bars


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize("mode", Mode)
def test_only_the_index_is_read_and_never_the_whole_of_it(stores: Stores, mode: Mode, interval: Interval) -> None:
    stores.db_manager.upgrade(mode)
    table = TableInfo.of(mode, interval)
    with stores.db_manager.snapshot(mode) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {table.select_days}", ("VCB",)).fetchall()]
    of_table = [step for step in plan if table.name in step]
    assert of_table
    assert all(step.startswith(f"SEARCH {table.name} USING COVERING INDEX") for step in of_table)


@pytest.mark.parametrize("interval", [Interval.HOURLY, Interval.MINUTE])
def test_the_work_grows_with_the_days_and_not_with_the_bars(stores: Stores, interval: Interval) -> None:
    """In steps of SQLite's virtual machine; a scan takes three or more for each bar."""
    per_day = SECONDS_PER_DAY // interval.seconds
    stores.save("ONE", bars_at([MONDAY + day * SECONDS_PER_DAY for day in range(30)]), interval)
    stores.save("ALL", bars_at([MONDAY + step * interval.seconds for step in range(30 * per_day)]), interval)

    def steps(ticker: str) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        with closing(sqlite3.connect(stores.settings.vn_database_path)) as connection:
            connection.set_progress_handler(step, 1)
            connection.execute(TableInfo.of(Mode.VN, interval).select_days, (ticker,)).fetchall()
        return count

    assert steps("ALL") < 1.1 * steps("ONE")


def test_sqlite_is_stopped_at_the_deadline(stores: Stores) -> None:
    stores.save("VCB", bars_at([MONDAY + day * SECONDS_PER_DAY for day in range(5_000)]))
    with pytest.raises(DeadlineError):
        stores.sqlite_store.extents(Selection(Mode.VN, Interval.DAILY), deadline=time.monotonic() - 1)


def test_csv_is_stopped_at_the_deadline(make_stores: MakeStores) -> None:
    stores = make_stores(SQLITE_READS="false")
    stores.csv_store.write(SeriesKey(Mode.VN, "VCB", Interval.DAILY), days("2024-03-04"))
    clock = iter([0.0, 9.9, 10.1])
    limits = Limits.begin(10_000, 1, lambda: next(clock))
    with pytest.raises(DeadlineError):
        CoverageReader(stores).read(Mode.VN, Interval.DAILY, ("VCB", "VIC"), limits)
