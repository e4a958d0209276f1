"""Settings of `gunicorn app:app`: WEB_CONCURRENCY processes with GUNICORN_THREADS threads each.

The master process reads this file. The workers inherit its imports, so new code needs a restart, not a reload.
"""

import ctypes
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stockapi.api.http import access
from stockapi.api.server import listening, request_counts, stop_signals
from stockapi.api.server.forking import try_again_when_refused
from stockapi.api.server.metrics_files import count_without_room, forget_workers, metrics_directory
from stockapi.api.server.worker import ApiWorker, LineLogger
from stockapi.config import Settings, keep_script_name_from_server
from stockapi.errors import ConfigError
from stockapi.markets import cache_max_age_s
from stockapi.markets.tickers import groups_for

try:
    _settings = Settings.load()
    # A bad list of tickers or file of keys must stop the start here. If a worker failed, gunicorn would start it again
    # and again.
    for _mode in _settings.markets:
        groups_for(_mode, _settings)
    access.key_files(_settings)
except ConfigError as exc:
    sys.exit(f"stockapi: {exc}")

# Loading the calendar of public holidays takes 70 ms. It is loaded here, not in the first request of each process.
cache_max_age_s(datetime.now(UTC), _settings.markets)

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.web_concurrency
threads = _settings.gunicorn_threads
worker_class = ApiWorker  # gthread, with the differences that this class explains

# Each worker loads the application itself, after the fork: a SQLite connection that is used after a fork loses writes.
preload_app = False

# gunicorn's maximum. The default of 4,094 bytes allows only about 340 repeated `symbol=`.
limit_request_line = 8_190

# From loopback, gunicorn would trust headers that change the path of the request (SCRIPT_NAME, PATH_INFO). The
# application itself reads the only header of a proxy that it may need, and only when a setting says so.
forwarded_allow_ips = ""

# A worker that stops finishes its requests. The longest query ends after QUERY_DEADLINE_MS.
graceful_timeout = 30
# A worker is killed when its main loop does not run for this time. Requests run in other threads and do not count.
timeout = 30
# Longer than the few seconds between two polls of a dashboard, so that connections are reused. It is also the time that
# the head of a request may take to arrive.
keepalive = 5

# A large answer takes memory in the thread that builds it, and glibc keeps it in an arena of this thread. Two arenas
# for all threads of a process took 259 MiB; one arena for each took 296 MiB. The workers inherit the setting.
_M_ARENA_MAX = -8  # of malloc.h
_libc = ctypes.CDLL(None)
if hasattr(_libc, "mallopt"):  # musl has no arenas
    _libc.mallopt(_M_ARENA_MAX, 2)

# The processes count the requests of each client together. The memory for it must be there before the first fork.
if access.Protection.of(_settings).is_limited:
    request_counts.share()

# The heartbeat file is touched every second. On a slow disk that would make the worker wait.
_IN_MEMORY = "/dev/shm"  # noqa: S108  (the directory, not a file in it)
worker_tmp_dir = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK | os.X_OK) else None

# The processes count together in this directory for /metrics. It is in memory for the same reason.
try:
    _metrics_directory = metrics_directory(worker_tmp_dir)
except OSError:  # no room for one more directory: then not for heartbeats either
    worker_tmp_dir = None
    _metrics_directory = metrics_directory(worker_tmp_dir)
if worker_tmp_dir is None and Path(_IN_MEMORY).is_dir():
    sys.stderr.write(f"stockapi: {_IN_MEMORY} cannot be written; heartbeats go to the disk, into TMPDIR or /tmp\n")
raw_env = [f"PROMETHEUS_MULTIPROC_DIR={_metrics_directory}"]

# gunicorn would create a control socket in the home directory. Every program of this account could control the server
# with it, and two services of one account would use the same socket.
control_socket_disable = True

# The proxy in front writes the access log. The application logs its own line for each answer.
accesslog = None
errorlog = "-"
loglevel = _settings.log_level
logger_class = LineLogger


def on_starting(server: Any) -> None:
    """gunicorn calls it in the master, once."""
    try_again_when_refused(server)
    listening.on_starting(server)


stop_signals.hold_while_forking()


def pre_exec(_server: object) -> None:
    """gunicorn calls it in the process that becomes a new master (SIGUSR2). A mask of signals survives the exec."""
    stop_signals.receive()


def post_fork(_server: object, _worker: ApiWorker) -> None:
    """gunicorn calls it in each worker before it loads the application."""
    count_without_room(_metrics_directory)


def post_worker_init(_worker: ApiWorker) -> None:
    """gunicorn calls it in each worker when the application is loaded, with its settings."""
    keep_script_name_from_server()


def child_exit(server: Any, worker: ApiWorker) -> None:
    """gunicorn calls it in the master when a worker has ended, for any reason."""
    forget_workers(_metrics_directory, server.WORKERS)
    worker.connection_counts.forget(worker.age)
