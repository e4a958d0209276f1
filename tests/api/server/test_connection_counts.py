"""New connections go to the process that has the fewest."""

import os
import re
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from stockapi.api.server.connection_counts import ConnectionCounts
from tests.support.server import Server, running_server
from tests.support.stores import environment

AT_ONCE = 8
TRIES = 6


def test_the_fewest_of_those_that_are_there() -> None:
    counts = ConnectionCounts()
    assert counts.lowest() == 0
    counts.publish(1, 5)
    counts.publish(2, 3)
    assert counts.lowest() == 3
    counts.publish(2, 9)
    assert counts.lowest() == 5
    counts.forget(1)
    assert counts.lowest() == 9


def test_another_process_sees_them() -> None:
    counts = ConnectionCounts()
    child = os.fork()
    if not child:
        counts.publish(7, 4)
        os._exit(0)
    os.waitpid(child, 0)
    assert counts.lowest() == 4


def workers_of(server: Server) -> list[int]:
    booted = map(int, re.findall(r"Booting worker with pid: (\d+)", server.log))
    return [pid for pid in booted if Path(f"/proc/{pid}").exists()]


def sockets_of(pid: int) -> int:
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            count += str(each.readlink()).startswith("socket:")
    return count


def shares(server: Server) -> list[int]:
    """So many of the connections opened at once each process has."""
    workers = workers_of(server)
    before = [sockets_of(pid) for pid in workers]
    with ExitStack() as opened:
        connections = [opened.enter_context(server.connect()) for _ in range(AT_ONCE)]
        for connection in connections:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        for connection in connections:
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        after = [sockets_of(pid) for pid in workers]
    deadline = time.monotonic() + 10
    while [sockets_of(pid) for pid in workers] != before and time.monotonic() < deadline:
        time.sleep(0.01)
    return [now - then for now, then in zip(after, before, strict=True)]


def assert_spread(server: Server) -> None:
    """By the median of some tries, once both processes have loaded the application."""
    deadline = time.monotonic() + 30
    while (len(workers_of(server)) < 2 or min(shares(server)) == 0) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = [shares(server) for _ in range(TRIES)]
    assert all(sum(each) == AT_ONCE for each in found)
    assert sorted(map(min, found))[TRIES // 2] >= 2, found


@pytest.mark.long
def test_of_connections_opened_at_once_each_process_gets_its_part(tmp_path: Path) -> None:
    """Without the counts one process has 7 or 8 of 8 half of the time."""
    with running_server(tmp_path, environment(tmp_path, WEB_CONCURRENCY="2")) as server:
        assert_spread(server)
        killed = workers_of(server)[0]
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while (killed in (there := workers_of(server)) or len(there) < 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert_spread(server)
