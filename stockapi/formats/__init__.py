"""The formats of bars: CSV for the stores and answers, JSON for answers."""
