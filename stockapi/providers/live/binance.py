"""Binance's public market data: crypto, without a key.

An answer has at most 1,000 klines, ascending, so pages go forward in time. The price of a coin is the price of its pair
with USDT. A coin without such a pair is an `UnknownSymbolError`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar, Final

from stockapi.config import Settings
from stockapi.errors import BadPayloadError, UnknownSymbolError
from stockapi.markets.listings import NO_PAIR, listings
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.providers.live.coins import CoinProvider
from stockapi.providers.live.http_client import Answer, Endpoint, HttpClient, one_line
from stockapi.providers.live.payload import Payload, columns_of_rows, newest_of
from stockapi.providers.live.timing import Timing

_PATH: Final = "/api/v3/klines"
_INTERVALS: Final = {Interval.DAILY: "1d", Interval.HOURLY: "1h", Interval.MINUTE: "1m"}
_MOST_BARS: Final = 1_000
_COLUMNS: Final = (0, 1, 2, 3, 4, 5)
_UNKNOWN_SYMBOL_CODES: Final = (-1121, -1100)
"""Binance's codes for an invalid symbol, and for characters that no symbol has."""
_WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-1M"
_MOST_WEIGHT: Final = 4_800
"""The weight at which we pause. Binance allows an IP address a weight of 6,000 in each minute of the clock."""


class BinanceProvider(CoinProvider):
    name = "binance"
    first_day = int(datetime(2017, 8, 17, tzinfo=UTC).timestamp())
    # The full history of BTC has about 4 million minutes. 90 days need 130 requests for each coin.
    history_days: ClassVar = {Interval.HOURLY: 2 * 366, Interval.MINUTE: 90}

    def __init__(self, settings: Settings, timing: Timing) -> None:
        super().__init__(settings, timing)
        endpoint = Endpoint("Binance", settings.binance_base_url, settings.binance_requests_per_minute)
        self._client = HttpClient(endpoint, settings, timing)

    def tickers(self) -> list[str]:
        """As `Provider.tickers`, without the tickers that were unknown within the last day.

        The built-in list has coins without a pair here. Some were delisted: their old bars would come again and again.
        """
        tickers = super().tickers()
        if self._settings.groups_file(self.mode) is not None:
            return tickers
        return [ticker for ticker in tickers if listings(self.mode)[ticker].pair != NO_PAIR]

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        end = min(end, int(self._timing.unix_s()))
        first_open = -(-start // interval.seconds) * interval.seconds
        if first_open > end:
            return Bars.empty(whole_volume=False)
        payload = Payload(f"Binance {ticker} {interval.value}", self.mode, interval, ticks_per_second=1_000)
        pages = list(self._pages(ticker, interval, first_open, end, payload))
        return payload.bars(pages, start, end)

    def _pages(self, ticker: str, interval: Interval, start: int, end: int, payload: Payload) -> Iterator[Bars]:
        """Yield the pages from the oldest to the newest. A page that is not full is the last."""
        newest = start - 1
        while newest < end:
            rows = self._ask(ticker, interval, newest + 1, end, payload.about)
            page = payload.page(columns_of_rows(rows, _COLUMNS, payload.about))
            yield page
            if len(rows) < _MOST_BARS:
                return
            known = page.take(page.time <= end)  # a row of a time to come must not end the history here
            if len(known) and newest_of(known) <= newest:
                raise BadPayloadError(f"{payload.about}: a page from {newest + 1} on holds only older bars")
            newest = newest_of(known) if len(known) else end

    def _ask(self, ticker: str, interval: Interval, start: int, end: int, about: str) -> Any:
        answer = self._client.get(
            _PATH,
            {
                "symbol": f"{ticker}USDT",
                "interval": _INTERVALS[interval],
                "startTime": start * 1_000,
                "endTime": end * 1_000,
                "limit": _MOST_BARS,
            },
            about,
        )
        self._heed_weight(answer)
        if answer.status == HTTPStatus.BAD_REQUEST:
            self._refuse(ticker, answer)
        answer.require_ok()
        return answer.json()

    def _refuse(self, ticker: str, answer: Answer) -> None:
        reason = answer.json()
        code = reason.get("code") if isinstance(reason, dict) else None
        if code in _UNKNOWN_SYMBOL_CODES:
            self._unsupported.add(ticker)
            raise UnknownSymbolError(f"{answer.about}: not supported, Binance has no {ticker}USDT")
        raise BadPayloadError(f"{answer.about}: answered 400 {one_line(reason)}")

    def _heed_weight(self, answer: Answer) -> None:
        """Pause until the end of the minute when its weight is nearly used up, by us or others at the same address."""
        used = answer.headers.get(_WEIGHT_HEADER, "")
        if used.isascii() and used.isdigit() and int(used[:9]) >= _MOST_WEIGHT:
            self._client.pause(60.0 - self._timing.unix_s() % 60.0)
