"""Vietnamese brokers that serve TradingView's UDF protocol: VPS, VNDirect, DNSE. One reader, a row for each broker.

A request has a symbol, a resolution and a window of time: `from` and `to`, Unix seconds. The answer has parallel arrays
`t o h l c v`. None of the brokers has documentation; the facts come from their public clients.

* Prices of stocks are in thousands of dong; values of indices and futures are points. Prices are back-adjusted.
* DNSE has an address for stocks, one for indices and one for futures, and its answers have no status `s`. The others
  say `ok`, `no_data` or `error`.
* `to` is exclusive in the protocol and inclusive at some brokers. So the request asks for more, and the rest is cut.
* A day may be stamped with any moment of it: 00:00 UTC, or 00:00 or 09:00 in Ho Chi Minh City.
* A broker keeps minutes for some months, and does not say how long. It may send fewer bars than the window has.
* An unknown ticker, a window without trades and a block look the same: no bars. So an empty window counts only if the
  newest bars of the ticker are answered. With `no_data`, some send the time of the next older bar, `nextTime`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import BadPayloadError, NoDataError
from stockapi.markets import market_of
from stockapi.markets.tickers import tickers_for
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.live.http_client import BROWSER, Endpoint, HttpClient, one_line
from stockapi.providers.live.payload import Payload, parallel_columns
from stockapi.providers.live.timing import Timing

_COLUMNS: Final = ("t", "o", "h", "l", "c", "v")
_FUTURE = re.compile(r"VN\d+F")
_DONG_PER_UNIT: Final = 1_000.0
_SCALED_DECIMALS: Final = 6
"""69.951 * 1000 is 69951.00000000001."""

_WINDOW_S: Final = {
    Interval.DAILY: 3_660 * SECONDS_PER_DAY,
    Interval.HOURLY: 366 * SECONDS_PER_DAY,
    Interval.MINUTE: 60 * SECONDS_PER_DAY,
}
"""The window of one request: some 10,000 bars at most."""
_DAYS_OFF_S: Final = {
    Interval.DAILY: 14 * SECONDS_PER_DAY,
    Interval.HOURLY: 4 * SECONDS_PER_DAY,
    Interval.MINUTE: 4 * SECONDS_PER_DAY,
}
"""A window may begin with so many days off. If its first bar is later, the broker may have sent only the last ones."""
_MOST_EMPTY_WINDOWS: Final = 3
"""After so many windows without a bar in a row, older bars are not expected: half a year of minutes."""


def _utc(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


_HISTORY_START: Final = {
    Interval.DAILY: _utc(2015, 1, 1),
    Interval.HOURLY: _utc(2023, 9, 1),
    Interval.MINUTE: _utc(2023, 9, 1),
}
"""As of VCI, so that a history is as long whichever source it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """What differs from broker to broker.

    `name`: in settings and records. `title`: in messages. The paths follow the base address of the settings.
    `resolutions`: what it calls our intervals. `index_names`: what it calls our indices, where the name differs.
    """

    name: str
    title: str
    stock_path: str
    index_path: str
    future_path: str
    resolutions: Mapping[Interval, str]
    index_names: Mapping[str, str]


def _one_path(path: str) -> dict[str, str]:
    return dict.fromkeys(("stock_path", "index_path", "future_path"), path)


_RESOLUTIONS: Final = {Interval.DAILY: "D", Interval.HOURLY: "60", Interval.MINUTE: "1"}
_SHORT_NAMES: Final = {"HNXINDEX": "HNX", "UPCOMINDEX": "UPCOM"}

BROKERS: Final = (
    Broker(
        name="vps",
        title="VPS",
        **_one_path("/tradingview/history"),
        resolutions=_RESOLUTIONS,
        index_names={},
    ),
    Broker(
        name="vndirect",
        title="VNDirect",
        **_one_path("/dchart/history"),
        resolutions=_RESOLUTIONS,
        index_names=_SHORT_NAMES,
    ),
    Broker(
        name="dnse",
        title="DNSE",
        stock_path="/chart-api/v2/ohlcs/stock",
        index_path="/chart-api/v2/ohlcs/index",
        future_path="/chart-api/v2/ohlcs/derivative",
        resolutions={Interval.DAILY: "1D", Interval.HOURLY: "1H", Interval.MINUTE: "1"},
        index_names=_SHORT_NAMES,
    ),
)


