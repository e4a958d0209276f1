from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stockapi.errors import UnknownSymbolError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import WARMUP_BARS
from stockapi.providers.base import Provider
from stockapi.providers.simulated.provider import Adjustment, SimulatedProvider

DAY = 86_400
VN = SimulatedProvider(Mode.VN, 1)
CRYPTO = SimulatedProvider(Mode.CRYPTO, 1)
MARKETS = {Mode.VN: VN, Mode.CRYPTO: CRYPTO}
INDICES = ("VNINDEX", "VN30")
STOCKS = tuple(ticker for ticker in VN.tickers() if ticker not in INDICES)
ILLIQUID = "DHG"
EVERYTHING = [(mode, ticker) for mode, provider in MARKETS.items() for ticker in provider.tickers()]

any_ticker = st.sampled_from(EVERYTHING)
moderately = settings(max_examples=40, deadline=None)


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())


any_moment = st.integers(at(2017, 1, 1), at(2028, 1, 1)) | st.builds(
    # Half of the time within the hours of the VN session.
    lambda day, second: at(2017, 1, 1) + day * DAY + second,
    st.integers(0, 4_000),
    st.integers(2 * 3_600, 8 * 3_600),
)


def row(bars: Bars, position: int) -> tuple[float, ...]:
    return (int(bars.time[position]), *bars.prices[:, position].tolist(), bars.volume[position].item())


def rows(bars: Bars) -> list[tuple[float, ...]]:
    return [row(bars, position) for position in range(len(bars))]


def added_up(minutes: Bars, seconds: int) -> list[tuple]:
    """Bars of that length, in plain decimal arithmetic."""
    added = []
    for opened, group in groupby(rows(minutes), key=lambda each: each[0] // seconds * seconds):
        _, opens, highs, lows, closes, volumes = zip(*group, strict=True)
        volume = sum(Decimal(repr(each)) for each in volumes)
        added.append((opened, opens[0], max(highs), min(lows), closes[-1], volume))
    return added


def in_decimals(bars: Bars) -> list[tuple]:
    return [(*each[:-1], Decimal(repr(each[-1]))) for each in rows(bars)]


def units(prices: np.ndarray, decimals: int) -> np.ndarray:
    """Prices as whole numbers of their last decimal; fails where there are more decimals."""
    whole = np.rint(prices * 10**decimals).astype(np.int64)
    np.testing.assert_array_equal(whole / 10**decimals, prices)
    return whole


# The protocol


@pytest.mark.parametrize("mode", Mode)
def test_follows_the_protocol(mode):
    provider: Provider = SimulatedProvider(mode, 1)
    assert (provider.name, provider.mode) == ("simulated", mode)
    assert len(provider.tickers()) == len(set(provider.tickers()))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.VN, {"VNINDEX", "VN30", "VCB", "FPT", "VIC", "VHM", "HPG"}),
        (Mode.CRYPTO, {"BTC", "ETH", "XRP", "SHIB", "PEPE"}),
    ],
)
def test_has_the_well_known_tickers(mode, expected):
    tickers = SimulatedProvider(mode, 1).tickers()
    assert expected <= set(tickers)
    assert len(tickers) >= {Mode.VN: 32, Mode.CRYPTO: 10}[mode]


@pytest.mark.parametrize(("mode", "ticker"), [(Mode.VN, "BTC"), (Mode.CRYPTO, "VCB"), (Mode.VN, "vcb"), (Mode.VN, "")])
def test_an_unknown_ticker_is_named(mode, ticker):
    with pytest.raises(UnknownSymbolError, match=f"'{ticker}'.*{mode.value}"):
        SimulatedProvider(mode, 1).fetch(ticker, Interval.DAILY, 0, at(2024, 1, 1))


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize("provider", [VN, CRYPTO])
def test_a_first_download_is_long_enough_for_every_indicator(provider, interval):
    now = at(2025, 6, 2, 8)
    bars = provider.fetch(provider.tickers()[0], interval, provider.history_start(interval, now), now)
    assert WARMUP_BARS < len(bars) < 10_000


