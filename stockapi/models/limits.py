"""The limits of the answer to one request: time, rows, and whether anybody still wants it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

from stockapi.errors import AbandonedError, DeadlineError, TooManyRowsError

_T = TypeVar("_T")


def _never() -> bool:
    return False


def _whatever(_rows: int) -> None:
    pass


@dataclass(slots=True)
class RowBudget:
    """The row budget of one answer. All its queries share it. `spent`: the rows of the queries that are done.

    `is_for_reading`: what counts are the bars that are read, with the earlier ones that indicators need.
    """

    limit: int
    spent: int = 0
    is_for_reading: bool = False

    def require(self, rows: int) -> None:
        """:raises TooManyRowsError: when the answer cannot have `rows` more rows."""
        if self.spent + rows > self.limit:
            needs = "indicators of the answer need earlier bars, in all" if self.is_for_reading else "answer would have"
            raise TooManyRowsError(
                f"the {needs} more than {self.limit} rows; "
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
    `has_gone`: whether the client no longer waits for the answer.
    `admit`: call it before work that costs as much as reading so many rows, and that the parameters of the request do
        not show. It may wait, or raise OverloadedError.
    """

    deadline: float
    row_budget: RowBudget
    clock: Callable[[], float]
    has_gone: Callable[[], bool] = _never
    admit: Callable[[int], None] = _whatever

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
        :raises AbandonedError: when the client has gone.
        """
        if self.clock() > self.deadline:
            raise _stopped(work)
        if self.has_gone():
            raise _abandoned(work)

    def within(self, items: Iterable[_T], work: str) -> Iterator[_T]:
        """The same items, one by one, until the deadline.

        :raises DeadlineError, AbandonedError: instead of the first item after the deadline, or after the client.
        """
        clock, deadline, has_gone = self.clock, self.deadline, self.has_gone
        for item in items:  # as `check`, at a third of its cost: small answers have many pieces
            if clock() > deadline:
                raise _stopped(work)
            if has_gone():
                raise _abandoned(work)
            yield item


def _abandoned(work: str) -> AbandonedError:
    return AbandonedError(f"{work} was stopped: the client has gone")


def _stopped(work: str) -> DeadlineError:
    return DeadlineError(f"{work} was stopped at the deadline")
