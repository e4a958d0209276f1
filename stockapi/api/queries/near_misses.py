"""Names of parameters that are not quite those of a route: `symbols`, `symbol[]`, `start`, `intervall`.

A parameter that nobody knows is ignored. One of these must not be: without its `symbols` the query would be for the
whole market.
"""

import re
from collections.abc import Collection
from typing import Final

from stockapi.errors import QueryError

_OTHER_NAMES: Final = {
    "symbol": ("ticker", "code", "sym", "pair"),
    "interval": ("resolution", "timeframe", "tf", "period", "granularity"),
    "start_date": ("from", "begin", "since", "start_time", "date_from", "from_date"),
    "end_date": ("to", "until", "end_time", "date_to", "to_date"),
    "date": ("day",),
    "limit": ("count", "size", "page_size"),
    "columns": ("fields",),
    "indicators": ("studies", "ta"),
    "q": ("query", "search", "keyword", "text"),
    "query": ("q", "search", "keyword", "text"),
    "where": ("filter", "query", "condition", "expression"),
    "format": ("fmt",),
    "time": ("timestamp", "time_format", "time_form", "date_format", "time_unit"),
    "mode": ("market",),
    "sort_by": ("order_by", "sorting"),
    "direction": ("order",),
    "with_hour": ("hourly",),
    "trails": ("tail", "trail_length"),
    "benchmark": ("reference",),
}
"""What other programs call the same."""

_SHORTEST: Final = 4
"""Letters of names that may have a typing error: with fewer too many words are a letter apart."""
_LONG: Final = 6
"""Letters from which on there may be two typing errors."""
_MOST_LETTERS: Final = 40
_SHOWN_LETTERS: Final = 32
_BRACKETS: Final = re.compile(r"\[[^\]]*\]?$")
_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")


def require_no_near_miss(given: Collection[str], known: Collection[str]) -> None:
    """:raises QueryError: for names of parameters that are not known and resemble one that is."""
    refusals = [
        f"parameter {name[:_SHOWN_LETTERS]!r} is unknown; {' or '.join(meant)} was meant?"
        for name in given
        if name not in known and (meant := meant_by(name, known))
    ]
    if refusals:
        raise QueryError(f"{' '.join(refusals)} allowed: {', '.join(known)}")


def meant_by(name: str, known: Collection[str]) -> list[str]:
    """The known names that this one resembles, in their order; the most alike only."""
    words = _words(name)
    text = "".join(words)
    if not text or len(text) > _MOST_LETTERS:
        return []
    for is_alike in (_is_spelled_so, _is_other_name, _is_part, _is_mistyped):
        meant = [each for each in known if is_alike(text, words, each)]
        if meant:
            return meant
    return []


def _words(name: str) -> list[str]:
    """The words of a name in any spelling: `start_date`, `startDate`, `start-date`, `symbol[0]`."""
    bare = _BRACKETS.sub("", name.strip()[: 2 * _MOST_LETTERS])
    return [word.lower() for word in _WORDS.findall(bare)]


def _is_spelled_so(text: str, _: list[str], known: str) -> bool:
    """Also in the plural, or in the singular."""
    return text.removesuffix("s") == known.replace("_", "").removesuffix("s")


def _is_other_name(text: str, _: list[str], known: str) -> bool:
    names = [name.replace("_", "") for name in _OTHER_NAMES.get(known, ())]
    return text in names or text.removesuffix("s") in names


def _is_part(_: str, words: list[str], known: str) -> bool:
    """Some words of the name: `start`, `hour`, `min_volume_` of `min_volume`."""
    parts = known.split("_")
    runs = [parts[first:stop] for first in range(len(parts)) for stop in range(first + 1, len(parts) + 1)]
    singular = [*words[:-1], words[-1].removesuffix("s")]
    return singular in runs and len("".join(words)) > len("by")


def _is_mistyped(text: str, _: list[str], known: str) -> bool:
    plain = known.replace("_", "")
    most = 2 if len(plain) >= _LONG else 1
    return len(plain) >= _SHORTEST and abs(len(text) - len(plain)) <= most and _distance(text, plain) <= most


def _distance(one: str, other: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour, to make one text of the other.

    Optimal string alignment: https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance
    """
    before = list[int]()
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
