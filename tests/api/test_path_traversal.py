"""Nobody reaches a file outside the data directories: attempts are made, and what is opened meanwhile is watched."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.api.queries import parameters
from stockapi.markets import tickers
from stockapi.models import Mode
from stockapi.services.csv_store import CsvStore, tree
from tests.support.server import Server, running_server
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

TARGETS = ["etc/passwd", "secret/1D", "secret", "vn_data.db", "crypto_data/BTC/1D.csv", ".env", "proc/self/environ"]
UPS = [
    "../",
    "..\\",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "%2E%2E%5C",
    "%252e%252e%252f",
    "..%252f",
    "..%c0%af",
    "%c0%ae%c0%ae/",
    "..%00/",
    "../%00",
    "....//",
    "..;/",
    ".%0a./",
    "%ef%bc%8e%ef%bc%8e/",  # full-width dots
]
DEPTHS = (1, 3, 8)
WRAPPED = [
    "/etc/passwd",
    "file:///etc/passwd",
    "//etc/passwd",
    "\\\\host\\share",
    "C:\\x",
    "VCB/../../secret",
    "VCB/1D.csv",
]
VALUES = [up * depth + target for up in UPS for depth in DEPTHS for target in TARGETS] + WRAPPED
"""Already percent-encoded where that is the trick."""

PREFIXES = ["/", "/tickers/", "/tickers/group/", "/assets/", "/assets/docs/1/", "/analysis/", "/explorer/", "/docs/"]
PARAMETERS = [
    "/tickers?cache=false&symbol=",
    "/tickers?symbol=",
    "/tickers?interval=",
    "/tickers?mode=",
    "/tickers?format=",
    "/tickers/coverage?symbol=",
    "/tickers/group?mode=",
    "/analysis/volume-profile?date=2015-01-05&symbol=",
    "/analysis/top-performers?sector=",
]
ATTEMPTS = [prefix + value for value in VALUES for prefix in (*PREFIXES, *PARAMETERS)]

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook stays for the life of the process, so it is one that listens only when asked to."""
    if _opened is not None and event in {"open", "os.listdir", "os.scandir", "sqlite3.connect"}:
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What this process opens or lists meanwhile."""
    global _opened
    _opened = found = []
    try:
        yield found
    finally:
        _opened = None


def fill(stores: Stores, directory: Path) -> None:
    for mode in Mode:
        stores.save("VCB", make_bars(5, mode=mode), mode=mode)
    stores.db_manager.close()
    (directory / "secret").mkdir()
    shutil.copy(stores.settings.market_data_dir / "VCB" / "1D.csv", directory / "secret" / "1D.csv")


@pytest.fixture
def client(make_stores: MakeStores, tmp_path: Path) -> FlaskClient:
    stores = make_stores()
    fill(stores, tmp_path)
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    for path in ("/tickers", "/tickers?cache=false", "/tickers/group", "/tickers/coverage", "/nowhere"):
        client.get(path)  # what is imported or read once is read now
    return client


def strays(opened: list[str], directory: Path) -> set[str]:
    """Those that are neither a database nor in a data directory nor a list of tickers that comes with the project."""
    lists = Path(tickers.__file__).parents[1] / "data"
    inside = [directory / "market_data", directory / "crypto_data", lists]
    databases = {str(directory / f"{mode.value}_data.db") for mode in Mode}
    found = set()
    for name in opened:
        path = unquote(name.removeprefix("file:").partition("?")[0])
        real = Path(os.path.realpath(path))
        is_inside = any(real == place or place in real.parents for place in inside)
        if str(real) not in databases and not is_inside:
            found.add(name)
    return found


def test_no_attempt_opens_anything_outside(client: FlaskClient, tmp_path: Path) -> None:
    assert len(ATTEMPTS) > 5_000
    statuses = set()
    with watched() as opened:
        for attempt in ATTEMPTS:
            answer = client.get(attempt)
            if "sector=" not in attempt:  # any text may be the name of one: there are no tickers in it
                statuses.add(answer.status_code)
            assert b"root:" not in answer.data
        client.get("/tickers?symbol=VCB&cache=false")
    assert statuses == {400, 404}
    assert strays(opened, tmp_path) == set()
    assert str(tmp_path / "market_data" / "VCB" / "1D.csv") in opened, "the watch was on"


GUARDS = {
    "parameter": lambda patch: patch.setattr(parameters, "parse_symbol", lambda text: text),
    "path": lambda patch: patch.setattr(tree, "is_symbol", lambda _: True),
    "file": lambda patch: patch.setattr(tree, "_require_own", lambda *_: None),
    "directory": lambda patch: patch.setattr(CsvStore, "require_inside", lambda *_: None),
}


@pytest.fixture
def parsed_anew() -> Iterator[None]:
    """Queries that were parsed without a guard are to be forgotten, and those parsed with it."""
    parameters._remembered.cache_clear()
    yield
    parameters._remembered.cache_clear()


@pytest.mark.usefixtures("parsed_anew")
@pytest.mark.parametrize("left", [*GUARDS, None])
def test_each_guard_is_enough_and_without_any_a_file_outside_is_opened(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str | None
) -> None:
    for name, remove in GUARDS.items():
        if name != left:
            remove(monkeypatch)
    with watched() as opened:
        status = client.get("/tickers?cache=false&symbol=../secret").status_code
    secret = str(tmp_path / "secret" / "1D.csv")
    assert (secret in map(os.path.realpath, opened)) is (left is None)
    assert (status == 200) is (left is None)


# The same of a real server, as the kernel sees it


@contextmanager
def traced(server: Server, output: Path) -> Iterator[None]:
    """`output` gets every file that the server's processes open."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    tracer = subprocess.Popen(
        ["strace", "-f", "-e", "trace=open,openat,openat2", "-o", str(output), *[f"-p{pid}" for pid in children]],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    try:
        assert "attached" in tracer.stderr.readline()
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        tracer.stderr.close()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_attempt_makes_the_server_open_anything_outside(make_stores: MakeStores, tmp_path: Path) -> None:
    fill(make_stores(), tmp_path)
    trace = tmp_path / "trace"
    with running_server(tmp_path, environment(tmp_path, WEB_CONCURRENCY="1", GUNICORN_THREADS="1")) as server:
        for path in ("/tickers?cache=false", "/tickers?symbol=VCB", "/tickers/group", "/tickers/coverage", "/nowhere"):
            ask(server, path)
        with traced(server, trace):
            for attempt in ATTEMPTS[::25]:
                # Any text may be the name of a sector; there are no tickers in one that nobody knows.
                statuses = rb"200" if "sector=" in attempt else rb"400|404"
                assert re.match(rb"HTTP/1.1 (%b) " % statuses, ask(server, attempt)), attempt
            assert ask(server, "/tickers?symbol=VCB&cache=false").startswith(b"HTTP/1.1 200 ")
            time.sleep(0.2)  # until strace has written it down
    opened = re.findall(r'open(?:at2?)?\((?:AT_FDCWD, )?"([^"]*)"', trace.read_text())
    assert str(tmp_path / "market_data" / "VCB" / "1D.csv") in opened, "the watch was on"
    databases = tuple(str(tmp_path / f"{mode.value}_data.db") for mode in Mode)
    assert {path for path in strays(opened, tmp_path) if not path.startswith(databases)} == set()


def ask(server: Server, target: str) -> bytes:
    """The target as it is written: nothing is normalised on the way."""
    raw = quote(target, safe="/?&=%.:;\\~")
    return server.send(f"GET {raw} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
