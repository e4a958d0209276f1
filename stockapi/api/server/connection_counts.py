"""The number of connections of each worker process, in memory that all of them share."""

import mmap
from typing import Final

_SLOTS: Final = 256
_BYTES: Final = 4


class ConnectionCounts:
    """It is made before the fork and shared after it. Each process writes its own number, and reads all numbers.

    `age` names a process: gunicorn numbers its workers. If a worker still lives when 256 others have started after it,
    they share a slot. Then new connections are distributed less evenly, and nothing else happens.
    """

    def __init__(self) -> None:
        # The number of connections plus 1; 0 for no process. An aligned number of four bytes is written atomically.
        self._counts = memoryview(mmap.mmap(-1, _SLOTS * _BYTES)).cast("i")

    def publish(self, age: int, connections: int) -> None:
        self._counts[age % _SLOTS] = connections + 1

    def forget(self, age: int) -> None:
        """Call it when the process has ended."""
        self._counts[age % _SLOTS] = 0

    def lowest(self) -> int:
        """The smallest number of connections of any process; 0 when there is no process."""
        return min(filter(None, self._counts), default=1) - 1
