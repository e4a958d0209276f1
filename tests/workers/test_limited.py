"""A source that gives some answers to each process, and then 429: every series gets its turn."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Interval, Mode
from tests.fake_upstream import FakeUpstream, Fault
from tests.support.server import clean_environment
from tests.support.stores import MakeStores, environment

TICKERS = [f"T{number:02}" for number in range(30)]
WORKER = ("workers", "--once")
PULL = ("flask", "--app", "app", "data", "pull", "--mode", "vn")


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "tickers", "answers", "runs", "intervals"),
    [
        ((*WORKER, "--only", "daily"), TICKERS, 10, 3, [Interval.DAILY]),
        ((*PULL, "--interval", "1D"), TICKERS, 10, 3, [Interval.DAILY]),
        (WORKER, TICKERS[:4], 20, 9, list(Interval)),
        (PULL, TICKERS[:4], 20, 9, list(Interval)),
    ],
)
def test_processes_that_run_once_get_round_to_every_series(
    make_stores: MakeStores,
    tmp_path: Path,
    command: tuple[str, ...],
    tickers: list[str],
    answers: int,
    runs: int,
    intervals: list[Interval],
) -> None:
    groups = tmp_path / "groups.json"
    groups.write_text(json.dumps({"ALL": tickers}))
    # Days from the beginning take a request each; minutes would take many.
    listed = (int(time.time()) // SECONDS_PER_DAY - 60) * SECONDS_PER_DAY
    recent = {} if intervals == [Interval.DAILY] else dict.fromkeys(tickers, listed)
    with FakeUpstream(tickers={Mode.VN: tickers}, listed=recent) as upstream:
        more = {
            **upstream.variables(),
            "TICKER_GROUPS_FILE": str(groups),
            "MARKETS": "vn",
            "VCI_REQUESTS_PER_MINUTE": "100000",
        }
        for _ in range(runs):
            upstream.repair()
            upstream.fail(Fault.TOO_MANY_REQUESTS, times=None, skip=answers, retry_after="600")
            ended = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=tmp_path,
                env=clean_environment(tmp_path) | environment(tmp_path, **more),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert "Traceback" not in ended.stderr
    stores = make_stores(**more)
    lacking = [(ticker, each.value) for each in intervals for ticker in tickers if not len(stores.in_csv(ticker, each))]
    assert lacking == []
