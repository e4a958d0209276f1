"""GET /analysis/*: rankings and sector scores from the last bar of every ticker, and the volume profile of one."""

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import admission, limits, responses
from stockapi.api.queries.analysis_schemas import (
    LATEST,
    SectorScoresQuery,
    TopPerformersQuery,
    end_of_day,
    format_day,
    parse_sector_scores_query,
    parse_top_performers_query,
    parse_volume_profile_query,
)
from stockapi.calc.cross_section import CrossSection
from stockapi.calc.ma_scores import ma_scores_by_sector, scored_stocks
from stockapi.calc.top_performers import rank, rank_hours, with_volume
from stockapi.calc.volume_profile import volume_profile
from stockapi.constants import SECONDS_PER_DAY
from stockapi.context import services
from stockapi.errors import NotFoundError
from stockapi.markets.tickers import group_named, sector_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import QueryParameters
from stockapi.models.timestamps import TimeStyle
from stockapi.models.window import LastOfEach
from stockapi.services.data_store import DataSource, LastBars, QueryResult

blueprint = Blueprint("analysis", __name__, url_prefix="/analysis")


@blueprint.get("/top-performers")
def top_performers() -> Response:
    """The tickers of a market, or of one sector, that changed most and least."""
    query = parse_top_performers_query(request.args, services().settings.markets)
    sectors = _sectors(query.sector, query.mode)
    result = _last_bars(query)
    section = with_volume(_without_indices(result.section, query.mode), query.min_volume)
    if query.sector is not None:
        section = section.keep(sectors.__contains__)
    data: dict[str, object] = {**rank(section, sectors, query.ranking, _of_days(query)), "hourly": None}
    sources = [result.source]
    if query.with_hour:
        hours = _hours(query, section)
        data["hourly"] = rank_hours(hours.bars, sectors, query.ranking, query.times) if hours else []
        sources += [hours.source] if hours else []
    return _answer("top_performers", format_day(query.day), len(section.symbols), data, DataSource.of_all(sources))


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
    data = {"sectors": sectors, "ma_period": query.ma_period, "threshold": query.min_score}
    return _answer("ma_scores_by_sector", format_day(query.day), len(stocks), data, result.source)


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
    answer = _answer("volume_profile", query.dates, data.total_minutes, data, result.source)
    return responses.with_names(answer, sorted(result.renamed.items()))


def _last_bars(query: TopPerformersQuery | SectorScoresQuery) -> LastBars:
    """The bars of the market's newest day up to the one asked for, or of few days more: what trades."""
    now = int(services().clock().timestamp())
    end = now if query.day is None else min(end_of_day(query.day), now)
    last = services().data_store.get_last_bars(LastOfEach(mode=query.mode, end=end), limits.current())
    return LastBars(last.section.of_newest_days(query.max_age_days), last.source)


def _of_days(query: TopPerformersQuery | SectorScoresQuery) -> TimeStyle:
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
    settings = services().settings
    return section.keep(lambda symbol: not settings.is_index(symbol, mode))


def _sectors(text: str | None, mode: Mode) -> dict[str, str]:
    """The sector of each symbol. With a text only the symbols of the sector that it names; none without such one."""
    groups = services().stores.renames.groups(mode)
    if text is None:
        return sector_of(groups)
    name = group_named(text, groups, mode)
    return {} if name is None else dict.fromkeys(groups[name], name)


def _answer(kind: str, dates: str, total: int, data: object, source: DataSource) -> Response:
    body = orjson.dumps({"analysis_date": dates, "analysis_type": kind, "total_analyzed": total, "data": data})
    limits.current().check("an analysis")
    return responses.of_bars([body], responses.JSON_TYPE, source)
