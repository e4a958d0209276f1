"""Keeps the signals that stop a worker from being lost while it is forked."""

import os
import signal
from functools import partial

_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


def hold_while_forking() -> None:
    """Let the kernel keep the stop signals from each fork of this process until the child can answer them.

    A new worker of gunicorn has the handlers of the master until its own are set. They put a signal into a queue that
    nobody reads in the worker. A stop within these milliseconds was forgotten, and the master waited for
    `graceful_timeout`: with four workers, two of three stops during a start took 30 seconds.
    The parent receives signals again after the fork. The child must call `receive`.
    """
    hold = partial(signal.pthread_sigmask, signal.SIG_BLOCK, _STOP_SIGNALS)
    os.register_at_fork(before=hold, after_in_parent=receive)


def receive() -> None:
    """Receive the stop signals from now on, and those that the kernel has kept."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
