"""A fingerprint of bars. A change of some bars updates it without reading the others.

The digest of a series is the sum, modulo 2^64, of a 64-bit hash of each bar. So the order of the bars does not matter.
To replace bars, subtract the hashes of the old bars and add the hashes of the new ones. The digest finds accidental
differences; it does not protect against an attacker.
"""

import numpy as np
from numpy.typing import NDArray

from stockapi.models.bars import Bars

_MASK = (1 << 64) - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def digest(bars: Bars) -> int:
    """The digest of these bars; 0 for no bars."""
    return int(hashes(bars).sum(dtype=np.uint64))


def hashes(bars: Bars) -> NDArray[np.uint64]:
    """The hash of each bar. All absent indicators have the same hash, whatever bits their NaN has."""
    state = np.zeros(len(bars), dtype=np.uint64)
    for column in _columns(bars):
        state = _mix(state + _GOLDEN ^ column)
    return state


def replaced(total: int, old: int, new: int) -> int:
    """The digest `total` of a series, after bars with the digest `old` are replaced by bars with the digest `new`."""
    return (total - old + new) & _MASK


def to_text(value: int) -> str:
    return f"{value:016x}"


def _columns(bars: Bars) -> list[NDArray[np.uint64]]:
    volume = bars.volume.astype(np.int64, copy=False) if bars.volume.dtype.kind == "i" else bars.volume + 0.0
    indicators = np.where(np.isnan(bars.indicators), np.nan, bars.indicators + 0.0)
    floats = [*(bars.prices + 0.0), *indicators]
    return [np.ascontiguousarray(column).view(np.uint64) for column in (bars.time, volume, *floats)]


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every input bit changes every output bit."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))
