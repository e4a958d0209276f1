"""The jobs of the workers, made from the schedules of the markets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from stockapi.markets import market_of
from stockapi.markets.market import Schedule
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Job:
    """Series of one market that are brought up to date together.

    `worker`: the name in its reports. `tickers`: called at every cycle, so new listings need no restart.
    `due_every_s`: the seconds from the start of one cycle to the start of the next; they may depend on the time of day.
    """

    worker: str
    mode: Mode
    intervals: tuple[Interval, ...]
    tickers: Callable[[Provider], Sequence[str]]
    due_every_s: Callable[[datetime], int]


def _job(mode: Mode, schedule: Schedule) -> Job:
    market = market_of(mode)

    def tickers(provider: Provider) -> list[str]:
        return market.choose(schedule.tickers, provider.tickers())

    def due_every_s(now: datetime) -> int:
        return schedule.every_s if market.calendar.is_trading_hours(now) else schedule.every_s_when_closed

    return Job(schedule.worker, mode, schedule.intervals, tickers, due_every_s)


THREADS: Final[Mapping[str, Sequence[Job]]] = {
    name: tuple(_job(mode, schedule) for schedule in schedules)
    for mode in Mode
    for name, schedules in market_of(mode).threads.items()
}
"""The threads that run at the same time. A thread runs its jobs one after the other; all are of one market."""
