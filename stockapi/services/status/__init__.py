"""The state of the service: health, readiness, memory, workers, metrics."""
