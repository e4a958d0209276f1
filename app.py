"""The WSGI entry: `gunicorn app:app`. `flask` finds its commands here too."""

import sys

from stockapi import create_app
from stockapi.errors import ConfigError

try:
    app = create_app()
except ConfigError as exc:
    sys.exit(f"stockapi: {exc}")
