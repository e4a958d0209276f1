"""How a file is written: encoding, lines, separator. Also, what a file without bars seems to be."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from stockapi.errors import LayoutError
from stockapi.formats.csv_header import NEEDED

SEPARATORS: Final = (",", ";", "\t", "|")
BLOCK_CHARS: Final = 1 << 17
"""Of text read at once: never a whole file of it."""
_LONGEST_LINE_CHARS: Final = 1 << 20
_PEEKED_BYTES: Final = 4_096
_MARKS: Final = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_BINARY: Final = {
    b"SQLite format 3": "a SQLite database",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PK\x03\x04": "a zip archive within another",
    b"\x1f\x8b": "gzip within gzip",
    b"\x80\x04": "a Python pickle",
    b"\x89HDF": "an HDF5 file",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
}
_BEGINNINGS: Final = {"{": "JSON", "[": "JSON", "<!": "a web page", "<html": "a web page", "<?xml": "XML"}
_SHOWN_CHARS: Final = 60
_WITH_DIGIT: Final = re.compile(r"\d")

WANTED: Final = (
    f"wanted: a header that names {', '.join(NEEDED[:-1])} and {NEEDED[-1]}, or another layout of docs/import.md"
)


class OtherContentError(LayoutError):
    """The text contains no table of bars."""


class PassedOverError(LayoutError):
    """The file is sound, but it is not imported: nothing says whose bars it has, or its interval is not stored."""


def text_of(stream: io.BufferedReader) -> io.TextIOWrapper:
    """The text of a file. Each line ends in a newline. A byte that cannot be decoded damages only its own line.

    :raises LayoutError: when it is no text. The error says what it is.
    """
    start = stream.peek(_PEEKED_BYTES)[:_PEEKED_BYTES]
    return io.TextIOWrapper(stream, _encoding_of(start), errors="replace")


def blocks_of(text: TextIO) -> Iterator[str]:
    """The text in pieces of whole lines. Only the last piece may lack a newline at its end.

    :raises LayoutError: for a line that is too long to be a bar. So a file without lines is not read into memory as a
        whole.
    """
    rest = ""
    while chunk := text.read(BLOCK_CHARS):
        block = rest + chunk
        end = block.rfind("\n") + 1
        rest = block[end:]
        if len(rest) > _LONGEST_LINE_CHARS:
            likeness = likeness_of([rest[:BLOCK_CHARS]], SEPARATORS[0])[0] if not end else "has a longer line"
            raise LayoutError(f"{likeness}: a line of more than {_LONGEST_LINE_CHARS:,} characters; {WANTED}")
        if end:
            yield block[:end]
    if rest:
        yield rest


def _encoding_of(start: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    for magic, what in _BINARY.items():
        if start.startswith(magic):
            raise LayoutError(f"looks like {what}; {WANTED}")
    # Text of ASCII letters in UTF-16 has a zero in every second byte.
    for encoding, zeros, letters in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if len(start) > 1 and zeros.count(0) > 0.9 * len(zeros) and letters.count(0) < 0.1 * len(letters):
            return encoding
    if b"\0" in start:
        raise LayoutError(f"looks like binary data; {WANTED}")
    return "utf-8"


def split(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The cells of each line, without the quotes of RFC 4180 and without blanks after a separator. A blank line has
    none.

    There is one row for each line. Only if quotes contain line ends, and all rows then have one width, a row may have
    several lines.
    """
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    except csv.Error:  # a cell beyond the module's limit
        rows = []
    if len(rows) == len(lines) or len({len(row) for row in rows}) == 1:
        return rows
    # A quote that is never closed has swallowed what follows it.
    return [_split_line(line, separator) for line in lines]


def _split_line(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return line.split(separator)


def likeness_of(lines: Sequence[str], separator: str) -> tuple[str, bool]:
    """What a text without a header and without bars seems to be: the beginning of a message, and whether it is
    something other than a table of numbers.
    """
    first = next((line.strip() for line in lines if line.strip()), "")
    if not first:
        return "is empty", False
    for beginning, what in _BEGINNINGS.items():
        if first.lower().startswith(beginning):
            return f"looks like {what}", False
    cells = split([first], separator)[0]
    shown = first[:_SHOWN_CHARS] + ("..." if len(first) > _SHOWN_CHARS else "")
    if len(cells) < 2:
        return f"looks like text that begins {shown!r}", True
    if sum(_WITH_DIGIT.search(cell) is not None for cell in cells) > len(cells) // 2:
        return f"looks like rows of {len(cells)} columns without a header, such as {shown!r}", False
    return f"looks like a table with the columns {shown}", True
