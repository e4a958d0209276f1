"""Sources on the internet."""
