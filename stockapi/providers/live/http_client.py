"""HTTP requests to one source: rate limit, retries, timeouts. Every failure is a `ProviderError`.

`requests` must not read the environment (`trust_env` is off). A proxy is a setting of ours, and a password in `.netrc`
would replace our `Authorization`. Redirects are not followed: no source needs them, and a redirect to another host
would send the key there.
"""

import math
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from stockapi.config import Settings
from stockapi.errors import (
    BadPayloadError,
    ProviderBannedError,
    ProviderError,
    ProviderStoppedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from stockapi.machine import parse_json
from stockapi.providers.live.rate_limiter import RateLimiter
from stockapi.providers.live.timing import Timing

_RETRIED: Final = (ProviderTimeoutError, ProviderUnavailableError, RateLimitedError)
_BANNED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.IM_A_TEAPOT, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS})

MOST_AT_ONCE: Final = 6
"""The number of requests to one source at the same time. VCI answers 429 to 15 of them; 8 were safe."""
_FIRST_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 30.0
_PAUSE_UNTOLD_S: Final = 5.0
"""The pause of all threads after a 429 that does not say how long to wait."""
LONGEST_WAIT_S: Final = 60.0
"""When a source asks for a longer wait, no thread waits. Every request fails at once until that time has passed."""
_BAN_UNTOLD_S: Final = 300.0
_LONGEST_BAN_S: Final = 3_600.0
"""After an hour, one request checks whether the ban is over, even if the source asked for a longer one."""
_MOST_BYTES: Final = 32 * 1024 * 1024
"""The limit of one answer, decompressed. The largest that we request, 10,000 bars of VCI, takes 1 MB."""
_PIECE_BYTES: Final = 256 * 1024
_ANSWER_TIMEOUTS: Final = 4
"""A slow answer must be complete within this number of read timeouts."""
_MOST_TEXT: Final = 160


