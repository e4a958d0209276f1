"""The limits of the answer to one request: time and rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

from stockapi.errors import DeadlineError, TooManyRowsError

_T = TypeVar("_T")


@dataclass(slots=True)
class RowBudget:
    """The row budget of one answer. All its queries share it. `spent`: the rows of the queries that are done."""

    limit: int
    spent: int = 0

    def require(self, rows: int) -> None:
        """:raises TooManyRowsError: when the answer cannot have `rows` more rows."""
        if self.spent + rows > self.limit:
            raise TooManyRowsError(
                f"the answer would have more than {self.limit} rows; "
                "ask for fewer symbols, a shorter start_date..end_date, a smaller limit or a longer interval"
            )

    def spend(self, rows: int) -> None:
        """:raises TooManyRowsError: as `require`."""
        self.require(rows)
        self.spent += rows


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadline and row budget of one request. They are made once, when it begins, and passed to all its work.

    `deadline`: in seconds of `clock`. For SQLite, `clock` must be `time.monotonic`.
    """

    deadline: float
    row_budget: RowBudget
    clock: Callable[[], float]

    @classmethod
    def begin(cls, deadline_ms: int, max_rows: int, clock: Callable[[], float]) -> Self:
        """The limits of a request that begins now."""
        return cls(clock() + deadline_ms / 1000, RowBudget(max_rows), clock)

    @property
    def seconds_left(self) -> float:
        """0 after the deadline."""
        return max(0.0, self.deadline - self.clock())

    def check(self, work: str) -> None:
        """Call it between steps of work outside of SQLite.

        :param work: the name of the work, for the text of the error.
        :raises DeadlineError: after the deadline.
        """
        if self.clock() > self.deadline:
            raise _stopped(work)

    def within(self, items: Iterable[_T], work: str) -> Iterator[_T]:
        """The same items, one by one, until the deadline.

        :raises DeadlineError: instead of the first item after the deadline.
        """
        clock, deadline = self.clock, self.deadline
        for item in items:  # as `check`, at a third of its cost: small answers have many pieces
            if clock() > deadline:
                raise _stopped(work)
            yield item


def _stopped(work: str) -> DeadlineError:
    return DeadlineError(f"{work} was stopped at the deadline")