@given(any_ticker, st.sampled_from(Interval), any_moment, st.integers(0, 5 * DAY))
@moderately
def test_bars_keep_to_the_window_ascend_and_make_sense(ticker, interval, start, length):
    mode, name = ticker
    bars = MARKETS[mode].fetch(name, interval, start, start + length)
    assert ((start <= bars.time) & (bars.time <= start + length)).all()
    assert (np.diff(bars.time) > 0).all()
    assert (bars.time % interval.seconds == 0).all()
    assert (bars.low > 0).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.volume > 0).all()
    assert bars.volume.dtype == (np.int64 if mode is Mode.VN else np.float64)
    assert np.isnan(bars.indicators).all()


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize(
    ("provider", "ticker", "first"), [(VN, "VCB", date(2015, 1, 5)), (CRYPTO, "BTC", date(2017, 1, 1))]
)
def test_history_begins_on_the_first_day(provider, ticker, first, interval):
    midnight = at(first.year, first.month, first.day)
    bars = provider.fetch(ticker, interval, 0, midnight + DAY - 1)
    assert (bars.time // DAY * DAY == midnight).all()
    assert len(bars) > 0
    assert len(provider.fetch(ticker, interval, 0, midnight - 1)) == 0


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize("provider", [VN, CRYPTO])
def test_a_window_that_ends_before_it_starts_is_empty(provider, interval):
    bars = provider.fetch(provider.tickers()[0], interval, at(2024, 3, 10), at(2024, 3, 6))
    assert len(bars) == 0
    assert bars.volume.dtype == (np.int64 if provider.mode is Mode.VN else np.float64)


# The same bar whenever it is asked for


@given(any_ticker, st.sampled_from(Interval), any_moment, st.integers(0, 4 * DAY), st.integers(0, 4 * DAY))
@moderately
def test_a_resume_from_the_last_bar_gives_what_one_fetch_gives(ticker, interval, start, length, more):
    mode, name = ticker
    fetch = MARKETS[mode].fetch
    stored = fetch(name, interval, start, start + length)
    assume(len(stored))
    end = start + length + more
    assert stored.merge(fetch(name, interval, int(stored.time[-1]), end)).equals(fetch(name, interval, start, end))


def test_a_long_window_holds_the_same_days_as_short_ones():
    # Long enough to be generated in several chunks.
    whole = VN.fetch("HPG", Interval.DAILY, at(2022, 1, 1), at(2024, 1, 1))
    pieces = [
        VN.fetch("HPG", Interval.DAILY, at(2022, 1, 1) + 30 * DAY * i, at(2022, 1, 30, 23, 59, 59) + 30 * DAY * i)
        for i in range(25)
    ]
    assert Bars.concatenate(pieces).between(None, at(2024, 1, 1)).equals(whole)


@pytest.mark.parametrize("mode", Mode)
def test_another_instance_gives_the_same_whatever_it_was_asked_before(mode):
    ticker = MARKETS[mode].tickers()[2]
    travelled, fresh = SimulatedProvider(mode, 1), SimulatedProvider(mode, 1)
    for year in (2030, 2018, 2024):
        travelled.fetch(ticker, Interval.MINUTE, at(year, 5, 6), at(year, 5, 7))
    window = (ticker, Interval.MINUTE, at(2021, 6, 1), at(2021, 6, 4))
    assert travelled.fetch(*window).equals(fresh.fetch(*window))


def test_seeds_are_different_markets():
    window = ("FPT", Interval.DAILY, at(2021, 1, 1), at(2021, 6, 1))
    one, other = (SimulatedProvider(Mode.VN, seed).fetch(*window) for seed in (1, 2))
    np.testing.assert_array_equal(one.time, other.time)
    assert (one.close != other.close).mean() > 0.9


def test_threads_get_what_one_thread_gets():
    calls = [
        (ticker, Interval.HOURLY, at(year, 3, 1), at(year, 3, 9))
        for year in (2031, 2019, 2040)
        for ticker in VN.tickers()[:6]
    ]
    shared = SimulatedProvider(Mode.VN, 1)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda call: shared.fetch(*call), calls))
    for bars, call in zip(together, calls, strict=True):
        assert bars.equals(SimulatedProvider(Mode.VN, 1).fetch(*call))


# Hours and days add up from minutes


@given(any_ticker, any_moment)
@moderately
def test_hours_and_days_add_up_from_minutes_also_while_they_form(ticker, moment):
    mode, name = ticker
    start = moment // DAY * DAY
    minutes, hours, days = (
        MARKETS[mode].fetch(name, interval, start, moment)
        for interval in (Interval.MINUTE, Interval.HOURLY, Interval.DAILY)
    )
    assert in_decimals(hours) == added_up(minutes, 3_600)
    assert in_decimals(days) == added_up(minutes, DAY)


