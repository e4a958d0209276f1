"""Over a real gunicorn of two processes: exact limits, revoked keys, killed workers, and a bad file."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.server import Server, clean_environment, gunicorn_command, running_server
from tests.support.stores import environment

pytestmark = pytest.mark.slow

KEYS = {name: f"{name}-key-{number}5ecret" for number, name in enumerate(("anna", "bob", "cora", "dora", "emil"))}
LIMITS = {"anna": 100, "cora": 30, "emil": 100}


def lines(*names: str) -> str:
    digests = {name: sha256(KEYS[name].encode()).hexdigest() for name in names}
    return "".join(f"{name} {digest} {LIMITS.get(name, '')}\n" for name, digest in digests.items())


@pytest.fixture(scope="module")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(lines(*KEYS))
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    variables = {"API_KEYS_FILE": str(key_path), "RATE_LIMIT_PER_MINUTE": "1000", "LOG_LEVEL": "debug"}
    with running_server(
        directory, environment(directory, WEB_CONCURRENCY="2", GUNICORN_THREADS="4", **variables)
    ) as it:
        yield it
    for name, key in KEYS.items():
        assert key not in it.log, f"the key of {name} is in the log"


def ask(connection: HTTPConnection, key: str) -> int:
    connection.request("GET", "/clock", headers={"Authorization": f"Bearer {key}"})
    with connection.getresponse() as response:
        response.read()
        return response.status


def ask_once(server: Server, key: str) -> int:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        return ask(connection, key)


def ask_at_once(server: Server, key: str, count: int, connections: int = 8) -> Counter[int]:
    """How often each status came, over connections that are spread over both processes."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(closing(HTTPConnection("127.0.0.1", server.port, timeout=10)))
            for _ in range(connections)
        ]
        for connection in opened:
            connection.connect()
        pool = stack.enter_context(ThreadPoolExecutor(connections))
        share = count // connections
        return Counter(
            status
            for answers in pool.map(lambda each: [ask(each, key) for _ in range(share)], opened)
            for status in answers
        )


def workers_of(server: Server) -> list[int]:
    text = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does nothing meanwhile, so another one answers."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_one_process_knows_what_the_other_has_counted(server: Server) -> None:
    first, second = workers_of(server)
    with stopped(first):
        assert ask_at_once(server, KEYS["anna"], 64) == {200: 64}
    with stopped(second):
        assert ask_at_once(server, KEYS["anna"], 64) == {200: 36, 429: 28}


def test_at_the_same_moment_they_allow_no_more_than_the_limit(server: Server) -> None:
    assert ask_at_once(server, KEYS["emil"], 160) == {200: 100, 429: 60}


def test_a_key_out_of_the_file_is_refused_within_a_second(server: Server, key_path: Path) -> None:
    assert ask_at_once(server, KEYS["bob"], 16) == {200: 16}
    new = key_path.with_name("new")
    new.write_text(lines(*KEYS.keys() - {"bob"}))
    new.replace(key_path)
    time.sleep(0.5)
    assert ask_at_once(server, KEYS["bob"], 16) == {401: 16}
    assert ask_at_once(server, KEYS["dora"], 16) == {200: 16}


MALFORMED = [
    "GET /clock HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {}\r\n\r\n",
    "GET /clock HTTP/1.1\r\nHost: x\r\nX-API-Key {}: x\r\n\r\n",
    "GET /clock HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n {}\r\n\r\n",
    "GET /clock HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\0\r\n\r\n",
    "GET /clock HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n",
    "{} /clock HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /clock HTTP/{}\r\nHost: x\r\n\r\n",
    "X-API-Key: {}\r\n\r\n",
]


@pytest.mark.parametrize("head", MALFORMED)
def test_no_malformed_request_puts_its_key_into_the_log(head: str, server: Server) -> None:
    assert server.send(head.format(KEYS["anna"]).encode()).startswith(b"HTTP/1.1 400 ")
    assert KEYS["anna"] not in server.log
    assert "status=400" in server.log


@pytest.mark.long
def test_a_killed_worker_takes_no_count_with_it(server: Server) -> None:
    assert ask_at_once(server, KEYS["cora"], 24) == {200: 24}
    killed = {*workers_of(server)}
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len({*workers_of(server)} - killed) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    answers: Counter[int] = Counter()
    while answers[200] + answers[429] < 16 and time.monotonic() < deadline:
        try:
            answers += Counter([ask_once(server, KEYS["cora"])])
        except OSError:  # no worker is there yet
            time.sleep(0.05)
    assert answers == {200: 6, 429: 10}


@pytest.mark.long
def test_a_bad_file_refuses_to_start_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("anna s3cret-by-mistake\n")
    variables = clean_environment(tmp_path) | environment(tmp_path, API_KEYS_FILE=str(tmp_path / "keys"))
    done = subprocess.run(gunicorn_command(), cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert line.startswith(f"stockapi: API_KEYS_FILE='{tmp_path}/keys' ")
    assert "; allowed: " in line
    assert "s3cret" not in line
