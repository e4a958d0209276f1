"""The groups of each market, and the tickers that its workers follow.

They are those of `listings`, unless `TICKER_GROUPS_FILE` or `CRYPTO_LIST_FILE` names a file. Then the groups are those
of the file, and its symbols, no others, are followed:

* groups: an object from the name of a group to its symbols. Indices need a group, too, to be followed.
* coins: an array of symbols by rank.

Built-in groups are the sectors under the names that clients of the old API use, with the stocks that it had in each.
Stocks that it did not have are in no group, nor are indices. Coins whose price is that of a currency or of gold are not
among the ranked: their chart is a line.

A file of a setting is read again at each call, in about 400 microseconds. So a change of the file has effect at once.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from stockapi.errors import ConfigError
from stockapi.machine import parse_json, read_regular
from stockapi.markets import market_of
from stockapi.markets.listings import listing, listings
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, is_symbol

log = logging.getLogger(__name__)

_ALLOWED_GROUPS: Final = (
    f"a JSON object, group name to a list of different symbols, none empty; a symbol is {ALLOWED_SYMBOL}"
)
_ALLOWED_LIST: Final = f"a JSON array of different symbols, not empty; a symbol is {ALLOWED_SYMBOL}"

_good: dict[tuple[Path, Mode], dict[str, list[str]]] = {}
"""What each file of a setting held when it was last read."""
_told: dict[Path, str] = {}
"""The files that cannot be read now, with the error that was logged."""


class FileSettings(Protocol):
    """The part of the settings that this module needs."""

    def groups_file(self, mode: Mode) -> Path | None:
        """The file that replaces the built-in list of the market; None when there is none."""
        ...


def groups_for(mode: Mode, settings: FileSettings) -> dict[str, list[str]]:
    """The symbols of each group of a market. Built-in groups are in alphabetical order, the symbols of each as in
    `listings`; in the file of a setting its order counts. A plain list is one group, in the order of rank.

    In the file of a setting, a symbol may be in several groups, but only once in each. While somebody writes or moves
    the file, what it held when this process last read it counts, and the log says so once.

    :raises ConfigError: when the file cannot be read, or does not have the form of groups, or of a list, and has not
        been read by this process before.
    """
    own = settings.groups_file(mode)
    groups = _built_in_groups(mode) if own is None else _last_good(own, mode)
    return {group: [*symbols] for group, symbols in groups.items()}


def _last_good(path: Path, mode: Mode) -> dict[str, list[str]]:
    try:
        _good[path, mode] = _groups_in(path, mode)
    except ConfigError as exc:
        if (path, mode) not in _good:
            raise
        if _told.get(path) != str(exc):
            _told[path] = str(exc)
            log.error("%s; what it held before counts", exc)
    else:
        _told.pop(path, None)
    return _good[path, mode]


@cache
def _built_in_groups(mode: Mode) -> dict[str, list[str]]:
    """Made once for each process, as every analysis needs them."""
    groups: dict[str, list[str]] = {}
    for each in listings(mode).values():
        if each.sector is not None:
            groups.setdefault(each.sector, []).append(each.symbol)
    return dict(sorted(groups.items()))


def _groups_in(file: Path, mode: Mode) -> dict[str, list[str]]:
    market = market_of(mode)
    name, group = str(market.settings.groups_file).upper(), market.list_group
    allowed = _ALLOWED_GROUPS if group is None else _ALLOWED_LIST
    try:
        value = read_json(file)
        return _groups(value) if group is None else {group: _ranked(value)}
    except OSError as exc:
        raise ConfigError(f"{name}={str(file)!r} cannot be read: {exc.strerror}; allowed: {allowed}") from exc
    except ValueError as exc:
        raise ConfigError(f"{name}={str(file)!r} is not allowed: {exc}; allowed: {allowed}") from exc


def tickers_for(mode: Mode, settings: FileSettings) -> list[str]:
    """Every symbol that is followed, once: as in `listings`, or in the order of the groups of a file of the settings.

    :raises ConfigError: as `groups_for`.
    """
    if settings.groups_file(mode) is None:
        return [each.symbol for each in listings(mode).values() if each.is_followed]
    return list(sector_of(groups_for(mode, settings)))


def sector_of(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The group of each symbol, in the order of the groups. A symbol in several groups has the first of them."""
    sectors: dict[str, str] = {}
    for group, symbols in groups.items():
        for symbol in symbols:
            sectors.setdefault(symbol, group)
    return sectors


def group_named(text: str, groups: Mapping[str, Sequence[str]], mode: Mode) -> str | None:
    """The name of the group that a request means: this one, but for upper and lower case, or one that this is an alias
    of. None without such a group. If two names differ in case alone, the one that is exactly equal is meant.
    """
    names = {name.casefold(): name for name in groups}
    alias = market_of(mode).sector_aliases.get(text.upper(), "")
    return text if text in groups else names.get(text.casefold()) or names.get(alias.casefold())


def names_for(mode: Mode, settings: FileSettings) -> dict[str, str]:
    """The short name of each symbol that is followed, in alphabetical order of the symbols.

    A symbol that `listings` does not know is left out. It can only come from the file of a setting.

    :raises ConfigError: as `groups_for`.
    """
    known = ((symbol, listing(mode, symbol)) for symbol in sorted(tickers_for(mode, settings)))
    return {symbol: each.short_name for symbol, each in known if each is not None}


def read_json(file: Path) -> Any:
    """The parsed content of a JSON file.

    :raises OSError: when it cannot be read.
    :raises ValueError: when it is not JSON in UTF-8, or when an object in it has the same name twice.
    """
    text = read_regular(file).decode("utf-8-sig")
    # Editors on Windows write a byte order mark at the start of UTF-8 files.
    return parse_json(text, object_pairs_hook=_unique_keys)


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
    object that has one array that is not empty (`{"data": [{"symbol": "btc"}]}`). Such files come from rankings of all
    coins. So among objects the first of equal symbols counts, and those without a symbol, or with one that is none
    here, are left out, with a line in the log.
    """
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list) and each]
        if len(lists) != 1:
            raise ValueError("it is an object without one array in it")
        value = lists[0]
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return _symbols("the list", value)
    named = [each.get("symbol") for each in value]
    symbols = [each for each in named if _is_symbol(each)]
    _tell_of_others(tuple(f"{each!r:.40}" for each in named if not _is_symbol(each)))
    return list(dict.fromkeys(_symbols("the list", symbols, is_unique=False)))


@cache
def _tell_of_others(symbols: tuple[str, ...]) -> None:
    """Once, not at each request that reads the file."""
    if symbols:
        log.warning("left out of the list of coins, as a symbol is %s: %s", ALLOWED_SYMBOL, ", ".join(symbols))


def _is_symbol(item: object) -> bool:
    """In whatever case. Upper case makes ASCII of some letters that are none, a dotless i for example."""
    return isinstance(item, str) and item.isascii() and is_symbol(item.upper())


def _symbols(where: str, value: object, *, is_unique: bool = True) -> list[str]:
    """The symbols in upper case."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where} is not an array, or an empty one")
    for item in value:
        if not _is_symbol(item):
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
