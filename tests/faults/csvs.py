"""What others do to the CSV files while clients read and a worker writes."""

import random
from collections.abc import Callable
from pathlib import Path

from stockapi.errors import LayoutError
from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from tests.faults.market import Series, not_as_in
from tests.faults.outcome import Outcome
from tests.faults.rig import Rig, wait_until

SERIES: list[Series] = [("AAA", Interval.DAILY), ("BBB", Interval.HOURLY), ("AAA", Interval.MINUTE)]


def tampered(rig: Rig, name: str, times: int = 1) -> Outcome:
    """One of FAULTS, done to a file of one interval after the other.

    Clients do not insist on CSV meanwhile: who does reads what somebody else has left there.
    """
    outcome = Outcome(f"CSV: {name}")
    rig.clients.from_csv = 0.0
    for number in range(times):
        series = SERIES[number % len(SERIES)]
        rig.writer.wait_for_cycle()  # now it pauses: whoever edits a file while it is written gets what he deserves
        FAULTS[name](rig.settings.market_data_dir / series[0] / f"{series[1].value}.csv")
        version = rig.writer.in_csv[series]
        outcome.injected += 1
        outcome.repaired_in(
            wait_until(lambda series=series, version=version: _is_whole(rig, series, version), "repair")
        )
    return rig.check(outcome)


def _is_whole(rig: Rig, series: Series, version: int) -> bool:
    with rig.stores() as stores:
        try:
            parsed = stores.csv_store.read(SeriesKey(Mode.VN, *series))
        except LayoutError:
            return False
    return not parsed.damaged and not not_as_in(rig.truth, series, parsed.bars, version)


def _tear(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3 + 7])


def _delete(path: Path) -> None:
    path.unlink()


def _edit(path: Path) -> None:
    """As a spreadsheet saves it: other line ends, in another order, and a line that is none of ours."""
    head, *lines = path.read_text(encoding="ascii").splitlines()
    random.Random(len(lines)).shuffle(lines)
    path.write_bytes("\r\n".join([head, *lines, "checked by,me,,,"]).encode())


def _overwrite(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(10_000))


FAULTS: dict[str, Callable[[Path], None]] = {
    "torn": _tear,
    "deleted": _delete,
    "edited by hand": _edit,
    "garbage": _overwrite,
}
