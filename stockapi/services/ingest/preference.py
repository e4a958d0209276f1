"""Which source of a market is asked, where the settings name several in order of preference.

The rules, all of them about a market and not about single series:

* A cycle is *bad* when the source turned us away in it, or gave less than half of the series. After three bad cycles in
  a row, of one worker or of all together, the next source is asked: the best that was not given up lately.
* A source that is preferred to the one that is asked is probed three times as often as it would have to answer well to
  return: `SOURCE_RETURN_AFTER_S`. If it answers well during that whole time, it is asked again.
* If it fails within a day after its return, that time doubles, up to a day. So no source is returned to and left again
  and again.

This module decides, and `sources` acts. What is known is kept in `sources.json`, so a restart forgets nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Self

from stockapi.constants import SECONDS_PER_DAY

_BAD_CYCLES: Final = 3
_PROBES: Final = 3
"""How many probes at least tell that a source answers well."""
_RELAPSE_S: Final = SECONDS_PER_DAY
_LONGEST_WAIT_S: Final = SECONDS_PER_DAY

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Preference:
    """What is known of the sources of one market. Times are Unix seconds.

    `sources`: in order of preference. `return_after_s`: the shortest time of good answers before a return.
    `source`: the one that is asked, since `since`, because of `why`; both None when it has been so from the beginning.
    `bad`: by worker, its bad cycles in a row. `bad_in_a_row`: those of all workers.
    `given_up`, `returned_to`, `well_since`: by source. The last: since when every probe of it was good.
    `waits`: by source, the seconds of good answers that it needs, where they are more than `return_after_s`.
    """

    sources: tuple[str, ...]
    return_after_s: int
    source: str
    since: int | None = None
    why: str | None = None
    bad: Counts = field(default_factory=dict)
    bad_in_a_row: int = 0
    given_up: Counts = field(default_factory=dict)
    returned_to: Counts = field(default_factory=dict)
    well_since: Counts = field(default_factory=dict)
    waits: Counts = field(default_factory=dict)
    probed_at: int | None = None

    @classmethod
    def known(cls, sources: Sequence[str], return_after_s: int, value: Mapping[str, Any]) -> Self:
        """What `as_json` has written.

        Where it is not of that form, or its source is no longer named, all begins anew. So it does where that source
        was named first and is not any more: the operator wants another one asked now.
        """
        first = cls(tuple(sources), return_after_s, sources[0])
        types: dict[str, tuple[type, ...]] = {each.name: (type(getattr(first, each.name)),) for each in fields(cls)[2:]}
        types |= {"since": (int, type(None)), "why": (str, type(None)), "probed_at": (int, type(None))}
        given = {name: value[name] for name in types if type(value.get(name, ...)) in types[name]}
        counts = [count for each in given.values() if isinstance(each, dict) for count in each.values()]
        if (
            len(given) != len(types)
            or given["source"] == value.get("first") != sources[0]
            or given["source"] not in sources
            or any(type(count) is not int for count in counts)
        ):
            return first
        return replace(first, **given)

    def as_json(self) -> dict[str, Any]:
        values = {name: value for name, value in asdict(self).items() if name not in ("sources", "return_after_s")}
        return values | {"first": self.sources[0]}

    @property
    def better(self) -> tuple[str, ...]:
        """The sources that are preferred to the one that is asked."""
        return self.sources[: self.sources.index(self.source)]

    def after_cycle(self, worker: str, error: str | None, now: int) -> Self:
        """:param error: why the cycle was a bad one; None when it was a good one."""
        if error is None:
            others = {name: count for name, count in self.bad.items() if name != worker}
            return replace(self, bad=others, bad_in_a_row=0)
        count = min(self.bad.get(worker, 0) + 1, _BAD_CYCLES)
        bad = replace(self, bad={**self.bad, worker: count}, bad_in_a_row=min(self.bad_in_a_row + 1, _BAD_CYCLES))
        return bad.without(error, now) if max(count, bad.bad_in_a_row) == _BAD_CYCLES else bad

    def without(self, error: str, now: int) -> Self:
        """Give up the source that is asked. If there is none to ask instead, it is asked on.

        A source was given up lately if it would not return yet, and the last probe of it was not good.
        """
        for other in self.sources:
            is_ready = other in self.well_since or self._is_past(self.given_up.get(other), self.wait_s(other), now)
            if other != self.source and is_ready:
                has_relapsed = not self._is_past(self.returned_to.get(self.source), _RELAPSE_S, now)
                wait_s = min(2 * self.wait_s(self.source), _LONGEST_WAIT_S) if has_relapsed else self.return_after_s
                given_up = {**_without(self.given_up, other), self.source: now}
                left = replace(self, given_up=given_up, waits={**self.waits, self.source: wait_s})
                return left._asking(other, f"{self.source} failed: {error}", now)
        return self

    def is_probe_due(self, now: int) -> bool:
        return bool(self.better) and self._is_past(self.probed_at, max(self.return_after_s // _PROBES, 1), now)

    def probed(self, now: int) -> Self:
        """A probe begins."""
        return replace(self, probed_at=now)

    def after_probe(self, source: str, is_well: bool, now: int) -> Self:
        if not is_well:
            return replace(self, well_since=_without(self.well_since, source))
        since = self.well_since.get(source, now)
        known = replace(self, well_since={**self.well_since, source: since})
        if now - since < self.wait_s(source):
            return known
        returned = replace(
            known, given_up=_without(self.given_up, source), returned_to={**self.returned_to, source: now}
        )
        return returned._asking(source, f"{source} answers again", now)

    def wait_s(self, source: str) -> int:
        """How long a source that was given up must answer well before it is asked again."""
        return max(self.waits.get(source, 0), self.return_after_s)

    def _asking(self, source: str, why: str, now: int) -> Self:
        return replace(
            self,
            source=source,
            since=now,
            why=why,
            bad={},
            bad_in_a_row=0,
            well_since=_without(self.well_since, source),
            probed_at=now,
        )

    @staticmethod
    def _is_past(moment: int | None, seconds: int, now: int) -> bool:
        # A moment to come was recorded by a clock that was ahead; it does not count.
        return moment is None or not 0 <= now - moment < seconds


def _without(counts: Counts, name: str) -> dict[str, int]:
    return {each: count for each, count in counts.items() if each != name}
