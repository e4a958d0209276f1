"""The scenarios of `python -m tests.faults`, smaller: what they promise, and that without a guard they see the loss."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import (
    behind,
    clients,
    copies,
    crash,
    csvs,
    damage,
    databases,
    disk,
    failing,
    failing_calls,
    frozen,
    kills,
    outcome,
    power,
    sabotage,
    soak,
    sources,
    systems,
)
from tests.faults.market import Row, Truth, all_series
from tests.faults.outcome import Outcome
from tests.faults.rig import running

pytestmark = pytest.mark.long

FAILED_AT_MOST = 0.5
"""Of the answers, while nobody can open a file; in all other scenarios none may fail."""


def assert_whole(seen: Outcome, *, injected: int = 1) -> None:
    """As promised, and the scenario has really taken place."""
    what = "\n".join([seen.row(), *seen.broken, *seen.examples])
    assert seen.is_whole, what
    assert seen.injected >= injected, what
    assert seen.answers > 10, what
    assert seen.statuses[200] > 10, what


def assert_nothing_failed(seen: Outcome) -> None:
    assert seen.failures == 0, seen.row()


# A writer that is killed


def test_kills_lose_nothing_and_no_answer_is_torn_or_old(tmp_path: Path) -> None:
    seen = crash.crash(tmp_path, 40, seed=1)
    assert_whole(seen, injected=40)
    assert_nothing_failed(seen)
    assert seen.sources["sqlite"] > 10
    assert seen.sources["csv"] > 10


def test_without_the_journal_kills_lose_bars(tmp_path: Path) -> None:
    # How many answers are torn depends on how often clients get to ask: `make crash` shows them. Nor does every handful
    # of kills hit a file while it is written.
    runs = (crash.crash(tmp_path / str(seed), 16, seed=seed, without="journal") for seed in range(3))
    assert any(seen.lost > 0 for seen in runs)


def test_without_reconciling_kills_leave_the_stores_apart(tmp_path: Path) -> None:
    # A handful of kills need not hit the moment between the two writes.
    runs = [crash.crash(tmp_path / str(seed), 16, seed=seed, without="reconciling") for seed in range(3)]
    assert any(seen.divergent > 0 for seen in runs)
    assert any(seen.lost > 0 for seen in runs), "SQLite has not got what was acknowledged"


# Calls that fail, and kills at each call


@pytest.fixture(scope="module")
def compiler() -> None:
    obstacle = failing_calls.why_not()
    if obstacle is not None:
        pytest.skip(obstacle)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(("kind", "killed"), [("write", False), ("rename", True)])
def test_calls_that_fail_lose_nothing(tmp_path: Path, kind: str, killed: bool) -> None:
    seen = failing.failing(tmp_path, kind, 3, seed=1, killed=killed)
    assert_whole(seen)
    assert_nothing_failed(seen)


@pytest.mark.usefixtures("compiler")
def test_without_the_rest_of_short_writes_an_answer_is_torn(tmp_path: Path) -> None:
    assert failing.failing(tmp_path, "write", 3, seed=1, without="rest of short writes").wrong > 0


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", ["save", "restore", "rename"])
def test_kills_at_calls_leave_what_was_before_or_after(tmp_path: Path, name: str) -> None:
    seen = kills.at_each_call(tmp_path, name, 2, 1)
    assert_whole(seen, injected=3)
    assert_nothing_failed(seen)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(("name", "guard"), [("save", "journal"), ("delete", "change file")])
def test_without_a_guard_kills_at_calls_leave_something_between(tmp_path: Path, name: str, guard: str) -> None:
    assert not kills.at_each_call(tmp_path, name, 3, 2, without=guard).is_whole


# A power cut


@pytest.fixture(scope="module")
def strace() -> None:
    obstacle = power.why_not()
    if obstacle is not None:
        pytest.skip(obstacle)


@pytest.mark.usefixtures("strace")
def test_power_cuts_lose_nothing_acknowledged(tmp_path: Path) -> None:
    seen = power.power_cut(tmp_path, 20, seed=1)
    assert seen.is_whole, [seen.row(), *seen.examples]
    assert seen.injected == 20
    assert "lost newest commits in 0 of" not in seen.row(), "the cuts have taken nothing: they prove nothing"


@pytest.mark.usefixtures("strace")
def test_without_fsync_of_directories_power_cuts_lose_bars(tmp_path: Path) -> None:
    assert power.power_cut(tmp_path, 10, seed=1, without="directory fsync").lost > 0


# A full disk


@pytest.fixture(scope="module")
def tmpfs() -> None:
    obstacle = disk.why_not()
    if obstacle is not None:
        pytest.skip(obstacle)


@pytest.mark.usefixtures("tmpfs")
@pytest.mark.parametrize("place", list(disk.PLACES))
def test_a_full_disk_is_repaired_when_space_returns(tmp_path: Path, place: str) -> None:
    seen = disk.disk_full(tmp_path, place)
    assert_whole(seen)
    assert_nothing_failed(seen)
    assert seen.restarts == 0


# Damage


def test_flipped_bytes_are_found_and_bring_no_answer_down(tmp_path: Path) -> None:
    seen = damage.byte_flips(tmp_path, 40, seed=1)
    assert_whole(seen, injected=40)
    assert_nothing_failed(seen)


def test_every_fault_of_the_database_is_repaired(tmp_path: Path) -> None:
    with running(tmp_path, *databases.ARGUMENTS, variables=databases.VARIABLES) as rig:
        rig.writer.keep_alive = True
        rig.clients.start()
        for name in databases.LASTING:
            seen = databases.lasting(rig, name)
            assert_whole(seen)
            assert_nothing_failed(seen)
            rig.resume()
        for name in databases.PASSING:
            seen = databases.passing(rig, name)
            assert_whole(seen)
            assert (
                seen.failures < seen.answers * FAILED_AT_MOST
                if name == databases.OUT_OF_DESCRIPTORS
                else not seen.failures
            )
            rig.resume()


def test_without_the_fallback_a_missing_database_brings_answers_down(tmp_path: Path) -> None:
    seen = databases.without_fallback(tmp_path)
    assert seen.statuses[503] > 0
    assert (seen.wrong, seen.lost) == (0, 0)


def test_every_fault_of_the_csv_files_is_repaired(tmp_path: Path) -> None:
    with running(tmp_path, *databases.ARGUMENTS) as rig:
        rig.clients.start()
        for name in csvs.FAULTS:
            seen = csvs.tampered(rig, name, 2)
            assert_whole(seen, injected=2)
            assert_nothing_failed(seen)
            rig.resume()


# SQLite that is known to be behind


@pytest.mark.parametrize("name", ["locked by a shell", behind.REBUILT])
def test_csv_answers_until_sqlite_has_caught_up(tmp_path: Path, name: str) -> None:
    seen = behind.behind(tmp_path, name)
    assert_whole(seen)
    assert_nothing_failed(seen)
    assert seen.sources["csv"] > 10


def test_without_the_comparison_sqlite_gives_old_answers(tmp_path: Path) -> None:
    assert behind.behind(tmp_path, "locked by a shell", without="comparison").old > 0


# What others do to the files


def test_a_second_writer_that_others_let_in_ends_the_first(tmp_path: Path) -> None:
    assert_whole(sabotage.lock_removed(tmp_path))


def test_without_the_check_of_the_lock_both_write(tmp_path: Path) -> None:
    assert not sabotage.lock_removed(tmp_path, without="lock check").is_whole


def test_nobody_else_waits_for_a_pipe(tmp_path: Path) -> None:
    assert_whole(sabotage.pipe(tmp_path))


def test_copies_of_the_files_of_a_killed_writer_are_whole(tmp_path: Path) -> None:
    seen = copies.copied(tmp_path, 3, seed=1)
    assert (seen.injected, seen.is_whole) == (3, True), [seen.row(), *seen.examples]


def test_a_process_of_the_web_starts_without_room_for_its_counts(tmp_path: Path) -> None:
    obstacle = sabotage.why_no_memory()
    if obstacle is not None:
        pytest.skip(obstacle)
    assert_whole(sabotage.memory_full(tmp_path))


# The source


@pytest.mark.parametrize("name", list(frozen.CHANGES))
def test_a_source_that_changes_its_history_leaves_no_mixture(tmp_path: Path, name: str) -> None:
    seen = frozen.changed(tmp_path, name)
    assert seen.is_whole, seen.row()
    assert seen.injected == 1


def test_without_the_comparison_of_bars_two_histories_are_mixed(tmp_path: Path) -> None:
    assert frozen.changed(tmp_path, frozen.CONTROL, without="comparison").lost > 0


def test_two_threads_of_a_worker_lose_nothing_of_each_other(tmp_path: Path) -> None:
    seen = frozen.two_threads(tmp_path)
    assert seen.is_whole, [seen.row(), *seen.broken]
    assert seen.answers > 10


def test_without_the_lock_of_a_series_they_do(tmp_path: Path) -> None:
    runs = (frozen.two_threads(tmp_path / str(number), without="lock") for number in range(3))
    assert any(not seen.is_whole for seen in runs)


def test_a_source_that_fails_and_a_stop_while_it_stalls_spoil_nothing(tmp_path: Path) -> None:
    with sources.chain(tmp_path) as chain:
        for kind, kinds in sources.KINDS.items():
            seen = sources.source(chain, kind, kinds[:1])
            assert_whole(seen)
            assert_nothing_failed(seen)
        assert_whole(sources.stopped_mid_download(chain))


# The machine, and who runs it


@pytest.mark.parametrize("scenario", [systems.clock_moved, systems.read_only])
def test_the_system(tmp_path: Path, scenario: Callable[[Path], Outcome]) -> None:
    seen = scenario(tmp_path)
    assert_whole(seen)
    assert_nothing_failed(seen)


# The measuring itself


@pytest.mark.parametrize("spoil", [lambda rows: rows[-1].update(close=1.0), lambda rows: rows.pop(0)])
def test_clients_ask_in_every_way_and_see_each_wrong_bar(spoil: Callable[[list[Row]], object]) -> None:
    truth, dice, floor = Truth(), random.Random(1), dict.fromkeys(all_series(), 7)
    judge = clients.Clients(0, all_series(), floor, 0)._judge
    asked = [clients.any_question(dice, all_series(), floor, 0.5) for _ in range(120)]
    for question in asked:
        window = (question.limit, question.start, question.end)
        answer = {ticker: truth.rows(ticker, question.interval, 7, *window) for ticker in question.tickers}
        floors = dict.fromkeys(question.tickers, 7)
        assert judge(question, floors, _body(question, answer)) == (None, {})
        if question.limit != 1:  # of one row nothing may be taken: there would be no answer
            spoil(answer[question.tickers[0]])
            problem, _ = judge(question, floors, _body(question, answer))
            assert problem is not None, question
    paths = " ".join(question.path for question in asked)
    for part in ("interval=1D", "interval=1W", "interval=5m", "end_date=", "format=csv", "cache=false", "?interval="):
        assert part in paths


def _body(question: clients.Question, answer: dict[str, list[Row]]) -> bytes:
    if not question.as_csv:
        return json.dumps(answer).encode()
    rows = [row for each in answer.values() for row in each]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["symbol", *dict.fromkeys(name for row in rows for name in row if name != "symbol")])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def test_samples_tell_what_grows() -> None:
    seen = Outcome("soak")
    flat, growing = [100_000, 101_000] * 15, list(range(100_000, 130_000, 1_000))
    soak.Samples(flat, [40] * 30, flat, [9] * 30, [1 << 20] * 30).judge(seen)
    assert seen.broken == []
    soak.Samples(growing, [40] * 30, flat, list(range(30)), [65 << 20] * 30).judge(seen)
    assert [problem.split(" grew")[0] for problem in seen.broken] == [
        "memory of web",
        "descriptors of writer",
        "the write-ahead log passed 64 MiB",
    ]


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_text(f"before\n{outcome.BEGIN}old\n{outcome.END}\nafter\n")
    text = outcome.table([Outcome("fire", injected=3, answers=1_000, seconds_to_repair=1.25)])
    outcome.save(text, report)
    assert report.read_text() == f"before\n{outcome.BEGIN}{text}{outcome.END}\nafter\n"
    assert "| fire | 3 | 1,000 | 0 | 0 | 1.2 | - |" in text
    outcome.save("new\n", report)
    assert report.read_text() == f"before\n{outcome.BEGIN}new\n{outcome.END}\nafter\n"
