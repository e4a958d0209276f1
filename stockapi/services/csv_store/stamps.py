"""Stamps: the texts in the ledger that tell the states of a CSV file apart."""

import re
from typing import Final

_STAMP: Final = re.compile(r"[0-9]+:[0-9]+:(?P<changed_ns>[0-9]{1,20})(?::|$)", re.ASCII)


def is_older(stamp: str, other: str) -> bool:
    """Whether `stamp` is of an earlier write than `other`. False when one of them is not a stamp."""
    return 0 <= changed_ns(stamp) < changed_ns(other)


def changed_ns(stamp: str) -> int:
    """When the file was changed, in nanoseconds; -1 when this is not a stamp."""
    match = _STAMP.match(stamp)
    return -1 if match is None else int(match["changed_ns"])
