"""`flask data delete` and `flask data rename`: take bars out of both stores, give a ticker another name."""

from collections.abc import Callable
from functools import wraps

import click
from flask.cli import with_appcontext

from stockapi.cli.common import (
    TICKER,
    intervals_option,
    moment,
    one_line_errors,
    one_mode_option,
    writing,
)
from stockapi.context import Services
from stockapi.errors import NotFoundError, QueryError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_time, parse_range_end, parse_time
from stockapi.services.upkeep.changes import Deletion, Renaming, archive, make_change, require_both_stores
from stockapi.services.upkeep.reconcile import reconcile_out_of_step

Parts = list[tuple[SeriesKey, Bars]]


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _as_deletion(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: it gets one `change` in place of the options that say which bars to delete."""

    @wraps(command)
    def wrapped(
        *, ticker: str, intervals: tuple[Interval, ...], first: int | None, last: int | None, **others: object
    ) -> None:
        if first is not None and last is not None and first > last:
            raise QueryError("--from is after --to; allowed: a first time that is not after the last")
        command(change=Deletion(ticker, intervals, first, last), **others)

    return wrapped


@click.command("delete")
@one_mode_option
@click.option("--ticker", type=TICKER, required=True, help="Whose bars.")
@intervals_option
@click.option(
    "--from", "first", type=moment(parse_time), help="First time (UTC) to delete. Default: from the first bar."
)
@click.option(
    "--to", "last", type=moment(parse_range_end), help="Last one; a date is its whole day. Default: to the last."
)
@yes_option
@with_appcontext
@one_line_errors
@_as_deletion
def delete_bars(mode: Mode, change: Deletion, yes: bool) -> None:
    """Delete bars from both stores. They are written to a file first, which `flask data import` takes back."""
    with writing([mode]) as app:
        _reconcile(app, mode)
        new = app.stores.renames.of(mode).renamed.get(change.ticker)
        if new is not None:
            raise NotFoundError(f"{change.ticker} is {new} now; name that")
        parts = _held(app, change, mode)
        if not parts:
            raise NotFoundError(f"{mode.value} has no such bars of {change.ticker}; nothing is deleted")
        if not yes:
            click.confirm("Delete them from both stores?", abort=True)
        click.echo(f"{change.ticker}: kept in {archive(app.stores, mode, parts, app.clock())}")
        make_change(app.stores, mode, change, app.clock())
    click.echo(f"{change.ticker}: {sum(len(bars) for _, bars in parts):,} bars deleted from both stores")


@click.command("rename")
@click.argument("old", type=TICKER)
@click.argument("new", type=TICKER)
@one_mode_option
@click.option("--at-source", type=TICKER, help="What the source calls it, if not NEW.")
@yes_option
@with_appcontext
@one_line_errors
def rename_ticker(old: str, new: str, mode: Mode, at_source: str | None, yes: bool) -> None:
    """Give the bars of OLD the name NEW. Both names answer, the old one with a header that says so.

    If NEW has bars already, the bars of both are joined; of two bars of the same time, that of NEW stays.
    """
    if old == new:
        raise QueryError(f"OLD and NEW are both {old}; allowed: two names")
    with writing([mode]) as app:
        _reconcile(app, mode)
        parts = _held(app, Deletion(old, tuple(Interval)), mode)
        names = app.stores.renames.of(mode)
        if not parts and names.renamed.get(old) != new:
            raise NotFoundError(f"{mode.value} has no bars of {old}; nothing is renamed")
        if parts and _held(app, Deletion(new, tuple(Interval)), mode):
            if not yes:
                click.confirm(f"{new} has bars already. Put both together?", abort=True)
            click.echo(f"{old}: kept in {archive(app.stores, mode, parts, app.clock())}")
        if at_source is not None:
            app.stores.renames.record(mode, names.with_name_at(app.settings.source(mode), new, at_source))
        make_change(app.stores, mode, Renaming(old, new), app.clock())
    click.echo(f"{old} is {new} now: {sum(len(bars) for _, bars in parts):,} bars")


def _reconcile(app: Services, mode: Mode) -> None:
    """Reconcile the stores before a change, so that all bars that it concerns are known."""
    require_both_stores(app.stores, mode)
    if app.settings.database_path(mode).exists() or app.stores.csv_store.tickers(mode):
        reconcile_out_of_step(app.stores, mode, app.clock())


def _held(app: Services, change: Deletion, mode: Mode) -> Parts:
    """The bars of each series that the change concerns. Prints a line for each series."""
    each = ((key, change.deleted(app.stores.csv_store.read(key).bars)) for key in change.keys(mode))
    parts = [(key, bars) for key, bars in each if len(bars)]
    for key, bars in parts:
        begin, end = (format_time(int(bars.time[place]), key.interval) for place in (0, -1))
        click.echo(f"  {key}: {len(bars):,} bars, {begin} to {end}")
    return parts
