"""`flask data`: commands that write, compare and check bars."""

from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from flask.cli import with_appcontext

from stockapi.cli.common import (
    MODE,
    MODES,
    TIMEZONE,
    fail_on_sqlite_errors,
    intervals_option,
    modes_option,
    moment,
    one_line_errors,
    one_mode_option,
    print_some,
    tickers_option,
    with_progress,
    writing,
)
from stockapi.cli.pull import Failed, Outcome, Wish, pull_market
from stockapi.context import Services, services
from stockapi.errors import QueryError, StoreError
from stockapi.formats.foreign.layouts import BY_NAME
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import parse_time
from stockapi.providers.registry import provider_for
from stockapi.services.csv_enhancer import EnhancementStats, reconcile_series, stored_tickers
from stockapi.services.ingest.import_tree import PassedOver, find_files
from stockapi.services.ingest.importer import ImportOptions, ImportResult, import_files
from stockapi.services.ingest.named_source import NamedSource
from stockapi.services.ingest.sources import Sources
from stockapi.services.market_source import record_source, require_source, source_of


@click.group("data")
def commands() -> None:
    """Import, pull, enhance, verify and examine bars."""


@commands.command("import")
@click.argument("directory", type=click.Path(path_type=Path))
@one_mode_option
@click.option("--legacy", is_flag=True, help="VN stock prices are in thousands of dong: multiply them by 1000.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(sorted(BY_NAME), case_sensitive=False),
    help="The layout of all files. Default: each is recognised by its content.",
)
@click.option(
    "--timezone", "zone", type=TIMEZONE, help="Of times without an offset, as Asia/Ho_Chi_Minh. Default: UTC."
)
@with_appcontext
@one_line_errors
def import_tree(directory: Path, mode: Mode, legacy: bool, layout: str | None, zone: ZoneInfo | None) -> None:
    """Bring the files under DIRECTORY into both stores: <TICKER>/1D.csv 1H.csv 1m.csv, <TICKER>.csv, or as other
    programs write them: see docs/import.md.

    Exits 1 when a file gave no bar; the others are imported all the same.
    """
    files, passed_over = find_files(directory)
    options = ImportOptions(mode, legacy, None if layout is None else BY_NAME[layout], zone)
    with writing([mode]) as app:
        each = import_files(app.stores, files, app.clock(), options)
        outcomes = list(with_progress(each, len(files), f"import {mode.value}", "files"))
    passed_over += [outcome for outcome in outcomes if isinstance(outcome, PassedOver)]
    _report_import([outcome for outcome in outcomes if isinstance(outcome, ImportResult)], passed_over, options)


def _report_import(results: list[ImportResult], passed_over: list[PassedOver], options: ImportOptions) -> None:
    done, errors = [result for result in results if result.saved], [result.error for result in results if result.error]
    damaged = [f"skipped {result.source}:{line.number}: {line.reason}" for result in done for line in result.damaged]
    print_some([f"passed over {each.path}: {each.reason}" for each in passed_over])
    print_some(damaged)
    print_some([note for result in done for note in result.notes])
    print_some(errors)
    bars, saved = sum(result.bars for result in done), sum(result.rows for result in done)
    kept_aside = f", in {services().stores.quarantine.path(options.mode)}" if damaged else ""
    more = [f", {len(passed_over)} passed over"] if passed_over else []
    more += [f", {len(errors)} gave no bar"] if errors else []
    click.echo(
        f"{options.mode.value}: {len(done)} files, {bars:,} bars read, {saved:,} rows saved, "
        f"{len(damaged)} lines quarantined{kept_aside}{''.join(more)}"
    )
    if options.multiplies:
        _report_multiplied(done)
    fail_on_sqlite_errors(sum(each.sqlite_error is not None for result in done for each in result.saved.values()))
    if errors or not done:
        raise SystemExit(1)


def _report_multiplied(results: list[ImportResult]) -> None:
    multiplied = {ticker for result in results for ticker in result.multiplied}
    others = {key.ticker for result in results for key in result.saved} - multiplied
    click.echo(
        f"prices x 1000: {', '.join(sorted(multiplied)) or 'none'}; as they are: {', '.join(sorted(others)) or 'none'}"
    )


