"""What the worker leaves of the processor to requests, in a session of its own and in one it shares."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.server import ROOT
from workers.priority import NICENESS

SESSION_NICENESS = Path("/proc/self/autogroup")
YIELD = f"""
import os
from pathlib import Path
from workers.priority import yield_to_readers
yield_to_readers()
print(os.nice(0), Path("{SESSION_NICENESS}").read_text().split()[-1])
"""
ALONE = (sys.executable, "-c", YIELD)
UNDER_A_SHELL = ("/bin/sh", "-c", '"$0" "$@"; exit $?', *ALONE)
"""The shell leads the session, and might start others in it."""


@pytest.mark.skipif(not SESSION_NICENESS.exists(), reason="this kernel does not divide the processor among sessions")
@pytest.mark.parametrize(("command", "is_session_lowered"), [(ALONE, True), (UNDER_A_SHELL, False)])
def test_requests_come_before_writing(command: Sequence[str], is_session_lowered: bool) -> None:
    ended = subprocess.run(
        command, cwd=ROOT, start_new_session=True, check=True, capture_output=True, text=True, timeout=30
    )
    process, session = map(int, ended.stdout.split())
    assert process == min(os.nice(0) + NICENESS, 19)
    assert session == (process if is_session_lowered else 0)
    assert ended.stderr == ""
