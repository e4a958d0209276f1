"""The description of the routes under /analysis for /openapi.json."""

from http import HTTPStatus
from typing import Final

from stockapi.api.openapi import analysis_answers
from stockapi.api.openapi.operation import BAR_ERRORS, CSV, JSON, Operation, table
from stockapi.api.queries import analysis_schemas, screener_schemas
from stockapi.calc.screener import columns_of
from stockapi.formats.analysis_tables import (
    HOUR_COLUMN,
    PERFORMER_COLUMNS,
    PROFILE_COLUMNS,
    ROTATION_COLUMNS,
    SECTOR_COLUMNS,
)

ANALYSES: Final = (
    Operation(
        path="/analysis/top-performers",
        tag="Analysis",
        summary="Tickers ranked by how their day changed",
        description=(
            "The last bar of each ticker, indices left out, ranked from both ends; those without the sort key come "
            "last in both. On a day without trading the last bar before it counts."
        ),
        query=analysis_schemas.TopPerformersSchema,
        answer="Both ends of the ranking.",
        content={
            JSON: analysis_answers.analysis_answer("top_performers", analysis_answers.TopPerformersDataSchema),
            CSV: table("each entry of both lists, hour only with with_hour", (*PERFORMER_COLUMNS, HOUR_COLUMN)),
        },
        example=lambda _: {"limit": 5},
        headers=("X-Data-Source", "Content-Disposition"),
        errors=BAR_ERRORS,
    ),
    Operation(
        path="/analysis/ma-scores-by-sector",
        tag="Analysis",
        summary="How far the stocks of each sector are above or below a moving average",
        description="The last bar of each ticker that is in a sector and has the score; indices left out.",
        query=analysis_schemas.SectorScoresSchema,
        answer="Sectors by falling average score.",
        content={
            JSON: analysis_answers.analysis_answer("ma_scores_by_sector", analysis_answers.MaScoresDataSchema),
            CSV: table("each stock, with its sector", SECTOR_COLUMNS),
        },
        example=lambda _: {"top_per_sector": 3},
        headers=("X-Data-Source", "Content-Disposition"),
        errors=BAR_ERRORS,
    ),
    Operation(
        path="/analysis/rrg",
        tag="Analysis",
        summary="Relative rotation: which tickers are stronger than a benchmark, and become stronger",
        description=(
            "Where each ticker stands in a relative rotation graph, and its last points. Indices and the benchmark are "
            "left out, and so is what did not trade on the newest session. Only sessions count that both have."
        ),
        query=analysis_schemas.RotationSchema,
        answer="Tickers with their two coordinates.",
        content={
            JSON: analysis_answers.analysis_answer("rrg", analysis_answers.RotationDataSchema),
            CSV: table("each point of each ticker", ROTATION_COLUMNS),
        },
        example=lambda _: {"trails": 5},
        headers=("X-Data-Source", "X-Renamed", "Content-Disposition"),
        errors=(HTTPStatus.NOT_FOUND, *BAR_ERRORS),
    ),
    Operation(
        path="/analysis/screener",
        tag="Analysis",
        summary="Tickers whose last bar meets a condition",
        description=(
            "`where` joins comparisons of fields with `and`, `or`, `not` and brackets: `close>ma200 and rsi14<30`. "
            "Fields are those of bars, `value`, and those of `indicators`, which need not be named again. A comparison "
            "with an absent field is neither true nor false. Indices are left out. Which bars are the last is as in "
            "/analysis/top-performers."
        ),
        query=screener_schemas.ScreenerSchema,
        answer="The tickers, ranked.",
        content={
            JSON: analysis_answers.analysis_answer("screener", analysis_answers.ScreenerDataSchema),
            CSV: table("each match", columns_of(())),
        },
        example=lambda _: {"where": "close>ma200 and rsi14<70"},
        headers=("X-Data-Source", "Content-Disposition"),
        errors=BAR_ERRORS,
    ),
    Operation(
        path="/analysis/volume-profile",
        tag="Analysis",
        summary="The prices at which the volume of one ticker was traded",
        description=(
            "From minute bars, each bar's volume spread evenly over the price ticks between its low and high. Either "
            "`date`, or `start_date` with or without `end_date`: alone it is that one day. Where there are more price "
            "levels than `bins`, point of control, value area and statistics are those of the bins; `tick_level` has "
            "those of the levels."
        ),
        query=analysis_schemas.VolumeProfileSchema,
        answer="The profile, its point of control and value area.",
        content={
            JSON: analysis_answers.analysis_answer("volume_profile", analysis_answers.VolumeProfileDataSchema),
            CSV: table("each bin", PROFILE_COLUMNS),
        },
        example=lambda market: {"symbol": market.sample_symbols[0], "date": "latest"},
        headers=("X-Data-Source", "X-Renamed", "Content-Disposition"),
        errors=(HTTPStatus.NOT_FOUND, *BAR_ERRORS),
    ),
)
