"""Deadline and row budget of one request."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from stockapi.errors import AbandonedError, DeadlineError, TooManyRowsError
from stockapi.models.limits import Limits


class Clock:
    """Stands still unless it is put forward."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits.begin(2_000, 10, clock)


def test_the_deadline_is_so_long_after_the_beginning(limits: Limits, clock: Clock) -> None:
    assert (limits.deadline, limits.seconds_left) == (102.0, 2.0)
    clock.now = 101.5
    assert (limits.deadline, limits.seconds_left) == (102.0, 0.5)
    clock.now = 103.0
    assert limits.seconds_left == 0.0


@pytest.mark.parametrize(("now", "is_over"), [(100.0, False), (102.0, False), (102.001, True)])
def test_work_is_stopped_after_the_deadline(limits: Limits, clock: Clock, now: float, is_over: bool) -> None:
    clock.now = now
    if is_over:
        with pytest.raises(DeadlineError, match=r"^sorting was stopped at the deadline$"):
            limits.check("sorting")
    else:
        limits.check("sorting")


def test_items_that_come_in_time_are_given_and_no_later_ones_are_made(limits: Limits, clock: Clock) -> None:
    made, given = [], []

    def slow() -> Iterator[int]:
        for number in range(10):
            clock.now += 0.7
            made.append(number)
            yield number

    with pytest.raises(DeadlineError, match="making was stopped at the deadline"):
        given.extend(limits.within(slow(), "making"))
    assert given == [0, 1]
    assert made == [0, 1, 2]


def test_work_that_nobody_waits_for_is_stopped(clock: Clock) -> None:
    looks = iter([False, False, True, True])
    limits = replace(Limits.begin(2_000, 10, clock), has_gone=lambda: next(looks))
    given: list[int] = []
    with pytest.raises(AbandonedError, match=r"^making was stopped: the client has gone$"):
        given.extend(limits.within(range(10), "making"))
    assert given == [0, 1]
    with pytest.raises(AbandonedError, match=r"^sorting was stopped: the client has gone$"):
        limits.check("sorting")


def test_all_items_are_given_when_there_is_time(limits: Limits) -> None:
    assert list(limits.within(range(5), "counting")) == [0, 1, 2, 3, 4]


def test_the_rows_are_those_of_all_queries_of_the_request(limits: Limits) -> None:
    limits.row_budget.spend(6)
    limits.row_budget.require(4)
    with pytest.raises(TooManyRowsError, match="more than 10 rows"):
        limits.row_budget.spend(5)
    limits.row_budget.spend(4)
