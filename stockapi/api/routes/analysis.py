"""GET /analysis/*: rankings, sector scores and relative rotation of a market, and the volume profile of one ticker."""

from collections.abc import Mapping

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import admission, limits, responses
from stockapi.api.queries.analysis_schemas import (
    LATEST,
    Algorithm,
    RotationQuery,
    SectorScoresQuery,
    TopPerformersQuery,
    end_of_day,
    format_day,
    parse_rotation_query,
    parse_sector_scores_query,
    parse_top_performers_query,
    parse_volume_profile_query,
)
from stockapi.calc.cross_section import CrossSection
from stockapi.calc.ma_scores import ma_scores_by_sector, scored_stocks
from stockapi.calc.rotation import (
    JDK_CENTRE,
    SCORE_CENTRE,
    Track,
    ending_on,
    jdk_tracks,
    rotations,
    score_tracks,
    sessions_needed,
)
from stockapi.calc.top_performers import rank, rank_hours, with_volume
from stockapi.calc.volume_profile import volume_profile
from stockapi.constants import SECONDS_PER_DAY
from stockapi.context import services
from stockapi.errors import NotFoundError
from stockapi.formats.analysis_tables import performers_table, profile_table, rotation_table, sectors_table
from stockapi.formats.csv_tables import Table
from stockapi.markets.tickers import group_named, sector_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.timestamps import TimeStyle
from stockapi.models.window import LastOfEach
from stockapi.services.data_store import DataSource, LastBars, QueryResult
from stockapi.services.rotations import Sessions

blueprint = Blueprint("analysis", __name__, url_prefix="/analysis")

_Tracks = tuple[list[Track], DataSource, Mapping[str, str]]
"""With the store that answered, and the new name of a benchmark by its old one."""


@blueprint.get("/top-performers")
def top_performers() -> Response:
    """The tickers of a market, or of one sector, that changed most and least."""
    query = parse_top_performers_query(request.args, services().settings.markets)
    sectors = _sectors(query.sector, query.mode)
    result = _last_bars(query)
    section = with_volume(_without_indices(result.section, query.mode), query.min_volume)
    if query.sector is not None:
        section = section.keep(sectors.__contains__)
    day, hourly = rank(section, sectors, query.ranking, _of_days(query)), None
    sources = [result.source]
    if query.with_hour:
        hours = _hours(query, section)
        hourly = rank_hours(hours.bars, sectors, query.ranking, query.times) if hours else []
        sources += [hours.source] if hours else []
    source = DataSource.of_all(sources)
    if query.is_csv:
        return _table("top_performers", performers_table(day, hourly), source)
    data = {**day, "hourly": hourly}
    return _answer("top_performers", format_day(query.day), len(section.symbols), data, source)


@blueprint.get("/ma-scores-by-sector")
def sector_scores() -> Response:
    """The scores of the stocks of each sector against a moving average."""
    query = parse_sector_scores_query(request.args, services().settings.markets)
    result = _last_bars(query)
    groups = services().stores.renames.groups(query.mode)
    grouped = result.section.keep(sector_of(groups).__contains__)
    stocks = scored_stocks(_without_indices(grouped, query.mode), query.ma_period, _of_days(query))
    sectors = ma_scores_by_sector(
        stocks,
        groups,
        min_score=query.min_score,
        above_threshold_only=query.above_threshold_only,
        top_per_sector=query.top_per_sector,
    )
    if query.is_csv:
        return _table("ma_scores_by_sector", sectors_table(sectors), result.source)
    data = {"sectors": sectors, "ma_period": query.ma_period, "threshold": query.min_score}
    return _answer("ma_scores_by_sector", format_day(query.day), len(stocks), data, result.source)


@blueprint.get("/rrg")
def rotation() -> Response:
    """Where the tickers of a market, or of one sector, stand in a relative rotation graph.

    :raises NotFoundError: when there is no bar of the benchmark.
    """
    query = parse_rotation_query(request.args, services().settings.markets)
    sectors = _sectors(query.sector, query.mode)
    is_jdk = query.algorithm is Algorithm.JDK
    tracks, source, renamed = (_against_benchmark if is_jdk else _against_averages)(query)
    shown = [
        each
        for each in tracks
        if each.bars.volume[-1] >= query.min_volume and (query.sector is None or each.symbol in sectors)
    ]
    tickers = rotations(
        shown,
        sectors,
        centre=JDK_CENTRE if is_jdk else SCORE_CENTRE,
        with_trails=query.trails > 0,
        times=_of_days(query),
    )
    if query.is_csv:
        answer = _table("rrg", rotation_table(tickers), source)
    else:
        data = {
            "algorithm": query.algorithm.value,
            "benchmark": query.benchmark if is_jdk else None,
            "period": query.period if is_jdk else None,
            "tickers": tickers,
        }
        answer = _answer("rrg", format_day(query.day), len(shown), data, source)
    return responses.with_names(answer, sorted(renamed.items()))


