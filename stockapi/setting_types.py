"""The types of settings: how a text becomes a value, and what is allowed."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from stockapi.machine import real_path
from stockapi.models.literals import BOOLEANS, parse_whole
from stockapi.models.mode import Mode

_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", re.ASCII)


ANY_PROXY: Final = "nothing, or an address like http://user:password@proxy.example.org:3128"
ANY_URL = "an address like https://example.org/api"


@dataclass(frozen=True, slots=True)
class SettingType:
    """Turns text into a value. `allowed` completes the sentence "allowed: ..."."""

    allowed: str
    parse: Callable[[str], Any]
    """:raises ValueError, KeyError or OSError: for text that is not allowed."""


def boolean() -> SettingType:
    return SettingType("true, false, 1, 0", lambda text: BOOLEANS[text.lower()])


def whole(low: int, high: int) -> SettingType:
    return SettingType(f"a whole number from {low} to {high}", lambda text: parse_whole(text, low, high))


def choice(*names: str) -> SettingType:
    by_name = {name.lower(): name for name in names}
    return SettingType(", ".join(names), lambda text: by_name[text.lower()])


def _at_home(text: str) -> Path:
    """`~` at the start is the home directory.

    :raises ValueError: when nobody has that home directory.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as exc:
        raise ValueError(text) from exc


def path() -> SettingType:
    def parse(text: str) -> Path:
        if not text or "\0" in text:
            raise ValueError(text)
        return _at_home(text).absolute()

    return SettingType("a path", parse)


def database() -> SettingType:
    def parse(text: str) -> Path:
        # SQLite keeps the log beside the file that a link leads to, and a new database gets the name of the old one.
        found: Path = path().parse(text)
        return real_path(found) if os.path.islink(found) else found  # noqa: PTH114 - out of reach is no reason to fail

    return SettingType(path().allowed, parse)


A_LIST: Final = "the path of an existing JSON file, or nothing for the list that comes with the project"


def optional_file(allowed: str = A_LIST) -> SettingType:
    def parse(text: str) -> Path | None:
        if not text:
            return None
        path = _at_home(text)
        if not path.is_file():
            raise ValueError(text)
        return path.absolute()

    return SettingType(allowed, parse)


def list_of(allowed: str, is_allowed: Callable[[str], object]) -> SettingType:
    def parse(text: str) -> tuple[str, ...]:
        items = tuple(item.strip() for item in text.split(",") if item.strip())
        if not all(is_allowed(item) for item in items):
            raise ValueError(text)
        return items

    return SettingType(f"{allowed}, separated by commas", parse)


def dates() -> SettingType:
    def parse(text: str) -> tuple[date, ...]:
        return tuple(date.fromisoformat(item.strip()) for item in text.split(",") if item.strip())

    return SettingType("nothing, or dates like 2026-01-02 separated by commas", parse)


def ranked(*names: str) -> SettingType:
    """At least one of these names, each once at most. The order in the text counts."""
    by_name = {name.lower(): name for name in names}

    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(by_name[item.strip().lower()] for item in text.split(","))
        if len(set(chosen)) != len(chosen):
            raise ValueError(text)
        return chosen

    return SettingType(f"{', '.join(names)}, or several of them separated by commas, the best first", parse)


def markets() -> SettingType:
    """At least one market, in the order of `Mode`. The order in the text does not matter."""
    modes = {mode.value: mode for mode in Mode}

    def parse(text: str) -> tuple[Mode, ...]:
        named = {modes[item.strip().lower()] for item in text.split(",")}
        return tuple(mode for mode in Mode if mode in named)

    return SettingType(f"{', '.join(modes)}, or several of them separated by commas", parse)


def text(allowed: str, pattern: str) -> SettingType:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return SettingType(allowed, parse)


def url(allowed: str, *, with_path: bool = True) -> SettingType:
    """An http or https address without user, query and fragment. A slash at its end is removed."""

    def parse(text: str) -> str:
        parts = urlsplit(text)
        # `port` is None when there is none. It raises ValueError when it is not a port number.
        if not _URL.fullmatch(text) or parts.port == 0 or (parts.path.strip("/") and not with_path):
            raise ValueError(text)
        return text.rstrip("/")

    return SettingType(allowed, parse)


def proxy() -> SettingType:
    """As `url`, and a user with a password may stand in it. It is never shown."""
    plain = url("", with_path=False)

    def parse(text: str) -> str:
        if not text:
            return text
        scheme, _, rest = text.partition("://")
        user, at, host = rest.rpartition("@")
        if at and not re.fullmatch(r"[!-~]+", user):
            raise ValueError(text)
        parsed: str = plain.parse(f"{scheme}://{host}")
        return f"{scheme}://{user}@{parsed.partition('://')[2]}" if at else parsed

    return SettingType(ANY_PROXY, parse)
