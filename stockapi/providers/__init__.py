"""Where bars come from: each module speaks to one source and follows the protocol in `base.py`."""
