"""The directory in which the processes of one gunicorn count together. gunicorn.conf.py uses it.

The master imports this module. prometheus_client may be imported only after the environment names the directory.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def metrics_directory(parent: str | None) -> Path:
    """A private directory in `parent` (None: the usual one for temporary files). It is removed when this process ends.

    Every load of the configuration gets the same directory, so the counts continue after a reload.
    """
    directory = Path(tempfile.mkdtemp(prefix="stockapi-metrics-", dir=parent))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker inherits this exit handler, and ends earlier
        shutil.rmtree(directory, ignore_errors=True)


def forget_worker(directory: Path, pid: int) -> None:
    """Call it when a worker has ended. Its requests are no longer in progress; its counts stay."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
