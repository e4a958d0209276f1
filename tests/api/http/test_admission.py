"""Large queries: so many at once, one more waits, others get a 429; small ones and /livez answer meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.api.http import admission
from stockapi.config import Settings
from stockapi.errors import AbandonedError, DeadlineError
from stockapi.models import Interval, Mode
from stockapi.services.data_store import query_cost
from tests.support.server import Server, receive_all, running_server
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

REFUSAL = {
    "error": "too many large queries at once; try again shortly, "
    "or ask for fewer symbols, a shorter range or a smaller limit"
}
LARGE = [
    "/tickers?limit=1000",
    "/tickers?limit=100&mode=all",
    "/tickers?start_date=1970-01-01&format=csv",
    "/tickers?interval=1M&limit=1",
    "/tickers?ema=true&limit=1&symbol=ACB,FPT,VCB",
    "/tickers?limit=1000&cache=false",
    "/tickers/coverage",
    "/analysis/volume-profile?symbol=VCB&start_date=1970-01-01&end_date=2030-01-01",
]
SMALL = [
    "/tickers?limit=10",
    "/tickers?symbol=VCB&limit=1000000",
    "/tickers/coverage?symbol=VCB",
    "/tickers/group",
    "/analysis/top-performers",
    "/analysis/volume-profile?symbol=FPT&date=2015-01-05",
    "/livez",
    "/health",
]


@pytest.fixture
def make_app(make_stores: MakeStores, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Flask]:
    """An application over three tickers of 100 days, with 1,000 and 200 minutes of two, for which 250 rows are many."""
    monkeypatch.setattr(admission, "_PATIENCE_S", 0.0)

    def make(**more: str) -> Flask:
        stores = make_stores(HEAVY_QUERY_ROWS="250", **more)
        for ticker in ("ACB", "FPT", "VCB"):
            stores.save(ticker, make_bars(100))
        stores.save("VCB", make_bars(1_000, Interval.MINUTE), Interval.MINUTE)
        stores.save("FPT", make_bars(200, Interval.MINUTE), Interval.MINUTE)
        stores.save("BTC", make_bars(10, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
        stores.db_manager.close()
        return create_app(stores.settings, clock=lambda: NOW)

    return make


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    return make_app().test_client()


@pytest.mark.parametrize("path", LARGE)
def test_a_large_query_is_refused_while_another_is_being_sent(client: FlaskClient, path: str) -> None:
    with client.get("/tickers?limit=1000") as first:
        assert first.status_code == 200
        refused = client.get(path)
        assert (refused.status_code, refused.json) == (429, REFUSAL)
        assert refused.headers["Retry-After"] == "5"
        assert refused.headers["Cache-Control"] == "no-store"
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", SMALL)
def test_a_small_query_is_answered_while_a_large_one_is_being_sent(client: FlaskClient, path: str) -> None:
    with client.get("/tickers?limit=1000"):
        assert client.get(path).status_code == 200


def gone(stores: Stores) -> None:
    stores.settings.vn_database_path.unlink()


def behind(stores: Stores) -> None:
    """CSV alone is written, by a worker that SQLite refused."""
    apart = stores.with_settings(replace(stores.settings, sqlite_writes=False))
    for interval, count in ((Interval.DAILY, 101), (Interval.MINUTE, 1_001)):
        Stores.save(apart, "VCB", make_bars(count, interval), interval)  # type: ignore[arg-type]


def well(_stores: Stores) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (well, "/tickers?limit=1&cache=false"),
        (well, "/tickers?symbol=VCB&interval=1m&limit=1&cache=false"),
        (gone, "/tickers?limit=1"),
        (gone, "/tickers?symbol=VCB&limit=1"),
        (gone, "/analysis/top-performers"),
        (behind, "/tickers?symbol=VCB&limit=1"),
        (behind, "/tickers?limit=1"),
        (behind, "/analysis/top-performers"),
    ],
)
def test_files_that_must_be_looked_through_first_make_a_query_large(
    make_app: Callable[..., Flask],
    make_stores: MakeStores,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Stores], None],
    path: str,
) -> None:
    """However few rows it answers. The next one finds them known, until they change."""
    monkeypatch.setattr(query_cost, "_BYTES_OF_A_ROW", 10)
    client = make_app().test_client()
    spoil(make_stores())
    with take_all_admissions(client.application):
        refused = client.get(path)
        assert (refused.status_code, refused.json) == (429, REFUSAL)
    with client.get(path) as answer:
        assert answer.status_code == 200
    with take_all_admissions(client.application):
        assert client.get(path).status_code == 200


def test_coverage_from_csv_is_large_by_the_files_that_it_reads(
    make_app: Callable[..., Flask], make_stores: MakeStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_cost, "_BYTES_OF_A_ROW", 10)
    client = make_app().test_client()
    gone(make_stores())
    for _ in range(2):
        with take_all_admissions(client.application):
            assert client.get("/tickers/coverage?symbol=VCB&interval=1m").status_code == 429
        with client.get("/tickers/coverage?symbol=VCB&interval=1m") as answer:
            assert answer.status_code == 200


def test_many_named_tickers_are_as_large_as_all(client: FlaskClient) -> None:
    with client.get("/tickers?limit=1000"):
        assert client.get("/tickers/coverage?symbol=VCB,FPT").status_code == 200
        assert client.get("/tickers/coverage?symbol=VCB,FPT,ACB").status_code == 429


@contextmanager
def take_all_admissions(app: Flask) -> Iterator[None]:
    control = app.extensions["stockapi.admission"]
    control.admit(held := admission._Admission())
    yield
    held.end()


def test_a_client_that_goes_while_it_waits_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_PATIENCE_S", 60.0)
    control = admission.AdmissionControl(Flask("test").wsgi_app, 1)
    control.admit(running := admission._Admission())
    looks = iter([False, True])
    with pytest.raises(AbandonedError, match="has gone while it waited"):
        control.admit(admission._Admission(), has_gone=lambda: next(looks))
    running.end()
    for _ in range(2):
        control.admit(following := admission._Admission())
        following.end()


@pytest.mark.parametrize(
    "path",
    [
        "/tickers?limit=1000&symbol=%00",
        "/tickers?limit=-1",
        "/analysis/volume-profile?start_date=1970-01-01",
    ],
)
def test_a_bad_large_query_is_a_bad_query_first(client: FlaskClient, path: str) -> None:
    with client.get("/tickers?limit=1000"):
        assert client.get(path).status_code == 400


def test_so_many_are_answered_at_once(make_app: Callable[..., Flask]) -> None:
    client = make_app(MAX_HEAVY_QUERIES="3").test_client()
    with ExitStack() as being_sent:
        statuses = [being_sent.enter_context(client.get("/tickers?limit=1000")).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


def _too_late(*_: object, **__: object) -> None:
    raise DeadlineError("stopped at the deadline")


@pytest.mark.parametrize("end", ["read", "closed", "not modified", "head", "deadline", "broken"])
def test_a_turn_ends_with_its_request_however_that_ends(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    client = make_app().test_client()
    path = "/tickers?limit=1000"
    match end:
        case "read":
            answer = client.get(path)
            assert answer.status_code == 200
            answer.get_data()
        case "closed":
            client.get(path, buffered=False).close()
        case "not modified":
            with client.get(path) as answer:
                tag = answer.headers["ETag"]
            with client.get(path, headers={"If-None-Match": tag}) as again:
                assert again.status_code == 304
        case "head":
            with client.head(path) as answer:
                assert answer.status_code == 200
        case "deadline":
            with monkeypatch.context() as patched:
                patched.setattr("stockapi.services.sqlite_store.SqliteStore.prerendered", _too_late)
                with client.get(path) as answer:
                    assert answer.status_code == 503
                    assert answer.json != REFUSAL
        case "broken":
            with monkeypatch.context() as patched:
                patched.setattr("stockapi.api.http.responses.json_body", None)
                with client.get(path) as answer:
                    assert answer.status_code == 500
    for _ in range(3):
        with client.get(path) as answer:
            assert answer.status_code == 200


def test_a_turn_ends_when_no_answer_could_be_made_at_all() -> None:
    app = Flask("test")

    def fail(_response: Response) -> Response:
        raise RuntimeError("past every error handler")

    app.after_request(fail)
    app.testing = True
    app.extensions["stockapi.admission"] = queries = admission.AdmissionControl(app.wsgi_app, 1)
    app.wsgi_app = queries  # type: ignore[method-assign]

    @app.get("/")
    def view() -> str:
        from flask import request

        queries.admit(request.environ["stockapi.admission"])
        return "x"

    for _ in range(3):
        with pytest.raises(RuntimeError):
            app.test_client().get("/")


def test_the_next_one_waits_a_little_and_no_more_than_one(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    monkeypatch.setattr(admission, "_PATIENCE_S", 30.0)
    running = app.test_client().get("/tickers?limit=1000")
    assert running.status_code == 200

    def ask() -> int:
        with app.test_client().get("/tickers?limit=1000") as answer:
            return answer.status_code

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask)
        deadline = time.monotonic() + 10
        queries = app.extensions["stockapi.admission"]
        while queries._present._value and time.monotonic() < deadline:
            time.sleep(0.001)
        assert ask() == 429, "at once, for one is waiting already"
        running.close()
        assert waiting.result() == 200


def test_the_wait_for_a_turn_is_a_part_of_the_time_of_the_request(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_app(QUERY_DEADLINE_MS="1000").test_client()
    monkeypatch.setattr(admission, "_PATIENCE_S", 60.0)
    with client.get("/tickers?limit=1000") as running:
        assert running.status_code == 200
        started = time.monotonic()
        refused = client.get("/tickers?limit=1000")
        assert (refused.status_code, refused.json) == (429, REFUSAL)
        assert 0.9 < time.monotonic() - started < 30.0


# Under load, over a real gunicorn


@dataclass
class Load:
    """What clients saw: status and seconds of every request, by kind."""

    seen: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def statuses(self, kind: str) -> set[int]:
        return {status for status, _ in self.seen[kind]}

    def seconds(self, kind: str, share: float, status: int | None = None) -> float:
        """The quantile of the time to the last byte."""
        spent = sorted(each for found, each in self.seen[kind] if status in (None, found))
        return spent[min(len(spent) - 1, int(len(spent) * share))]


def put_under_load(server: Server, heavy_clients: int, seconds: float) -> Load:
    load, stop = Load(), time.monotonic() + seconds
    paths = {"heavy": "/tickers?limit=3000", "small": "/tickers?symbol=T01&limit=50", "livez": "/livez"}
    lock = threading.Lock()

    def ask(kind: str) -> None:
        request = f"GET {paths[kind]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        while time.monotonic() < stop:
            started = time.perf_counter()
            with server.connect() as connection:
                connection.settimeout(60)
                connection.sendall(request)
                head = receive_all(connection)[:12]
            with lock:
                load.seen.setdefault(kind, []).append((int(head.split()[1]), time.perf_counter() - started))
            time.sleep(0.02)

    kinds = ["heavy"] * heavy_clients + ["small", "small", "livez"]
    threads = [threading.Thread(target=ask, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 tickers of 3,000 days: all of them are 180,000 rows, 72 MB of JSON."""
    directory = tmp_path_factory.mktemp("overload")
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    for number in range(60):
        stores.save(f"T{number:02}", make_bars(3_000, seed=number))
    stores.db_manager.close()
    return directory


