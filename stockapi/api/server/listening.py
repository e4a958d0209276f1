"""Check the addresses before gunicorn listens, to report a taken one at once. gunicorn tries for five seconds."""

import sys

from gunicorn import systemd  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from stockapi.errors import ConfigError
from stockapi.services.listening import refuse_what_cannot_be_listened_on


def on_starting(server: Arbiter) -> None:
    """gunicorn calls it in the master, once, and not at a reload.

    :raises SystemExit: with one line, when it cannot listen on an address.
    """
    # After an upgrade the sockets come from the old master, and in a systemd service from systemd. They are in use.
    if server.master_pid or systemd.listen_fds(unset_environment=False):
        return
    try:
        for address in server.cfg.address:
            if isinstance(address, tuple):
                refuse_what_cannot_be_listened_on(*address)
    except ConfigError as exc:
        sys.exit(f"stockapi: {exc}")