@given(any_ticker, any_moment, st.integers(0, 3_600))
@moderately
def test_a_forming_day_only_widens_and_grows(ticker, moment, later):
    mode, name = ticker
    start = moment // DAY * DAY
    assume(moment + later < start + DAY)
    before, after = (MARKETS[mode].fetch(name, Interval.DAILY, start, end) for end in (moment, moment + later))
    assume(len(before))
    assert before.open == after.open
    assert before.high <= after.high
    assert before.low >= after.low
    assert before.volume <= after.volume


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize(("provider", "ticker"), [(VN, "VNINDEX"), (CRYPTO, "ETH")])
def test_a_minute_forms_from_its_open_over_its_extremes_to_its_close(provider, ticker, rising):
    hour = rows(provider.fetch(ticker, Interval.MINUTE, at(2024, 3, 6, 3), at(2024, 3, 6, 4)))
    opened, first, high, low, last, volume = next(
        each
        for each in hour
        if each[3] < min(each[1], each[4]) <= max(each[1], each[4]) < each[2] and (each[4] > each[1]) is rising
    )
    forming = [rows(provider.fetch(ticker, Interval.MINUTE, opened, opened + second))[0] for second in (0, 15, 30, 45)]
    assert [each[1:5] for each in forming] == [
        (first, first, first, first),
        (first, first, low, low) if rising else (first, high, first, high),
        (first, high, low, high if rising else low),
        (first, high, low, last),
    ]
    assert [each[5] / volume for each in forming] == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=1e-4)


def test_a_bar_is_not_there_before_it_opens():
    for interval, opened in ((Interval.MINUTE, at(2024, 3, 6, 2, 15)), (Interval.HOURLY, at(2024, 3, 6, 2, 15))):
        assert len(VN.fetch("VCB", interval, at(2024, 3, 6), opened - 1)) == 0
        assert len(VN.fetch("VCB", interval, at(2024, 3, 6), opened)) == 1


# When there is trading


