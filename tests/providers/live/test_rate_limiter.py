"""The rate limiter: never more than its limit in any period, in turn, and no later than it must be."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.providers.live.rate_limiter import RateLimiter
from stockapi.providers.live.timing import Timing
from tests.fake_upstream import FakeTime


def turns(limiter: RateLimiter, clock: FakeTime, count: int) -> list[float]:
    """When each of so many acquisitions in a row ended, from the first moment on."""
    begun, ended = clock.now, []
    for _ in range(count):
        assert limiter.acquire()
        ended.append(clock.now - begun)
    return ended


def test_the_limit_goes_at_once_and_the_rest_a_period_after() -> None:
    clock = FakeTime(1_000)
    assert turns(RateLimiter(3, 60.0, clock.timing()), clock, 8) == [0, 0, 0, 60, 60, 60, 120, 120]


def test_the_window_slides() -> None:
    clock = FakeTime(0)
    limiter = RateLimiter(2, 60.0, clock.timing())
    assert turns(limiter, clock, 1) == [0]
    clock.now += 50
    # A window that began anew every 60 seconds would let all of these through by the 70th second.
    assert turns(limiter, clock, 4) == [0, 10, 60, 70]


def test_time_without_requests_saves_up_no_more_than_the_limit() -> None:
    clock = FakeTime(0)
    limiter = RateLimiter(2, 60.0, clock.timing())
    turns(limiter, clock, 2)
    clock.now += 10_000
    assert turns(limiter, clock, 3) == [0, 0, 60]


def test_a_pause_holds_everybody_and_a_shorter_one_does_not_end_it() -> None:
    clock = FakeTime(0)
    limiter = RateLimiter(10, 60.0, clock.timing())
    limiter.pause(30)
    limiter.pause(5)
    assert turns(limiter, clock, 2) == [30, 30]


def test_a_pause_that_begins_during_a_wait_prolongs_it() -> None:
    clock = FakeTime(0)

    def wait(seconds: float) -> bool:
        if clock.now == 0 and seconds == 60.0:
            limiter.pause(100)
        return clock.wait(seconds)

    limiter = RateLimiter(1, 60.0, Timing(wait=wait, monotonic_s=lambda: clock.now))
    # The turn at 60 is lost, and counts all the same: the next is a period later.
    assert turns(limiter, clock, 2) == [0, 120]


def test_who_asks_later_goes_later() -> None:
    clock = FakeTime(0)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        if seconds > 0:
            waits.append(seconds)
        if waits == [60.0]:
            limiter.acquire()  # somebody else asks while the first still waits
        return clock.wait(seconds)

    limiter = RateLimiter(1, 60.0, Timing(wait=wait, monotonic_s=lambda: clock.now))
    turns(limiter, clock, 2)
    assert waits == [60.0, 120.0]


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0, 0, 0, 7, 90])), min_size=1, max_size=40),
)
def test_any_period_holds_at_most_the_limit_and_no_turn_is_later_than_needed(
    limit: int, steps: list[tuple[int, int]]
) -> None:
    clock = FakeTime(0)
    limiter = RateLimiter(limit, 60.0, clock.timing())
    granted: list[float] = []
    paused_until = 0.0
    for passes, pause in steps:
        clock.now += passes
        if pause:
            limiter.pause(pause)
            paused_until = max(paused_until, clock.now + pause)
        asked = clock.now
        assert limiter.acquire()
        window_free = granted[-limit] + 60.0 if len(granted) >= limit else 0.0
        assert clock.now == max(asked, paused_until, window_free)
        granted.append(clock.now)
    for earlier, later in zip(granted, granted[limit:], strict=False):
        assert later - earlier >= 60.0


def test_a_stop_ends_the_wait_and_every_later_one() -> None:
    clock = FakeTime(0)
    limiter = RateLimiter(1, 60.0, clock.timing())
    assert limiter.acquire()
    clock.stopped = True
    assert not limiter.acquire()
    clock.now += 1_000
    assert not limiter.acquire()


def test_a_wait_in_another_thread_ends_at_once_when_the_process_is_to_stop() -> None:
    stop = threading.Event()
    limiter = RateLimiter(1, 3_600.0, Timing(wait=stop.wait))
    limiter.acquire()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(limiter.acquire) for _ in range(4)]
        time.sleep(0.02)
        assert not any(each.done() for each in waiting)
        begun = time.monotonic()
        stop.set()
        assert [each.result() for each in waiting] == [False] * 4
    assert time.monotonic() - begun < 1.0


def test_eight_threads_share_one_limit() -> None:
    limit, period_s, each = 10, 0.1, 5
    limiter = RateLimiter(limit, period_s, Timing(wait=threading.Event().wait))
    barrier = threading.Barrier(8)

    def work() -> list[float]:
        barrier.wait()
        granted = []
        for _ in range(each):
            limiter.acquire()
            granted.append(time.monotonic())
        return granted

    with ThreadPoolExecutor(8) as pool:
        granted = sorted(
            itertools.chain.from_iterable(future.result() for future in [pool.submit(work) for _ in "8" * 8])
        )
    # 40 turns, 10 at once: the last ones three periods after the first.
    assert granted[-1] - granted[0] >= 3 * period_s
    # A thread may wake up late, never early: the k-th turn in all is in its period or later.
    for number, moment in enumerate(granted):
        assert moment - granted[0] >= number // limit * period_s - 0.02, number


@pytest.mark.parametrize("limit", [1, 60, 1_200])
def test_the_limit_is_reached(limit: int) -> None:
    clock = FakeTime(0)
    assert turns(RateLimiter(limit, 60.0, clock.timing()), clock, 3 * limit)[-1] == 120
