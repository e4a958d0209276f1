"""A copy of a market over real HTTP, kept by the loop of docs/api.md while processes write, die and change it."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from stockapi.config import Settings
from stockapi.models import Interval, Mode
from stockapi.services.upkeep.changes import Deletion, Renaming, finish_change, make_change
from stockapi.services.upkeep.reconcile import reconcile_out_of_step
from tests.support.mirror import bars_of
from tests.support.server import ROOT, Server, clean_environment, running_server
from tests.support.stores import FIRST_DAY, NOW, Stores, environment, make_bars

DAY = 86_400
ALL = tuple(Interval)
WRITER = """
import sys
from pathlib import Path
from datetime import timedelta
from stockapi.config import Settings
from stockapi.models import Interval
from tests.support.stores import NOW, Stores, environment, make_bars
stores = Stores.of(Settings.from_mapping(environment(Path(sys.argv[1]))))
first = int(sys.argv[2])
for count in range(first, first + 10_000):
    for seed, ticker in enumerate(("AAA", "CCC", "DDD")):
        stores.save(ticker, make_bars(count, seed=seed + count % 2), now=NOW + timedelta(seconds=count))
    print("all of them", flush=True)
"""


class OverError(Exception):
    """In the place of the wait for the next poll."""


def the_loop() -> str:
    """The lines that docs/api.md shows."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split("### A copy that stays current")[1]
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


class Copy:
    """What the loop keeps. `poll` runs it up to its wait."""

    def __init__(self, server: Server) -> None:
        self._code = compile(the_loop(), "docs/api.md", "exec")
        self._names: dict[str, Any] = {"requests": requests, "server": server.url, "copy": {}, "since": "1970-01-01"}
        self._names["time"] = self
        self._url = server.url

    def sleep(self, seconds: float) -> None:
        assert seconds == 60
        raise OverError

    def poll(self) -> None:
        with pytest.raises(OverError):
            exec(self._code, self._names)

    @property
    def bars(self) -> Any:
        return {symbol: bars for symbol, bars in self._names["copy"].items() if bars}

    @property
    def of_the_server(self) -> Any:
        return bars_of(requests.get(f"{self._url}/tickers?limit=0", timeout=10).text)


def kill_a_writer(directory: Path, first: int, moment: random.Random) -> None:
    """While it saves bars, as a power cut would, but for what the system has not written yet."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), str(first)],
        env=clean_environment(directory),
        cwd=directory,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    for _ in range(moment.randint(1, 3)):
        assert writer.stdout.readline() == b"all of them\n"
    time.sleep(moment.uniform(0, 0.02))
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()


@pytest.mark.slow
def test_the_loop_of_the_docs_keeps_a_copy_equal(tmp_path: Path) -> None:
    stores = Stores.of(Settings.from_mapping(environment(tmp_path)))
    for seed, ticker in enumerate(("AAA", "BBB", "CCC")):
        stores.save(ticker, make_bars(100, seed=seed))
    database = stores.settings.database_path(Mode.VN)
    moment = random.Random(1)

    def killed(first: int) -> None:
        stores.db_manager.close()
        kill_a_writer(tmp_path, first, moment)

    def repaired() -> None:
        """What the next start of a worker does."""
        finish_change(stores, Mode.VN, NOW)
        reconcile_out_of_step(stores, Mode.VN, NOW + timedelta(hours=1))

    def without_sqlite() -> None:
        stores.db_manager.close()
        database.rename(f"{database}.away")

    def with_sqlite() -> None:
        os.rename(f"{database}.away", database)  # noqa: PTH104 - a text and a path

    def rename() -> None:
        make_change(stores, Mode.VN, Renaming("BBB", "XXX"), NOW)

    def delete() -> None:
        make_change(stores, Mode.VN, Deletion("CCC", (Interval.DAILY,), FIRST_DAY, FIRST_DAY + 9 * DAY), NOW)
        make_change(stores, Mode.VN, Deletion("AAA", ALL), NOW)

    def dividend() -> None:
        stores.save("XXX", make_bars(110, seed=8), rewrite_all=True)

    steps: list[Callable[[], object]] = [
        *(lambda: killed(101), repaired, lambda: stores.save("AAA", make_bars(150, seed=4))),
        *(rename, dividend, delete, lambda: stores.save("AAA", make_bars(30, seed=5)), lambda: killed(200), repaired),
    ]
    with running_server(tmp_path, environment(tmp_path)) as server:
        copy = Copy(server)
        for step in steps:
            copy.poll()
            step()
        copy.poll()
        assert copy.bars == copy.of_the_server
        assert set(copy.bars) == {"AAA", "CCC", "DDD", "XXX"}
        without_sqlite()
        copy.poll()
        assert set(copy.bars) == {"AAA", "CCC", "DDD", "XXX"}
        refused = requests.get(f"{server.url}/tickers?updated_since=2026-01-01", timeout=10)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        with_sqlite()
        copy.poll()
        assert copy.bars == copy.of_the_server
    stores.db_manager.close()
