"""What `flask data pull` does with one market: new bars from its source, and what is missing before."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

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
    named = app.stores.renames.of(provider.mode).current(wish.tickers)
    tickers, mode = named or provider.tickers(), provider.mode.value
    record_source(app.stores, provider.mode, app.clock())
    each = with_progress(tickers, len(tickers), f"pull {mode}", "tickers")
    outcomes = [outcome for ticker in each for outcome in _pull_ticker(app, provider, ticker, wish)]
    done = [outcome for outcome in outcomes if isinstance(outcome, SyncStats)]
    filled = [outcome for outcome in outcomes if isinstance(outcome, Filled)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    print_some(failed)
    print_some([f"{mode} {stats.told_to_wait}" for stats in done if stats.waits_for])
    changed = sum(stats.changed for stats in done)
    click.echo(
        f"{mode}: {len(done)} series from {provider.name}, {changed:,} bars new or changed, {len(failed)} failed"
    )
    if wish.is_filling:
        empty = sum(not each.bars for each in filled)
        bars = sum(each.bars for each in filled)
        click.echo(f"{mode}: {len(filled)} windows asked for, {bars:,} missing bars filled in, {empty} windows empty")
    return outcomes


def _pull_ticker(app: Services, provider: Provider, ticker: str, wish: Wish) -> Iterator[Outcome]:
    wanted = Wanted.ALL if wish.full else Wanted.NEW
    for interval in wish.intervals:
        key = SeriesKey(provider.mode, ticker, interval)
        try:
            yield sync_ticker(app.stores, provider, key, app.clock(), wanted=wanted, since=wish.start)
            if wish.is_filling:
                yield from _fill(app, provider, key, wish.start)
        except UnknownSymbolError as exc:
            yield f"failed {provider.mode.value} {ticker}: {exc}"
            return
        except ProviderError as exc:
            yield f"failed {key}: {exc}"


def _fill(app: Services, provider: Provider, key: SeriesKey, start: int | None) -> Iterator[Filled]:
    for filled in fill_series(app.stores, provider, key, app.clock, start):
        first, last = (format_time(moment, key.interval) for moment in filled.span)
        log.info("%s: %d bars between %s and %s", key, filled.bars, first, last)
        yield filled
