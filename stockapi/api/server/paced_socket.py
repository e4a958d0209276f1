"""A connection whose client has to take its answers at some least rate: the thread that sends is held meanwhile."""

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
"""0.4 Mbit/s: what a poor mobile connection still gives. A proxy in front takes answers a thousand times faster."""

PATIENCE_S: Final = 30.0
"""How far a client may fall behind that rate, by a pause or bit by bit. It can make up for it."""

_LOOK_EVERY_S: Final = 1.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""C's struct linger. Else the kernel would keep up to 4 MB for this client, and go on sending them, for minutes."""


class SlowReaderError(TimeoutError):
    """The client takes its answer too slowly; the connection is of no use any more."""


class PacedSocket(socket.socket):
    """Takes the place of `plain`. A client is judged by what it has acknowledged, not by what waits in the kernel.

    An answer of N bytes holds its thread for PATIENCE_S + N / LEAST_BYTES_PER_S at most; so do all the answers of a
    connection together.
    """

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self._patience_s = PATIENCE_S

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        """Without waiting where the kernel takes all of it, which costs no more than the original then.

        :raises SlowReaderError: when the client is too far behind; the connection is closed then.
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
            has_room = bool(poller.poll(math.ceil(min(_LOOK_EVERY_S, self._patience_s) * 1000)))
            left = self._queued_bytes()
            self._patience_s += (queued - left) / LEAST_BYTES_PER_S - (time.monotonic() - started)
            self._patience_s = min(self._patience_s, PATIENCE_S)
            queued = left
            if self._patience_s <= 0.0:
                self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                self.close()
                raise SlowReaderError("a client reads too slowly; its connection is closed")

    def _queued_bytes(self) -> int:
        """Those the client has not acknowledged."""
        (count,) = struct.unpack("i", fcntl.ioctl(self, termios.TIOCOUTQ, bytes(4)))
        return int(count)
