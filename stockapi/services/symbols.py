"""What is known of symbols: the listed ones, those of own lists, and those that have bars."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from stockapi.markets import market_of, mode_names
from stockapi.markets.listings import LISTED, Listing, listing, listings, unlisted
from stockapi.markets.symbol_texts import Texts, folded, rank_of
from stockapi.markets.tickers import group_named, sector_of
from stockapi.models.limits import Limits
from stockapi.models.mode import Mode
from stockapi.services.data_store import DataStore
from stockapi.services.stores import Stores


class Symbol(NamedTuple):
    """A symbol of a market."""

    mode: Mode
    symbol: str


class Found(NamedTuple):
    """A symbol that a search has found. `has_bars`: whether bars are stored."""

    listing: Listing
    has_bars: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What to search for. `text`: in a symbol or a name; "" for all. The others: None for all.

    `exchange`, `index`: in any case; the exchange of coins is the market. `types`: some of those of listings.
    `sector`: as `group_named` takes it. `active`: whether it still trades. `has_bars`: whether bars are stored.
    """

    text: str = ""
    exchange: str | None = None
    types: tuple[str, ...] | None = None
    sector: str | None = None
    index: str | None = None
    active: bool | None = None
    has_bars: bool | None = None

    def allows(self, found: Listing, *, has_bars: bool) -> bool:
        """Whether the symbol fits, but for its texts and its sector."""
        return (
            (self.has_bars is None or has_bars is self.has_bars)
            and (self.exchange is None or (found.exchange or found.mode.value).upper() == self.exchange.upper())
            and (self.types is None or found.type in self.types)
            and (self.index is None or self.index.upper() in found.indices)
            and (self.active is None or (found.status == LISTED) is self.active)
        )


class Symbols:
    """Answers what is known. It keeps no state between queries."""

    def __init__(self, stores: Stores, data_store: DataStore) -> None:
        self._settings = stores.settings
        self._renames = stores.renames
        self._data_store = data_store

    def resolve(self, prefix: str, symbol: str, limits: Limits) -> Symbol | None:
        """The market of a symbol that `is_known` there. None when no enabled market knows it.

        `prefix`: an exchange or a market, in upper case. Each exchange of a market does: a stock may move from one to
        another. Without a prefix ("") the first market that knows the symbol is meant.

        :raises ConfigError, CsvError: as `Renames.groups`.
        :raises DeadlineError, StoreError: as `DataStore.get_tickers`.
        """
        for mode in self._settings.markets:
            if (not prefix or prefix in prefixes(mode)) and self.is_known(mode, symbol, limits):
                return Symbol(mode, symbol)
        return None

    def is_known(self, mode: Mode, symbol: str, limits: Limits) -> bool:
        """Whether the symbol, or what it is called now, is listed, stored, or in a list of the settings.

        :raises ConfigError, CsvError, DeadlineError, StoreError: as `resolve`.
        """
        if listing(mode, symbol) is not None:
            return True
        present = self._renames.of(mode).renamed.get(symbol, symbol)
        return present in self._data_store.get_tickers(mode, limits) or present in sector_of(self._renames.groups(mode))

    def named(self, mode: Mode, symbol: str) -> Listing:
        """What is known of a symbol, under its present name. Of one that is not listed it is little.

        :raises CsvError: as `Renames.of`.
        """
        renamed = self._renames.of(mode).renamed
        present = renamed.get(symbol, symbol)
        found = listing(mode, present) or self._unlisted(mode, present)
        former = [old for old, new in renamed.items() if new == present]
        return found._replace(former_names=tuple(dict.fromkeys([*found.former_names, *former]))) if former else found

    def with_sectors(self, found: Sequence[Listing]) -> list[Listing]:
        """The same with the sectors of /tickers/group, which may be those of an own list.

        :raises ConfigError, CsvError: as `Renames.groups`.
        """
        sectors = {mode: sector_of(self._renames.groups(mode)) for mode in {each.mode for each in found}}
        return [each._replace(sector=sectors[each.mode].get(each.symbol)) for each in found]

    def search(self, modes: Sequence[Mode], criteria: Criteria, limit: int, limits: Limits) -> tuple[int, list[Found]]:
        """How many symbols fit, and the first `limit` of them: those with bars before the others, then by how well the
        text fits, then those that the workers ask for, then as they are listed.

        :raises DeadlineError, StoreError: as `DataStore.get_tickers`.
        :raises ConfigError, CsvError: as `Renames.groups`.
        """
        wanted = folded(criteria.text)
        hits = sorted(
            hit for place, mode in enumerate(modes) for hit in self._hits(place, mode, criteria, wanted, limits)
        )
        shown = hits[:limit]
        found = self.with_sectors([self.named(modes[each.market], each.symbol) for each in shown])
        return len(hits), [Found(each, not hit.lacks_bars) for each, hit in zip(found, shown, strict=True)]

    def _hits(self, market: int, mode: Mode, criteria: Criteria, wanted: str, limits: Limits) -> Iterator["_Hit"]:
        stored = self._data_store.get_tickers(mode, limits)
        groups = self._renames.groups(mode)
        sectors = sector_of(groups)
        group = None if criteria.sector is None else group_named(criteria.sector, groups, mode) or ""
        known = listings(mode)
        renamed = set(self._renames.of(mode).renamed.values())
        own = {symbol: Texts.of(symbol) for symbol in sorted(stored.union(sectors).difference(known))}
        for place, (symbol, texts) in enumerate(chain(_texts(mode).items(), own.items())):
            if symbol in renamed:
                texts = _texts_of(self.named(mode, symbol))
            rank = rank_of(texts, wanted)
            if rank is None or (group is not None and sectors.get(symbol) != group):
                continue
            found = known.get(symbol) or self._unlisted(mode, symbol)
            if criteria.allows(found, has_bars=symbol in stored):
                yield _Hit(symbol not in stored, rank, not found.is_followed, market, place, symbol)

    def _unlisted(self, mode: Mode, symbol: str) -> Listing:
        return unlisted(mode, symbol, is_index=self._settings.is_index(symbol, mode))


class _Hit(NamedTuple):
    """A symbol that fits. Hits sort as in an answer. `rank`: of its texts. `is_minor`: the workers do not ask for it.
    `market`, `place`: where it is listed.
    """

    lacks_bars: bool
    rank: int
    is_minor: bool
    market: int
    place: int
    symbol: str


def prefixes(mode: Mode) -> frozenset[str]:
    """What may stand before the symbol of a market: its exchanges, its name and aliases, in upper case."""
    return frozenset(market_of(mode).exchanges) | {name.upper() for name in mode_names((mode,))}


@lru_cache
def _texts(mode: Mode) -> Mapping[str, Texts]:
    """The texts of all listed symbols. They are made at the first search."""
    return {each.symbol: _texts_of(each) for each in listings(mode).values()}


def _texts_of(found: Listing) -> Texts:
    return Texts.of(found.symbol, *found.former_names, found.short_name, found.name, found.name_vi or "")
