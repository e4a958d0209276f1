"""Before gunicorn listens, it says at once that an address is taken. By itself it tries for five seconds."""

import sys

from gunicorn import systemd  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from stockapi.errors import ConfigError
from stockapi.services.listening import refuse_what_cannot_be_listened_on


def on_starting(server: Arbiter) -> None:
    """Called in the master, once, and not at a reload.

    :raises SystemExit: with one line, when an address cannot be listened on.
    """
    # A successor inherits the sockets of its master, a service of systemd those of systemd: they are in use, rightly.
    if server.master_pid or systemd.listen_fds(unset_environment=False):
        return
    try:
        for address in server.cfg.address:
            if isinstance(address, tuple):
                refuse_what_cannot_be_listened_on(*address)
    except ConfigError as exc:
        sys.exit(f"stockapi: {exc}")
