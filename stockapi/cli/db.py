"""`flask db`: the database files."""

from pathlib import Path

import click
from flask.cli import with_appcontext

from stockapi.cli.common import modes_option, one_line_errors, writing
from stockapi.context import services
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.sqlite_store.tables import TableInfo
from stockapi.services.upkeep.database_utils import DatabaseUtils


@click.group("db")
def commands() -> None:
    """Migrate, inspect, tune, copy and restore the database files."""


@commands.command()
@modes_option
@with_appcontext
@one_line_errors
def upgrade(modes: tuple[Mode, ...]) -> None:
    """Create missing databases and apply missing migrations."""
    with writing(modes) as app:
        for mode in modes:
            version = app.stores.db_manager.upgrade(mode)
            click.echo(f"{mode.value}: schema version {version}, {app.settings.database_path(mode)}")


@commands.command()
@click.option(
    "--check", is_flag=True, help="Also check the integrity of the whole file, which takes the writer's lock."
)
@modes_option
@with_appcontext
@one_line_errors
def status(check: bool, modes: tuple[Mode, ...]) -> None:
    """Show tables, counts and sizes. Exits 1 when a database cannot be read or fails its integrity check."""
    is_sound = True
    for mode in modes:
        if check:
            is_sound = _is_sound(mode) and is_sound
        is_sound = _print_status(mode) and is_sound
    if not is_sound:
        raise SystemExit(1)


def _is_sound(mode: Mode) -> bool:
    """Whether the file passes its integrity check; False when it cannot be read. The result is recorded."""
    if not services().stores.db_manager.health(mode).reachable:
        return False
    with writing([mode]) as app:
        return DatabaseUtils(app.stores.db_manager).check_integrity(mode, app.clock()) == "ok"


def _print_status(mode: Mode) -> bool:
    """:returns: whether the database can be read."""
    app = services()
    health = app.stores.db_manager.health(mode)
    click.echo(f"{mode.value}: {health.path}")
    if not health.reachable:
        click.echo(f"  not usable: {health.error}")
        return False
    sizes = DatabaseUtils(app.stores.db_manager).sizes(mode)
    click.echo(
        f"  schema version {health.schema_version}, last integrity check: {health.last_integrity_check or 'never'}"
    )
    click.echo(f"  {sizes.database:,} bytes, write-ahead log {sizes.write_ahead_log:,}, reusable {sizes.free:,}")
    stats = app.stores.db_manager.stats(mode)
    for interval in Interval:
        click.echo(f"  {TableInfo.of(mode, interval).name:<14} {stats.records[interval]:>12,} rows")
    return True


@commands.command()
@modes_option
@with_appcontext
@one_line_errors
def optimize(modes: tuple[Mode, ...]) -> None:
    """Refresh statistics, empty the write-ahead log and release free pages."""
    with writing(modes) as app:
        for mode in modes:
            sizes = DatabaseUtils(app.stores.db_manager).optimize(mode, app.clock())
            click.echo(f"{mode.value}: {sizes.database:,} bytes, write-ahead log {sizes.write_ahead_log:,}")


@commands.command()
@click.argument("dest", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--keep", type=click.IntRange(1, 10_000), default=7, show_default=True, help="So many backups of each market stay."
)
@modes_option
@with_appcontext
@one_line_errors
def backup(dest: Path, keep: int, modes: tuple[Mode, ...]) -> None:
    """Copy the live databases into the directory DEST. The copies are consistent, checked and named after the time.

    No process has to stop. Older backups are removed after the new one is complete.
    """
    app = services()
    for mode in modes:
        made = DatabaseUtils(app.stores.db_manager).backup(mode, dest, app.clock(), keep)
        click.echo(
            f"{mode.value}: {made.path}, {made.contents.rows:,} rows, schema version {made.contents.schema_version}"
        )
        for path in made.removed:
            click.echo(f"{mode.value}: removed {path}")


@commands.command()
@click.argument("src", type=click.Path(path_type=Path))
@modes_option
@with_appcontext
@one_line_errors
def restore(src: Path, modes: tuple[Mode, ...]) -> None:
    """Restore the newest backups of the directory SRC, or the one file SRC. Nothing is deleted.

    The present databases are kept beside the restored ones. The next start of the worker copies what a backup lacks
    from CSV.
    """
    with writing(modes) as app:
        for mode, restored in DatabaseUtils(app.stores.db_manager).restore(modes, src, app.clock()).items():
            click.echo(
                f"{mode.value}: restored {restored.backup}"
                + (f"; the one before is {restored.aside}" if restored.aside else "")
            )
