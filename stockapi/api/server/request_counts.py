"""The requests of each client within a minute, counted by all processes of one server together.

The counts are in memory that the master makes before it forks, so they outlive a worker that was killed. A lock of the
kernel (`fcntl`, by process) guards them. The kernel gives it back when its holder dies, however it dies; a semaphore in
shared memory would stay taken.
"""

import fcntl
import mmap
import os
import secrets
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final, NamedTuple

WINDOW_NS: Final = 60_000_000_000
_SLOT: Final = struct.Struct("=16sQQ")
_ENTRY: Final = struct.Struct("=QQ")
_TAG_BYTES: Final = 16
_SLOTS_OF_A_SET: Final = 8
_SET_BYTES: Final = _SLOTS_OF_A_SET * _SLOT.size
_SETS: Final = 8_192
_SECRET_BYTES: Final = 32


class Quota(NamedTuple):
    """What a client may still ask.

    `left`: requests in this window, after this one. `ends_in_ns`: until the next window.
    `is_exceeded`: this request is one too many.
    """

    left: int
    ends_in_ns: int
    is_exceeded: bool


class RequestCounts:
    """Counts for 65,536 clients at a time, in 2 MiB. Make it before the fork.

    A window is a minute long. It begins with the first request of a client, so each client has its own. Times are those
    of `time.monotonic_ns`, which is the same in all processes and does not follow the clock when that is set.

    Eight clients share a place. If a ninth comes within a minute, the one with the fewest requests is forgotten.
    """

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("stockapi-requests")
        os.ftruncate(self._descriptor, _SETS * _SET_BYTES)
        self._memory = mmap.mmap(self._descriptor, _SETS * _SET_BYTES)
        # Who knew where a client is counted could push it out on purpose.
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._lock = threading.Lock()

    def take(self, client: bytes, limit: int, now_ns: int) -> Quota:
        """Count a request, unless the client has had `limit` of them in its window.

        :param client: any bytes that name it.
        """
        tag = blake2b(client, digest_size=_TAG_BYTES, key=self._secret).digest()
        start = int.from_bytes(tag[:4], "little") % _SETS * _SET_BYTES
        with self._locked(start):
            offset, ends_ns, count = self._slot(start, tag, now_ns)
            if count < limit:
                _ENTRY.pack_into(self._memory, offset + _TAG_BYTES, ends_ns, count + 1)
            return Quota(max(0, limit - count - 1), ends_ns - now_ns, count >= limit)

    def _slot(self, start: int, tag: bytes, now_ns: int) -> tuple[int, int, int]:
        """Where the client is counted, when its window ends, and the count so far. A new client gets a slot."""
        chosen, lowest = start, 1 << 64
        for index, (owner, ends_ns, count) in enumerate(_SLOT.iter_unpack(self._memory[start : start + _SET_BYTES])):
            is_over = ends_ns <= now_ns
            if owner == tag and not is_over:
                return start + index * _SLOT.size, ends_ns, count
            rank = 0 if is_over else count + 1
            if rank < lowest:
                chosen, lowest = start + index * _SLOT.size, rank
        # In this order, a process that is killed in between leaves no count of one client to another.
        _ENTRY.pack_into(self._memory, chosen + _TAG_BYTES, 0, 0)
        self._memory[chosen : chosen + _TAG_BYTES] = tag
        return chosen, now_ns + WINDOW_NS, 0

    @contextmanager
    def _locked(self, start: int) -> Iterator[None]:
        """Alone with a set, among the threads of this process and among all processes."""
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _SET_BYTES, start)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _SET_BYTES, start)


_shared: list[RequestCounts] = []


def share() -> None:
    """Make the counts that all processes of this server use. The master calls it; after a reload they go on."""
    if not _shared:
        _shared.append(RequestCounts())


def request_counts() -> RequestCounts:
    """Those of the server; outside of a server new ones."""
    return _shared[0] if _shared else RequestCounts()
