"""A stored indicator is a row, a formula and a migration: added to a copy of the program, over older stores."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stockapi import create_app
from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.models.fields import BASE_CSV_FIELDS, CSV_FIELDS, CSV_LAYOUTS
from stockapi.services.database_manager.migrations import known_migrations
from tests.support.server import ROOT, clean_environment

MEANING = "(high - low) / close x 100"
ROW = f'    Field("day_range", Scale.SCORE, "{MEANING}", warmup=0, layout={len(CSV_LAYOUTS) + 1}),\n'
FORMULA = '            "day_range": (prices[1] - prices[2]) / close * 100.0,\n'
COLUMN = "ALTER TABLE {{market}}_{interval} ADD COLUMN day_range REAL;\n"
OUT_OF_STEP = "UPDATE ledger SET csv_stamp = '', copies_digest = '';\n"

# Each line of standard output is an answer, or a command with its exit status and output.
NEW_PROGRAM = """
import json
from stockapi import create_app
from stockapi.config import Settings

app = create_app(Settings.load())


def ask(query):
    answer = app.test_client().get(f"/tickers?symbol=FPT&columns=day_range&shape=columns&limit=2&{query}")
    print(json.dumps(answer.json["FPT"]["day_range"]))


ask("cache=false")
for command in ("db upgrade", "data import history", "data enhance --interval 1H", "data verify"):
    result = app.test_cli_runner().invoke(args=command.split())
    print(json.dumps([command, result.exit_code, result.output]))
for query in ("", "interval=1H", "interval=4h", "cache=false"):
    ask(query)
print(json.dumps(app.test_client().get("/openapi.json").json["components"]["schemas"]["Bar"]))
"""


def history(directory: Path, last_day: int) -> None:
    """Days and hours of FPT, each bar with a range of 2 percent of its close."""
    (directory / "FPT").mkdir(parents=True, exist_ok=True)
    for name, step in (("1D.csv", "2024-01-{:02}"), ("1H.csv", "2024-01-05T{:02}:00:00")):
        rows = [f"FPT,{step.format(day)},100000,101000,99000,100000,{day}00" for day in range(1, last_day + 1)]
        (directory / "FPT" / name).write_text("\n".join((",".join(BASE_CSV_FIELDS), *rows, "")))


def insert(file: Path, pattern: str, addition: str) -> None:
    """`addition` before the one place that matches."""
    text, count = re.subn(pattern, lambda found: addition + found.group(), file.read_text(), flags=re.MULTILINE)
    assert count == 1, f"{pattern} is in {file} {count} times"
    file.write_text(text)


def add_indicator(program: Path) -> None:
    """What docs/extending.md says."""
    insert(program / "stockapi/models/fields.py", r"^\)\n(?=\nPRICE_FIELDS)", ROW)
    insert(program / "stockapi/calc/indicators.py", r"^ +MONEY_FIELD: ", FORMULA)
    columns = "".join(COLUMN.format(interval=interval) for interval in ("daily", "hourly", "minute"))
    number = known_migrations(Mode.VN)[-1].version + 1
    (program / f"migrations/{number:04}_day_range.sql").write_text(columns + OUT_OF_STEP)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the program that has one indicator more."""
    for folder in ("stockapi", "migrations"):
        shutil.copytree(ROOT / folder, tmp_path / "new" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    add_indicator(tmp_path / "new")
    return tmp_path / "new"


@pytest.mark.slow
def test_a_stored_indicator_is_a_row_a_formula_and_a_migration(program: Path, tmp_path: Path) -> None:
    places = {
        "VN_DATABASE_PATH": "vn.db",
        "CRYPTO_DATABASE_PATH": "crypto.db",
        "MARKET_DATA_DIR": "vn",
        "CRYPTO_DATA_DIR": "crypto",
    }
    variables = {name: str(tmp_path / place) for name, place in places.items()}
    history(tmp_path / "history", last_day=9)
    old = create_app(Settings.from_mapping(variables)).test_cli_runner()
    assert old.invoke(args=["data", "import", str(tmp_path / "history")]).exit_code == 0
    history(program / "history", last_day=10)  # a new bar for the days alone, so that an import reconciles them
    done = subprocess.run(
        [sys.executable, "-c", NEW_PROGRAM],
        cwd=program,
        env=clean_environment(tmp_path) | variables | {"PYTHONPATH": str(program)},
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    before, commands, answers, schema = lines[0], lines[1:5], lines[5:9], lines[9]
    assert before == [None, None]
    assert [status for _, status, _ in commands] == [0, 0, 0, 0], commands
    assert answers == [[2.0, 2.0]] * 4
    assert schema["properties"]["day_range"]["description"] == MEANING
    header, *rows = (tmp_path / "vn/FPT/1D.csv").read_text().splitlines()
    assert header == ",".join((*CSV_FIELDS, "day_range"))
    assert [row.rpartition(",")[2] for row in rows] == ["2.0000"] * 10
