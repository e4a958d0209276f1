"""`flask status`: what is stored, how new it is, which process writes."""

from collections import Counter

import click
from flask.cli import with_appcontext

from stockapi.cli.common import modes_option, one_line_errors
from stockapi.context import services
from stockapi.errors import SqliteError
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment, format_time
from stockapi.services.ingest.sources import preference_of
from stockapi.services.market_source import source_of
from stockapi.services.status.worker_status import Worker, workers_of
from stockapi.services.writer_lock import writer_of


@click.command("status")
@modes_option
@with_appcontext
@one_line_errors
def show_status(modes: tuple[Mode, ...]) -> None:
    """What is stored, how fresh it is, which workers have run and how they are.

    Exits 1 when a database cannot be read.
    """
    is_readable = True
    for mode in modes:
        writer = writer_of(services().settings, mode)
        click.echo(f"{mode.value}: writer: {writer or 'none'}")
        click.echo(f"  {_source(mode)}")
        try:
            _print_stored(mode)
            _print_verification(mode)
            _print_workers(mode)
        except SqliteError as exc:
            is_readable = False
            in_csv = len(services().stores.csv_store.tickers(mode))
            click.echo(f"  {exc}; CSV holds {in_csv} tickers")
    if not is_readable:
        raise SystemExit(1)


def _source(mode: Mode) -> str:
    """The source that filled the market. If the settings name another source, that one too. Of several sources, the one
    that is asked now, and why.
    """
    stores = services().stores
    held, allowed = source_of(stores, mode), stores.settings.origins(mode)
    if len(allowed) == 1 and held in allowed:
        return f"source: {held}"
    if len(allowed) == 1 or held not in (None, *allowed):
        return f"source: {held or 'none recorded'}; the settings name {' or '.join(allowed)}"
    known = preference_of(stores, mode)
    change = "" if known.since is None else f", since {format_moment(known.since)}: {known.why}"
    others = Counter(origin.source or "nobody" for _, origin in stores.series_sources.all(mode))
    series = "".join(f", {count} series from {name}" for name, count in sorted(others.items()))
    return f"source: {known.source}, of {', '.join(allowed)}{change}; filled by {held or 'nobody yet'}{series}"


def _print_stored(mode: Mode) -> None:
    stats = services().stores.db_manager.stats(mode)
    click.echo(f"  {stats.tickers} tickers, {stats.active_tickers} active")
    for interval in Interval:
        newest = stats.newest[interval]
        freshest = "no bars" if newest is None else f"newest bar {format_time(newest, interval)}"
        click.echo(f"  {interval.value}: {stats.records[interval]:>12,} bars, {freshest}")


def _print_verification(mode: Mode) -> None:
    own = services()
    last = own.stores.bookkeeping.last_verification(mode)
    if last is None:
        click.echo("  last verification: never")
        return
    now = int(own.clock().timestamp())
    rebuilt = ", the database was filled anew" if last.is_rebuilt else ""
    click.echo(
        f"  last verification: {last.result}, {_when(last.done_at, now)}, {last.series} series, {last.bars:,} bars, "
        f"{last.differing} differed, {last.left} left{rebuilt}"
    )


def _print_workers(mode: Mode) -> None:
    own = services()
    now = int(own.clock().timestamp())
    for worker in workers_of(own.stores, mode, now):
        click.echo(f"  worker {worker.name}: {_line(worker, now)}")


def _line(worker: Worker, now: int) -> str:
    state = worker.state
    parts = [
        worker.condition.value,
        f"heartbeat {_when(state.heartbeat_at, now)}",
        f"{state.iterations:,} iterations",
        f"last sync {_when(state.last_sync, now)}",
    ]
    if state.last_error is not None:
        parts.append(f"last error {_when(state.last_error_at, now)}: {' '.join(state.last_error.split())}")
    return ", ".join(parts)


def _when(moment: int | None, now: int) -> str:
    return "never" if moment is None else f"{format_moment(moment)} ({now - moment} s ago)"
