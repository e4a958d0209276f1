"""Leave out of an answer the bars that are not known to be closed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stockapi.calc.closing import closed_by
from stockapi.models.bars import Bars
from stockapi.models.interval import AggregatedInterval
from stockapi.models.limits import RowBudget
from stockapi.models.query import QueryParameters


@dataclass(frozen=True, slots=True)
class ClosedBars:
    """What is known of the requested series, read before their bars. Bars that are read later are no less complete.

    `moment`: of the query, in Unix seconds. `recorded`: by ticker, as `Closings.of`.
    """

    params: QueryParameters
    moment: int
    recorded: Mapping[str, int]

    @property
    def to_read(self) -> QueryParameters:
        """One bar more than wanted, since one may be forming: the newest. A later one would have closed it."""
        limit = self.params.limit
        return self.params if limit is None else replace(self.params, limit=limit + 1)

    def budget(self, whole: RowBudget) -> RowBudget:
        """For what is read. It has room for the bars that are not answered: of each ticker one, so at most as many."""
        return replace(whole, limit=2 * whole.limit)

    def of(self, symbol: str, answer: Bars, base: Bars, newest: int | None) -> Bars:
        """The closed ones of `answer`, at most as many as wanted.

        :param base: the stored bars that it was made of, up to the end of the query.
        :param newest: the time of the newest stored bar before `base` was read; None for not known.

        A bar is known to be closed when a later one is stored, or when the newest one was fetched after it closed. A
        longer bar that the end of the query cuts is not closed.
        """
        if not len(base):
            return answer
        known = [self.recorded.get(symbol), newest, int(base.time[-1])]
        until = max(each for each in known if each is not None and each <= self.moment)
        interval, end = self.params.interval, self.params.end
        if isinstance(interval, AggregatedInterval) and end is not None:
            until = min(until, end + 1)
        closed = closed_by(answer, interval, self.params.mode, until)
        return closed if self.params.limit is None else closed.tail(self.params.limit)