def serve(directory: Path, **more: str) -> AbstractContextManager[Server]:
    return running_server(
        directory, environment(directory, WEB_CONCURRENCY="1", GUNICORN_THREADS="4", LOG_LEVEL="error", **more)
    )


@pytest.mark.long
def test_small_queries_and_livez_answer_while_more_large_ones_come_than_may_run(directory: Path) -> None:
    with serve(directory) as server:
        load = put_under_load(server, heavy_clients=6, seconds=4)
        after = put_under_load(server, heavy_clients=1, seconds=2)
    assert load.statuses("heavy") == {200, 429}
    assert load.seconds("heavy", 0.5, status=429) < 0.5, "refused at once, but for the one that waited"
    assert load.statuses("small") == load.statuses("livez") == {200}
    for kind in ("small", "livez"):
        assert load.seconds(kind, 0.5) < 0.5
        assert load.seconds(kind, 0.99) < 3.0
    assert len(load.seen["small"]) > 20
    assert after.statuses("heavy") == {200}, "no turn was lost"


@pytest.mark.long
def test_without_the_bound_large_queries_keep_small_ones_waiting(directory: Path) -> None:
    with serve(directory, MAX_HEAVY_QUERIES="256") as server:
        load = put_under_load(server, heavy_clients=6, seconds=4)
    assert load.seconds("small", 0.99) > 1.0
