import logging
import re

import pytest

from stockapi.logs import LineFormatter, configure_logging, key_values


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
