"""`flask data doctor`: find errors in the bars themselves, and repair those that can be repaired."""

from collections import Counter

import click
from flask.cli import with_appcontext

from stockapi.cli.common import intervals_option, modes_option, one_line_errors, with_progress, writing
from stockapi.context import Services, services
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.upkeep.doctor import Finding, Kind, examine, fix
from stockapi.services.writer_lock import writer_of


@click.command("doctor")
@modes_option
@intervals_option
@click.option("--fix", "repair", is_flag=True, help="Repair what can be repaired without asking the source.")
@with_appcontext
@one_line_errors
def examine_bars(modes: tuple[Mode, ...], intervals: tuple[Interval, ...], repair: bool) -> None:
    """Find damaged lines, duplicates, impossible bars, jumps and gaps, and say for each what can be done.

    Exits 1 when a finding is left that --fix would repair, or that makes a series unreadable; otherwise 0. Unusual bars
    that a source has sent are reported, and kept.
    """
    if repair:
        with writing(modes) as app:
            left = [finding for mode in modes for finding in _examine_market(app, mode, intervals, repair=True)]
    else:
        left = [finding for mode in modes for finding in _examine_market(services(), mode, intervals, repair=False)]
    if any(finding.kind.is_repairable or finding.kind.is_unreadable for finding in left):
        raise SystemExit(1)


def _examine_market(app: Services, mode: Mode, intervals: tuple[Interval, ...], *, repair: bool) -> list[Finding]:
    """:returns: the findings that are left."""
    others_write = not repair and writer_of(app.settings, mode) is not None
    each = examine(app.stores, mode, intervals, app.clock(), others_write=others_write)
    series = list(with_progress(each, None, f"examine {mode.value}", "series"))
    left = []
    for findings in series:
        if repair and any(finding.kind.is_repairable for finding in findings):
            findings = _repaired(app, findings)
        left += findings
    for finding in left:
        click.echo(f"  {finding}")
    found = Counter(finding.kind for finding in left)
    kinds = ", ".join(f"{found[kind]} x {kind.name.lower().replace('_', ' ')}" for kind in Kind if found[kind])
    click.echo(f"{mode.value}: {len(series)} series, {kinds or 'nothing to report'}")
    _print_quarantine(app, mode)
    return left


def _repaired(app: Services, findings: list[Finding]) -> list[Finding]:
    """:returns: the findings that are left of one series."""
    stats, left = fix(app.stores, findings, app.clock())
    repaired = ", ".join(f"{each.count:,} {each.kind.value}" for each in findings if each.kind.is_repairable)
    click.echo(
        f"  {findings[0].key}: repaired: {repaired}; {stats.csv_changed:,} bars changed "
        f"in CSV, {stats.sqlite_changed:,} in SQLite"
    )
    return left


def _print_quarantine(app: Services, mode: Mode) -> None:
    quarantine = app.stores.quarantine
    reasons = quarantine.summary(mode)
    if reasons:
        click.echo(f"{mode.value}: {reasons.total():,} lines in {quarantine.path(mode)}")
        for reason, count in reasons.most_common(10):
            click.echo(f"  {count:,} x {reason}")
