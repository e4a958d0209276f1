"""The tickers of each market, their sectors, and the names of the companies and coins.

The tickers are in two JSON files of this project. `TICKER_GROUPS_FILE` and `CRYPTO_LIST_FILE` replace them:

* `ticker_group.json`: an object from the name of a group to its symbols. It has tickers of HOSE, HNX and UPCOM. Each is
    in one sector, in alphabetical order. The indices are in the group INDEX.
* `crypto_top_100.json`: an array of symbols, roughly in the order of their market capitalisation at the end of 2025.
    Stablecoins and wrapped coins are left out: their price is one dollar, or that of another coin.

`vn_names.json` and `crypto_names.json` are objects from symbol to name, with every symbol of those two files. They have
the common names, in English if there is one, with at most 60 characters.

A file of a setting is read again at each call, in about 400 microseconds. So a change of the file has effect at once.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Protocol

from stockapi.errors import ConfigError
from stockapi.machine import read_regular
from stockapi.markets import market_of
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, is_symbol

_ALLOWED_GROUPS: Final = (
    f"a JSON object, group name to a list of different symbols, none empty; a symbol is {ALLOWED_SYMBOL}"
)
_ALLOWED_LIST: Final = f"a JSON array of different symbols, not empty; a symbol is {ALLOWED_SYMBOL}"


class FileSettings(Protocol):
    """The part of the settings that this module needs."""

    def groups_file(self, mode: Mode) -> Path | None:
        """The file that replaces the built-in list of the market; None when there is none."""
        ...


def groups_for(mode: Mode, settings: FileSettings) -> dict[str, list[str]]:
    """The symbols of each group of a market, in the order of the file. A plain list is one group, in the order of rank.

    In the file of a setting, a symbol may be in several groups, but only once in each.

    :raises ConfigError: when the file cannot be read, or does not have the form of the built-in one.
    """
    own = settings.groups_file(mode)
    groups = _built_in_groups(mode) if own is None else _groups_in(own, mode)
    return {group: [*symbols] for group, symbols in groups.items()}


@cache
def _built_in_groups(mode: Mode) -> dict[str, list[str]]:
    """Read once for each process: to read them took 0.4 ms of every analysis."""
    return _groups_in(built_in(market_of(mode).groups_file), mode)


def _groups_in(source: Traversable, mode: Mode) -> dict[str, list[str]]:
    market = market_of(mode)
    name, group = (market.settings.groups_file or market.groups_file).upper(), market.list_group
    allowed = _ALLOWED_GROUPS if group is None else _ALLOWED_LIST
    try:
        value = read_json(source)
        return _groups(value) if group is None else {group: _ranked(value)}
    except OSError as exc:
        raise ConfigError(f"{name}={str(source)!r} cannot be read: {exc.strerror}; allowed: {allowed}") from exc
    except ValueError as exc:
        raise ConfigError(f"{name}={str(source)!r} is not allowed: {exc}; allowed: {allowed}") from exc


def tickers_for(mode: Mode, settings: FileSettings) -> list[str]:
    """Every symbol of the groups of the market, once, in the order of the groups.

    :raises ConfigError: as `groups_for`.
    """
    return list(sector_of(groups_for(mode, settings)))


def sector_of(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The group of each symbol, in the order of the groups. A symbol in several groups has the first of them."""
    sectors: dict[str, str] = {}
    for group, symbols in groups.items():
        for symbol in symbols:
            sectors.setdefault(symbol, group)
    return sectors


def names_for(mode: Mode, settings: FileSettings) -> dict[str, str]:
    """The name of each symbol of the groups of the market, in alphabetical order of the symbols.

    A symbol without a name in this project is left out. It can only come from the file of a setting.

    :raises ConfigError: as `groups_for`.
    """
    names = read_json(built_in(market_of(mode).names_file))
    return {symbol: names[symbol] for symbol in sorted(tickers_for(mode, settings)) if symbol in names}


def built_in(name: str) -> Traversable:
    """The path of a data file of this project."""
    return files("stockapi") / "data" / name


def read_json(source: Traversable) -> Any:
    """The parsed content of a JSON file.

    :raises OSError: when it cannot be read.
    :raises ValueError: when it is not JSON in UTF-8, or when an object in it has the same name twice.
    """
    text = (read_regular(source) if isinstance(source, Path) else source.read_bytes()).decode("utf-8-sig")
    # Editors on Windows write a byte order mark at the start of UTF-8 files.
    return json.loads(text, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # If two groups have the same name, the json module alone would keep the last and drop the tickers of the first.
    names = [name for name, _ in pairs]
    _require_unique("the object", names)
    return dict(pairs)


def _groups(value: object) -> dict[str, list[str]]:
    if not isinstance(value, dict) or not value:
        raise ValueError("it is not an object, or an empty one")
    return {group: _symbols(f"group {group!r}", symbols) for group, symbols in value.items()}


def _ranked(value: object) -> list[str]:
    """The symbols of a list of coins, in upper case.

    The list is an array of symbols. Files of the old API are taken, too: an array of objects with a `symbol`, and an
    object that has one array (`{"data": [{"symbol": "btc"}]}`). Among objects, the first of equal symbols counts.
    """
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        if len(lists) != 1:
            raise ValueError("it is an object without one array in it")
        value = lists[0]
    if not isinstance(value, list) or not all(isinstance(each, dict) and "symbol" in each for each in value):
        return _symbols("the list", value)
    symbols = [each["symbol"] for each in value]
    return list(dict.fromkeys(_symbols("the list", symbols, is_unique=False)))


def _symbols(where: str, value: object, *, is_unique: bool = True) -> list[str]:
    """The symbols in upper case."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where} is not an array, or an empty one")
    for item in value:
        if not isinstance(item, str) or not item.isascii() or not is_symbol(item.upper()):
            raise ValueError(f"{where} holds {item!r:.40}")
    symbols = [item.upper() for item in value]
    if is_unique:
        _require_unique(where, symbols)
    return symbols


def _require_unique(where: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{where} holds {name!r} twice")
        seen.add(name)
