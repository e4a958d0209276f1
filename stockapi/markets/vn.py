"""The Vietnamese exchanges: HOSE, HNX and UPCOM. Prices are dong."""

import math
from datetime import time, timedelta, timezone
from typing import Final

from stockapi.markets.calendar import Calendar, Session
from stockapi.markets.market import Exchange, Market, PriceUnit, Schedule, SettingNames, Which
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode

# There has been no daylight saving time since 1975. So a fixed offset is right, and needs no time zone database.
HO_CHI_MINH: Final = timezone(timedelta(hours=7))

_INDICES: Final = (
    # of HOSE, and of HOSE and HNX together
    *("VNINDEX", "VN30", "VN100", "VNMIDCAP", "VNSMALLCAP", "VNALLSHARE", "VNXALLSHARE", "VNX50", "VNSI"),
    *("VNDIAMOND", "VNFINLEAD", "VNFINSELECT", "VN50GROWTH", "VNMITECH", "VNDIVIDEND"),
    *("VNCOND", "VNCONS", "VNENE", "VNFIN", "VNHEAL", "VNIND", "VNIT", "VNMAT", "VNREAL", "VNUTI"),
    # of HNX and of UPCOM
    *("HNXINDEX", "HNX30", "HNXLCAP", "HNXMSCAP", "HNXCON", "HNXFIN", "HNXMAN", "UPCOMINDEX"),
    # the same as some sources spell them
    *("VN-INDEX", "HNX-INDEX", "UPCOM-INDEX", "VNMID", "VNSML", "VNALL", "VNXALL"),
    # futures on VN30 and VN100: VN30F1M, VN30F2609
    *("VN30F*", "VN100F*"),
)
"""Shares have three characters and bonds longer names (VND122013), so no shorter rule than a list tells them apart."""

_EXCHANGES: Final = {
    "HOSE": Exchange(limit_percent=7, ticks=((10_000, 10), (50_000, 50), (math.inf, 100))),
    "HNX": Exchange(limit_percent=10, ticks=((math.inf, 100),)),
    "UPCOM": Exchange(limit_percent=15, ticks=((math.inf, 100),)),
}
"""The limits of shares, from the trading rules of the exchanges: HOSE's tick since 2016, UPCOM's limit since 2015."""

_SECTOR_ALIASES: Final = {
    "VAT_LIEU_XAY_DUNG": "VLXD",
    "KHOANG_SAN": "KHAI_KHOANG",
    "DIEN": "NANG_LUONG",
    "THIET_BI_DIEN": "NANG_LUONG",
    "PHAN_BON": "HOA_CHAT",
    "GO_GIAY": "OTHERS",
    "DUOC_PHAM": "SUC_KHOE",
    "CANG_BIEN": "VAN_TAI",
}
"""Sectors that only the first lists of this project had, with those that they are part of now."""


def _all(worker: str, counted: str, interval: Interval, every_s: int, every_s_when_closed: int) -> Schedule:
    return Schedule(
        worker=worker,
        health_fields=(f"{worker}_last_sync", f"{counted}_iteration_count"),
        tickers=Which.ALL,
        intervals=(interval,),
        every_s=every_s,
        every_s_when_closed=every_s_when_closed,
    )


VN: Final = Market(
    mode=Mode.VN,
    aliases=("stock", "stocks"),
    title="Vietnam",
    instruments="Vietnamese stocks",
    first_symbol="VNINDEX",
    benchmark="VNINDEX",
    sample_symbols=("VCB", "FPT"),
    sample_names=("Vietcombank", "FPT Corporation"),
    price_unit=PriceUnit.DONG,
    currency="VND",
    price_decimals=2,
    price_digits=1,
    money_decimals=0,
    has_whole_volume=True,
    profile_volume_decimals=2,
    has_legacy_prices=True,
    ticks=((10_000.0, 10.0), (50_000.0, 50.0), (math.inf, 100.0)),
    index_tick=0.01,
    exchanges=_EXCHANGES,
    calendar=Calendar(
        zone=HO_CHI_MINH,
        zone_name="Asia/Ho_Chi_Minh",
        clock_name="UTC+7, Ho Chi Minh City",
        # After 14:45 there is no auction any more, but HNX, UPCOM and put-through deals go on until 15:00.
        session=Session(opens=time(9), closes=time(15), lunch=(time(11, 30), time(13)), country="VN"),
    ),
    hour_grid_origin_s=2 * 3_600,  # 09:00 in Ho Chi Minh City; the afternoon session opens at 13:00, which is 06:00 UTC
    quiet_from=time(2, tzinfo=HO_CHI_MINH),
    odd_jump=2.0,  # the exchanges limit a change to 7 to 15 percent a day, and to 40 on the first day
    indices=_INDICES,
    symbol_suffixes=(".VN", ".HM", ".HN"),
    quotes=(),
    listings_file="vn_listings.tsv",
    sector_aliases=_SECTOR_ALIASES,
    list_group=None,
    settings=SettingNames(
        database_path="vn_database_path",
        data_dir="market_data_dir",
        groups_file="ticker_groups_file",
        index_tickers="index_tickers",
        source="vn_providers",
    ),
    live_sources=("vci", "vps", "vndirect", "dnse"),
    priority_tickers=(),
    threads={
        "daily": (_all("daily", "daily", Interval.DAILY, every_s=15, every_s_when_closed=5 * 60),),
        "hourly": (_all("hourly", "slow", Interval.HOURLY, every_s=60, every_s_when_closed=30 * 60),),
        "minute": (_all("minute", "slow", Interval.MINUTE, every_s=5 * 60, every_s_when_closed=30 * 60),),
    },
)
