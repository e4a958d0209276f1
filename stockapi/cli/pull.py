"""What `flask data pull` does with one market: new bars from its source, and what is missing before."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import click

from stockapi.cli.common import print_some, with_progress
from stockapi.context import Services
from stockapi.errors import DoesNotContinueError, NoDataError, ProviderError, UnknownSymbolError
from stockapi.models.interval import Interval
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_time
from stockapi.providers.base import Provider
from stockapi.services.ingest.filling import Filled, fill_series
from stockapi.services.ingest.history import SyncStats
from stockapi.services.ingest.sources import LOST_AFTER, Sources
from stockapi.services.ingest.sync import Wanted, sync_ticker
from stockapi.services.market_source import record_source

log = logging.getLogger(__name__)

_LIST: Final = "pull"
_OF_A_TICKER: Final = (UnknownSymbolError, NoDataError, DoesNotContinueError)
"""What may be the ticker's fault. Many of them are the source's."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A series, or all of a ticker, that its source has not given. The text is for the operator."""

    text: str
    error: ProviderError


Outcome = SyncStats | Filled | Failed
"""Of a series, of a window that was filled, or of what failed."""


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


def pull_market(app: Services, sources: Sources, wish: Wish) -> list[Outcome]:
    """From the source that is asked now. If it fails, from the next one, which is asked from then on by all."""
    record_source(app.stores, sources.mode, app.clock())
    sources.look_back(app.clock())
    while True:
        provider = sources.current
        outcomes, left = _pull_all(app, provider, wish, sources.has_others)
        error = _failure(outcomes)
        if error is None or not sources.give_up(provider, str(error), app.clock()):
            _report(provider, outcomes, left, wish)
            return outcomes
        click.echo(f"{sources.mode.value}: {error}; {sources.current.name} is asked instead", err=True)


def _pull_all(app: Services, provider: Provider, wish: Wish, has_others: bool) -> tuple[list[Outcome], int]:
    """Series after series; where the source ends it, the next pull goes on there.

    :param has_others: whether to end it too when the source seems to be down.
    :returns: the outcomes, and how many series are left.
    """
    named = app.stores.renames.of(provider.mode).current(wish.tickers)
    tickers = named or provider.tickers()
    keys = [SeriesKey(provider.mode, ticker, interval) for ticker in tickers for interval in wish.intervals]
    keys = app.stores.turns.in_turn(provider.mode, _LIST, keys)
    in_turn = _pull_in_turn(app, provider, keys, wish, LOST_AFTER if has_others else len(keys) + 1)
    outcomes = list(with_progress(in_turn, len(keys), f"pull {provider.mode.value}", "series"))
    return [outcome for of_series in outcomes for outcome in of_series], len(keys) - len(outcomes)


def _failure(outcomes: Sequence[Outcome]) -> ProviderError | None:
    """The last error, if the source gave less than half of what it was asked for."""
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    if 2 * len(errors) <= len(outcomes) or (isinstance(errors[-1], _OF_A_TICKER) and len(errors) < LOST_AFTER):
        return None
    return errors[-1]


def _report(provider: Provider, outcomes: Sequence[Outcome], left: int, wish: Wish) -> None:
    mode = provider.mode.value
    done = [outcome for outcome in outcomes if isinstance(outcome, SyncStats)]
    failed = [outcome.text for outcome in outcomes if isinstance(outcome, Failed)]
    print_some(failed)
    print_some([f"{mode} {stats.told_to_wait}" for stats in done if stats.waits_for])
    changed = sum(stats.changed for stats in done)
    click.echo(
        f"{mode}: {len(done)} series from {provider.name}, {changed:,} bars new or changed, {len(failed)} failed"
    )
    if left:
        click.echo(f"{mode}: the source ended it; {left} series are left for the next pull", err=True)
    if wish.is_filling:
        _report_filled(mode, [outcome for outcome in outcomes if isinstance(outcome, Filled)])


def _report_filled(mode: str, filled: Sequence[Filled]) -> None:
    empty = sum(not each.bars for each in filled)
    bars = sum(each.bars for each in filled)
    click.echo(f"{mode}: {len(filled)} windows asked for, {bars:,} missing bars filled in, {empty} windows empty")


def _pull_in_turn(
    app: Services, provider: Provider, keys: Sequence[SeriesKey], wish: Wish, lost_after: int
) -> Iterator[list[Outcome]]:
    """The outcomes of each series; none of those after one at which the source refuses or `lost_after` in a row have
    failed, and none of other intervals of a ticker that it does not know.
    """
    unknown, failed_in_a_row = set(), 0
    for number, key in enumerate(keys):
        outcomes: list[Outcome] = []
        try:
            if key.ticker not in unknown:
                outcomes.extend(_pull_series(app, provider, key, wish))
        except UnknownSymbolError as exc:
            unknown.add(key.ticker)
            outcomes.append(Failed(f"failed {key.mode.value} {key.ticker}: {exc}", exc))
        except ProviderError as exc:
            outcomes.append(Failed(f"failed {key}: {exc}", exc))
            failed_in_a_row += 1
            if exc.stops_cycle or failed_in_a_row >= lost_after:
                app.stores.turns.broke_off(key.mode, _LIST, keys, number)
                yield outcomes
                return
        else:
            failed_in_a_row = 0
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
