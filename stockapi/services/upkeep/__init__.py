"""Keeping the stores sound: comparing, healing, checking, backups."""
