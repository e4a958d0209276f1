"""`python -m tests.faults.web GUARD COMMAND...`: gunicorn as the command says, with one guard taken away."""

import os
import runpy
import sys
from typing import Any

from stockapi.api.server import metrics_files
from stockapi.services.csv_store import journal
from stockapi.services.data_store import store
from stockapi.services.sqlite_store.behind import NO_COMPARISON
from tests.faults.writer import replace_attribute

GUARDS = ("comparison", "regular files", "room for counts")


def main() -> None:
    guard, _python, _option, module, *arguments = sys.argv[1:]
    _take_away(guard)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


def _take_away(guard: str) -> None:
    match guard:
        case "comparison":
            replace_attribute(store.Lag, "checked_within", lambda *_: NO_COMPARISON)
        case "regular files":
            replace_attribute(journal, "open_regular", _open_anything)
        case "room for counts":
            replace_attribute(metrics_files, "count_without_room", lambda _directory: None)
        case _:
            raise SystemExit(f"{guard!r} is no guard; allowed: {', '.join(GUARDS)}")


def _open_anything(path: Any, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    return os.open(path, flags, mode)


if __name__ == "__main__":
    main()
