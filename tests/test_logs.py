import logging
import os
import pty
import re
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stockapi.logs import LineFormatter, PatientHandler, configure_logging, key_values


def line(message: str, *args: object, error: Exception | None = None) -> str:
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("stockapi.api", logging.WARNING, "x.py", 1, message, args, exc_info)
    return LineFormatter().format(record)


def test_a_line_says_when_how_serious_where_and_what() -> None:
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING stockapi\.api\[\d+\] rows=5", line("rows=%d", 5)
    )


@pytest.mark.parametrize(
    ("forged", "shown"),
    [
        ("a\nb", r"a\x0ab"),
        ("a\r\nb", r"a\x0d\x0ab"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\x00\x7f\x85b", r"a\x00\x7f\x85b"),
        ("a\u2028b", r"a\u2028b"),
        ("Hà Nội", "Hà Nội"),
    ],
)
def test_control_characters_cannot_forge_a_line(forged: str, shown: str) -> None:
    assert line("%s", forged).endswith(f"] {shown}")


def test_a_traceback_is_indented_whatever_it_says() -> None:
    try:
        raise ValueError("bad\n2026-01-01T00:00:00.000Z INFO forged\x1b")
    except ValueError as exc:
        first, *rest = line("failed", error=exc).split("\n")
    assert first.endswith("] failed")
    assert len(rest) >= 4
    assert all(each.startswith("    ") for each in rest)
    assert r"forged\x1b" in rest[-1]


def test_key_values() -> None:
    text = key_values(endpoint="/tickers", rows=3, ms=1.23456, error="two words", empty="", sum="a=b", quote='"')
    assert text == r'endpoint=/tickers rows=3 ms=1.23 error="two words" empty="" sum="a=b" quote="\""'


def test_lines_of_the_level_asked_for_go_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure_logging("warning")
    logging.getLogger("stockapi.test").info("not this")
    logging.getLogger("stockapi.test").warning("this")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"\S+ WARNING stockapi\.test\[\d+\] this\n", captured.err)


# A log that nobody reads


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """A logger without handlers; `to` gives it one."""
    logger = logging.Logger("stockapi.test")
    yield logger
    for handler in logger.handlers:
        assert isinstance(handler, PatientHandler)
        handler.close()
        handler.stream.close()


def to(log: logging.Logger, descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it write to standard error, which is that descriptor."""
    monkeypatch.setattr("sys.stderr", os.fdopen(descriptor, "w"))
    handler = PatientHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)


def read_all(descriptor: int) -> list[str]:
    os.set_blocking(descriptor, False)
    data = b""
    while True:
        try:
            data += os.read(descriptor, 65_536)
        except BlockingIOError:
            return data.decode().replace("\r", "").split("\n")


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_pipe_that_nobody_reads_stops_nobody(
    log: logging.Logger, monkeypatch: pytest.MonkeyPatch, is_ours: bool
) -> None:
    """`is_ours`: whether the system lets us open it anew."""
    if not is_ours:
        monkeypatch.setattr("stockapi.logs._of_its_own", lambda stream: os.dup(stream.fileno()))
    reader, writer = os.pipe()
    to(log, writer, monkeypatch)
    started = time.monotonic()
    for number in range(3_000):
        log.warning("line %d %s", number, "x" * 100)
    assert time.monotonic() - started < 2.0
    first = read_all(reader)
    assert 300 < len(first) < 3_000
    log.warning("read again")
    assert read_all(reader) == [f"event=lines_left_out lines={3_000 - len(first) + 1}", "read again", ""]
    assert first[-2].startswith(f"line {len(first) - 2} ")
    os.close(reader)


def test_a_line_that_was_left_in_the_middle_does_not_swallow_the_next(
    log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    to(log, writer, monkeypatch)
    log.warning("y" * 200_000)
    assert set("".join(read_all(reader))) == {"y"}
    log.warning("next")
    assert read_all(reader) == ["", "event=lines_left_out lines=1", "next", ""]
    log.warning("as before")
    assert read_all(reader) == ["as before", ""]


def test_a_stopped_terminal_stops_nobody(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, ours = pty.openpty()
    to(log, ours, monkeypatch)
    termios.tcflow(ours, termios.TCOOFF)  # what Ctrl-S does
    started = time.monotonic()
    for number in range(200):
        log.warning("line %d", number)
    assert time.monotonic() - started < 2.0
    termios.tcflow(ours, termios.TCOON)
    log.warning("goes on")
    assert read_all(terminal)[-2:] == ["goes on", ""]
    os.close(terminal)


def test_a_reader_that_has_gone_stops_nobody(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    to(log, writer, monkeypatch)
    os.close(reader)
    log.warning("to nobody")
    log.warning("to nobody")


def test_a_file_gets_every_line(log: logging.Logger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    to(log, os.open(path, os.O_WRONLY | os.O_CREAT), monkeypatch)
    for number in range(2_000):
        log.warning("line %d", number)
    assert path.read_text().split("\n") == [*(f"line {number}" for number in range(2_000)), ""]
