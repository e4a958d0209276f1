"""What is listed on each market: every ticker that is known, with its names, its exchange and its sector.

`data/<market>_listings.tsv` of this project has a line for each, gathered from public listings up to July 2026, with
tabs between its columns. Columns that a market does not need are absent. The lines are in the order in which groups
show their symbols: stocks by symbol, coins by rank.

| column | |
|---|---|
| symbol | the present one |
| type | `stock`, `index`, `future`, `coin`; `pegged` for a coin whose price is that of a currency or of gold |
| exchange | `HOSE`, `HNX`, `UPCOM` |
| followed | `yes`: the workers ask the sources for it, unless a list of the settings replaces the built-in |
| sector | its group, by the name that clients of the old API use |
| industry | a later grouping of the old API, with names of its own; of 381 stocks |
| indices | indices that it is counted in, with blanks between: its exchange's, and VN30 as of 2 February 2026 |
| rank | place of a coin by market capitalisation |
| pair | its pair with USDT at Binance; `none`: there is none; empty: not known |
| delisted | since when it no longer trades, as far as that is known (2026-01); coins: at Binance |
| former | earlier symbols, with blanks between. Their bars continue in this one, at the same price |
| short_name | what people call it, in ASCII, if that is not `name` |
| name | in English, in full |
| name_vi | in Vietnamese, with accents |

BTT is no former symbol of BTTC: a thousand of the new coins are one of the old.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from sys import intern
from typing import Final, NamedTuple

from stockapi.markets import market_of
from stockapi.models.mode import Mode

LISTED: Final = "listed"
DELISTED: Final = "delisted"
STOCK: Final = "stock"
NO_PAIR: Final = "none"
_POINTS: Final = ("index", "future")


class Listing(NamedTuple):
    """One ticker. None, or an empty tuple, where nothing is known or the market has nothing of the kind.

    `name`, `name_vi`: in full. `short_name`: what people call it; `name` if that is the same.
    `currency`: of its price, ISO 4217; None for indices and futures, which are points.
    `status`: LISTED or DELISTED. `delisted`: since when, `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    `pair`: at Binance; NO_PAIR when Binance has none. The other fields are as the columns above.
    """

    symbol: str
    mode: Mode
    type: str | None
    exchange: str | None
    sector: str | None
    industry: str | None
    indices: tuple[str, ...]
    currency: str | None
    rank: int | None
    pair: str | None
    delisted: str | None
    former_names: tuple[str, ...]
    short_name: str
    name: str
    name_vi: str | None
    is_followed: bool

    @property
    def status(self) -> str:
        return LISTED if self.delisted is None else DELISTED


def listing(mode: Mode, symbol: str) -> Listing | None:
    """The ticker with this symbol, or with this former symbol. None when it is not known."""
    listed = listings(mode)
    return listed.get(symbol) or listed.get(former_symbols(mode).get(symbol, ""))


def unlisted(mode: Mode, symbol: str, *, is_index: bool) -> Listing:
    """What is known of a ticker that is not listed here: nothing but that it is traded, and in which currency."""
    return Listing(
        symbol=symbol,
        mode=mode,
        type="index" if is_index else None,
        exchange=None,
        sector=None,
        industry=None,
        indices=(),
        currency=None if is_index else market_of(mode).currency,
        rank=None,
        pair=None,
        delisted=None,
        former_names=(),
        short_name=symbol,
        name=symbol,
        name_vi=None,
        is_followed=False,
    )


@cache
def listings(mode: Mode) -> Mapping[str, Listing]:
    """All tickers of a market that are known, by symbol, in the order of the file. Read at the first call."""
    text = (files("stockapi") / "data" / market_of(mode).listings_file).read_text(encoding="utf-8")
    header, *lines = text.splitlines()
    columns = header.split("\t")
    rows = (dict(zip(columns, line.split("\t"), strict=True)) for line in lines)
    return {row["symbol"]: _listing(mode, row) for row in rows}


@cache
def former_symbols(mode: Mode) -> Mapping[str, str]:
    """Former symbols of a market, each with the present one."""
    return {former: each.symbol for each in listings(mode).values() for former in each.former_names}


def _listing(mode: Mode, row: Mapping[str, str]) -> Listing:
    # A few words are in most lines: `intern` keeps each once.
    return Listing(
        symbol=row["symbol"],
        mode=mode,
        type=intern(row["type"]),
        exchange=intern(row.get("exchange", "")) or None,
        sector=intern(row["sector"]) or None,
        industry=intern(row.get("industry", "")) or None,
        indices=tuple(map(intern, row.get("indices", "").split())),
        currency=None if row["type"] in _POINTS else market_of(mode).currency,
        rank=int(row["rank"]) if row.get("rank") else None,
        pair=row.get("pair") or None,
        delisted=row["delisted"] or None,
        former_names=tuple(row.get("former", "").split()),
        short_name=row.get("short_name") or row["name"],
        name=row["name"],
        name_vi=row.get("name_vi") or None,
        is_followed=row["followed"] == "yes",
    )
