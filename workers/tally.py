"""The counts of a cycle, and what they say about its source."""

from dataclasses import dataclass

from stockapi.errors import ProviderError


@dataclass(slots=True)
class Tally:
    """The counts of a cycle."""

    series: int = 0
    failed: int = 0
    rows_written: int = 0
    source_errors: int = 0
    source_error: str | None = None
    failed_in_a_row: int = 0
    has_refused: bool = False
    """Whether the source ended the cycle, so that series were left out."""
    last_error: str | None = None

    def fail(self, error: str) -> None:
        self.failed += 1
        self.last_error = error

    def fail_at_source(self, error: ProviderError, *, ends: bool) -> None:
        """:param ends: whether the source ends the cycle by this error."""
        self.source_errors += 1
        self.failed_in_a_row += 1
        self.has_refused, self.source_error = ends, str(error)

    @property
    def source_failure(self) -> str | None:
        """The source's last error, when it ended the cycle or failed for more than half of the series.

        Some tickers of a list are always delisted or not listed yet. Their errors do not mean that the source is bad.
        """
        is_ok = not self.has_refused and 2 * self.source_errors <= self.series
        return None if is_ok else self.source_error

    @property
    def source_state(self) -> str:
        """`ok`, or `source_failure`."""
        return self.source_failure or "ok"
