"""`python -m tests.golden`: put all requests to the API and say, a line each, where its answers are not those recorded.

`--write` records the answers anew. `--bodies` keeps every body whole, in a directory: two such directories, from before
and after a change, can be compared by `diff -r`.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.golden import comparison, market
from tests.golden.asking import Answers, ask_all
from tests.golden.table import all_sections


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--write", action="store_true", help="record the answers anew, in tests/golden/answers.txt")
    parser.add_argument("--bodies", type=Path, metavar="DIRECTORY", help="keep every body in a file there")
    arguments = parser.parse_args()
    logging.disable()  # many of these requests are answered by an error, as they should be
    with tempfile.TemporaryDirectory() as directory:
        market.build(Path(directory))
        answers = ask_all(Path(directory), all_sections())
    if arguments.bodies:
        _keep_bodies(answers, arguments.bodies)
    found = comparison.records(answers)
    lines = comparison.differences(comparison.read(), found)
    print("\n".join([*lines, f"{len(found)} answers, {len(lines)} differences"]))
    if arguments.write:
        comparison.write(found)
    elif lines:
        sys.exit(1)


def _keep_bodies(answers: Answers, directory: Path) -> None:
    """One file each, numbered in the order of requests.txt; its first line is the request."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, (request, answer) in enumerate(answers.items(), start=1):
        (directory / f"{number:03}.txt").write_bytes(f"{request}\n".encode() + answer.body)


if __name__ == "__main__":
    main()
