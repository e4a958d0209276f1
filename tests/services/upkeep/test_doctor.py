"""What `flask data doctor` finds in the bars, what it says can be done, and what `--fix` does."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.context import services
from stockapi.formats.csv_format import DamagedLine
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_store.quarantine import Quarantine
from stockapi.services.upkeep import doctor, recheck
from stockapi.services.upkeep.doctor import Finding, Kind, examine, examine_series, fix
from tests import faults
from tests.faults import assert_in_step
from tests.support.stores import NOW, Stores, make_bars

DAY, HOUR, MINUTE = Interval
VN, CRYPTO = Mode


def on_trading_days(bars: Bars) -> Bars:
    """The same bars one after the other on days with a session."""
    days = market_of(Mode.VN).calendar.trading_days(int(bars.time[0]), int(bars.time[-1]) * 2)[: len(bars)]
    return replace(bars, time=days)


OPENING_S = 2 * 3_600
"""From midnight UTC to the first bar of a session."""

BARS = on_trading_days(make_bars(60))
T = BARS.time.tolist()


def with_price(bars: Bars, position: int, value: float, row: int) -> Bars:
    prices = bars.prices.copy()
    prices[row, position] = value
    return enhance(Bars.of(bars.time, prices, bars.volume), VN, is_index=False)


def with_other_indicators(bars: Bars) -> Bars:
    return replace(bars, indicators=np.where(np.arange(len(bars)) < 3, bars.indicators + 1.0, bars.indicators))


def found_in(
    stores: Stores, interval: Interval = DAY, mode: Mode = VN, now: datetime = NOW
) -> list[tuple[Kind, int, int | None, int | None]]:
    findings = examine_series(stores, SeriesKey(mode, "VCB", interval), now)
    return [(each.kind, each.count, each.first, each.last) for each in findings]


def csv_path(stores: Stores) -> Path:
    return stores.csv_store.path(SeriesKey(VN, "VCB", DAY))


def append(*lines: str) -> Callable[[Stores], None]:
    def to_the_file(stores: Stores) -> None:
        with csv_path(stores).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    return to_the_file


def duplicate(stores: Stores) -> None:
    lines = csv_path(stores).read_text().splitlines(keepends=True)
    csv_path(stores).write_text("".join([*lines, lines[5], lines[6]]))


def only_in_csv(bars: Bars) -> Callable[[Stores], None]:
    return lambda stores: stores.csv_store.write(SeriesKey(VN, "VCB", DAY), bars) and None


def in_both(bars: Bars, interval: Interval = DAY) -> Callable[[Stores], None]:
    return lambda stores: stores.save("VCB", bars, interval, rewrite_all=True) and None


def forget(stores: Stores) -> None:
    with stores.db_manager.transaction(VN) as connection:
        connection.execute("DELETE FROM ledger")


def with_gaps(bars: Bars) -> Bars:
    return enhance(bars.take(np.delete(np.arange(60), [4, 5, 9])), VN, is_index=False)


IMPOSSIBLE = with_price(BARS, 7, 1.0, row=1)
ZERO = with_price(BARS, 7, 0.0, row=0)
SPLIT = Bars.of(BARS.time, np.where(np.arange(60) < 30, BARS.prices, BARS.prices / 2.5), BARS.volume)
REPAIRABLE = [
    (append("nonsense", "VCB,2026-13-01,1,1,1,1,1"), [(Kind.DAMAGED, 2, None, None)]),
    (duplicate, [(Kind.DUPLICATE, 2, None, None)]),
    (only_in_csv(with_price(BARS, 59, 50_000.0, row=3)), [(Kind.DIFFERENT, 1, None, None)]),
    (only_in_csv(BARS.take(slice(10, None))), [(Kind.DIFFERENT, 10, None, None)]),
    (forget, [(Kind.DIFFERENT, 60, None, None)]),
    (in_both(with_other_indicators(BARS)), [(Kind.INDICATORS, 2, T[1], T[2])]),
]
KEPT = [
    (in_both(BARS), []),
    (in_both(IMPOSSIBLE), [(Kind.IMPOSSIBLE, 1, T[7], T[7])]),
    (in_both(ZERO), [(Kind.IMPOSSIBLE, 1, T[7], T[7])]),
    (in_both(enhance(SPLIT, VN, is_index=False)), [(Kind.JUMP, 1, T[30], T[30])]),
    (in_both(with_gaps(BARS)), [(Kind.GAP, 3, T[4], T[9])]),
]


@pytest.mark.parametrize(("disturb", "found"), [*REPAIRABLE, *KEPT])
def test_every_kind_of_fault_is_found(
    stores: Stores, disturb: Callable[[Stores], None], found: list[tuple[Kind, int, int | None, int | None]]
) -> None:
    stores.save("VCB", enhance(BARS, VN, is_index=False))
    disturb(stores)
    assert [each for each in found_in(stores) if each[0] is not Kind.INDICATORS or each in found] == found


@pytest.mark.parametrize(("missing", "idle"), [(0, None), (4, None), (5, 5), (30, 30)])
def test_a_ticker_without_bars_while_others_trade(stores: Stores, missing: int, idle: int | None) -> None:
    days = make_bars(200).time
    sessions = market_of(VN).calendar.trading_days(int(days[0]), int(days[-1]))[:60]
    bars = enhance(Bars.of(sessions, BARS.prices, BARS.volume), VN, is_index=False)
    stores.save("ACB", bars)
    stores.save("VCB", bars.take(slice(60 - missing)))
    found = [each for findings in examine(stores, VN, [DAY], NOW) for each in findings if each.kind is Kind.IDLE]
    last = int(sessions[59 - missing])
    expected = [] if idle is None else [Finding(SeriesKey(VN, "VCB", DAY), Kind.IDLE, idle, last, last)]
    assert found == expected
    assert not any(each.kind.is_repairable for each in found)


@pytest.mark.parametrize(("disturb", "found"), REPAIRABLE)
def test_what_can_be_repaired_is(
    stores: Stores, disturb: Callable[[Stores], None], found: list[tuple[Kind, int, int | None, int | None]]
) -> None:
    stores.save("VCB", enhance(BARS, VN, is_index=False))
    disturb(stores)
    findings = examine_series(stores, SeriesKey(VN, "VCB", DAY), NOW)
    assert all(finding.remedy == "--fix repairs it" for finding in findings)
    stats, left = fix(stores, findings, NOW)
    assert (stats.records, left) == (60, [])
    assert found_in(stores) == []
    assert_in_step(stores, "VCB", stores.in_csv("VCB"))


@pytest.mark.parametrize(("disturb", "found"), KEPT[1:])
def test_what_a_source_has_sent_is_kept(
    stores: Stores, disturb: Callable[[Stores], None], found: list[tuple[Kind, int, int | None, int | None]]
) -> None:
    disturb(stores)
    before = stores.in_csv("VCB")
    findings = examine_series(stores, SeriesKey(VN, "VCB", DAY), NOW)
    assert not any(finding.kind.is_repairable for finding in findings)
    assert stores.in_csv("VCB").equals(before)


@pytest.mark.parametrize(("in_csv", "in_sqlite"), [(IMPOSSIBLE, BARS), (BARS, IMPOSSIBLE)])
def test_an_impossible_bar_gives_way_to_a_possible_one(stores: Stores, in_csv: Bars, in_sqlite: Bars) -> None:
    """Also where CSV is newer: a verification would keep its bar, since a source may have sent it."""
    stores.save("VCB", in_sqlite)
    stores.csv_store.write(SeriesKey(VN, "VCB", DAY), in_csv)
    findings = examine_series(stores, SeriesKey(VN, "VCB", DAY), NOW)
    assert [finding.kind for finding in findings][:1] == [Kind.DIFFERENT]
    fix(stores, findings, NOW)
    assert_in_step(stores, "VCB", enhance(BARS, VN, is_index=False))


@pytest.mark.parametrize(
    ("interval", "offset_s", "found"),
    [(MINUTE, 0, []), (MINUTE, 30, [Kind.OFF_GRID]), (HOUR, 0, []), (HOUR, 1_800, [Kind.OFF_GRID])],
)
def test_times_off_the_grid(stores: Stores, interval: Interval, offset_s: int, found: list[Kind]) -> None:
    bars = make_bars(4, interval)
    stores.save("VCB", enhance(replace(bars, time=bars.time + OPENING_S + offset_s), VN, is_index=False), interval)
    assert [kind for kind, *_ in found_in(stores, interval)] == found


@pytest.mark.parametrize(
    ("seconds_later", "found"),
    [(0, []), (-59, []), (-61, [Kind.FUTURE]), (-86_400, [Kind.FUTURE]), (-86_401, [Kind.FUTURE, Kind.UNTIMELY])],
)
def test_times_to_come(stores: Stores, seconds_later: int, found: list[Kind]) -> None:
    bars = make_bars(6, MINUTE)
    bars = replace(bars, time=bars.time + OPENING_S)
    stores.save("VCB", bars, MINUTE)
    now = datetime.fromtimestamp(int(bars.time[-1]) + seconds_later, UTC)
    assert [kind for kind, *_ in found_in(stores, MINUTE, now=now)] == found


def test_bars_outside_the_session_are_told(stores: Stores) -> None:
    """A Monday's hours from 07:00 to 18:00 in Ho Chi Minh City, and those of the Saturday after it."""
    bars = make_bars(12, HOUR)
    both = np.concatenate([bars.time, bars.time + 5 * 86_400])
    for mode in Mode:
        rows = Bars.of(both, np.ones((4, 24)), np.ones(24, dtype=np.int64))
        stores.save("VCB", enhance(rows, mode, is_index=False), HOUR, mode)
    assert (Kind.OUTSIDE, 6 + 12, both[0], both[-1]) in found_in(stores, HOUR)
    assert Kind.OUTSIDE not in [kind for kind, *_ in found_in(stores, HOUR, CRYPTO)]
    (finding,) = (each for each in examine_series(stores, SeriesKey(VN, "VCB", HOUR), NOW) if each.kind is Kind.OUTSIDE)
    assert finding.remedy.endswith("then import with --timezone")


