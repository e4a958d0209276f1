"""The condition of the workers, from their rows of the bookkeeping and from the writer's lock."""

from dataclasses import dataclass
from enum import Enum

from stockapi.config import Settings
from stockapi.errors import CsvError
from stockapi.models.mode import Mode
from stockapi.services.database_manager.bookkeeping import WorkerState
from stockapi.services.stores import Stores
from stockapi.services.writer_lock import writer_of


class Condition(Enum):
    """`STALE`: some process holds the writer's lock, but the worker is several cycles late. `DEAD`: no process does."""

    OK = "ok"
    STALE = "stale"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker and its condition."""

    state: WorkerState
    condition: Condition

    @property
    def name(self) -> str:
        return self.state.worker


def workers_of(stores: Stores, mode: Mode, now: int) -> list[Worker]:
    """All workers of the market that ever ran, in the order of their names; empty when there is none.

    `now`: Unix seconds.

    :raises SqliteError: when the database cannot be read.
    """
    states = stores.bookkeeping.worker_states(mode)
    has_writer = _has_writer(stores.settings, mode)
    return [Worker(state, _condition(state, has_writer, now)) for _, state in sorted(states.items())]


def _has_writer(settings: Settings, mode: Mode) -> bool:
    try:
        return writer_of(settings, mode) is not None
    except CsvError:
        return True  # a lock that cannot be read does not prove that the writer is dead: the heartbeat decides


def _condition(state: WorkerState, has_writer: bool, now: int) -> Condition:
    if not has_writer:
        return Condition.DEAD
    return Condition.STALE if state.is_stale(now) else Condition.OK
