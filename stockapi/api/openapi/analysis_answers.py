"""The schemas of the answers of /analysis for /openapi.json."""

from typing import Any, Final

from marshmallow import Schema, fields

from stockapi.api.openapi.answers import REQUESTED, bar_time, count, number, one, several, text
from stockapi.models.fields import (
    CLOSE_CHANGED,
    INDICATORS,
    MA_FIELDS,
    MONEY_FIELD,
    PRICES,
    SCORE_FIELDS,
    VOLUME_CHANGED,
)

_MEANING: Final = {field.name: field.meaning for field in INDICATORS}

_SNAPSHOT: dict[str, fields.Field[Any]] = {
    "symbol": text("the ticker"),
    "time": bar_time("of its bar, UTC: YYYY-MM-DD, and of an hour YYYY-MM-DDTHH:MM:SS"),
    "close": number("closing price"),
    "volume": number("quantity traded"),
}

PerformerSchema = Schema.from_dict(
    {
        **_SNAPSHOT,
        **{
            name: number(_MEANING[name], null=True)
            for name in (*MA_FIELDS, *SCORE_FIELDS, CLOSE_CHANGED, VOLUME_CHANGED, MONEY_FIELD)
        },
        "sector": text("its group; null for a ticker of none", null=True),
    },
    name="Performer",
)


class TopPerformersSchema(Schema):
    performers = several(PerformerSchema, "the first in the direction asked for")
    worst_performers = several(PerformerSchema, "the first in the other direction")


class HourSchema(TopPerformersSchema):
    hour = bar_time("open of the hour, UTC: YYYY-MM-DDTHH:MM:SS")


class TopPerformersDataSchema(TopPerformersSchema):
    hourly = several(HourSchema, "the hours of the day, ascending; null without with_hour", null=True)


class StockSchema(Schema):
    symbol = text("the ticker")
    time = bar_time("of its bar, UTC: YYYY-MM-DD")
    close = number("closing price")
    volume = number("quantity traded")
    ma_value = number("the average", null=True)
    ma_score = number("(close - average) / average x 100")
    close_changed = number(_MEANING[CLOSE_CHANGED], null=True)
    volume_changed = number(_MEANING[VOLUME_CHANGED], null=True)


class SectorSchema(Schema):
    sector_name = text("the group")
    total_stocks = count("its stocks with a score")
    stocks_above_threshold = count("those with a score of at least the threshold")
    average_score = number("over all its stocks with a score")
    top_stocks = several(StockSchema, "by falling score")


class MaScoresDataSchema(Schema):
    sectors = several(SectorSchema, "by falling average score")
    ma_period = count("closes in the average")
    threshold = number("min_score")


class RotationPointSchema(Schema):
    time = bar_time("of its bar, UTC: YYYY-MM-DD")
    rs_ratio = number("as below")
    rs_momentum = number("as below")


class RotationSchema(Schema):
    symbol = text("the ticker")
    time = bar_time("of its bar, UTC: YYYY-MM-DD")
    close = number("closing price")
    volume = number("quantity traded")
    rs_ratio = number("jdk: strength against the benchmark, 100 is neutral; mascore: ma20_score")
    rs_momentum = number("jdk: whether that strength grows, 100 is neutral; mascore: ma100_score")
    raw_rs = number("close / close of the benchmark; null with mascore", null=True)
    quadrant = text("where both are", enum=["leading", "weakening", "lagging", "improving"])
    sector = text("its group; null for a ticker of none", null=True)
    trails = several(RotationPointSchema, "the last points, ascending; null with trails=0", null=True)


class RotationDataSchema(Schema):
    algorithm = text("how rs_ratio and rs_momentum are computed", enum=["jdk", "mascore"])
    benchmark = text("what tickers are compared with; null with mascore", null=True)
    period = count("sessions of each mean; null with mascore", null=True)
    tickers = several(RotationSchema, "alphabetical")


ScreenedSchema = Schema.from_dict(
    {
        "symbol": text("the ticker"),
        "time": bar_time("of its bar, UTC: YYYY-MM-DD for days and longer, YYYY-MM-DDTHH:MM:SS for the others"),
        **{field.name: number(field.meaning) for field in PRICES},
        "volume": number("quantity traded"),
        "value": number("close x volume"),
        **{field.name: number(field.meaning, null=True) for field in INDICATORS},
        **{
            field.name: number(f"{field.meaning}; where it is asked for", null=True, required=False)
            for field in REQUESTED
        },
        "sector": text("its group; null for a ticker of none", null=True),
    },
    name="Screened",
)


class ScreenerDataSchema(Schema):
    total = count("tickers that meet the condition")
    matches = several(ScreenedSchema, "the first of them, with all fields of their bar")


class PriceRangeSchema(Schema):
    low = number("lowest price of the minutes with volume")
    high = number("highest price of the minutes with volume")
    spread = number("high - low")


class PointOfControlSchema(Schema):
    price = number("the bin with most volume; null without any", null=True)
    volume = number("volume there")
    percentage = number("of the total volume")


class ValueAreaSchema(Schema):
    low = number("lowest bin of the area; null without volume", null=True)
    high = number("highest bin of the area; null without volume", null=True)
    volume = number("volume in it")
    percentage = number("of the total volume")


class ProfileLevelSchema(Schema):
    price = number("centre of the bin")
    volume = number("volume in it")
    percentage = number("of the total volume")
    cumulative_percentage = number("of the total volume, up to here")


class ProfileStatisticsSchema(Schema):
    mean_price = number("weighted by volume, as the others; null without any, as they are", null=True)
    median_price = number("half of the volume was at or below it", null=True)
    std_deviation = number("of the price", null=True)
    skewness = number("of the price; 0 is symmetrical", null=True)


class TickLevelSchema(Schema):
    tick_size = number("distance of the levels")
    poc = one(PointOfControlSchema, "point of control")
    value_area = one(ValueAreaSchema, "around the point of control")
    statistics = one(ProfileStatisticsSchema, "weighted by volume")


class VolumeProfileDataSchema(Schema):
    symbol = text("the ticker")
    total_volume = number("of all minutes; a whole number where volumes are")
    total_minutes = count("minute bars")
    price_range = one(PriceRangeSchema, "of the minutes with volume")
    poc = one(PointOfControlSchema, "point of control")
    value_area = one(ValueAreaSchema, "around the point of control")
    profile = several(ProfileLevelSchema, "bins, by rising price")
    statistics = one(ProfileStatisticsSchema, "weighted by volume")
    tick_level = one(TickLevelSchema, "the same figures of the price levels, before they are put into bins")


def analysis_answer(kind: str, data: type[Schema]) -> type[Schema]:
    """The common form of all /analysis answers, with `data` inside. `kind`: the value of `analysis_type`."""
    return Schema.from_dict(
        {
            "analysis_date": text("the date asked for, START to END, or latest"),
            "analysis_type": text("which analysis this is", enum=[kind]),
            "total_analyzed": count("what was analysed: tickers, stocks or minutes"),
            "data": one(data, "the analysis"),
        },
        name="".join(word.capitalize() for word in kind.split("_")),
    )
