"""The table of the layouts that are recognised. docs/import.md describes each of them, with an example."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from stockapi.formats.csv_header import NEEDED, Header
from stockapi.models.fields import CSV_LAYOUTS, PRICE_FIELDS

Roles = tuple[str, ...]
_OHLCV: Final = (*PRICE_FIELDS, "volume")
_KNOWN: Final = frozenset(("ticker", "period", "clock", *NEEDED))


@dataclass(frozen=True, slots=True)
class Clue:
    """What tells which program wrote a file: the header, and the lines before it. `first`: the first line."""

    header: Header
    first: str
    separator: str

    def names(self, *names: str) -> bool:
        return set(names) <= set(self.header.names)


class Pairs(Enum):
    """Which symbols in files of a layout are pairs of coins without a separator: all, some or none."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


def _never(_: Clue) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to write bars into files.

    `is_it`: whether a header has this layout. `is_common`: other layouts have the same header, so `--format` may name
    another one for such a file.
    `rows`: the columns of rows without a header; "" for a column that is not read.
    `file_name`: a pattern for the stem of a file, with the groups "ticker" and "interval".
    `pairs`: whether symbols are pairs of coins such as BTCUSDT.
    `note`: what the user should know about the columns that are read.
    """

    name: str
    title: str
    is_it: Callable[[Clue], bool] = _never
    is_common: bool = False
    rows: tuple[Roles, ...] = ()
    file_name: re.Pattern[str] | None = None
    pairs: Pairs = Pairs.NONE
    note: str = ""


def _own(clue: Clue) -> bool:
    names = tuple("ticker" if name == "symbol" else name.replace(" ", "_") for name in clue.header.names)
    return any(names[: len(layout)] == layout for layout in CSV_LAYOUTS) or names[:3] == ("mode", "ticker", "time")


def _is_date_and_ohlcv(clue: Clue) -> bool:
    """Whether the header has exactly these six names, in English or Polish."""
    names, places = clue.header.names, clue.header.places
    in_order = [places.get(role) for role in NEEDED] == [*range(len(NEEDED))]
    return in_order and len(names) == len(NEEDED) and names[0] in ("date", "data")


def _read(columns: Sequence[str]) -> Roles:
    return tuple(name if name in _KNOWN else "" for name in columns)


OWN: Final = Layout(
    "stockapi",
    "files and CSV answers of stockapi",
    _own,
    is_common=True,
    rows=tuple(map(_read, CSV_LAYOUTS)),
    file_name=re.compile(r"tickers_(?P<interval>[0-9]+[A-Za-z]+)(?:[ (_-].*)?"),
)
LAYOUTS: Final = (
    OWN,
    Layout(
        "yahoo",
        "Yahoo Finance",
        lambda clue: clue.names("adj close") or clue.header.names[0] == "price",
        note="Close was taken, the one that open, high and low belong to; Adj Close was not",
    ),
    Layout(
        "cryptodatadownload",
        "CryptoDataDownload",
        lambda clue: "cryptodatadownload" in clue.first.lower() or clue.names("unix", "symbol"),
        file_name=re.compile(
            r"[A-Za-z]+_(?P<ticker>[A-Z0-9]+)_(?:\d{4}_)?(?P<interval>d|1h|minute|1hour|hour|1min)", re.ASCII
        ),
        pairs=Pairs.ALL,
    ),
    Layout(
        "binance",
        "klines of Binance",
        lambda clue: clue.names("open time", "close time"),
        rows=(("time", *_OHLCV, "", "", "", "", "", ""),),
        file_name=re.compile(
            r"(?P<ticker>[A-Z0-9]+)-(?P<interval>\d+[a-zA-Z]+)(?:-\d{4}-\d{2}(?:-\d{2})?)?(?: ?\(\d+\))?", re.ASCII
        ),
        pairs=Pairs.ALL,
    ),
    Layout(
        "metatrader",
        "MetaTrader",
        lambda clue: clue.names("tickvol") or (clue.separator == "\t" and clue.names("date", "spread")),
        rows=(("time", "clock", *_OHLCV),),
        file_name=re.compile(r"(?P<ticker>[^_]+?)_?(?P<interval>M1|H1|D1|Daily|M5|M15|M30|H4|W1|MN1|1440|60)(?:_.*)?"),
        pairs=Pairs.SOME,
    ),
    Layout(
        "stooq",
        "Stooq",
        lambda clue: clue.names("per", "openint", "date") or _is_date_and_ohlcv(clue),
        is_common=True,
        rows=(
            ("ticker", "period", "time", "clock", *_OHLCV, ""),
            ("ticker", "period", "time", "clock", *_OHLCV),
        ),
        file_name=re.compile(r"(?P<ticker>[^_]+)_(?P<interval>[dwmqy])"),
        pairs=Pairs.SOME,
    ),
    Layout(
        "metastock",
        "AmiBroker, MetaStock and CafeF",
        lambda clue: "<" in clue.first or clue.names("dtyyyymmdd"),
        rows=(
            ("ticker", "time", "clock", *_OHLCV),
            ("ticker", "period", "time", *_OHLCV),
            ("ticker", "time", *_OHLCV, ""),
            ("ticker", "time", *_OHLCV),
        ),
    ),
    Layout(
        "tradingview",
        "TradingView",
        lambda clue: clue.header.names[:5] == ("time", *PRICE_FIELDS),
        is_common=True,
        file_name=re.compile(r"(?:[A-Z0-9]+_)*(?P<ticker>[A-Z0-9.!]+), (?P<interval>\w+?)(?:[ _(].*)?", re.ASCII),
        pairs=Pairs.SOME,
    ),
    Layout("table", "a table with a header", lambda _: True, is_common=True, rows=(("time", *_OHLCV),)),
)
"""In the order in which they are tried."""

BY_NAME: Final = {layout.name: layout for layout in LAYOUTS} | {
    alias: layout for layout in LAYOUTS if layout.name == "metastock" for alias in ("amibroker", "cafef")
}
