"""The requests that are measured, and the same ones as the others understand them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from stockapi.models import AggregatedInterval, AnyInterval, Interval, Mode, QueryParameters
from stockapi.models.timestamps import parse_range_end, parse_time

YEAR: Final = ("2025-01-01", "2025-12-31")
OLD_YEAR: Final = ("2018-01-01", "2018-12-31")
TEN_YEARS: Final = ("2016-01-01", "2025-12-31")
OLD_MONTH: Final = ("2024-06-01", "2024-06-30")
ONE_DAY: Final = ("2025-12-30", "2025-12-30")
OLD_DAY: Final = ("2025-06-10", "2025-06-10")
SYMBOL: Final = "VCB"
CSV: Final = (("format", "csv"),)
_TABLES: Final = {Interval.DAILY: "vn_daily", Interval.HOURLY: "vn_hourly", Interval.MINUTE: "vn_minute"}


@dataclass(frozen=True, slots=True)
class Question:
    """A request for bars of one ticker (None: all), of a range of days or the last 252; or, with `path`, another one.

    `options`: further parameters. `conditional`: sent with the ETag of its answer. `share`: how fast it is to be, as a
    share of the route that has the answer in memory.
    """

    name: str
    interval: AnyInterval = Interval.DAILY
    symbol: str | None = SYMBOL
    days: tuple[str, str] | None = None
    limit: int = 252
    options: tuple[tuple[str, str], ...] = ()
    path: str = ""
    conditional: bool = False
    share: float | None = None

    @property
    def url(self) -> str:
        if self.path:
            return self.path
        return f"/tickers?{urlencode(self._parameters())}"

    def _parameters(self) -> Mapping[str, object]:
        parameters: dict[str, object] = {"interval": self.interval.value}
        if self.symbol is not None:
            parameters["symbol"] = self.symbol
        if self.days is None:
            parameters["limit"] = self.limit
        else:
            parameters |= dict(zip(("start_date", "end_date"), self.days, strict=True))
        return parameters | dict(self.options)

    @property
    def is_heavy(self) -> bool:
        """Whether an answer takes a good part of a second: measured for longer."""
        return self.symbol is None and self.limit > 1

    @property
    def is_plain(self) -> bool:
        """Stored bars in the form that the others have, too."""
        is_usual = self.options in ((), CSV)
        return is_usual and not self.path and not self.conditional and isinstance(self.interval, Interval)

    @property
    def csv_url(self) -> str | None:
        """The same from the CSV files."""
        return f"{self.url}&cache=false" if self.is_plain and not self.is_heavy else None

    @property
    def pandas_url(self) -> str | None:
        return self.url if self.is_plain else None

    @property
    def datasette_url(self) -> str | None:
        """The same rows, as datasette gives them, without its counts and suggestions."""
        if not self.is_plain or self.options or self.symbol is None or not isinstance(self.interval, Interval):
            return None
        parameters: dict[str, object] = {"_shape": "array", "_nocount": 1, "_nofacet": 1, "_nosuggest": 1}
        parameters["ticker"] = self.symbol
        if self.days is None:
            parameters |= {"_sort_desc": "time", "_size": self.limit}
        else:
            start, end = parse_time(self.days[0]), parse_range_end(self.days[1])
            parameters |= {"time__gte": start, "time__lte": end, "_sort": "time", "_size": 5000}
        return f"/vn_data/{_TABLES[self.interval]}.json?{urlencode(parameters)}"

    def query(self, *, use_sqlite: bool = True) -> QueryParameters:
        """As `DataStore` is asked."""
        return QueryParameters(
            mode=Mode.VN,
            symbols=None if self.symbol is None else (self.symbol,),
            interval=self.interval,
            start=None if self.days is None else parse_time(self.days[0]),
            end=None if self.days is None else parse_range_end(self.days[1]),
            limit=None if self.days else self.limit,
            use_sqlite=use_sqlite,
        )


YEAR_OF_DAYS: Final = Question("one ticker, one year of days", days=YEAR, share=0.6)
OLD_YEAR_OF_DAYS: Final = Question("one ticker, the year 2018", days=OLD_YEAR, share=0.5)
LAST_DAYS: Final = Question("one ticker, `limit=252` of days", share=0.6)
LAST_HOURS: Final = Question("one ticker, `limit=252` of hours", Interval.HOURLY, share=0.6)
LAST_MINUTES: Final = Question("one ticker, `limit=252` of minutes", Interval.MINUTE, share=0.6)
OLD_MONTH_OF_HOURS: Final = Question(
    "one ticker, a month of hours, 18 months ago", Interval.HOURLY, days=OLD_MONTH, share=0.5
)
DAY_OF_MINUTES: Final = Question("one ticker, one day of minutes, by date", Interval.MINUTE, days=ONE_DAY, share=0.5)
OLD_DAY_OF_MINUTES: Final = Question(
    "one ticker, a day of minutes, half a year ago", Interval.MINUTE, days=OLD_DAY, share=0.5
)
TEN_YEARS_OF_DAYS: Final = Question("one ticker, ten years of days", days=TEN_YEARS, share=0.3)
ALL_JSON: Final = Question("all tickers, `limit=252`, JSON", symbol=None, share=0.3)
ALL_CSV: Final = Question("all tickers, `limit=252`, CSV", symbol=None, options=CSV, share=0.2)
UNCHANGED: Final = Question("one ticker, one year of days, unchanged (304)", days=YEAR, conditional=True)


def _aggregated(interval: AggregatedInterval, limit: int) -> Question:
    return Question(f"one ticker, `limit={limit}` of {interval.value}", interval, limit=limit, share=0.35)


def _in_form(name: str, value: str) -> Question:
    return Question(f"one ticker, `limit=252` of days, `{name}={value}`", options=((name, value),), share=0.5)


def _profile(name: str, days: tuple[str, str]) -> Question:
    path = f"/analysis/volume-profile?symbol={SYMBOL}&start_date={days[0]}&end_date={days[1]}"
    return Question(f"volume profile of {name}", path=path, share=0.5)


ALL: Final = [
    YEAR_OF_DAYS,
    LAST_DAYS,
    LAST_HOURS,
    LAST_MINUTES,
    DAY_OF_MINUTES,
    OLD_YEAR_OF_DAYS,
    OLD_MONTH_OF_HOURS,
    OLD_DAY_OF_MINUTES,
    TEN_YEARS_OF_DAYS,
    *(_aggregated(interval, 252) for interval in AggregatedInterval if interval.is_intraday),
    *(_aggregated(interval, 52) for interval in AggregatedInterval if not interval.is_intraday),
    _in_form("format", "csv"),
    _in_form("legacy", "true"),
    _in_form("shape", "columns"),
    _in_form("ma", "false"),
    _in_form("ema", "true"),
    _in_form("columns", "time,close,ma20"),
    Question("all tickers, `limit=1`", symbol=None, limit=1),
    ALL_JSON,
    ALL_CSV,
    Question("top performers", path="/analysis/top-performers?limit=10", share=0.2),
    Question("average scores by sector", path="/analysis/ma-scores-by-sector", share=0.2),
    _profile("a day", ONE_DAY),
    _profile("a day, half a year ago", OLD_DAY),
    UNCHANGED,
]
POINTS: Final = [
    YEAR_OF_DAYS,
    OLD_YEAR_OF_DAYS,
    LAST_DAYS,
    LAST_HOURS,
    LAST_MINUTES,
    DAY_OF_MINUTES,
    OLD_DAY_OF_MINUTES,
    TEN_YEARS_OF_DAYS,
]
"""Whose time must not depend on how much else is stored."""
