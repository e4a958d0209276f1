"""Recorded answers: as text that people can read and compare, and where two recordings differ.

A record is `>>> [section] request`, the status, a line for each header, and the body: whole where it is small, else its
length, its SHA-256, and, of text, how it begins and ends. A line that begins with `|` goes on with the text of the line
before.
Of headers that nearly every answer has in the same words, only the exceptions stand there.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.golden.asking import Answer, Answers

ANSWERS: Final = Path(__file__).with_name("answers.txt")
_BINARY: Final = b"\xff\xff\xff\xff"
"""How a stream of Arrow begins, and no text."""
_MOST_BYTES: Final = 1900
_SHOWN: Final = 100
_CONTEXT: Final = 30
_USUAL: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Record = dict[str, str]
"""Of one answer: its parts, as text, by name."""


def record(answer: Answer) -> Record:
    parts = {"status": str(answer.status)}
    parts |= {name: value for name, value in answer.headers.items() if _USUAL.get(name) != value}
    parts |= {name: "(absent)" for name in _USUAL if name not in answer.headers}
    return parts | _of_body(answer.body)


def _of_body(body: bytes) -> Record:
    summary = {"length": str(len(body)), "sha256": hashlib.sha256(body).hexdigest()}
    if body.startswith(_BINARY):
        return summary
    text = body.decode()
    if len(body) <= _MOST_BYTES:
        return {"body": text} if body else {}
    return {**summary, "begins": text[:_SHOWN], "ends": text[-_SHOWN:]}


def records(answers: Answers) -> dict[str, Record]:
    return {request: record(answer) for request, answer in answers.items()}


def read() -> dict[str, Record]:
    """What is recorded; nothing before the first time."""
    return from_text(ANSWERS.read_bytes().decode()) if ANSWERS.exists() else {}


def write(recorded: Mapping[str, Record]) -> None:
    ANSWERS.write_bytes(to_text(recorded).encode())


def to_text(recorded: Mapping[str, Record]) -> str:
    return "".join(f">>> {request}\n{''.join(_lines(parts))}\n" for request, parts in recorded.items())


def _lines(parts: Record) -> Iterator[str]:
    for name, value in parts.items():
        first, *more = value.split("\n")
        yield f"{name}: {first}\n"
        yield from (f"|{line}\n" for line in more)


def from_text(text: str) -> dict[str, Record]:
    """What `to_text` was given."""
    recorded: dict[str, Record] = {}
    parts: Record = {}
    name = ""
    for line in filter(None, text.split("\n")):
        if line.startswith(">>> "):
            parts = recorded[line.removeprefix(">>> ")] = {}
        elif line.startswith("|"):
            parts[name] += f"\n{line[1:]}"
        else:
            name, _, parts[name] = line.partition(": ")
    return recorded


def differences(recorded: Mapping[str, Record], found: Mapping[str, Record]) -> list[str]:
    """A line for each part of each answer that is another one now, and for each request that only one of both has."""
    lines = [f"{request}: is recorded, but not asked any more" for request in recorded if request not in found]
    for request, parts in found.items():
        before = recorded.get(request)
        lines += [f"{request}: {what}" for what in (_changes(before, parts) if before else ["is not recorded yet"])]
    return lines


def _changes(before: Record, after: Record) -> Iterator[str]:
    for name in before | after:
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield f"{name}: was {_shown(was)}, is {_shown(now)}"
        elif was != now:
            same = _same_beginning(was, now)
            where = f" (from character {same + 1} on)" if same > _CONTEXT else ""
            begin = max(0, same - _CONTEXT)
            yield f"{name}{where}: was {_shown(was[begin:])}, is {_shown(now[begin:])}"


def _same_beginning(one: str, other: str) -> int:
    """How many characters."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (left, right) in pairs if left != right), min(len(one), len(other)))


def _shown(text: str | None) -> str:
    if text is None:
        return "absent"
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
