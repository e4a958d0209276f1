"""The values that all layers share."""

from stockapi.models.bars import Bars
from stockapi.models.interval import AggregatedInterval, AnyInterval, Interval, parse_interval
from stockapi.models.mode import Mode
from stockapi.models.query import QueryParameters

__all__ = ["AggregatedInterval", "AnyInterval", "Bars", "Interval", "Mode", "QueryParameters", "parse_interval"]
