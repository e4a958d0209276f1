"""Requests have priority over writing when both need the processor."""

import logging
import os
from pathlib import Path
from typing import Final

from stockapi.logs import key_values

log = logging.getLogger(__name__)

NICENESS: Final = 10
"""Added to the niceness of the process. The process then gets a tenth of a normal one's time, and never nothing."""

_SESSION_NICENESS: Final = Path("/proc/self/autogroup")


def yield_to_readers() -> None:
    """Lower the priority of this process, and so of every thread that it starts.

    A cycle may take a minute. If a web process is busy on each of two cores, a normal process would take a third of
    both.
    """
    niceness = os.nice(NICENESS)
    if os.getsid(0) == os.getpid() and _SESSION_NICENESS.exists():
        # Linux divides the processor among sessions first; `nice` counts only inside a session. Service managers give
        # each service its own session. Two busy sessions had equal shares at any `nice`, and 9 to 1 with this setting.
        # It is not changed if the session belongs to another process.
        try:
            _SESSION_NICENESS.write_text(str(niceness))
        except OSError as exc:
            log.warning(key_values(event="session_priority_unchanged", error=exc.strerror))
