"""The common parts of the commands: options, errors of one line, the writer's lock, progress."""

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from flask.cli import ScriptInfo
from tqdm import tqdm

from stockapi.context import Services, services
from stockapi.errors import AppError, QueryError
from stockapi.markets import parse_mode
from stockapi.models.interval import Interval, parse_interval
from stockapi.models.mode import Mode
from stockapi.models.query import parse_symbol
from stockapi.services.upkeep.changes import finish_change
from stockapi.services.writer_lock import writer_lock

log = logging.getLogger(__name__)

Item = TypeVar("Item")

_MOST_LINES_SHOWN: Final = 20
_LOG_EVERY_S: Final = 5.0
"""The seconds between two log lines when there is no terminal for a progress bar."""


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command: an AppError ends it with one line on standard error and exit status 1."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except AppError as exc:
            raise click.ClickException(str(exc)) from exc

    return wrapped


class Parsed(click.ParamType[Any]):
    """A parameter that is parsed by one of our functions. Its QueryError says what is allowed."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value) if isinstance(value, str) else value
        except QueryError as exc:
            self.fail(str(exc), param, ctx)


def _parse_stored_interval(text: str) -> Interval:
    interval = parse_interval(text)
    if not isinstance(interval, Interval):
        raise QueryError(f"interval {text!r} is computed on read; stored are: {', '.join(i.value for i in Interval)}")
    return interval


def _enabled_markets(ctx: click.Context) -> tuple[Mode, ...]:
    # While options are parsed, there is no current application yet.
    with ctx.ensure_object(ScriptInfo).load_app().app_context():
        return services().settings.markets


class _Market(click.ParamType[Any]):
    """One of the enabled markets."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mode:
        try:
            return parse_mode(value, _enabled_markets(cast(click.Context, ctx)))
        except QueryError as exc:
            self.fail(str(exc), param, ctx)


def _market_or_first(ctx: click.Context, _param: click.Parameter, market: Mode | None) -> Mode:
    return market or _enabled_markets(ctx)[0]


def _markets_or_all(ctx: click.Context, param: click.Parameter, markets: Iterable[Mode]) -> tuple[Mode, ...]:
    return _each_once(ctx, param, markets) or _enabled_markets(ctx)


def _each_once(_ctx: click.Context, _param: click.Parameter, values: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(dict.fromkeys(values))


def _parse_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise QueryError(
            f"time zone {text!r} is unknown; allowed: a name of the IANA database, such as Asia/Ho_Chi_Minh or UTC"
        ) from None


TIMEZONE = Parsed("timezone", _parse_zone)
_INTERVAL = Parsed("interval", _parse_stored_interval)
TICKER = Parsed("ticker", parse_symbol)


def moment(parse: Callable[[str], int]) -> Parsed:
    """A parameter that is a date or timestamp, in Unix seconds. `parse` raises ValueError for other text."""

    def parsed(text: str) -> int:
        try:
            return parse(text)
        except ValueError:
            raise QueryError(f"{text!r} is not allowed; allowed: 2024-01-31 or 2024-01-31T09:15:00Z") from None

    return Parsed("time", parsed)


MODE = _Market()
MODES: Final = " or ".join(mode.value for mode in Mode)
one_mode_option = click.option(
    "--mode", type=MODE, callback=_market_or_first, help=f"{MODES}. Default: the first that is enabled."
)
modes_option = click.option(
    "--mode",
    "modes",
    type=MODE,
    multiple=True,
    callback=_markets_or_all,
    help=f"{MODES}; repeatable. Default: all that are enabled.",
)
intervals_option = click.option(
    "--interval",
    "intervals",
    type=_INTERVAL,
    multiple=True,
    default=tuple(Interval),
    callback=_each_once,
    help="1D, 1H or 1m; repeatable. Default: all three.",
)
tickers_option = click.option(
    "--ticker",
    "tickers",
    type=TICKER,
    multiple=True,
    callback=_each_once,
    help="These only; repeatable. Default: all of the source.",
)


@contextmanager
def writing(modes: Collection[Mode]) -> Iterator[Services]:
    """Make this command the only writer of the markets. At the end their write-ahead logs are emptied.

    :raises WriterLockedError: when another process writes; it says which one.
    """
    app = services()
    with writer_lock(app.settings, modes):
        try:
            for mode in modes:
                finish_change(app.stores, mode, app.clock())
            yield app
        finally:
            # The last connection that closes copies the log into the file. Only the writer may do that.
            app.stores.db_manager.close()


def with_progress(items: Iterable[Item], total: int | None, description: str, unit: str) -> Iterator[Item]:
    """Yield the items, with a progress bar on a terminal. Otherwise log a line every few seconds and at the end."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=description, unit=f" {unit}", leave=False)
        return
    count, logged = 0, time.monotonic()
    for item in items:
        yield item
        count += 1
        if time.monotonic() - logged >= _LOG_EVERY_S and count != total:
            log.info("%s: %d%s %s", description, count, f" of {total}" if total else "", unit)
            logged = time.monotonic()
    log.info("%s: %d %s, done", description, count, unit)


def print_some(lines: list[str]) -> None:
    """Print the first lines to standard error, and the number of the others."""
    for line in lines[:_MOST_LINES_SHOWN]:
        click.echo(line, err=True)
    if len(lines) > _MOST_LINES_SHOWN:
        click.echo(f"and {len(lines) - _MOST_LINES_SHOWN} more such lines", err=True)


def fail_on_sqlite_errors(count: int) -> None:
    if count:
        click.echo(
            f"SQLite failed {count} times; CSV has everything, and the next write or start repairs SQLite", err=True
        )
        raise SystemExit(1)
