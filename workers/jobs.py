"""The jobs of the workers, made from the schedules of the markets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from stockapi.markets import market_of
from stockapi.markets.market import Schedule
from stockapi.models.mode import Mode
from stockapi.providers.base import Provider
from workers.loop import Job


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
