"""A copy of a market that is kept by `updated_since`, as a client keeps it: by what docs/api.md promises alone."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin

Bars = dict[str, dict[str, dict[str, Any]]]
"""By symbol, then by time; no symbol without bars."""


class Reply(NamedTuple):
    """An answer of the server: status, headers, and the body as text."""

    status: int
    headers: Mapping[str, str]
    body: str


Get = Callable[[str], Reply]
"""Takes a path with its query."""


@dataclass
class Mirror:
    """`query`: further parameters of each request, such as `interval=1m&page_size=100`. `refused`: how often the server
    could not say what has changed.
    """

    get: Get
    query: str = ""
    since: str = "1970-01-01"
    bars: Bars = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    """What the last poll told in X-Replaced, X-Renamed and X-Behind."""
    rows: int = 0
    """How many bars the last poll had."""
    refused: int = 0

    def poll(self) -> bool:
        """Bring the copy up to date. Returns False, with the copy as it was, when the server cannot tell."""
        until, path = "", f"/tickers?{self.query}&updated_since={quote(self.since)}"
        self.told, self.rows = [], 0
        while path:
            reply = self.get(path)
            if reply.status == 503:
                self.refused += 1
                return False
            assert reply.status == 200, reply
            assert reply.headers["Cache-Control"] == "no-store"
            self._take(reply)
            until = until or reply.headers["X-Updated-Until"]
            assert until == reply.headers["X-Updated-Until"]
            link = reply.headers.get("Link")
            path = urljoin("/tickers", link[1:].split(">")[0]) if link else ""
        self.since = until
        return True

    def _take(self, reply: Reply) -> None:
        for name in ("X-Replaced", "X-Renamed", "X-Behind"):
            self.told += [f"{name[2:]} {text}" for text in reply.headers.get(name, "").split(", ") if text]
        replaced = [text for text in reply.headers.get("X-Replaced", "").split(", ") if text]
        for symbol in list(self.bars) if replaced == ["*"] else replaced:
            self.bars.pop(symbol, None)
        for symbol, rows in json.loads(reply.body).items():
            self.rows += len(rows)
            self.bars.setdefault(symbol, {}).update({row["time"]: row for row in rows})


def bars_of(body: str) -> Bars:
    """The bars of a whole answer in the form of a copy."""
    return {symbol: {row["time"]: row for row in rows} for symbol, rows in json.loads(body).items()}
