"""A source that is down, slow or lying, and a stop in the middle of a download: `python -m workers`, as it is."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_store import CsvStore
from tests import faults
from tests.fake_upstream import FakeUpstream, Fault
from tests.faults.clients import Question, get
from tests.faults.outcome import Outcome
from tests.faults.rig import WEB, wait_until
from tests.support.server import Server, clean_environment, running_server
from tests.support.stores import Stores, environment

TICKERS = ("ACB", "VCB")
LISTED_DAYS_AGO = 20
TOLERANCE = 1e-4
"""A source rounds prices its own way."""

MAY_TAKE_S = 12.0
"""Process managers give a process ten seconds to end in; some more, for a busy machine."""

DOWN = (Fault.UNAVAILABLE, Fault.RESET, Fault.TOO_MANY_REQUESTS, Fault.FORBIDDEN)
SLOW = (Fault.SLOW, Fault.CUT_OFF)
LYING = (
    Fault.EMPTY,
    Fault.HALF_JSON,
    Fault.NULLS,
    Fault.NANS,
    Fault.STRINGS,
    Fault.DUPLICATES,
    Fault.DISORDER,
    Fault.OUTSIDE,
    Fault.LENGTHS,
    Fault.ALL_BAD,
)
KINDS = {"down": DOWN, "slow": SLOW, "lying": LYING}


@dataclass(frozen=True, slots=True)
class Chain:
    """A fake source, the directory that workers fill from it, and a web server."""

    directory: Path
    upstream: FakeUpstream
    server: Server
    variables: dict[str, str]

    def run_worker(self, **more: str) -> float:
        """All jobs once, with `more` in the environment. :returns: the seconds it took, whatever came of it."""
        started = time.monotonic()
        command = [sys.executable, "-m", "workers", "--once", "--only", "daily,hourly,minute"]
        environ = clean_environment(self.directory) | self.variables | more
        done = subprocess.run(
            command, cwd=self.directory, env=environ, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        return time.monotonic() - started

    def stored(self) -> dict[tuple[str, Interval], Bars]:
        csv_store = CsvStore(Settings.from_mapping(self.variables))
        return {
            (ticker, each): csv_store.read(SeriesKey(Mode.VN, ticker, each)).bars
            for ticker in TICKERS
            for each in Interval
        }

    def strangers(self, ticker: str, interval: Interval, bars: Bars) -> int:
        """How many bars the market has never shown; those of today, which may still be forming, are left out."""
        past = bars.between(None, int(time.time()) // SECONDS_PER_DAY * SECONDS_PER_DAY - 1)
        if not len(past):
            return 0
        shown = self.upstream.market.bars(Mode.VN, ticker, interval, int(past.time[0]), int(past.time[-1]))
        _, of_past, of_shown = np.intersect1d(past.time, shown.time, return_indices=True)
        is_same = np.isclose(past.prices[:, of_past], shown.prices[:, of_shown], rtol=TOLERANCE).all(axis=0)
        is_same &= past.volume[of_past] == shown.volume[of_shown]
        return len(past) - int(is_same.sum())


@contextmanager
def chain(directory: Path) -> Iterator[Chain]:
    """With everything downloaded once."""
    directory.mkdir(parents=True, exist_ok=True)
    groups = directory / "groups.json"
    groups.write_text(json.dumps({"BANKS": list(TICKERS)}))
    listed = (int(time.time()) // SECONDS_PER_DAY - LISTED_DAYS_AGO) * SECONDS_PER_DAY
    with FakeUpstream(tickers={Mode.VN: TICKERS, Mode.CRYPTO: ()}, listed=dict.fromkeys(TICKERS, listed)) as upstream:
        variables = environment(
            directory,
            TICKER_GROUPS_FILE=str(groups),
            VCI_REQUESTS_PER_MINUTE="100000",
            PROVIDER_READ_TIMEOUT_MS="20000",
            PROVIDER_RETRIES="0",
            LOG_LEVEL="error",
            **{name: value for name, value in upstream.variables().items() if name != "DATA_PROVIDER"},
        )
        variables["DATA_PROVIDER"] = "live"
        with running_server(directory, variables | WEB) as server:
            started = Chain(directory, upstream, server, variables)
            started.run_worker()
            assert all(map(len, started.stored().values()))
            yield started


def source(chain: Chain, kind: str, kinds: tuple[Fault, ...]) -> Outcome:
    """One run of the worker with each fault, and one without."""
    outcome = Outcome(f"source: {kind}")
    before = chain.stored()
    with _reader(chain, outcome):
        for fault in kinds:
            chain.upstream.fail(fault, times=None, seconds=2.0, retry_after="1" if fault in DOWN else None)
            chain.run_worker(PROVIDER_READ_TIMEOUT_MS="400")
            outcome.injected += 1
            chain.upstream.repair()
        outcome.repaired_in(chain.run_worker())
    return _checked(chain, before, outcome)


def stopped_mid_download(chain: Chain) -> Outcome:
    """SIGTERM while the source keeps a worker waiting that has begun to fill empty stores."""
    outcome = Outcome("stop in mid-download")
    empty = chain.directory / "empty"
    empty.mkdir()
    fresh = replace(chain, directory=empty, variables=chain.variables | environment(empty, DATA_PROVIDER="live"))
    with _reader(chain, outcome):
        chain.upstream.forget_requests()
        chain.upstream.fail(Fault.SLOW, ticker=TICKERS[-1], times=None, seconds=30.0)
        environ = clean_environment(empty) | fresh.variables
        command = [sys.executable, "-m", "workers", "--only", "daily,hourly,minute"]
        worker = subprocess.Popen(command, cwd=empty, env=environ, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: any(map(len, fresh.stored().values())), "the first ticker")
            wait_until(lambda: any(seen.ticker == TICKERS[-1] for seen in chain.upstream.requests), "the second one")
            before = fresh.stored()
            worker.terminate()
            outcome.injected += 1
            started = time.monotonic()
            worker.wait(MAY_TAKE_S)
        except subprocess.TimeoutExpired:
            outcome.broken.append(f"it had not ended {MAY_TAKE_S:g} s after SIGTERM")
        finally:
            worker.kill()
            worker.wait()
        outcome.notes.append(f"ended {time.monotonic() - started:.1f} s after SIGTERM")
        chain.upstream.repair()
        outcome.repaired_in(fresh.run_worker())
    return _checked(fresh, before, outcome)


def _checked(chain: Chain, before: dict[tuple[str, Interval], Bars], outcome: Outcome) -> Outcome:
    """Nothing that was stored is gone, nothing that the market never had is stored, both stores are the same."""
    after = chain.stored()
    for series, bars in before.items():
        outcome.lost += len(np.setdiff1d(bars.time, after[series].time))
        strangers = chain.strangers(*series, after[series])
        outcome.broken += [f"{series}: {strangers} stored bars are not the market's"] if strangers else []
    settings = Settings.from_mapping(chain.variables)
    stores = Stores.of(settings)
    outcome.divergent += len(faults.problems(stores))
    stores.db_manager.close()
    return outcome


@contextmanager
def _reader(chain: Chain, outcome: Outcome) -> Iterator[None]:
    """A client that asks for one series after the other until the context is left."""
    stop = threading.Event()
    thread = threading.Thread(target=_read_on, args=(chain, outcome, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _read_on(chain: Chain, outcome: Outcome, stop: threading.Event) -> None:
    connection = HTTPConnection("127.0.0.1", chain.server.port, timeout=15)
    questions = [
        Question((ticker,), each, 50, is_csv) for ticker in TICKERS for each in Interval for is_csv in (False, True)
    ]
    while not stop.wait(0.02):
        question = questions[outcome.answers % len(questions)]
        status, origin, body = get(connection, question.path)
        outcome.answers += 1
        outcome.statuses[status] += 1
        if origin:
            outcome.sources[origin] += 1
        rows = json.loads(body).get(question.tickers[0], []) if status == 200 else []
        if status == 200 and (not rows or chain.strangers(question.tickers[0], question.interval, _bars(rows))):
            outcome.wrong += 1
            outcome.examples += [question.path]
    connection.close()


def _bars(rows: list[dict[str, float]]) -> Bars:
    time_ = np.array([np.datetime64(row["time"], "s").astype(np.int64) for row in rows])
    prices = np.array([[row[name] for row in rows] for name in ("open", "high", "low", "close")])
    return Bars.of(time_, prices, np.array([row["volume"] for row in rows]))