@pytest.mark.parametrize("other", [1.02, 1.003, 2.0])
@pytest.mark.parametrize("interval", [HOUR, MINUTE])
def test_a_level_of_prices_that_the_days_do_not_have(stores: Stores, interval: Interval, other: float) -> None:
    """Before a day the hours are those from before a dividend; the days are not."""
    days, step = BARS, 10
    closes = np.where(days.time < days.time[-step], days.close * other, days.close)
    intraday = Bars.of(days.time + 7 * 3_600, np.vstack([closes] * 4), days.volume)
    stores.save("VCB", days)
    stores.save("VCB", enhance(intraday, VN, is_index=False), interval)
    assert found_in(stores, interval) == [(Kind.LEVEL, 1, T[-step], T[-step])]
    assert found_in(stores) == []
    stores.save("VCB", enhance(replace(intraday, prices=np.vstack([days.close] * 4)), VN, is_index=False), interval)
    assert found_in(stores, interval) == []


def test_coins_are_traded_every_day(stores: Stores) -> None:
    bars = make_bars(60, mode=CRYPTO).take(np.delete(np.arange(60), [10, 11, 30]))
    stores.save("VCB", enhance(bars, CRYPTO, is_index=False), mode=CRYPTO)
    assert [each[:2] for each in found_in(stores, mode=CRYPTO)] == [(Kind.GAP, 3)]


