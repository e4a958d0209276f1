"""What a scenario saw, and the table of all of them."""

import os
import platform
import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

REPORT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: faults -->\n", "<!-- end: faults -->"
COLUMNS = (
    "fault",
    "times",
    "answers checked",
    "wrong",
    "bars lost",
    "seconds to repair",
    "oldest answer, s",
    "what clients saw",
)


@dataclass(slots=True)
class Outcome:
    """`wrong`: answers that equal no version the source has given. `lost`: acknowledged bars that a store has not, or
    not as they were, after the repair. `seconds_to_repair`: the longest. `statuses`, `sources`: of the answers; 0 is no
    answer at all.

    `old`: answers that were right, but of an older version than one already acknowledged in either store. `oldest_s`:
    for how long a newer version had been acknowledged when such an answer was asked for, at most; None without clients.
    `divergent`: series in which the two stores differ after the repair. `restarts`: times the writer died by itself.
    """

    fault: str
    injected: int = 0
    answers: int = 0
    wrong: int = 0
    old: int = 0
    lost: int = 0
    divergent: int = 0
    restarts: int = 0
    seconds_to_repair: float = 0.0
    oldest_s: float | None = None
    statuses: Counter[int] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Promises of this scenario alone that were not kept."""
    is_control: bool = False
    """A guard was taken away: something has to go wrong."""
    examples: list[str] = field(default_factory=list)
    """Of what was wrong, for whoever has to find out why."""

    def repaired_in(self, seconds: float) -> None:
        self.seconds_to_repair = max(self.seconds_to_repair, seconds)

    def answered_with(self, age_s: float) -> None:
        """An answer to a client was so old; 0 for one that had all that was acknowledged."""
        self.old += age_s > 0.0
        self.oldest_s = max(self.oldest_s or 0.0, age_s)

    @property
    def failures(self) -> int:
        """Answers of 500 and above, and none at all."""
        return sum(count for status, count in self.statuses.items() if status >= 500 or status == 0)

    @property
    def is_whole(self) -> bool:
        """No wrong or old answer, no bar lost, both stores the same, and what else the scenario promises."""
        return not (self.wrong or self.old or self.lost or self.divergent or self.broken)

    def row(self) -> str:
        repaired = f"{self.seconds_to_repair:.1f}" if self.seconds_to_repair else "-"
        cells = (self.fault, f"{self.injected:,}", f"{self.answers:,}", f"{self.wrong:,}", f"{self.lost:,}", repaired)
        oldest = "-" if self.oldest_s is None else f"{self.oldest_s:.1f}"
        return "| " + " | ".join([*cells, oldest, self.seen()]) + " |"

    def seen(self) -> str:
        counts = [f"{status or 'no answer'}: {count:,}" for status, count in sorted(self.statuses.items())]
        counts += [f"{source}: {count:,}" for source, count in sorted(self.sources.items())]
        return "; ".join([", ".join(counts), *self.notes, *(self.broken[:1] if self.is_control else [])]).lstrip("; ")


def table(outcomes: Sequence[Outcome]) -> str:
    heading = f"{datetime.now(UTC):%Y-%m-%d}, {machine()}."
    rule = "|---|" + "---:|" * (len(COLUMNS) - 2) + "---|"
    lines = ["| " + " | ".join(COLUMNS) + " |", rule, *(outcome.row() for outcome in outcomes)]
    return "\n".join([heading, "", *lines, ""])


def save(text: str, report: Path = REPORT) -> None:
    """Put the table between its marks; what stands around them stays."""
    before, begin, rest = report.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"faults: {report} has no place for the table; it needs the lines\n{BEGIN}{END}")
    report.write_text(before + begin + text + end + after, encoding="utf-8")


def machine() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    model = f" ({found[1]})" if found else ""
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{os.cpu_count()} cores{model}, {platform.system()} {platform.machine()}, {versions}"
