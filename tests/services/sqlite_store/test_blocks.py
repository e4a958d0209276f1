"""Blocks of columns: every window as the rows have it, through every kind of save, or no answer at all."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.errors import DeadlineError, SqliteError
from stockapi.models import Bars, Interval, Mode, QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.data_store import DataStore
from stockapi.services.sqlite_store import blocks
from stockapi.services.sqlite_store.block_format import BARS_PER_BLOCK
from stockapi.services.sqlite_store.blocks import BlockTable
from stockapi.services.upkeep.reconcile import reconcile_out_of_step, verify
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, make_bars, without_blocks

DAY = Interval.DAILY
DAY_S = Interval.DAILY.seconds
LONG = make_bars(900)
SERIES = {
    "VCB": LONG,
    "ACB": make_bars(30, seed=2),
    "FPT": make_bars(BARS_PER_BLOCK, seed=3),
    "HPG": make_bars(2 * BARS_PER_BLOCK + 1, seed=4),
}
VCB = SeriesKey(Mode.VN, "VCB", DAY)
TABLE = BlockTable.of(Mode.VN, DAY)


@pytest.fixture
def filled(stores: Stores) -> Stores:
    for ticker, bars in SERIES.items():
        stores.save(ticker, bars)
    return stores


def key_of(ticker: str) -> SeriesKey:
    return SeriesKey(Mode.VN, ticker, DAY)


def of_blocks(stores: Stores, ticker: str, window: Window) -> Bars | None:
    """What the blocks alone answer."""
    with stores.db_manager.snapshot(Mode.VN) as connection:
        ((found, bars),) = TABLE.read(connection, (ticker,), window)
    assert found == ticker
    return bars


def of_rows(stores: Stores, ticker: str, window: Window) -> Bars:
    return stores.sqlite_store.read(key_of(ticker), window)


def assert_same(found: Bars | None, rows: Bars, warmup: int = 0) -> None:
    """`warmup`: so many bars in front may have indicators that the rows come without."""
    assert found is not None
    assert found.without_indicators().equals(rows.without_indicators())
    wanted = slice(warmup, None)
    assert found.take(wanted).equals(rows.take(wanted))


def assert_whole(stores: Stores, ticker: str) -> None:
    """There are blocks, and they hold what the rows do: all of it, and any end of it."""
    rows = of_rows(stores, ticker, Window())
    assert_same(of_blocks(stores, ticker, Window()), rows)
    for window in (Window(limit=1), Window(limit=BARS_PER_BLOCK + 1), Window(end=int(rows.time[-1]) - 1, limit=5)):
        assert_same(of_blocks(stores, ticker, window), of_rows(stores, ticker, window))
    assert stores.sqlite_store.recorded(key_of(ticker)).has_true_blocks


def execute(stores: Stores, statement: str, *values: object) -> None:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(statement, values)


def starts_of(stores: Stores, ticker: str) -> list[int]:
    with stores.db_manager.snapshot(Mode.VN) as connection:
        found = connection.execute("SELECT first_time FROM vn_daily_blocks WHERE ticker = ? ORDER BY 1", (ticker,))
        return [start for (start,) in found]


# The same bars

MOMENTS = st.integers(-3, len(LONG) + 3).map(lambda day: FIRST_DAY + day * DAY_S) | st.integers(-(2**40), 2**40)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start, end = draw(st.none() | MOMENTS), draw(st.none() | MOMENTS)
    limit = draw(st.none() | st.integers(1, len(LONG) + 1))
    warmup = draw(st.just(0) | st.integers(0, len(LONG) + 1))
    return Window(start=start, end=end, limit=limit, warmup=warmup, indicators=draw(st.booleans()))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(window=windows(), ticker=st.sampled_from(sorted(SERIES)))
def test_every_window_is_that_of_the_rows(filled: Stores, window: Window, ticker: str) -> None:
    rows = of_rows(filled, ticker, window)
    wanted = of_rows(filled, ticker, Window(start=window.start, end=window.end, limit=window.limit))
    assert_same(of_blocks(filled, ticker, window), rows, warmup=len(rows) - len(wanted))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("interval", Interval)
def test_of_each_market_and_interval(stores: Stores, mode: Mode, interval: Interval) -> None:
    stores.save("BTC", make_bars(450, interval, mode), interval, mode)
    for window in (Window(), Window(limit=300), Window(limit=300, indicators=False)):
        with stores.db_manager.snapshot(mode) as connection:
            ((_, bars),) = BlockTable.of(mode, interval).read(connection, ("BTC",), window)
        assert_same(bars, stores.sqlite_store.read(SeriesKey(mode, "BTC", interval), window))


def test_of_all_tickers_in_alphabetical_order(filled: Stores) -> None:
    with filled.db_manager.snapshot(Mode.VN) as connection:
        every = dict(TABLE.read(connection, None, Window(limit=200)))
        some = dict(TABLE.read(connection, ("VCB", "NONE", "ACB"), Window(limit=200)))
    assert list(every) == sorted(SERIES)
    assert list(some) == ["ACB", "VCB"]
    for ticker, bars in (every | some).items():
        assert_same(bars, of_rows(filled, ticker, Window(limit=200)))


@pytest.mark.parametrize("indicators", [True, False])
@pytest.mark.parametrize("which", ["one", "some", "every"])
def test_each_statement_goes_by_the_index_and_sorts_nothing(filled: Stores, which: str, indicators: bool) -> None:
    values = {"interval": "1D", "symbol": "VCB", "symbols": "[]", "pivot": 0, "skip": 1, "end": 2}
    with filled.db_manager.snapshot(Mode.VN) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {TABLE.select[which, indicators]}", values).fetchall()
    steps = " ".join(row[3] for row in plan)
    assert "SEARCH held USING INDEX sqlite_autoindex_vn_daily_blocks_1 (ticker=? AND first_time>?" in steps
    assert "TEMP B-TREE" not in steps


def test_the_deadline_holds_between_two_series(filled: Stores) -> None:
    """SQLite itself looks at the clock after thousands of steps, and a block takes few."""
    late = replace(filled.limits, deadline=time.monotonic() - 1)
    with pytest.raises(DeadlineError, match="deadline"):
        DataStore(filled).get_data_smart_sqlite(QueryParameters(limit=1), late)


# Kept true by every save


def adjusted(bars: Bars) -> Bars:
    return enhance(Bars.of(bars.time, bars.prices * 0.8, bars.volume), Mode.VN, is_index=False)


SAVES: dict[str, Callable[[Stores], object]] = {
    "a bar more": lambda stores: stores.save("VCB", make_bars(901), cutoff=int(LONG.time[-3])),
    "the first bar of a block": lambda stores: stores.save(
        "HPG", make_bars(258, seed=4), cutoff=FIRST_DAY + 257 * DAY_S
    ),
    "a bar after a full block": lambda stores: stores.save(
        "FPT", make_bars(129, seed=3), cutoff=FIRST_DAY + 128 * DAY_S
    ),
    "many bars more": lambda stores: stores.save("VCB", make_bars(1_950), cutoff=int(LONG.time[-3])),
    "the last bar changed": lambda stores: stores.save("VCB", make_bars(900, seed=5), cutoff=int(LONG.time[-1])),
    "all changed": lambda stores: stores.save("VCB", make_bars(900, seed=5), rewrite_all=True),
    "an adjusted history": lambda stores: stores.save("VCB", adjusted(LONG), rewrite_all=True),
    "fewer": lambda stores: stores.save("VCB", LONG.take(slice(0, 700)), rewrite_all=True),
    "the oldest gone": lambda stores: stores.save("VCB", LONG.take(slice(200, None)), rewrite_all=True),
    "few": lambda stores: stores.save("VCB", LONG.take(slice(0, 3)), rewrite_all=True),
    "every other gone": lambda stores: stores.save("VCB", LONG.take(slice(0, None, 2)), rewrite_all=True),
    "older ones come": lambda stores: stores.save("ACB", LONG.take(slice(0, 450)), rewrite_all=True),
    "nothing new": lambda stores: stores.save("VCB", LONG, rewrite_all=True),
}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_a_save_keeps_them_true(filled: Stores, save: Callable[[Stores], object]) -> None:
    save(filled)
    for ticker in SERIES:
        assert_whole(filled, ticker)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_saved_one_after_the_other(make_stores: MakeStores, data: st.DataObject) -> None:
    """Appended, corrected, deleted, inserted, rewritten: after each the blocks are the rows, cut in equal pieces."""
    stores = make_stores(SQLITE_BATCH_SIZE=str(data.draw(st.sampled_from([7, 150, 1_000]), label="batch")))
    expected = make_bars(data.draw(st.integers(1, 300), label="first"))
    stores.save("VCB", expected, rewrite_all=True)
    for seed in range(data.draw(st.integers(1, 5), label="saves")):
        other = make_bars(data.draw(st.integers(1, 420), label="length"), seed=seed)
        if data.draw(st.booleans(), label="rewrite"):
            kept = np.random.default_rng(seed).random(len(other)) < data.draw(st.sampled_from([0.5, 0.99, 1.0]))
            expected = other.take(kept if kept.any() else slice(None))
            stores.save("VCB", expected, rewrite_all=True)
        else:
            tail = other.take(slice(data.draw(st.integers(0, len(other) - 1), label="from"), None))
            tail = expected.between(int(tail.time[0]), None).merge(tail)
            stores.save("VCB", tail, cutoff=int(tail.time[0]))
            expected = expected.merge(tail)
        assert_same(of_blocks(stores, "VCB", Window()), expected)
        assert starts_of(stores, "VCB") == expected.time[::BARS_PER_BLOCK].tolist()
        assert_whole(stores, "VCB")


def test_one_bar_more_writes_the_last_block_alone(filled: Stores) -> None:
    execute(filled, "CREATE TABLE touched (first_time)")
    for event in ("INSERT", "UPDATE"):
        execute(
            filled,
            f"CREATE TRIGGER on_{event} AFTER {event} ON vn_daily_blocks "
            "BEGIN INSERT INTO touched VALUES (NEW.first_time); END",
        )
    filled.save("VCB", make_bars(902), cutoff=int(LONG.time[-1]))
    with filled.db_manager.snapshot(Mode.VN) as connection:
        assert connection.execute("SELECT first_time FROM touched").fetchall() == [(starts_of_last(LONG),)]


def starts_of_last(bars: Bars) -> int:
    return int(bars.time[(len(bars) - 1) // BARS_PER_BLOCK * BARS_PER_BLOCK])


def test_nothing_new_touches_no_block(filled: Stores) -> None:
    log = Path(f"{filled.settings.vn_database_path}-wal")
    size = log.stat().st_size
    filled.sqlite_store.replace(VCB, LONG, csv_stamp=filled.csv_store.stamp(VCB), now=9)
    assert log.stat().st_size == size


# Absent: the rows answer


def forget_blocks(stores: Stores) -> None:
    """As the migration leaves them, and a program that writes rows and no blocks."""
    execute(stores, "UPDATE ledger SET copies_digest = ''")


def test_without_blocks_the_rows_answer(filled: Stores) -> None:
    with without_blocks(filled):
        assert of_blocks(filled, "VCB", Window(limit=300)) is None
        assert_same(answer(filled, "VCB"), LONG.tail(300))
        assert filled.sqlite_store.recorded(VCB).has_true_blocks, "there are none that could be false"


def answer(stores: Stores, ticker: str) -> Bars:
    store = DataStore(stores)
    result = store.get_data_smart_sqlite(QueryParameters(symbols=(ticker,), limit=300), stores.limits)
    assert result.source.value == "sqlite"
    return result.bars[ticker]


def test_a_database_from_before_gets_them_at_the_workers_start(
    filled: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    forget_blocks(filled)
    execute(filled, "DELETE FROM vn_daily_blocks")
    with caplog.at_level(logging.INFO):
        reconcile_out_of_step(filled, Mode.VN, NOW)
    for ticker in SERIES:
        assert_whole(filled, ticker)
    assert "vn 1D: blocks and texts of 4 series of 4" in caplog.text
    assert filled.sqlite_store.fill_copies(Mode.VN) == 0


def test_and_otherwise_with_its_next_save(filled: Stores) -> None:
    forget_blocks(filled)
    filled.save("VCB", make_bars(901), cutoff=int(LONG.time[-3]))
    assert_whole(filled, "VCB")
    assert of_blocks(filled, "ACB", Window()) is None


def test_a_stop_ends_the_filling_after_the_series_in_hand(filled: Stores) -> None:
    forget_blocks(filled)
    stop = Event()
    stop.set()
    assert filled.sqlite_store.fill_copies(Mode.VN, stop) == 0
    assert filled.sqlite_store.fill_copies(Mode.VN) == len(SERIES)


def test_none_are_made_of_rows_that_the_ledger_does_not_describe(filled: Stores) -> None:
    forget_blocks(filled)
    execute(filled, "UPDATE vn_daily SET close = 1.0 WHERE ticker = 'VCB' AND time = ?", int(LONG.time[5]))
    assert filled.sqlite_store.fill_copies(Mode.VN) == len(SERIES) - 1
    assert of_blocks(filled, "VCB", Window()) is None


def test_a_database_without_the_tables_answers_from_its_rows(filled: Stores, caplog: pytest.LogCaptureFixture) -> None:
    """As one that the new program reads before it is upgraded."""
    execute(filled, "DROP TABLE vn_daily_blocks")
    with caplog.at_level(logging.WARNING):
        assert_same(answer(filled, "VCB"), LONG.tail(300))
        response = create_app(filled.settings).test_client().get("/tickers?symbol=VCB&limit=500")
    assert (response.status_code, response.headers["X-Data-Source"]) == (200, "sqlite")
    assert "no such table" in caplog.text


def test_a_series_forgotten_has_none(filled: Stores) -> None:
    execute(filled, "DELETE FROM vn_daily WHERE ticker = 'VCB'")
    assert filled.sqlite_store.forget(VCB)
    assert starts_of(filled, "VCB") == []


# Damaged: no answer, and found by the comparison

_OTHER_BYTE = "{0} = CAST(substr({0}, 1, 700) || x'a5' || substr({0}, 702) AS BLOB)"
DAMAGE = {
    "a byte of the bars": _OTHER_BYTE.format("bars"),
    "a byte of the indicators": _OTHER_BYTE.format("indicators"),
    "bars cut short": "bars = substr(bars, 1, 700)",
    "bars empty": "bars = x''",
    "bars as text": "bars = CAST(hex(bars) AS TEXT)",
    "bars a number": "bars = 17",
    "a checksum": "bars_check = bars_check + 1",
    "a checksum as text": "bars_check = 'x'",
    "the other checksum": "indicators_check = 0",
    "fewer rows": "rows = rows - 1",
    "more rows": "rows = rows + 1",
    "rows as text": "rows = 'many'",
    "the next block": "until = coalesce(until, first_time) + 86400",
    "the last of all": "until = NULL WHERE until IS NOT NULL AND first_time = {start}",
    "of another series": "ticker = 'XXX'",
    "earlier": "first_time = first_time - 1",
    "later": "first_time = first_time + 1",
}
PLACES = range(0, len(LONG), BARS_PER_BLOCK)


def spoil(stores: Stores, damage: str, start: int) -> None:
    condition = "" if "WHERE" in damage else " WHERE ticker = 'VCB' AND first_time = {start}"
    execute(stores, f"UPDATE OR REPLACE vn_daily_blocks SET {damage}{condition}".format(start=start))


def each_window(start: int) -> Iterator[Window]:
    """Some that have bars of the block that begins there, at either end and in the middle, and some that do not."""
    for first in (start - 3 * DAY_S, start, start + 9 * DAY_S, start + BARS_PER_BLOCK * DAY_S):
        for days in (2, BARS_PER_BLOCK, 300):
            yield Window(start=first, end=first + days * DAY_S)
            yield Window(end=first, limit=days, indicators=False)
            yield Window(start=first, end=first + days * DAY_S, warmup=30)
    yield from (Window(), Window(limit=252), Window(limit=1))


def wrong_answers(stores: Stores, start: int) -> int:
    """How often the blocks answer another thing than the rows."""
    wrong = 0
    for window in each_window(start):
        found, rows = of_blocks(stores, "VCB", window), of_rows(stores, "VCB", window)
        wrong += found is not None and not found.without_indicators().equals(rows.without_indicators())
        if found is not None and not window.warmup:
            wrong += not found.equals(rows)
    return wrong


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("place", [PLACES[0], PLACES[3], PLACES[-1]], ids=["first", "middle", "last"])
def test_a_damaged_block_is_no_answer_and_is_found(filled: Stores, damage: str, place: int) -> None:
    if "{start}" in damage and place == PLACES[-1]:
        pytest.skip("the last one has no next one")
    start = int(LONG.time[place])
    spoil(filled, damage, start)
    assert wrong_answers(filled, start) == 0
    assert not filled.sqlite_store.recorded(VCB).has_true_blocks
    assert_same(answer(filled, "VCB"), LONG.tail(300))


@pytest.mark.parametrize("place", PLACES)
def test_a_block_that_is_gone_is_missed(filled: Stores, place: int) -> None:
    start = int(LONG.time[place])
    execute(filled, "DELETE FROM vn_daily_blocks WHERE ticker = 'VCB' AND first_time = ?", start)
    assert wrong_answers(filled, start) == 0
    assert not filled.sqlite_store.recorded(VCB).has_true_blocks


def test_the_newest_block_of_before_is_noticed(filled: Stores) -> None:
    """As a write that the disk has lost."""
    start = starts_of_last(LONG)
    with filled.db_manager.snapshot(Mode.VN) as connection:
        statement = "SELECT * FROM vn_daily_blocks WHERE ticker = 'VCB' AND first_time = ?"
        old = connection.execute(statement, (start,)).fetchone()
    filled.save("VCB", make_bars(901), cutoff=int(LONG.time[-1]))
    execute(filled, f"REPLACE INTO vn_daily_blocks VALUES ({', '.join('?' * len(old))})", *old)
    assert wrong_answers(filled, start) == 0
    assert of_blocks(filled, "VCB", Window(limit=1)) is None


@pytest.mark.parametrize("guard", ["_check", "_is_chain"])
def test_without_the_guards_damage_would_be_answered(
    filled: Stores, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    """What each of them is for: the same damage is an answer without it."""
    start = int(LONG.time[PLACES[3]])
    if guard == "_check":
        execute(filled, "UPDATE vn_daily_blocks SET bars_check = 7, indicators_check = 7")
        spoil(filled, DAMAGE["a byte of the bars"], start)
        monkeypatch.setattr(blocks, "_check", lambda *_: 7)
    else:
        execute(filled, "DELETE FROM vn_daily_blocks WHERE ticker = 'VCB' AND first_time = ?", start)
        monkeypatch.setattr(blocks, "_is_chain", lambda _: True)
    assert wrong_answers(filled, start) > 0


@pytest.mark.parametrize("damage", [DAMAGE["a byte of the bars"], DAMAGE["of another series"], DAMAGE["fewer rows"]])
def test_the_verification_reports_them_and_a_repair_makes_them_anew(filled: Stores, damage: str) -> None:
    spoil(filled, damage, int(LONG.time[PLACES[3]]))
    (report,) = [each for each in verify(filled, Mode.VN, [DAY]) if each.problems]
    assert (report.key.ticker, report.problems) == ("VCB", ("the blocks of columns are not those of the rows",))
    filled.save("VCB", LONG, rewrite_all=True)
    assert_whole(filled, "VCB")


def test_a_damaged_last_block_is_made_anew_by_the_next_save(filled: Stores) -> None:
    spoil(filled, DAMAGE["a byte of the bars"], starts_of_last(LONG))
    filled.save("VCB", make_bars(901), cutoff=int(LONG.time[-1]) + DAY_S)
    assert_whole(filled, "VCB")


def test_a_save_that_fails_leaves_the_old_ones(filled: Stores) -> None:
    execute(
        filled,
        "CREATE TRIGGER boom BEFORE UPDATE ON vn_daily_blocks BEGIN SELECT RAISE(ABORT, 'boom'); END",
    )
    with pytest.raises(SqliteError, match="boom"):
        filled.sqlite_store.save_tail(
            VCB,
            make_bars(901).tail(1),
            expected_stamp=filled.csv_store.stamp(VCB),
            csv_stamp="1",
            now=9,
        )
    assert of_rows(filled, "VCB", Window()).equals(LONG)
    assert_whole(filled, "VCB")


def test_a_ticker_that_is_none_is_damage(filled: Stores) -> None:
    execute(filled, "UPDATE ledger SET ticker = 'V/B' WHERE ticker = 'VCB'")
    with filled.db_manager.snapshot(Mode.VN) as connection, pytest.raises(SqliteError, match="which is none"):
        list(TABLE.read(connection, None, Window(limit=1)))


@pytest.mark.parametrize("column", ["first_time", "last_time"])
def test_a_time_of_the_ledger_that_is_none_is_no_answer(filled: Stores, column: str) -> None:
    execute(filled, f"UPDATE ledger SET {column} = 'x' WHERE ticker = 'VCB'")
    assert of_blocks(filled, "VCB", Window()) is None


def test_a_page_of_blocks_that_cannot_be_read_leaves_the_answer_to_the_rows(
    filled: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> Iterator[None]:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    monkeypatch.setattr(BlockTable, "read", damaged)
    assert_same(answer(filled, "VCB"), LONG.tail(300))
