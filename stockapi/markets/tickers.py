"""Which tickers there are, in which sector, and what the companies and coins are called.

Two JSON files come with the project; `TICKER_GROUPS_FILE` and `CRYPTO_LIST_FILE` put others in their place:

* `ticker_group.json`: an object, group name to symbols. Tickers of HOSE, HNX and UPCOM, each in one sector, in
  alphabetical order; the indices in INDEX.
* `crypto_top_100.json`: an array of symbols in rank order, by market capitalisation as it roughly was at the end of
  2025. Stablecoins and wrapped coins are left out: a price of one dollar, or that of another coin, needs no chart.

`vn_names.json` and `crypto_names.json` come with the project: objects, symbol to name, with a name for every symbol of
those two. Names are those in common use, in English where there is one, of 60 characters at most.

Each call reads a file of one's own anew, which takes some 400 microseconds: nothing is kept that could go stale.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Protocol

from stockapi.errors import ConfigError
from stockapi.markets import market_of
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, is_symbol

_ALLOWED_GROUPS: Final = (
    f"a JSON object, group name to a list of different symbols, none empty; a symbol is {ALLOWED_SYMBOL}"
)
_ALLOWED_LIST: Final = f"a JSON array of different symbols, not empty; a symbol is {ALLOWED_SYMBOL}"


class FileSettings(Protocol):
    """Of the settings, what is needed here."""

    def groups_file(self, mode: Mode) -> Path | None:
        """A file of one's own, in the place of the built-in list of a market."""
        ...


def groups_for(mode: Mode, settings: FileSettings) -> dict[str, list[str]]:
    """Symbols of each group of a market, in the order of the file; a plain list is one group, in rank order.

    A file of one's own may list a symbol in several groups, but in each only once.

    :raises ConfigError: when the file cannot be read or is not what the built-in one is.
    """
    own = settings.groups_file(mode)
    groups = _built_in_groups(mode) if own is None else _groups_in(own, mode)
    return {group: [*symbols] for group, symbols in groups.items()}


@cache
def _built_in_groups(mode: Mode) -> dict[str, list[str]]:
    """The same for as long as the program runs; to read them took 0.4 ms of every analysis."""
    return _groups_in(built_in(market_of(mode).groups_file), mode)


def _groups_in(source: Traversable, mode: Mode) -> dict[str, list[str]]:
    market = market_of(mode)
    name, group = (market.settings.groups_file or market.groups_file).upper(), market.list_group
    allowed = _ALLOWED_GROUPS if group is None else _ALLOWED_LIST
    try:
        value = read_json(source)
        return _groups(value) if group is None else {group: _symbols("the list", value)}
    except OSError as exc:
        raise ConfigError(f"{name}={str(source)!r} cannot be read: {exc.strerror}; allowed: {allowed}") from exc
    except ValueError as exc:
        raise ConfigError(f"{name}={str(source)!r} is not allowed: {exc}; allowed: {allowed}") from exc


def tickers_for(mode: Mode, settings: FileSettings) -> list[str]:
    """Every symbol of the market's groups once, in their order.

    :raises ConfigError: as `groups_for`.
    """
    return list(sector_of(groups_for(mode, settings)))


def sector_of(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The group of each symbol, in the order of the groups; of several groups the first."""
    sectors: dict[str, str] = {}
    for group, symbols in groups.items():
        for symbol in symbols:
            sectors.setdefault(symbol, group)
    return sectors


def names_for(mode: Mode, settings: FileSettings) -> dict[str, str]:
    """The name of each symbol of the market's groups, in alphabetical order of the symbols.

    A symbol that a list of one's own has, and the project has no name for, is left out.

    :raises ConfigError: as `groups_for`.
    """
    names = read_json(built_in(market_of(mode).names_file))
    return {symbol: names[symbol] for symbol in sorted(tickers_for(mode, settings)) if symbol in names}


def built_in(name: str) -> Traversable:
    """A file of data that comes with the project."""
    return files("stockapi") / "data" / name


def read_json(source: Traversable) -> Any:
    """What a JSON file holds.

    :raises OSError: when it cannot be read.
    :raises ValueError: when it is not JSON in UTF-8, or an object in it has a name twice.
    """
    # Editors on Windows begin UTF-8 files with a byte order mark.
    return json.loads(source.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # The json module would keep the last of two groups of one name and drop the tickers of the first.
    names = [name for name, _ in pairs]
    _require_unique("the object", names)
    return dict(pairs)


def _groups(value: object) -> dict[str, list[str]]:
    if not isinstance(value, dict) or not value:
        raise ValueError("it is not an object, or an empty one")
    return {group: _symbols(f"group {group!r}", symbols) for group, symbols in value.items()}


def _symbols(where: str, value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where} is not an array, or an empty one")
    for item in value:
        if not isinstance(item, str) or not is_symbol(item):
            raise ValueError(f"{where} holds {item!r:.40}")
    _require_unique(where, value)
    return value


def _require_unique(where: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{where} holds {name!r} twice")
        seen.add(name)
