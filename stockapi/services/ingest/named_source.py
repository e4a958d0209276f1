"""A source that is asked by the names it has for our tickers."""

from stockapi.errors import UnknownSymbolError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.providers.base import Provider
from stockapi.services.renames import Names, Renames


class NamedSource:
    """Another provider, asked for present names: as the list of names says, else by the new name, else by an old one.

    Thread-safe, as that provider is.
    """

    def __init__(self, provider: Provider, renames: Renames) -> None:
        self.name, self.mode, self.is_back_adjusted = provider.name, provider.mode, provider.is_back_adjusted
        self._provider = provider
        self._renames = renames
        self._known_by: dict[str, str] = {}
        """The old name that the source still has for a ticker, where it does not know the new one."""

    def tickers(self) -> list[str]:
        """:raises CsvError: when the list of names cannot be read."""
        return self._names.current(self._provider.tickers())

    def history_start(self, interval: Interval, now: int) -> int:
        return self._provider.history_start(interval, now)

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        at_source = self._names.at_source.get(self.name, {})
        name = at_source.get(ticker) or self._known_by.get(ticker, ticker)
        try:
            return self._provider.fetch(name, interval, start, end)
        except UnknownSymbolError:
            for old, new in self._names.renamed.items():
                if new == ticker and name == ticker:
                    bars = self._provider.fetch(old, interval, start, end)
                    self._known_by[ticker] = old
                    return bars
            raise

    @property
    def _names(self) -> Names:
        return self._renames.of(self.mode)
