"""`python -m tests.bench.import_once DIR [--legacy]`: one import; prints rows, seconds and peak memory in KiB."""

import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.ingest.importer import find_files, import_files

settings = Settings.load()
files, _ = find_files(Path(sys.argv[1]))
started = time.perf_counter()
results = import_files(
    files, Mode.VN, "--legacy" in sys.argv, DatabaseManager(settings), CsvStore(settings), datetime.now(UTC)
)
rows = sum(result.saved.rows for result in results)
print(rows, time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
