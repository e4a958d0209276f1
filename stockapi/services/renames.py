"""Tickers that have another name now. Both names answer; only the new one is stored and asked of the source.

The file `names.json` in the CSV directory of the market says it:

    {"renamed": {"MATIC": "POL"}, "since": {"MATIC": 1798761600}, "at_source": {"binance": {"GRAM": "TON"}}}

`since`: when a ticker got its new name, in Unix seconds, if that is known. `at_source`: the name that a source has for
a ticker of ours, where it is another one.
Without the file the former symbols of `markets.listings` are the old names, but for those that have bars of their own.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError
from stockapi.machine import parse_json, read_regular
from stockapi.markets.listings import former_symbols
from stockapi.markets.tickers import groups_for
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.services.durable import FileState, csv_errors, make_directory, replace_file

log = logging.getLogger(__name__)

FILE_NAME: Final = "names.json"


@dataclass(frozen=True, slots=True)
class Names:
    """`renamed`: old name to new name, never to one that is old itself. `at_source`: by source, ours to theirs.

    `since`: when an old name was replaced, in Unix seconds, as far as it is known.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    at_source: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    since: Mapping[str, int] = field(default_factory=dict)

    def current(self, symbols: Iterable[str]) -> list[str]:
        """The present name of each, in their order, each once."""
        return list(dict.fromkeys(self.renamed.get(symbol, symbol) for symbol in symbols))

    def old(self, symbols: Sequence[str] | None) -> dict[str, str]:
        """Those of the symbols that are old names, with the new ones."""
        return {symbol: self.renamed[symbol] for symbol in symbols or () if symbol in self.renamed}

    def renamed_since(self, moment: int) -> dict[str, str]:
        """The names that were replaced at the moment (Unix seconds) or later, with the new ones."""
        return {old: new for old, new in self.renamed.items() if self.since.get(old, moment - 1) >= moment}

    def with_renamed(self, old: str, new: str, now: int | None = None) -> "Names":
        """`old` is `new` from now on, and so is what `old` has been the new name of. `new` is old no more.

        `now`: in Unix seconds, if it is to be known later.
        """
        renamed = {each: new if target == old else target for each, target in self.renamed.items()}
        renamed = {**{each: to for each, to in renamed.items() if each != new}, old: new}
        return replace(self, renamed=renamed, since=self.since if now is None else {**self.since, old: now})

    def without(self, symbol: str) -> "Names":
        """Nothing leads to the symbol any more."""
        kept = {old: new for old, new in self.renamed.items() if symbol not in (old, new)}
        return replace(self, renamed=kept)

    def with_name_at(self, source: str, ours: str, theirs: str) -> "Names":
        return replace(self, at_source={**self.at_source, source: {**self.at_source.get(source, {}), ours: theirs}})


NO_NAMES: Final = Names()


class Renames:
    """The file of each market, read again when it has changed. Thread-safe: what is kept is replaced as a whole."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths = {mode: settings.data_dir(mode) / FILE_NAME for mode in Mode}
        self._read: dict[Mode, tuple[FileState, Names]] = {}

    def of(self, mode: Mode) -> Names:
        """While somebody writes the file, what it held when this process last read it counts.

        :raises CsvError: when the file cannot be read, or is not of that form, and has not been read before.
        """
        path = self._paths[mode]
        # Of a directory that is none, the stores tell.
        with csv_errors(path), suppress(FileNotFoundError, NotADirectoryError):
            state = FileState.of(path.stat())
            known = self._read.get(mode)
            if known is None or known[0] != state:
                self._read[mode] = known = state, self._parsed_or_before(mode, path)
            return known[1]
        return self._built_in(mode)

    def _parsed_or_before(self, mode: Mode, path: Path) -> Names:
        try:
            return _parsed(path, read_regular(path))
        except CsvError as exc:
            before = self._read.get(mode)
            if before is None:
                raise
            log.error("%s; what it held before counts", exc)
            return before[1]

    def record(self, mode: Mode, names: Names) -> None:
        """Durably.

        :raises CsvError: when the file cannot be written.
        """
        path = self._paths[mode]
        with csv_errors(path):
            make_directory(path.parent)
            replace_file(path, f"{json.dumps(asdict(names), indent=1, sort_keys=True)}\n".encode())

    def groups(self, mode: Mode) -> dict[str, list[str]]:
        """The groups of the market by present names.

        :raises ConfigError: as `groups_for`.
        :raises CsvError: as `of`.
        """
        names = self.of(mode)
        return {group: names.current(symbols) for group, symbols in groups_for(mode, self._settings).items()}

    def _built_in(self, mode: Mode) -> Names:
        former = former_symbols(mode)
        if not former:
            return NO_NAMES
        # Bars that were stored under a former symbol must be found until `flask data rename` moves them.
        directory = self._settings.data_dir(mode)
        return Names({old: new for old, new in former.items() if not (directory / old).is_dir()})


def _parsed(path: Path, data: bytes) -> Names:
    try:
        value = parse_json(data)
        names = Names(
            _symbols(value.get("renamed", {})),
            {k: _symbols(v) for k, v in value.get("at_source", {}).items()},
            {old: int(moment) for old, moment in value.get("since", {}).items()},
        )
    except (ValueError, AttributeError, TypeError) as exc:
        raise CsvError(
            f'{path} is not allowed: {exc}; allowed: {{"renamed": {{"OLD": "NEW"}}, '
            '"at_source": {"<source>": {"OURS": "THEIRS"}}}'
        ) from exc
    return names


def _symbols(value: Mapping[str, object]) -> dict[str, str]:
    """:raises ValueError: for what is no symbol."""
    for each in (*value.keys(), *value.values()):
        if not isinstance(each, str) or not is_symbol(each):
            raise ValueError(f"{each!r:.40} is no symbol")
    return {key: str(each) for key, each in value.items()}
