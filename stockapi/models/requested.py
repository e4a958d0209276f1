"""Indicators that a request may name, such as `rsi14` or `macd(12,26,9)`. They are computed on read, and not stored.

The grammar is closed: a name of `KINDS` with its arguments, `bb(20,2.5)`, or the same as a word, `bb20_2_5`. Optional
arguments are given all together or not at all. The word is also how the fields are called: `bb20_2_5_upper`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from stockapi.errors import QueryError
from stockapi.models.fields import Field, Scale

MOST_REQUESTED: Final = 16
"""How many a request may name. With three fields each, and those stored, a bar has fewer than 63 indicators."""
LONGEST_PERIOD: Final = 200

_WHOLE: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
_DECIMAL: Final = re.compile(r"(?:0|[1-9][0-9]{0,3})(?:\.[0-9]{1,2})?", re.ASCII)
_WORD: Final = re.compile(r"([a-z]+)((?:[0-9]+(?:_[0-9]+)*)?)", re.ASCII)
_CALL: Final = re.compile(r"([a-z]+) *\(([^()]*)\)", re.ASCII)
_PARTS: Final = re.compile(r"[a-z]+|[0-9.]+", re.ASCII)


class Argument(NamedTuple):
    """A number of an indicator, from `low` to `high`. `default`: None when it must be given."""

    name: str
    low: float = 2
    high: float = LONGEST_PERIOD
    default: float | None = None
    is_decimal: bool = False

    def parse(self, text: str) -> float:
        """:raises ValueError: for any other text."""
        if not (_DECIMAL if self.is_decimal else _WHOLE).fullmatch(text) or not self.low <= float(text) <= self.high:
            raise ValueError(f"{self.name} {text!r}")
        return float(text) if self.is_decimal else int(text)


class Part(NamedTuple):
    """One of the fields of an indicator: what stands behind the name of the indicator, scale and meaning."""

    suffix: str
    scale: Scale
    meaning: str


@dataclass(frozen=True, slots=True)
class Kind:
    """An indicator, with any arguments.

    `sample`: what most people ask for. `is_ascending`: the first argument must be below the second.
    """

    name: str
    sample: str
    arguments: tuple[Argument, ...]
    parts: tuple[Part, ...]
    is_ascending: bool = False

    @property
    def optional(self) -> int:
        """How many arguments may be left out. They are the last ones."""
        return sum(each.default is not None for each in self.arguments)

    def with_arguments(self, texts: list[str]) -> tuple[float, ...]:
        """:raises ValueError: when there are too few or too many, or one is not allowed."""
        if len(texts) not in (len(self.arguments), len(self.arguments) - self.optional):
            raise ValueError(f"{self.name} has {len(self.arguments)} arguments")
        given = [argument.parse(text) for argument, text in zip(self.arguments, texts, strict=False)]
        defaults = [each.default for each in self.arguments[len(given) :] if each.default is not None]
        values = (*given, *defaults)
        if self.is_ascending and values[0] >= values[1]:
            raise ValueError(f"{self.arguments[0].name} must be below {self.arguments[1].name}")
        return values


_PERIOD: Final = Argument("period")
_SMOOTHING: Final = Argument("smoothing", low=1, default=1)
_WIDTH: Final = Argument("width", low=0.1, high=10, default=2.0, is_decimal=True)

KINDS: Final = (
    Kind("rsi", "rsi14", (_PERIOD,), (Part("", Scale.SCORE, "relative strength index, 0 to 100"),)),
    Kind(
        "macd",
        "macd(12,26,9)",
        (Argument("fast", default=12), Argument("slow", default=26), Argument("signal", default=9)),
        (
            Part("", Scale.PRICE, "exponential average of the last closes, less that of more closes"),
            Part("_signal", Scale.PRICE, "exponential average of the difference"),
            Part("_hist", Scale.PRICE, "the difference, less its average"),
        ),
        is_ascending=True,
    ),
    Kind(
        "bb",
        "bb20",
        (_PERIOD, _WIDTH),
        (
            Part("_upper", Scale.PRICE, "upper Bollinger band"),
            Part("_middle", Scale.PRICE, "average of the closes, between the Bollinger bands"),
            Part("_lower", Scale.PRICE, "lower Bollinger band"),
        ),
    ),
    Kind("atr", "atr14", (_PERIOD,), (Part("", Scale.PRICE, "average true range"),)),
    Kind("vwap", "vwap", (), (Part("", Scale.PRICE, "average price since the day began, weighted by volume"),)),
    Kind("roc", "roc10", (_PERIOD,), (Part("", Scale.SCORE, "change of the close over so many bars, %"),)),
    Kind(
        "stoch",
        "stoch14",
        (_PERIOD, _SMOOTHING, _SMOOTHING._replace(name="signal", default=3)),
        (
            Part("_k", Scale.SCORE, "place of the close between the lowest low and the highest high, 0 to 100"),
            Part("_d", Scale.SCORE, "average of that"),
        ),
    ),
    Kind("obv", "obv", (), (Part("", Scale.VOLUME, "volume of all bars that rose, less that of those that fell"),)),
)

ALLOWED_REQUESTED: Final = (
    f"rsi14, macd(12,26,9), bb20 or bb(20,2.5), atr14, vwap, roc10, stoch14 or stoch(14,3,3), obv; periods from 2 to "
    f"{LONGEST_PERIOD}, the first one of macd below its second; widths from 0.1 to 10"
)
SAMPLES: Final = tuple(kind.sample for kind in KINDS)
FIELDS_WITH_NUMBERS: Final = (
    f"^({'|'.join(kind.name for kind in KINDS if kind.arguments)})[0-9]+(_[0-9]+)*"
    f"({'|'.join(part.suffix for kind in KINDS for part in kind.parts if part.suffix)})?$"
)
"""A regular expression for the names of fields such as `rsi7` and `bb20_2_5_upper`, of JSON schemas too."""
_BY_NAME: Final = {kind.name: position for position, kind in enumerate(KINDS)}


@dataclass(frozen=True, order=True)
class Requested:
    """An indicator with its arguments. They sort in the order of `KINDS`. `position`: of the kind."""

    position: int
    arguments: tuple[float, ...]

    @property
    def kind(self) -> Kind:
        return KINDS[self.position]

    @cached_property
    def name(self) -> str:
        """As a word: `rsi14`, `bb20`, `bb20_2_5`, `macd`. If all optional arguments are the usual ones, it has none."""
        required = len(self.arguments) - self.kind.optional
        usual = tuple(each.default for each in self.kind.arguments[required:])
        shown = self.arguments[:required] if self.arguments[required:] == usual else self.arguments
        return self.kind.name + "_".join(f"{value:g}" for value in shown).replace(".", "_")

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Its fields, in the order of answers."""
        return tuple(Field(f"{self.name}{part.suffix}", part.scale, part.meaning) for part in self.kind.parts)


