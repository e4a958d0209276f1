"""What is true of a market: its calendar, its tickers."""
