"""The rounds of load: every server gets the same requests in turn, so that a noisy machine disturbs all alike."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from tests.bench import servers
from tests.bench.load import Load, load, load_whole
from tests.bench.questions import ALL, Question
from tests.bench.servers import Server

CONNECTIONS: Final = (1, 8, 32)
USUAL: Final = 8
"""Connections at which the others are measured."""

Key = tuple[str, str, int]
"""Question, server, connections."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often; a heavy request is sent `heavy_count` times, and at `heavy_connections` only."""

    rounds: int
    light_s: int
    heavy_count: int
    heavy_connections: tuple[int, ...] = CONNECTIONS

    def connections(self, question: Question) -> tuple[int, ...]:
        return self.heavy_connections if question.is_heavy else CONNECTIONS

    def load(self, question: Question, url: str, connections: int, headers: Mapping[str, str]) -> Load:
        if question.is_heavy:
            return load_whole(url, connections, max(connections, min(self.heavy_count, 4 * connections)))
        # One answer of all tickers takes another server more than a second, at eight at once.
        return load(url, connections, self.light_s * (3 if question.symbol is None else 1), headers)


@dataclass(slots=True)
class Results:
    """Every load of every round, the size of each answer, and what each server took: memory at its highest."""

    loads: dict[Key, list[Load]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[str, int] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    start_seconds: dict[str, float] = field(default_factory=dict)

    def rate(self, question: Question, server: str, connections: int = USUAL) -> float:
        """Answers a second; NaN where it was not measured. Here and below: the median of the rounds."""
        return self._median([each.per_second for each in self._of(question, server, connections)])

    def p50_ms(self, question: Question, server: str, connections: int = USUAL) -> float:
        return self._median([each.p50_ms for each in self._of(question, server, connections)])

    def p99_ms(self, question: Question, server: str, connections: int = USUAL) -> float:
        return self._median([each.p99_ms for each in self._of(question, server, connections)])

    def ratio(self, question: Question, server: str, other: str) -> float:
        """How many times as much as the other the server answers: the median of the ratios of the rounds."""
        pairs = zip(self._of(question, server, USUAL), self._of(question, other, USUAL), strict=False)
        return self._median([mine.per_second / its.per_second for mine, its in pairs if its.per_second])

    def p99_ratio(self, question: Question, connections: int = USUAL) -> float:
        """While a worker writes against idle."""
        pairs = zip(self._of(question, "writing", connections), self._of(question, "product", connections), strict=True)
        return self._median([busy.p99_ms / idle.p99_ms for busy, idle in pairs if idle.p99_ms])

    def errors(self, question: Question) -> int:
        return sum(each.errors for (name, _, _), loads in self.loads.items() for each in loads if name == question.name)

    def _of(self, question: Question, server: str, connections: int) -> list[Load]:
        return self.loads.get((question.name, server, connections), [])

    @staticmethod
    def _median(values: list[float]) -> float:
        return statistics.median(values) if values else float("nan")


def compare(directory: Path, others_python: Path, effort: Effort) -> Results:
    """All rounds, and once more what this server takes as it is by default."""
    results = Results()
    with (
        servers.product(directory) as product,
        servers.limit(directory, [question.url for question in ALL]) as limit,
        servers.pandas(directory, others_python) as pandas,
        servers.datasette(directory, others_python) as datasette,
    ):
        running = {"product": product, "limit": limit, "pandas": pandas, "datasette": datasette}
        results.start_seconds |= {name: server.start_seconds for name, server in running.items()}
        headers = {question.name: _check(question, product.url, results) for question in ALL}
        for number in range(1, effort.rounds + 1):
            for question in ALL:
                _progress(f"round {number} of {effort.rounds}: {question.name}")
                for name, server, url, connections in _asked(question, running, effort):
                    _ask(question, name, server, url, connections, headers[question.name], effort, results)
            with servers.writer(directory):
                for question in ALL:
                    _progress(f"round {number} of {effort.rounds}, writing: {question.name}")
                    for connections in effort.connections(question):
                        url = question.url
                        _ask(question, "writing", product, url, connections, headers[question.name], effort, results)
    _progress("memory by default")
    results.memory_mib["default"] = _default_memory_mib(directory, headers, effort)
    return results


def _asked(question: Question, running: Mapping[str, Server], effort: Effort) -> Iterator[tuple[str, Server, str, int]]:
    """Which server is asked, under which name, with what, at how many connections."""
    product = running["product"]
    for connections in effort.connections(question):
        yield "product", product, question.url, connections
    if not question.conditional:
        yield "limit", running["limit"], f"/limit/{ALL.index(question)}", USUAL
    if question.csv_url is not None:
        yield "csv", product, question.csv_url, USUAL
    if question.pandas_url is not None:
        yield "pandas", running["pandas"], question.pandas_url, USUAL
    if question.datasette_url is not None:
        yield "datasette", running["datasette"], question.datasette_url, USUAL


def _ask(
    question: Question,
    name: str,
    server: Server,
    path: str,
    connections: int,
    headers: Mapping[str, str],
    effort: Effort,
    results: Results,
) -> None:
    server.settle()
    with server.watched() as memory_mib:
        measured = effort.load(question, server.url + path, connections, headers)
    results.loads[question.name, name, connections].append(measured)
    results.memory_mib[name] = max(results.memory_mib[name], *memory_mib)


def _default_memory_mib(directory: Path, headers: Mapping[str, Mapping[str, str]], effort: Effort) -> float:
    """The highest, at the usual connections, of a server that refuses what is too much at once."""
    highest = 0.0
    with servers.product(directory, refuses=True) as server:
        for question in ALL:
            with server.watched() as memory_mib:
                effort.load(question, server.url + question.url, USUAL, headers[question.name])
            highest = max(highest, *memory_mib)
            server.settle()
    return highest


def _check(question: Question, url: str, results: Results) -> Mapping[str, str]:
    """That the request works; the headers to send it with."""
    answer = requests.get(url + question.url, headers={"Accept-Encoding": "identity"}, timeout=120)
    if answer.status_code != 200 or len(answer.content) < 200:
        sys.exit(f"bench: {question.url}: {answer.status_code} {answer.text[:200]}")
    if not question.conditional:
        results.sizes[question.name] = len(answer.content)
        return {}
    headers = {"If-None-Match": answer.headers["ETag"]}
    again = requests.get(url + question.url, headers={**headers, "Accept-Encoding": "identity"}, timeout=120)
    if again.status_code != 304:
        sys.exit(f"bench: {question.url}: {again.status_code} in place of 304")
    results.sizes[question.name] = 0
    return headers


def _progress(text: str) -> None:
    sys.stderr.write(f"{text}\n")
