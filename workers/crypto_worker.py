"""Coins: a few at once in all intervals, the rest interval by interval and seldom. Their market never closes."""

from collections.abc import Callable
from datetime import datetime

from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.base import Provider
from workers.loop import Job

PRIORITY = ("BTC", "ETH", "XRP")
PRIORITY_EVERY_S = 15 * 60
EVERY_S = {Interval.DAILY: 60 * 60, Interval.HOURLY: 3 * 60 * 60, Interval.MINUTE: 6 * 60 * 60}


def _priority(provider: Provider) -> list[str]:
    return [ticker for ticker in provider.tickers() if ticker in PRIORITY]


def _rest(provider: Provider) -> list[str]:
    return [ticker for ticker in provider.tickers() if ticker not in PRIORITY]


def _always(seconds: int) -> Callable[[datetime], int]:
    return lambda _now: seconds


CRYPTO = (
    Job("crypto_priority", Mode.CRYPTO, tuple(Interval), _priority, _always(PRIORITY_EVERY_S)),
    *(
        Job(f"crypto_{interval.label}", Mode.CRYPTO, (interval,), _rest, _always(seconds))
        for interval, seconds in EVERY_S.items()
    ),
)