class UdfProvider:
    """One broker. Threads share it."""

    mode = Mode.VN
    is_back_adjusted = True

    def __init__(self, broker: Broker, settings: Settings, timing: Timing) -> None:
        self.name = broker.name
        self._broker = broker
        self._settings = settings
        self._timing = timing
        base_url: str = getattr(settings, f"{broker.name}_base_url")
        per_minute: int = getattr(settings, f"{broker.name}_requests_per_minute")
        self._client = HttpClient(Endpoint(broker.title, base_url, per_minute, BROWSER), settings, timing)

    def tickers(self) -> list[str]:
        return tickers_for(self.mode, self._settings)

    def history_start(self, interval: Interval, now: int) -> int:  # noqa: ARG002  (it does not move with time)
        return _HISTORY_START[interval]

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        payload = Payload(f"{self._broker.title} {ticker} {interval.value}", self.mode, interval)
        wanted = _Wanted(ticker, interval, payload)
        # A day is stamped with any moment of it, at the market.
        margin = SECONDS_PER_DAY if interval is Interval.DAILY else 0
        end = min(end, int(self._timing.unix_s()))
        pages = list(self._pages(wanted, start - margin, end + margin))
        if not any(len(page) for page in pages):
            newest = self._newest(wanted, end + margin, payload.no_data())
            if len(newest) and newest.time.max() >= start - margin:
                raise NoDataError(f"{payload.about}: no bars, then some: we are being blocked")
            return Bars.empty(whole_volume=market_of(self.mode).has_whole_volume)
        bars = payload.bars(pages, start, end)
        scale = 1.0 if self._settings.is_index(ticker, self.mode) else _DONG_PER_UNIT
        return Bars.of(bars.time, np.round(bars.prices * scale, _SCALED_DECIMALS), bars.volume)

    def _pages(self, wanted: "_Wanted", start: int, end: int) -> Iterator[Bars]:
        """Yield the pages from the newest to the oldest. Most windows need only one page.

        :raises NoDataError: when bars come, and then none any more, not even the newest.
        """
        before, empty_pages, has_bars = end + 1, 0, False
        while before > start and empty_pages < _MOST_EMPTY_WINDOWS:
            first = max(start, before - _WINDOW_S[wanted.interval])
            page, older = self._page(wanted, first, before)
            if not len(page) and has_bars and not empty_pages and older is None:
                blocked = NoDataError(f"{wanted.payload.about}: bars, then none any more: we are being blocked")
                self._newest(wanted, end, blocked)
                page, older = self._page(wanted, first, before)
            if len(page):
                yield page
                empty_pages, has_bars = 0, True
                oldest = int(page.time.min())
                before = oldest if oldest - first > _DAYS_OFF_S[wanted.interval] else first
            else:
                empty_pages += 1
                before = first if older is None else min(first, older + 1)

    def _newest(self, wanted: "_Wanted", end: int, error: NoDataError) -> Bars:
        """The newest bars until `end`: does the broker answer for this ticker at all?

        :raises NoDataError: `error`, when it does not.
        """
        page, older = self._page(wanted, end + 1 - _WINDOW_S[wanted.interval], end + 1)
        if not len(page) and older is None:
            raise error
        return page

    def _page(self, wanted: "_Wanted", first: int, before: int) -> tuple[Bars, int | None]:
        """The bars of one answer with first <= time < before; and of an answer without bars the time of the next older
        one. A row of another time is none that was asked for, and must not lead the paging elsewhere.
        """
        columns, older = self._ask(wanted, first, before)
        page = wanted.payload.page(columns)
        return page.take((page.time >= first) & (page.time < before)), older

    def _ask(self, wanted: "_Wanted", first: int, before: int) -> tuple[Sequence[Sequence[object]], int | None]:
        about, broker = wanted.payload.about, self._broker
        params: dict[str, str | int] = {
            "symbol": broker.index_names.get(wanted.ticker, wanted.ticker),
            "resolution": broker.resolutions[wanted.interval],
            "from": max(first, 0),
            "to": before,
        }
        answer = self._client.get(self._path(wanted.ticker), params, about)
        answer.require_ok()
        return _columns(answer.json(), about)

    def _path(self, ticker: str) -> str:
        if not self._settings.is_index(ticker, self.mode):
            return self._broker.stock_path
        return self._broker.future_path if _FUTURE.match(ticker) else self._broker.index_path


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What all requests of one fetch have in common."""

    ticker: str
    interval: Interval
    payload: Payload


def _columns(content: Any, about: str) -> tuple[list[list[object]], int | None]:
    """The six columns of an answer, and `nextTime`, where an answer without bars has it.

    Without bars, the arrays are empty, or null, or `no_data` stands in their place.

    :raises BadPayloadError: when it is not an answer of the protocol, or an error of it.
    """
    if not isinstance(content, dict):
        raise BadPayloadError(f"{about}: the answer is no object of arrays")
    status = content.get("s", "ok")
    if status not in ("ok", "no_data"):
        raise BadPayloadError(f"{about}: {one_line(content.get('errmsg') or status)}")
    are_null = all(content.get(name, ...) is None for name in _COLUMNS)
    if status == "ok" and not are_null:
        columns = parallel_columns(content, _COLUMNS, about)
        if columns[0]:
            return columns, None
    older = content.get("nextTime")
    return [[] for _ in _COLUMNS], older if type(older) is int and older > 0 else None
