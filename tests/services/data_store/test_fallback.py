"""SQLite is missing, damaged or locked: reads go on from CSV, or fail loudly; an answer is never wrong and never empty.

The other half, writes that go on and repairs of databases, is in test_csv_enhancer and test_reconcile.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from stockapi import create_app
from stockapi.calc.aggregator import aggregate
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.errors import CsvError, SqliteError, StoreError, TooManyRowsError
from stockapi.formats.default_rows import TextForm
from stockapi.models import AggregatedInterval, Bars, Interval, Mode, QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.models.window import LastOfEach
from stockapi.services.data_store import DataSource, DataStore, QueryResult
from stockapi.services.data_store.fallback import Fallback
from stockapi.services.database_manager.migrations import known_migrations
from tests import faults
from tests.support.older import put_older
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

DAY = Interval.DAILY
TICKERS = ("ACB", "VCB", "VIC")
SERIES = {(ticker, interval): make_bars(400, interval, seed=len(ticker)) for ticker in TICKERS for interval in Interval}
EVERYTHING = {"start": 0, "limit": None}


@dataclass
class Reader:
    """What a web process has: both stores, opened once, read-only."""

    stores: Stores

    def query(self, **params: object) -> QueryResult[Bars]:
        stores = self.stores
        store = DataStore(stores)
        return store.get_data_smart_sqlite(QueryParameters(**params), stores.limits)  # type: ignore[arg-type]

    def ready_json(self) -> list[str] | None:
        """The tickers of the pre-rendered answers."""
        stores = self.stores
        found = DataStore(stores).get_prerendered(TextForm.JSON, QueryParameters(), stores.limits)
        return None if found is None else list(found.bars)

    def assert_right(self, source: DataSource) -> None:
        """Every series is answered in full by that store, stored intervals and longer ones."""
        for interval in Interval:
            result = self.query(interval=interval, **EVERYTHING)
            assert result.source is source
            assert list(result.bars) == list(TICKERS)
            assert all(bars.equals(SERIES[ticker, interval]) for ticker, bars in result.bars.items())
        weeks = enhance(aggregate(SERIES["VCB", DAY], AggregatedInterval.WEEK_1, Mode.VN), Mode.VN, is_index=False)
        result = self.query(interval=AggregatedInterval.WEEK_1, symbols=("VCB",))
        assert result.source is source
        assert result.bars["VCB"].equals(weeks)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stores, filled and closed; not to be changed."""
    directory = tmp_path_factory.mktemp("original")
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    for (ticker, interval), bars in SERIES.items():
        stores.save(ticker, bars, interval)
    stores.db_manager.close()
    return directory


@pytest.fixture
def database(original: Path, tmp_path: Path) -> Path:
    """The database of a private copy of both stores, which `make_stores` and `reader_with` open."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path / "vn_data.db"


ReaderWith = Callable[..., Reader]


@pytest.fixture
def reader_with(database: Path, make_stores: MakeStores) -> ReaderWith:
    return lambda **variables: Reader(make_stores(SQLITE_READER_BUSY_TIMEOUT_MS="0", **variables))


def lock_exclusively(path: Path) -> sqlite3.Connection:
    """Nobody else can even read it, as during some tools' repairs."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("CREATE TABLE held (a)")
    return connection


