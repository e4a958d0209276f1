"""Find the files of a tree to import, and open them: plain, gzip or zip."""

import gzip
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from stockapi.errors import CsvError, LayoutError, os_errors
from stockapi.formats.foreign.names import FileName
from stockapi.machine import open_regular
from stockapi.services.csv_store import quarantine
from stockapi.services.durable import FileState

_TABLE: Final = re.compile(r"(?P<stem>.+?)\.(?:csv|txt|tsv)(?:\.gz)?", re.IGNORECASE)
_ARCHIVE: Final = re.compile(r"(?P<stem>.+?)(?:\.(?:csv|txt|tsv))?\.zip", re.IGNORECASE)
_ENDINGS: Final = ".csv, .txt, .tsv, one of these with .gz behind, or .zip"
_GZIP, _ZIP, _WORKBOOK = b"\x1f\x8b", b"PK\x03\x04", "[Content_Types].xml"
_BUFFER_BYTES: Final = 1 << 16

EXPECTED: Final = "expected <TICKER>/1D.csv, 1H.csv, 1m.csv or <TICKER>.csv, or another layout of docs/import.md"


_Directory = tuple[Path, tuple[str, ...]]
"""And the names that lead to it from the directory of the import."""


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file that may hold bars. `parts`: its path below the directory of the import, with the names of links."""

    path: Path
    parts: tuple[str, ...]

    @property
    def name(self) -> FileName:
        return _name_of(self.parts)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file or directory that is not read."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """One table: a file, or a member of an archive. `source`: its path, and its name within the archive."""

    source: str
    name: FileName
    stream: BufferedReader


def find_files(directory: Path) -> tuple[list[ImportFile], list[PassedOver]]:
    """The files that may hold bars, and the paths that are passed over; both in order. Linked directories are followed,
    each once.

    If two files hold the same series, the later one overwrites the earlier one. So `<TICKER>/1D.csv` comes after any
    other file of the ticker, and `1H.csv` after the older name `1h.csv`. Of several such files, the one nearest to the
    top comes last.

    :raises CsvError: when the directory does not exist, or has no file to import.
    """
    if not directory.is_dir():
        raise CsvError(f"{directory} is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv files")
    found, passed_over = list[ImportFile](), list[PassedOver]()
    for each in _walk(directory):
        if isinstance(each, PassedOver):
            passed_over.append(each)
        else:
            found.append(each)
    if not found:
        raise CsvError(f"{directory} holds nothing to import; {EXPECTED}")
    return sorted(found, key=_order), sorted(passed_over, key=lambda each: each.path)


def _order(file: ImportFile) -> tuple[str, int, tuple[str, ...], bool, str]:
    name, (*above, last) = file.name, file.parts
    depth = -len(above) if name.is_of_the_tree else -len(above) - 1_000
    return name.ticker or file.parts[0], depth, tuple(above), name.stem != "1h", last


def _walk(directory: Path) -> Iterator[ImportFile | PassedOver]:
    """Walk linked directories last. So a file that is in the tree itself is found at its own path."""
    waiting, linked = list[_Directory]([(directory, ())]), list[_Directory]()
    seen = set[tuple[int, int]]()
    while waiting or linked:
        path, parts = (waiting or linked).pop(0)
        with os_errors(CsvError, f"{path} cannot be read"):
            own = FileState.of(path.stat()).file
            if own in seen:
                yield PassedOver(str(path), "leads to a directory that is read already")
                continue
            seen.add(own)
            entries = sorted(path.iterdir())
        for entry in entries:
            below = (*parts, entry.name)
            found = _kind_of(entry, below)
            if found is None:
                (linked if entry.is_symlink() else waiting).append((entry, below))
            else:
                yield found


def _kind_of(entry: Path, parts: tuple[str, ...]) -> ImportFile | PassedOver | None:
    """What a path is; None for a directory to walk."""
    if entry.name.startswith(".") or entry.name == "__MACOSX":
        return PassedOver(str(entry), "is hidden")
    try:
        mode = entry.stat().st_mode
    except OSError as exc:
        return PassedOver(str(entry), f"cannot be read: {exc.strerror}")
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        return PassedOver(str(entry), "is not a regular file")
    return _reason_by_name(entry.name, str(entry)) or ImportFile(entry, parts)


def _reason_by_name(name: str, path: str) -> PassedOver | None:
    if name == quarantine.FILE_NAME:
        return PassedOver(path, "holds lines that were no bars")
    if not (_TABLE.fullmatch(name) or _ARCHIVE.fullmatch(name)):
        return PassedOver(path, f"has no known name; known: {_ENDINGS}")
    return None


def _name_of(parts: tuple[str, ...], archive: str = "") -> FileName:
    found = _TABLE.fullmatch(parts[-1]) or _ARCHIVE.fullmatch(parts[-1])
    return FileName(parts[-2] if len(parts) > 1 else "", found["stem"] if found else parts[-1], archive)


def tables_of(file: ImportFile) -> Iterator[OpenedFile | PassedOver]:
    """The tables in a file. Its first bytes tell whether it is gzip or zip. A table is closed when the next one is
    read.

    :raises CsvError: when the file cannot be read, or is damaged.
    """
    with reading(str(file.path)), os.fdopen(open_regular(file.path), "rb") as stream:
        start = stream.peek(len(_ZIP))
        if start.startswith(_ZIP):
            yield from _members_of(file, stream)
        elif start.startswith(_GZIP):
            with gzip.open(stream) as unzipped:
                yield OpenedFile(str(file.path), file.name, BufferedReader(unzipped, _BUFFER_BYTES))
        else:
            yield OpenedFile(str(file.path), file.name, stream)


def _members_of(file: ImportFile, stream: BufferedReader) -> Iterator[OpenedFile | PassedOver]:
    with zipfile.ZipFile(stream) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if any(member.filename == _WORKBOOK for member in members):
            raise LayoutError(f"{file.path}: looks like an Excel workbook; wanted: the same saved as CSV")
        for member in members:
            source = f"{file.path}/{member.filename}"
            parts = PurePosixPath(member.filename).parts
            passed_over = next((_as_hidden(part, source) for part in parts if part[:1] in (".", "_")), None)
            passed_over = passed_over or _reason_by_name(parts[-1], source)
            if passed_over is not None:
                yield passed_over
                continue
            alone = file.name.stem if len(members) == 1 else ""
            with reading(source), archive.open(member) as unzipped:
                buffered = BufferedReader(cast(Any, unzipped), _BUFFER_BYTES)
                yield OpenedFile(source, _name_of((*file.parts[:-1], *parts), alone), buffered)


def _as_hidden(part: str, source: str) -> PassedOver:
    return PassedOver(source, f"is hidden, as {part}")


@contextmanager
def reading(source: str) -> Iterator[None]:
    """A context that turns errors of compressed files into errors of this project.

    :raises CsvError: with the source.
    """
    with os_errors(CsvError, f"{source} cannot be read"):
        try:
            yield
        except (EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as exc:
            # RuntimeError is what zipfile raises for a member that needs a password.
            raise CsvError(f"{source} cannot be unpacked: {exc}") from exc
