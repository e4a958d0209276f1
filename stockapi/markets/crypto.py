"""Coins, priced in US dollars. They trade at any hour."""

import math
from datetime import UTC, time
from typing import Final

from stockapi.markets.calendar import Calendar
from stockapi.markets.market import Market, PriceUnit, Schedule, SettingNames, Which
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


def _always(worker: str, tickers: Which, intervals: tuple[Interval, ...], every_s: int) -> Schedule:
    fields = ("crypto_last_sync", "crypto_iteration_count")
    return Schedule(
        worker=worker,
        health_fields=fields,
        tickers=tickers,
        intervals=intervals,
        every_s=every_s,
        every_s_when_closed=every_s,
    )


CRYPTO: Final = Market(
    mode=Mode.CRYPTO,
    aliases=("cryptos",),
    title="Crypto",
    instruments="crypto coins",
    first_symbol="BTC",
    benchmark="BTC",
    sample_symbols=("BTC", "ETH"),
    sample_names=("Bitcoin", "Ethereum"),
    price_unit=PriceUnit.USD,
    currency="USD",
    price_decimals=8,
    price_digits=6,  # a coin at 0.00000000128 dollars must survive
    money_decimals=2,
    has_whole_volume=False,  # exchanges report fractions of a coin
    profile_volume_decimals=8,
    has_legacy_prices=False,
    # One tick for each two powers of ten in price, as above 0.01. With a tick of 0.0001, all trades of SHIB were at one
    # level, 0.0.
    ticks=(
        *((float(f"1e-{place}"), float(f"1e-{place + 4}")) for place in range(16, 0, -2)),
        *((1.0, 0.0001), (100.0, 0.01), (1_000.0, 0.1), (math.inf, 1.0)),
    ),
    index_tick=0.01,
    exchanges={},
    calendar=Calendar(zone=UTC, zone_name="UTC", clock_name="UTC", session=None),
    hour_grid_origin_s=0,
    quiet_from=time(21, tzinfo=UTC),  # few people trade: late evening in Europe, dinner time in America, night in Asia
    odd_jump=10.0,
    indices=(),
    symbol_suffixes=(".V",),
    quotes=("USDT", "FDUSD", "BUSD", "TUSD", "USDC", "USD"),
    listings_file="crypto_listings.tsv",
    sector_aliases={},
    list_group="CRYPTO_TOP_100",
    settings=SettingNames(
        database_path="crypto_database_path",
        data_dir="crypto_data_dir",
        groups_file="crypto_list_file",
        index_tickers=None,
        source="crypto_provider",
    ),
    live_sources=("binance", "cryptocompare"),
    priority_tickers=("BTC", "ETH", "XRP"),
    # A few coins are updated often, in all intervals. The rest is updated seldom, one interval after the other.
    threads={
        "crypto": (
            _always("crypto_priority", Which.PRIORITY, tuple(Interval), 15 * 60),
            _always("crypto_daily", Which.REST, (Interval.DAILY,), 60 * 60),
            _always("crypto_hourly", Which.REST, (Interval.HOURLY,), 3 * 60 * 60),
            _always("crypto_minute", Which.REST, (Interval.MINUTE,), 6 * 60 * 60),
        )
    },
)
