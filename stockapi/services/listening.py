"""Whether a server can listen on an address: asked before it is started, since gunicorn tries for five seconds."""

import errno
import socket
from typing import Final

from stockapi.errors import ConfigError

_WAY_OUT: Final = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port: PORT={other}",
    errno.EACCES: "only root may listen there; choose a port from 1024 on: PORT={other}",
    errno.EADDRNOTAVAIL: "allowed: an address of this machine, or 0.0.0.0 for all of them",
}


def refuse_what_cannot_be_listened_on(host: str, port: int) -> None:
    """:raises ConfigError: when the address cannot be listened on. The text says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As gunicorn does: connections of an earlier process that are closing are not in the way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as exc:
        other = port + 1 if 1_024 <= port < 65_535 else 3_001
        reason = _WAY_OUT.get(exc.errno or 0, "allowed: an address of this machine").format(other=other)
        raise ConfigError(f"HOST={host} PORT={port}: {exc.strerror or exc}; {reason}") from exc
