"""Find in the first lines of a file where its rows begin, and what each column has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Final

from stockapi.errors import LayoutError
from stockapi.formats.csv_header import Header, is_separator_line
from stockapi.formats.csv_numbers import Style, is_number, plain, style_of
from stockapi.formats.foreign.dialect import SEPARATORS, WANTED, OtherContentError, likeness_of, split
from stockapi.formats.foreign.layouts import LAYOUTS, Clue, Layout, Roles
from stockapi.formats.foreign.times import DateOrder, TimeReader, date_order, has_open_order, is_clock
from stockapi.models.fields import CSV_LAYOUTS, PRICE_FIELDS

HEAD_LINES: Final = 1_000
"""Lines in which a bar must be found, and from which dates and numbers are judged."""
_HEADER_WITHIN_LINES: Final = 50
_LINES_COMPARED: Final = 100
_ROWS_COMPARED: Final = 50
_YFINANCE: Final = ("ticker", "date", "datetime")
_LATEST: Final = 1 << 32
"""Of a moment in a row without a header, so that no other number is taken for one: in the year 2106."""
_NAMED_SEPARATOR: Final = re.compile(r"\"?sep=(.)\"?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Columns:
    """The places of the columns. `places`: as `Header.places`. `is_own`: exactly the columns of our own files, in
    order.
    """

    places: Mapping[str, int]
    width: int
    is_own: bool = False

    @classmethod
    def of_header(cls, header: Header) -> "Columns":
        names = tuple("ticker" if name == "symbol" else name.replace(" ", "_") for name in header.names)
        return cls(header.places, len(header.names), names in CSV_LAYOUTS)

    @classmethod
    def of_roles(cls, roles: Roles) -> "Columns":
        places = {role: place for place, role in enumerate(roles) if role}
        return cls(places, len(roles), len(roles) in map(len, CSV_LAYOUTS) and roles[:2] == ("ticker", "time"))


@dataclass(frozen=True)
class Start:
    """How to read a file. Properties that only some files need are computed when they are read.

    `first`: the index of the line with the first row. `lines`: the first rows, not yet split. `notes`: what the user
    should know. `ticker`: the ticker above the columns, if there is one.
    """

    layout: Layout
    separator: str
    columns: Columns
    first: int
    lines: Sequence[str]
    notes: tuple[str, ...] = ()
    ticker: str | None = None

    @cached_property
    def sample(self) -> Sequence[Sequence[str]]:
        """The first rows that have all columns."""
        return [row for row in split(self.lines, self.separator) if len(row) >= self.columns.width]

    def first_cells(self, role: str) -> list[str]:
        """The cells of the first rows in one column."""
        place = self.columns.places[role]
        return [row[place].strip() for row in self.sample]

    @cached_property
    def style(self) -> Style:
        numbers = list(chain.from_iterable(map(self.first_cells, (*PRICE_FIELDS, "volume"))))
        # Where commas separate columns, one within quotes is rather of thousands; beside ";" it is a decimal one.
        return style_of(numbers, Style.COMMA if self.separator == ";" else Style.POINT)

    @cached_property
    def order(self) -> DateOrder:
        """:raises LayoutError: when dates such as 05/11/2026 may mean two days."""
        times = self.first_cells("time")
        order = date_order(times)
        if order is None or (order is DateOrder.UNKNOWN and has_open_order(times)):
            shown = next(time for time in times if has_open_order([time]))
            raise LayoutError(f"has dates such as {shown!r}, of which nothing tells day from month; wanted: YYYY-MM-DD")
        return order


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The lines, split by one separator. `faulty`: the index of an incomplete header."""

    separator: str
    rows: Sequence[Sequence[str]]
    header: tuple[int, Header] | None = None
    faulty: tuple[int, Header] | None = None
    positions: tuple[Layout, Roles] | None = None

    @property
    def rank(self) -> tuple[int, int]:
        found = 3 if self.header else 2 if self.positions else 1 if self.faulty else 0
        return found, max(map(len, self.rows), default=0)


def find_start(lines: Sequence[str], wanted: Layout | None) -> Start:
    """Find the start. `lines`: the first lines of the file, without line ends. `wanted`: the only layout that is
    allowed.

    :raises LayoutError: when there is no header, and the first line that is not blank is no bar; when a header is
        incomplete; when days and months of dates cannot be told apart.
    :raises OtherContentError: when the file contains no table of bars.
    """
    first_lines = lines[:_LINES_COMPARED]
    candidates = (_candidate(first_lines, separator, wanted) for separator in _separators(first_lines))
    best = max(candidates, key=lambda each: each.rank)
    if best.header is not None:
        return _below_header(lines, best, *best.header, wanted)
    if best.positions is not None:
        return _without_header(lines, best, *best.positions)
    if best.faulty is not None:
        index, header = best.faulty
        raise LayoutError(f"its header (line {index + 1}: {lines[index].strip()[:120]}) {header.fault}; {WANTED}")
    likeness, is_other = likeness_of(lines, best.separator)
    raise (OtherContentError if is_other else LayoutError)(f"{likeness}; {WANTED}")


