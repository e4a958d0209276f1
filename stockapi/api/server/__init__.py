"""The parts that reach into gunicorn, further than its documentation promises anything."""

from typing import Final

GUNICORN_VERSION: Final = "27.0.1"
"""The one they were written for. Another one moves what they hold on to: read `gunicorn.workers.gthread` against
`worker.ApiWorker`, run tests/api/server, and only then write its number here and into requirements.txt."""
