"""What `flask data pull` does with one market: new bars from its source, and what is missing before."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import click

from stockapi.cli.common import print_some, with_progress
from stockapi.context import Services
from stockapi.errors import ProviderError, UnknownSymbolError
from stockapi.models.interval import Interval
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_time
from stockapi.providers.base import Provider
from stockapi.services.ingest.filling import Filled, fill_series
from stockapi.services.ingest.sync import SyncStats, Wanted, sync_ticker
from stockapi.services.market_source import record_source

log = logging.getLogger(__name__)

_LIST: Final = "pull"

Outcome = SyncStats | Filled | str
"""Of a series, of a window that was filled, or a line that says why a series failed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to pull. No tickers: those of the source. `start`: Unix seconds."""

    intervals: tuple[Interval, ...]
    tickers: tuple[str, ...]
    full: bool
    fill: bool
    start: int | None

    @property
    def is_filling(self) -> bool:
        return self.fill or self.start is not None


def pull_market(app: Services, provider: Provider, wish: Wish) -> list[Outcome]:
    """Series after series; where the source ends it, the next pull goes on there."""
    named = app.stores.renames.of(provider.mode).current(wish.tickers)
    tickers, mode = named or provider.tickers(), provider.mode.value
    record_source(app.stores, provider.mode, app.clock())
    keys = [SeriesKey(provider.mode, ticker, interval) for ticker in tickers for interval in wish.intervals]
    keys = app.stores.turns.in_turn(provider.mode, _LIST, keys)
    outcomes = list(with_progress(_pull_in_turn(app, provider, keys, wish), len(keys), f"pull {mode}", "series"))
    each = [outcome for of_series in outcomes for outcome in of_series]
    done = [outcome for outcome in each if isinstance(outcome, SyncStats)]
    failed = [outcome for outcome in each if isinstance(outcome, str)]
    print_some(failed)
    print_some([f"{mode} {stats.told_to_wait}" for stats in done if stats.waits_for])
    changed = sum(stats.changed for stats in done)
    click.echo(
        f"{mode}: {len(done)} series from {provider.name}, {changed:,} bars new or changed, {len(failed)} failed"
    )
    if left := len(keys) - len(outcomes):
        click.echo(f"{mode}: the source ended it; {left} series are left for the next pull", err=True)
    if wish.is_filling:
        _report_filled(mode, [outcome for outcome in each if isinstance(outcome, Filled)])
    return each


def _report_filled(mode: str, filled: Sequence[Filled]) -> None:
    empty = sum(not each.bars for each in filled)
    bars = sum(each.bars for each in filled)
    click.echo(f"{mode}: {len(filled)} windows asked for, {bars:,} missing bars filled in, {empty} windows empty")


def _pull_in_turn(app: Services, provider: Provider, keys: Sequence[SeriesKey], wish: Wish) -> Iterator[list[Outcome]]:
    """The outcomes of each series; none of those after one at which the source refuses, and none of other intervals of
    a ticker that it does not know.
    """
    unknown = set()
    for number, key in enumerate(keys):
        outcomes: list[Outcome] = []
        try:
            if key.ticker not in unknown:
                outcomes.extend(_pull_series(app, provider, key, wish))
        except UnknownSymbolError as exc:
            unknown.add(key.ticker)
            outcomes.append(f"failed {key.mode.value} {key.ticker}: {exc}")
        except ProviderError as exc:
            outcomes.append(f"failed {key}: {exc}")
            if exc.stops_cycle:
                app.stores.turns.broke_off(key.mode, _LIST, keys, number)
                yield outcomes
                return
        yield outcomes
    if keys and not wish.tickers:  # a few named ones do not complete the list
        app.stores.turns.completed(provider.mode, _LIST)


def _pull_series(app: Services, provider: Provider, key: SeriesKey, wish: Wish) -> Iterator[Outcome]:
    wanted = Wanted.ALL if wish.full else Wanted.NEW
    yield sync_ticker(app.stores, provider, key, app.clock(), wanted=wanted, since=wish.start)
    if wish.is_filling:
        yield from _fill(app, provider, key, wish.start)


def _fill(app: Services, provider: Provider, key: SeriesKey, start: int | None) -> Iterator[Filled]:
    for filled in fill_series(app.stores, provider, key, app.clock, start):
        first, last = (format_time(moment, key.interval) for moment in filled.span)
        log.info("%s: %d bars between %s and %s", key, filled.bars, first, last)
        yield filled
