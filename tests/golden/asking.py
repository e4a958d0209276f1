"""Puts requests to an application and notes what its answers promise."""

import gzip
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import brotli  # type: ignore[import-untyped]
from backports import zstd
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from stockapi import create_app
from tests.golden.market import settings
from tests.golden.table import Request, Section

_DECODE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}
_PAGES: Final = ("/docs", "/explorer", "/assets/")
"""Their content is for people: what is promised of it is how it may be kept and what a browser may do with it."""
_VARIES: Final = "<varies>"
# What the machine, the time an answer takes and the layout of a database file have a part in.
_VARYING: Final = (
    re.compile(
        rb'("(?:memory_usage_bytes|memory_usage_mb|memory_limit_mb|memory_usage_percent|uptime_secs|size_bytes)":)'
        rb"[0-9.]+"
    ),
    re.compile(
        rb"(?m)^((?:stockapi_http_request_duration_seconds_(?:bucket|sum)|stockapi_database_wal_size_bytes)\{.*\} )\S+$"
    ),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: by name, in alphabetical order. `body`: not compressed; what varies is replaced in both."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def without(self, name: str) -> "Answer":
        """The same but for one header."""
        return Answer(self.status, {each: value for each, value in self.headers.items() if each != name}, self.body)


Answers = dict[str, Answer]
"""By `[section] request`, in the order in which they were asked."""


def ask_all(directory: Path, sections: Iterable[Section]) -> Answers:
    return {request: answer for section in sections for request, answer in ask(directory, section).items()}


def ask(directory: Path, section: Section) -> Answers:
    """The answers of one application over the market in this directory, to one request after the other."""
    app = create_app(settings(directory, section.settings), clock=_clock(section.now))
    client = app.test_client()
    return {
        f"[{section.name}] {request}": _noted(request, _answered(client, request), directory)
        for request in section.requests
    }


def _clock(now: datetime | None) -> Callable[[], datetime]:
    def clock() -> datetime:
        if now is None:
            raise RuntimeError("the clock is broken")
        return now

    return clock


def _answered(client: FlaskClient, request: Request) -> TestResponse:
    headers = dict(request.headers)
    if "$etag" in headers.get("If-None-Match", ""):
        others = {name: value for name, value in headers.items() if name != "If-None-Match"}
        tag = client.open(_url(client, request.url), method=request.method, headers=others).headers["ETag"]
        headers["If-None-Match"] = headers["If-None-Match"].replace("$etag", tag)
    return client.open(_url(client, request.url), method=request.method, headers=headers)


def _url(client: FlaskClient, url: str) -> str:
    """With the version of a bundle of assets, which is a digest of files, in the place of `$version`."""
    if "$version" not in url:
        return url
    bundle = url.split("/")[2]
    pages = client.get("/explorer").text + client.get("/docs").text
    (version, *_) = re.findall(rf"/assets/{bundle}/(\w+)/", pages)
    return url.replace("$version", version)


def _noted(request: Request, response: TestResponse, directory: Path) -> Answer:
    is_page = request.url.startswith(_PAGES) and response.status_code < 400
    headers = dict(response.headers.items())
    assert len(headers) == len(response.headers), f"{request}: a header is there twice: {response.headers}"
    length = headers.pop("Content-Length", "")
    if is_page and "ETag" in headers:
        headers["ETag"] = _VARIES
    elif request.method == "HEAD" and "ETag" in headers:  # else the body tells it, or it varies
        headers["Content-Length"] = length
    if "X-Updated-Until" in headers:  # the name of the database is a number at random
        headers |= {name: _VARIES for name in ("X-Updated-Until", "Link") if name in headers}
    if "Allow" in headers:  # the order of a set, another one in each process
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    body = _VARIES.encode() if is_page and response.data else _body(response, directory)
    return Answer(response.status_code, dict(sorted(headers.items())), body)


def _body(response: TestResponse, directory: Path) -> bytes:
    decode = _DECODE.get(response.headers.get("Content-Encoding", "identity"), bytes)
    # No answer to HEAD has a body, whatever its headers say of one.
    body = decode(response.data) if response.data else b""
    for name in _names(directory):
        body = body.replace(name.encode(), b"<stores>")
    for pattern in _VARYING:
        body = pattern.sub(rb"\1" + _VARIES.encode(), body)
    return body


def _names(directory: Path) -> list[str]:
    """In full, and as /health has it: relative to the working directory where it lies beneath that."""
    is_beneath = directory.is_relative_to(Path.cwd())
    return [str(directory), *([str(directory.relative_to(Path.cwd()))] if is_beneath else [])]
