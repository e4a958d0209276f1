"""Log lines on standard error: one line for each event, as key=value, with control characters escaped."""

import json
import logging
import logging.config
import re
import time
from typing import Any

_ESCAPES = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}
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


def configure_logging(level: str) -> None:
    """Send every log line of this process at `level` or above to standard error. Call it only when a process starts."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": LineFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
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
