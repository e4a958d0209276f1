"""How many rows an answer may have."""

from dataclasses import dataclass

from stockapi.errors import TooManyRowsError


@dataclass(slots=True)
class RowBudget:
    """The budget of one answer, however many queries it takes. `spent`: the rows of those that are done."""

    limit: int
    spent: int = 0

    def require(self, rows: int) -> None:
        """:raises TooManyRowsError: when the answer cannot have `rows` rows more."""
        if self.spent + rows > self.limit:
            raise TooManyRowsError(
                f"the answer would have more than {self.limit} rows; "
                "ask for fewer symbols, a shorter start_date..end_date, a smaller limit or a longer interval"
            )

    def spend(self, rows: int) -> None:
        """:raises TooManyRowsError: as `require`."""
        self.require(rows)
        self.spent += rows
