"""Bars into the stores: from a source, from files."""