def _against_benchmark(query: RotationQuery) -> _Tracks:
    count = sessions_needed(query.period, query.trails)
    admission.admit(_last_days(query, count, Indicators.NONE))
    wanted = Sessions(mode=query.mode, benchmark=query.benchmark, end=_until(query.day), count=count)
    found = services().rotations.common_sessions(wanted, limits.current())
    itself = {query.benchmark, *found.renamed.values()}
    series = {
        symbol: bars
        for symbol, bars in found.series.items()
        if symbol not in itself and not _is_index(symbol, query.mode)
    }
    tracks = jdk_tracks(series, found.benchmark, period=query.period, trails=query.trails)
    return ending_on(tracks, int(found.benchmark.time[-1])), found.source, found.renamed


def _against_averages(query: RotationQuery) -> _Tracks:
    days = _last_days(query, max(query.trails, 1), Indicators.SIMPLE)
    admission.admit(days)
    found = services().data_store.get_data_smart_sqlite(days, limits.current())
    stocks = {symbol: bars for symbol, bars in found.bars.items() if not _is_index(symbol, query.mode)}
    newest = max((int(bars.time[-1]) for bars in found.bars.values()), default=0)
    return ending_on(score_tracks(stocks), newest), found.source, {}


def _last_days(query: RotationQuery, count: int, indicators: Indicators) -> QueryParameters:
    return QueryParameters(mode=query.mode, end=_until(query.day), limit=count, indicators=indicators)


@blueprint.get("/volume-profile")
def profile() -> Response:
    """The volume profile of the minutes of one ticker.

    :raises NotFoundError: when it has no minute bars on these days.
    """
    query = parse_volume_profile_query(request.args, services().settings.markets)
    admission.admit(query.minutes)
    result = services().data_store.get_data_smart_sqlite(query.minutes, limits.current())
    minutes = result.bars.get(query.symbol)
    if query.dates == LATEST and minutes is not None:
        newest = int(minutes.time[-1])
        query = query.of_days(newest - newest % SECONDS_PER_DAY, newest - newest % SECONDS_PER_DAY)
        result = services().data_store.get_data_smart_sqlite(query.minutes, limits.current())
        minutes = result.bars.get(query.symbol)
    if minutes is None:
        raise NotFoundError(
            f"there are no minute bars of {query.symbol} on {query.dates} (mode {query.mode.value}); "
            "allowed: a symbol, and days on which it traded"
        )
    data = volume_profile(
        query.symbol,
        minutes,
        query.mode,
        query.options,
        is_index=services().settings.is_index(query.symbol, query.mode),
    )
    if query.is_csv:
        answer = _table("volume_profile", profile_table(data), result.source)
    else:
        answer = _answer("volume_profile", query.dates, data.total_minutes, data, result.source)
    return responses.with_names(answer, sorted(result.renamed.items()))


def _last_bars(query: TopPerformersQuery | SectorScoresQuery) -> LastBars:
    """The bars of the market's newest day up to the one asked for, or of few days more: what trades."""
    end = _until(query.day)
    last = services().data_store.get_last_bars(LastOfEach(mode=query.mode, end=end), limits.current())
    return LastBars(last.section.of_newest_days(query.max_age_days), last.source)


def _until(day: int | None) -> int:
    """The last second (Unix) that a query for this day reads; never one of a time to come."""
    now = int(services().clock().timestamp())
    return now if day is None else min(end_of_day(day), now)


def _of_days(query: TopPerformersQuery | SectorScoresQuery | RotationQuery) -> TimeStyle:
    return TimeStyle.of(Interval.DAILY, query.times)


def _hours(query: TopPerformersQuery, section: CrossSection) -> QueryResult[Bars] | None:
    """The hourly bars of the newest day of the section, for its symbols; None when the section is empty."""
    day = section.newest_day
    if day is None:
        return None
    parameters = QueryParameters(
        mode=query.mode,
        interval=Interval.HOURLY,
        symbols=tuple(section.symbols),
        start=day,
        end=end_of_day(day),
        limit=None,
    )
    return services().data_store.get_data_smart_sqlite(parameters, limits.current())


def _without_indices(section: CrossSection, mode: Mode) -> CrossSection:
    return section.keep(lambda symbol: not _is_index(symbol, mode))


def _is_index(symbol: str, mode: Mode) -> bool:
    return services().settings.is_index(symbol, mode)


def _sectors(text: str | None, mode: Mode) -> dict[str, str]:
    """The sector of each symbol. With a text only the symbols of the sector that it names; none without such one."""
    groups = services().stores.renames.groups(mode)
    if text is None:
        return sector_of(groups)
    name = group_named(text, groups, mode)
    return {} if name is None else dict.fromkeys(groups[name], name)


def _table(kind: str, table: Table, source: DataSource) -> Response:
    limits.current().check("an analysis")
    return responses.of_table(table, kind, source)


def _answer(kind: str, dates: str, total: int, data: object, source: DataSource) -> Response:
    body = orjson.dumps({"analysis_date": dates, "analysis_type": kind, "total_analyzed": total, "data": data})
    limits.current().check("an analysis")
    return responses.of_bars([body], responses.JSON_TYPE, source)
