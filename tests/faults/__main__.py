"""`python -m tests.faults`: do to real processes everything docs/reliability.md speaks of, and print what came of it.

Without names all scenarios run but the soak, which `--minutes` adds. Exits 1 when a promise was not kept, or when one
was kept although its guard had been taken away.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults import (
    behind,
    copies,
    crash,
    csvs,
    damage,
    databases,
    disk,
    failing,
    failing_calls,
    frozen,
    kills,
    operations,
    power,
    sabotage,
    soak,
    sources,
    systems,
)
from tests.faults.outcome import Outcome, save, table
from tests.faults.rig import running

SEED = 1
KILLS, CUTS, FLIPS, TIMES = 300, 20, 200, 3
CONTROL_KILLS, CONTROL_CRASHES = 20, 200
"""On a busy machine a writer may be killed a hundred times before it is hit in the middle of a write."""
COPIES = 20
FAILING_CALLS, FAILING_CALLS_THEN_KILLED = 8, 12
CALLS, WRITES = 100, 6
"""At most so many kills of one operation: at its calls that change files, and at its writes."""


def main() -> None:
    arguments = _arguments()
    names = arguments.names or [name for name in SCENARIOS if name != "soak" or arguments.minutes]
    outcomes = []
    logging.getLogger().addHandler(logging.NullHandler())  # what is spoilt here on purpose need not be told
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            for outcome in SCENARIOS[name](Path(directory) / name, arguments):
                outcomes.append(outcome)
                print(outcome.row(), flush=True)
                for line in [*outcome.broken, *outcome.examples[: 0 if outcome.is_control else 5]]:
                    print(f"    {line}", file=sys.stderr, flush=True)
    text = table(outcomes)
    print(f"\n{text}")
    if arguments.write:
        save(text)
    failed = [outcome.fault for outcome in outcomes if outcome.is_whole == outcome.is_control]
    if failed:
        sys.exit(f"faults: not as promised: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", type=_name, help="some of: " + ", ".join(SCENARIOS))
    parser.add_argument("--kills", type=int, default=KILLS, help=f"of the writer (default {KILLS})")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"at most, to kill an operation at (default {CALLS})")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long to soak")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    arguments = parser.parse_args()
    if arguments.write and arguments.names:
        parser.error("--write takes a run of everything")
    if "soak" in arguments.names and not arguments.minutes:
        parser.error("soak takes --minutes")
    return arguments


def _name(text: str) -> str:
    if text not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: {', '.join(SCENARIOS)}")
    return text


Scenario = Callable[[Path, argparse.Namespace], Iterator[Outcome]]


def _crash(directory: Path, arguments: argparse.Namespace) -> Iterator[Outcome]:
    yield crash.crash(directory / "whole", arguments.kills, seed=SEED)
    for guard in ("journal", "reconciling"):
        yield crash.crash(directory / guard, CONTROL_CRASHES, seed=SEED, without=guard)


def _failing(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    if not _can(failing_calls.why_not()):
        return
    for kind in failing.KINDS:
        yield failing.failing(directory / kind, kind, FAILING_CALLS, seed=SEED)
        then_killed = directory / f"{kind}-then-killed"
        yield failing.failing(then_killed, kind, FAILING_CALLS_THEN_KILLED, seed=SEED, killed=True)
    guard = "rest of short writes"
    yield failing.failing(directory / "without", "write", 3, seed=SEED, without=guard)


def _kills(directory: Path, arguments: argparse.Namespace) -> Iterator[Outcome]:
    if not _can(failing_calls.why_not()):
        return
    for name in operations.OPERATIONS:
        yield kills.at_each_call(directory / name, name, arguments.calls, WRITES)
    for name, guard in (("save", "journal"), ("delete", "change file")):
        yield kills.at_each_call(directory / f"{name}-without", name, CONTROL_KILLS, WRITES, without=guard)


def _power(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    if _can(power.why_not()):
        for guard in (None, "fsync", "directory fsync"):
            yield power.power_cut(directory / str(guard), CUTS, seed=SEED, without=guard)


def _disk(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    if _can(disk.why_not()):
        for place in disk.PLACES:
            yield disk.disk_full(directory / place, place)


def _damage(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    yield damage.byte_flips(directory, FLIPS, seed=SEED)


def _stores(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    yield databases.without_fallback(directory / "without")
    with running(directory / "whole", *databases.ARGUMENTS, variables=databases.VARIABLES) as rig:
        rig.writer.keep_alive = True
        rig.clients.start()
        for name in databases.LASTING:
            yield databases.lasting(rig, name, TIMES)
            rig.resume()
        for name in databases.PASSING:
            yield databases.passing(rig, name, TIMES)
            rig.resume()
        for name in csvs.FAULTS:
            yield csvs.tampered(rig, name, TIMES)
            rig.resume()


def _source(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    with sources.chain(directory) as chain:
        for kind, kinds in sources.KINDS.items():
            yield sources.source(chain, kind, kinds)
        yield sources.stopped_mid_download(chain)


def _system(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    for scenario in (systems.read_only, systems.second_worker, systems.clock_moved):
        yield scenario(directory / scenario.__name__)


def _behind(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    for number, name in enumerate(behind.OBSTACLES):
        yield behind.behind(directory / str(number), name)
    for number, (name, guard) in enumerate(behind.CONTROLS):
        yield behind.behind(directory / f"without-{number}", name, without=guard)


def _frozen(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    for number, name in enumerate(frozen.CHANGES):
        yield frozen.changed(directory / str(number), name)
    yield frozen.changed(directory / "without", frozen.CONTROL, without="comparison")
    yield frozen.two_threads(directory / "threads")
    yield frozen.two_threads(directory / "threads-without", without="lock")


def _sabotage(directory: Path, _arguments: argparse.Namespace) -> Iterator[Outcome]:
    for guard in (None, "proof"):
        yield copies.copied(directory / f"copies-{guard}", COPIES, seed=SEED, without=guard)
    for guard in (None, "lock check"):
        yield sabotage.lock_removed(directory / f"lock-{guard}", without=guard)
    for guard in (None, "regular files"):
        yield sabotage.pipe(directory / f"pipe-{guard}", without=guard)
    for number, sides in enumerate((("-shm",), ("-wal",), ("-wal", "-shm"))):
        yield sabotage.sides_removed(directory / f"sides-{number}", sides)
    yield sabotage.sides_removed(directory / "sides-without", ("-shm",), without="sides")
    if _can(sabotage.why_no_memory()):
        for guard in (None, "room for counts"):
            yield sabotage.memory_full(directory / f"memory-{guard}", without=guard)


def _soak(directory: Path, arguments: argparse.Namespace) -> Iterator[Outcome]:
    yield soak.soak(directory, arguments.minutes, seed=SEED)


def _can(obstacle: str | None) -> bool:
    if obstacle is not None:
        print(f"left out: {obstacle}", file=sys.stderr)
    return obstacle is None


SCENARIOS: dict[str, Scenario] = {
    "crash": _crash,
    "failing": _failing,
    "kills": _kills,
    "power": _power,
    "disk": _disk,
    "damage": _damage,
    "stores": _stores,
    "source": _source,
    "system": _system,
    "behind": _behind,
    "frozen": _frozen,
    "sabotage": _sabotage,
    "soak": _soak,
}


if __name__ == "__main__":
    main()
