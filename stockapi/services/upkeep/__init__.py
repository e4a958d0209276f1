"""Upkeep of the stores: compare, repair, check, back up."""
