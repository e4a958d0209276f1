"""The parameters with which a client of /tickers goes on where an answer ended: the next page, and what has changed."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from stockapi.api.queries import cursors
from stockapi.api.queries.parameters import Parameter, refusal
from stockapi.errors import QueryError
from stockapi.models.changes import Mark, Since
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.pages import PageRequest, Place
from stockapi.models.timestamps import parse_time, with_two_digits


class SealedParameter(Parameter):
    """A text that `cursors.sealed` made. It can be opened only when the rest of the query is known."""

    longest = cursors.MOST_CHARACTERS

    def __init__(self, *, description: str, **schema: object) -> None:
        super().__init__(lambda _, text: text, description=description, schema={"type": "string", **schema})


class WantedPage(NamedTuple):
    """A page. `until`: of later pages of changes, how far the first one reached."""

    request: PageRequest
    until: Mark | None = None


def parse_page(size: int | None, cursor: str | None, query: object) -> WantedPage | None:
    """The page that is asked for; None for the whole answer.

    :param query: all other parameters, parsed; its `repr` tells it from any other query.
    :raises QueryError: for a cursor that is not of this query.
    """
    if size is None:
        if cursor is not None:
            raise QueryError("cursor goes with page_size only; allowed: the address in the Link header, as it is")
        return None
    if cursor is None:
        return WantedPage(PageRequest(size))
    try:
        begun_at, symbol, time, *mark = cursors.opened(cursor, repr(query))
        until = Mark(mark[0], int(mark[1]), int(mark[2])) if mark else None
        return WantedPage(PageRequest(size, int(begun_at), Place(symbol, int(time))), until)
    except ValueError:
        allowed = "the one in the Link header of the page before, with the same other parameters"
        raise refusal("cursor", cursor, allowed) from None


def sealed_page(begun_at: int, last: Place, until: Mark | None, query: object) -> str:
    """The cursor of the page after `last`. `query`: as for `parse_page`."""
    return cursors.sealed((begun_at, *last, *(until or ())), repr(query))


def parse_since(text: str | None, data: Mapping[str, Any]) -> Since | None:
    """From when on changes are wanted; None for all bars. `data`: the other parameters of /tickers.

    :raises QueryError: for a text that is no time and no mark, and for a query whose changes nobody records.
    """
    if text is None:
        return None
    others = {
        "mode=all": data["mode"] is None,
        f"interval={data['interval'].value}": not isinstance(data["interval"], Interval),
        "ema=true": data["ema"],
        "indicators": data["indicators"],
        "closed=true": data["closed"],
        "cache=false": not data["cache"],
    }
    given = ", ".join(name for name, is_given in others.items() if is_given)
    if given:
        raise QueryError(
            f"updated_since does not go with {given}; allowed: one market, a stored interval (1D, 1H, 1m), "
            "start_date, end_date, page_size, and how the bars are written"
        )
    with suppress(ValueError):
        return parse_time(with_two_digits(text))
    try:
        database, seq, at = cursors.opened(text, _marks_of(data["mode"]))
        return Mark(database, int(seq), int(at))
    except ValueError:
        allowed = "the X-Updated-Until of an answer of the same market, or a time such as 2024-01-31T09:15:00Z"
        raise refusal("updated_since", text, allowed) from None


def sealed_mark(mark: Mark, mode: Mode) -> str:
    """The text that a client gives back as `updated_since`."""
    return cursors.sealed(mark, _marks_of(mode))


def _marks_of(mode: Mode) -> str:
    return f"changes of {mode.value}"
