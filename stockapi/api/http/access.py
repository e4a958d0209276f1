"""Who may ask, and how often. Without the settings for keys and limits, nothing of this is installed.

| routes | need |
|---|---|
| pages, their files, /openapi.json, /livez, /readyz; OPTIONS of any | nothing, and are not counted |
| /metrics | a key of OPERATOR_KEYS_FILE, when it is set |
| all others | a key of API_KEYS_FILE or OPERATOR_KEYS_FILE, when API_KEYS_FILE is set |
"""

import math
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Final

from flask import Flask, Response, g, request

from stockapi.api.http.key_files import Key, KeyFile, key_file
from stockapi.api.server.request_counts import WINDOW_NS, RequestCounts, request_counts
from stockapi.config import Settings
from stockapi.errors import TooManyRequestsError, UnauthorizedError

BEARER: Final = "Bearer"
KEY_HEADER: Final = "X-API-Key"
LIMIT_HEADERS: Final = ("RateLimit-Policy", "RateLimit")
"""Those of draft-ietf-httpapi-ratelimit-headers-11."""
_REALM: Final = f'{BEARER} realm="stockapi"'
_NS: Final = 1_000_000_000
_WINDOW_S: Final = WINDOW_NS // _NS
_REMEMBERED_ADDRESSES: Final = 1_024
_BITS_OF_A_HOST: Final = 64
"""A household or a server is given a /64 of IPv6 at least, and may use any address in it."""


@dataclass(frozen=True, slots=True)
class Protection:
    """What the settings ask for."""

    needs_key: bool
    has_operators: bool
    is_limited: bool

    @classmethod
    def of(cls, settings: Settings) -> "Protection":
        """Limits count, too, where only lines of a file have one."""
        has_keys = settings.api_keys_file is not None or settings.operator_keys_file is not None
        return cls(
            settings.api_keys_file is not None,
            settings.operator_keys_file is not None,
            settings.rate_limit_per_minute > 0 or has_keys,
        )

    @property
    def is_on(self) -> bool:
        return self.needs_key or self.has_operators or self.is_limited


UNPROTECTED: Final = Protection(needs_key=False, has_operators=False, is_limited=False)


def key_files(settings: Settings) -> tuple[KeyFile | None, KeyFile | None]:
    """The files of clients and of operators; None where the settings name none.

    :raises ConfigError: when one cannot be read, or is not of the form of `key_files`.
    """
    clients, operators = settings.api_keys_file, settings.operator_keys_file
    return (
        None if clients is None else key_file("API_KEYS_FILE", clients),
        None if operators is None else key_file("OPERATOR_KEYS_FILE", operators),
    )


def install(app: Flask, settings: Settings, open_routes: AbstractSet[str], operator_routes: AbstractSet[str]) -> None:
    """Install it after the metrics, which count refused requests too, and before whatever costs something.

    :param open_routes: the rules of the routes that need nothing.
    :param operator_routes: the rules of those that need an operator's key, if there are operators' keys.
    :raises ConfigError: as `key_files`.
    """
    if not Protection.of(settings).is_on:
        return
    guard = _Guard(settings, request_counts(), open_routes, operator_routes)
    app.before_request(guard.admit)
    app.after_request(guard.describe)


def may_see_details() -> bool:
    """Whether the current request may see what is meant for operators."""
    return bool(g.get("may_see_details", True))


class _Guard:
    def __init__(
        self,
        settings: Settings,
        counts: RequestCounts,
        open_routes: AbstractSet[str],
        operator_routes: AbstractSet[str],
    ) -> None:
        self._clients, self._operators = key_files(settings)
        self._per_minute = settings.rate_limit_per_minute
        self._proxies = settings.trusted_proxies
        self._counts = counts
        self._open_routes = open_routes
        self._operator_routes = operator_routes

    def admit(self) -> None:
        """Let the current request pass, and count it. A request that is refused for its key counts, too.

        :raises TooManyRequestsError: 429.
        :raises UnauthorizedError: 401.
        """
        route = request.url_rule.rule if request.url_rule else None
        if route in self._open_routes or request.method == "OPTIONS":  # browsers send no key with a preflight
            return
        given = _given_key()
        operator = _found(self._operators, given)
        key = operator or _found(self._clients, given)
        g.has_wrong_key = given is not None and key is None
        self._count(key)
        is_operator = self._operators is None or operator is not None
        if (route in self._operator_routes and not is_operator) or (self._clients is not None and key is None):
            raise UnauthorizedError(_what_is_needed(is_of_operators=route in self._operator_routes))
        g.may_see_details = is_operator

    def _count(self, key: Key | None) -> None:
        limit = self._per_minute if key is None or key.per_minute is None else key.per_minute
        if not limit:
            return
        client = _client_address(self._proxies).encode() if key is None else key.digest
        quota = self._counts.take(client, limit, time.monotonic_ns())
        ends_in_s = min(_WINDOW_S, math.ceil(quota.ends_in_ns / _NS))
        g.limit_headers = f'"default";q={limit};w={_WINDOW_S}', f'"default";r={quota.left};t={ends_in_s}'
        if quota.is_exceeded:
            raise TooManyRequestsError(limit, max(1, ends_in_s))

    def describe(self, response: Response) -> Response:
        """Add the headers of keys and limits."""
        if "limit_headers" in g:
            response.headers.extend(zip(LIMIT_HEADERS, g.limit_headers, strict=True))
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            # RFC 6750, 3.1: no error for a request that has no key at all.
            response.headers["WWW-Authenticate"] = _REALM + (', error="invalid_token"' if g.has_wrong_key else "")
        elif self._clients is not None and "has_wrong_key" in g:
            # RFC 9111, 3.5, keeps shared caches only from answers to requests with Authorization. As a text: through
            # `cache_control` it takes ten times as long.
            said = response.headers.get("Cache-Control")
            response.headers["Cache-Control"] = f"{said}, private" if said else "private"
        return response


def _found(file: KeyFile | None, given: bytes | None) -> Key | None:
    return None if file is None or given is None else file.find(given)


def _given_key() -> bytes | None:
    """The key of the current request as bytes; None without one. An Authorization of another scheme is for a proxy."""
    scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    text: str = token.strip() if scheme.lower() == BEARER.lower() else request.environ.get("HTTP_X_API_KEY", "")
    return text.encode("latin-1") if text else None  # WSGI decodes headers as latin-1


def _what_is_needed(*, is_of_operators: bool) -> str:
    whose = "an operator's key" if is_of_operators else "a key"
    return f"this needs {whose}; allowed: a header Authorization: {BEARER} <key>, or {KEY_HEADER}: <key>"


def _client_address(proxies: int) -> str:
    """The client of the current request: its IPv4 address, or the /64 of its IPv6 address.

    The last of `proxies` addresses in X-Forwarded-For is the one that the outermost proxy has seen; what stands before
    it is whatever the client sent. Where there is no such address, it is that of the connection.
    """
    peer = request.remote_addr or ""
    forwarded = request.headers.get("X-Forwarded-For", "").split(",") if proxies else []
    named = _network(forwarded[-proxies]) if len(forwarded) >= proxies > 0 else None
    return named or _network(peer) or peer


@lru_cache(_REMEMBERED_ADDRESSES)
def _network(text: str) -> str | None:
    """None for what is no address. Some proxies write the port behind it: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> _BITS_OF_A_HOST:x}/{_BITS_OF_A_HOST}"
