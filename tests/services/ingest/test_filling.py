"""Holes in a series and older history: what is asked for, what is saved, and what is not asked for again."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from stockapi.calc.indicators import enhance
from stockapi.errors import NoDataError, ProviderUnavailableError, UnknownSymbolError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.asked import REMEMBERED_S
from stockapi.services.ingest import filling
from stockapi.services.ingest.filling import fill_series
from stockapi.services.ingest.sync import sync_ticker
from stockapi.services.upkeep.changes import Deletion, make_change
from stockapi.services.upkeep.reconcile import verify
from tests.support.stores import NOW, Stores

DAY, HOUR, MINUTE = Interval
MARKETS = {mode: SimulatedProvider(mode, 1) for mode in Mode}
SECONDS = int(NOW.timestamp())


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@dataclass
class Source:
    """The simulated market since `begins`, without the bars of `lacks`. Prices before `ex_time` are 1 / `ratio`."""

    mode: Mode = Mode.VN
    begins: int = 0
    lacks: tuple[int, int] = (0, 0)
    ex_time: int = 0
    ratio: float = 1.0
    error: Exception | None = None
    raises_on_nothing: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)
    name: str = "simulated"
    is_back_adjusted: bool = True

    def tickers(self) -> list[str]:
        return ["VCB"] if self.mode is Mode.VN else ["BTC"]

    def history_start(self, interval: Interval, now: int) -> int:
        return max(self.begins, now - {DAY: 1_000, HOUR: 60, MINUTE: 20}[interval] * 86_400)

    def bars(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        bars = MARKETS[self.mode].fetch(ticker, interval, max(start, self.begins), end)
        bars = bars.take((bars.time < self.lacks[0]) | (bars.time > self.lacks[1]))
        prices = np.where(bars.time < self.ex_time, np.round(bars.prices / self.ratio, 2), bars.prices)
        return Bars.of(bars.time, prices, bars.volume)

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        self.asked.append((start, end))
        if self.error is not None:
            raise self.error
        bars = self.bars(ticker, interval, start, end)
        if self.raises_on_nothing and not len(bars):
            raise NoDataError("told: an answer without bars")
        return bars


def key_of(source: Source, interval: Interval = DAY) -> SeriesKey:
    return SeriesKey(source.mode, source.tickers()[0], interval)


def put(stores: Stores, key: SeriesKey, bars: Bars, *spans: tuple[str, str]) -> None:
    """Save these parts of the bars."""
    parts = [bars.between(at(first), at(last) + 86_399) for first, last in spans]
    stores.save(key.ticker, enhance(Bars.concatenate(parts), key.mode, is_index=False), key.interval, key.mode)


def fill(stores: Stores, source: Source, key: SeriesKey, now: datetime = NOW, start: str | None = None) -> list[int]:
    """:returns: the bars of each window."""
    begin = None if start is None else at(start)
    return [filled.bars for filled in fill_series(stores, source, key, lambda: now, begin)]


def assert_whole(stores: Stores, key: SeriesKey, expected: Bars) -> None:
    """Both stores hold just these bars, and indicators as if they had never been two pieces."""
    expected = enhance(expected, key.mode, is_index=False)
    assert stores.csv_store.read(key).bars.equals(expected)
    assert stores.sqlite_store.read(key).equals(expected)
    assert [report for report in verify(stores, key.mode, Interval) if report.problems] == []


@pytest.mark.parametrize(
    ("mode", "interval", "spans"),
    [
        (Mode.VN, DAY, (("2024-02-01", "2024-12-31"), ("2025-08-18", "2026-02-27"))),  # 229 days between them
        (Mode.VN, HOUR, (("2025-10-01", "2025-10-10"), ("2026-02-02", "2026-02-10"))),
        (Mode.VN, MINUTE, (("2025-11-03", "2025-11-04"), ("2026-02-09", "2026-02-10"))),
        (Mode.CRYPTO, DAY, (("2025-01-01", "2025-03-01"), ("2025-10-17", "2026-03-01"))),
        (Mode.CRYPTO, MINUTE, (("2026-01-29", "2026-01-30"), ("2026-02-10", "2026-02-11"))),
        (Mode.VN, DAY, (("2026-01-05", "2026-01-05"), ("2026-01-14", "2026-01-14"), ("2026-02-27", "2026-02-27"))),
    ],
)
def test_pieces_become_one_series(
    stores: Stores, mode: Mode, interval: Interval, spans: tuple[tuple[str, str], ...]
) -> None:
    source = Source(mode)
    key = key_of(source, interval)
    whole = source.bars(key.ticker, interval, at(spans[0][0]), at(spans[-1][1]) + 86_399)
    put(stores, key, whole, *spans)
    before = len(stores.csv_store.read(key).bars)
    assert sum(fill(stores, source, key)) == len(whole) - before
    assert_whole(stores, key, whole)
    asked = len(source.asked)
    assert fill(stores, source, key) == []
    assert len(source.asked) == asked, "what is there is not asked for"


def test_what_the_source_does_not_have_is_asked_for_once_in_thirty_days(stores: Stores) -> None:
    source = Source(lacks=(at("2025-03-03"), at("2025-09-30")))
    key = key_of(source)
    whole = source.bars("VCB", DAY, at("2025-01-02"), at("2026-02-27T23:59"))
    put(stores, key, whole, ("2025-01-02", "2025-02-20"), ("2025-10-10", "2026-02-27"))
    assert fill(stores, source, key) == [
        len(whole) - len(stores.csv_store.read(key).bars) or len(whole.between(at("2025-02-21"), at("2025-10-09")))
    ]
    assert_whole(stores, key, whole)
    asked = len(source.asked)
    for days in (0, 1, 29):
        assert fill(stores, source, key, NOW + timedelta(days=days)) == []
    assert len(source.asked) == asked
    source.lacks = (0, 0)
    later = NOW + timedelta(seconds=REMEMBERED_S)
    assert sum(fill(stores, source, key, later)) > 100, "it has them meanwhile"


def test_older_history_comes_back_to_where_the_source_begins(stores: Stores) -> None:
    """A listing is not where one asks from; far before it few and long windows are asked for."""
    source = Source(begins=at("2017-05-04"))
    key = key_of(source)
    put(stores, key, source.bars("VCB", DAY, 0, SECONDS), ("2025-06-02", "2026-02-27"))
    assert sum(fill(stores, source, key, start="1990-01-01")) > 1_900
    assert_whole(stores, key, source.bars("VCB", DAY, 0, at("2026-02-27T23:59") + 86_399))
    assert len(source.asked) <= 3
    assert fill(stores, source, key, start="1990-01-01") == []


@pytest.mark.parametrize("start", ["1960-01-01", "0001-01-01"])
def test_no_source_is_asked_for_a_time_before_1970(stores: Stores, start: str) -> None:
    """There is no bar of that time, and Binance refuses a negative time as if the coin were unknown."""
    source = Source(begins=at("2025-05-05"))
    key = key_of(source)
    put(stores, key, source.bars("VCB", DAY, 0, SECONDS), ("2025-06-02", "2026-02-27"))
    assert sum(fill(stores, source, key, start=start)) > 10
    assert min(first for first, _ in source.asked) == 0


def test_minutes_come_back_in_windows_that_grow(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_LEAST_BARS", 1_000)
    source = Source(Mode.CRYPTO, begins=at("2026-02-14"), is_back_adjusted=False)
    key = key_of(source, MINUTE)
    whole = source.bars("BTC", MINUTE, 0, at("2026-02-24T23:59"))
    put(stores, key, whole, ("2026-02-23", "2026-02-24"))
    bars = fill(stores, source, key, start="2025-01-01")
    assert sum(bars) + 2_880 == pytest.approx(len(whole), rel=0.02)
    filled, empty = [each for each in bars if each], [each for each in bars if not each]
    assert len(filled) > 5
    assert filled[-2] > 1.9 * filled[0], "a quarter of what is stored"
    assert len(empty) <= 9, "each twice as long as the one before"
    assert_whole(stores, key, whole)


def test_a_start_between_leaves_older_holes_alone(stores: Stores) -> None:
    source = Source()
    key = key_of(source)
    whole = source.bars("VCB", DAY, at("2024-01-02"), at("2026-02-27T23:59"))
    put(stores, key, whole, ("2024-01-02", "2024-02-02"), ("2025-01-02", "2025-02-03"), ("2026-01-05", "2026-02-27"))
    fill(stores, source, key, start="2025-06-02")
    held = stores.csv_store.read(key).bars.time
    assert not ((held > at("2024-02-02")) & (held < at("2025-01-02"))).any()
    assert not ((held > at("2025-02-03")) & (held < at("2025-06-02"))).any()
    assert held[held >= at("2025-06-02")].tolist() == whole.between(at("2025-06-02"), None).time.tolist()


# One level of prices


@pytest.mark.parametrize(
    ("ex_day", "old_until"),
    [
        ("2025-06-02", "2025-01-31"),  # within the hole: the older piece is from before the dividend
        ("2026-02-02", "2025-01-31"),
        ("2026-02-02", "2026-01-30"),  # and the newer one, too
    ],
)
@pytest.mark.parametrize("ratio", [2.0, 1.015])
def test_a_filled_piece_is_of_the_level_of_its_neighbours(
    stores: Stores, ex_day: str, old_until: str, ratio: float
) -> None:
    """Where it is not, the whole history is loaded: one that the source has adjusted since the pieces were stored."""
    source = Source(ex_time=at(ex_day), ratio=ratio)
    key = key_of(source)
    now = source.bars("VCB", DAY, at("2024-10-01"), at("2026-02-27T23:59"))
    before = Source().bars("VCB", DAY, at("2024-10-01"), at("2026-02-27T23:59"))
    pieces = Bars.concatenate([before.between(None, at(old_until)), now.between(at(old_until) + 1, None)])
    put(stores, key, pieces, ("2024-10-01", "2025-01-31"), ("2025-10-01", "2026-02-27"))
    fill(stores, source, key)
    held = stores.csv_store.read(key).bars.between(at("2024-10-01"), at("2026-02-27"))
    assert_same_prices(held, now)
    assert [report for report in verify(stores, Mode.VN, Interval) if report.problems] == []
    assert fill(stores, source, key) == []


def assert_same_prices(held: Bars, expected: Bars) -> None:
    assert held.time.tolist() == expected.time.tolist()
    np.testing.assert_array_equal(held.prices, expected.prices)


def test_an_older_piece_that_the_source_does_not_send_is_brought_to_its_level(stores: Stores) -> None:
    source = Source(begins=at("2025-01-02"), ex_time=at("2026-02-02"), ratio=2.0)
    key = key_of(source)
    before = Source().bars("VCB", DAY, at("2024-06-03"), at("2026-01-30T23:59"))
    put(stores, key, before, ("2024-06-03", "2024-12-31"), ("2025-10-01", "2026-01-30"))
    fill(stores, source, key)
    held = stores.csv_store.read(key).bars
    older = held.between(None, at("2024-12-31"))
    np.testing.assert_allclose(older.close, before.between(None, at("2024-12-31")).close / 2.0, atol=0.01)
    assert_same_prices(
        held.between(at("2025-01-02"), at("2026-01-30")), source.bars("VCB", DAY, 0, at("2026-01-30T23:59"))
    )


# What does not prove that there is nothing


def pieces(stores: Stores, source: Source) -> SeriesKey:
    key = key_of(source)
    whole = source.bars("VCB", DAY, at("2024-10-01"), at("2026-02-27T23:59"))
    put(stores, key, whole, ("2024-10-01", "2025-01-31"), ("2025-10-01", "2026-02-27"))
    return key


def test_a_source_that_gives_nothing_at_all_is_asked_again(stores: Stores) -> None:
    source = Source()
    key = pieces(stores, source)
    for error in (NoDataError("told: blocked"), ProviderUnavailableError("told: down")):
        source.error = error
        with pytest.raises(type(error)):
            fill(stores, source, key)
    source.error = None
    assert sum(fill(stores, source, key)) > 150


def test_a_time_that_the_source_does_not_reach_is_remembered(stores: Stores) -> None:
    """It has the newest bars, so it answers; and none of that time, not even those that we have of it."""
    source = Source(raises_on_nothing=True)
    key = pieces(stores, source)
    source.begins = at("2026-01-05")
    assert fill(stores, source, key) == [0]
    assert fill(stores, source, key) == []


def test_a_ticker_that_the_source_does_not_know_is_not_asked_for_each_night(stores: Stores) -> None:
    source = Source()
    key = pieces(stores, source)
    source.error = UnknownSymbolError("told: VCB is unknown")
    with pytest.raises(UnknownSymbolError):
        fill(stores, source, key)
    assert fill(stores, source, key) == []


def test_what_was_deleted_stays_deleted(stores: Stores) -> None:
    source = Source()
    key = key_of(source)
    whole = source.bars("VCB", DAY, at("2025-10-01"), at("2026-02-27T23:59"))
    put(stores, key, whole, ("2025-10-01", "2026-02-27"))
    make_change(stores, Mode.VN, Deletion("VCB", (DAY,), at("2025-12-01"), at("2025-12-12T23:59:59")), NOW)
    for days in (0, 40, 4_000):
        assert fill(stores, source, key, NOW + timedelta(days=days)) == []
    make_change(stores, Mode.VN, Deletion("VCB", tuple(Interval)), NOW)
    put(stores, key, whole, ("2025-10-01", "2025-11-28"), ("2025-12-15", "2026-02-27"))
    assert sum(fill(stores, source, key)) == 10, "a ticker that begins anew"


def test_a_first_download_leaves_nothing_to_fill(stores: Stores) -> None:
    """A stock that trades seldom has a hundred holes; the source has just given all that it has."""
    source = Source(lacks=(at("2025-03-03"), at("2025-09-30")))
    key = key_of(source)
    sync_ticker(stores, source, key, NOW)
    asked = len(source.asked)
    assert fill(stores, source, key) == []
    assert len(source.asked) == asked


def test_filling_closes_no_bar(stores: Stores) -> None:
    source = Source()
    key = pieces(stores, source)
    stores.closings.forget(key)
    fill(stores, source, key)
    assert stores.closings.of(Mode.VN, DAY) == {}


def test_a_source_that_fails_midway_keeps_what_it_gave(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_LEAST_BARS", 50)
    monkeypatch.setattr(filling, "_SHARE", 1_000)
    source = Source()
    key = pieces(stores, source)
    windows = fill_series(stores, source, key, lambda: NOW)
    first = next(windows)
    source.error = ProviderUnavailableError("told: down")
    with pytest.raises(ProviderUnavailableError):
        next(windows)
    source.error = None
    asked = len(source.asked)
    rest = fill(stores, source, key)
    assert len(rest) == len(source.asked) - asked >= 2
    assert all(end < first.span[0] + 30 * 86_400 for _, end in source.asked[asked:]), "that one is not asked for again"
    assert_whole(stores, key, source.bars("VCB", DAY, at("2024-10-01"), at("2026-02-27T23:59")))
