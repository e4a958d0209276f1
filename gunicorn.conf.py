"""How `gunicorn app:app` serves: WEB_CONCURRENCY processes of GUNICORN_THREADS threads each.

Read by the master process. What this file imports the workers inherit, so new code needs a restart, not a reload.
"""

import ctypes
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from stockapi.api.server import listening
from stockapi.api.server.metrics_files import forget_worker, metrics_directory
from stockapi.api.server.worker import ApiWorker, LineLogger
from stockapi.config import Settings
from stockapi.errors import ConfigError
from stockapi.markets import cache_max_age_s
from stockapi.markets.tickers import groups_for

try:
    _settings = Settings.load()
    # A list that a setting names must stop the start here: a worker that fails is only started again, for ever.
    for _mode in _settings.markets:
        groups_for(_mode, _settings)
except ConfigError as exc:
    sys.exit(f"stockapi: {exc}")

# The calendar of public holidays takes 70 ms to load: once, here, and not in the first request of each process.
cache_max_age_s(datetime.now(UTC), _settings.markets)

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.web_concurrency
threads = _settings.gunicorn_threads
worker_class = ApiWorker  # gthread; what is different stands there

# Each worker loads the application itself, after the fork: a SQLite connection that crosses a fork loses writes.
preload_app = False

# gunicorn's most; the default of 4,094 bytes ends at some 340 repeated `symbol=`.
limit_request_line = 8_190

# From loopback gunicorn believes headers that name other paths than the request's (SCRIPT_NAME, PATH_INFO). The
# application has no use for any that a proxy adds.
forwarded_allow_ips = ""

# A stopping worker finishes what it has begun. The longest query is over after QUERY_DEADLINE_MS.
graceful_timeout = 30
# A worker whose main loop has not been seen for so long is killed; requests run in other threads and do not count.
timeout = 30
# Longer than the gap between a dashboard's polls of a few seconds, so that connections are reused. Also how long the
# head of a request may take to arrive.
keepalive = 5

# A large answer takes memory in whichever thread builds it, and glibc keeps what each has taken in an arena of its own.
# Two arenas for the threads of a process took 259 MiB where one for each took 296. The workers inherit it.
_M_ARENA_MAX = -8  # of malloc.h
_libc = ctypes.CDLL(None)
if hasattr(_libc, "mallopt"):  # musl has no arenas
    _libc.mallopt(_M_ARENA_MAX, 2)

# The heartbeat file is touched every second; on a disk that would wait whenever the disk does.
_IN_MEMORY = "/dev/shm"  # noqa: S108  (the directory, not a file in it)
worker_tmp_dir = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK | os.X_OK) else None
if worker_tmp_dir is None and Path(_IN_MEMORY).is_dir():
    sys.stderr.write(f"stockapi: {_IN_MEMORY} cannot be written; heartbeats go to the disk, into TMPDIR or /tmp\n")

# Where the processes count together what /metrics answers; in memory for the same reason.
_metrics_directory = metrics_directory(worker_tmp_dir)
raw_env = [f"PROMETHEUS_MULTIPROC_DIR={_metrics_directory}"]

# A socket in the home directory through which anyone of this account could steer the server, and which two
# services of one account would fight over.
control_socket_disable = True

# A proxy in front has the access log; the application logs a line per answer of its own.
accesslog = None
errorlog = "-"
loglevel = _settings.log_level
logger_class = LineLogger


on_starting = listening.on_starting


def child_exit(_server: object, worker: ApiWorker) -> None:
    """Called in the master when a worker has ended, however it did."""
    forget_worker(_metrics_directory, worker.pid)
    worker.connection_counts.forget(worker.age)
