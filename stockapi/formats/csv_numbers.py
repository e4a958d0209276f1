"""Numbers in files. Our files have a decimal point; other programs may write a decimal comma, or thousands."""

import math
import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from enum import Enum
from typing import Final

from stockapi.constants import LARGEST_INT64
from stockapi.models import literals

_PLAIN_CHARACTERS: Final = str.maketrans("", "", "0123456789.+-eE\n")


class Style(Enum):
    """How numbers are written. The value is the pattern of a number with separated thousands."""

    POINT = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?", re.ASCII)
    COMMA = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?", re.ASCII)


def style_of(texts: Sequence[str], doubtful: Style = Style.POINT) -> Style:
    """That of the first numbers of a file, by the first of them that can be written in one style only.

    `doubtful`: of numbers such as 60,300 alone, which are sixty thousand in one style and sixty in the other.
    """
    for text in texts:
        readings = [style for style in Style if literals.is_number(plain(text, style))]
        if len(readings) == 1 and not text.isdecimal():
            return readings[0]
    return doubtful if any("," in text for text in texts) else Style.POINT


def is_number(text: str, style: Style) -> bool:
    """Whether `text` is a number. It must have no blanks around it."""
    return literals.is_number(plain(text, style))


def plain(text: str, style: Style) -> str:
    """The same number with a decimal point and without thousands. A text that is not a number stays not a number."""
    text = text.replace("\u00a0", "").replace("\u202f", "")
    if style is Style.POINT:
        return text.replace(",", "") if style.value.fullmatch(text) else text
    if "." in text and not style.value.fullmatch(text):
        return f"{text} "
    return text.replace(".", "").replace(",", ".")


def floats(texts: Sequence[str], style: Style) -> list[float] | None:
    """The finite numbers, not negative; None when one of the texts is not such a number."""
    if style is Style.COMMA:
        texts = [plain(text, style) for text in texts]
    if "\n".join(texts).translate(_PLAIN_CHARACTERS):
        return None
    try:
        values = list(map(float, texts))
    except ValueError:
        return None
    return values if min(values) >= 0.0 and max(values) < math.inf else None


def whole_numbers(texts: Sequence[str], style: Style) -> list[int] | None:
    """The whole numbers of at most 63 bits, not negative; None when one of the texts is not such a number."""
    if style is Style.COMMA:
        texts = [plain(text, style) for text in texts]
    if not all(text.isdecimal() and text.isascii() for text in texts):
        return None
    values = list(map(int, texts))
    return values if max(values) <= LARGEST_INT64 else None


def parse_number(name: str, text: str, style: Style = Style.POINT) -> float:
    """The number of a field. `name`: the field, for the error.

    :raises ValueError: with the reason, when it is not a finite number or is negative.
    """
    written = plain(text, style)
    if not literals.is_number(written):
        raise ValueError(f"{name} {shown(text)} is not a number")
    number = float(written)
    if math.isinf(number):
        raise ValueError(f"{name} {shown(text)} is not finite")
    if number < 0.0:
        raise ValueError(f"{name} {shown(text)} is negative")
    return number


def parse_whole(name: str, text: str, style: Style = Style.POINT) -> int:
    """The number, rounded half to even. Histories that are adjusted for splits have fractions of shares.

    :raises ValueError: with the reason, as `parse_number`, and when it needs more than 63 bits.
    """
    number = parse_number(name, text, style)
    # Decimal, because a float has only 53 bits. Not for 0: its exponent may be huge, and int() would write it out.
    if number < 2.0**64:
        whole = int(Decimal(plain(text, style)).to_integral_value(ROUND_HALF_EVEN)) if number else 0
        if whole <= LARGEST_INT64:
            return whole
    raise ValueError(f"{name} {shown(text)} is beyond 63 bits")


def shown(text: str) -> str:
    return repr(text[:40])


def fixed_or_in_full(value: float, decimals: int) -> str:
    """With these decimals; in full where they would change the number."""
    text = f"{value:.{decimals}f}"
    return text if float(text) == value else in_full(value)


def in_full(value: float) -> str:
    """The shortest text with a decimal point that gives the number back, without an exponent: 7.0, 0.0000001."""
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text


def shortest(value: float) -> str:
    """The same, and whole numbers without a point: 79300."""
    return in_full(value).removesuffix(".0")
