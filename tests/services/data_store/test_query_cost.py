"""What counts as a large query, told from the parameters and, where they allow much, from the ledger."""

from collections.abc import Callable
from typing import Any

import pytest

from stockapi.models import AggregatedInterval, Interval, Mode
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.selection import Selection
from stockapi.models.window import Window
from stockapi.services.data_store.query_cost import QueryCost, most_rows
from stockapi.services.data_store.read_plan import ReadPlan
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, make_bars

DAY = 86_400
AVERAGES_OF_MINUTES = 4_296
"""Warm-up of exponential averages, in bars."""


NEVER = float("inf")


def cost(stores: Stores) -> QueryCost:
    return QueryCost(stores)


def query(**more: Any) -> QueryParameters:
    return QueryParameters(**more)


@pytest.mark.parametrize(
    ("parameters", "rows"),
    [
        (query(limit=252), 252),
        (query(limit=252, indicators=Indicators.EXPONENTIAL), 252 + AVERAGES_OF_MINUTES),
        (query(limit=10, interval=AggregatedInterval.MIN_5), (10 + 200 + 1) * 5),
        (query(start=FIRST_DAY, end=FIRST_DAY + 9 * DAY, limit=None), 10),
        (query(start=FIRST_DAY, end=FIRST_DAY + DAY - 1, limit=None, interval=Interval.MINUTE), 1_440),
        (query(start=int(NOW.timestamp()) - DAY, limit=None, interval=Interval.HOURLY), 25),
        (query(start=int(NOW.timestamp()) + DAY, limit=None), 1),
        (query(start=0, end=1 << 40, limit=None), int(NOW.timestamp()) // DAY + 1),
    ],
)
def test_the_most_rows_that_are_read_of_one_ticker(parameters: QueryParameters, rows: int) -> None:
    assert most_rows(ReadPlan.of(parameters), int(NOW.timestamp())) == rows


@pytest.mark.parametrize(
    ("window", "rows"),
    [
        (Window(), 100),
        (Window(limit=30), 30),
        (Window(limit=30, warmup=20), 50),
        (Window(limit=90, warmup=20), 100),
        (Window(start=FIRST_DAY + 50 * DAY), 49),
        (Window(start=FIRST_DAY + 50 * DAY, end=FIRST_DAY + 60 * DAY), 10),
        (Window(end=FIRST_DAY - 1), 0),
        (Window(start=FIRST_DAY + 100 * DAY), 0),
    ],
)
def test_what_is_read_of_stored_tickers_is_told_from_the_ledger(stores: Stores, window: Window, rows: int) -> None:
    for ticker in ("ACB", "VCB"):
        stores.save(ticker, make_bars(100))
    for symbols, count in ((None, 2), (("VCB",), 1), (("ACB", "VCB", "XXX"), 2), (("XXX",), 0)):
        assert (
            stores.sqlite_store.about_rows(Selection(Mode.VN, Interval.DAILY, symbols, window), deadline=NEVER)
            == count * rows
        )


@pytest.fixture
def filled(make_stores: MakeStores) -> Callable[..., Stores]:
    """Three tickers of 100 daily bars; 250 rows are many."""

    def make(**more: str) -> Stores:
        stores = make_stores(HEAVY_QUERY_ROWS="250", **more)
        for ticker in ("ACB", "FPT", "VCB"):
            stores.save(ticker, make_bars(100))
        return stores

    return make


@pytest.mark.parametrize(
    ("parameters", "is_large"),
    [
        (query(limit=100), True),
        (query(limit=84), True),
        (query(limit=83), False),
        (query(limit=1_000_000, symbols=("FPT", "VCB")), False),
        (query(limit=1_000_000, symbols=("ACB", "FPT", "VCB")), True),
        (query(limit=1_000_000, symbols=("XXX", "YYY", "ZZZ")), False),
        (query(limit=1_000_000, interval=Interval.MINUTE), False),
        (query(limit=1_000_000, mode=Mode.CRYPTO), False),
        (query(limit=None, start=0), True),
        (query(limit=None, start=FIRST_DAY + 50 * DAY), False),
        (query(limit=1, interval=AggregatedInterval.MONTH_1), True),
    ],
)
def test_a_query_is_large_by_what_is_stored(
    filled: Callable[..., Stores], parameters: QueryParameters, is_large: bool
) -> None:
    assert cost(filled()).is_large([parameters], NOW, NEVER) is is_large


def test_queries_of_one_request_are_added_up(filled: Callable[..., Stores]) -> None:
    estimate, half = cost(filled()), query(limit=1_000, symbols=("FPT", "VCB"))
    assert [estimate.is_large([half] * count, NOW, NEVER) for count in (0, 1, 2)] == [False, False, True]


def test_a_small_query_costs_no_look_at_the_database(
    filled: Callable[..., Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate = cost(filled())
    monkeypatch.setattr("stockapi.services.sqlite_store.SqliteStore.about_rows", None)
    assert not estimate.is_large([query(symbols=("VCB",), limit=249)], NOW, NEVER)
    with pytest.raises(TypeError):
        estimate.is_large([query(symbols=("VCB",), limit=250)], NOW, NEVER)


def test_without_a_database_what_the_parameters_allow_counts(filled: Callable[..., Stores]) -> None:
    stores = filled()
    stores.db_manager.close()
    stores.settings.vn_database_path.unlink()
    estimate = cost(stores)
    assert [estimate.is_large([query(limit=limit)], NOW, NEVER) for limit in (83, 84)] == [False, True]
    assert estimate.is_large([query(limit=250, symbols=("VCB",))], NOW, NEVER)
