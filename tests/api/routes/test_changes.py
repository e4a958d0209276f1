"""`updated_since`: a copy that is kept by it is equal to the server, and gets no more than it needs."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.errors import SqliteFault
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import reconcile_series
from stockapi.services.upkeep.changes import Deletion, Renaming, make_change
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.upkeep.reconcile import rebuild, reconcile_out_of_step
from tests.support.mirror import Get, Mirror, Reply, bars_of
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, environment, make_bars

DAY = 86_400
ALL = tuple(Interval)
SECOND = timedelta(seconds=1)


def client_of(stores: Stores) -> FlaskClient:
    return create_app(stores.settings, clock=lambda: NOW).test_client()


def getter(client: FlaskClient) -> Get:
    def get(path: str) -> Reply:
        answer = client.get(path)
        return Reply(answer.status_code, answer.headers, answer.text)

    return get


def mirror_of(stores: Stores, query: str = "") -> Mirror:
    return Mirror(getter(client_of(stores)), query)


def server_holds(stores: Stores, query: str = "") -> Any:
    answer = client_of(stores).get(f"/tickers?limit=0&{query}")
    assert answer.status_code == 200
    return bars_of(answer.text)


def changed(bars: Bars, position: int, factor: float = 1.01) -> Bars:
    """The same series with another price at one position, and the indicators that follow from it."""
    prices = bars.prices.copy()
    prices[:, position] = np.round(prices[:, position] * factor, 2)
    return enhance(Bars.of(bars.time, prices, bars.volume), Mode.VN, is_index=False)


@pytest.fixture
def filled(stores: Stores) -> Stores:
    for seed, ticker in enumerate(("AAA", "BBB", "CCC")):
        stores.save(ticker, make_bars(300, seed=seed))
        stores.save(ticker, make_bars(90, Interval.MINUTE, seed=seed), Interval.MINUTE)
    return stores


# What an answer has


def test_the_first_answer_has_everything(filled: Stores) -> None:
    mirror = mirror_of(filled)
    assert mirror.poll()
    assert (mirror.bars, mirror.told, mirror.rows) == (server_holds(filled), ["Replaced *"], 900)


def test_nothing_new_is_an_empty_answer(filled: Stores) -> None:
    mirror = mirror_of(filled)
    mirror.poll()
    before = mirror.since
    mirror.poll()
    assert (mirror.rows, mirror.told, mirror.since) == (0, [], before)


def test_a_new_bar_comes_alone(filled: Stores) -> None:
    mirror = mirror_of(filled)
    mirror.poll()
    filled.save("BBB", make_bars(301, seed=1), cutoff=FIRST_DAY + 300 * DAY)
    mirror.poll()
    assert (mirror.rows, mirror.told) == (1, [])
    assert mirror.bars == server_holds(filled)


def test_a_correction_brings_what_follows_from_it(filled: Stores) -> None:
    """The bar, and the later ones whose averages it is in; no bar before it."""
    mirror = mirror_of(filled)
    mirror.poll()
    filled.save("BBB", changed(make_bars(300, seed=1), 290), now=NOW + SECOND)
    mirror.poll()
    assert (mirror.rows, mirror.told) == (10, [])
    assert mirror.bars == server_holds(filled)


def test_equal_bars_are_no_change(filled: Stores) -> None:
    mirror = mirror_of(filled)
    mirror.poll()
    filled.save("BBB", make_bars(300, seed=1), rewrite_all=True, now=NOW + SECOND)
    reconcile_series(filled, SeriesKey(Mode.VN, "AAA", Interval.DAILY), NOW + SECOND)
    mirror.poll()
    assert (mirror.rows, mirror.told) == (0, [])


def test_a_history_that_was_divided_is_replaced(filled: Stores) -> None:
    mirror = mirror_of(filled)
    mirror.poll()
    filled.save("BBB", make_bars(300, seed=7), rewrite_all=True, now=NOW + SECOND)
    mirror.poll()
    assert (mirror.rows, mirror.told) == (300, ["Replaced BBB"])
    assert mirror.bars == server_holds(filled)


@pytest.mark.parametrize(
    ("change", "told", "rows"),
    [
        (Deletion("BBB", ALL), ["Replaced BBB"], 0),
        (Deletion("BBB", (Interval.DAILY,), None, FIRST_DAY + 9 * DAY), ["Replaced BBB"], 290),
        (Deletion("BBB", (Interval.MINUTE,)), [], 0),
        (Renaming("BBB", "ZZZ"), ["Replaced BBB", "Replaced ZZZ", "Renamed BBB=ZZZ"], 300),
    ],
)
@pytest.mark.parametrize("query", ["", "page_size=7", "page_size=100"])
def test_deleted_and_renamed_tickers_are_told(
    filled: Stores, change: Deletion | Renaming, told: list[str], rows: int, query: str
) -> None:
    mirror = mirror_of(filled, query)
    mirror.poll()
    make_change(filled, Mode.VN, change, NOW + SECOND)
    mirror.poll()
    assert (sorted(mirror.told), mirror.rows) == (sorted(told), rows)
    assert mirror.bars == server_holds(filled)


def test_who_asks_for_an_old_name_gets_all_of_the_new_one(filled: Stores) -> None:
    mirror = mirror_of(filled, "symbol=BBB")
    mirror.poll()
    assert set(mirror.bars) == {"BBB"}
    filled.save("ZZZ", make_bars(400, seed=5))
    make_change(filled, Mode.VN, Renaming("BBB", "ZZZ"), NOW + SECOND)
    mirror.poll()
    assert mirror.bars == server_holds(filled, "symbol=ZZZ")
    assert "Renamed BBB=ZZZ" in mirror.told
    mirror.poll()
    assert (mirror.rows, mirror.told) == (0, ["Renamed BBB=ZZZ"])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("symbol=AAA", 300),
        ("interval=1m", 270),
        ("start_date=2015-01-15&end_date=2015-01-24", 30),
        ("columns=time,close", 900),
        ("ma=false", 900),
        ("legacy=true&time=ms", 900),
        ("symbol=NOSUCH", 0),
        ("limit=0", 900),
        ("limit=5&page_size=70", 900),
    ],
)
def test_of_a_part_of_the_market(filled: Stores, query: str, count: int) -> None:
    mirror = mirror_of(filled, query)
    mirror.poll()
    for seed, ticker in enumerate(("AAA", "CCC")):
        for interval, bars in ((Interval.DAILY, 320), (Interval.MINUTE, 99)):
            filled.save(ticker, changed(make_bars(bars, interval, seed=2 * seed), 15), interval, now=NOW + SECOND)
    assert mirror.rows == count
    mirror.poll()
    assert mirror.bars == server_holds(filled, "" if "limit" in query else query)


@pytest.mark.parametrize("form", ["csv", "ndjson", "arrow", "json&shape=columns"])
def test_every_format_has_the_same_bars_and_headers(filled: Stores, form: str) -> None:
    client = client_of(filled)
    whole = client.get(f"/tickers?limit=0&format={form}")
    answer = client.get(f"/tickers?updated_since=1970-01-01&format={form}")
    assert answer.data == whole.data
    assert (answer.headers["X-Replaced"], answer.headers["Cache-Control"]) == ("*", "no-store")
    assert answer.headers["X-Updated-Until"]


def test_a_time_is_the_time_of_the_write(filled: Stores) -> None:
    """Of the fifth second are two changes; a time that is not after the first write is before everything."""
    filled.save("AAA", changed(make_bars(300, seed=0), 299), now=NOW + 5 * SECOND)
    filled.save("BBB", changed(make_bars(300, seed=1), 298), now=NOW + 5 * SECOND)
    filled.save("CCC", changed(make_bars(300, seed=2), 297), now=NOW + 9 * SECOND)
    client = client_of(filled)
    counts = {}
    for seconds in (0, 1, 5, 6, 9, 10):
        moment = (NOW + seconds * SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = client.get(f"/tickers?updated_since={moment}")
        counts[seconds] = {symbol: len(rows) for symbol, rows in answer.get_json().items()}
    changed_later = {"AAA": 1, "BBB": 2, "CCC": 3}
    assert counts == {
        0: dict.fromkeys(("AAA", "BBB", "CCC"), 300),
        1: changed_later,
        5: changed_later,
        6: {"CCC": 3},
        9: {"CCC": 3},
        10: {},
    }


def test_a_clock_that_was_set_back_hides_nothing(filled: Stores) -> None:
    mirror = mirror_of(filled)
    mirror.poll()
    for back, position in ((3_600, 299), (7_200, 298), (0, 297)):
        filled.save("BBB", changed(make_bars(300, seed=1), position), now=NOW - back * SECOND)
        mirror.poll()
        assert mirror.bars == server_holds(filled)
        assert 0 < mirror.rows <= 300 - position + 1


def test_a_new_series_of_many_transactions_comes_whole(make_stores: MakeStores) -> None:
    """Whatever was asked between two of its batches, with a clock that goes on."""
    stores = make_stores(SQLITE_BATCH_SIZE="50")
    stores.save("AAA", make_bars(10))
    mirror, polls = mirror_of(stores), list[int]()
    mirror.poll()
    transaction = stores.db_manager.transaction

    def watched(mode: Mode) -> Any:
        if not polls or len(polls) < 4:
            mirror.poll()
            polls.append(mirror.rows)
        return transaction(mode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores.db_manager, "transaction", watched)
        stores.save("BBB", make_bars(170, seed=3), now=NOW + SECOND)
    stores.save("AAA", make_bars(11), now=NOW + 60 * SECOND)
    mirror.poll()
    assert polls == [0, 0, 0, 0]
    assert mirror.bars == server_holds(stores)


@pytest.mark.parametrize("transactions", [1, 3, 4])
def test_a_new_series_whose_first_save_was_cut_off_comes_whole(make_stores: MakeStores, transactions: int) -> None:
    """A crash left most of its rows, without an entry in the ledger. The repair writes the few that are missing."""
    stores = make_stores(SQLITE_BATCH_SIZE="50")
    stores.save("AAA", make_bars(10))
    mirror, transaction, left = mirror_of(stores), stores.db_manager.transaction, [transactions]

    def cut_off(mode: Mode) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return transaction(mode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores.db_manager, "transaction", cut_off)
        with pytest.raises(KeyboardInterrupt):
            stores.save("BBB", make_bars(220, seed=3))
    mirror.poll()
    assert mirror.told == ["Replaced *", "Behind BBB"]
    reconcile_out_of_step(stores, Mode.VN, NOW + SECOND)
    mirror.poll()
    assert mirror.told == ["Replaced BBB"]
    assert mirror.bars == server_holds(stores)


# Marks of another state


def test_a_restored_database_is_another_one(filled: Stores, tmp_path: Path) -> None:
    """Its numbers go on from the backup; a mark of the same number must not hide what became different."""
    mirror, late = mirror_of(filled), mirror_of(filled)
    mirror.poll()
    utils = DatabaseUtils(filled.db_manager)
    utils.backup(Mode.VN, tmp_path / "backup", NOW, keep=1)
    filled.save("BBB", changed(make_bars(300, seed=1), 5), now=NOW + SECOND)
    mirror.poll()
    late.since = "2026-03-02T05:00:01Z"
    utils.restore([Mode.VN], tmp_path / "backup", NOW + 2 * SECOND)
    filled.save("CCC", changed(make_bars(300, seed=2), 299), now=NOW + 3 * SECOND)
    reconcile_out_of_step(filled, Mode.VN, NOW + 4 * SECOND)
    for each in (mirror, late):
        each.poll()
        assert each.told == ["Replaced *"]
        assert each.bars == server_holds(filled)


def test_a_rebuilt_database_is_another_one(filled: Stores) -> None:
    mirror = mirror_of(filled)
    mirror.poll()
    rebuild(filled, Mode.VN, NOW + SECOND)
    mirror.poll()
    assert mirror.told == ["Replaced *"]
    assert mirror.bars == server_holds(filled)


def test_a_copied_database_is_another_one(filled: Stores) -> None:
    """Copied by hand over the live one: its numbers are lower, or the same by chance."""
    path = filled.settings.database_path(Mode.VN)
    filled.db_manager.close()
    kept = path.with_name("kept.db")
    kept.write_bytes(path.read_bytes())
    filled.save("BBB", changed(make_bars(300, seed=1), 5), now=NOW + SECOND)
    client = client_of(filled)
    mirror = Mirror(getter(client))
    mirror.poll()
    filled.db_manager.close()
    client.application.extensions["stockapi"].stores.db_manager.close()  # the last one takes the log away
    kept.rename(path)
    filled.save("CCC", changed(make_bars(300, seed=2), 299), now=NOW + 3 * SECOND)
    reconcile_out_of_step(filled, Mode.VN, NOW + 4 * SECOND)
    mirror.poll()
    assert mirror.told == ["Replaced *"]
    assert mirror.bars == server_holds(filled)


def test_pages_that_began_in_another_database_are_refused(filled: Stores) -> None:
    client = client_of(filled)
    link = client.get("/tickers?updated_since=1970-01-01&page_size=10").headers["Link"][1:].split(">")[0]
    assert client.get(link).status_code == 200
    rebuild(filled, Mode.VN, NOW + SECOND)
    answer = client.get(link)
    assert answer.status_code == 400
    assert answer.get_json() == {
        "error": "the page before is of another state of the database; allowed: to begin again without cursor"
    }


def test_a_mark_of_another_market_is_refused(filled: Stores) -> None:
    client = client_of(filled)
    mark = client.get("/tickers?updated_since=1970-01-01").headers["X-Updated-Until"]
    assert client.get(f"/tickers?mode=crypto&updated_since={mark}").status_code == 400
    for text in (mark[:-1], mark + "A", mark[::-1], mark.swapcase()):
        assert client.get(f"/tickers?updated_since={text}").status_code == 400
    assert client.get(f"/tickers?updated_since={mark}&interval=1m&symbol=AAA").status_code == 200


# While SQLite does not answer, or not for all


def test_csv_alone_does_not_tell(filled: Stores) -> None:
    """It would have to guess; the copy stays as it is until SQLite is back."""
    mirror = mirror_of(filled)
    mirror.poll()
    path = filled.settings.database_path(Mode.VN)
    away = path.with_suffix(".away")
    filled.db_manager.close()
    path.rename(away)
    assert client_of(filled).get("/tickers").headers["X-Data-Source"] == "csv"
    assert not mirror.poll()
    answer = client_of(filled).get("/tickers?updated_since=2026-03-02")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.get_json()["error"].startswith("what has changed cannot be told right now")
    away.rename(path)
    assert mirror.poll()
    assert mirror.bars == server_holds(filled)


def test_a_ticker_that_is_ahead_in_csv_is_named_until_sqlite_has_it(filled: Stores, make_stores: MakeStores) -> None:
    mirror = mirror_of(filled)
    mirror.poll()
    csv_alone = make_stores(SQLITE_WRITES="false")
    csv_alone.save("BBB", make_bars(302, seed=1), cutoff=FIRST_DAY + 300 * DAY, now=NOW + SECOND)
    csv_alone.save("NEW", make_bars(5), now=NOW + SECOND)
    for query in ("", "symbol=BBB,NEW,NOSUCH"):
        mirror.query = query
        mirror.poll()
        assert (mirror.rows, mirror.told) == (0, ["Behind BBB", "Behind NEW"])
    reconcile_out_of_step(filled, Mode.VN, NOW + 2 * SECOND)
    mirror.query = ""
    mirror.poll()
    assert (mirror.rows, mirror.told) == (7, ["Replaced NEW"])
    assert mirror.bars == server_holds(filled)


# Pages


def test_changes_between_two_pages_come_with_the_next_poll(filled: Stores) -> None:
    client, mirror = client_of(filled), mirror_of(filled, "page_size=250")
    step = iter(
        [
            lambda: filled.save("AAA", make_bars(300, seed=9), rewrite_all=True, now=NOW + SECOND),
            lambda: make_change(filled, Mode.VN, Deletion("BBB", ALL), NOW + 2 * SECOND),
            lambda: make_change(filled, Mode.VN, Renaming("CCC", "AA0"), NOW + 3 * SECOND),
        ]
    )

    def get(path: str) -> Reply:
        answer = client.get(path)
        next(step, lambda: None)()
        return Reply(answer.status_code, answer.headers, answer.text)

    mirror.get = get
    mirror.poll()
    mirror.poll()
    assert mirror.bars == server_holds(filled)


def test_more_replaced_tickers_than_a_header_takes(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pages they are named page by page; in one answer they count as everything."""
    monkeypatch.setattr("stockapi.services.sqlite_store.changed_bars._MOST_REPLACED", 3)
    stores.save("AAA", make_bars(5))
    paged, whole = mirror_of(stores, "page_size=12"), mirror_of(stores)
    for mirror in (paged, whole):
        mirror.poll()
    for seed, ticker in enumerate(("B1", "B2", "B3", "B4", "B5", "B6", "B7")):
        stores.save(ticker, make_bars(seed, seed=seed) if seed else make_bars(1), now=NOW + SECOND)
    make_change(stores, Mode.VN, Deletion("B2", ALL), NOW + SECOND)
    for mirror in (paged, whole):
        mirror.poll()
        assert mirror.bars == server_holds(stores)
    assert paged.told == [f"Replaced B{number}" for number in range(1, 8)]
    assert whole.told == ["Replaced *"]


