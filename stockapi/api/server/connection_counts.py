"""How many connections each worker process of a server has, where all of them see it."""

import mmap
from typing import Final

_SLOTS: Final = 256
_BYTES: Final = 4


class ConnectionCounts:
    """Made before the fork, and shared after it: each process writes its own number and reads all.

    A process is named by its `age`, gunicorn's running number of workers. One that started 256 others ago and still
    lives has its slot taken over: new connections are then spread less evenly, and nothing else.
    """

    def __init__(self) -> None:
        # One more than there are; 0 for no process. An aligned number of four bytes is written in one go.
        self._counts = memoryview(mmap.mmap(-1, _SLOTS * _BYTES)).cast("i")

    def publish(self, age: int, connections: int) -> None:
        self._counts[age % _SLOTS] = connections + 1

    def forget(self, age: int) -> None:
        """The process has ended."""
        self._counts[age % _SLOTS] = 0

    def lowest(self) -> int:
        """The fewest connections that any process has; 0 when there is none."""
        return min(filter(None, self._counts), default=1) - 1
