"""Requests within a minute: exact among threads and processes, whoever is killed, whatever the clock does."""

import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stockapi.api.server import request_counts
from stockapi.api.server.request_counts import WINDOW_NS, RequestCounts, share

SECOND = 1_000_000_000


@pytest.fixture
def counts() -> RequestCounts:
    return RequestCounts()


def allowed(counts: RequestCounts, client: bytes, limit: int, *nows: int) -> list[bool]:
    return [not counts.take(client, limit, now).is_exceeded for now in nows]


def test_a_window_begins_with_the_first_request_and_lasts_a_minute(counts: RequestCounts) -> None:
    begin = 7 * SECOND + 5
    asked = (begin, begin + 1, begin + WINDOW_NS - 1, begin + WINDOW_NS, begin + WINDOW_NS + 1, begin + 2 * WINDOW_NS)
    assert allowed(counts, b"a", 2, *asked) == [True, True, False, True, True, True]


def test_what_is_left_and_until_when(counts: RequestCounts) -> None:
    seen = [counts.take(b"a", 2, now * SECOND) for now in (100, 110, 130, 159)]
    assert [tuple(each) for each in seen] == [
        (1, 60 * SECOND, False),
        (0, 50 * SECOND, False),
        (0, 30 * SECOND, True),
        (0, 1 * SECOND, True),
    ]


def test_clients_are_counted_apart(counts: RequestCounts) -> None:
    clients = [str(number).encode() for number in range(1_000)]
    for expected in (False, False, True):
        assert {counts.take(client, 2, SECOND).is_exceeded for client in clients} == {expected}


@pytest.mark.parametrize(("before", "after", "expected"), [(5, 2, False), (2, 5, True), (3, 3, False)])
def test_another_limit_counts_at_once(counts: RequestCounts, before: int, after: int, expected: bool) -> None:
    allowed(counts, b"a", before, *[SECOND] * 4)
    assert allowed(counts, b"a", after, SECOND) == [expected]


def test_many_others_do_not_push_out_who_has_asked_most(counts: RequestCounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine clients and more in each place: the ones with one request forget each other."""
    monkeypatch.setattr(request_counts, "_SETS", 4)
    allowed(counts, b"busy", 10, *[SECOND] * 10)
    for number in range(1_000):
        counts.take(str(number).encode(), 10, SECOND)
    assert allowed(counts, b"busy", 10, SECOND) == [False]


def test_threads_lose_no_count(counts: RequestCounts) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: counts.take(b"a", 200, SECOND).is_exceeded, range(400)))
    assert answers.count(False) == 200


def in_child(work: Callable[[], int]) -> int:
    """The process number of a fork that does the work, and ends with what it returns."""
    pid = os.fork()
    if not pid:
        try:
            os._exit(work())
        finally:
            os._exit(255)
    return pid


def status_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_processes_lose_no_count(counts: RequestCounts) -> None:
    def ask() -> int:
        return sum(allowed(counts, b"a", 300, *[SECOND] * 200))

    assert sum(map(status_of, [in_child(ask) for _ in range(4)])) == 300


def hold(counts: RequestCounts, ready: int) -> int:
    with counts._locked(0):
        os.write(ready, b".")
        time.sleep(60)
    return 0


def test_the_lock_of_a_killed_process_is_free(counts: RequestCounts) -> None:
    read, write = os.pipe()
    pid = in_child(lambda: hold(counts, write))
    os.read(read, 1)
    entered = threading.Event()

    def enter() -> None:
        with counts._locked(0):
            entered.set()

    threading.Thread(target=enter, daemon=True).start()
    assert not entered.wait(0.1), "the lock holds others off"
    os.kill(pid, signal.SIGKILL)
    assert entered.wait(10)
    assert status_of(pid) == -signal.SIGKILL
    os.close(read)
    os.close(write)


def killed_at(counts: RequestCounts, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is killed after so many writes of an entry, while it makes a slot for a new client."""

    class Struct:
        left = writes

        def pack_into(self, *arguments: object) -> None:
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            Struct.left -= 1
            struct.Struct("=QQ").pack_into(*arguments)  # type: ignore[arg-type]

    def ask() -> int:
        monkeypatch.setattr(request_counts, "_ENTRY", Struct())
        counts.take(b"new", 5, SECOND)
        return 0

    assert status_of(in_child(ask)) == -signal.SIGKILL


@pytest.mark.parametrize("writes", [0, 1])
def test_whoever_is_killed_while_it_counts_leaves_no_count_to_another(
    counts: RequestCounts, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_counts, "_SETS", 1)
    clients = [str(number).encode() for number in range(8)]
    for client in clients:
        allowed(counts, client, 5, *[SECOND] * 4)
    killed_at(counts, writes, monkeypatch)
    assert counts.take(b"new", 5, SECOND).left == 4
    assert [counts.take(client, 5, SECOND).left for client in clients[1:]] == [0] * 7


def test_the_counts_of_a_server_outlive_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_counts, "_shared", [])
    assert request_counts.request_counts() is not request_counts.request_counts()
    share()
    first = request_counts.request_counts()
    share()
    assert request_counts.request_counts() is first