@commands.command()
@click.option(
    "--mode",
    "modes",
    type=MODE,
    multiple=True,
    help=f"{MODES}; repeatable. Default: all that are enabled, or the first of them where tickers are named.",
)
@intervals_option
@tickers_option
@click.option("--full", is_flag=True, help="From the beginning of the source's history, not from what is stored.")
@click.option("--fill", is_flag=True, help="Also the days that are missing between stored bars.")
@click.option(
    "--start",
    type=moment(parse_time),
    help="Also what is missing since then, and older bars as far as the source goes.",
)
@click.option("--if-empty", is_flag=True, help="Leave out the markets that have bars already.")
@with_appcontext
@one_line_errors
def pull(modes: tuple[Mode, ...], if_empty: bool, **what: Any) -> None:
    """Fetch new bars from the source of each market now, and save them to both stores.

    With --fill or --start also earlier ones, window by window. What is interrupted goes on where it was.
    """
    wish = Wish(**what)
    if wish.full and wish.is_filling:
        raise QueryError("--full does not go with --fill and --start, which fetch only what is missing; allowed: one")
    if wish.start is not None and wish.start > services().clock().timestamp():
        raise QueryError("--start is in the future; allowed: a time that is past")
    enabled = services().settings.markets
    # Several markets may have the same ticker, so a ticker does not name the market.
    wanted = [mode for mode in enabled if mode in (modes or (enabled[:1] if wish.tickers else enabled))]
    outcomes: list[Outcome] = []
    with writing(wanted) as app:
        for mode in wanted:
            require_source(app.stores, mode)
            if if_empty and app.stores.csv_store.tickers(mode):
                click.echo(f"{mode.value}: has bars already, left out")
            else:
                named = (provider_for(mode, app.settings, None, name) for name in app.settings.sources(mode))
                sources = [NamedSource(provider, app.stores.renames) for provider in named]
                outcomes += pull_market(app, Sources(app.stores, sources), wish)
    fail_on_sqlite_errors(
        sum(not isinstance(outcome, Failed) and outcome.saved.sqlite_error is not None for outcome in outcomes)
    )
    if any(isinstance(outcome, Failed) for outcome in outcomes):
        raise SystemExit(1)


@commands.command()
@modes_option
@with_appcontext
@one_line_errors
def adopt(modes: tuple[Mode, ...]) -> None:
    """Let the source of the settings continue with bars that another source has filled. Nothing is fetched."""
    with writing(modes) as app:
        for mode in modes:
            before = source_of(app.stores, mode)
            record_source(app.stores, mode, app.clock())
            now = source_of(app.stores, mode)
            if before != now:
                app.stores.asked.forget_source(mode)
            click.echo(f"{mode.value}: filled by {before or 'nobody known'} until now, by {now} from now on")


@commands.command()
@modes_option
@intervals_option
@with_appcontext
@one_line_errors
def enhance(modes: tuple[Mode, ...], intervals: tuple[Interval, ...]) -> None:
    """Compute all indicators again from the stored bars, and save the changes to both stores.

    Exits 1 when a series failed; the other series are still done.
    """
    with writing(modes) as app:
        outcomes = [
            each for mode, interval in product(modes, intervals) for each in _enhance_interval(app, mode, interval)
        ]
    fail_on_sqlite_errors(sum(outcome.sqlite_errors for outcome in outcomes if isinstance(outcome, EnhancementStats)))
    if any(isinstance(outcome, str) for outcome in outcomes):
        raise SystemExit(1)


def _enhance_interval(app: Services, mode: Mode, interval: Interval) -> list[EnhancementStats | str]:
    """One outcome for each series. For a series that failed, it is a line that says why."""
    tickers = stored_tickers(app.stores, mode, interval)
    each = (_enhance_series(app, SeriesKey(mode, ticker, interval)) for ticker in tickers)
    outcomes = list(with_progress(each, len(tickers), f"enhance {mode.value} {interval.value}", "tickers"))
    print_some([outcome for outcome in outcomes if isinstance(outcome, str)])
    total = sum((outcome for outcome in outcomes if isinstance(outcome, EnhancementStats)), EnhancementStats())
    click.echo(
        f"{mode.value} {interval.value}: {total.tickers} tickers, {total.records:,} bars, "
        f"{total.bytes_written:,} bytes of CSV written, {total.duration:.1f} s "
        f"(indicators {total.indicator_seconds:.1f}, CSV {total.csv_seconds:.1f}, SQLite {total.sqlite_seconds:.1f})"
    )
    return outcomes


def _enhance_series(app: Services, key: SeriesKey) -> EnhancementStats | str:
    try:
        return reconcile_series(app.stores, key, app.clock())
    except StoreError as exc:
        return f"failed {key}: {exc}"
