"""The stored fields of a bar, one row for each field. Files, tables and answers have the same order.

A new indicator goes to the end of `INDICATORS`, with a new layout: docs/extending.md.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

SCORE_DECIMALS: Final = 4
VOLUME_DECIMALS: Final = 8
"""Exchanges report fractions of a coin with at most 8 decimals."""
MA_PERIODS: Final = (10, 20, 50, 100, 200)


class Scale(Enum):
    """The kind of a number. The scale and the market give its decimals: `Market.decimals`."""

    PRICE = "price"
    SCORE = "score"
    MONEY = "money"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Field:
    """One number of a bar.

    `meaning`: the text in OpenAPI.
    `warmup`: how many earlier bars have to be read to make the number exact.
    `layout`: the number of the first of `CSV_LAYOUTS` that has the field, from 1 on.
    """

    name: str
    scale: Scale
    meaning: str
    warmup: int = 0
    layout: int = 1


def ma_field(period: int) -> str:
    """The field of the average of `period` closes."""
    return f"ma{period}"


def score_field(period: int) -> str:
    """The field of the distance of the close from that average."""
    return f"ma{period}_score"


MA_FIELDS: Final = tuple(map(ma_field, MA_PERIODS))
SCORE_FIELDS: Final = tuple(map(score_field, MA_PERIODS))
CLOSE_CHANGED: Final = "close_changed"
VOLUME_CHANGED: Final = "volume_changed"
MONEY_FIELD: Final = "total_money_changed"

PRICES: Final = tuple(Field(name, Scale.PRICE, f"{name} price") for name in ("open", "high", "low", "close"))
INDICATORS: Final = (
    *(Field(ma_field(n), Scale.PRICE, f"average of the last {n} closes", n, 2) for n in MA_PERIODS),
    *(Field(score_field(n), Scale.SCORE, f"(close - ma{n}) / ma{n} x 100", n, 2) for n in MA_PERIODS),
    Field(CLOSE_CHANGED, Scale.SCORE, "change of the close since the bar before, %", 1, 2),
    Field(VOLUME_CHANGED, Scale.SCORE, "change of the volume since the bar before, %", 1, 2),
    Field(MONEY_FIELD, Scale.MONEY, "(close - close before) x volume; 0 for an index", 1, 2),
)

PRICE_FIELDS: Final = tuple(field.name for field in PRICES)
INDICATOR_FIELDS: Final = tuple(field.name for field in INDICATORS)
WARMUP_BARS: Final = max(field.warmup for field in INDICATORS)
"""How many bars have to be read before the first wanted bar, to make all its indicators exact."""


def _columns(layout: int) -> tuple[str, ...]:
    added = (field.name for field in INDICATORS if field.layout <= layout)
    return ("ticker", "time", *PRICE_FIELDS, "volume", *added)


CSV_LAYOUTS: Final = tuple(_columns(layout) for layout in range(1, INDICATORS[-1].layout + 1))
"""The columns of CSV files, the oldest layout first. Each layout adds columns at the end of the one before. The last
layout is written.
"""
BASE_CSV_FIELDS: Final = CSV_LAYOUTS[0]
CSV_FIELDS: Final = CSV_LAYOUTS[-1]
