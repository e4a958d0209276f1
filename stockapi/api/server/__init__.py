"""The parts that reach into gunicorn."""
