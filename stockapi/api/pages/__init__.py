"""The HTML pages, and the files they load."""
