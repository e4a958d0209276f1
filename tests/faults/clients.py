"""Clients that ask at random, and compare every answer with the market to the last digit."""

import csv
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any

from stockapi.models import Interval
from stockapi.models.interval import AggregatedInterval, AnyInterval
from tests.faults.market import Row, Series, Truth, unchanging, versions_of
from tests.faults.outcome import Outcome

TIMEOUT_S = 15.0
PAUSE_S = 0.004
MOST_EXAMPLES = 5
FROM_CSV = 0.3
LIMITS = (1, 12, 60, 300)
AS_CSV = 0.2
"""The share of answers that are asked for as CSV, not as JSON."""
_TEXTS = ("time", "symbol")


Times = dict[Series, list[tuple[int, float]]]
"""Versions, and the `time.monotonic()` at which each was acknowledged, in this order."""


@dataclass(frozen=True, slots=True)
class Question:
    """The newest `limit` bars of some series of one interval; `from_csv` asks for CSV and not SQLite.

    `start`, `end`: Unix seconds; with a start there is no limit. `names_none`: the answer has all tickers there are, of
    which `tickers` are those known here. `as_csv`: the form of the answer.
    """

    tickers: Sequence[str]
    interval: AnyInterval
    limit: int | None
    from_csv: bool
    start: int | None = None
    end: int | None = None
    names_none: bool = False
    as_csv: bool = False

    @property
    def path(self) -> str:
        chosen = {
            "symbol": None if self.names_none else ",".join(self.tickers),
            "interval": self.interval.value,
            "limit": self.limit,
            "start_date": None if self.start is None else _text_of(self.start),
            "end_date": None if self.end is None else _text_of(self.end),
            "format": "csv" if self.as_csv else None,
            "cache": "false" if self.from_csv else None,
        }
        return "/tickers?" + "&".join(f"{name}={value}" for name, value in chosen.items() if value is not None)

    def versions(self, ticker: str, rows: Sequence[Row]) -> Sequence[int]:
        """Of which the answer may be."""
        # What lies in such a window is the same in all of them.
        return (0,) if self.end is not None else versions_of(ticker, self.interval, _seconds(rows[-1]))

    def parsed(self, body: bytes) -> dict[str, list[Row]]:
        """The bars by ticker, as of the JSON answer."""
        if not self.as_csv:
            return dict(json.loads(body))
        answer: dict[str, list[Row]] = {}
        for cells in csv.DictReader(body.decode().splitlines()):
            values = {name: text if name in _TEXTS else float(text) for name, text in cells.items() if text}
            answer.setdefault(cells["symbol"], []).append(values)
        return answer


