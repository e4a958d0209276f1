"""Log lines on standard error: one line for each event, as key=value, with control characters escaped."""

import json
import logging
import logging.config
import os
import re
import select
import stat
import time
from contextlib import suppress
from typing import IO, Any, Final

_ESCAPES = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}
_PATIENCE_MS: Final = 100
"""How long a line waits for a reader that is busy. The next ones do not wait, once one was left out."""
_PLAIN = re.compile(r"[^\s\"=]+")


class LineFormatter(logging.Formatter):
    """Lines like `2026-01-31T09:15:00.123Z INFO stockapi.api.routes.tickers[4711] message`. The time is UTC, the number
    in brackets is the process id.

    Text from outside cannot forge a line: control characters are escaped. Only a traceback has several lines, and they
    are indented.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name is the base class's)
        return super().formatMessage(record).translate(_ESCAPES)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {line.translate(_ESCAPES)}" for line in lines)


class PatientHandler(logging.StreamHandler[Any]):
    """Writes lines to standard error, and leaves out those that nobody takes. They are counted, and told of later.

    When a terminal is stopped (Ctrl-S), or nobody reads a pipe, a write does not end: after 381 answers every thread
    waited for the log.
    """

    def __init__(self) -> None:
        super().__init__()  # standard error
        self._descriptor = _of_its_own(self.stream)
        self._left_out = 0
        self._is_torn = False
        self._poller = select.poll()
        if self._descriptor is not None:
            self._poller.register(self._descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        if self._descriptor is None:
            super().emit(record)
            return
        text = f"{self.format(self._notice(record))}\n" if self._left_out else ""
        data = f"{text}{self.format(record)}\n".encode(errors="backslashreplace")
        if self._put(self._descriptor, b"\n" + data if self._is_torn else data):
            self._left_out, self._is_torn = 0, False
        else:
            self._left_out += 1

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()

    def _put(self, descriptor: int, data: bytes) -> bool:
        """:returns: whether all of it was taken."""
        rest = memoryview(data)
        try:
            while rest:
                if not self._poller.poll(0 if self._left_out else _PATIENCE_MS):
                    break
                # So many bytes at once fit into a pipe that has room.
                with suppress(BlockingIOError):
                    rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
        except OSError:  # nobody can read it any more, and nobody could read that
            return False
        self._is_torn = self._is_torn or 0 < len(rest) < len(data)
        return not rest

    def _notice(self, record: logging.LogRecord) -> logging.LogRecord:
        text = key_values(event="lines_left_out", lines=self._left_out)
        return logging.LogRecord(__name__, logging.WARNING, record.pathname, record.lineno, text, None, None)


def _of_its_own(stream: IO[str]) -> int | None:
    """A descriptor for the pipe, socket or terminal behind a stream; None for a file, where a write ends.

    It does not wait, where the system lets us open it anew. The stream's own must not be changed: other processes have
    the same.
    """
    try:
        descriptor = stream.fileno()
        kind = os.fstat(descriptor).st_mode
    except (OSError, ValueError):  # a test has put something else in its place, or it is closed
        return None
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(descriptor)):
        return None
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # a socket, or a pipe that another user has made
        return os.dup(descriptor)


def configure_logging(level: str) -> None:
    """Send every log line of this process at `level` or above to standard error. Call it only when a process starts."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": LineFormatter}},
            "handlers": {"stderr": {"()": PatientHandler, "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
        }
    )


def key_values(**fields: object) -> str:
    """Text like `a=1 b=2.50 c="two words"`. A float has two decimals. Text is quoted when it needs quotes."""
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items())


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    text = str(value)
    return text if isinstance(value, int) or _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
