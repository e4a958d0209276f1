"""VCI (Vietcap): Vietnamese stocks and indices. It has no documentation; the facts come from its public clients.

* Only `countBack`, the number of bars up to `to`, says how far back an answer goes. So the request asks for more bars
  than needed, and the rest is cut off.
* When VCI blocks us, it answers with success, but symbols are missing. It answers an unknown ticker with an empty list.
  Both look like "no trades", so both are a `NoDataError`. A block must not end a long history, or leave a gap in it. So
  an empty page is accepted only if it is empty again while newer bars are still answered.
* Since February 2026, a request of several symbols returns only one bar for some of them. So each request has one
  symbol, and takes the entry with this symbol, not the first entry.
* Prices are in dong (for an index in points) and back-adjusted: a dividend or split changes the whole history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import BadPayloadError, NoDataError
from stockapi.markets.tickers import tickers_for
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.live.http_client import BROWSER, Endpoint, HttpClient
from stockapi.providers.live.payload import Payload, oldest_of, parallel_columns
from stockapi.providers.live.timing import Timing

_PATH: Final = "/chart/OHLCChart/gap-chart"
_SITE: Final = "https://trading.vietcap.com.vn"
_HEADERS: Final = {**BROWSER, "Origin": _SITE, "Referer": f"{_SITE}/"}
"""The headers of a browser on the trading site. Without them VCI refuses some networks."""

_TIME_FRAMES: Final = {Interval.DAILY: "ONE_DAY", Interval.HOURLY: "ONE_HOUR", Interval.MINUTE: "ONE_MINUTE"}
_BARS_PER_DAY: Final = {Interval.DAILY: 1.0, Interval.HOURLY: 6.5, Interval.MINUTE: 390.0}
"""Upper bounds. A session has 5 hours, and about 226 minutes with trades."""
_SPARE_BARS: Final = 100
_MOST_BARS: Final = 10_000
"""The most bars of one request."""
_MOST_EMPTY_PAGES: Final = 3
"""After this number of empty pages in a row, older bars are not expected. Even if `countBack` counts minutes of the
clock, these pages cover 20 days, which is longer than any holiday.
"""
_LONGEST_HOLIDAY_S: Final = 14 * SECONDS_PER_DAY
"""Tet with the weekends before and after it takes 9 days, in some years 10."""
_COLUMNS: Final = ("t", "o", "h", "l", "c", "v")


def _utc(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


_HISTORY_START: Final = {
    Interval.DAILY: _utc(2015, 1, 1),
    Interval.HOURLY: _utc(2023, 9, 1),
    Interval.MINUTE: _utc(2023, 9, 1),
}
"""The first time of each interval, found by requests."""


class VciProvider:
    name = "vci"
    mode = Mode.VN
    is_back_adjusted = True

    def __init__(self, settings: Settings, timing: Timing) -> None:
        self._settings = settings
        self._timing = timing
        endpoint = Endpoint("VCI", settings.vci_base_url, settings.vci_requests_per_minute, _HEADERS)
        self._client = HttpClient(endpoint, settings, timing)

    def tickers(self) -> list[str]:
        return tickers_for(self.mode, self._settings)

    def history_start(self, interval: Interval, now: int) -> int:  # noqa: ARG002  (it does not move with time)
        return _HISTORY_START[interval]

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        payload = Payload(f"VCI {ticker} {interval.value}", self.mode, interval)
        end = min(end, int(self._timing.unix_s()))
        # The time of a daily bar may be any time of that day, and `to` may or may not be included.
        newest = end + SECONDS_PER_DAY
        count = min(_bars_between(start, newest, interval), _MOST_BARS)
        pages = list(self._pages(_Paging(ticker, interval, count, payload), start, newest))
        return payload.bars(pages, start, end)

    def _pages(self, paging: "_Paging", start: int, newest: int) -> Iterator[Bars]:
        """Yield the pages from the newest to the oldest. Most windows need only one page."""
        before, empty_pages = newest, 0
        while before > start and empty_pages < _MOST_EMPTY_PAGES:
            page = self._page(paging, before)
            if not len(page) and before == newest:
                return
            if not len(page) and not empty_pages:
                page = self._doubt(paging, before, newest)
            if len(page):
                yield page
                empty_pages = 0
                before = oldest_of(page)
                # The window may begin with days off, as 2015 did. This saves three more requests for each ticker.
                if (
                    paging.interval is Interval.DAILY
                    and len(page) < paging.count
                    and before - start <= _LONGEST_HOLIDAY_S
                ):
                    return
            else:
                empty_pages += 1
                before -= paging.count * paging.interval.seconds

    def _page(self, paging: "_Paging", before: int) -> Bars:
        page = paging.payload.page(self._ask(paging, before))
        # If the source ignores `to`, nothing is left here, so the loop over pages ends.
        return page.take(page.time < before)

    def _doubt(self, paging: "_Paging", before: int, newest: int) -> Bars:
        """Request an empty page a second time.

        :raises NoDataError: when the newest bars, which were answered before, are now missing too.
        """
        if not len(self._page(paging, newest)):
            raise NoDataError(f"{paging.payload.about}: bars, then none any more: we are being blocked")
        return self._page(paging, before)

    def _ask(self, paging: "_Paging", to: int) -> list[list[object]]:
        """The six columns of the ticker; they are empty when it is not in the answer."""
        ticker, about = paging.ticker, paging.payload.about
        time_frame = _TIME_FRAMES[paging.interval]
        body = {"timeFrame": time_frame, "symbols": [ticker], "to": to, "countBack": paging.count}
        answer = self._client.post(_PATH, body, about)
        answer.require_ok()
        entries = answer.json()
        if isinstance(entries, dict):
            entries = entries.get("data")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise BadPayloadError(f"{about}: the answer is no list of series")
        own = next((entry for entry in entries if entry.get("symbol") == ticker), None)
        return parallel_columns(own, _COLUMNS, about) if own is not None else [[] for _ in _COLUMNS]


@dataclass(frozen=True, slots=True)
class _Paging:
    """What all pages of one fetch have in common. `count`: the bars that each page asks for."""

    ticker: str
    interval: Interval
    count: int
    payload: Payload


def _bars_between(start: int, end: int, interval: Interval) -> int:
    """An upper bound of the number of bars between two times, for `countBack`."""
    # Both days count fully. `end` may be on a weekend.
    first, last = (np.datetime64(seconds // SECONDS_PER_DAY, "D") for seconds in (start, end))
    business_days = int(np.busday_count(first, last + 1))
    return int(business_days * _BARS_PER_DAY[interval]) + _SPARE_BARS
