"""`python -m tests.bench.import_once DIR [--legacy]`: one import; prints rows, seconds and peak memory in KiB."""

import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.services.ingest.import_tree import find_files
from stockapi.services.ingest.importer import ImportOptions, ImportResult, import_files
from stockapi.services.stores import Stores

settings = Settings.load()
files, _ = find_files(Path(sys.argv[1]))
started = time.perf_counter()
results = import_files(
    Stores.of(settings),
    files,
    datetime.now(UTC),
    ImportOptions(Mode.VN, legacy="--legacy" in sys.argv),
)
rows = sum(result.rows for result in results if isinstance(result, ImportResult))
print(rows, time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
