"""What every measurement shares: where the market lies, what machine this is, where the tables go."""

import os
import platform
import sqlite3
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"

Row = Sequence[str]


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Variables of a process that keeps both stores in `directory`, made if missing."""
    directory.mkdir(parents=True, exist_ok=True)
    return os.environ | {
        "VN_DATABASE_PATH": str(directory / "vn_data.db"),
        "CRYPTO_DATABASE_PATH": str(directory / "crypto_data.db"),
        "MARKET_DATA_DIR": str(directory / "market_data"),
        "CRYPTO_DATA_DIR": str(directory / "crypto_data"),
        "LOG_LEVEL": "warning",
        **more,
    }


def heading(about: str = "") -> str:
    """Day, machine and versions in one line."""
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, NumPy {version('numpy')}"
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    about = f"; {about}" if about else ""
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}, gunicorn {version('gunicorn')}{about}."


def table(columns: Row, rows: Sequence[Row]) -> str:
    """In Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def save(name: str, text: str, *, write: bool) -> None:
    """Print, and with `write` put the text into docs/benchmarks.md between the marks of that name."""
    sys.stdout.write(text)
    if write:
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        before, mark, rest = REPORT.read_text().partition(begin)
        if not mark or end not in rest:
            sys.exit(f"bench: {REPORT} has no marks for {name!r}")
        REPORT.write_text(before + begin + text + end + rest.partition(end)[2])