def test_a_series_that_sqlite_does_not_give_is_examined_in_csv(stores: Stores) -> None:
    stores.save("ACB", BARS)
    stores.save("VCB", IMPOSSIBLE)
    faults.spoil_days_of(stores, "VCB")
    kinds = [kind for kind, *_ in found_in(stores)]
    assert kinds == [Kind.UNREADABLE, Kind.IMPOSSIBLE]
    (first, _) = examine_series(stores, SeriesKey(VN, "VCB", DAY), NOW)
    assert str(first) == (
        "vn VCB 1D: 1 database: this series cannot be read from it; flask data verify --mode vn --repair"
    )


def test_a_save_half_way_is_no_finding(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.save("VCB", BARS)
    looks = iter([[Finding(SeriesKey(VN, "VCB", DAY), Kind.DIFFERENT, 1)], []])
    monkeypatch.setattr(doctor, "examine_series", lambda *_: next(looks))
    monkeypatch.setattr(recheck, "_BETWEEN_CHECKS_S", 0.0)
    assert [*examine(stores, VN, [DAY], NOW, others_write=True)] == [[]]


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (
            Finding(SeriesKey(VN, "VCB", DAY), Kind.GAP, 1_200, T[4], T[9]),
            "vn VCB 1D: 1,200 trading days between the first and the last bar have none, 2015-01-09 to 2015-01-16; "
            "ask the source: flask data pull --mode vn --ticker VCB --interval 1D --full",
        ),
        (
            Finding(SeriesKey(CRYPTO, "BTC", MINUTE), Kind.JUMP, 1, T[4], T[4]),
            "crypto BTC 1m: 1 closes jump to a multiple or a fraction, 2015-01-09T00:00:00; "
            "kept as the source has sent it",
        ),
        (
            Finding(SeriesKey(VN, "VCB", DAY), Kind.DAMAGED, 2),
            "vn VCB 1D: 2 lines of the CSV file are no bars; --fix repairs it",
        ),
    ],
)
def test_a_finding_is_one_line_with_its_remedy(finding: Finding, line: str) -> None:
    assert str(finding) == line


