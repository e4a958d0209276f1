"""The sources of bars. Each module asks one source, and follows the protocol in `base.py`."""
