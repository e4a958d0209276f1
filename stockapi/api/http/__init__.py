"""What every answer has: its form, headers, errors, and whether it is let in."""
