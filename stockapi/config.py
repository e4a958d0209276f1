"""Settings: the only reader of the environment.

Every setting is defined once, as a field of `Settings`. Its default is the text that one would write in the
environment. Its parser says what is allowed, and its help line says what it is for. Variables of the environment win
over those of `.env` in the working directory.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, Final, Self

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from stockapi import setting_types as types
from stockapi.constants import (
    CRYPTO_DATABASE_PATH,
    DEFAULT_FALLBACK_TO_CSV,
    FALLBACK_TO_CSV_ENV,
    MOST_REQUESTS_PER_MINUTE,
    SQLITE_BATCH_SIZE,
    VN_DATABASE_PATH,
)
from stockapi.errors import ConfigError
from stockapi.machine import read_regular, real_path
from stockapi.markets import CRYPTO, VN, market_of
from stockapi.models.literals import ALLOWED_PATH_PREFIX, parse_path_prefix
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol

SIMULATED: Final = "simulated"
"""The value of DATA_PROVIDER that needs no network. It is also the name of that source."""

_USUAL_SEED: Final = "1"

_ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:([0-9]{1,5}|\*))?", re.ASCII)


_KEYS: Final = "the path of an existing file of keys, or nothing for no keys"


def _setting(
    default: str, parser: types.SettingType, description: str, *, env: str | None = None, secret: bool = False
) -> Any:
    """The value of a `secret` is never shown, not even in an error. Nor is the password of an address."""
    return field(
        repr=not secret and parser.allowed != types.ANY_PROXY,
        metadata={"default": default, "parser": parser, "description": description, "env": env, "secret": secret},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process, parsed. Each is read from the variable of the same name in capitals."""

    fallback_to_csv: bool = _setting(
        str(DEFAULT_FALLBACK_TO_CSV).lower(),
        types.boolean(),
        "reads fall back to CSV when SQLite fails or lacks a ticker; writes go on to CSV alone",
        env=FALLBACK_TO_CSV_ENV,
    )
    sqlite_reads: bool = _setting("true", types.boolean(), "rollout flag: answer from SQLite first")
    sqlite_writes: bool = _setting("true", types.boolean(), "rollout flag: write SQLite beside CSV")
    markets: tuple[Mode, ...] = _setting(
        ",".join(mode.value for mode in Mode),
        types.markets(),
        "the markets that are served and kept up to date; others are left alone",
    )
    vn_database_path: Path = _setting(VN_DATABASE_PATH, types.database(), "database of the VN market")
    crypto_database_path: Path = _setting(CRYPTO_DATABASE_PATH, types.database(), "database of the crypto market")
    market_data_dir: Path = _setting("market_data", types.path(), "CSV tree of the VN market")
    crypto_data_dir: Path = _setting("crypto_data", types.path(), "CSV tree of the crypto market")
    sqlite_batch_size: int = _setting(
        str(SQLITE_BATCH_SIZE),
        types.whole(1, 100_000),
        "rows per executemany and, while a series only grows, transaction",
    )
    sqlite_synchronous: str = _setting(
        "NORMAL", types.choice("NORMAL", "FULL"), "writer: when a commit waits for the disk"
    )
    sqlite_cache_size: int = _setting(
        "-64000", types.whole(-4_000_000, 1_000_000), "writer: page cache, pages if positive, KiB if negative"
    )
    sqlite_temp_store: str = _setting(
        "MEMORY", types.choice("MEMORY", "FILE", "DEFAULT"), "writer: where temp tables live"
    )
    sqlite_mmap_size: int = _setting("268435456", types.whole(0, 1 << 40), "writer: memory-mapped I/O, bytes")
    sqlite_busy_timeout_ms: int = _setting("5000", types.whole(0, 600_000), "writer: wait for a lock, milliseconds")
    sqlite_reader_cache_size: int = _setting(
        "-8000",
        types.whole(-4_000_000, 1_000_000),
        "each reading thread: page cache; 16 readers with 64 MB took 1,046 MB and were no faster",
    )
    sqlite_reader_busy_timeout_ms: int = _setting(
        "250", types.whole(0, 60_000), "readers: wait for a lock, milliseconds"
    )
    query_deadline_ms: int = _setting(
        "10000", types.whole(1, 600_000), "a request whose answer is not ready by then is stopped (503), ms"
    )
    max_response_rows: int = _setting("1000000", types.whole(1, 100_000_000), "row budget of one answer (413)")
    max_heavy_queries: int = _setting(
        "1",
        types.whole(1, 256),
        "large queries that each process answers at once; one more waits up to 5 seconds, others get 429",
    )
    heavy_query_rows: int = _setting("50000", types.whole(1, 100_000_000), "a query that reads so many rows is large")
    data_provider: str = _setting(
        "live",
        types.choice("live", SIMULATED),
        "where bars come from: the real sources, or a market that needs no network",
    )
    simulated_seed: int = _setting(_USUAL_SEED, types.whole(0, 1 << 32), "which simulated market")
    crypto_provider: str = _setting(CRYPTO.live_sources[0], types.choice(*CRYPTO.live_sources), "live source of crypto")
    vn_providers: tuple[str, ...] = _setting(
        VN.live_sources[0],
        types.ranked(*VN.live_sources),
        "live sources of VN: the first is asked, the next where it fails; see docs/operations.md",
    )
    source_return_after_s: int = _setting(
        "1800",
        types.whole(1, 86_400),
        "a source that had failed is asked again when it has answered well for so long, seconds",
    )
    vci_base_url: str = _setting(
        "https://trading.vietcap.com.vn/api", types.url(types.ANY_URL), "VCI, the live source of VN stocks and indices"
    )
    vci_requests_per_minute: int = _setting("60", types.whole(1, 100_000), "VCI: at most so many, retries counted")
    vps_base_url: str = _setting(
        "https://histdatafeed.vps.com.vn", types.url(types.ANY_URL), "VPS, VN stocks and indices"
    )
    vps_requests_per_minute: int = _setting("60", types.whole(1, 100_000), "VPS: at most so many, retries counted")
    vndirect_base_url: str = _setting(
        "https://dchart-api.vndirect.com.vn", types.url(types.ANY_URL), "VNDirect, VN stocks and indices"
    )
    vndirect_requests_per_minute: int = _setting(
        "60", types.whole(1, 100_000), "VNDirect: at most so many, retries counted"
    )
    dnse_base_url: str = _setting(
        "https://services.entrade.com.vn", types.url(types.ANY_URL), "DNSE, VN stocks and indices"
    )
    dnse_requests_per_minute: int = _setting("60", types.whole(1, 100_000), "DNSE: at most so many, retries counted")
    binance_base_url: str = _setting(
        "https://data-api.binance.vision", types.url(types.ANY_URL), "Binance public market data"
    )
    binance_requests_per_minute: int = _setting(
        "1200", types.whole(1, 100_000), "Binance: at most so many, retries counted"
    )
    cryptocompare_base_url: str = _setting(
        "https://min-api.cryptocompare.com", types.url(types.ANY_URL), "CryptoCompare"
    )
    cryptocompare_api_key: str = _setting(
        "",
        types.text("nothing, or 1 to 200 printable characters without blanks", r"[!-~]{0,200}"),
        "CryptoCompare's key",
        secret=True,
    )
    cryptocompare_requests_per_minute: int = _setting(
        "120", types.whole(1, 100_000), "CryptoCompare: at most so many, retries counted"
    )
    provider_connect_timeout_ms: int = _setting(
        "3000", types.whole(1, 60_000), "live sources: wait for a connection, ms"
    )
    provider_read_timeout_ms: int = _setting("6000", types.whole(1, 60_000), "live sources: wait for the answer, ms")
    provider_retries: int = _setting("3", types.whole(0, 10), "live sources: further attempts at a request that failed")
    provider_proxy: str = _setting(
        "",
        types.proxy(),
        "HTTP proxy on the way to the live sources; HTTPS_PROXY and the like are not read",
    )
    ca_bundle: Path | None = _setting(
        "",
        types.optional_file("the path of an existing file of certificates, or nothing for those that come with Python"),
        "whom the live sources are trusted by, in PEM; if empty, REQUESTS_CA_BUNDLE and SSL_CERT_FILE are read",
    )
    index_tickers: tuple[str, ...] = _setting(
        ",".join(VN.indices),
        types.list_of(
            "upper-case symbols, or their beginnings with * behind", lambda item: is_symbol(item.removesuffix("*"))
        ),
        "VN indices and futures on them: never scaled, no money flow",
    )
    extra_holidays: tuple[date, ...] = _setting(
        "", types.dates(), "weekdays without a session of the exchanges that the calendar does not know yet"
    )
    extra_sessions: tuple[date, ...] = _setting(
        "", types.dates(), "the opposite: days with a session that the calendar takes for a holiday or a weekend"
    )
    ticker_groups_file: Path | None = _setting(
        "", types.optional_file(), "sectors of VN tickers, in place of the built-in"
    )
    crypto_list_file: Path | None = _setting("", types.optional_file(), "ranked coins, in place of the built-in")
    host: str = _setting(
        "0.0.0.0",  # noqa: S104
        types.text("a host name or address, IPv6 without brackets", r"[\w.:-]{1,255}"),
        "listen address",
    )
    port: int = _setting("3000", types.whole(1, 65_535), "listen port")
    script_name: str = _setting(
        "",
        types.SettingType(ALLOWED_PATH_PREFIX, parse_path_prefix),
        "path under which a proxy serves this; the proxy may leave it in the requests or take it off",
    )
    trust_forwarded_prefix: bool = _setting(
        "false",
        types.boolean(),
        "take that path from X-Forwarded-Prefix: only behind a proxy that sets this header itself",
    )
    api_keys_file: Path | None = _setting(
        "", types.optional_file(_KEYS), "whoever asks for bars needs a key of this file; pages and probes stay open"
    )
    operator_keys_file: Path | None = _setting(
        "", types.optional_file(_KEYS), "/metrics and the details of /health need a key of this file, which opens all"
    )
    rate_limit_per_minute: int = _setting(
        "0",
        types.whole(0, MOST_REQUESTS_PER_MINUTE),
        "requests a minute of one key, or of one address without a key; 0: no limit",
    )
    trusted_proxies: int = _setting(
        "0",
        types.whole(0, 10),
        "proxies in front that each add an address to X-Forwarded-For; 0: the header is not read",
    )
    web_concurrency: int = _setting("2", types.whole(1, 256), "gunicorn processes")
    gunicorn_threads: int = _setting("4", types.whole(1, 256), "threads of each process")
    log_level: str = _setting("info", types.choice("debug", "info", "warning", "error"), "least serious line logged")
    cors_origins: tuple[str, ...] = _setting(
        "",
        types.list_of(
            "* or origins like https://example.org, https://*.example.org, http://localhost:*",
            lambda item: item == "*" or _ORIGIN.fullmatch(item),
        ),
        "pages of other hosts that may read the API",
    )

    @classmethod
    def from_mapping(cls, environ: Mapping[str, str]) -> Self:
        """Settings from variables. A setting without a variable has its default.

        :raises ConfigError: for a value that is not allowed. The text names the variable, the value and what is
            allowed.
        """
        settings = cls(**{name: _parse(name, metadata, environ) for name, metadata in _metadata().items()})
        # A symbol may exist in several markets. In one shared tree, a later write would replace the earlier one.
        _require_different(settings, [market_of(mode).settings.database_path for mode in Mode])
        _require_different(settings, [market_of(mode).settings.data_dir for mode in Mode])
        for mode in settings.markets:
            if settings.data_provider != SIMULATED and not market_of(mode).live_sources:
                raise ConfigError(
                    f"DATA_PROVIDER={settings.data_provider!r} is not allowed; allowed: {SIMULATED}, "
                    f"as there is no live source of {mode.value}"
                )
        return settings

    @classmethod
    def load(cls) -> Self:
        """Settings from the environment. Variables that it lacks come from `.env` in the working directory.

        :raises ConfigError: as `from_mapping`; also when `.env` cannot be read or parsed.
        """
        environ = _read_dotenv(Path(".env")) | os.environ
        bundles = (environ.get(name, "") for name in ("CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
        return cls.from_mapping(environ | {"CA_BUNDLE": next(filter(None, bundles), "")})

    @property
    def default_market(self) -> Mode:
        """The market of a request that names none."""
        return self.markets[0]

    def database_path(self, mode: Mode) -> Path:
        path: Path = getattr(self, market_of(mode).settings.database_path)
        return path

    def with_database_path(self, mode: Mode, path: Path) -> Self:
        """The same settings, with another path for the database of the market."""
        changed: dict[str, Any] = {market_of(mode).settings.database_path: path}
        return replace(self, **changed)

    def data_dir(self, mode: Mode) -> Path:
        """Root of the market's CSV tree."""
        path: Path = getattr(self, market_of(mode).settings.data_dir)
        return path

    def groups_file(self, mode: Mode) -> Path | None:
        """The file that replaces the built-in list of tickers; None when none is set."""
        name = market_of(mode).settings.groups_file
        path: Path | None = getattr(self, name) if name else None
        return path

    def indices(self, mode: Mode) -> tuple[str, ...]:
        """The tickers that are market indices. Their values are points, not money. `VN30F*` are all that begin so."""
        name = market_of(mode).settings.index_tickers
        symbols: tuple[str, ...] = getattr(self, name) if name else ()
        return symbols

    def is_index(self, ticker: str, mode: Mode) -> bool:
        names, beginnings = _index_names(self.indices(mode))
        return ticker in names or ticker.startswith(beginnings)

    def sources(self, mode: Mode) -> tuple[str, ...]:
        """The names of the sources of the market's bars, the preferred one first."""
        if self.data_provider == SIMULATED:
            return (SIMULATED,)
        market = market_of(mode)
        if market.settings.source is None:
            return market.live_sources[:1]
        chosen: tuple[str, ...] | str = getattr(self, market.settings.source)
        return (chosen,) if isinstance(chosen, str) else chosen

    def source(self, mode: Mode) -> str:
        """The name of the preferred source of the market's bars."""
        return self.sources(mode)[0]

    def origins(self, mode: Mode) -> tuple[str, ...]:
        """The names under which the market remembers these sources. They may continue bars of each other, and of no
        other one.

        Each seed makes another simulated market. The name of the usual one is that of the source.
        """
        is_other = self.data_provider == SIMULATED and self.simulated_seed != int(_USUAL_SEED)
        return (f"{SIMULATED} with seed {self.simulated_seed}",) if is_other else self.sources(mode)


def keep_script_name_from_server() -> None:
    """Take SCRIPT_NAME out of the environment of this process, after the settings have been loaded.

    gunicorn reads it at every request, and answers 500 where a proxy has taken the prefix off or a health check does
    not know of it. The application takes both.
    """
    os.environ.pop("SCRIPT_NAME", None)


def _metadata() -> dict[str, Mapping[str, Any]]:
    return {each.name: each.metadata for each in fields(Settings)}


def _parse(name: str, metadata: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    variable = metadata["env"] or name.upper()
    text = environ.get(variable, metadata["default"]).strip()
    parser: types.SettingType = metadata["parser"]
    try:
        return parser.parse(text)
    except (ValueError, KeyError, OSError):
        shown = "'***'" if metadata["secret"] else repr(_without_password(text))
        raise ConfigError(f"{variable}={shown} is not allowed; allowed: {parser.allowed}") from None


def _without_password(text: str) -> str:
    """The text without what stands before an `@`, but for the scheme of an address."""
    head, at, host = text.rpartition("@")
    scheme, slashes, _ = head.partition("://")
    return f"{scheme if slashes else ''}{slashes}***@{host}" if at else text


def _require_different(settings: Settings, names: Iterable[str]) -> None:
    """:raises ConfigError: when two of these settings are the same path."""
    taken: dict[Path, str] = {}
    for name in names:
        path: Path = getattr(settings, name)
        other = taken.setdefault(real_path(path), name)
        if other != name:
            raise ConfigError(
                f"{name.upper()}={str(path)!r} is not allowed; allowed: any path but that of {other.upper()}"
            )


def _read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file. No file: no variables. A name without `=` is ignored."""
    try:
        text = read_regular(path).decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} cannot be read: {exc}; allowed: UTF-8 text, or no such file") from exc
    if "\0" in text:
        raise ConfigError(f"{path} cannot be read: it holds NUL, as UTF-16 does; allowed: UTF-8 text, or no such file")
    for binding in parse_stream(StringIO(text)):
        # By default, python-dotenv only warns about such a line and ignores the setting.
        if binding.error:
            # For the parser, blank lines before a statement are part of it.
            raw = binding.original.string
            line = binding.original.line + raw[: -len(raw.lstrip())].count("\n")
            raise ConfigError(f"{path} line {line} is not a setting; allowed: NAME=value, with quotes closed")
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}


@cache
def _index_names(symbols: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names among these tickers, and what stands before a `*`. An analysis asks for 287 tickers."""
    return frozenset(symbols), tuple(symbol[:-1] for symbol in symbols if symbol[-1] == "*")


@dataclass(frozen=True, slots=True)
class SettingHelp:
    """One line of the settings table."""

    variable: str
    default: str
    allowed: str
    description: str


def settings_help() -> list[SettingHelp]:
    """Every setting, in the order of `Settings`. The documents must list all of them."""
    return [
        SettingHelp(meta["env"] or name.upper(), meta["default"], meta["parser"].allowed, meta["description"])
        for name, meta in _metadata().items()
    ]
