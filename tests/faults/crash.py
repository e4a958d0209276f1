"""`kill -9` of the writer at random instants, hundreds of times."""

import random
import time
from pathlib import Path

from tests.faults.outcome import Outcome
from tests.faults.rig import Rig, running

LIFE_S = 0.25
"""The longest a writer lives: recovery and a few cycles of all series."""
SLOW_MS = 2
"""The instant in the middle of a write in place, stretched so that kills hit it."""


def crash(directory: Path, kills: int, *, seed: int, without: str | None = None) -> Outcome:
    """After each kill both stores must hold what was acknowledged, before anything is downloaded again.

    Clients ask for both stores all the time: no answer may be torn, mixed, or older than what was acknowledged.
    """
    dice = random.Random(seed)
    outcome = Outcome("`kill -9` of the writer" + (f", without {without}" if without else ""), is_control=bool(without))
    guard = ("--without", without) if without else ()
    with running(directory, "--slow-ms", str(SLOW_MS), *guard) as rig:
        rig.clients.start()
        for _ in range(kills):
            if not rig.writer.is_alive():
                rig.writer.go()
            time.sleep(dice.uniform(0.0, LIFE_S))
            rig.writer.kill()
            outcome.injected += 1
            outcome.lost += _lost_now(rig)
            if without and outcome.lost:
                break  # it is shown
        rig.writer.go()
        rig.writer.wait_for_cycle()
        outcome.repaired_in(max(rig.writer.recovered_in[1:]))
        return rig.finish(outcome)


def _lost_now(rig: Rig) -> int:
    with rig.stores() as stores:
        return rig.lost(stores)
