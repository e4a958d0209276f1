"""Files of keys: who may use the API. A file has the SHA-256 of each key, and never the key itself.

    # name  SHA-256 of the key in hexadecimal  requests a minute, in place of RATE_LIMIT_PER_MINUTE
    anna    90596a94ec64f2e0be0e7e9dec7a09fda5a2a5363639d3e4a15bada2622de008
    prometheus 540a0ec6286880daa82614bc2b5d7103a65bf6b40f609e2094b0de55b63f6092 0

A file that has changed is read again at the next request of each process.
"""

import hmac
import logging
import re
import time
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from stockapi.constants import MOST_REQUESTS_PER_MINUTE
from stockapi.errors import ConfigError
from stockapi.machine import read_regular
from stockapi.services.durable import FileState

log = logging.getLogger(__name__)

_ALLOWED: Final = (
    "a line for each key: a name of at most 64 letters, digits and . _ -, a blank, the SHA-256 of the key as 64 "
    "hexadecimal digits, and perhaps a blank and a number of requests a minute; no name and no key twice; # begins a "
    "comment; not empty"
)
_LINE: Final = re.compile(r"([A-Za-z0-9._-]{1,64})[ \t]+([0-9A-Fa-f]{64})(?:[ \t]+([0-9]{1,9}))?", re.ASCII)
_JUST_CHANGED_NS: Final = 100_000_000
"""Time stamps of files have steps of some milliseconds. A file that was changed so recently may change once more, and
have the same stamp.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a file. `digest`: the SHA-256 of the key. `per_minute`: None for that of the settings, 0 for none."""

    name: str
    digest: bytes
    per_minute: int | None


class KeyFile:
    """The keys of one file. Thread-safe: what is kept is replaced as a whole."""

    def __init__(self, setting: str, path: Path) -> None:
        """:raises ConfigError: when the file cannot be read, or is not of that form."""
        self._setting = setting
        self._path = path
        self._told = ""
        self._state, self._keys = self._read()

    def find(self, given: bytes) -> Key | None:
        """The key that a client has given. It takes as long for a wrong key as for a right one.

        While somebody writes or moves the file, what it held when it was last read counts, and the log says so once.
        """
        digest, found = sha256(given).digest(), None
        for key in self._current():
            if hmac.compare_digest(key.digest, digest):
                found = key  # no `break`: the time would tell where in the file it is
        return found

    def _current(self) -> tuple[Key, ...]:
        try:
            if self._state is None or FileState.of(self._path.stat()) != self._state:
                self._state, self._keys = self._read()
            self._told = ""
        except (ConfigError, OSError) as exc:
            self._state = None
            error = str(exc) if isinstance(exc, ConfigError) else self._unreadable(exc)
            if self._told != error:
                self._told = error
                log.error("%s; what it held before counts", error)
        return self._keys

    def _read(self) -> tuple[FileState | None, tuple[Key, ...]]:
        """The state that was read, None when it must be read again, and the keys.

        :raises ConfigError: as the constructor. The text has no line of the file, which may have a key by mistake.
        """
        try:
            state = FileState.of(self._path.stat())
            data = read_regular(self._path)
        except OSError as exc:
            raise ConfigError(self._unreadable(exc)) from exc
        try:
            keys = _parsed(data)
        except ValueError as exc:
            text = f"{self._setting}={str(self._path)!r} is not allowed: {exc}; allowed: {_ALLOWED}"
            raise ConfigError(text) from None
        return (state if time.time_ns() - state.changed_ns > _JUST_CHANGED_NS else None), keys

    def _unreadable(self, exc: OSError) -> str:
        return f"{self._setting}={str(self._path)!r} cannot be read: {exc.strerror}; allowed: {_ALLOWED}"


@cache
def key_file(setting: str, path: Path) -> KeyFile:
    """The same object each time. The processes of a server inherit what its master has read: a process that starts
    while the file is broken needs it.

    :raises ConfigError: as `KeyFile`.
    """
    return KeyFile(setting, path)


def _parsed(data: bytes) -> tuple[Key, ...]:
    """:raises ValueError: with the number of the wrong line, but not its text."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    if not lines:
        raise ValueError("it is empty")
    keys: dict[str, Key] = {}
    digests = set()
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or int(match[3] or 0) > MOST_REQUESTS_PER_MINUTE:
            raise ValueError(f"line {number} is no key")
        name, digest, limit = match[1], bytes.fromhex(match[2]), match[3]
        if name in keys or digest in digests:
            raise ValueError(f"line {number} has a name or a key of an earlier line")
        digests.add(digest)
        keys[name] = Key(name, digest, None if limit is None else int(limit))
    return tuple(keys.values())
