"""How bars are written: the CSV of the stores, the JSON of the answers."""