# The command


@pytest.fixture
def run(stores: Stores) -> Iterator[Callable[..., Result]]:
    app = create_app(stores.settings, clock=lambda: NOW)
    cli = app.test_cli_runner()
    yield lambda *args: cli.invoke(args=["data", "doctor", *args])
    with app.app_context():
        services().stores.close()


def test_a_market_that_is_well(stores: Stores, run: Callable[..., Result]) -> None:
    stores.save("VCB", enhance(BARS, VN, is_index=False))
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["vn: 1 series, nothing to report", "crypto: 0 series, nothing to report"]


def test_what_is_repairable_makes_it_fail_until_it_is_repaired(stores: Stores, run: Callable[..., Result]) -> None:
    stores.save("FPT", enhance(IMPOSSIBLE, VN, is_index=False))
    stores.save("VCB", enhance(BARS, VN, is_index=False))
    append("nonsense")(stores)
    impossible = (
        "  vn FPT 1D: 1 impossible bars (high below low, open or close outside, a price of zero), 2015-01-14; "
        "kept as the source has sent it"
    )
    result = run("--mode", "vn")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        impossible,
        "  vn VCB 1D: 1 lines of the CSV file are no bars; --fix repairs it",
        "vn: 2 series, 1 x damaged, 1 x impossible",
    ]
    result = run("--mode", "vn", "--fix")
    assert result.exit_code == 0
    path = Quarantine(stores.settings).path(VN)
    assert result.stdout.splitlines() == [
        "  vn VCB 1D: repaired: 1 lines of the CSV file are no bars; 0 bars changed in CSV, 0 in SQLite",
        impossible,
        "vn: 2 series, 1 x impossible",
        f"vn: 1 lines in {path}",
        "  1 x 1 fields, a row has 20",
    ]
    assert "nonsense" not in csv_path(stores).read_text()


def test_only_the_intervals_asked_for_are_examined(stores: Stores, run: Callable[..., Result]) -> None:
    stores.save("VCB", enhance(BARS, VN, is_index=False))
    append("nonsense")(stores)
    assert run("--mode", "vn", "--interval", "1H").exit_code == 0
    assert run("--mode", "vn", "--interval", "1D").exit_code == 1


def test_the_quarantine_is_summed_up(stores: Stores, run: Callable[..., Result]) -> None:
    lines = [DamagedLine(number, f"time '{number}' is not a time", "x") for number in range(5)]
    Quarantine(stores.settings).add(VN, "old.csv", lines, NOW)
    assert run("--mode", "vn").stdout.splitlines()[1:] == [
        f"vn: 5 lines in {Quarantine(stores.settings).path(VN)}",
        "  5 x time ... is not a time",
    ]


def test_without_fix_nothing_is_written(stores: Stores, run: Callable[..., Result]) -> None:
    stores.save("VCB", BARS)
    append("nonsense")(stores)
    paths = csv_path(stores), stores.settings.vn_database_path
    before = [path.stat().st_mtime_ns for path in paths]
    assert run().exit_code == 1
    assert [path.stat().st_mtime_ns for path in paths] == before
