"""The stored fields of a bar, a row each, in the order of every file, table and answer.

A new indicator goes to the end of `INDICATORS`, in a layout of its own: docs/extending.md.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

SCORE_DECIMALS: Final = 4
MA_PERIODS: Final = (10, 20, 50, 100, 200)


class Scale(Enum):
    """What a number counts. The scale and the market decide its decimals: `Market.decimals`."""

    PRICE = "price"
    SCORE = "score"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Field:
    """One number of a bar.

    `meaning`: as OpenAPI shows it. `warmup`: how many earlier bars to read, so that the number is exact.
    `layout`: the first of `CSV_LAYOUTS` that has the field, counted from 1.
    """

    name: str
    scale: Scale
    meaning: str
    warmup: int = 0
    layout: int = 1


def ma_field(period: int) -> str:
    """The name of the average of `period` closes."""
    return f"ma{period}"


def score_field(period: int) -> str:
    """The name of the distance of the close from that average."""
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
"""Bars to read before the first one wanted, so that every indicator of it is exact."""


def _columns(layout: int) -> tuple[str, ...]:
    added = (field.name for field in INDICATORS if field.layout <= layout)
    return ("ticker", "time", *PRICE_FIELDS, "volume", *added)


CSV_LAYOUTS: Final = tuple(_columns(layout) for layout in range(1, INDICATORS[-1].layout + 1))
"""The columns of CSV files, oldest layout first; each begins with those of the one before. The last is written."""
BASE_CSV_FIELDS: Final = CSV_LAYOUTS[0]
CSV_FIELDS: Final = CSV_LAYOUTS[-1]
