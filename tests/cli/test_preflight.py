"""What is asked before a server starts: is the address free, is it taken, do we run there already."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stockapi.cli import preflight
from stockapi.errors import ConfigError
from stockapi.services.listening import refuse_what_cannot_be_listened_on
from tests.support.server import ROOT, clean_environment, gunicorn_command, running_server


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    """A server that answers everything with this body; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def taken() -> Iterator[int]:
    """A port on which some program listens that speaks no HTTP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preflight, "_ANSWERS_WITHIN_S", 0.1)

    def run(question: str, **variables: object) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr("sys.argv", ["preflight", question])
        preflight.main()
        return capsys.readouterr().out

    return run


def test_a_free_address(ask: Callable[..., str]) -> None:
    with taken() as port:
        pass
    assert ask("address", HOST="0.0.0.0", PORT=port) == f"free http://127.0.0.1:{port} {port}\n"


def test_an_application_of_ours_runs_there_already(ask: Callable[..., str]) -> None:
    with answering(b'{"status":"ok"}') as port:
        assert ask("address", HOST="127.0.0.1", PORT=port) == f"running http://127.0.0.1:{port} {port}\n"


@pytest.mark.parametrize("occupied", [taken, lambda: answering(b"<html>"), lambda: answering(b"")])
def test_another_program_there_is_one_line_with_the_way_out(
    ask: Callable[..., str], occupied: Callable[[], Iterator[int]]
) -> None:
    with occupied() as port, pytest.raises(SystemExit) as caught:  # type: ignore[attr-defined]
        ask("address", HOST="127.0.0.1", PORT=port)
    assert str(caught.value) == (
        f"stockapi: HOST=127.0.0.1 PORT={port}: Address already in use; another program listens there; stop it, "
        f"or choose another port: PORT={port + 1}"
    )


@pytest.mark.parametrize("host", ["203.0.113.9", "no.such.host.invalid", "::ffff:203.0.113.9"])
def test_an_address_of_another_machine(host: str) -> None:
    with pytest.raises(ConfigError, match=f"^HOST={host} PORT=3999: .*; allowed: an address of this machine"):
        refuse_what_cannot_be_listened_on(host, 3_999)


def test_a_bad_setting_is_one_line(ask: Callable[..., str]) -> None:
    with pytest.raises(SystemExit, match=r"^stockapi: PORT='x' is not allowed; allowed: a whole number"):
        ask("provider", PORT="x")


def test_the_provider(ask: Callable[..., str]) -> None:
    assert ask("provider", DATA_PROVIDER="Simulated") == "simulated\n"


def test_gunicorn_says_so_at_once(tmp_path: Path) -> None:
    with taken() as port:
        done = subprocess.run(
            gunicorn_command(),
            cwd=tmp_path,
            env=clean_environment(tmp_path) | {"HOST": "127.0.0.1", "PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    lines = [line for line in done.stderr.splitlines() if "INFO" not in line]
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert lines[0].startswith(f"stockapi: HOST=127.0.0.1 PORT={port}: Address already in use; ")


def test_the_makefile_asks_by_these_names() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for question in ("provider", "address"):
        assert f"python -m stockapi.cli.preflight {question}" in makefile


def test_a_shared_memory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Heartbeats and counts are then on the disk, and the server answers."""
    launcher = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no /dev/shm of its own")
    with running_server(tmp_path, {"WEB_CONCURRENCY": "1"}, launcher=launcher) as server:
        assert server.log.count("/dev/shm cannot be written") == 1
        assert "Traceback" not in server.log
