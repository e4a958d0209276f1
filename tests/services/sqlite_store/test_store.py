"""Bars into SQLite and out again: upsert, ledger, windows, budget."""

import dataclasses
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockapi.calc.digest import digest, to_text
from stockapi.errors import SqliteError, SqliteFault, TooManyRowsError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.limits import RowBudget
from stockapi.models.selection import Selection
from stockapi.models.series import SeriesKey
from stockapi.models.window import LastOfEach, Window
from stockapi.services.sqlite_store import SqliteStore, partition
from stockapi.services.sqlite_store.tables import TableInfo, upserts
from tests.support.stores import NOW, MakeStores, Stores, make_bars

DAY = Interval.DAILY
SECONDS = int(NOW.timestamp())


def replace(stores: Stores, ticker: str, bars: Bars, now: int = SECONDS, mode: Mode = Mode.VN) -> None:
    stores.sqlite_store.replace(SeriesKey(mode, ticker, DAY), bars, csv_stamp="1", now=now)


def save_tail(stores: Stores, bars: Bars, expected: str = "1", now: int = SECONDS) -> bool:
    return stores.sqlite_store.save_tail(
        SeriesKey(Mode.VN, "VCB", DAY), bars, expected_stamp=expected, csv_stamp="1", now=now
    )


def rows(stores: Stores, columns: str = "time, id, created_at, updated_at, close") -> list[tuple[float, ...]]:
    with stores.db_manager.snapshot(Mode.VN) as connection:
        return connection.execute(f"SELECT {columns} FROM vn_daily ORDER BY time").fetchall()


def with_close(bars: Bars, position: int, close: float) -> Bars:
    prices = bars.prices.copy()
    prices[3, position] = close
    return Bars(bars.time, prices, bars.volume, bars.indicators)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("count", [0, 1, 250, 2_500])
def test_what_goes_in_comes_out(stores: Stores, mode: Mode, count: int) -> None:
    bars = make_bars(count, mode=mode)
    stores.db_manager.upgrade(mode)
    replace(stores, "VCB", bars, mode=mode)
    assert stores.in_sqlite("VCB", mode=mode).equals(bars)


def test_volumes_keep_every_digit(stores: Stores) -> None:
    bars = make_bars(3)
    largest = Bars(bars.time, bars.prices, np.array([0, 2**53 + 1, 2**63 - 1]), bars.indicators)
    replace(stores, "VCB", largest)
    assert stores.in_sqlite("VCB").volume.tolist() == largest.volume.tolist()
    coins = make_bars(3, mode=Mode.CRYPTO)
    fractions = Bars(coins.time, coins.prices, np.array([3.0, 0.00000001, 123456789.12345678]), coins.indicators)
    replace(stores, "BTC", fractions, mode=Mode.CRYPTO)
    assert stores.in_sqlite("BTC", mode=Mode.CRYPTO).volume.tolist() == fractions.volume.tolist()


def test_an_upsert_keeps_id_and_created_at_and_moves_updated_at_of_what_changed(stores: Stores) -> None:
    bars = make_bars(5)
    replace(stores, "VCB", bars)
    before = rows(stores)
    assert save_tail(stores, with_close(bars, 3, 1.0).take(slice(2, None)), now=SECONDS + 60)
    after = rows(stores)
    assert [row[:3] for row in after] == [row[:3] for row in before]
    assert [row[3] - SECONDS for row in after] == [0, 0, 0, 60, 0]
    assert after[3][4] == 1.0


def test_nothing_changed_touches_nothing(stores: Stores) -> None:
    """Not even the counter behind AUTOINCREMENT, which a plain upsert moves for every row it leaves alone."""
    bars = make_bars(50)
    replace(stores, "VCB", bars)
    log = Path(f"{stores.settings.vn_database_path}-wal")
    size = log.stat().st_size
    replace(stores, "VCB", bars, now=SECONDS + 60)
    assert save_tail(stores, bars.take(slice(40, None)), now=SECONDS + 60)
    assert log.stat().st_size == size
    with stores.db_manager.snapshot(Mode.VN) as connection:
        assert connection.execute("SELECT seq FROM sqlite_sequence").fetchall() == [(50,)]


