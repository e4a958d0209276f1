"""Reads requests.txt: what is asked, by section."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.golden.market import NOW

REQUESTS: Final = Path(__file__).with_name("requests.txt")
_SECTION: Final = re.compile(r"\[(?P<name>[^]]+)](?P<settings>( [A-Za-z_]+=\S+)*)")
_REQUEST: Final = re.compile(r"(?P<method>[A-Z]+) (?P<url>/\S*)(?P<headers>( \| [A-Za-z-]+: .+?)*)")


@dataclass(frozen=True, slots=True)
class Request:
    """What one line asks for. `$etag` in If-None-Match is the ETag that the answer has without that header."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " | ".join([f"{self.method} {self.url}", *(f"{name}: {value}" for name, value in self.headers)])

    def with_parameter(self, parameter: str) -> "Request":
        return replace(self, url=f"{self.url}{'&' if '?' in self.url else '?'}{parameter}")


@dataclass(frozen=True, slots=True)
class Section:
    """Requests to one application.

    `settings`: variables of its environment. `now`: what its clock says; None is a clock that fails.
    """

    name: str
    settings: tuple[tuple[str, str], ...]
    now: datetime | None
    requests: tuple[Request, ...]


def all_sections() -> list[Section]:
    """Those of requests.txt."""
    return read_sections(REQUESTS.read_text(encoding="utf-8"))


def read_sections(text: str) -> list[Section]:
    """:raises ValueError: naming a line that is neither a comment, a section nor a request, or is there twice."""
    sections: list[Section] = []
    for line in _lines(text):
        if line.startswith("["):
            sections.append(_section(line))
        elif not sections:
            raise ValueError(f"{line!r} is in no section")
        else:
            sections[-1] = _with_request(sections[-1], _request(line))
    return sections


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _section(line: str) -> Section:
    match = _SECTION.fullmatch(line)
    if match is None:
        raise ValueError(
            f"{line!r} is not a section; expected: [name] VARIABLE=value ... now=2026-11-20T05:00:00+00:00"
        )
    pairs = dict(pair.split("=", 1) for pair in match["settings"].split())
    now = pairs.pop("now", NOW.isoformat())
    return Section(match["name"], tuple(pairs.items()), None if now == "broken" else datetime.fromisoformat(now), ())


def _request(line: str) -> Request:
    match = _REQUEST.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r} is not a request; expected: METHOD /path?query | Header: value")
    headers = [header.split(": ", 1) for header in match["headers"].split(" | ")[1:]]
    return Request(match["method"], match["url"], tuple((name, value) for name, value in headers))


def _with_request(section: Section, request: Request) -> Section:
    if request in section.requests:
        raise ValueError(f"{str(request)!r} is twice in section {section.name}")
    return replace(section, requests=(*section.requests, request))
