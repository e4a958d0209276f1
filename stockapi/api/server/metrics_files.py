"""The directory in which the processes of one gunicorn count together, for its configuration.

The master imports this: prometheus_client may be imported only once the environment names the directory.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def metrics_directory(parent: str | None) -> Path:
    """A new private directory in `parent` (None: the usual one for temporary files), removed when this process ends.

    The same one however often the configuration is loaded: a reload is to go on counting.
    """
    directory = Path(tempfile.mkdtemp(prefix="stockapi-metrics-", dir=parent))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker inherits what is registered here, and ends earlier
        shutil.rmtree(directory, ignore_errors=True)


def forget_worker(directory: Path, pid: int) -> None:
    """A worker has ended: what it was doing is no longer going on; what it has counted still counts."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