def _separators(lines: Sequence[str]) -> Sequence[str]:
    named = next((found for line in lines[:3] if (found := _NAMED_SEPARATOR.fullmatch(line.strip()))), None)
    return SEPARATORS if named is None else (named[1],)


def _candidate(lines: Sequence[str], separator: str, wanted: Layout | None) -> _Candidate:
    rows = split(lines, separator)
    faulty = None
    filled = [index for index, row in enumerate(rows) if any(cell.strip() for cell in row)]
    for index in filled[:_HEADER_WITHIN_LINES]:
        header = Header.of(rows[index]) if len(rows[index]) > 1 else None
        if header is not None and header.is_whole:
            return _Candidate(separator, rows, header=(index, header))
        faulty = faulty or (None if header is None else (index, header))
        if index == filled[0] and (positions := _positions(rows, index, wanted)) is not None:
            return _Candidate(separator, rows, positions=positions)
    return _Candidate(separator, rows, faulty=faulty)


def _positions(rows: Sequence[Sequence[str]], first: int, wanted: Layout | None) -> tuple[Layout, Roles] | None:
    """The columns by the first row, if most rows below agree. Otherwise its high and low may be right only by
    chance.
    """
    known = ((layout, roles) for layout in LAYOUTS if wanted in (layout, None) for roles in layout.rows)
    for layout, roles in known:
        if is_bar(rows[first], roles):
            alike = [row for row in rows[first : first + _ROWS_COMPARED] if len(row) == len(roles)]
            if 2 * sum(is_bar(row, roles) for row in alike) > len(alike):
                return layout, roles
    return None


def is_bar(cells: Sequence[str], roles: Roles) -> bool:
    """Whether a row without a header can only be a bar: it has a plausible time, and its high and low fit its prices.

    Dates such as 05/11/2026 count as times, although their day is not known yet.
    """
    row = {role: cell.strip() for role, cell in zip(roles, cells, strict=False) if role}
    if len(cells) != len(roles) or is_number(row.get("ticker", "x"), Style.POINT):
        return False
    style = style_of([row[name] for name in PRICE_FIELDS])
    if not all(is_number(row[name], style) for name in (*PRICE_FIELDS, "volume")):
        return False
    if "clock" in row and not is_clock(row["clock"]):
        return False
    try:
        moment, _ = TimeReader(date_order([row["time"]]) or DateOrder.UNKNOWN).moment(row["time"], row.get("clock"))
    except ValueError:
        if not has_open_order([row["time"]]):
            return False
        moment = 0
    opened, high, low, close = (float(plain(row[name], style)) for name in PRICE_FIELDS)
    return 0 <= moment < _LATEST and 0 <= low <= min(opened, close) and max(opened, close) <= high


def _below_header(lines: Sequence[str], found: _Candidate, index: int, header: Header, wanted: Layout | None) -> Start:
    clue = Clue(header, next(line for line in lines if line.strip() and not is_separator_line(line)), found.separator)
    layout = _layout_of(clue, wanted)
    first, ticker = _first_row(found.rows, index, header)
    notes = (layout.note,) if layout.note else ()
    columns = Columns.of_header(header)
    start = Start(layout, found.separator, columns, first, lines[first : first + HEAD_LINES], notes, ticker)
    if "clock" in columns.places and not all(map(is_clock, start.first_cells("clock")[:1])):
        places = {role: place for role, place in columns.places.items() if role != "clock"}
        places["time"] = columns.places["clock"]  # a column "time" that has more than the time of day
        return replace(start, columns=replace(columns, places=places))
    if "tickvol" in header.names and not set(start.first_cells("volume")) - {"", "0"}:
        places = {**columns.places, "volume": header.names.index("tickvol")}
        notes = (*notes, "VOL is 0, so TICKVOL was taken")
        return replace(start, columns=replace(columns, places=places), notes=notes)
    return start


def _layout_of(clue: Clue, wanted: Layout | None) -> Layout:
    """:raises LayoutError: when the file cannot have the wanted layout."""
    likely = next(each for each in LAYOUTS if each.is_it(clue))
    if wanted is None or wanted.is_it(clue):
        return wanted or likely
    if likely.is_common:
        return wanted
    raise LayoutError(f"looks like {likely.title}; wanted: {wanted.title} (--format {wanted.name})")


def _first_row(rows: Sequence[Sequence[str]], index: int, header: Header) -> tuple[int, str | None]:
    """The index of the first row below the header, and the ticker in the second of the three header lines of yfinance.

    :raises LayoutError: when the columns belong to several tickers.
    """
    first, ticker = index + 1, None
    while header.names[0] == "price" and first < len(rows) and rows[first] and rows[first][0].lower() in _YFINANCE:
        if rows[first][0].lower() == "ticker":
            tickers = {cell.strip() for cell in rows[first][1:] if cell.strip()}
            if len(tickers) > 1:
                raise LayoutError(f"has columns of several tickers side by side; {WANTED}")
            ticker = next(iter(tickers), None)
        first += 1
    return first, ticker


def _without_header(lines: Sequence[str], found: _Candidate, layout: Layout, roles: Roles) -> Start:
    first = next(index for index, row in enumerate(found.rows) if any(cell.strip() for cell in row))
    return Start(layout, found.separator, Columns.of_roles(roles), first, lines[first : first + HEAD_LINES])
