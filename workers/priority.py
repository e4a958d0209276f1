"""Whose turn it is when requests and writing both want the processor."""

import logging
import os
from pathlib import Path
from typing import Final

from stockapi.logs import key_values

log = logging.getLogger(__name__)

NICENESS: Final = 10
"""Added to what the process was started with: a tenth of the share of an equal, and never nothing at all."""

_SESSION_NICENESS: Final = Path("/proc/self/autogroup")


def yield_to_readers() -> None:
    """Lower the priority of this process, and by that of every thread it starts: a reader's request comes first.

    A cycle has a minute. With a busy web process on each of two cores, an equal would take a third of both.
    """
    niceness = os.nice(NICENESS)
    if os.getsid(0) == os.getpid() and _SESSION_NICENESS.exists():
        # Linux divides the processor among sessions first, and among the processes of each by `nice`. Service managers
        # give each service a session of its own: two busy ones had equal shares whatever their `nice`, and 9 to 1 with
        # this. A session of others is left as it is.
        try:
            _SESSION_NICENESS.write_text(str(niceness))
        except OSError as exc:
            log.warning(key_values(event="session_priority_unchanged", error=exc.strerror))
