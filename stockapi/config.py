"""Settings: the only reader of the environment.

Every setting stands once, as a field of `Settings`: its default is the text one would write in the environment,
its parser says what is allowed, its help line what it is for. `.env` in the working directory is read beneath the
real environment.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from dotenv import dotenv_values

from stockapi.constants import (
    CRYPTO_DATABASE_PATH,
    DEFAULT_FALLBACK_TO_CSV,
    FALLBACK_TO_CSV_ENV,
    SQLITE_BATCH_SIZE,
    VN_DATABASE_PATH,
)
from stockapi.errors import ConfigError
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Parser:
    """Turns text into a value; `allowed` finishes the sentence "allowed: ..."."""

    allowed: str
    parse: Callable[[str], Any]
    """:raises ValueError or KeyError: for text that is not allowed."""


def _boolean() -> _Parser:
    return _Parser("true, false, 1, 0", lambda text: _BOOLEANS[text.lower()])


def _whole(low: int, high: int) -> _Parser:
    def parse(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return _Parser(f"a whole number from {low} to {high}", parse)


def _choice(*names: str) -> _Parser:
    by_name = {name.lower(): name for name in names}
    return _Parser(", ".join(names), lambda text: by_name[text.lower()])


def _path() -> _Parser:
    def parse(text: str) -> Path:
        if not text or "\0" in text:
            raise ValueError(text)
        return Path(text).absolute()

    return _Parser("a path", parse)


def _optional_file() -> _Parser:
    def parse(text: str) -> Path | None:
        if not text:
            return None
        if not Path(text).is_file():
            raise ValueError(text)
        return Path(text).absolute()

    return _Parser("the path of an existing JSON file, or nothing for the list that comes with the project", parse)


def _list_of(allowed: str, is_allowed: Callable[[str], object]) -> _Parser:
    def parse(text: str) -> tuple[str, ...]:
        items = tuple(item.strip() for item in text.split(",") if item.strip())
        if not all(is_allowed(item) for item in items):
            raise ValueError(text)
        return items

    return _Parser(f"{allowed}, separated by commas", parse)


def _text(allowed: str, pattern: str) -> _Parser:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return _Parser(allowed, parse)


def _setting(default: str, parser: _Parser, description: str, *, env: str | None = None) -> Any:
    return field(metadata={"default": default, "parser": parser, "description": description, "env": env})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process, parsed. Each is read from the variable of the same name in capitals."""

    fallback_to_csv: bool = _setting(
        str(DEFAULT_FALLBACK_TO_CSV).lower(),
        _boolean(),
        "reads fall back to CSV when SQLite fails or lacks a ticker; writes go on to CSV alone",
        env=FALLBACK_TO_CSV_ENV,
    )
    sqlite_reads: bool = _setting("true", _boolean(), "rollout flag: answer from SQLite first")
    sqlite_writes: bool = _setting("true", _boolean(), "rollout flag: write SQLite beside CSV")
    vn_database_path: Path = _setting(VN_DATABASE_PATH, _path(), "database of the VN market")
    crypto_database_path: Path = _setting(CRYPTO_DATABASE_PATH, _path(), "database of the crypto market")
    market_data_dir: Path = _setting("market_data", _path(), "CSV tree of the VN market")
    crypto_data_dir: Path = _setting("crypto_data", _path(), "CSV tree of the crypto market")
    sqlite_batch_size: int = _setting(
        str(SQLITE_BATCH_SIZE), _whole(1, 100_000), "rows per executemany and, while a series only grows, transaction"
    )
    sqlite_synchronous: str = _setting("NORMAL", _choice("NORMAL", "FULL"), "writer: when a commit waits for the disk")
    sqlite_cache_size: int = _setting(
        "-64000", _whole(-4_000_000, 1_000_000), "writer: page cache, pages if positive, KiB if negative"
    )
    sqlite_temp_store: str = _setting("MEMORY", _choice("MEMORY", "FILE", "DEFAULT"), "writer: where temp tables live")
    sqlite_mmap_size: int = _setting("268435456", _whole(0, 1 << 40), "writer: memory-mapped I/O, bytes")
    sqlite_busy_timeout_ms: int = _setting("5000", _whole(0, 600_000), "writer: wait for a lock, milliseconds")
    sqlite_reader_cache_size: int = _setting(
        "-8000",
        _whole(-4_000_000, 1_000_000),
        "each reading thread: page cache; 16 readers with 64 MB took 1,046 MB and were no faster",
    )
    sqlite_reader_busy_timeout_ms: int = _setting("250", _whole(0, 60_000), "readers: wait for a lock, milliseconds")
    query_deadline_ms: int = _setting("10000", _whole(1, 600_000), "a query that takes longer is stopped (503), ms")
    max_response_rows: int = _setting("1000000", _whole(1, 100_000_000), "row budget of one answer (413)")
    data_provider: str = _setting(
        "live",
        _choice("live", "simulated"),
        "where bars come from: the real sources, or a market that needs no network",
    )
    simulated_seed: int = _setting("1", _whole(0, 1 << 32), "which simulated market")
    index_tickers: tuple[str, ...] = _setting(
        "VNINDEX,VN30", _list_of("upper-case symbols", is_symbol), "VN indices: never scaled, no money flow"
    )
    ticker_groups_file: Path | None = _setting("", _optional_file(), "sectors of VN tickers, in place of the built-in")
    crypto_list_file: Path | None = _setting("", _optional_file(), "ranked coins, in place of the built-in top 100")
    host: str = _setting("0.0.0.0", _text("an address to listen on", r"[0-9A-Za-z.:\[\]-]{1,255}"), "listen address")  # noqa: S104
    port: int = _setting("3000", _whole(1, 65_535), "listen port")
    web_concurrency: int = _setting("2", _whole(1, 256), "gunicorn processes")
    gunicorn_threads: int = _setting("4", _whole(1, 256), "threads of each process")
    log_level: str = _setting("info", _choice("debug", "info", "warning", "error"), "least serious line logged")
    cors_origins: tuple[str, ...] = _setting(
        "",
        _list_of("* or origins like https://example.org", lambda item: item == "*" or _ORIGIN.fullmatch(item)),
        "pages of other hosts that may read the API",
    )

    @classmethod
    def from_mapping(cls, environ: Mapping[str, str]) -> Self:
        """Settings from variables; those absent take their defaults.

        :raises ConfigError: naming the variable, the value and what is allowed.
        """
        return cls(**{name: _parse(name, description, environ) for name, description in _metadata().items()})

    @classmethod
    def load(cls) -> Self:
        """Settings from the environment, over `.env` in the working directory.

        :raises ConfigError: as `from_mapping`.
        """
        from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
        return cls.from_mapping(from_file | os.environ)

    def database_path(self, mode: Mode) -> Path:
        return self.vn_database_path if mode is Mode.VN else self.crypto_database_path

    def data_dir(self, mode: Mode) -> Path:
        """Root of the market's CSV tree."""
        return self.market_data_dir if mode is Mode.VN else self.crypto_data_dir


def _metadata() -> dict[str, Mapping[str, Any]]:
    return {each.name: each.metadata for each in fields(Settings)}


def _parse(name: str, metadata: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    variable = metadata["env"] or name.upper()
    text = environ.get(variable, metadata["default"]).strip()
    parser: _Parser = metadata["parser"]
    try:
        return parser.parse(text)
    except (ValueError, KeyError):
        raise ConfigError(f"{variable}={text!r} is not allowed; allowed: {parser.allowed}") from None


@dataclass(frozen=True, slots=True)
class SettingHelp:
    """One line of the settings table."""

    variable: str
    default: str
    allowed: str
    description: str


def settings_help() -> list[SettingHelp]:
    """Every setting there is, in the order of `Settings`: what the documents must list."""
    return [
        SettingHelp(meta["env"] or name.upper(), meta["default"], meta["parser"].allowed, meta["description"])
        for name, meta in _metadata().items()
    ]
