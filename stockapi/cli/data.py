"""`flask data`: bars into and between the stores."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import click
from flask.cli import with_appcontext

from stockapi.api.context import Services, services
from stockapi.cli.common import (
    MODE,
    intervals_option,
    modes_option,
    one_line_errors,
    one_mode_option,
    tickers_option,
    with_progress,
    writing,
)
from stockapi.errors import ProviderError, UnknownSymbolError
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.base import Provider
from stockapi.providers.registry import provider_for
from stockapi.services.csv_enhancer import EnhancementStats, settle, stored_tickers
from stockapi.services.importer import ImportResult, find_files, import_files
from stockapi.services.quarantine import Quarantine
from stockapi.services.reconcile import PartitionReport, settle_out_of_step, verify
from stockapi.services.sync import SyncStats, sync_ticker

_MOST_LINES_SHOWN = 20


@click.group("data")
def commands() -> None:
    """Import, pull, enhance and verify bars."""


@commands.command("import")
@click.argument("directory", type=click.Path(path_type=Path))
@one_mode_option
@click.option("--legacy", is_flag=True, help="VN stock prices are in thousands of dong: multiply them by 1000.")
@with_appcontext
@one_line_errors
def import_tree(directory: Path, mode: Mode, legacy: bool) -> None:
    """Bring the CSV files under DIRECTORY (<TICKER>/1D.csv 1H.csv 1m.csv, or <TICKER>.csv) into both stores."""
    files, ignored = find_files(directory)
    _print_some([f"ignored {path}: neither <TICKER>/1D.csv, 1H.csv, 1m.csv nor <TICKER>.csv" for path in ignored])
    with writing([mode]) as app:
        each = import_files(files, mode, legacy, app.db_manager, app.csv_store, app.clock())
        results = list(with_progress(each, len(files), f"import {mode.value}", "files"))
    _report_import(results, mode)


def _report_import(results: list[ImportResult], mode: Mode) -> None:
    damaged = [
        f"skipped {result.file.path}:{line.number}: {line.reason}" for result in results for line in result.damaged
    ]
    _print_some(damaged)
    bars, saved = sum(result.bars for result in results), sum(result.saved.rows for result in results)
    kept_aside = f", in {Quarantine(services().settings).path(mode)}" if damaged else ""
    click.echo(
        f"{mode.value}: {len(results)} files, {bars:,} bars read, {saved:,} rows saved, "
        f"{len(damaged)} lines quarantined{kept_aside}"
    )
    _fail_on_sqlite_errors(sum(result.saved.sqlite_error is not None for result in results))


@commands.command()
@click.option(
    "--mode", "modes", type=MODE, multiple=True, help="vn or crypto. Default: both, or vn where tickers are named."
)
@intervals_option
@tickers_option
@click.option("--full", is_flag=True, help="From the beginning of the source's history, not from what is stored.")
@click.option("--if-empty", is_flag=True, help="Leave out the markets that have bars already.")
@with_appcontext
@one_line_errors
def pull(
    modes: tuple[Mode, ...], intervals: tuple[Interval, ...], tickers: tuple[str, ...], full: bool, if_empty: bool
) -> None:
    """Fetch what is new from the source of each market into both stores, now."""
    # The same ticker may exist in both markets, so naming one does not tell which is meant.
    wanted = set(modes or ([Mode.VN] if tickers else Mode))
    outcomes: list[SyncStats | str] = []
    with writing(wanted) as app:
        for mode in [mode for mode in Mode if mode in wanted]:
            if if_empty and app.csv_store.tickers(mode):
                click.echo(f"{mode.value}: has bars already, left out")
            else:
                outcomes += _pull_market(app, provider_for(mode, app.settings), tickers, intervals, full)
    _fail_on_sqlite_errors(
        sum(isinstance(outcome, SyncStats) and outcome.saved.sqlite_error is not None for outcome in outcomes)
    )
    if any(isinstance(outcome, str) for outcome in outcomes):
        raise SystemExit(1)


def _pull_market(
    app: Services, provider: Provider, tickers: tuple[str, ...], intervals: tuple[Interval, ...], full: bool
) -> list[SyncStats | str]:
    """One outcome per series pulled, or that could not be: then the line that says why."""
    wanted, mode = tickers or provider.tickers(), provider.mode.value
    each = with_progress(wanted, len(wanted), f"pull {mode}", "tickers")
    outcomes = [outcome for ticker in each for outcome in _pull_ticker(app, provider, ticker, intervals, full)]
    done = [outcome for outcome in outcomes if isinstance(outcome, SyncStats)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    _print_some(failed)
    changed = sum(stats.changed for stats in done)
    click.echo(
        f"{mode}: {len(done)} series from {provider.name}, {changed:,} bars new or changed, {len(failed)} failed"
    )
    return outcomes


def _pull_ticker(
    app: Services, provider: Provider, ticker: str, intervals: tuple[Interval, ...], full: bool
) -> Iterator[SyncStats | str]:
    for interval in intervals:
        try:
            yield sync_ticker(provider, ticker, interval, app.db_manager, app.csv_store, app.clock(), full=full)
        except UnknownSymbolError as exc:
            yield f"failed {provider.mode.value} {ticker}: {exc}"
            return
        except ProviderError as exc:
            yield f"failed {provider.mode.value} {ticker} {interval.value}: {exc}"


@commands.command()
@modes_option
@intervals_option
@with_appcontext
@one_line_errors
def enhance(modes: tuple[Mode, ...], intervals: tuple[Interval, ...]) -> None:
    """Compute all indicators anew from the stored bars and save what changed to both stores."""
    with writing(modes) as app:
        sqlite_errors = sum(_enhance_interval(app, mode, interval) for mode, interval in product(modes, intervals))
    _fail_on_sqlite_errors(sqlite_errors)


def _enhance_interval(app: Services, mode: Mode, interval: Interval) -> int:
    """:returns: how many tickers SQLite failed for."""
    tickers = stored_tickers(interval, mode, app.db_manager, app.csv_store)
    each = (settle(ticker, interval, mode, app.db_manager, app.csv_store, app.clock()) for ticker in tickers)
    progress = with_progress(each, len(tickers), f"enhance {mode.value} {interval.value}", "tickers")
    total = sum(progress, EnhancementStats())
    click.echo(
        f"{mode.value} {interval.value}: {total.tickers} tickers, {total.records:,} bars, "
        f"{total.bytes_written:,} bytes of CSV written, {total.duration:.1f} s "
        f"(indicators {total.indicator_seconds:.1f}, CSV {total.csv_seconds:.1f}, SQLite {total.sqlite_seconds:.1f})"
    )
    return total.sqlite_errors


@commands.command("verify")
@modes_option
@click.option("--repair", is_flag=True, help="Bring the differing ones in step: no bar of either store is dropped.")
@with_appcontext
@one_line_errors
def verify_stores(modes: tuple[Mode, ...], repair: bool) -> None:
    """Compare both stores bar by bar; exits 1 and says where when they differ."""
    if repair:
        with writing(modes) as app:
            left = [report for mode in modes for report in _repair(app, mode)]
    else:
        left = [report for mode in modes for report in _compare(services(), mode)]
    if left:
        raise SystemExit(1)


def _compare(app: Services, mode: Mode) -> list[PartitionReport]:
    """The series that differ, each reported."""
    if not app.settings.database_path(mode).exists() and not app.csv_store.tickers(mode):
        click.echo(f"{mode.value}: nothing is stored")
        return []
    each = verify(mode, Interval, app.db_manager, app.csv_store)
    reports = list(with_progress(each, None, f"verify {mode.value}", "series"))
    differing = [report for report in reports if report.problems]
    rows = sum(report.csv_rows for report in reports)
    click.echo(f"{mode.value}: {len(reports)} series, {rows:,} bars in CSV, {len(differing)} differences")
    _print_some(
        [f"  {mode.value} {each.ticker} {each.interval.value}: {', '.join(each.problems)}" for each in differing]
    )
    return differing


def _repair(app: Services, mode: Mode) -> list[PartitionReport]:
    """The series that still differ afterwards. First what is known to be out of step, then what a comparison finds."""
    settled = settle_out_of_step(mode, app.db_manager, app.csv_store, app.clock())
    _print_some([f"  {mode.value} {ticker} {interval.value}: was out of step" for ticker, interval in settled])
    differing = _compare(app, mode)
    if not differing:
        return []
    for report in differing:
        settle(report.ticker, report.interval, mode, app.db_manager, app.csv_store, app.clock())
    click.echo(f"{mode.value}: {len(differing)} series settled; comparing again")
    return _compare(app, mode)


def _print_some(lines: list[str]) -> None:
    """The first of the lines, to standard error, and how many more there would be."""
    for line in lines[:_MOST_LINES_SHOWN]:
        click.echo(line, err=True)
    if len(lines) > _MOST_LINES_SHOWN:
        click.echo(f"and {len(lines) - _MOST_LINES_SHOWN} more such lines", err=True)


def _fail_on_sqlite_errors(count: int) -> None:
    if count:
        click.echo(
            f"SQLite failed {count} times; CSV has everything, and the next write or start heals SQLite", err=True
        )
        raise SystemExit(1)
