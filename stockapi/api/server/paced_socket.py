"""A connection whose client must read its answers at a minimum rate, because the sending thread waits meanwhile."""

import fcntl
import math
import select
import socket
import struct
import termios
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LEAST_BYTES_PER_S: Final = 50_000
"""0.4 Mbit/s, the rate of a poor mobile connection. A proxy in front reads answers a thousand times faster."""

PATIENCE_S: Final = 30.0
"""The seconds that a client may fall behind this rate, in one pause or in several. A faster client makes up for it."""

_CHECK_EVERY_S: Final = 1.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""C's struct linger. Without it, the kernel would keep up to 4 MB for this client, and send them for minutes."""


class SlowReaderError(TimeoutError):
    """The client reads its answer too slowly. The connection cannot be used any more."""


class PacedSocket(socket.socket):
    """Replaces the socket `plain`. The bytes that the client has acknowledged count, not the bytes in the kernel.

    An answer of N bytes holds its thread for at most PATIENCE_S + N / LEAST_BYTES_PER_S seconds. The same is true of
    all answers of a connection together.
    """

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self._patience_s = PATIENCE_S

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        """Send all bytes. It does not wait if the kernel takes all of them; then it costs no more than the original.

        :raises SlowReaderError: when the client is too far behind; then the connection is closed.
        """
        if self.gettimeout() == 0.0:
            super().sendall(data, flags)
            return
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.send(rest, flags | socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self._wait_for_room()

    def _wait_for_room(self) -> None:
        poller = select.poll()
        poller.register(self, select.POLLOUT)
        queued, has_room = self._queued_bytes(), False
        while not has_room:
            started = time.monotonic()
            has_room = bool(poller.poll(math.ceil(min(_CHECK_EVERY_S, self._patience_s) * 1000)))
            left = self._queued_bytes()
            self._patience_s += (queued - left) / LEAST_BYTES_PER_S - (time.monotonic() - started)
            self._patience_s = min(self._patience_s, PATIENCE_S)
            queued = left
            if self._patience_s <= 0.0:
                self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                self.close()
                raise SlowReaderError("a client reads too slowly; its connection is closed")

    def _queued_bytes(self) -> int:
        """The number of bytes that the client has not acknowledged."""
        (count,) = struct.unpack("i", fcntl.ioctl(self, termios.TIOCOUTQ, bytes(4)))
        return int(count)