def test_replace_drops_what_is_not_there_any_more(stores: Stores) -> None:
    bars = make_bars(10)
    replace(stores, "VCB", bars)
    ids = {row[0]: row[1] for row in rows(stores)}
    kept = bars.take(np.array([0, 2, 3, 9]))
    replace(stores, "VCB", kept)
    assert stores.in_sqlite("VCB").equals(kept)
    assert {row[0]: row[1] for row in rows(stores)} == {time: ids[time] for time in kept.time.tolist()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tails_add_up_to_the_series(stores: Stores, data: st.DataObject) -> None:
    """Whatever sequence of tails is saved, rows, ledger and digest are those of the merged series."""
    expected = make_bars(data.draw(st.integers(1, 20)))
    replace(stores, "VCB", expected)
    for seed in range(data.draw(st.integers(1, 4))):
        newer = make_bars(data.draw(st.integers(1, 30)), seed=seed)
        tail = newer.take(slice(data.draw(st.integers(0, len(newer) - 1)), None))
        # A tail covers all stored times from its first on.
        tail = expected.between(int(tail.time[0]), None).merge(tail)
        assert save_tail(stores, tail)
        expected = expected.merge(tail)
    entry = stores.sqlite_store.ledger(Mode.VN)[SeriesKey(Mode.VN, "VCB", DAY)]
    assert stores.in_sqlite("VCB").equals(expected)
    assert (entry.rows, entry.first_time, entry.last_time, entry.digest) == (
        len(expected),
        int(expected.time[0]),
        int(expected.time[-1]),
        to_text(digest(expected)),
    )


@pytest.mark.parametrize(
    ("prepare", "expected_stamp", "why"),
    [
        (lambda stores, bars: replace(stores, "VCB", bars), "another", "the CSV file was in another state"),
        (lambda stores, bars: replace(stores, "VCB", bars), "", "there was no CSV file"),
        (lambda stores, bars: None, "1", "SQLite knows nothing of a series that CSV has"),
        (lambda stores, bars: replace(stores, "VCB", make_bars(12)), "1", "a stored bar would be left over"),
    ],
)
def test_a_tail_is_refused_when_the_stores_are_not_in_step(
    stores: Stores, prepare: Callable[[Stores, Bars], None], expected_stamp: str, why: str
) -> None:
    bars = make_bars(10)
    stores.db_manager.upgrade(Mode.VN)
    prepare(stores, bars)
    before = stores.in_sqlite("VCB")
    assert save_tail(stores, bars.take(slice(8, None)), expected=expected_stamp) is False, why
    assert stores.in_sqlite("VCB").equals(before)


@pytest.mark.parametrize("stored", [0, 1])
def test_growth_goes_in_batches(make_stores: MakeStores, stored: int) -> None:
    """A new series is not in the ledger, so no reader takes it for whole, until its last batch is committed."""
    stores = make_stores(SQLITE_BATCH_SIZE="10")
    stores.db_manager.upgrade(Mode.VN)
    bars = make_bars(35 + stored)
    if stored:
        replace(stores, "VCB", bars.take(slice(1)))
    seen: list[tuple[int, int | None]] = []
    original = stores.db_manager.transaction

    def watch(mode: Mode):  # type: ignore[no-untyped-def]
        entry = stores.sqlite_store.ledger(Mode.VN).get(SeriesKey(Mode.VN, "VCB", DAY))
        seen.append((len(stores.in_sqlite("VCB")), entry.rows if entry else None))
        return original(mode)

    stores.db_manager.transaction = watch  # type: ignore[method-assign]
    assert save_tail(stores, bars.take(slice(stored, None)), expected="1" if stored else "")
    steps = [(0, None), (0, None), (10, None), (20, None), (30, None)]
    assert seen == ([(count + 1, count + 1) for count, _ in steps] if stored else steps)
    assert stores.sqlite_store.ledger(Mode.VN)[SeriesKey(Mode.VN, "VCB", DAY)].rows == len(bars)


def test_a_failure_in_mid_batch_rolls_it_back(stores: Stores) -> None:
    bars = make_bars(30)
    replace(stores, "VCB", bars.take(slice(20)))
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(
            f"CREATE TRIGGER boom BEFORE INSERT ON vn_daily WHEN NEW.time = {bars.time[25]} "
            "BEGIN SELECT RAISE(ABORT, 'boom'); END"
        )
    with pytest.raises(SqliteError, match="boom"):
        save_tail(stores, bars.take(slice(15, None)))
    assert stores.in_sqlite("VCB").equals(bars.take(slice(20)))
    assert stores.sqlite_store.ledger(Mode.VN)[SeriesKey(Mode.VN, "VCB", DAY)].rows == 20


@pytest.mark.parametrize(
    ("count", "rows_per_statement"),
    [
        (0, []),
        (1, [1]),
        (5, [1] * 5),
        (49, [1] * 49),
        (50, [50]),
        (51, [50, 1]),
        (100, [50, 50]),
        (1_000, [50] * 20),
        (1_049, [*[50] * 20, *[1] * 49]),
    ],
)
def test_many_rows_go_by_fifty_and_few_one_by_one(stores: Stores, count: int, rows_per_statement: list[int]) -> None:
    table, bars = TableInfo.of(Mode.VN, DAY), make_bars(count)
    by_statement = {statement: rows for rows, statement in table.upsert.items()}
    stores.db_manager.upgrade(Mode.VN)
    done = []
    with stores.db_manager.transaction(Mode.VN) as connection:
        for statement, runs in upserts(table, "VCB", bars, SECONDS):
            connection.executemany(statement, runs)
            done += [by_statement[statement]] * len(runs)
    assert done == rows_per_statement
    assert stores.in_sqlite("VCB").equals(bars)
    expected = [(time, number + 1, SECONDS, SECONDS) for number, time in enumerate(bars.time.tolist())]
    assert rows(stores, "time, id, created_at, updated_at") == expected


def test_no_statement_has_more_parameters_than_any_sqlite_takes() -> None:
    """999 before 3.32."""
    statements = TableInfo.of(Mode.VN, DAY).upsert.values()
    assert max(int(number) for text in statements for number in re.findall(r"\?(\d+)", text)) == 952


@pytest.mark.parametrize("position", [10, 70, 119], ids=["first statement", "second statement", "single row"])
def test_a_failure_within_a_statement_of_many_rows_leaves_none_of_them(stores: Stores, position: int) -> None:
    bars = make_bars(120)
    stores.db_manager.upgrade(Mode.VN)
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(
            f"CREATE TRIGGER boom BEFORE INSERT ON vn_daily WHEN NEW.time = {bars.time[position]} "
            "BEGIN SELECT RAISE(FAIL, 'boom'); END"  # FAIL, unlike ABORT, keeps what the statement has done so far
        )
    with pytest.raises(SqliteError, match="boom"):
        replace(stores, "VCB", bars)
    assert rows(stores) == []
    assert stores.sqlite_store.ledger(Mode.VN) == {}


def test_absent_indicators_are_null(stores: Stores) -> None:
    bars = make_bars(60)
    absent = np.isnan(bars.indicators)
    assert absent.any()
    assert not absent.all()
    replace(stores, "VCB", bars)
    kinds = rows(stores, ", ".join(f"typeof({name})" for name in INDICATOR_FIELDS))
    assert kinds == [tuple("null" if cell else "real" for cell in row) for row in absent.T.tolist()]


def test_changed_rows_are_made_ready_a_batch_at_a_time(
    make_stores: MakeStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = make_stores(SQLITE_BATCH_SIZE="10")
    stores.db_manager.upgrade(Mode.VN)
    replace(stores, "VCB", make_bars(35))
    sizes = []

    def watched(table: TableInfo, ticker: str, bars: Bars, now: int):  # type: ignore[no-untyped-def]
        sizes.append(len(bars))
        return upserts(table, ticker, bars, now)

    monkeypatch.setattr(partition, "upserts", watched)
    changed = make_bars(35, seed=2)
    replace(stores, "VCB", changed)
    assert sizes == [10, 10, 10, 5]
    assert stores.in_sqlite("VCB").equals(changed)


T = make_bars(20).time


@pytest.mark.parametrize(
    ("window", "positions"),
    [
        (Window(), slice(None)),
        (Window(limit=3), slice(17, 20)),
        (Window(limit=100), slice(None)),
        (Window(end=int(T[9]), limit=3), slice(7, 10)),
        (Window(end=int(T[9]) - 1, limit=3), slice(6, 9)),
        (Window(start=int(T[5])), slice(5, 20)),
        (Window(start=int(T[5]), end=int(T[7])), slice(5, 8)),
        (Window(start=int(T[5]) + 1, end=int(T[7]) - 1), slice(6, 7)),
        (Window(start=int(T[5]), limit=2), slice(18, 20)),
        (Window(start=int(T[19]) + 1), slice(0, 0)),
    ],
)
def test_windows(stores: Stores, window: Window, positions: slice) -> None:
    bars = make_bars(20)
    replace(stores, "VCB", bars)
    assert stores.sqlite_store.read(SeriesKey(Mode.VN, "VCB", DAY), window).equals(bars.take(positions))


@pytest.mark.parametrize(
    ("window", "earlier", "positions"),
    [
        (Window(start=int(T[5]), end=int(T[7]), warmup=2), 2, slice(3, 8)),
        (Window(start=int(T[1]), warmup=9), 1, slice(0, 20)),
        (Window(end=int(T[9]), limit=3, warmup=2), 2, slice(5, 10)),
        (Window(limit=19, warmup=9), 1, slice(0, 20)),
        (Window(start=int(T[5]), limit=2, warmup=3), 3, slice(15, 20)),
        (Window(start=int(T[19]) + 1, warmup=2), 0, slice(0, 0)),
    ],
)
@pytest.mark.parametrize("indicators", [True, False])
def test_bars_of_the_warm_up_come_bare(
    stores: Stores, window: Window, earlier: int, positions: slice, indicators: bool
) -> None:
    bars = make_bars(20)
    replace(stores, "VCB", bars)
    read = stores.sqlite_store.read(SeriesKey(Mode.VN, "VCB", DAY), dataclasses.replace(window, indicators=indicators))
    bare = Bars.of(bars.time, bars.prices, bars.volume).take(positions)
    assert read.take(slice(earlier)).equals(bare.take(slice(earlier)))
    wanted = bars.take(positions) if indicators else bare
    assert read.take(slice(earlier, None)).equals(wanted.take(slice(earlier, None)))


def test_read_each_is_alphabetical_and_knows_only_the_ledger(stores: Stores) -> None:
    for ticker in ("VIC", "ACB", "FPT"):
        replace(stores, ticker, make_bars(4))
    read = dict(stores.sqlite_store.read_each(Selection(Mode.VN, DAY, None, Window(limit=1))))
    assert list(read) == ["ACB", "FPT", "VIC"]
    some = dict(
        stores.sqlite_store.read_each(Selection(Mode.VN, DAY, ["VIC", "NOPE", "ACB"], Window(start=int(T[10]))))
    )
    assert [(ticker, len(bars)) for ticker, bars in some.items()] == [("ACB", 0), ("VIC", 0)]


@pytest.mark.parametrize("end", [None, int(T[12]), int(T[12]) - 1, int(T[3]), int(T[0]) - 1])
def test_the_last_of_each_is_what_a_limit_of_one_gives(stores: Stores, end: int | None) -> None:
    for ticker, bars in {
        "VIC": make_bars(20),
        "ACB": make_bars(10, seed=2),
        "FPT": make_bars(20).take(slice(4, 5)),
    }.items():
        replace(stores, ticker, bars)
    each = dict(stores.sqlite_store.read_each(Selection(Mode.VN, DAY, None, Window(end=end, limit=1))))
    section, without = stores.sqlite_store.last_of_each(
        LastOfEach(mode=Mode.VN, interval=DAY, end=end), deadline=float("inf")
    )
    assert section.symbols == [ticker for ticker, bars in each.items() if len(bars)]
    assert without == [ticker for ticker, bars in each.items() if not len(bars)]
    for position, symbol in enumerate(section.symbols):
        assert section.bars.take(slice(position, position + 1)).equals(each[symbol])


def test_of_an_empty_market_there_is_no_last_bar(stores: Stores) -> None:
    stores.db_manager.upgrade(Mode.VN)
    section, without = stores.sqlite_store.last_of_each(LastOfEach(mode=Mode.VN, interval=DAY), deadline=float("inf"))
    assert (section.symbols, len(section.bars), without) == ([], 0, [])


@pytest.mark.parametrize(
    ("window", "budget", "is_within"),
    [
        (Window(), 40, True),
        (Window(), 39, False),
        (Window(limit=5), 10, True),
        (Window(limit=5), 9, False),
        (Window(start=int(T[15])), 10, True),
        (Window(start=int(T[15])), 9, False),
    ],
)
@pytest.mark.parametrize("spent", [0, 7])
def test_the_row_budget(stores: Stores, window: Window, budget: int, is_within: bool, spent: int) -> None:
    for ticker in ("VIC", "ACB"):
        replace(stores, ticker, make_bars(20))
    each = stores.sqlite_store.read_each(
        Selection(Mode.VN, DAY, None, window), row_budget=RowBudget(budget + spent, spent)
    )
    if is_within:
        assert sum(len(bars) for _, bars in each) == budget
    else:
        with pytest.raises(TooManyRowsError, match=rf"more than {budget + spent} rows; ask for fewer symbols"):
            list(each)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("interval", list(Interval))
def test_each_statement_uses_the_one_index(stores: Stores, mode: Mode, interval: Interval) -> None:
    stores.db_manager.upgrade(mode)
    table = TableInfo.of(mode, interval)
    assert table.name == f"{mode.value}_{interval.label}"
    with stores.db_manager.snapshot(mode) as connection:
        for statement in (table.select_range, table.select_latest, table.count_range, table.bounds_since):
            plan = _plan(connection, statement)
            assert "SEARCH" in plan
            assert "TEMP B-TREE" not in plan, "no sorting: the index has the order"


def _plan(connection: sqlite3.Connection, statement: str) -> str:
    values = ("VCB", 0, 10)[: statement.count("?")]
    return " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values))


def test_a_store_is_nothing_but_its_manager(stores: Stores) -> None:
    replace(stores, "VCB", make_bars(2))
    assert len(SqliteStore(stores.db_manager).read(SeriesKey(Mode.VN, "VCB", DAY))) == 2


# The ledger


def test_a_series_is_forgotten_only_when_there_are_no_bars_of_it(stores: Stores) -> None:
    replace(stores, "VCB", make_bars(5))
    replace(stores, "ACB", make_bars(5))
    assert not stores.sqlite_store.forget(SeriesKey(Mode.VN, "VCB", DAY))
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("DELETE FROM vn_daily WHERE ticker = 'VCB'")
    assert SeriesKey(Mode.VN, "VCB", DAY) in stores.sqlite_store.ledger(Mode.VN)
    assert stores.sqlite_store.forget(SeriesKey(Mode.VN, "VCB", DAY))
    assert [*stores.sqlite_store.ledger(Mode.VN)] == [SeriesKey(Mode.VN, "ACB", DAY)]


def test_entry_and_bars_come_from_one_state(stores: Stores) -> None:
    bars = make_bars(5)
    replace(stores, "VCB", bars)
    recorded = stores.sqlite_store.recorded(SeriesKey(Mode.VN, "VCB", DAY))
    assert recorded.bars.equals(bars)
    assert recorded.entry == stores.sqlite_store.ledger(Mode.VN)[SeriesKey(Mode.VN, "VCB", DAY)]
    recorded = stores.sqlite_store.recorded(SeriesKey(Mode.VN, "ACB", DAY))
    assert (recorded.entry, len(recorded.bars)) == (None, 0)


@pytest.mark.parametrize(
    "damage",
    [
        "ticker = 'V/B'",
        "ticker = CAST(x'ff4242' AS TEXT)",
        "interval = '1X'",
        "rows = 'many'",
        "last_time = 1.5",
        "digest = 'what'",
        "digest = '-1'",
    ],
)
def test_a_row_that_cannot_be_one_of_the_ledger_is_damage(stores: Stores, damage: str) -> None:
    """Not an error of the program, and no answer without the series."""
    replace(stores, "VCB", make_bars(5))
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(f"UPDATE ledger SET {damage}")
    with pytest.raises(SqliteError) as caught:
        stores.sqlite_store.ledger(Mode.VN)
    assert caught.value.fault is SqliteFault.CORRUPT
