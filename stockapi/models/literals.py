"""How numbers, yes and no, and paths of URLs are written, in settings, queries, files and the answers of sources.

`int` and `float` alone would also accept " 5", "1_000", "nan" and digits of other scripts.
"""

import math
import re
from typing import Final

BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
"""The words for yes and no. Case does not matter."""

_WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)

ALLOWED_PATH_PREFIX: Final = "nothing, or a path like /markets of letters, digits, - . _ ~ and single slashes"
_MAX_PREFIX: Final = 200
_PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+", re.ASCII)


def parse_whole(text: str, low: float = -math.inf, high: float = math.inf) -> int:
    """The whole number in the text, from `low` to `high`. The text is digits, with a minus before them if `low` is
    negative.

    :raises ValueError: for any other text.
    """
    if not _WHOLE.fullmatch(text) or (text[0] == "-" and low >= 0) or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
    return int(text)


def is_number(text: str) -> bool:
    """Whether the text is a number in decimal notation, even one that is too large for a float64."""
    return _NUMBER.fullmatch(text) is not None


def parse_path_prefix(text: str) -> str:
    """A path such as /markets or /a/b, without a slash at its end; empty for `/` and for no text.

    It is written into pages and redirects, so nothing is allowed that has a meaning there: no `//`, `..`, `%` or `?`.

    :raises ValueError: for any other text.
    """
    path = text.removesuffix("/")
    if path and (len(path) > _MAX_PREFIX or not _PREFIX.fullmatch(path)):
        raise ValueError(f"{text!r} is not a path")
    return path
