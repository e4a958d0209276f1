"""What the answer to one request may take: time and rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

from stockapi.errors import DeadlineError, TooManyRowsError

_T = TypeVar("_T")


@dataclass(slots=True)
class RowBudget:
    """The budget of one answer, however many queries it takes. `spent`: the rows of those that are done."""

    limit: int
    spent: int = 0

    def require(self, rows: int) -> None:
        """:raises TooManyRowsError: when the answer cannot have `rows` rows more."""
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
    """Deadline and row budget of one request. Made once, when it begins, and given to all that works for it.

    `deadline`: seconds of `clock`, which is `time.monotonic` wherever SQLite is asked.
    """

    deadline: float
    row_budget: RowBudget
    clock: Callable[[], float]

    @classmethod
    def begin(cls, deadline_ms: int, max_rows: int, clock: Callable[[], float]) -> Self:
        """Those of a request that begins now."""
        return cls(clock() + deadline_ms / 1000, RowBudget(max_rows), clock)

    @property
    def seconds_left(self) -> float:
        """0 after the deadline."""
        return max(0.0, self.deadline - self.clock())

    def check(self, work: str) -> None:
        """To be called between steps of work that SQLite does not see.

        :param work: what is being done, for the operator.
        :raises DeadlineError: after the deadline.
        """
        if self.clock() > self.deadline:
            raise _stopped(work)

    def within(self, items: Iterable[_T], work: str) -> Iterator[_T]:
        """The items, as long as they come in time.

        :raises DeadlineError: in place of the first that comes after the deadline.
        """
        clock, deadline = self.clock, self.deadline
        for item in items:  # as `check`, at a third of its cost: small answers have many pieces
            if clock() > deadline:
                raise _stopped(work)
            yield item


def _stopped(work: str) -> DeadlineError:
    return DeadlineError(f"{work} was stopped at the deadline")
