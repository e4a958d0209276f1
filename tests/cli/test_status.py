"""`flask status`: what it tells."""

from pathlib import Path

from stockapi.models import Interval, Mode
from stockapi.services.database_manager.bookkeeping import Bookkeeping, Cycle
from stockapi.services.writer_lock import writer_lock
from tests.support.commands import Run, another_writer, change_row, succeeded
from tests.support.stores import NOW, Stores, make_bars


def test_status_tells_what_is_stored_how_fresh_and_who_writes(stores: Stores, run: Run, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(1_500))
    stores.save("VCB", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    stores.db_manager.upgrade(Mode.CRYPTO)
    Bookkeeping(stores.db_manager).beat(Mode.VN, "daily", 15, int(NOW.timestamp()) - 90)
    expected = [
        "vn: writer: none",
        "  source: none recorded; the settings name simulated",
        "  1 tickers, 1 active",
        "  1D:        1,500 bars, newest bar 2019-02-12",
        "  1H:            0 bars, no bars",
        "  1m:            5 bars, newest bar 2015-01-05T00:04:00",
        "  last verification: never",
        "  worker daily: dead, heartbeat 2026-03-02T04:58:30Z (90 s ago), 0 iterations, last sync never",
        "crypto: writer: none",
        "  source: none recorded; the settings name simulated",
        "  0 tickers, 0 active",
        *[f"  {interval}:            0 bars, no bars" for interval in ("1D", "1H", "1m")],
        "  last verification: never",
    ]
    assert succeeded(run("status")) == expected
    with another_writer(tmp_path) as writer:
        lines = succeeded(run("status", "--mode", "vn"))
    assert lines[0].startswith(f"vn: writer: pid {writer.pid}, ")
    assert lines[1:] == [*expected[1:7], expected[7].replace("dead", "stale")]


def test_status_tells_how_the_last_verification_went(stores: Stores, run: Run) -> None:
    stores.save("VCB", make_bars(300))
    change_row(stores)
    assert run("data", "verify", "--mode", "vn", "--repair").exit_code == 0
    line = "  last verification: repaired, 2026-03-02T05:00:00Z (0 s ago), 1 series, 300 bars, 1 differed, 0 left"
    assert line in succeeded(run("status", "--mode", "vn"))


def test_status_has_one_line_a_worker_with_its_last_error(stores: Stores, run: Run) -> None:
    now = int(NOW.timestamp())
    stores.db_manager.upgrade(Mode.VN)
    failed = Cycle(
        worker="hourly",
        due_every_s=60,
        cycle_seconds=1.5,
        rows_written=5,
        source="vci",
        source_state="no answer",
        source_calls=2,
        source_errors=1,
        last_sync=now - 20,
        last_error="vn VCB 1H:\n no answer",
    )
    Bookkeeping(stores.db_manager).record_cycle(Mode.VN, failed, now - 10)
    with writer_lock(stores.settings, [Mode.VN]):
        line = succeeded(run("status", "--mode", "vn"))[-1]
    assert line == (
        "  worker hourly: ok, heartbeat 2026-03-02T04:59:50Z (10 s ago), 1 iterations, "
        "last sync 2026-03-02T04:59:40Z (20 s ago), last error 2026-03-02T04:59:50Z (10 s ago): vn VCB 1H: no answer"
    )


def test_status_without_a_database_tells_what_csv_has(stores: Stores, run: Run) -> None:
    stores.save("VCB", make_bars(3))
    stores.db_manager.close()
    stores.settings.vn_database_path.write_bytes(b"rubbish" * 1_000)
    result = run("status", "--mode", "vn")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "vn: writer: none",
        "  source: none recorded; the settings name simulated",
        "  SQLite error: file is not a database; CSV holds 1 tickers",
    ]
