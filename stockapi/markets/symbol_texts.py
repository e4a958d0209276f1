"""The texts of a symbol that a search looks in, without accents and case."""

import re
import unicodedata
from typing import Final, NamedTuple, Self

_NO_WORD: Final = re.compile(r"[\W_]+")
_EXACT, _BEGINS, _NAME_BEGINS, _WORDS_BEGIN, _CONTAINS = range(5)
_BETWEEN: Final = " | "


def folded(text: str) -> str:
    """The words of a text in lower case and without accents, one blank between them: `Hòa Phát` is `hoa phat`."""
    # The bar of đ is no accent to Unicode.
    plain = unicodedata.normalize("NFKD", text.replace("đ", "d").replace("Đ", "D"))
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _NO_WORD.sub(" ", kept.casefold()).strip()


class Texts(NamedTuple):
    """`symbol`: folded. `all`: every name, folded, with `_BETWEEN` before each."""

    symbol: str
    all: str

    @classmethod
    def of(cls, symbol: str, *names: str) -> Self:
        texts = [folded(each) for each in (symbol, *names)]
        return cls(texts[0], "".join(f"{_BETWEEN}{text}" for text in dict.fromkeys(texts) if text))


def rank_of(texts: Texts, wanted: str) -> int | None:
    """How well the texts fit a folded text, 0 is best; None when a word of it is in no text. All fit "".

    0: the symbol. 1: its beginning. 2: the beginning of a name. 3: beginnings of words. 4: parts of words.
    """
    if texts.symbol.startswith(wanted):
        return _EXACT if texts.symbol == wanted or not wanted else _BEGINS
    words = wanted.split()
    for word in words:  # not `all`: of most symbols the first word decides
        if word not in texts.all:
            return None
    if f"{_BETWEEN}{wanted}" in texts.all:
        return _NAME_BEGINS
    return _WORDS_BEGIN if all(f" {word}" in texts.all for word in words) else _CONTAINS