BROWSER: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept": "application/json",
    "Accept-Language": "en-US,en;q=0.9,vi;q=0.8",
}
"""The headers of a browser. The brokers serve their own pages, and refuse programs that say so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that is neither a failure of the source (5xx) nor a refusal (403, 418, 429, 451)."""

    about: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as a JSON value. NaN and Infinity are accepted, because some sources write them.

        :raises BadPayloadError: when the body is not complete JSON.
        """
        try:
            return parse_json(self.body)
        except ValueError as exc:
            raise BadPayloadError(f"{self.about}: answered {self.status} with {len(self.body)} bytes, no JSON") from exc

    def require_ok(self) -> None:
        """:raises BadPayloadError: for every status except 200."""
        if self.status != HTTPStatus.OK:
            raise BadPayloadError(f"{self.about}: answered {self.status}, not 200")


def one_line(text: object, *, secret: str = "") -> str:
    """A text from a source for use in a message: one printable line, not too long, without the secret."""
    line = " ".join(str(text).split())
    if secret:
        line = line.replace(secret, "***")
    return "".join(char if char.isprintable() else "?" for char in line)[:_MOST_TEXT]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The API of a source: its name in messages, its address, how often it may be asked, the headers of each request.

    Headers may hold a key, so they are not shown.
    """

    source: str
    base_url: str
    requests_per_minute: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class HttpClient:
    """Sends all requests to one source. Threads share it; each thread has its own connections.

    `about` in its methods names the source and the ticker; every message begins with it.
    """

    def __init__(self, endpoint: Endpoint, settings: Settings, timing: Timing) -> None:
        self._source = endpoint.source
        self._base_url = endpoint.base_url
        self._headers = dict(endpoint.headers)
        self._timing = timing
        self._retries = settings.provider_retries
        self._connect_timeout_s = settings.provider_connect_timeout_ms / 1000
        self._read_timeout_s = settings.provider_read_timeout_ms / 1000
        self._proxy = settings.provider_proxy
        self._ca_bundle = settings.ca_bundle
        self._limiter = RateLimiter(endpoint.requests_per_minute, 60.0, timing)
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._ban = _Ban(timing)
        self._local = _Local()

    def get(self, path: str, params: Mapping[str, str | int], about: str) -> Answer:
        """Send a GET request.

        :raises ProviderError: for every failure. Failures that may pass are retried first.
        """
        return self._answer(_Request("GET", path, about, params=params))

    def post(self, path: str, body: Mapping[str, object], about: str) -> Answer:
        """Send a POST request with `body` as JSON.

        :raises ProviderError: as `get`.
        """
        return self._answer(_Request("POST", path, about, body=body))

    def pause(self, seconds: float) -> None:
        """No thread sends a request within the next `seconds`."""
        self._limiter.pause(seconds)

    def _answer(self, request: "_Request") -> Answer:
        for attempt in range(self._retries):
            try:
                return self._attempt(request)
            except _RETRIED as failure:
                self._back_off(failure, attempt, request.about)
        return self._attempt(request)

    def _back_off(self, failure: ProviderError, attempt: int, about: str) -> None:
        """Wait before a retry. The time doubles at each attempt. Half of it is random, so that threads that failed
        together do not retry together.

        :raises ProviderError: the failure, when the source asks for a longer wait than LONGEST_WAIT_S.
        :raises ProviderStoppedError: when the process stops.
        """
        asked_s = failure.retry_after_s or 0.0
        if asked_s > LONGEST_WAIT_S:
            raise failure
        backoff_s = min(_FIRST_BACKOFF_S * 2**attempt, _LONGEST_BACKOFF_S) * (0.5 + 0.5 * self._timing.chance())
        if self._timing.wait(max(asked_s, backoff_s)):
            raise ProviderStoppedError(f"{about}: given up, the process stops") from failure

    def _attempt(self, request: "_Request") -> Answer:
        # First a place, then the rate limiter: threads that wait after the rate limiter would send in a burst.
        with self._places:
            self._ban.refuse(request.about)
            if not self._limiter.acquire():
                raise ProviderStoppedError(f"{request.about}: given up, the process stops")
            self._ban.refuse(request.about)
            answer = self._exchange(request)
        self._judge(answer)
        return answer

    def _exchange(self, request: "_Request") -> Answer:
        about = request.about
        deadline = self._timing.monotonic_s() + self._connect_timeout_s + _ANSWER_TIMEOUTS * self._read_timeout_s
        try:
            with self._session().request(
                request.method,
                f"{self._base_url}{request.path}",
                params=request.params,
                json=request.body,
                timeout=(self._connect_timeout_s, self._read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read_body(response.raw, deadline, about)
                return Answer(about, response.status_code, response.headers, body)
        except (requests.RequestException, HTTPError) as exc:
            raise self._failure(exc, about) from exc

    def _read_body(self, raw: BaseHTTPResponse, deadline: float, about: str) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := raw.read1(_PIECE_BYTES, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                raise BadPayloadError(f"{about}: the answer is longer than {_MOST_BYTES:,} bytes")
            if self._timing.monotonic_s() > deadline:
                raise self._timeout(about)
            if self._timing.wait(0.0):
                raise ProviderStoppedError(f"{about}: given up, the process stops")
        return b"".join(pieces)

    def _failure(self, exc: Exception, about: str) -> ProviderError:
        """Our error for an error of requests or urllib3. These are nested, and the innermost has the cause."""
        cause: BaseException = exc
        while inner := cause.__cause__ or cause.__context__:
            cause = inner
        if isinstance(cause, TimeoutError):
            return self._timeout(about)
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        return ProviderUnavailableError(f"{about}: {one_line(reason)}")

    def _timeout(self, about: str) -> ProviderTimeoutError:
        return ProviderTimeoutError(
            f"{about}: no answer in time (connect {self._connect_timeout_s:g} s, read {self._read_timeout_s:g} s)"
        )

    def _judge(self, answer: Answer) -> None:
        """:raises ProviderError: for an answer that has the same meaning for all sources."""
        about, status = answer.about, answer.status
        if status in _BANNED:
            asked_s = self._retry_after_s(answer)
            self._ban.begin(ProviderBannedError, _BAN_UNTOLD_S if asked_s is None else asked_s)
            raise ProviderBannedError(f"{about}: turned away ({status})", asked_s)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise self._rate_limited(answer)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ProviderUnavailableError(f"{about}: answered {status}", self._retry_after_s(answer))
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise BadPayloadError(f"{about}: answered {status}, a redirect; check {self._source}'s base URL")

    def _rate_limited(self, answer: Answer) -> RateLimitedError:
        asked_s = self._retry_after_s(answer)
        if asked_s is None:
            self._limiter.pause(_PAUSE_UNTOLD_S)
            return RateLimitedError(f"{answer.about}: too many requests (429)")
        if asked_s > LONGEST_WAIT_S:
            self._ban.begin(RateLimitedError, asked_s)
        else:
            self._limiter.pause(asked_s)
        return RateLimitedError(f"{answer.about}: too many requests (429), Retry-After {asked_s:.0f} s", asked_s)

    def _retry_after_s(self, answer: Answer) -> float | None:
        """The seconds to wait, from one of the two forms of RFC 9110; None when the header has neither."""
        text = answer.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(parsedate_to_datetime(text).timestamp() - self._timing.unix_s(), 0.0)
        except (ValueError, OverflowError):
            return None

    def _session(self) -> requests.Session:
        """The session of this thread. A child process makes a new one: two processes must not share a connection."""
        if self._local.session is None or self._local.pid != os.getpid():
            self._local.session, self._local.pid = self._new_session(), os.getpid()
        return self._local.session

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers.update(self._headers)
        if self._proxy:
            session.proxies = {"http": self._proxy, "https": self._proxy}
        if self._ca_bundle is not None:
            session.verify = str(self._ca_bundle)
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    about: str
    params: Mapping[str, str | int] | None = None
    body: Mapping[str, object] | None = None


class _Local(threading.local):
    session: requests.Session | None = None
    pid = 0


class _Ban:
    """A time in which no request is sent to the source, and every request fails at once."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._error: type[ProviderError] = ProviderBannedError
        self._until = -math.inf
        self._lock = threading.Lock()

    def begin(self, error: type[ProviderError], seconds: float) -> None:
        with self._lock:
            self._error, self._until = error, self._timing.monotonic_s() + min(seconds, _LONGEST_BAN_S)

    def refuse(self, about: str) -> None:
        """:raises ProviderError: while the ban lasts; it has the type of the error that began the ban."""
        with self._lock:
            left_s, error = self._until - self._timing.monotonic_s(), self._error
        if left_s > 0.0:
            raise error(f"{about}: not asked; the source turned us away for another {left_s:.0f} s", left_s)