def names_of(requested: Iterable[Requested]) -> tuple[str, ...]:
    """The names of all their fields, in their order."""
    return tuple(field.name for each in requested for field in each.fields)


def parse_requested(text: str) -> Requested:
    """The indicator that a request names, in any case.

    :raises QueryError: for any other text. It names what is allowed, and what may have been meant.
    """
    lower = text.lower()
    called = _CALL.fullmatch(lower)
    found = _made(called[1], [each.strip(" ") for each in called[2].split(",")]) if called else _of_word(lower)
    if found is None:
        meant = meant_requested(lower)
        hint = f"{meant.name} was meant? " if meant else ""
        raise QueryError(f"indicators {text!r} is not allowed; {hint}allowed: {ALLOWED_REQUESTED}")
    return found


def requested_with(field: str) -> Requested | None:
    """The indicator that has a field of this name; None when there is none."""
    for kind in KINDS:
        for part in kind.parts:
            found = _of_word(field.removesuffix(part.suffix)) if field.startswith(kind.name) else None
            if found is not None and field in (each.name for each in found.fields):
                return found
    return None


def _of_word(word: str) -> Requested | None:
    """The indicator whose `name` is this word."""
    match = _WORD.fullmatch(word)
    if match is None or match[1] not in _BY_NAME:
        return None
    numbers = match[2].split("_") if match[2] else []
    arguments = KINDS[_BY_NAME[match[1]]].arguments
    if arguments and arguments[-1].is_decimal and len(numbers) == len(arguments) + 1:
        numbers[-2:] = [".".join(numbers[-2:])]
    found = _made(match[1], numbers)
    return found if found is not None and found.name == word else None


def _made(name: str, texts: list[str]) -> Requested | None:
    position = _BY_NAME.get(name)
    if position is None:
        return None
    try:
        return Requested(position, KINDS[position].with_arguments(texts))
    except ValueError:
        return None


def meant_requested(text: str) -> Requested | None:
    """The indicator that a text in lower case resembles; None for none."""
    name, *numbers = _PARTS.findall(text) or [""]
    if name not in _BY_NAME:
        return None
    return _made(name, [number.lstrip("0") for number in numbers]) or parse_requested(KINDS[_BY_NAME[name]].sample)