# Databases without a sound record


def execute(stores: Stores, *statements: str) -> None:
    with stores.db_manager.transaction(Mode.VN) as connection:
        for statement in statements:
            connection.execute(statement)


def test_of_an_older_schema_everything_counts_up_to_its_last_save(filled: Stores) -> None:
    """Until the upgrade nothing can be told, but the bars are; after it, what is saved is told exactly."""
    filled.save("AAA", changed(make_bars(300, seed=0), 299), now=NOW + 5 * SECOND)
    execute(
        filled,
        *("DROP TABLE changes", "DROP TABLE changes_log"),
        "DELETE FROM schema_migrations WHERE name = '0009_changes'",
    )
    filled.db_manager.close()
    mirror = mirror_of(filled)
    assert not mirror.poll()
    assert client_of(filled).get("/tickers").headers["X-Data-Source"] == "sqlite"
    filled.db_manager.upgrade(Mode.VN)
    filled.save("BBB", changed(make_bars(300, seed=1), 298), now=NOW + 9 * SECOND)
    for seconds, told, rows in ((5, ["Replaced *"], 900), (6, [], 2), (10, [], 0)):
        mirror.since = (NOW + seconds * SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert mirror.poll()
        assert (mirror.told, mirror.rows) == (told, rows)


def test_a_damaged_record_is_filled_anew_with_the_database(filled: Stores) -> None:
    """Saves go on in CSV alone until the next start, as for other damage."""
    mirror = mirror_of(filled)
    mirror.poll()
    execute(filled, "DELETE FROM changes_log")
    saved = filled.save("BBB", changed(make_bars(300, seed=1), 5), now=NOW + SECOND)
    assert saved.sqlite_fault is SqliteFault.CORRUPT
    assert not mirror.poll()
    reconcile_out_of_step(filled, Mode.VN, NOW + 2 * SECOND)
    mirror.poll()
    assert mirror.told == ["Replaced *"]
    assert mirror.bars == server_holds(filled)


# Whatever happens


class Market(RuleBasedStateMachine):
    """Random saves, corrections, deletions, renames, times without SQLite and copies that are brought up to date."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = TemporaryDirectory()
        self.settings = Settings.from_mapping(environment(Path(self._directory.name), SQLITE_BATCH_SIZE="7"))
        self.stores = Stores.of(self.settings)
        self.now = NOW
        self.series: dict[str, Bars] = {}
        self.mirrors = [mirror_of(self.stores, query) for query in ("", "page_size=9", "columns=time,close")]
        self.stores.save("T0", make_bars(3), now=self.now)
        self.series["T0"] = make_bars(3)

    def teardown(self) -> None:
        self.stores.db_manager.close()
        self._directory.cleanup()

    @rule(ticker=st.sampled_from(["T0", "T1", "T2"]), more=st.integers(1, 20), seed=st.integers(0, 3))
    def grow(self, ticker: str, more: int, seed: int) -> None:
        bars = self.series.get(ticker)
        count = more if bars is None else min(len(bars) + more, 70)
        self._save(ticker, make_bars(count, seed=seed) if bars is None else _grown(bars, count, seed))

    @rule(data=st.data())
    @precondition(lambda self: self.series)
    def correct(self, data: st.DataObject) -> None:
        ticker = data.draw(st.sampled_from(sorted(self.series)))
        position = data.draw(st.integers(0, len(self.series[ticker]) - 1))
        self._save(ticker, changed(self.series[ticker], position, 1.5))

    @rule(data=st.data())
    @precondition(lambda self: self.series)
    def divide(self, data: st.DataObject) -> None:
        ticker = data.draw(st.sampled_from(sorted(self.series)))
        bars = self.series[ticker]
        prices = np.round(bars.prices / 1.25, 2)
        self._save(ticker, enhance(Bars.of(bars.time, prices, bars.volume), Mode.VN, is_index=False), rewrite_all=True)

    @rule(data=st.data())
    @precondition(lambda self: self.series)
    def delete(self, data: st.DataObject) -> None:
        ticker = data.draw(st.sampled_from(sorted(self.series)))
        first = data.draw(st.none() | st.integers(0, 30))
        change = Deletion(ticker, ALL, None if first is None else FIRST_DAY + first * DAY)
        make_change(self.stores, Mode.VN, change, self.now)
        self._know(ticker)

    @rule(data=st.data(), new=st.sampled_from(["T0", "T1", "T2", "T3"]))
    @precondition(lambda self: self.series)
    def rename(self, data: st.DataObject, new: str) -> None:
        old = data.draw(st.sampled_from(sorted(self.series)))
        if old != new:
            make_change(self.stores, Mode.VN, Renaming(old, new), self.now)
            self._know(old)
            self._know(new)

    @rule(seconds=st.integers(-5, 5))
    def wait(self, seconds: int) -> None:
        """Also backwards."""
        self.now += timedelta(seconds=seconds)

    @rule()
    def rebuild(self) -> None:
        rebuild(self.stores, Mode.VN, self.now)

    @rule(which=st.integers(0, 2))
    def poll(self, which: int) -> None:
        mirror = self.mirrors[which]
        assert mirror.poll()
        assert mirror.bars == server_holds(self.stores, mirror.query.replace("page_size=9", ""))

    def _save(self, ticker: str, bars: Bars, **how: bool) -> None:
        self.stores.save(ticker, bars, now=self.now, **how)
        self._know(ticker)

    def _know(self, ticker: str) -> None:
        bars = self.stores.in_csv(ticker)
        self.series.pop(ticker, None)
        if len(bars):
            self.series[ticker] = bars


def _grown(bars: Bars, count: int, seed: int) -> Bars:
    longer = make_bars(count, seed=seed)
    new = longer.take(longer.time > bars.time[-1])
    joined = bars.merge(new)
    return enhance(joined.without_indicators(), Mode.VN, is_index=False)


TestMarket = Market.TestCase
TestMarket.settings = settings(max_examples=5, stateful_step_count=20, deadline=None)
