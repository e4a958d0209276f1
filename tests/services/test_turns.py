"""Where lists begin: what the file keeps for the next process, and what a file that is no such file does."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.turns import FILE_NAME
from tests.faults import unprivileged
from tests.support.stores import MakeStores, Stores

A, B, C = (SeriesKey(Mode.VN, ticker, Interval.DAILY) for ticker in "ABC")


def order(stores: Stores, name: str = "daily") -> str:
    return "".join(key.ticker for key in stores.turns.in_turn(Mode.VN, name, [A, B, C]))


@pytest.mark.parametrize(("number", "expected"), [(0, "BCA"), (1, "BCA"), (2, "CAB")])
def test_a_list_goes_on_where_it_broke_off_in_another_process_too(
    make_stores: MakeStores, number: int, expected: str
) -> None:
    stores = make_stores()
    assert order(stores) == "ABC"
    stores.turns.broke_off(Mode.VN, "daily", [A, B, C], number)
    assert [order(each) for each in (stores, make_stores())] == [expected, expected]
    assert order(make_stores(), "hourly") == "ABC"


def test_a_list_of_one(stores: Stores) -> None:
    stores.turns.broke_off(Mode.VN, "daily", [A], 0)
    assert stores.turns.in_turn(Mode.VN, "daily", [A]) == [A]
    assert stores.turns.in_turn(Mode.VN, "daily", []) == []


def test_a_completed_list_begins_at_its_first_series(make_stores: MakeStores) -> None:
    stores = make_stores()
    stores.turns.broke_off(Mode.VN, "daily", [A, B, C], 2)
    stores.turns.broke_off(Mode.VN, "pull", [A, B, C], 1)
    stores.turns.completed(Mode.VN, "daily")
    assert [order(make_stores(), name) for name in ("daily", "pull")] == ["ABC", "BCA"]


def test_a_series_that_is_not_in_the_list_any_more(make_stores: MakeStores) -> None:
    delisted = SeriesKey(Mode.VN, "GONE", Interval.DAILY)
    make_stores().turns.broke_off(Mode.VN, "daily", [A, delisted], 1)
    assert order(make_stores()) == "ABC"


def with_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def with_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-5]),
        lambda path: path.write_bytes(b"\xff\x00garbage"),
        lambda path: path.write_text('{"daily": ["C"]}'),
        lambda path: path.write_text('{"daily": {"interval": "9D", "ticker": null}}'),
        Path.unlink,
        with_pipe,
    ],
)
def test_a_damaged_file_counts_as_none_and_is_replaced(
    make_stores: MakeStores, damage: Callable[[Path], object]
) -> None:
    stores = make_stores()
    path = stores.settings.data_dir(Mode.VN) / FILE_NAME
    stores.turns.broke_off(Mode.VN, "daily", [A, B, C], 2)
    damage(path)
    stores = make_stores()
    assert order(stores) == "ABC"
    stores.turns.broke_off(Mode.VN, "daily", [A, B, C], 1)
    assert order(make_stores()) == "BCA"


def test_where_nothing_can_be_written_this_process_goes_on_in_turn_and_says_so_once(
    make_stores: MakeStores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with unprivileged(tmp_path) as directory:
        data = directory / "market_data"
        data.mkdir()
        stores = make_stores(MARKET_DATA_DIR=str(data))
        data.chmod(0o500)
        with caplog.at_level(logging.WARNING):
            stores.turns.broke_off(Mode.VN, "daily", [A, B, C], 2)
        assert order(stores) == "CAB"
        assert len(caplog.records) == 1
        assert "the next process begins daily at its first series" in caplog.text
        data.chmod(0o700)


def test_a_directory_in_its_place_stops_nothing(make_stores: MakeStores, caplog: pytest.LogCaptureFixture) -> None:
    stores = make_stores()
    stores.turns.broke_off(Mode.VN, "daily", [A, B, C], 2)
    with_directory(stores.settings.data_dir(Mode.VN) / FILE_NAME)
    stores = make_stores()
    assert order(stores) == "ABC"
    stores.turns.broke_off(Mode.VN, "daily", [A, B, C], 1)
    assert order(stores) == "BCA"
