"""The header of a file: the meaning of each name, and the missing names.

Columns are found by name, never by position. A name may have any case, quotes, <>, blanks, dots or underscores, and may
be English, Polish or Vietnamese.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from stockapi.models.fields import PRICE_FIELDS

NEEDED: Final = ("time", *PRICE_FIELDS, "volume")
"""The columns that every file must have. The name of the file may give the ticker."""

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "ticker": ("ticker", "symbol", "code", "stock", "instrument", "ma ck", "ma chung khoan", "ma co phieu"),
    "period": ("per", "period"),
    "mode": ("mode",),
    "time": (
        *(
            "time",
            "timestamp",
            "unix",
            "unix timestamp",
            "open time",
            "opentime",
            "datetime",
            "date time",
            "date/time",
            "gmt time",
        ),
        *("date", "dtyyyymmdd", "trading date", "tradingdate", "ngay", "ngay giao dich", "thoi gian", "data"),
    ),
    "open": ("open", "o", "open price", "mo", "mo cua", "gia mo cua", "otwarcie"),
    "high": ("high", "h", "high price", "cao", "cao nhat", "gia cao nhat", "najwyzszy"),
    "low": ("low", "l", "low price", "thap", "thap nhat", "gia thap nhat", "najnizszy"),
    "close": ("close", "c", "close price", "close/last", "last", "dong cua", "gia dong cua", "zamkniecie"),
    "volume": (
        *("volume", "vol", "v", "base volume", "volumefrom", "khoi luong", "khoi luong giao dich", "kl", "klgd"),
        *("wolumen", "tickvol", "tick volume"),
    ),
}
"""The names of each column, the preferred one first."""

_DATES: Final = frozenset(("date", "dtyyyymmdd", "trading date", "tradingdate", "ngay", "ngay giao dich", "data"))
_CLOCKS: Final = ("time", "clock", "hour", "gio", "hhmmss", "timehhmmss")
_INDEX_NAMES: Final = ("", "index", "unnamed: 0", "price")
"""Of the first column, as pandas writes the times of a frame; "price" is in the first of yfinance's three lines."""
_LIKE_A_NUMBER: Final = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?%?")
"""In any notation, with separators of thousands or a percent sign, so that no row passes for a header. What a value may
be, `csv_numbers` says.
"""
_VOLUME_OF: Final = re.compile(r"[Vv]olume[ _]\(?([A-Z0-9]{2,10})\)?", re.ASCII)
_NO_COINS: Final = frozenset(("USD", "USDT", "USDC", "BUSD", "TUSD", "FDUSD", "EUR", "VND", "MA", "SMA", "EMA"))
_SEPARATOR_LINE: Final = re.compile(r"\"?sep=.\"?", re.IGNORECASE)
_LEAST_NAMES: Final = 2
"""A line is a header if it names at least this many of the needed columns."""


@dataclass(frozen=True, slots=True)
class Header:
    """The columns that a line names.

    `places`: the column number of each of `NEEDED`; of "ticker", "period" and "mode" if they exist; of "clock" if the
    time of day has its own column. `missing`: the names of `NEEDED` that have no column. `twice`: a name of a column in
    `places` that another column has too; None when there is none.
    """

    names: tuple[str, ...]
    places: Mapping[str, int]
    missing: tuple[str, ...]
    twice: str | None

    @property
    def is_whole(self) -> bool:
        return not self.missing and self.twice is None

    @property
    def fault(self) -> str:
        """What is wrong, as the end of a sentence that begins with "the header"."""
        if self.twice is not None:
            return f"names {self.twice!r} twice"
        return f"lacks {', '.join(self.missing)}"

    @classmethod
    def of(cls, cells: Sequence[str]) -> Self | None:
        """The header; None when the line is not one: it has a number, or fewer than two names of needed columns."""
        if any(_LIKE_A_NUMBER.fullmatch(cell.strip()) for cell in cells):
            return None
        names = tuple(map(plain_name, cells))
        places = {role: place for role in _ALIASES if (place := _place_of(role, names)) is not None}
        if "volume" not in places and (volume := _volume_of_coins(cells)) is not None:
            places["volume"] = volume
        clock = _clock_of(names)
        if clock is not None:
            places["time"] = next(place for place, name in enumerate(names) if name in _DATES)
            places["clock"] = clock
        if "time" not in places and names[0] in _INDEX_NAMES and "close" in places:
            places["time"] = 0
        if len(places.keys() & set(NEEDED)) < _LEAST_NAMES:
            return None
        used = {names[place] for place in places.values()}
        twice = next((name for name in names if name in used and names.count(name) > 1), None)
        return cls(names, places, tuple(role for role in NEEDED if role not in places), twice)


def is_separator_line(line: str) -> bool:
    """Whether the line only tells Excel the separator of the file, for example `sep=;`."""
    return _SEPARATOR_LINE.fullmatch(line.strip()) is not None


def plain_name(cell: str) -> str:
    """The name in lower case, without accents, brackets, quotes and a final dot, and with single blanks."""
    text = unicodedata.normalize("NFD", cell.casefold().replace("đ", "d").replace("ł", "l"))
    text = "".join(letter for letter in text if not unicodedata.combining(letter) and letter not in "<>\"'\ufeff")
    return " ".join(re.split(r"[\s_]+", text)).strip(" .#")


def _place_of(role: str, names: Sequence[str]) -> int | None:
    return next((names.index(alias) for alias in _ALIASES[role] if alias in names), None)


def _volume_of_coins(cells: Sequence[str]) -> int | None:
    """The column of the volume in coins: "Volume BTC" beside "Volume USDT", or "Volume_(BTC)"; None without one."""
    found = ((place, _VOLUME_OF.fullmatch(cell.strip())) for place, cell in enumerate(cells))
    return next((place for place, name in found if name is not None and name[1] not in _NO_COINS), None)


def _clock_of(names: Sequence[str]) -> int | None:
    """The column of the time of day; None without one, or without a column of the date."""
    if not _DATES.intersection(names):
        return None
    return next((names.index(name) for name in _CLOCKS if name in names), None)
