"""Texts that clients give back as they got them: where the next page begins.

They hold all that is needed, so the server remembers nothing. A checksum finds a text that was changed, or that belongs
to another query or another version of this program. It is not a secret: who makes a text of his own gets an answer that
he could ask for anyway.
"""

import base64
import binascii
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

MOST_CHARACTERS: Final = 160
_VERSION: Final = "1"
_SEPARATOR: Final = "|"
_CHECK_CHARACTERS: Final = 10  # 40 bits


def sealed(fields: Iterable[object], query: str) -> str:
    """The text for these fields, in letters that need no escape in a URL. No field may contain a `|`.

    :param query: what the text belongs to; `opened` must get the same.
    """
    text = _SEPARATOR.join(map(str, fields))
    return base64.urlsafe_b64encode(f"{_check(text, query)}{text}".encode()).decode().rstrip("=")


def opened(text: str, query: str) -> list[str]:
    """The fields of a text that `sealed` made.

    :raises ValueError: for any other text, and for one of another query.
    """
    try:
        held = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except binascii.Error as exc:
        raise ValueError(f"{text!r} is no base64") from exc
    fields = held[_CHECK_CHARACTERS:].split(_SEPARATOR)
    if sealed(fields, query) != text:  # also where the same bytes are written in another way
        raise ValueError(f"{text!r} was not made for this query")
    return fields


def _check(text: str, query: str) -> str:
    return blake2b(f"{_VERSION} {query} {text}".encode(), digest_size=_CHECK_CHARACTERS // 2).hexdigest()