@pytest.fixture(params=[*faults.LASTING, "a directory", "no ledger", "locked"])
def broken(database: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The database, in a state in which it cannot answer."""
    match request.param:
        case "a directory":
            faults.delete(database)
            database.mkdir()
        case "no ledger":
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("DROP TABLE ledger")
        case "bad page":
            spoil_a_page_of_the_days(database)
        case "locked":
            with closing(lock_exclusively(database)):
                yield database
            return
        case fault:
            faults.LASTING[fault](database)
    yield database


def spoil_a_page_of_the_days(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        tables = "SELECT rootpage FROM sqlite_schema WHERE name IN ('vn_daily', 'vn_daily_blocks')"
        roots = connection.execute(tables).fetchall()
    for (root,) in roots:
        faults.spoil_page(database, root)


def ask_for_days(reader: Reader) -> QueryResult[Bars]:
    return reader.query(interval=DAY, **EVERYTHING)


# One after the other: SQLite, CSV, an error


def test_a_sound_database_answers(reader_with: ReaderWith) -> None:
    reader_with().assert_right(DataSource.SQLITE)


def test_with_the_fallback_csv_answers_in_its_place(
    broken: Path, reader_with: ReaderWith, caplog: pytest.LogCaptureFixture
) -> None:
    result = ask_for_days(reader_with())
    assert result.source is DataSource.CSV
    assert {ticker: bars.equals(SERIES[ticker, DAY]) for ticker, bars in result.bars.items()} == dict.fromkeys(
        TICKERS, True
    )
    assert "answering vn from CSV: SQLite error: " in caplog.text


@pytest.mark.parametrize("fault", sorted(faults.LASTING.keys() - {"bad page"}))
def test_every_interval_falls_back(database: Path, reader_with: ReaderWith, fault: str) -> None:
    faults.LASTING[fault](database)
    reader_with().assert_right(DataSource.CSV)


def test_without_the_fallback_it_is_an_error(broken: Path, reader_with: ReaderWith) -> None:
    with pytest.raises(SqliteError, match="SQLite error: "):
        ask_for_days(reader_with(FALLBACK_TO_CSV="false"))


def remove_csv(stores: Stores) -> None:
    shutil.rmtree(stores.settings.market_data_dir)


def csv_is_a_file(stores: Stores) -> None:
    remove_csv(stores)
    stores.settings.market_data_dir.write_text("not a directory")


def csv_leads_nowhere(stores: Stores) -> None:
    remove_csv(stores)
    stores.settings.market_data_dir.symlink_to(stores.settings.market_data_dir.with_name("not mounted"))


def csv_is_empty(stores: Stores) -> None:
    """As a mount point is before anything is mounted there."""
    remove_csv(stores)
    stores.settings.market_data_dir.mkdir()


CSV_FAULTS = [remove_csv, csv_is_a_file, csv_leads_nowhere]


@pytest.mark.parametrize("break_csv", [*CSV_FAULTS, csv_is_empty])
@pytest.mark.parametrize("symbols", [None, ("VCB",), ("NOSUCH",)])
@pytest.mark.parametrize("interval", [DAY, AggregatedInterval.WEEK_1])
@pytest.mark.parametrize("fallback", ["true", "false"])
def test_when_neither_store_can_answer_it_is_an_error_and_not_an_empty_answer(
    database: Path,
    reader_with: ReaderWith,
    break_csv: Callable[[Stores], None],
    symbols: tuple[str, ...] | None,
    interval: Interval | AggregatedInterval,
    fallback: str,
) -> None:
    faults.fill_with_garbage(database)
    reader = reader_with(FALLBACK_TO_CSV=fallback)
    break_csv(reader.stores)
    with pytest.raises(StoreError):
        reader.query(interval=interval, symbols=symbols)


@pytest.mark.parametrize("break_csv", CSV_FAULTS)
@pytest.mark.parametrize(
    ("variables", "params"),
    [({}, {"use_sqlite": False}), ({"SQLITE_READS": "false"}, {}), ({"SQLITE_WRITES": "false"}, {})],
)
def test_csv_that_is_gone_is_an_error_where_it_answers_alone(
    reader_with: ReaderWith,
    break_csv: Callable[[Stores], None],
    variables: dict[str, str],
    params: dict[str, object],
) -> None:
    reader = reader_with(**variables)
    break_csv(reader.stores)
    with pytest.raises(CsvError, match="market_data: "):
        reader.query(**params)


@pytest.mark.parametrize("break_csv", [remove_csv, csv_leads_nowhere])
def test_sqlite_needs_no_csv(reader_with: ReaderWith, break_csv: Callable[[Stores], None]) -> None:
    reader = reader_with()
    break_csv(reader.stores)
    reader.assert_right(DataSource.SQLITE)


def test_csv_in_which_nothing_is_stored_yet_is_no_error(reader_with: ReaderWith) -> None:
    """As a new installation is, between the start of the worker and its first bar."""
    reader = reader_with()
    csv_is_empty(reader.stores)
    assert reader.query(use_sqlite=False).bars == {}


@pytest.mark.parametrize("what", ["database", "CSV"])
def test_what_may_not_be_read(original: Path, tmp_path: Path, what: str) -> None:
    with faults.unprivileged(tmp_path) as directory:
        settings = Settings.from_mapping(environment(directory))
        stores = Stores.of(settings)
        stores.save("VCB", SERIES["VCB", DAY])
        stores.db_manager.close()
        settings.vn_database_path.chmod(0o000)
        if what == "CSV":
            settings.market_data_dir.chmod(0o000)
            with pytest.raises(CsvError, match="Permission denied"):
                ask_for_days(Reader(stores))
            settings.market_data_dir.chmod(0o700)
        else:
            result = ask_for_days(Reader(stores))
            assert result.source is DataSource.CSV
            assert result.bars["VCB"].equals(SERIES["VCB", DAY])
        stores.db_manager.close()


def test_a_database_in_a_directory_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A reader of a write-ahead log needs to make a file beside the database; when it cannot, CSV answers."""
    with faults.unprivileged(tmp_path) as directory:
        settings = Settings.from_mapping(environment(directory, VN_DATABASE_PATH=str(directory / "db" / "vn.db")))
        stores = Stores.of(settings)
        stores.save("VCB", SERIES["VCB", DAY])
        with faults.read_only(stores):
            result = ask_for_days(Reader(stores))
            assert result.source is DataSource.CSV
            assert result.bars["VCB"].equals(SERIES["VCB", DAY])
        assert ask_for_days(Reader(stores)).source is DataSource.SQLITE
        stores.db_manager.close()


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_over_http_it_is_a_503_that_says_nothing_of_the_server(
    database: Path, reader_with: ReaderWith, fallback: str
) -> None:
    faults.fill_with_garbage(database)
    reader = reader_with(FALLBACK_TO_CSV=fallback)
    remove_csv(reader.stores)
    answer = create_app(reader.stores.settings, clock=lambda: NOW).test_client().get("/tickers?symbol=VCB")
    assert answer.status_code == 503
    assert answer.json == {"error": "the market data cannot be read right now; try again shortly"}


# While a reader has it open


def replaced(path: Path, copy: Path) -> None:
    """By rename, as a restore does it."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    copy.replace(path)


@pytest.mark.parametrize("fault", sorted(faults.LASTING.keys() - {"bad page", "tables dropped", "cut short"}))
def test_it_is_lost_and_comes_back_under_an_open_reader(
    database: Path, original: Path, reader_with: ReaderWith, tmp_path: Path, fault: str
) -> None:
    reader = reader_with()
    reader.assert_right(DataSource.SQLITE)
    faults.LASTING[fault](database)
    reader.assert_right(DataSource.CSV)
    replaced(database, Path(shutil.copy(original / "vn_data.db", tmp_path / "copy.db")))
    reader.assert_right(DataSource.SQLITE)


def test_another_database_takes_its_place_under_an_open_reader(
    database: Path, reader_with: ReaderWith, tmp_path: Path
) -> None:
    """The reader must not stay on the file that is no longer there."""
    reader = reader_with()
    reader.assert_right(DataSource.SQLITE)
    settings = Settings.from_mapping(environment(tmp_path, VN_DATABASE_PATH=str(tmp_path / "other.db")))
    other = Stores.of(settings)
    newer = make_bars(10, seed=99)
    other.sqlite_store.replace(SeriesKey(Mode.VN, "VCB", DAY), newer, csv_stamp="", now=0)
    other.close()
    replaced(database, tmp_path / "other.db")
    result = reader.query(symbols=("VCB",))
    assert result.source is DataSource.SQLITE
    assert result.bars["VCB"].equals(newer)


def test_it_is_cut_short_under_an_open_reader(database: Path, reader_with: ReaderWith) -> None:
    reader = reader_with()
    reader.assert_right(DataSource.SQLITE)
    faults.cut_short(database)
    result = ask_for_days(reader)
    assert all(result.bars[ticker].equals(SERIES[ticker, DAY]) for ticker in TICKERS)


def test_it_is_locked_and_let_go_under_an_open_reader(database: Path, reader_with: ReaderWith) -> None:
    """With a writer that merely writes, readers go on from SQLite; shut out altogether, from CSV."""
    reader = reader_with()
    with faults.locked(reader.stores):
        reader.assert_right(DataSource.SQLITE)
    reader.stores.db_manager.close()
    with closing(lock_exclusively(database)):
        reader.assert_right(DataSource.CSV)
    reader.assert_right(DataSource.SQLITE)


def test_one_market_fails_alone(database: Path, reader_with: ReaderWith) -> None:
    reader = reader_with()
    coins = make_bars(20, mode=Mode.CRYPTO)
    reader.stores.save("BTC", coins, mode=Mode.CRYPTO)
    faults.fill_with_garbage(database)
    assert ask_for_days(reader).source is DataSource.CSV
    result = reader.query(mode=Mode.CRYPTO)
    assert result.source is DataSource.SQLITE
    assert result.bars["BTC"].equals(coins)


def test_a_reader_makes_no_database(database: Path, reader_with: ReaderWith) -> None:
    """One that a reader made would be empty, and would answer so from then on."""
    faults.delete(database)
    reader_with().assert_right(DataSource.CSV)
    assert not database.exists()


@pytest.mark.long
def test_a_part_of_the_bars_is_never_an_answer(reader_with: ReaderWith) -> None:
    """SQLite fails after the first tickers: those come from CSV too, not from SQLite."""
    reader = reader_with()
    faults.spoil_days_of(reader.stores, "VIC")
    assert reader.query(symbols=("ACB", "VCB")).source is DataSource.SQLITE
    result = ask_for_days(reader)
    assert result.source is DataSource.CSV
    assert list(result.bars) == list(TICKERS)
    assert all(result.bars[ticker].equals(SERIES[ticker, DAY]) for ticker in TICKERS)


# The last bar of each ticker, which analyses are made of


def spoil_rows(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE vn_daily SET close = 'x'")


LAST_BARS: dict[str, tuple[Callable[[Path], object], dict[str, str], DataSource]] = {
    "sound": (lambda _: None, {}, DataSource.SQLITE),
    "without CSV": (lambda path: shutil.rmtree(path.parent / "market_data"), {}, DataSource.SQLITE),
    "missing": (faults.delete, {}, DataSource.CSV),
    "garbage": (faults.fill_with_garbage, {}, DataSource.CSV),
    "rows that are none": (spoil_rows, {}, DataSource.SQLITE),
    "reads off": (lambda _: None, {"SQLITE_READS": "false"}, DataSource.CSV),
}


@pytest.mark.parametrize("end", [None, int(SERIES["VCB", DAY].time[7])])
@pytest.mark.parametrize(("damage", "variables", "source"), LAST_BARS.values(), ids=LAST_BARS)
def test_the_last_bars_come_from_whoever_has_them(
    database: Path,
    reader_with: ReaderWith,
    damage: Callable[[Path], object],
    variables: dict[str, str],
    source: DataSource,
    end: int | None,
) -> None:
    damage(database)
    stores = reader_with(**variables).stores
    last = DataStore(stores).get_last_bars(LastOfEach(mode=Mode.VN, end=end), stores.limits)
    assert (last.source, last.section.symbols) == (source, list(TICKERS))
    for position, ticker in enumerate(TICKERS):
        bar = last.section.bars.take(slice(position, position + 1))
        assert bar.equals(SERIES[ticker, DAY].between(None, end).tail(1))


def test_a_ticker_that_csv_alone_has_is_among_the_last_bars(reader_with: ReaderWith) -> None:
    reader = reader_with()
    bars = make_bars(20)
    reader.stores.csv_store.write(SeriesKey(Mode.VN, "FPT", DAY), bars)
    last = DataStore(reader.stores).get_last_bars(LastOfEach(mode=Mode.VN), reader.stores.limits)
    assert (last.source, last.section.symbols) == (DataSource.MIXED, ["ACB", "FPT", "VCB", "VIC"])
    assert last.section.bars.take(slice(1, 2)).equals(bars.tail(1))


def test_the_row_budget_is_for_last_bars_too(reader_with: ReaderWith) -> None:
    few = reader_with(MAX_RESPONSE_ROWS="2").stores
    with pytest.raises(TooManyRowsError, match="more than 2 rows"):
        DataStore(few).get_last_bars(LastOfEach(mode=Mode.VN), few.limits)


# The schema is another program's: readers are not turned away by its number, only by what they do not find


VERSIONS = [migration.version for migration in known_migrations(Mode.VN)]


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_an_older_schema_is_answered_from_if_it_has_a_ledger_and_else_csv_answers(
    database: Path, reader_with: ReaderWith, caplog: pytest.LogCaptureFixture, version: int
) -> None:
    put_older(database, version)
    has_ledger = version >= 2
    reader = reader_with()
    reader.assert_right(DataSource.SQLITE if has_ledger else DataSource.CSV)
    assert reader.ready_json() == (list(TICKERS) if version >= 8 else None), "the tables came with version 8"
    if not has_ledger:
        assert "answering vn from CSV: SQLite error: no such table: ledger" in caplog.text
        with pytest.raises(SqliteError, match="no such table: ledger"):
            ask_for_days(reader_with(FALLBACK_TO_CSV="false"))


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_the_start_of_a_worker_brings_an_older_schema_up(database: Path, reader_with: ReaderWith, version: int) -> None:
    put_older(database, version)
    reader = reader_with()
    faults.repair(reader.stores)
    reader.assert_right(DataSource.SQLITE)
    assert reader.ready_json() == list(TICKERS)
    assert reader.stores.db_manager.health(Mode.VN).schema_version == VERSIONS[-1]
    assert not [*database.parent.glob("*.damaged-*")]


NEWER = {
    "has more": ("ALTER TABLE vn_daily ADD COLUMN turnover REAL", DataSource.SQLITE),
    "has other names": ("ALTER TABLE ledger RENAME COLUMN digest TO checksum", DataSource.CSV),
}


@pytest.mark.parametrize(("statement", "source"), NEWER.values(), ids=NEWER)
def test_a_newer_schema_is_answered_from_as_long_as_it_has_what_is_asked(
    database: Path, reader_with: ReaderWith, statement: str, source: DataSource
) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)
        connection.execute("INSERT INTO schema_migrations VALUES (?, 'of the future', 0)", (VERSIONS[-1] + 1,))
    reader = reader_with()
    reader.assert_right(source)
    assert reader.stores.db_manager.health(Mode.VN).schema_version == VERSIONS[-1] + 1


# What the guards are for: without them these tests would see it


def test_without_the_fallback_the_error_would_reach_the_caller(
    broken: Path, reader_with: ReaderWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DataStore, "_query_from_csv", lambda *_: {})
    result = ask_for_days(reader_with())
    assert result.bars == {}, "all three tickers are missing"


def test_without_the_look_at_the_csv_tree_a_failure_would_pass_for_an_empty_market(
    database: Path, reader_with: ReaderWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.fill_with_garbage(database)
    reader = reader_with()
    remove_csv(reader.stores)
    monkeypatch.setattr(Fallback, "_require_csv_tree", lambda *_, **__: None)
    assert ask_for_days(reader).bars == {}


def test_without_the_look_at_the_file_a_reader_would_stay_on_the_old_one(
    database: Path, reader_with: ReaderWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stockapi.services.database_manager.manager._identity", lambda _: (0, 0, 0))
    reader = reader_with()
    reader.assert_right(DataSource.SQLITE)
    faults.fill_with_garbage(database)
    reader.assert_right(DataSource.SQLITE)