def any_question(
    dice: random.Random, series: Sequence[Series], floor: Mapping[Series, int], from_csv: float
) -> Question:
    """Of stored bars half of the time; else of aggregated ones, of a window, or of every ticker."""
    tickers = sorted({ticker for ticker, _ in series})
    chosen = tickers if dice.random() < 0.25 else [dice.choice(tickers)]
    interval, limit = dice.choice(list(Interval)), dice.choice(LIMITS)
    forms = (dice.random() < from_csv, dice.random() < AS_CSV)
    first, last = unchanging(chosen[0], interval)
    match dice.choice(("newest",) * 4 + ("aggregated", "open", "closed", "all")):
        case "aggregated":
            asked = Question(chosen, dice.choice(list(AggregatedInterval)), limit, forms[0])
        case "open":
            newest = last + floor.get((chosen[0], interval), 0) * interval.seconds
            asked = Question(chosen, interval, None, forms[0], start=newest - dice.randrange(60) * interval.seconds)
        case "closed":
            start, end = sorted(
                first + dice.randrange((last - first) // interval.seconds) * interval.seconds for _ in "12"
            )
            asked = Question(chosen, interval, None, forms[0], start=start, end=end)
        case "all":
            asked = Question(tickers, interval, 1, forms[0], names_none=True)
        case _:
            asked = Question(chosen, interval, limit, forms[0])
    return replace(asked, as_csv=forms[1])


class Clients:
    """A few threads, each with a connection that stays open. They run from `start` to `stop`.

    `floor`: per series the newest version acknowledged in either store, which is looked up before each question.
    `times`: per series the versions acknowledged until now, and when.
    `from_csv`: the share of questions that ask for CSV.
    """

    from_csv = FROM_CSV

    def __init__(
        self, port: int, series: Sequence[Series], floor: Mapping[Series, int], threads: int, times: Times | None = None
    ) -> None:
        self._port, self._series, self._floor, self._count = port, series, floor, threads
        self._times: Times = {} if times is None else times
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._outcome = Outcome("clients")
        self._truth = Truth()
        self._numbers = itertools.count()

    def start(self) -> None:
        self._stop.clear()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(self._count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def report(self, outcome: Outcome) -> None:
        """Add what they have seen since the last report."""
        with self._lock:
            seen, self._outcome = self._outcome, Outcome("clients")
        outcome.answers += seen.answers
        outcome.wrong += seen.wrong
        if seen.oldest_s is not None:
            outcome.old += seen.old
            outcome.oldest_s = max(outcome.oldest_s or 0.0, seen.oldest_s)
        outcome.statuses += seen.statuses
        outcome.sources += seen.sources
        outcome.examples += seen.examples

    def newest_bar(self, ticker: str, interval: Interval, limit: int = 1) -> tuple[str, int] | None:
        """Source and time of the newest bar of an answer, or None when there is none; not counted as an answer."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        status, source, body = get(connection, Question([ticker], interval, limit, False).path)
        connection.close()
        rows = json.loads(body).get(ticker) if status == 200 else None
        return (source, _seconds(rows[-1])) if rows else None

    def ask(self, question: Question, connection: HTTPConnection) -> int:
        """One question, its answer checked and counted. :returns: the status, 0 for no answer."""
        floors = {ticker: self._floor.get((ticker, question.interval.base), -1) for ticker in question.tickers}
        asked_at = time.monotonic()
        status, source, body = get(connection, question.path)
        problem, old = self._judge(question, floors, body) if status == 200 else (None, {})
        ages = [asked_at - self._newer_since((ticker, question.interval.base), old[ticker]) for ticker in old]
        with self._lock:
            self._outcome.answers += 1
            self._outcome.statuses += Counter([status])
            self._outcome.sources += Counter([source] if source else [])
            self._outcome.answered_with(max(ages, default=0.0))
            if old:
                self._outcome.examples += [f"{question.path} from {source}: {old} for {floors}"][: self._room()]
            if problem is not None:
                self._outcome.wrong += 1
                self._outcome.examples += [f"{question.path} from {source}: {problem}"][: self._room()]
        return status

    def _room(self) -> int:
        return MOST_EXAMPLES - len(self._outcome.examples)

    def _ask_on(self) -> None:
        dice = random.Random(next(self._numbers))
        connection = HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        while not self._stop.is_set():
            self.ask(any_question(dice, self._series, self._floor, self.from_csv), connection)
            time.sleep(PAUSE_S)
        connection.close()

    def _newer_since(self, series: Series, version: int) -> float:
        """When a newer version was acknowledged first. Now, if that is not known."""
        return next((at for newer, at in list(self._times.get(series, [])) if newer > version), time.monotonic())

    def _judge(self, question: Question, floors: Mapping[str, int], body: bytes) -> tuple[str | None, dict[str, int]]:
        """What is wrong with the answer, if anything, and the versions in it that are older than acknowledged ones."""
        answer = question.parsed(body)
        if not (set(answer) >= set(question.tickers) if question.names_none else set(answer) == set(question.tickers)):
            return f"has {sorted(answer)} for {sorted(question.tickers)}", {}
        old = {}
        for ticker in question.tickers:
            rows, expected, version = answer[ticker], [], -1
            for version in reversed(question.versions(ticker, answer[ticker])):
                expected = self._truth.rows(
                    ticker, question.interval, version, question.limit, question.start, question.end
                )
                if rows == expected:
                    break
            else:
                return f"{ticker} is not as in version {version}: {_difference(rows, expected)}", {}
            if question.end is None and version < floors[ticker]:
                old[ticker] = version
        return None, old


def get(connection: HTTPConnection, path: str) -> tuple[int, str, bytes]:
    """Status, source and body; 0 when there was no whole answer."""
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers.get("X-Data-Source", ""), response.read()
    except (OSError, HTTPException):
        connection.close()
        return 0, "", b""


def _seconds(row: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(row["time"]).replace(tzinfo=UTC).timestamp())


def _text_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _difference(rows: list[Row], expected: list[Row]) -> str:
    if len(rows) != len(expected):
        return f"{len(rows)} bars for {len(expected)}"
    got, wanted = next((got, wanted) for got, wanted in zip(rows, expected, strict=True) if got != wanted)
    differing = [name for name in wanted if got.get(name) != wanted[name]]
    return f"{', '.join(f'{name} {got.get(name)} for {wanted[name]}' for name in differing[:3])} at {wanted['time']}"
