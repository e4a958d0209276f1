"""CryptoCompare: crypto, with a key.

Pages go backward in time from `toTs`. A page has one row more than its `limit`, and its oldest row is repeated in the
next page. Rows before the listing of a coin are all zero, and there is no end of them. An error is a 401, or a 200 with
a special body.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar, Final, NoReturn

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import BadPayloadError, ProviderDisabledError, RateLimitedError, UnknownSymbolError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.providers.live.coins import CoinProvider
from stockapi.providers.live.http_client import Answer, Endpoint, HttpClient, one_line
from stockapi.providers.live.payload import Payload, columns_of_rows, oldest_of
from stockapi.providers.live.timing import Timing

_PATHS: Final = {
    Interval.DAILY: "/data/v2/histoday",
    Interval.HOURLY: "/data/v2/histohour",
    Interval.MINUTE: "/data/v2/histominute",
}
_MOST_BARS: Final = 2_000
_COLUMNS: Final = ("time", "open", "high", "low", "close", "volumefrom")
_RATE_LIMIT_TYPE: Final = 99
_UNKNOWN_COIN: Final = ("market does not exist", "no data for the symbol")

_MINUTES_KEPT_S: Final = 7 * SECONDS_PER_DAY
"""The source refuses older minutes, so it cannot fill a longer gap."""


class CryptoCompareProvider(CoinProvider):
    name = "cryptocompare"
    first_day = int(datetime(2010, 7, 17, tzinfo=UTC).timestamp())
    history_days: ClassVar = {Interval.HOURLY: 2 * 366, Interval.MINUTE: 7}

    def __init__(self, settings: Settings, timing: Timing) -> None:
        super().__init__(settings, timing)
        self._key = settings.cryptocompare_api_key
        endpoint = Endpoint(
            "CryptoCompare",
            settings.cryptocompare_base_url,
            settings.cryptocompare_requests_per_minute,
            {"Authorization": f"Apikey {self._key}"},
        )
        self._client = HttpClient(endpoint, settings, timing)

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        about = f"CryptoCompare {ticker} {interval.value}"
        if not self._key:
            raise ProviderDisabledError(
                f"{about}: needs a key; set CRYPTOCOMPARE_API_KEY, or CRYPTO_PROVIDER=binance, which needs none"
            )
        now = int(self._timing.unix_s())
        end = min(end, now)
        if interval is Interval.MINUTE:
            start = max(start, now - _MINUTES_KEPT_S)
        first_open = -(-start // interval.seconds) * interval.seconds
        if first_open > end:
            return Bars.empty(whole_volume=False)
        payload = Payload(about, self.mode, interval)
        pages = list(self._pages(ticker, interval, first_open, end, payload))
        return payload.bars(pages, start, end)

    def _pages(self, ticker: str, interval: Interval, start: int, end: int, payload: Payload) -> Iterator[Bars]:
        """Yield pages from the newest to the oldest, without rows that are all zero, until a page has no older rows."""
        oldest = end + 1
        while oldest > start:
            to = min(oldest, end)
            count = (to - start) // interval.seconds + 1
            is_whole_history = interval is Interval.DAILY and count > _MOST_BARS
            size: dict[str, str | int] = {"allData": "true"} if is_whole_history else {"limit": min(count, _MOST_BARS)}
            rows = self._ask(ticker, interval, {"toTs": to, **size}, payload.about)
            columns = columns_of_rows(rows, _COLUMNS, payload.about)
            # The source has a row for every time, with zeros before the listing. So a page without rows is an error.
            if not columns[0]:
                raise payload.no_data()
            page = payload.page(columns)
            is_listed = page.prices.any(axis=0) | (page.volume != 0)
            page = page.take(is_listed & (page.time < oldest))
            yield page
            if is_whole_history or not len(page):
                return
            oldest = oldest_of(page)

    def _ask(self, ticker: str, interval: Interval, window: Mapping[str, str | int], about: str) -> Any:
        params = {"fsym": ticker, "tsym": "USD", "tryConversion": "false", **window}
        answer = self._client.get(_PATHS[interval], params, about)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._refuse_unauthorized(answer)
        answer.require_ok()
        content = answer.json()
        if not isinstance(content, dict) or content.get("Response") != "Success":
            self._refuse(ticker, answer, content)
        data = content.get("Data")
        return data.get("Data") if isinstance(data, dict) else None

    def _refuse_unauthorized(self, answer: Answer) -> NoReturn:
        """:raises RateLimitedError: when the key was used too often.
        :raises ProviderDisabledError: when the key is not accepted. Both errors end the cycle.
        """
        message = one_line(answer.body.decode("utf-8", "replace"), secret=self._key)
        if "rate limit" in message.lower():
            raise RateLimitedError(f"{answer.about}: {message}")
        raise ProviderDisabledError(f"{answer.about}: the key is refused ({message}); check CRYPTOCOMPARE_API_KEY")

    def _refuse(self, ticker: str, answer: Answer, content: object) -> NoReturn:
        """Raise the error that an answer with status 200 reports in its body."""
        if not isinstance(content, dict):
            raise BadPayloadError(f"{answer.about}: the answer is no object")
        message = one_line(content.get("Message"), secret=self._key)
        if content.get("Type") == _RATE_LIMIT_TYPE:
            raise RateLimitedError(f"{answer.about}: {message}")
        if any(words in message.lower() for words in _UNKNOWN_COIN):
            self._unsupported.add(ticker)
            raise UnknownSymbolError(f"{answer.about}: not supported, {message}")
        raise BadPayloadError(f"{answer.about}: an error, {message}")
