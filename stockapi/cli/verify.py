"""`flask data verify`: compare both stores, say which side is right, and repair differences."""

from functools import partial
from itertools import chain

import click
from flask.cli import with_appcontext

from stockapi.cli.common import modes_option, one_line_errors, print_some, with_progress, writing
from stockapi.context import Services, services
from stockapi.errors import StoreError
from stockapi.models.mode import Mode
from stockapi.services.csv_enhancer import EnhancementStats
from stockapi.services.upkeep.reconcile import SeriesReport, reconcile_out_of_step
from stockapi.services.upkeep.verification import CheckOptions, CheckReport, Repair, Watch, check, verify_and_repair
from stockapi.services.writer_lock import writer_of


@click.command("verify")
@modes_option
@click.option("--repair", is_flag=True, help="Bring the differing ones in step, each from the store that is right.")
@with_appcontext
@one_line_errors
def verify_stores(modes: tuple[Mode, ...], repair: bool) -> None:
    """Check the database file and compare every bar of both stores. Exits 1 when they differ, and says where.

    With --repair, exits 0 when all differences are repaired. Each difference is reported with the side that is right,
    and the reason.
    """
    is_well = True
    if repair:
        if not services().settings.sqlite_writes:
            raise StoreError("SQLITE_WRITES is off, so SQLite falls behind and is not repaired; set it to true")
        with writing(modes) as app:
            for mode in modes:
                is_well = _repair(app, mode) and is_well
    else:
        for mode in modes:
            is_well = _verify(services(), mode) and is_well
    if not is_well:
        raise SystemExit(1)


def _verify(app: Services, mode: Mode) -> bool:
    """:returns: whether all is well."""
    if not app.settings.database_path(mode).exists() and not app.stores.csv_store.tickers(mode):
        click.echo(f"{mode.value}: nothing is stored")
        return True
    others_write = writer_of(app.settings, mode) is not None
    result = check(app.stores, mode, CheckOptions(others_write=others_write, watch=_watch(mode)))
    _print_result(mode, result)
    return _is_well(result)


def _repair(app: Services, mode: Mode) -> bool:
    """Repair the differences that the stamps show, then those that a comparison finds.

    :returns: whether no difference is left.
    """
    reconciled = reconcile_out_of_step(app.stores, mode, app.clock())
    print_some([f"  {key}: was out of step{_told(stats)}" for key, stats in reconciled.items()])
    if not app.settings.database_path(mode).exists():
        click.echo(f"{mode.value}: nothing is stored")
        return True
    before, done, left = verify_and_repair(app.stores, mode, app.clock, CheckOptions(watch=_watch(mode)))
    _print_result(mode, before)
    if before.is_damaged or before.differing:
        _print_repair(mode, done)
        _print_result(mode, left)
    return _is_well(left)


def _is_well(result: CheckReport) -> bool:
    return result.integrity == "ok" and not result.differing


def _watch(mode: Mode) -> Watch:
    return partial(with_progress, total=None, description=f"verify {mode.value}", unit="series")


def _print_result(mode: Mode, result: CheckReport) -> None:
    if result.integrity != "ok":
        click.echo(f"  {mode.value}: the database file is damaged: {result.integrity}", err=True)
    differing = result.differing
    rows = sum(report.csv_rows for report in result.reports)
    click.echo(f"{mode.value}: {len(result.reports)} series, {rows:,} bars in CSV, {len(differing)} differences")
    print_some([_difference(report) for report in differing])


def _difference(report: SeriesReport) -> str:
    evidence = f"; {report.evidence.value}" if report.evidence is not None and not report.is_gone else ""
    return f"  {report.key}: {', '.join(report.problems)}{evidence}"


def _print_repair(mode: Mode, done: Repair) -> None:
    if done.is_rebuilt:
        rows = sum(stats.records for stats in done.reconciled.values())
        click.echo(f"{mode.value}: the database was filled anew, {len(done.reconciled)} series, {rows:,} bars")
    else:
        print_some([f"  {key}: reconciled{_told(stats)}" for key, stats in done.reconciled.items()])
    lost = (f"  {key}: {rows} bars are in neither store; forgotten" for key, rows in done.gone.items())
    failed = (f"  {key}: not reconciled: {why}" for key, why in done.failed.items())
    print_some([*chain(lost, failed)])
    click.echo(f"{mode.value}: {len(done.reconciled)} series reconciled; compared again:")


def _told(stats: EnhancementStats) -> str:
    """The changes of one reconciled series, in bars, as text."""
    why = "".join(f"; {evidence.value}" for evidence in stats.evidence)
    aside = f", {stats.quarantined} set aside in the quarantine" if stats.quarantined else ""
    return f"{why}; {stats.csv_changed:,} bars changed in CSV, {stats.sqlite_changed:,} in SQLite{aside}"
