"""What a market, or a day of one ticker, amounts to: pure functions over bars."""
