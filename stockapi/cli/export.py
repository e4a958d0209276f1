"""`flask data export`: stored bars as files that other programs read, Parquet or CSV."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import click
from flask.cli import with_appcontext

from stockapi.cli.common import intervals_option, modes_option, one_line_errors, print_some, with_progress
from stockapi.context import Services, services
from stockapi.errors import NotFoundError, StoreError
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import stored_tickers
from stockapi.services.export import (
    Exported,
    FileFormat,
    Target,
    export_series,
    require_layout,
    require_outside,
    require_parquet,
)


@click.command("export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice([each.value for each in FileFormat], case_sensitive=False),
    required=True,
    help="Parquet needs a package more: pip install -r requirements-parquet.txt",
)
@modes_option
@intervals_option
@click.option("--yearly", is_flag=True, help="A file for each year: <TICKER>/<YEAR>.parquet")
@with_appcontext
@one_line_errors
def export_bars(
    directory: Path, file_format: str, modes: tuple[Mode, ...], intervals: tuple[Interval, ...], yearly: bool
) -> None:
    """Copy the stored bars into files below DIRECTORY: <market>/<interval>/<TICKER>.parquet, or .csv.

    Nothing has to stop. Each file is complete, or the one of before. Exits 1 when a series failed; the others are
    exported all the same.
    """
    app, target = services(), Target(directory, FileFormat(file_format), yearly)
    if target.format is FileFormat.PARQUET:
        require_parquet()
    wanted = list(product(modes, intervals))
    for mode, interval in wanted:
        require_outside(app.settings, target.folder(mode, interval))
        require_layout(target, mode, interval)
    outcomes = [
        outcome
        for mode, interval in wanted
        if app.settings.database_path(mode).exists() or app.stores.csv_store.tickers(mode)
        for outcome in _export_interval(app, target, mode, interval)
    ]
    if any(isinstance(outcome, str) for outcome in outcomes):
        raise SystemExit(1)
    if not outcomes:
        raise NotFoundError("there are no such bars, so nothing is exported")


def _export_interval(app: Services, target: Target, mode: Mode, interval: Interval) -> list[Exported | str]:
    """One outcome for each series with bars. For a series that failed, it is a line that says why."""
    folder = target.folder(mode, interval)
    tickers = stored_tickers(app.stores, mode, interval)
    each = (_export_series(app, target, SeriesKey(mode, ticker, interval)) for ticker in tickers)
    outcomes = list(with_progress(each, len(tickers), f"export {mode.value} {interval.value}", "tickers"))
    done = [outcome for outcome in outcomes if isinstance(outcome, Exported) and outcome.paths]
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    print_some(failed)
    print_some([f"left {path}: it is of no series that was exported now" for path in _others(target, folder, done)])
    click.echo(
        f"{mode.value} {interval.value}: {len(done)} tickers, {sum(len(one.paths) for one in done)} files, "
        f"{sum(one.bars for one in done):,} bars, {sum(one.bytes for one in done):,} bytes in {folder}"
    )
    return [*done, *failed]


def _export_series(app: Services, target: Target, key: SeriesKey) -> Exported | str:
    try:
        return export_series(app.data_store, app.settings, key, target)
    except StoreError as exc:
        return f"failed {key}: {exc}"


def _others(target: Target, folder: Path, done: list[Exported]) -> Iterator[Path]:
    """Files that a glob finds beside those of this export: of a ticker that was deleted or renamed, for example."""
    written = {path for exported in done for path in exported.paths}
    found = folder.glob(f"{'*/' if target.is_yearly else ''}*.{target.format.value}")
    return (path for path in sorted(found) if path not in written)
