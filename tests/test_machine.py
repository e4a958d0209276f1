"""Whatever stands in the place of a file of ours: nothing waits for it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import AppError, ConfigError, CsvError, SqliteError
from stockapi.machine import open_regular, read_regular
from stockapi.markets.tickers import groups_for
from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.csv_store.journal import journal_path
from stockapi.services.upkeep.changes import finish_change
from stockapi.services.upkeep.reconcile import reconcile_out_of_step
from stockapi.services.writer_lock import writer_lock, writer_of
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

VCB = SeriesKey(Mode.VN, "VCB", Interval.DAILY)


@pytest.fixture(autouse=True)
def nothing_waits() -> Iterator[None]:
    """The negative control: a plain `open` of a pipe would be here until the alarm. It is no `OSError`: one of those
    would count as the refusal that is expected.
    """

    def too_long(*_: object) -> None:
        raise AssertionError("it waits for a pipe")

    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 3.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.fixture
def stores(make_stores: MakeStores) -> Stores:
    stores = make_stores()
    stores.save("VCB", make_bars(20))
    stores.save("ACB", make_bars(20))
    return stores


def with_pipe(path: Path) -> Path:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


def test_a_plain_open_would_wait(tmp_path: Path) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.raises(AssertionError, match="waits for a pipe"):
        with_pipe(tmp_path / "pipe").read_bytes()


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT])
def test_a_pipe_is_refused(tmp_path: Path, flags: int) -> None:
    with pytest.raises(OSError, match=r"Not a regular file|No such device"):
        open_regular(with_pipe(tmp_path / "pipe"), flags)


def test_a_device_and_a_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="Not a regular file"):
        read_regular(tmp_path / "zero")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


def read_all(stores: Stores) -> None:
    stores.csv_store.read(VCB)


def read_some(stores: Stores) -> None:
    stores.csv_store.read(VCB, Window(limit=1))


def write(stores: Stores) -> None:
    stores.csv_store.write_tail(VCB, make_bars(21).take(slice(20, None)), int(make_bars(21).time[20]))


@pytest.mark.parametrize("work", [read_all, read_some, write, lambda stores: stores.csv_store.stamp(VCB)])
@pytest.mark.parametrize("name", ["1D.csv", ".1D.journal"])
def test_a_pipe_for_a_csv_file_or_its_journal(stores: Stores, name: str, work: Callable[[Stores], None]) -> None:
    path = stores.csv_store.path(VCB)
    with_pipe(path if name == "1D.csv" else journal_path(path))
    with pytest.raises(CsvError, match="Not a regular file"):
        work(stores)


def test_a_pipe_for_what_is_known_of_the_series_counts_as_empty_and_is_replaced(stores: Stores) -> None:
    for name in ("closed.json", "asked.json", "turns.json"):
        with_pipe(stores.settings.data_dir(Mode.VN) / name)
    now = int(NOW.timestamp())
    assert not stores.closings.of(Mode.VN, Interval.DAILY)
    assert not stores.asked.spans(VCB, now)
    stores.asked.record(VCB, (10, 20), now)
    assert list(stores.asked.spans(VCB, now)) == [(10, 20)]
    assert stores.turns.in_turn(Mode.VN, "daily", [VCB]) == [VCB]


DEEP = "[" * 100_000


def test_a_file_that_is_nested_deeply_is_damaged_like_any_other(stores: Stores) -> None:
    directory = stores.settings.data_dir(Mode.VN)
    for name in ("closed.json", "names.json", "change.json"):
        (directory / name).write_text(DEEP)
    assert not stores.closings.of(Mode.VN, Interval.DAILY)
    with pytest.raises(CsvError, match=r"names\.json"):
        stores.renames.of(Mode.VN)
    with pytest.raises(CsvError, match=r"change\.json"):
        finish_change(stores, Mode.VN, NOW)
    with writer_lock(stores.settings, [Mode.VN]):
        (directory / ".writer.lock").write_text(DEEP)
        assert writer_of(stores.settings, Mode.VN) == "unknown"


def test_a_start_goes_on_with_the_others(stores: Stores) -> None:
    with_pipe(stores.csv_store.path(VCB))
    with_pipe(journal_path(stores.csv_store.path(VCB)))
    stores.csv_store.write(SeriesKey(Mode.VN, "ACB", Interval.DAILY), make_bars(25))
    stores.csv_store.recover(Mode.VN)
    assert list(reconcile_out_of_step(stores, Mode.VN, NOW)) == [SeriesKey(Mode.VN, "ACB", Interval.DAILY)]


def lists(directory: Path) -> None:
    settings = Settings.from_mapping(environment(directory, TICKER_GROUPS_FILE=str(directory / "groups.json")))
    groups_for(Mode.VN, settings)


def dotenv(directory: Path) -> None:
    os.chdir(directory)
    Settings.load()


def lock(directory: Path) -> None:
    with writer_lock(Settings.from_mapping(environment(directory)), [Mode.VN]):
        pytest.fail("locked a pipe")


def holder(directory: Path) -> None:
    writer_of(Settings.from_mapping(environment(directory)), Mode.VN)


@pytest.mark.parametrize(
    ("name", "work", "error"),
    [
        ("groups.json", lists, ConfigError),
        (".env", dotenv, ConfigError),
        ("market_data/.writer.lock", lock, CsvError),
        ("market_data/.writer.lock", holder, CsvError),
        (".vn_data.db.writer.lock", lock, CsvError),
    ],
)
def test_a_pipe_for_any_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, work: Callable[[Path], None], error: type[AppError]
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "groups.json":
        (tmp_path / name).write_text('{"A": ["VCB"]}')
        lists(tmp_path)
    with_pipe(tmp_path / name)
    with pytest.raises(error):
        work(tmp_path)


def test_a_pipe_for_a_database(stores: Stores) -> None:
    stores.db_manager.close()
    with_pipe(stores.settings.vn_database_path)
    with pytest.raises(SqliteError):
        stores.in_sqlite("VCB")


def test_a_pipe_for_the_rollback_journal_of_a_database(stores: Stores) -> None:
    """SQLite looks for one when it opens a file, for reading too. No signal ends its waiting, so it waits elsewhere."""
    stores.db_manager.close()
    with_pipe(stores.settings.vn_database_path.with_name("vn_data.db-journal"))
    refused: list[object] = []

    def work() -> None:
        for each in (lambda: stores.in_sqlite("VCB"), lambda: stores.db_manager.upgrade(Mode.VN)):
            with pytest.raises(SqliteError):
                each()
            refused.append(each)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(2.0)
    assert len(refused) == 2
