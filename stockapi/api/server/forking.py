"""Let the master live on when the system gives it no process for a worker."""

import logging
from collections.abc import Callable
from typing import Any

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from stockapi.logs import key_values

logger = logging.getLogger(__name__)


def try_again_when_refused(server: Arbiter) -> None:
    """gunicorn's master ends, with all workers, when it cannot fork: no process left, no memory, no descriptor, no room
    for the file of heartbeats. Here it tries again a second later, and the workers that it has go on.
    """
    server.spawn_worker = _refusable(server.spawn_worker)


def _refusable(spawn: Callable[[], Any]) -> Callable[[], Any]:
    def spawn_or_tell() -> Any:
        try:
            return spawn()  # in the worker itself it does not return
        except OSError as exc:
            logger.error(key_values(event="no_worker_started", error=exc.strerror))
            return None

    return spawn_or_tell
