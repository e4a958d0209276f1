"""A worker loop that runs through hours in no time: its clocks, and its waits."""

import threading
from datetime import datetime, timedelta

import pytest

from workers import loop
from workers.loop import WorkerLoop


class Clock:
    """A wall clock and a monotonic one that move when told to, or by what waiting takes."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.elapsed = 0.0

    def wall(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.elapsed

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.elapsed += seconds


def run_for(worker: WorkerLoop, clock: Clock, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loop run through so much time, each wait taking what it asks for."""
    end = clock.elapsed + seconds

    class Patient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            clock.pass_s(timeout or 0.0)
            if clock.elapsed >= end:
                self.set()
            return self.is_set()

    class Now(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def,override]
            return clock.now.astimezone().replace(tzinfo=None)

    monkeypatch.setattr(worker, "_stop", Patient())
    monkeypatch.setattr(loop.schedule.datetime, "datetime", Now)
    worker.run()
