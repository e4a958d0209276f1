"""The tools: each is one route of the API, asked with a choice of its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_BARS: Final = 500
"""Bars in an answer of `get_bars`. A model that needs a longer time should ask for a longer interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool.

    `path`: of its route. `parameters`: those of the route that the tool has, in the order of their importance.
    `hint`: what a model should know beside the description of the route.
    `required`: parameters that the tool needs, though the route does not.
    `defaults`: where they differ from those of the route.
    `most`: the largest value of a parameter. `max_rows`: the row budget of its answer; None for that of the settings.
    """

    name: str
    title: str
    path: str
    parameters: tuple[str, ...]
    hint: str = ""
    required: tuple[str, ...] = ()
    defaults: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    max_rows: int | None = None


TOOLS: Final = (
    Tool(
        name="search_symbols",
        title="Find symbols by name",
        path="/tickers/search",
        parameters=("q", "mode", "exchange", "sector", "index", "active", "has_bars", "limit"),
        hint="Use it first where only the name of a company or coin is known. Only symbols with bars have prices here.",
    ),
    Tool(
        name="get_bars",
        title="Prices and indicators of symbols",
        path="/tickers",
        parameters=(
            *("symbol", "interval", "start_date", "end_date", "limit", "mode"),
            *("closed", "indicators", "ma", "ema", "columns", "shape"),
        ),
        hint=(
            f"At most {MAX_BARS} bars in all; the newest 60 of each symbol when neither limit nor start_date is given. "
            "For a long time ask for 1W or 1M, for few fields give columns; shape=columns is shortest."
        ),
        required=("symbol",),
        defaults={"limit": 60},
        most={"limit": MAX_BARS},
        max_rows=MAX_BARS,
    ),
    Tool(
        name="get_snapshot",
        title="The newest prices",
        path="/tickers/snapshot",
        parameters=("symbol", "sector", "mode"),
        hint="Give symbols or a sector; a whole market is long.",
    ),
    Tool(
        name="top_performers",
        title="The best and worst of a day",
        path="/analysis/top-performers",
        parameters=(
            *("date", "sort_by", "direction", "limit", "sector", "min_volume", "with_hour", "mode"),
            "max_age_days",
        ),
    ),
    Tool(
        name="ma_scores_by_sector",
        title="The strength of sectors",
        path="/analysis/ma-scores-by-sector",
        parameters=(
            *("date", "ma_period", "min_score", "above_threshold_only", "top_per_sector", "mode"),
            "max_age_days",
        ),
    ),
    Tool(
        name="volume_profile",
        title="The prices at which a symbol was traded",
        path="/analysis/volume-profile",
        parameters=("symbol", "date", "start_date", "end_date", "bins", "value_area_pct", "mode"),
        hint="Give either date, or start_date.",
    ),
    Tool(
        name="screener",
        title="Symbols that meet a condition",
        path="/analysis/screener",
        parameters=(
            *(
                "where",
                "sort_by",
                "direction",
                "limit",
                "indicators",
                "interval",
                "date",
                "sector",
                "exchange",
                "index",
            ),
            *("mode", "max_age_days"),
        ),
        hint="Where a condition is refused, the error names the character that is wrong.",
        defaults={"limit": 20},
    ),
    Tool(
        name="data_coverage",
        title="What is stored of each symbol",
        path="/tickers/coverage",
        parameters=("symbol", "interval", "mode"),
        hint="Give symbols; a whole market is long.",
    ),
)

BY_NAME: Final = {tool.name: tool for tool in TOOLS}
