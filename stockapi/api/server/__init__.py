"""The parts that use internals of gunicorn, which its documentation does not promise."""

from typing import Final

GUNICORN_VERSION: Final = "27.0.1"
"""The version that these parts were written for. Another version may change the internals. Before an update, compare
`gunicorn.workers.gthread` with `worker.ApiWorker` and run tests/api/server. Then write the new number here and into
requirements.txt.
"""
