import fcntl
import json
import os
import re
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from stockapi import create_app
from stockapi.config import Settings
from stockapi.models import Interval, Mode
from stockapi.services.database_manager.bookkeeping import Bookkeeping, Cycle
from stockapi.services.writer_lock import writer_lock
from tests.support.server import Server, running_server
from tests.support.stores import NOW, Stores, environment, make_bars

NOW_S = int(NOW.timestamp())
REQUESTS = "stockapi_http_requests_total"
IN_PROGRESS = "stockapi_http_requests_in_progress"
DURATION = "stockapi_http_request_duration_seconds"


class Samples:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.all = [each for family in self.families for each in family.samples]

    def of(self, name: str, **labels: str) -> float | None:
        """The value of the one sample with exactly these labels; None when there is none."""
        found = [each.value for each in self.all if each.name == name and each.labels == labels]
        assert len(found) <= 1
        return found[0] if found else None

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The values of the samples with these labels among theirs, by another label."""
        wanted = labels.items()
        return {
            each.labels[label]: each.value for each in self.all if each.name == name and wanted <= each.labels.items()
        }


def scrape(client: FlaskClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return Samples(answer.text)


@pytest.fixture
def app(stores: Stores) -> Flask:
    stores.save("VCB", make_bars(30))
    stores.db_manager.upgrade(Mode.CRYPTO)
    return create_app(stores.settings, clock=lambda: NOW)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


# Requests


def test_the_answer_is_prometheus_text_that_is_not_kept(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


def test_every_name_has_the_prefix_and_every_metric_a_help_text(client: FlaskClient) -> None:
    client.get("/tickers")
    families = scrape(client).families
    assert len(families) > 10
    assert [each.name for each in families if not each.name.startswith("stockapi_")] == []
    assert [each.name for each in families if not each.documentation] == []
    assert len({each.name for each in families}) == len(families)
    assert [each.name for each in families if each.name.endswith("_created")] == []


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/tickers?symbol=VCB", ("/tickers", "GET", "200", "sqlite")),
        ("GET", "/tickers/?symbol=VCB", ("/tickers", "GET", "200", "sqlite")),
        ("HEAD", "/tickers?symbol=VCB", ("/tickers", "HEAD", "200", "sqlite")),
        ("GET", "/tickers?cache=false", ("/tickers", "GET", "200", "csv")),
        ("GET", "/tickers?limit=x", ("/tickers", "GET", "400", "none")),
        ("GET", "/tickers/group", ("/tickers/group", "GET", "200", "none")),
        ("GET", "/nowhere/at/all", ("none", "GET", "404", "none")),
        ("POST", "/tickers", ("none", "POST", "405", "none")),
        ("BREW", "/tickers", ("none", "other", "405", "none")),
        ("OPTIONS", "/tickers", ("/tickers", "OPTIONS", "200", "none")),
    ],
)
def test_a_request_is_counted_once_under_its_route(
    client: FlaskClient, method: str, path: str, labels: tuple[str, str, str, str]
) -> None:
    before = scrape(client)
    client.open(path, method=method)
    after = scrape(client)
    named = dict(zip(("route", "method", "status", "source"), labels, strict=True))
    assert after.of(REQUESTS, **named) == (before.of(REQUESTS, **named) or 0) + 1
    counted = Counter(each.name for each in after.all if each.name == REQUESTS)
    assert counted[REQUESTS] == 2, "one for the request, one for the scrape before"


def test_whatever_is_asked_there_are_few_label_values(app: Flask, client: FlaskClient) -> None:
    for number in range(50):
        client.get(f"/path/{number}")
        client.get(f"/tickers?symbol=S{number}")
        client.open("/tickers", method=f"METHOD{number}")
    requests = [each.labels for each in scrape(client).all if each.name == REQUESTS]
    assert {labels["route"] for labels in requests} == {"none", "/tickers"}
    assert {labels["method"] for labels in requests} == {"GET", "other"}
    assert len(requests) == 3


def test_durations_by_route(app: Flask) -> None:
    @app.get("/slow")
    def slow() -> str:
        time.sleep(0.03)
        return ""

    client = app.test_client()
    client.get("/slow")
    client.get("/livez")
    samples = scrape(client)
    assert samples.of(f"{DURATION}_count", route="/slow") == 1
    buckets = samples.by("le", f"{DURATION}_bucket", route="/slow")
    assert (buckets["0.025"], buckets["10.0"], buckets["+Inf"]) == (0, 1, 1)
    assert 0.03 <= (samples.of(f"{DURATION}_sum", route="/slow") or 0) < 5
    assert samples.of(f"{DURATION}_count", route="/livez") == 1


def test_requests_that_are_over_are_no_longer_in_progress(app: Flask) -> None:
    @app.get("/fail")
    def fail() -> str:
        raise RuntimeError

    client = app.test_client()
    for path in ("/fail", "/nowhere", "/tickers?limit=x", "/tickers"):
        client.get(path)
    samples = scrape(client)
    assert samples.of(IN_PROGRESS) == 1, "the scrape itself"
    assert samples.by("status", REQUESTS, route="/fail") == {"500": 1}


def test_applications_count_apart(stores: Stores) -> None:
    one, other = (create_app(stores.settings).test_client() for _ in range(2))
    one.get("/livez")
    assert scrape(one).by("status", REQUESTS, route="/livez") == {"200": 1}
    assert scrape(other).by("status", REQUESTS, route="/livez") == {}


# The stores


def test_what_is_stored_and_how_fresh(client: FlaskClient, stores: Stores) -> None:
    stores.save("FPT", make_bars(12))
    stores.save("FPT", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    samples = scrape(client)
    assert samples.by("interval", "stockapi_stored_bars", mode="vn") == {"1D": 42, "1H": 0, "1m": 5}
    assert samples.by("interval", "stockapi_stored_bars", mode="crypto") == {"1D": 0, "1H": 0, "1m": 0}
    newest = {"1D": int(make_bars(30).time[-1]), "1m": int(make_bars(5, Interval.MINUTE).time[-1])}
    expected = {interval: NOW_S - moment for interval, moment in newest.items()}
    assert samples.by("interval", "stockapi_newest_bar_age_seconds", mode="vn") == expected
    assert samples.by("interval", "stockapi_newest_bar_age_seconds", mode="crypto") == {}
    assert samples.by("mode", "stockapi_database_up") == {"vn": 1, "crypto": 1}


def test_the_size_of_the_write_ahead_log(client: FlaskClient, stores: Stores) -> None:
    with_log = scrape(client).of("stockapi_database_wal_size_bytes", mode="vn")
    log = stores.settings.vn_database_path.with_name("vn_data.db-wal")
    assert with_log == log.stat().st_size > 0
    client.application.extensions["stockapi"].stores.close()
    stores.db_manager.close()
    assert not log.exists()
    assert scrape(client).of("stockapi_database_wal_size_bytes", mode="vn") == 0


def test_what_the_workers_did(client: FlaskClient, stores: Stores) -> None:
    cycle: dict[str, Any] = {
        "worker": "daily",
        "due_every_s": 15,
        "cycle_seconds": 1.5,
        "rows_written": 7,
        "source": "vci",
        "source_state": "ok",
        "source_calls": 34,
        "source_errors": 2,
        "last_sync": NOW_S,
        "last_error": None,
    }
    for _ in range(2):
        Bookkeeping(stores.db_manager).record_cycle(Mode.VN, Cycle(**cycle), NOW_S)
    Bookkeeping(stores.db_manager).beat(Mode.VN, "hourly", 60, NOW_S)
    samples = scrape(client)
    expected = {
        "stockapi_worker_cycles_total": {"daily": 2, "hourly": 0},
        "stockapi_worker_last_cycle_duration_seconds": {"daily": 1.5},
        "stockapi_worker_rows_written_total": {"daily": 14, "hourly": 0},
        "stockapi_worker_source_calls_total": {"daily": 68, "hourly": 0},
        "stockapi_worker_source_errors_total": {"daily": 4, "hourly": 0},
    }
    assert {name: samples.by("worker", name, mode="vn") for name in expected} == expected


@pytest.mark.parametrize(("is_running", "age_s", "state"), [(True, 0, "ok"), (True, 100, "stale"), (False, 0, "dead")])
def test_the_state_of_a_worker(client: FlaskClient, stores: Stores, is_running: bool, age_s: int, state: str) -> None:
    Bookkeeping(stores.db_manager).beat(Mode.VN, "daily", 15, NOW_S - age_s)
    with writer_lock(stores.settings, [Mode.VN]) if is_running else nullcontext():
        states = scrape(client).by("state", "stockapi_worker_state", mode="vn", worker="daily")
    assert states == {"ok": 0, "stale": 0, "dead": 0} | {state: 1}


@pytest.mark.parametrize("content", [None, b"", b"garbage " * 1_000])
def test_a_broken_database_shows_and_hides_nothing_else(
    client: FlaskClient, stores: Stores, content: bytes | None
) -> None:
    Bookkeeping(stores.db_manager).beat(Mode.CRYPTO, "crypto_daily", 15, NOW_S)
    stores.db_manager.close()
    stores.settings.vn_database_path.unlink()
    if content is not None:
        stores.settings.vn_database_path.write_bytes(content)
    samples = scrape(client)
    assert samples.by("mode", "stockapi_database_up") == {"vn": 0, "crypto": 1}
    assert samples.by("mode", "stockapi_stored_bars", interval="1D") == {"crypto": 0}
    assert samples.by("worker", "stockapi_worker_cycles_total") == {"crypto_daily": 0}
    assert scrape(client).by("status", REQUESTS, route="/metrics") == {"200": 1}


# Several processes


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def get(server: Server, path: str) -> str:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=15)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def booted(server: Server) -> list[int]:
    return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", server.log)]


def directory_of(worker: int) -> Path:
    """Where a process has the files that it counts in."""
    files = re.findall(r"\S+/stockapi-metrics-\S+", Path(f"/proc/{worker}/maps").read_text())
    (directory,) = {Path(file).parent for file in files}
    return directory


@contextmanager
def serving(directory: Path, processes: int) -> Iterator[Server]:
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    stores.save("VCB", make_bars(30))
    stores.db_manager.close()
    variables = environment(directory, WEB_CONCURRENCY=str(processes), GUNICORN_THREADS="2")
    with running_server(directory, variables) as server:
        yield server


@pytest.mark.long
@pytest.mark.slow
def test_two_processes_count_together(tmp_path: Path) -> None:
    with serving(tmp_path, processes=2) as server:
        asked = 0

        def answering() -> set[str]:
            return set(re.findall(r"stockapi\.api\.routes\.tickers\[(\d+)\]", server.log))

        while len(answering()) < 2 and asked < 500:
            get(server, "/tickers?symbol=VCB")
            get(server, f"/nowhere/{asked}")
            asked += 1
        assert len(answering()) == 2
        for _ in range(6):  # whichever process answers
            samples = Samples(get(server, "/metrics"))
            assert samples.by("source", REQUESTS, route="/tickers") == {"sqlite": asked}
            assert samples.by("status", REQUESTS, route="none") == {"404": asked}
            assert samples.of(f"{DURATION}_count", route="/tickers") == asked
            assert samples.by("mode", "stockapi_database_up") == {"vn": 1, "crypto": 0}
        directory = directory_of(booted(server)[0])
        assert directory.stat().st_mode & 0o777 == 0o700
        assert server.stop() == 0
        assert not directory.exists()


@pytest.mark.slow
def test_what_a_killed_worker_counted_stays_and_what_it_was_doing_does_not(tmp_path: Path) -> None:
    with serving(tmp_path, processes=1) as server:
        get(server, "/tickers?symbol=VCB")
        descriptor = os.open(tmp_path / "market_data" / "VCB", os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # so that whoever reads the file has to wait
        hanging = threading.Thread(target=lambda: get_in_vain(server, "/tickers?symbol=VCB&cache=false"))
        hanging.start()
        wait_until(lambda: Samples(get(server, "/metrics")).of(IN_PROGRESS) == 2)
        os.kill(booted(server)[0], signal.SIGKILL)
        os.close(descriptor)
        hanging.join()
        wait_until(lambda: len(booted(server)) == 2)
        samples = Samples(get(server, "/metrics"))
        assert samples.of(IN_PROGRESS) == 1
        assert samples.by("source", REQUESTS, route="/tickers") == {"sqlite": 1}

        server.process.send_signal(signal.SIGHUP)  # a reload goes on counting, too
        wait_until(lambda: len(booted(server)) == 3 and f"Worker exiting (pid: {booted(server)[1]})" in server.log)
        assert Samples(get(server, "/metrics")).by("source", REQUESTS, route="/tickers") == {"sqlite": 1}


@contextmanager
def out_of_descriptors(server: Server) -> Iterator[HTTPConnection]:
    """A connection to a process that is just started, has answered nothing yet, and can open nothing."""
    (first,) = booted(server)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(booted(server)) == 2)
    worker = booted(server)[1]
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=15)) as connection:
        connection.connect()
        wait_until(lambda: count_of_sockets(worker) == 2)  # the listener, and the connection
        soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (1, hard))
        yield connection
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_the_first_request_of_a_process_is_counted_though_it_can_open_no_file(tmp_path: Path) -> None:
    with serving(tmp_path, processes=1) as server:
        with out_of_descriptors(server) as connection:
            connection.request("GET", "/livez")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
        samples = Samples(get(server, "/metrics"))
        assert samples.by("status", REQUESTS, route="/livez", method="GET").keys() == {"200"}


@pytest.mark.slow
def test_a_scrape_that_can_open_no_file_says_so(tmp_path: Path) -> None:
    """And not that nothing was counted, nor that something went wrong here."""
    with serving(tmp_path, processes=1) as server:
        get(server, "/tickers?symbol=VCB")
        with out_of_descriptors(server) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
            body = json.loads(answer.read())
            assert body == {"error": "the metrics cannot be read right now; try again shortly"}
        assert "Traceback" not in server.log
        samples = Samples(get(server, "/metrics"))
        assert samples.by("source", REQUESTS, route="/tickers") == {"sqlite": 1}
        assert samples.by("status", REQUESTS, route="/metrics") == {"503": 1}


def count_of_sockets(pid: int) -> int:
    return sum(str(entry.readlink()).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())


def get_in_vain(server: Server, path: str) -> None:
    with suppress(OSError):
        get(server, path)
