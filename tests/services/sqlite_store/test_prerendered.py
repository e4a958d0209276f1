"""The newest bars as pre-rendered JSON and CSV: the same bytes as from the rows, or no answer at all."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockapi import create_app
from stockapi.api.http import responses
from stockapi.api.http.responses import KeyedBars
from stockapi.errors import TooManyRowsError
from stockapi.formats.default_rows import TextForm
from stockapi.formats.json_format import DEFAULT_FIELDS
from stockapi.models import AggregatedInterval, Bars, Interval, Mode, QueryParameters
from stockapi.models.query import Indicators
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import TimeStyle
from stockapi.models.window import Window
from stockapi.services.data_store import DataStore, PrerenderedText, QueryResult
from stockapi.services.sqlite_store.prerendered import PRERENDERED_BARS, PrerenderedTable
from stockapi.services.upkeep.reconcile import reconcile_out_of_step
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, make_bars

DAY = Interval.DAILY
RECENT = PRERENDERED_BARS[DAY]
STORED = 900
LONG = make_bars(STORED)
SHORT = make_bars(30, seed=2)
DAY_S = Interval.DAILY.seconds
WITHOUT = "UPDATE ledger SET copies_digest = ''"
"""As after the migration that brought them."""


@pytest.fixture
def filled(stores: Stores) -> Stores:
    stores.save("VCB", LONG)
    stores.save("ACB", SHORT)
    return stores


def store_of(stores: Stores) -> DataStore:
    return DataStore(stores)


def ready(stores: Stores, params: QueryParameters) -> bytes | None:
    """The answer in every form, one after the other; None when it is not there as text in any of them."""
    results = [store_of(stores).get_prerendered(form, params, stores.limits) for form in TextForm]
    found = [text_of(form, result, params) for form, result in zip(TextForm, results, strict=True) if result]
    assert len(found) in (0, len(TextForm))
    return b"".join(found) or None


def from_rows(stores: Stores, params: QueryParameters) -> bytes:
    result = store_of(stores).get_data_smart_sqlite(params, stores.limits)
    return b"".join(text_of(form, result, params) for form in TextForm)


def text_of(form: TextForm, result: QueryResult[Bars | PrerenderedText], params: QueryParameters) -> bytes:
    series = [KeyedBars(symbol, symbol, params.mode, bars) for symbol, bars in result.bars.items()]
    body = responses.json_body if form is TextForm.JSON else responses.csv_body
    return b"".join(body(series, TimeStyle.of(params.interval), DEFAULT_FIELDS))


def execute(stores: Stores, statement: str) -> None:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(statement)


def texts_held(stores: Stores, ticker: str, interval: Interval = DAY) -> int:
    with stores.db_manager.snapshot(Mode.VN) as connection:
        statement = f"SELECT count(*) FROM vn_{interval.label}_texts WHERE ticker = ?"
        count: int = connection.execute(statement, (ticker,)).fetchone()[0]
        return count


# The same bytes

MOMENTS = st.integers(-3, STORED + 3).map(lambda day: FIRST_DAY + day * DAY_S)


@st.composite
def windows(draw: st.DrawFn) -> QueryParameters:
    symbols = draw(st.sampled_from([None, ("VCB",), ("ACB",), ("ACB", "VCB")]))
    end = draw(st.none() | MOMENTS)
    if draw(st.booleans()):
        start = draw(MOMENTS.filter(lambda moment: end is None or moment <= end))
        return QueryParameters(symbols=symbols, start=start, end=end, limit=None)
    return QueryParameters(symbols=symbols, end=end, limit=draw(st.integers(1, STORED + 1)))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(params=windows())
def test_every_window_has_the_bytes_of_the_rows_or_is_left_to_them(filled: Stores, params: QueryParameters) -> None:
    answer = ready(filled, params)
    if answer is not None:
        assert answer == from_rows(filled, params)


@pytest.mark.parametrize(
    ("params", "is_ready"),
    [
        (QueryParameters(symbols=("VCB",)), True),
        (QueryParameters(symbols=None), True),
        (QueryParameters(symbols=("VCB",), limit=RECENT), True),
        (QueryParameters(symbols=("VCB",), limit=RECENT + 1), False),
        (QueryParameters(symbols=("ACB",), limit=RECENT + 1), True),
        (QueryParameters(symbols=("VCB",), start=int(LONG.time[-RECENT]), limit=None), True),
        (QueryParameters(symbols=("VCB",), start=int(LONG.time[-RECENT]) - 1, limit=None), False),
        (QueryParameters(symbols=("ACB",), start=0, limit=None), True),
        (QueryParameters(symbols=("VCB",), end=int(LONG.time[-1]) - 5 * DAY_S, limit=200), True),
        (QueryParameters(symbols=("VCB",), end=int(LONG.time[100]), limit=5), False),
        (QueryParameters(symbols=("VCB",), start=int(LONG.time[-1]) + 1, limit=None), True),
        (QueryParameters(symbols=("VCB", "ACB"), limit=20), True),
        (QueryParameters(symbols=("VCB", "ACB"), limit=RECENT + 1), False),
        (QueryParameters(symbols=("NONE",)), False),
        (QueryParameters(symbols=("VCB", "NONE")), False),
        (QueryParameters(symbols=("VCB",), interval=AggregatedInterval.WEEK_1), False),
        (QueryParameters(symbols=("VCB",), indicators=Indicators.NONE), False),
        (QueryParameters(symbols=("VCB",), indicators=Indicators.EXPONENTIAL), False),
        (QueryParameters(symbols=("VCB",), legacy=True), False),
        (QueryParameters(symbols=("VCB",), use_sqlite=False), False),
    ],
)
def test_what_is_ready(filled: Stores, params: QueryParameters, is_ready: bool) -> None:
    answer = ready(filled, params)
    assert (answer is not None) == is_ready
    assert answer is None or answer == from_rows(filled, params)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("interval", Interval)
def test_of_each_market_and_interval(stores: Stores, mode: Mode, interval: Interval) -> None:
    stores.save("BTC", make_bars(450, interval, mode), interval, mode)
    params = QueryParameters(mode=mode, interval=interval, symbols=("BTC",), limit=300)
    answer = ready(stores, params)
    assert answer is not None
    assert answer == from_rows(stores, params)


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_over_http_nobody_can_tell(filled: Stores, form: str) -> None:
    client = create_app(filled.settings).test_client()
    url = f"/tickers?symbol=VCB,ACB&limit=50&format={form}"
    first = client.get(url)
    execute(filled, "DELETE FROM vn_daily_texts")
    second = client.get(url)
    assert first.get_data() == second.get_data()
    assert {key: value for key, value in first.headers if key != "Date"} == {
        key: value for key, value in second.headers if key != "Date"
    }


# Kept true by every save


SAVES: dict[str, Callable[[Stores], object]] = {
    "a bar more": lambda stores: stores.save("VCB", make_bars(901), cutoff=int(LONG.time[-3])),
    "many bars more": lambda stores: stores.save("VCB", make_bars(1_950), cutoff=int(LONG.time[-3])),
    "the last bar changed": lambda stores: stores.save("VCB", make_bars(900, seed=5), cutoff=int(LONG.time[-1])),
    "all changed": lambda stores: stores.save("VCB", make_bars(900, seed=5), rewrite_all=True),
    "fewer": lambda stores: stores.save("VCB", LONG.take(slice(0, 700)), rewrite_all=True),
    "few": lambda stores: stores.save("VCB", LONG.take(slice(0, 3)), rewrite_all=True),
    "every other gone": lambda stores: stores.save("VCB", LONG.take(slice(0, None, 2)), rewrite_all=True),
    "older ones come": lambda stores: stores.save("ACB", LONG.take(slice(0, 450)), rewrite_all=True),
    "nothing new": lambda stores: stores.save("VCB", LONG, rewrite_all=True),
}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_a_save_keeps_them_true(filled: Stores, save: Callable[[Stores], object]) -> None:
    save(filled)
    for ticker in ("VCB", "ACB"):
        assert filled.sqlite_store.recorded(SeriesKey(Mode.VN, ticker, DAY)).has_true_texts
        held = len(filled.in_sqlite(ticker))
        assert ready(filled, QueryParameters(symbols=(ticker,), limit=min(3, held))) is not None
        assert texts_held(filled, ticker) <= RECENT


@pytest.mark.parametrize("batch", [7, 150, 1_000])
def test_whatever_the_size_of_a_batch(make_stores: MakeStores, batch: int) -> None:
    stores = make_stores(SQLITE_BATCH_SIZE=str(batch))
    stores.save("VCB", LONG.take(slice(0, 100)))
    stores.save("VCB", LONG, cutoff=int(LONG.time[98]))
    assert texts_held(stores, "VCB") == RECENT
    assert stores.sqlite_store.recorded(SeriesKey(Mode.VN, "VCB", DAY)).has_true_texts


def test_a_hole_before_the_oldest_text_is_none_in_the_answer(filled: Stores) -> None:
    """A bar that comes late is older than all texts, or stands among them."""
    late = np.delete(np.arange(STORED), [300, 800])
    filled.save("FPT", LONG.take(late), rewrite_all=True)
    filled.save("FPT", LONG, rewrite_all=True)
    assert filled.sqlite_store.recorded(SeriesKey(Mode.VN, "FPT", DAY)).has_true_texts


# Without them


def test_a_database_from_before_gets_them_at_the_workers_start(filled: Stores) -> None:
    execute(filled, "DELETE FROM vn_daily_texts")
    execute(filled, WITHOUT)
    assert ready(filled, QueryParameters(symbols=("VCB",))) is None
    reconcile_out_of_step(filled, Mode.VN, NOW)
    assert ready(filled, QueryParameters(symbols=("VCB",))) == from_rows(filled, QueryParameters(symbols=("VCB",)))
    assert filled.sqlite_store.fill_copies(Mode.VN) == 0


def test_and_otherwise_with_its_next_save(filled: Stores) -> None:
    execute(filled, "DELETE FROM vn_daily_texts")
    execute(filled, WITHOUT)
    filled.save("VCB", LONG, cutoff=int(LONG.time[-3]))
    assert (texts_held(filled, "VCB"), texts_held(filled, "ACB")) == (RECENT, 0)


def test_texts_of_other_bars_than_the_rows_are_no_answer(filled: Stores) -> None:
    """As a program leaves them that knows rows only."""
    execute(filled, "UPDATE ledger SET digest = '0000000000000001' WHERE ticker = 'VCB'")
    assert ready(filled, QueryParameters(symbols=("VCB",))) is None
    assert ready(filled, QueryParameters(symbols=("ACB",))) is not None


def test_a_database_without_the_tables_answers_from_its_rows(filled: Stores, caplog: pytest.LogCaptureFixture) -> None:
    """As one that the new program reads before it is upgraded."""
    execute(filled, "DROP TABLE vn_daily_texts")
    with caplog.at_level(logging.WARNING):
        answer = create_app(filled.settings).test_client().get("/tickers?symbol=VCB")
    assert (answer.status_code, answer.headers["X-Data-Source"]) == (200, "sqlite")
    assert "no such table" in caplog.text


def test_rows_written_past_the_texts_are_noticed(filled: Stores) -> None:
    """The ledger knows a newer bar than the texts do."""
    execute(filled, f"DELETE FROM vn_daily_texts WHERE ticker = 'VCB' AND time = {LONG.time[-1]}")
    assert ready(filled, QueryParameters(symbols=("VCB",))) is None


@pytest.mark.parametrize("form", TextForm)
def test_an_index_read_from_its_other_end_is_noticed(filled: Stores, form: TextForm) -> None:
    """SQL promises no order within a text. With this pragma SQLite reads as any other plan might."""
    with filled.db_manager.reading(Mode.VN) as connection:
        texts = PrerenderedTable.of(Mode.VN, DAY)
        (usual,) = texts.read(connection, form, ("ACB",), Window(limit=20))
        connection.execute("PRAGMA reverse_unordered_selects = ON")
        (reverse,) = texts.read(connection, form, ("ACB",), Window(limit=20))
        connection.execute("PRAGMA reverse_unordered_selects = OFF")
    assert usual[1] is not None
    assert usual[1].rows == 20
    assert reverse == ("ACB", None)


@pytest.mark.parametrize("value", ["'x'", "x'00'", "1.5"])
def test_a_time_that_is_none_is_no_answer(filled: Stores, value: str) -> None:
    execute(filled, f"UPDATE vn_daily_texts SET time = {value} WHERE ticker = 'ACB' AND time = {SHORT.time[0]}")
    assert ready(filled, QueryParameters(symbols=("ACB",), start=0, limit=None)) in {
        None,
        from_rows(filled, QueryParameters(symbols=("ACB",), start=0, limit=None)),
    }
    assert not filled.sqlite_store.recorded(SeriesKey(Mode.VN, "ACB", DAY)).has_true_texts


def test_a_ticker_that_csv_alone_has_is_not_forgotten(filled: Stores) -> None:
    filled.csv_store.write(SeriesKey(Mode.VN, "FPT", DAY), SHORT)
    assert ready(filled, QueryParameters()) is None
    alone = replace(filled, settings=replace(filled.settings, fallback_to_csv=False))
    assert ready(alone, QueryParameters()) is not None


@pytest.mark.parametrize("setting", ["SQLITE_READS", "SQLITE_WRITES"])
def test_with_sqlite_off_nothing_is_read(make_stores: MakeStores, setting: str) -> None:
    make_stores().save("VCB", SHORT)
    assert ready(make_stores(**{setting: "false"}), QueryParameters(symbols=("VCB",))) is None


def test_the_row_budget_holds(make_stores: MakeStores) -> None:
    stores = make_stores(MAX_RESPONSE_ROWS="29")
    stores.save("VCB", SHORT)
    with pytest.raises(TooManyRowsError):
        ready(stores, QueryParameters(symbols=("VCB",)))
    assert ready(stores, QueryParameters(symbols=("VCB",), limit=29)) is not None


@pytest.mark.parametrize("form", TextForm)
def test_the_comparison_sees_a_false_text(filled: Stores, form: TextForm) -> None:
    held, column = filled.in_sqlite("ACB"), form.value
    execute(filled, f"UPDATE vn_daily_texts SET {column} = replace({column}, 'ACB', 'ACC') WHERE time = {held.time[4]}")
    assert not filled.sqlite_store.recorded(SeriesKey(Mode.VN, "ACB", DAY)).has_true_texts
    assert filled.sqlite_store.recorded(SeriesKey(Mode.VN, "VCB", DAY)).has_true_texts
