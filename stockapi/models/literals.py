"""How numbers, yes and no are written, in settings, queries, files and the answers of sources.

`int` and `float` alone would also accept " 5", "1_000", "nan" and digits of other scripts.
"""

import math
import re
from typing import Final

BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
"""The words for yes and no. Case does not matter."""

_WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


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
