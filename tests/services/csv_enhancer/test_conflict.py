"""Which of two versions of a series is chosen, and why."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.digest import digest
from stockapi.models import Bars
from stockapi.services.csv_enhancer.conflict import Difference, Evidence, FileAge, Resolution, is_impossible, resolve
from tests.support.stores import make_bars

RECORDED, NEWER, OLDER = FileAge
LONGER = make_bars(45)
TRUE = LONGER.take(slice(40))
NONE = TRUE.take(slice(0))
DIGEST = digest(TRUE)


def with_price(bars: Bars, position: int, value: float, row: int = 3) -> Bars:
    prices = bars.prices.copy()
    prices[row, position] = value
    return replace(bars, prices=prices)


def moved(bars: Bars, position: int, to: int) -> Bars:
    """One bar at another time."""
    time = bars.time.copy()
    time[position] = to
    return bars.take(slice(0)).merge(replace(bars, time=time))


def without(bars: Bars, *positions: int) -> Bars:
    return bars.take(np.setdiff1d(np.arange(len(bars)), positions))


DAMAGED = with_price(TRUE, 7, 50_001.0)
DAMAGED_ELSEWHERE = with_price(TRUE, 21, 49_000.0)
STRAY = moved(TRUE, 5, int(TRUE.time[-1]) + 86_400 * 1_000)
IMPOSSIBLE = with_price(TRUE, 7, 1.0, row=1)  # its high is below all others


@pytest.mark.parametrize(
    ("in_csv", "in_sqlite", "recorded", "file", "evidence", "expected"),
    [
        (TRUE, TRUE, DIGEST, RECORDED, Evidence.SAME, TRUE),
        (TRUE, TRUE, 0, NEWER, Evidence.SAME, TRUE),
        (NONE, NONE, None, RECORDED, Evidence.ONLY_CSV, NONE),
        (TRUE, NONE, DIGEST, RECORDED, Evidence.ONLY_CSV, TRUE),
        (NONE, TRUE, DIGEST, NEWER, Evidence.ONLY_SQLITE, TRUE),
        # The file is the recorded one: one of the two was damaged, and the digest says which.
        (DAMAGED, TRUE, DIGEST, RECORDED, Evidence.DIGEST_OF_SQLITE, TRUE),
        (TRUE, DAMAGED, DIGEST, RECORDED, Evidence.DIGEST_OF_CSV, TRUE),
        (without(TRUE, 3, 4), TRUE, DIGEST, RECORDED, Evidence.DIGEST_OF_SQLITE, TRUE),
        (TRUE, without(TRUE, 39), DIGEST, RECORDED, Evidence.DIGEST_OF_CSV, TRUE),
        (STRAY, TRUE, DIGEST, RECORDED, Evidence.DIGEST_OF_SQLITE, TRUE),
        (TRUE, STRAY, DIGEST, RECORDED, Evidence.DIGEST_OF_CSV, TRUE),
        # Both were, in different places.
        (DAMAGED, DAMAGED_ELSEWHERE, DIGEST, RECORDED, Evidence.DIGEST_OF_BOTH, TRUE),
        (without(TRUE, 2), DAMAGED, DIGEST, RECORDED, Evidence.DIGEST_OF_BOTH, TRUE),
        (STRAY, without(TRUE, 9), DIGEST, RECORDED, Evidence.DIGEST_OF_BOTH, TRUE),
        # The file is another than the recorded one: it has moved on, unless it holds just what was recorded.
        (DAMAGED, TRUE, DIGEST, NEWER, Evidence.CSV_NEWER, DAMAGED),
        (LONGER, TRUE, DIGEST, NEWER, Evidence.CSV_NEWER, LONGER),
        (without(TRUE, 2), TRUE, DIGEST, NEWER, Evidence.CSV_NEWER, TRUE),
        (TRUE, DAMAGED, DIGEST, NEWER, Evidence.DIGEST_OF_CSV, TRUE),
        (TRUE, STRAY, DIGEST, NEWER, Evidence.DIGEST_OF_CSV, TRUE),
        (IMPOSSIBLE, TRUE, DIGEST, NEWER, Evidence.CSV_NEWER, IMPOSSIBLE),
        # It was put back from an older copy.
        (DAMAGED, TRUE, DIGEST, OLDER, Evidence.SQLITE_NEWER, TRUE),
        (without(TRUE, 38, 39), TRUE, DIGEST, OLDER, Evidence.SQLITE_NEWER, TRUE),
        (LONGER, TRUE, DIGEST, OLDER, Evidence.SQLITE_NEWER, LONGER),
        # Nothing tells.
        (DAMAGED, TRUE, None, RECORDED, Evidence.UNRECORDED, DAMAGED),
        (IMPOSSIBLE, TRUE, None, RECORDED, Evidence.UNRECORDED, IMPOSSIBLE),
        (DAMAGED, TRUE, 1, RECORDED, Evidence.NOTHING, DAMAGED),
        (IMPOSSIBLE, TRUE, 1, RECORDED, Evidence.NOTHING, TRUE),
        (TRUE, IMPOSSIBLE, 1, RECORDED, Evidence.NOTHING, TRUE),
        (STRAY, TRUE, 1, RECORDED, Evidence.NOTHING, TRUE.merge(STRAY)),
    ],
)
def test_the_right_side_is_chosen(
    in_csv: Bars, in_sqlite: Bars, recorded: int | None, file: FileAge, evidence: Evidence, expected: Bars
) -> None:
    resolution = resolve(in_csv, in_sqlite, recorded, file)
    assert resolution.evidence is evidence
    assert resolution.bars.equals(expected)


def test_of_impossible_bars_a_possible_one_is_taken_when_asked_for() -> None:
    assert resolve(IMPOSSIBLE, TRUE, DIGEST, NEWER, prefer_possible=True).bars.equals(TRUE)
    assert resolve(IMPOSSIBLE, IMPOSSIBLE, DIGEST, NEWER, prefer_possible=True).bars.equals(IMPOSSIBLE)


@pytest.mark.parametrize(
    ("in_csv", "in_sqlite", "refused"),
    [(STRAY, TRUE, 1), (TRUE, STRAY, 1), (STRAY, without(TRUE, 9), 1), (DAMAGED, TRUE, 0), (without(TRUE, 3), TRUE, 0)],
)
def test_only_what_was_never_stored_is_refused(in_csv: Bars, in_sqlite: Bars, refused: int) -> None:
    resolution = resolve(in_csv, in_sqlite, DIGEST, RECORDED)
    assert len(resolution.refused) == refused
    assert set(resolution.refused.time.tolist()) <= {int(STRAY.time[-1])}


def has_lost(resolution: Resolution, in_csv: Bars, in_sqlite: Bars) -> bool:
    kept = {*resolution.bars.time.tolist(), *resolution.refused.time.tolist()}
    return not {*in_csv.time.tolist(), *in_sqlite.time.tolist()} <= kept


Flip = tuple[int, int, int]
"""Position of the bar, column, bit."""

bit_flips = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 5), st.integers(0, 63)), max_size=12)


def flipped(bars: Bars, flips: list[Flip]) -> Bars:
    """Bits of times, prices and volumes turned over."""
    time, prices, volume = bars.time.copy(), bars.prices.copy(), bars.volume.copy()
    columns = [time.view(np.uint64), *(row.view(np.uint64) for row in prices), volume.view(np.uint64)]
    for position, column, bit in flips:
        columns[column][position] ^= np.uint64(1 << bit)
    return bars.take(slice(0)).merge(replace(bars, time=time, prices=prices, volume=volume))


@settings(max_examples=60, deadline=None)
@given(bit_flips, bit_flips, st.sampled_from(FileAge), st.sampled_from([None, DIGEST, 1]))
def test_no_bar_of_either_side_is_ever_dropped_silently(
    csv_flips: list[Flip],
    sqlite_flips: list[Flip],
    file: FileAge,
    recorded: int | None,
) -> None:
    in_csv, in_sqlite = flipped(TRUE, csv_flips), flipped(TRUE, sqlite_flips)
    assert not has_lost(resolve(in_csv, in_sqlite, recorded, file), in_csv, in_sqlite)


@settings(max_examples=60, deadline=None)
@given(bit_flips, bit_flips)
def test_damage_of_both_sides_in_different_places_is_undone(csv_flips: list[Flip], sqlite_flips: list[Flip]) -> None:
    """Up to sixteen times at which the two differ."""
    taken = {position for position, _, _ in csv_flips}
    in_csv = flipped(TRUE, csv_flips[:4])
    in_sqlite = flipped(TRUE, [flip for flip in sqlite_flips if flip[0] not in taken][:4])
    if is_clash(in_csv) or is_clash(in_sqlite):
        return
    assert resolve(in_csv, in_sqlite, DIGEST, RECORDED).bars.equals(TRUE)


def is_clash(bars: Bars) -> bool:
    """Whether a moved bar has taken the place of another."""
    return len(bars) < len(TRUE)


def test_past_sixteen_differing_bars_nothing_tells() -> None:
    """2^17 ways to resolve are more than a repair should try for each series."""
    in_csv, in_sqlite = TRUE, TRUE
    for position in range(8):
        in_csv = with_price(in_csv, position, 50_001.0)
        in_sqlite = with_price(in_sqlite, 39 - position, 50_001.0)
    assert resolve(in_csv, in_sqlite, DIGEST, RECORDED).evidence is Evidence.DIGEST_OF_BOTH
    in_csv = with_price(in_csv, 20, 50_001.0)
    assert resolve(in_csv, in_sqlite, DIGEST, RECORDED).evidence is Evidence.NOTHING


@pytest.mark.parametrize(
    ("change", "impossible"),
    [
        (lambda bars: bars, 0),
        (lambda bars: with_price(bars, 3, 0.0, row=0), 1),
        (lambda bars: with_price(bars, 3, 1e9, row=0), 1),
        (lambda bars: with_price(bars, 3, 1.0, row=1), 1),
        (lambda bars: with_price(bars, 3, 1e9, row=2), 1),
        (lambda bars: with_price(bars, 3, 1.0, row=3), 1),
        (lambda bars: with_price(bars, 3, float("nan"), row=3), 1),
        (lambda bars: replace(bars, volume=-bars.volume), 40),
        (lambda bars: replace(bars, volume=bars.volume * 0), 0),
    ],
)
def test_what_no_trading_can_have_made(change: Callable[[Bars], Bars], impossible: int) -> None:
    assert is_impossible(change(TRUE)).sum() == impossible


def test_differences_are_counted_by_kind() -> None:
    assert Difference.between(TRUE, TRUE).total == 0
    assert Difference.between(without(DAMAGED, 1, 2), without(TRUE, 30)) == Difference(1, 2, 1)