def test_vn_minutes_are_those_of_the_session():
    minutes = VN.fetch("VNINDEX", Interval.MINUTE, at(2024, 3, 6), at(2024, 3, 7) - 1)
    of_day = (minutes.time % DAY // 60).tolist()
    assert of_day == [*range(2 * 60 + 15, 4 * 60 + 30), *range(6 * 60, 7 * 60 + 30), 7 * 60 + 45]
    assert len(set(minutes.prices[:, -1].tolist())) == 1, "the closing auction is one print"


def test_vn_hours_open_at_2_3_4_6_and_7_utc():
    hours = VN.fetch("VCB", Interval.HOURLY, at(2024, 3, 1), at(2024, 4, 1) - 1)
    by_day = groupby(hours.time.tolist(), key=lambda time: time // DAY)
    assert {tuple(time % DAY / 3_600 for time in day) for _, day in by_day} == {(2, 3, 4, 6, 7)}


def test_vn_trades_monday_to_friday_except_holidays():
    days = {
        datetime.fromtimestamp(time, UTC).date()
        for time in VN.fetch("VCB", Interval.DAILY, at(2023, 1, 1), at(2025, 12, 31, 23)).time.tolist()
    }
    everyday = (date.fromordinal(day) for day in range(date(2023, 1, 1).toordinal(), date(2026, 1, 1).toordinal()))
    holidays = {(1, 1), (4, 30), (5, 1), (9, 2)}
    assert days == {day for day in everyday if day.weekday() < 5 and (day.month, day.day) not in holidays}


def test_crypto_trades_round_the_clock():
    start, end = at(2024, 3, 2), at(2024, 3, 9) - 1
    for interval in Interval:
        times = CRYPTO.fetch("SOL", interval, start, end).time.tolist()
        assert times == list(range(start, end, interval.seconds))


def test_an_illiquid_stock_has_minutes_without_trades_but_always_an_opening_and_a_close():
    minutes = VN.fetch(ILLIQUID, Interval.MINUTE, at(2016, 1, 1), at(2024, 1, 1))
    _, first, count = np.unique(minutes.time // DAY, return_index=True, return_counts=True)
    assert 0.3 * 226 < count.mean() < 0.8 * 226
    of_day = minutes.time % DAY // 60
    assert set(of_day[first]) == {2 * 60 + 15}
    assert set(of_day[first + count - 1]) == {7 * 60 + 45}


# In which steps, and how far


@pytest.mark.parametrize("ticker", STOCKS)
def test_stock_prices_lie_on_ticks_and_volumes_are_round_lots(ticker):
    bars = VN.fetch(ticker, Interval.HOURLY, at(2023, 1, 1), at(2023, 7, 1))
    tick = np.where(bars.prices < 10_000, 10, np.where(bars.prices < 50_000, 50, 100))
    assert (bars.prices % tick == 0).all()
    assert (bars.volume % 100 == 0).all()


def test_every_step_of_the_tick_table_is_met():
    lowest, highest = (
        VN.fetch(ticker, Interval.DAILY, at(2016, 1, 1), at(2018, 1, 1)).close for ticker in ("SHB", "SAB")
    )
    assert lowest.min() < 10_000 < lowest.max() < 50_000 < highest.min()
    assert (lowest[lowest < 10_000] % 50 != 0).any()
    assert (lowest[lowest >= 10_000] % 100 != 0).any()


@pytest.mark.parametrize("ticker", INDICES)
def test_indices_move_by_hundredths_and_count_single_shares(ticker):
    bars = VN.fetch(ticker, Interval.MINUTE, at(2023, 3, 1), at(2023, 3, 11))
    assert len(np.unique(units(bars.prices, 2) % 100)) == 100
    assert (bars.volume % 100 != 0).any()


@pytest.mark.parametrize(
    ("ticker", "price_decimals", "volume_decimals"),
    [("BTC", 2, 5), ("ETH", 2, 4), ("XRP", 4, 1), ("DOGE", 5, 1), ("SHIB", 8, 1), ("PEPE", 8, 1)],
)
def test_coins_have_fractions(ticker, price_decimals, volume_decimals):
    bars = CRYPTO.fetch(ticker, Interval.MINUTE, at(2023, 3, 1), at(2023, 3, 3))
    assert (units(bars.prices, price_decimals) % 10 != 0).any()
    assert (units(bars.volume, volume_decimals) % 10 != 0).any()


@pytest.mark.parametrize("ticker", ["SHIB", "PEPE"])
def test_a_sub_cent_coin_survives_and_moves(ticker):
    bars = CRYPTO.fetch(ticker, Interval.DAILY, at(2020, 1, 1), at(2021, 1, 1))
    assert 0 < bars.low.min() < bars.high.max() < 0.01
    assert len(np.unique(bars.close)) > 100


@pytest.mark.parametrize("ticker", [*INDICES, "SHB", "HAG", "DGC", "VCB", "SAB"])
def test_no_hour_passes_seven_percent_of_the_last_days_close(ticker):
    start, end = at(2019, 1, 1), at(2022, 1, 1)
    days, hours = (VN.fetch(ticker, interval, start, end) for interval in (Interval.DAILY, Interval.HOURLY))
    day_of_hour = np.searchsorted(days.time, hours.time // DAY * DAY)
    reference = units(days.close, 2)[day_of_hour - 1]
    prices = units(hours.prices, 2)[:, day_of_hour > 0] * 100
    assert (prices <= reference[day_of_hour > 0] * 107).all()
    assert (prices >= reference[day_of_hour > 0] * 93).all()


def test_the_daily_limit_is_reached_now_and_then():
    bars = VN.fetch("HAG", Interval.DAILY, at(2016, 1, 1), at(2022, 1, 1))
    change = bars.close[1:] / bars.close[:-1]
    assert 3 < (change > 1.06).sum() < 60
    assert 3 < (change < 0.94).sum() < 60


def test_the_next_crypto_day_opens_where_the_last_closed():
    bars = CRYPTO.fetch("BTC", Interval.DAILY, at(2023, 1, 1), at(2024, 1, 1))
    np.testing.assert_array_equal(bars.open[1:], bars.close[:-1])


# Dividends

EX_DATE = at(2024, 3, 6)
WITH_DIVIDEND = SimulatedProvider(Mode.VN, 1, adjustments={"FPT": [Adjustment(EX_DATE, 1.25)]})


@pytest.mark.parametrize("interval", Interval)
def test_until_the_ex_date_history_is_as_it_was(interval):
    window = ("FPT", interval, EX_DATE - 20 * DAY, EX_DATE - 1)
    assert WITH_DIVIDEND.fetch(*window).equals(VN.fetch(*window))


@pytest.mark.parametrize("interval", Interval)
def test_from_the_ex_date_on_all_older_prices_are_divided(interval):
    start = EX_DATE - 200 * DAY
    before = WITH_DIVIDEND.fetch("FPT", interval, start, EX_DATE - 1)
    after = WITH_DIVIDEND.fetch("FPT", interval, start, EX_DATE + 3_600 * 5)
    old = after.between(None, EX_DATE - 1)
    np.testing.assert_array_equal(old.time, before.time)
    np.testing.assert_array_equal(old.prices, np.round(before.prices / 1.25, 2))
    np.testing.assert_array_equal(old.volume, before.volume)


def test_the_price_falls_on_the_ex_date_so_adjusted_history_goes_on_smoothly():
    end = EX_DATE + 30 * DAY
    days = WITH_DIVIDEND.fetch("FPT", Interval.DAILY, EX_DATE - 30 * DAY, end)
    assert np.abs(days.close[1:] / days.close[:-1] - 1.0).max() < 0.08
    from_ex_date, undivided = (
        provider.fetch("FPT", Interval.MINUTE, EX_DATE, end).prices for provider in (WITH_DIVIDEND, VN)
    )
    tick = np.where(from_ex_date < 10_000, 10, np.where(from_ex_date < 50_000, 50, 100))
    assert (from_ex_date % tick == 0).all()
    assert undivided.mean() / from_ex_date.mean() == pytest.approx(1.25, rel=0.01)


def test_adjusted_days_still_add_up_from_minutes():
    start, end = EX_DATE - 10 * DAY, EX_DATE + 3_600 * 5
    minutes, days = (WITH_DIVIDEND.fetch("FPT", each, start, end) for each in (Interval.MINUTE, Interval.DAILY))
    assert in_decimals(days) == added_up(minutes, DAY)


def test_adjustments_multiply_up_and_leave_other_tickers_alone():
    later = EX_DATE + 10 * DAY
    provider = SimulatedProvider(Mode.VN, 1, adjustments={"FPT": [Adjustment(EX_DATE, 1.25), Adjustment(later, 2.0)]})
    window = ("FPT", Interval.DAILY, EX_DATE - 10 * DAY, later + 3 * DAY)
    raw = VN.fetch("FPT", Interval.DAILY, EX_DATE - 10 * DAY, EX_DATE - 1)
    adjusted = provider.fetch(*window)
    np.testing.assert_array_equal(adjusted.prices[:, : len(raw)], np.round(raw.prices / 2.5, 2))
    assert np.abs(adjusted.close[1:] / adjusted.close[:-1] - 1.0).max() < 0.08
    others = ("VCB", *window[1:])
    assert provider.fetch(*others).equals(VN.fetch(*others))


@pytest.mark.parametrize(
    ("effective", "ratio", "named"),
    [
        (EX_DATE + 1, 1.25, "effective"),
        (EX_DATE, 0.0, "ratio"),
        (EX_DATE, -1.0, "ratio"),
        (EX_DATE, float("nan"), "ratio"),
        (EX_DATE, float("inf"), "ratio"),
    ],
)
def test_an_impossible_adjustment_is_refused(effective, ratio, named):
    with pytest.raises(ValueError, match=f"{named} .* is not allowed; allowed: "):
        Adjustment(effective, ratio)


def test_an_adjustment_of_an_unknown_ticker_is_refused():
    with pytest.raises(UnknownSymbolError, match="'NOPE'"):
        SimulatedProvider(Mode.VN, 1, adjustments={"NOPE": [Adjustment(EX_DATE, 1.25)]})


# It looks like a market


@pytest.fixture(scope="module")
def log_returns():
    """Per (mode, ticker), of the days of three years."""
    return {
        (mode, ticker): np.diff(
            np.log(MARKETS[mode].fetch(ticker, Interval.DAILY, at(2021, 1, 1), at(2024, 1, 1)).close)
        )
        for mode, ticker in EVERYTHING
    }


def test_volatility_is_that_of_real_markets(log_returns):
    for (mode, ticker), returns in log_returns.items():
        low, high, days = (0.10, 0.60, 250) if mode is Mode.VN else (0.35, 1.40, 365)
        assert low < returns.std() * days**0.5 < high, ticker


@pytest.mark.parametrize(("mode", "leader"), [(Mode.VN, "VNINDEX"), (Mode.CRYPTO, "BTC")])
def test_everything_goes_along_with_its_market(mode, leader, log_returns):
    for (each_mode, ticker), returns in log_returns.items():
        if each_mode is mode and ticker != leader:
            assert 0.2 < np.corrcoef(returns, log_returns[mode, leader])[0, 1] < 0.999, ticker


@pytest.mark.long
def test_calm_and_wild_days_come_in_clusters(log_returns):
    persistence = [np.corrcoef(abs(returns[1:]), abs(returns[:-1]))[0, 1] for returns in log_returns.values()]
    assert np.mean(persistence) > 0.05


def test_years_of_prices_neither_explode_nor_vanish():
    for provider, ticker in ((VN, "HAG"), (VN, "VNINDEX"), (CRYPTO, "PEPE"), (CRYPTO, "BTC")):
        # A week of every year up to 2040.
        weeks = [provider.fetch(ticker, Interval.DAILY, at(year, 6, 1), at(year, 6, 7)) for year in range(2017, 2041)]
        closes = np.concatenate([week.close for week in weeks])
        assert 0 < closes.max() / closes.min() < 100


def test_the_day_is_busy_at_both_ends_and_quiet_at_noon():
    minutes = VN.fetch("HPG", Interval.MINUTE, at(2024, 1, 1), at(2024, 7, 1))
    of_day = minutes.time % DAY // 60
    opening, noon, closing = (
        minutes.volume[(first <= of_day) & (of_day < first + 20)].mean() for first in (135, 250, 430)
    )
    assert opening > 1.3 * noon
    assert closing > 1.3 * noon


@pytest.mark.parametrize(("provider", "ticker"), [(VN, "VNINDEX"), (CRYPTO, "ETH")])
@pytest.mark.parametrize(("interval", "length"), [(Interval.DAILY, 700), (Interval.MINUTE, 20)])
def test_much_is_traded_when_prices_move(provider, ticker, interval, length):
    bars = provider.fetch(ticker, interval, at(2024, 3, 1) - length * DAY, at(2024, 3, 1))
    assert np.corrcoef(bars.volume, np.abs(bars.close / bars.open - 1.0))[0, 1] > 0.15


def test_minutes_of_stocks_go_along_with_the_index():
    window = (Interval.MINUTE, at(2024, 3, 4), at(2024, 3, 16))
    index, stock = (VN.fetch(ticker, *window) for ticker in ("VNINDEX", "HPG"))
    shared, of_index, of_stock = np.intersect1d(index.time, stock.time, return_indices=True)
    assert len(shared) > 2_000
    moves = [np.diff(np.log(bars.close[which])) for bars, which in ((index, of_index), (stock, of_stock))]
    assert np.corrcoef(*moves)[0, 1] > 0.2


# Pinned: the market of a seed does not change by accident

GOLDEN = [
    # The index on the first day of all.
    (Mode.VN, "VNINDEX", Interval.DAILY, at(2015, 1, 5, 23), (1420416000, 543.27, 543.84, 538.77, 540.31, 665157550)),
    (Mode.VN, "VCB", Interval.DAILY, at(2024, 3, 6, 23), (1709683200, 80300.0, 80900.0, 79200.0, 79500.0, 3300100)),
    (
        Mode.VN,
        "VCB",
        Interval.HOURLY,
        at(2024, 3, 6, 3, 59, 59),
        (1709694000, 80400.0, 80600.0, 80200.0, 80400.0, 441000),
    ),
    (
        Mode.VN,
        "VCB",
        Interval.MINUTE,
        at(2024, 3, 6, 3, 0, 59),
        (1709694000, 80400.0, 80500.0, 80400.0, 80400.0, 11000),
    ),
    # Still forming, and far ahead.
    (
        Mode.VN,
        "DHG",
        Interval.DAILY,
        at(2035, 7, 19, 6, 30, 20),
        (2068416000, 309800.0, 311800.0, 309500.0, 310900.0, 25900),
    ),
    (
        Mode.CRYPTO,
        "BTC",
        Interval.DAILY,
        at(2024, 3, 6, 23, 59, 59),
        (1709683200, 32398.67, 35004.12, 32367.1, 34633.78, 38309.06522),
    ),
    (
        Mode.CRYPTO,
        "XRP",
        Interval.HOURLY,
        at(2024, 3, 6, 3, 20, 20),
        (1709694000, 0.917, 0.918, 0.9146, 0.9162, 1891250.2),
    ),
    (
        Mode.CRYPTO,
        "SHIB",
        Interval.MINUTE,
        at(2024, 3, 6, 3, 0, 59),
        (1709694000, 1.783e-05, 1.783e-05, 1.781e-05, 1.781e-05, 77276432.4),
    ),
]


@pytest.mark.parametrize(("mode", "ticker", "interval", "end", "expected"), GOLDEN)
def test_a_bar_of_seed_1_is_pinned(mode, ticker, interval, end, expected):
    bars = MARKETS[mode].fetch(ticker, interval, end - 3 * DAY, end)
    assert row(bars, -1) == expected
