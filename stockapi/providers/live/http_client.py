"""HTTP to one source: turns, retries, timeouts, and every failure as a `ProviderError`.

Nothing comes from the environment (`trust_env` is off): not a proxy, which is a setting here, and not a `.netrc`, whose
password would take the place of our own `Authorization`. Redirects are not followed: no source needs one, and one to
another host would carry the key along.
"""

import json
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
from stockapi.providers.live.rate_limiter import RateLimiter
from stockapi.providers.live.timing import Timing

_RETRIED: Final = (ProviderTimeoutError, ProviderUnavailableError, RateLimitedError)
_BANNED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.IM_A_TEAPOT, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS})

MOST_AT_ONCE: Final = 6
"""Requests in flight to one source: VCI answers 429 to 15 at once, 8 were safe."""
_FIRST_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 30.0
_PAUSE_UNTOLD_S: Final = 5.0
"""After a 429 that does not say how long, for all threads."""
LONGEST_WAIT_S: Final = 60.0
"""A source that asks for more gets it, but no thread sits through it: until then every request fails at once."""
_BAN_UNTOLD_S: Final = 300.0
_LONGEST_BAN_S: Final = 3_600.0
"""After an hour one request finds out whether the ban still holds, whatever the source said."""
_MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one answer, decompressed; 10,000 bars of VCI, the largest asked for, take 1 MB."""
_PIECE_BYTES: Final = 256 * 1024
_ANSWER_TIMEOUTS: Final = 4
"""An answer that trickles in must be complete within so many read timeouts."""
_MOST_TEXT: Final = 160


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that is neither a failure of the source (5xx) nor a refusal (403, 418, 429, 451)."""

    about: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as a JSON value; takes the NaN and Infinity that Python and JavaScript backends let slip.

        :raises BadPayloadError: for what is no JSON, and half a JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise BadPayloadError(f"{self.about}: answered {self.status} with {len(self.body)} bytes, no JSON") from exc

    def require_ok(self) -> None:
        """:raises BadPayloadError: for any status but 200."""
        if self.status != HTTPStatus.OK:
            raise BadPayloadError(f"{self.about}: answered {self.status}, not 200")


def one_line(text: object, *, secret: str = "") -> str:
    """Text from a source as part of a message: printable, not too long, without the secret."""
    line = " ".join(str(text).split())
    if secret:
        line = line.replace(secret, "***")
    return "".join(char if char.isprintable() else "?" for char in line)[:_MOST_TEXT]


class HttpClient:
    """One source's only way out, for all threads; each has its own connections.

    `about` names source and ticker, and begins every message.
    """

    def __init__(
        self,
        source: str,
        base_url: str,
        requests_per_minute: int,
        settings: Settings,
        timing: Timing,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._source = source
        self._base_url = base_url
        self._headers = dict(headers or {})
        self._timing = timing
        self._retries = settings.provider_retries
        self._connect_timeout_s = settings.provider_connect_timeout_ms / 1000
        self._read_timeout_s = settings.provider_read_timeout_ms / 1000
        self._proxy = settings.provider_proxy
        self._limiter = RateLimiter(requests_per_minute, 60.0, timing)
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._ban = _Ban(timing)
        self._local = _Local()

    def get(self, path: str, params: Mapping[str, str | int], about: str) -> Answer:
        """:raises ProviderError: for every failure, after as many retries as are allowed and make sense."""
        return self._answer(_Request("GET", path, about, params=params))

    def post(self, path: str, body: Mapping[str, object], about: str) -> Answer:
        """`body` is sent as JSON.

        :raises ProviderError: as `get`.
        """
        return self._answer(_Request("POST", path, about, body=body))

    def pause(self, seconds: float) -> None:
        """No request of any thread before that time has passed."""
        self._limiter.pause(seconds)

    def _answer(self, request: "_Request") -> Answer:
        for attempt in range(self._retries):
            try:
                return self._attempt(request)
            except _RETRIED as failure:
                self._back_off(failure, attempt, request.about)
        return self._attempt(request)

    def _back_off(self, failure: ProviderError, attempt: int, about: str) -> None:
        """Exponential, half of it random so that threads that failed together do not come back together."""
        asked_s = failure.retry_after_s or 0.0
        if asked_s > LONGEST_WAIT_S:
            raise failure
        backoff_s = min(_FIRST_BACKOFF_S * 2**attempt, _LONGEST_BACKOFF_S) * (0.5 + 0.5 * self._timing.chance())
        if self._timing.wait(max(asked_s, backoff_s)):
            raise ProviderStoppedError(f"{about}: given up, the process stops") from failure

    def _attempt(self, request: "_Request") -> Answer:
        # First a place, then a turn: a thread with a turn must not be held up, or turns pile up into a burst.
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
        """What an error of requests or of urllib3 means. Theirs come in layers; the innermost knows."""
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
        """:raises ProviderError: for an answer that no source can be meant to interpret."""
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
        """Seconds from now, of either form that RFC 9110 allows; None for neither."""
        text = answer.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(parsedate_to_datetime(text).timestamp() - self._timing.unix_s(), 0.0)
        except (ValueError, OverflowError):
            return None

    def _session(self) -> requests.Session:
        """This thread's. A child process makes its own: two processes on one connection would mix their answers."""
        if self._local.session is None or self._local.pid != os.getpid():
            self._local.session, self._local.pid = self._new_session(), os.getpid()
        return self._local.session

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers.update(self._headers)
        if self._proxy:
            session.proxies = {"http": self._proxy, "https": self._proxy}
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
    """A time during which a source is not asked at all, and every request fails at once."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._error: type[ProviderError] = ProviderBannedError
        self._until = -math.inf
        self._lock = threading.Lock()

    def begin(self, error: type[ProviderError], seconds: float) -> None:
        with self._lock:
            self._error, self._until = error, self._timing.monotonic_s() + min(seconds, _LONGEST_BAN_S)

    def refuse(self, about: str) -> None:
        """:raises ProviderError: of the kind that began the ban, while it lasts."""
        with self._lock:
            left_s, error = self._until - self._timing.monotonic_s(), self._error
        if left_s > 0.0:
            raise error(f"{about}: not asked; the source turned us away for another {left_s:.0f} s", left_s)
