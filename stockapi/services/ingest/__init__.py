"""Bring bars into the stores, from a source or from files."""
