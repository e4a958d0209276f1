from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import parse_time
from stockapi.services.database_manager import DatabaseManager
from tests.support.stores import Stores, environment

TRADING = datetime(2024, 1, 5, 3, 0, tzinfo=UTC)  # a Friday, 10:00 in Vietnam
CLOSED = datetime(2024, 1, 6, 3, 0, tzinfo=UTC)  # a Saturday
FRIDAY = parse_time("2024-01-05")
DAY, HOUR, MINUTE = 86_400, 3_600, 60

TOP = "/analysis/top-performers"
SECTORS = "/analysis/ma-scores-by-sector"
PROFILE = "/analysis/volume-profile"
PATHS = [TOP, SECTORS, f"{PROFILE}?symbol=VCB&date=2024-01-05"]


def weekdays(count: int) -> list[int]:
    """The last `count` weekdays up to FRIDAY, ascending."""
    days = [FRIDAY - back * DAY for back in range(2 * count) if (FRIDAY // DAY - back + 3) % 7 < 5]
    return days[:count][::-1]


def bars(times: list[int], closes: list[float], volume: float, mode: Mode = Mode.VN, *, is_index: bool = False) -> Bars:
    prices = np.tile(np.array(closes), (4, 1))
    volumes = np.full(len(times), volume)
    whole = volumes.astype(np.int64) if market_of(mode).has_whole_volume else volumes
    return enhance(Bars.of(np.array(times), prices, whole), mode, is_index=is_index)


def rising(count: int, by: float, start: float = 10_000.0) -> list[float]:
    return [start + by * number for number in range(count)]


def fill(stores: Stores) -> None:
    """VN: ACB and VCB are banks, FPT is of another sector, NEW of none, and two of them are special:

    HPG last traded a week before Friday; SSI trades 500 shares a day. Minutes and hours are of Friday.
    """
    days = weekdays(30)
    for ticker, by, volume in (
        ("ACB", 10.0, 20_000),
        ("VCB", 30.0, 50_000),
        ("FPT", -20.0, 30_000),
        ("SSI", 90.0, 500),
    ):
        stores.save(ticker, bars(days, rising(30, by), volume))
    stores.save("HPG", bars(days[:25], rising(25, 60.0), 40_000))
    stores.save("NEW", bars(days[-3:], [10_000.0, 10_000.0, 10_500.0], 70_000))
    stores.save("VNINDEX", bars(days, rising(30, 50.0, 1_000.0), 10**9, is_index=True))
    hours = [FRIDAY + hour * HOUR for hour in (2, 3, 4)]
    stores.save("ACB", bars(hours, [10_200.0, 10_300.0, 10_250.0], 5_000), Interval.HOURLY)
    stores.save("VCB", bars(hours[1:], [10_800.0, 10_870.0], 100), Interval.HOURLY)
    stores.save("SSI", bars(hours, [12_000.0, 12_500.0, 12_610.0], 9_000), Interval.HOURLY)
    minutes = [FRIDAY - DAY + 2 * HOUR, *(FRIDAY + 2 * HOUR + number * MINUTE for number in range(4))]
    stores.save("VCB", bars(minutes, [10_800.0, 10_850.0, 10_900.0, 10_900.0, 10_950.0], 100), Interval.MINUTE)
    stores.save(
        "VNINDEX",
        bars(minutes[1:], [1_100.25, 1_100.26, 1_100.27, 1_100.27], 100, is_index=True),
        Interval.MINUTE,
    )
    coins = [FRIDAY - back * DAY for back in range(29, -1, -1)]
    stores.save("BTC", bars(coins, rising(30, 10.0), 20_000.5, Mode.CRYPTO), mode=Mode.CRYPTO)
    stores.save("ETH", bars(coins, rising(30, -10.0), 3.25, Mode.CRYPTO), mode=Mode.CRYPTO)
    stores.save("XYZ", bars(coins, rising(30, 0.0), 90_000.0, Mode.CRYPTO), mode=Mode.CRYPTO)
    last_minutes = [FRIDAY + 23 * HOUR + number * MINUTE for number in (58, 59)]
    stores.save("BTC", bars(last_minutes, [42_000.4, 42_001.0], 0.5, Mode.CRYPTO), Interval.MINUTE, Mode.CRYPTO)


def settings_in(directory: Path, **changes: str) -> Settings:
    return Settings.from_mapping(environment(directory, **changes))


def filled(directory: Path) -> Path:
    settings = settings_in(directory)
    stores = Stores.of(settings)
    fill(stores)
    stores.db_manager.close()
    return directory


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both markets in both stores, not to be changed."""
    return filled(tmp_path_factory.mktemp("stores"))


@pytest.fixture
def client(directory: Path) -> FlaskClient:
    return create_app(settings_in(directory), clock=lambda: TRADING).test_client()


def client_of(directory: Path, **changes: str) -> FlaskClient:
    return create_app(settings_in(directory, **changes), clock=lambda: TRADING).test_client()


def ok(answer: TestResponse) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json


def names(performers: list[dict[str, Any]]) -> str:
    return " ".join(each["symbol"] for each in performers)


# GET /analysis/top-performers


def test_performers_of_the_newest_bars(client: FlaskClient) -> None:
    answer = client.get(TOP)
    body = ok(answer)
    assert list(body) == ["analysis_date", "analysis_type", "total_analyzed", "data"]
    assert (body["analysis_date"], body["analysis_type"]) == ("latest", "top_performers")
    # Without the index, and without SSI, of which too little is traded.
    assert body["total_analyzed"] == 4
    assert list(body["data"]) == ["performers", "worst_performers", "hourly"]
    assert names(body["data"]["performers"]) == "NEW VCB ACB FPT"
    assert names(body["data"]["worst_performers"]) == "FPT ACB VCB NEW"
    assert body["data"]["hourly"] is None
    assert answer.headers["X-Data-Source"] == "sqlite"


def test_a_performer_has_the_numbers_of_its_bar(client: FlaskClient) -> None:
    performer = next(each for each in ok(client.get(TOP))["data"]["performers"] if each["symbol"] == "VCB")
    bar = ok(client.get("/tickers?symbol=VCB&limit=1"))["VCB"][0]
    assert list(performer) == [
        *("symbol", "time", "close", "volume", "close_changed", "volume_changed"),
        *("ma10", "ma20", "ma50", "ma100", "ma200"),
        *("ma10_score", "ma20_score", "ma50_score", "ma100_score", "ma200_score"),
        *("sector", "total_money_changed"),
    ]
    assert performer.pop("sector") == "NGAN_HANG"
    assert performer == {name: bar.get(name) for name in performer}
    assert performer["ma50"] is None


def test_a_ticker_of_no_group_has_no_sector(client: FlaskClient) -> None:
    sectors = {each["symbol"]: each["sector"] for each in ok(client.get(TOP))["data"]["performers"]}
    assert sectors == {"ACB": "NGAN_HANG", "FPT": "CONG_NGHE", "NEW": None, "VCB": "NGAN_HANG"}


@pytest.mark.parametrize(
    ("query", "performers", "worst"),
    [
        ("direction=asc", "FPT ACB VCB NEW", "NEW VCB ACB FPT"),
        ("direction=ASC&limit=2", "FPT ACB", "NEW VCB"),
        ("sort_by=volume&limit=1", "NEW", "ACB"),
        ("sort_by=total_money_changed", "NEW VCB ACB FPT", "FPT ACB VCB NEW"),
        # NEW has no averages yet
        ("sort_by=ma20_score", "VCB ACB FPT NEW", "FPT ACB VCB NEW"),
        ("sort_by=MA20_SCORE&direction=asc", "FPT ACB VCB NEW", "VCB ACB FPT NEW"),
        # nobody has this one
        ("sort_by=ma200_score", "ACB FPT NEW VCB", "ACB FPT NEW VCB"),
        ("min_volume=40000", "NEW VCB", "VCB NEW"),
        ("min_volume=0&limit=1", "NEW", "FPT"),
        ("min_volume=1000000", "", ""),
        ("sector=NGAN_HANG", "VCB ACB", "ACB VCB"),
        ("sector=ngan_hang&min_volume=30000", "VCB", "VCB"),
        ("sector=INDEX", "", ""),
        ("mode=crypto&min_volume=0", "BTC XYZ ETH", "ETH XYZ BTC"),
        ("mode=cryptos", "BTC XYZ", "XYZ BTC"),
        ("mode=crypto&min_volume=0&sector=crypto_top_100", "BTC ETH", "ETH BTC"),
        ("nobody=knows&sector=THEP", "", ""),
        # HPG has not traded for a week
        ("max_age_days=6", "NEW VCB ACB FPT", "FPT ACB VCB NEW"),
        ("max_age_days=7", "NEW HPG VCB ACB FPT", "FPT ACB VCB HPG NEW"),
        ("max_age_days=36500&sector=THEP", "HPG", "HPG"),
        ("date=2023-12-31&sector=THEP", "HPG", "HPG"),
        ("sector=NOBODY_KNOWS", "", ""),
        ("sector=../secret", "", ""),
        ("limit=0", "", ""),
        ("sector=NGAN_HANG&limit=101&date=latest&with_hour=", "VCB ACB", "ACB VCB"),
    ],
)
def test_parameters_of_top_performers(client: FlaskClient, query: str, performers: str, worst: str) -> None:
    data = ok(client.get(f"{TOP}?{query}"))["data"]
    assert (names(data["performers"]), names(data["worst_performers"])) == (performers, worst)


def test_the_total_counts_what_the_filters_leave_and_not_what_is_shown(client: FlaskClient) -> None:
    assert ok(client.get(f"{TOP}?limit=1"))["total_analyzed"] == 4
    assert ok(client.get(f"{TOP}?limit=1&sector=NGAN_HANG"))["total_analyzed"] == 2


@pytest.mark.parametrize(
    ("date", "day_of_vcb", "total"),
    [
        ("2024-01-05", "2024-01-05", 4),
        ("2024-01-06", "2024-01-05", 4),  # a Saturday
        ("2030-01-01", "2024-01-05", 4),
        ("2024-01-04", "2024-01-04", 4),
        ("2023-12-31", "2023-12-29", 4),  # a Sunday; NEW is not there yet
        ("2010-01-01", None, 0),
    ],
)
def test_the_last_bar_on_or_before_a_date(client: FlaskClient, date: str, day_of_vcb: str | None, total: int) -> None:
    body = ok(client.get(f"{TOP}?date={date}"))
    assert (body["analysis_date"], body["total_analyzed"]) == (date, total)
    closes = {each["symbol"]: each["close"] for each in body["data"]["performers"]}
    if day_of_vcb is None:
        assert closes == {}
    else:
        bars = ok(client.get("/tickers?symbol=VCB"))["VCB"]
        assert closes["VCB"] == next(each["close"] for each in bars if each["time"] == day_of_vcb)


def test_the_hours_of_the_newest_day(client: FlaskClient) -> None:
    """VCB and SSI have no change in their first hour; SSI is left out for its day's volume, VCB stays for its."""
    hours = ok(client.get(f"{TOP}?with_hour=true"))["data"]["hourly"]
    assert [list(each) for each in hours] == [["hour", "performers", "worst_performers"]] * 3
    assert [(each["hour"], names(each["performers"]), names(each["worst_performers"])) for each in hours] == [
        ("2024-01-05T02:00:00", "ACB", "ACB"),
        ("2024-01-05T03:00:00", "ACB VCB", "ACB VCB"),
        ("2024-01-05T04:00:00", "VCB ACB", "ACB VCB"),
    ]
    assert hours[1]["performers"][0]["close_changed"] == 0.9804
    assert hours[1]["performers"][1]["close_changed"] is None


@pytest.mark.parametrize(
    ("form", "day", "hour"),
    [
        ("plain", "2024-01-05", "2024-01-05T02:00:00"),
        ("iso", "2024-01-05", "2024-01-05T02:00:00Z"),
        ("unix", 1_704_412_800, 1_704_420_000),
        ("ms", 1_704_412_800_000, 1_704_420_000_000),
    ],
)
def test_times_of_bars_in_the_form_asked_for(client: FlaskClient, form: str, day: object, hour: object) -> None:
    data = ok(client.get(f"{TOP}?with_hour=true&time={form}"))["data"]
    assert {each["time"] for each in data["performers"]} == {day}
    first = data["hourly"][0]
    assert (first["hour"], first["performers"][0]["time"]) == (hour, hour)
    sectors = ok(client.get(f"{SECTORS}?time={form}"))["data"]["sectors"]
    assert {stock["time"] for sector in sectors for stock in sector["top_stocks"]} == {day}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("date=2024-01-07", 3),  # a Sunday: the hours are Friday's
        ("date=2024-01-04", 0),  # no hours are stored of that day
        ("date=2010-01-01", 0),
        ("sector=THEP", 0),  # its newest day has no hours
    ],
)
def test_hours_by_date(client: FlaskClient, query: str, count: int) -> None:
    assert len(ok(client.get(f"{TOP}?with_hour=1&{query}"))["data"]["hourly"]) == count


def test_a_group_of_ones_own_is_the_sector_one_asked_for(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text('{"Banks": ["ACB", "VCB"], "BANKS": ["ACB"], "Mine": ["VCB", "FPT"]}')
    client = client_of(directory, TICKER_GROUPS_FILE=str(file))
    performers = ok(client.get(f"{TOP}?sector=mine"))["data"]["performers"]
    assert [(each["symbol"], each["sector"]) for each in performers] == [("VCB", "Mine"), ("FPT", "Mine")]
    assert names(ok(client.get(f"{TOP}?sector=Banks"))["data"]["performers"]) == "VCB ACB"
    assert names(ok(client.get(f"{TOP}?sector=BANKS"))["data"]["performers"]) == "ACB"


@pytest.mark.parametrize("query", ["sector=NANG_LUONG", "sector=DIEN", "sector=thiet_bi_dien"])
def test_names_of_sectors_that_only_this_api_had_are_aliases(directory: Path, tmp_path: Path, query: str) -> None:
    file = tmp_path / "groups.json"
    file.write_text('{"NANG_LUONG": ["FPT"], "Mine": ["VCB"]}')
    performers = ok(client_of(directory, TICKER_GROUPS_FILE=str(file)).get(f"{TOP}?{query}"))["data"]["performers"]
    assert [(each["symbol"], each["sector"]) for each in performers] == [("FPT", "NANG_LUONG")]


# GET /analysis/ma-scores-by-sector


def test_sectors_of_the_newest_bars(client: FlaskClient) -> None:
    answer = client.get(SECTORS)
    body = ok(answer)
    assert (body["analysis_date"], body["analysis_type"]) == ("latest", "ma_scores_by_sector")
    # NEW has neither sector nor score, VNINDEX is an index.
    assert body["total_analyzed"] == 4
    assert list(body["data"]) == ["sectors", "ma_period", "threshold"]
    assert (body["data"]["ma_period"], body["data"]["threshold"]) == (20, 0.0)
    found = body["data"]["sectors"]
    assert [(each["sector_name"], each["total_stocks"], each["stocks_above_threshold"]) for each in found] == [
        ("CHUNG_KHOAN", 1, 1),
        ("NGAN_HANG", 2, 2),
        ("CONG_NGHE", 1, 0),
    ]
    assert answer.headers["X-Data-Source"] == "sqlite"


def test_a_sector_has_the_numbers_of_its_bars(client: FlaskClient) -> None:
    banks = next(
        each for each in ok(client.get(f"{SECTORS}?ma_period=10"))["data"]["sectors"] if each["total_stocks"] == 2
    )
    newest = {symbol: rows[0] for symbol, rows in ok(client.get("/tickers?symbol=ACB,VCB&limit=1")).items()}
    assert list(banks) == ["sector_name", "total_stocks", "stocks_above_threshold", "average_score", "top_stocks"]
    assert banks["average_score"] == pytest.approx(sum(each["ma10_score"] for each in newest.values()) / 2, abs=6e-5)
    assert banks["top_stocks"] == [
        {
            "symbol": symbol,
            "time": newest[symbol]["time"],
            "close": newest[symbol]["close"],
            "volume": newest[symbol]["volume"],
            "ma_value": newest[symbol]["ma10"],
            "ma_score": newest[symbol]["ma10_score"],
            "close_changed": newest[symbol]["close_changed"],
            "volume_changed": newest[symbol]["volume_changed"],
        }
        for symbol in ("VCB", "ACB")
    ]


@pytest.mark.parametrize(
    ("query", "total", "expected"),
    [
        ("above_threshold_only=true", 4, {"CHUNG_KHOAN": "SSI", "NGAN_HANG": "VCB ACB"}),
        ("above_threshold_only=1&min_score=2", 4, {"CHUNG_KHOAN": "SSI", "NGAN_HANG": "VCB"}),
        ("above_threshold_only=1&min_score=1e2", 4, {}),
        (
            "min_score=-50&above_threshold_only=1&top_per_sector=1",
            4,
            {"CHUNG_KHOAN": "SSI", "NGAN_HANG": "VCB", "CONG_NGHE": "FPT"},
        ),
        ("ma_period=50", 0, {}),
        ("max_age_days=7&above_threshold_only=1", 5, {"CHUNG_KHOAN": "SSI", "THEP": "HPG", "NGAN_HANG": "VCB ACB"}),
        ("date=2023-12-31&ma_period=20&min_score=2&above_threshold_only=1", 5, None),
        ("date=2010-01-01", 0, {}),
        ("mode=crypto", 2, {"CRYPTO_TOP_100": "BTC ETH"}),
        ("mode=crypto&top_per_sector=1", 2, {"CRYPTO_TOP_100": "BTC"}),
    ],
)
def test_parameters_of_sectors(client: FlaskClient, query: str, total: int, expected: dict[str, str] | None) -> None:
    body = ok(client.get(f"{SECTORS}?{query}"))
    assert body["total_analyzed"] == total
    if expected is not None:
        assert {each["sector_name"]: names(each["top_stocks"]) for each in body["data"]["sectors"]} == expected
    else:
        (ssi,) = body["data"]["sectors"][0]["top_stocks"]
        bars = ok(client.get("/tickers?symbol=SSI&end_date=2023-12-31&limit=1"))["SSI"]
        assert (body["analysis_date"], ssi["ma_score"]) == ("2023-12-31", bars[0]["ma20_score"])


def test_the_answer_names_period_and_threshold(client: FlaskClient) -> None:
    data = ok(client.get(f"{SECTORS}?ma_period=100&min_score=-0"))["data"]
    assert (data["ma_period"], str(data["threshold"])) == (100, "0.0")


# GET /analysis/volume-profile


def test_the_profile_of_a_day(client: FlaskClient) -> None:
    answer = client.get(f"{PROFILE}?symbol=vcb&date=2024-01-05")
    assert ok(answer) == {
        "analysis_date": "2024-01-05",
        "analysis_type": "volume_profile",
        "total_analyzed": 4,
        "data": {
            "symbol": "VCB",
            "total_volume": 400,
            "total_minutes": 4,
            "price_range": {"low": 10_850.0, "high": 10_950.0, "spread": 100.0},
            "poc": {"price": 10_900.0, "volume": 200.0, "percentage": 50.0},
            "value_area": {"low": 10_900.0, "high": 10_950.0, "volume": 300.0, "percentage": 75.0},
            "profile": [
                {"price": 10_850.0, "volume": 100.0, "percentage": 25.0, "cumulative_percentage": 25.0},
                {"price": 10_900.0, "volume": 200.0, "percentage": 50.0, "cumulative_percentage": 75.0},
                {"price": 10_950.0, "volume": 100.0, "percentage": 25.0, "cumulative_percentage": 100.0},
            ],
            "statistics": {
                "mean_price": 10_900.0,
                "median_price": 10_900.0,
                "std_deviation": 35.36,
                "skewness": 0.0,
            },
            "tick_level": {
                "tick_size": 50.0,
                "poc": {"price": 10_900.0, "volume": 200.0, "percentage": 50.0},
                "value_area": {"low": 10_900.0, "high": 10_950.0, "volume": 300.0, "percentage": 75.0},
                "statistics": {
                    "mean_price": 10_900.0,
                    "median_price": 10_900.0,
                    "std_deviation": 35.36,
                    "skewness": 0.0,
                },
            },
        },
    }
    assert b'"total_volume":400,' in answer.data, "shares are whole"
    assert answer.headers["X-Data-Source"] == "sqlite"


@pytest.mark.parametrize(
    ("query", "dates", "minutes"),
    [
        ("date=2024-01-04", "2024-01-04", 1),
        ("date=2024-1-4&start_date=&end_date=", "2024-01-04", 1),
        ("date=latest", "2024-01-05", 4),
        ("start_date=2024-01-04", "2024-01-04", 1),
        ("start_date=2024-01-04&end_date=2024-01-04", "2024-01-04", 1),
        ("start_date=2024-01-04&end_date=2024-01-05", "2024-01-04 to 2024-01-05", 5),
        ("start_date=2024-01-05&end_date=2030-01-01", "2024-01-05 to 2030-01-01", 4),
        ("start_date=1969-12-31&end_date=2030-01-01", "1969-12-31 to 2030-01-01", 5),
    ],
)
def test_days_and_ranges(client: FlaskClient, query: str, dates: str, minutes: int) -> None:
    body = ok(client.get(f"{PROFILE}?symbol=VCB&{query}"))
    assert (body["analysis_date"], body["total_analyzed"], body["data"]["total_minutes"]) == (dates, minutes, minutes)


def test_an_index_has_ticks_of_its_own(client: FlaskClient) -> None:
    profile = ok(client.get(f"{PROFILE}?symbol=VNINDEX&date=2024-01-05"))["data"]["profile"]
    assert [each["price"] for each in profile] == [1_100.25, 1_100.26, 1_100.27]


def test_the_last_minute_of_a_coins_day_belongs_to_it(client: FlaskClient) -> None:
    data = ok(client.get(f"{PROFILE}?symbol=BTC&date=2024-01-05&mode=crypto"))["data"]
    assert (data["total_volume"], [each["price"] for each in data["profile"]]) == (1.0, [42_000.0, 42_001.0])


@pytest.mark.parametrize(
    ("query", "bins"), [("", 3), ("bins=2", 2), ("bins=1", 2), ("bins=-7", 2), ("bins=3", 3), ("bins=99999", 3)]
)
def test_bins_are_clamped(client: FlaskClient, query: str, bins: int) -> None:
    assert len(ok(client.get(f"{PROFILE}?symbol=VCB&date=2024-01-05&{query}"))["data"]["profile"]) == bins


@pytest.mark.parametrize(
    ("text", "share"),
    [("70", 75.0), ("50.5", 75.0), ("-1e3", 75.0), ("75", 75.0), ("75.1", 100.0), ("90", 100.0), ("1e999", 100.0)],
)
def test_the_value_area_is_clamped(client: FlaskClient, text: str, share: float) -> None:
    data = ok(client.get(f"{PROFILE}?symbol=VCB&date=2024-01-05&value_area_pct={text}"))["data"]
    assert data["value_area"]["percentage"] == share


@pytest.mark.parametrize("path", ["value_area_pct=0", "value_area_pct=60"])
def test_a_small_value_area_is_of_sixty_percent(client: FlaskClient, path: str) -> None:
    """The point of control has 50 percent: less than 60, so one step is made."""
    data = ok(client.get(f"{PROFILE}?symbol=VCB&date=2024-01-05&{path}"))["data"]
    assert data["value_area"]["percentage"] == 75.0


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("symbol=VCB&date=2024-01-06", "there are no minute bars of VCB on 2024-01-06 (mode vn); allowed: "),
        ("symbol=nobody&date=2024-01-05", "there are no minute bars of NOBODY on 2024-01-05 (mode vn); allowed: "),
        ("symbol=VCB&date=2024-01-05&mode=crypto", "there are no minute bars of VCB on 2024-01-05 (mode crypto); "),
        ("symbol=VCB&start_date=2024-01-06", "there are no minute bars of VCB on 2024-01-06 (mode vn); allowed: "),
        (
            "symbol=VCB&start_date=2024-01-06&end_date=2024-01-07",
            "there are no minute bars of VCB on 2024-01-06 to 2024-01-07 (mode vn); allowed: ",
        ),
        (
            "symbol=VCB&start_date=2024-01-05&end_date=2024-01-04",
            "there are no minute bars of VCB on 2024-01-05 to 2024-01-04 (mode vn); allowed: ",
        ),
        ("symbol=nobody&date=latest", "there are no minute bars of NOBODY on latest (mode vn); allowed: "),
    ],
)
def test_no_minutes_are_404(client: FlaskClient, query: str, text: str) -> None:
    answer = client.get(f"{PROFILE}?{query}")
    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["error"].startswith(text)


# Parameters that are not allowed

DAYS = "allowed: either date, or start_date with or without end_date"
ONE_DATE = "allowed: a date such as 2024-01-31, in the years 1 to 9999"
DATE = f"{ONE_DATE}, or latest"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{TOP}?date=2024-02-30", f"date '2024-02-30' is not allowed; {DATE}"),
        (f"{TOP}?date=20240131", f"date '20240131' is not allowed; {DATE}"),
        (f"{TOP}?date=2024-01-31T09:15:00", f"date '2024-01-31T09:15:00' is not allowed; {DATE}"),
        (f"{TOP}?date=2024-01-05&date=2024-01-05", "date is given 2 times; allowed: once"),
        (
            f"{TOP}?sort_by=close",
            "sort_by 'close' is not allowed; allowed: close_changed, volume, value, volume_changed, "
            "total_money_changed, ma10_score, ma20_score, ma50_score, ma100_score, ma200_score",
        ),
        (f"{TOP}?direction=up", "direction 'up' is not allowed; allowed: desc, asc"),
        (f"{TOP}?limit=-1", "limit '-1' is not allowed; allowed: a whole number from 0 on, clamped to 100"),
        (
            f"{TOP}?min_volume=-1",
            "min_volume '-1' is not allowed; allowed: a whole number from 0 on, clamped to 1000000000000000",
        ),
        (f"{TOP}?with_hour=yes", "with_hour 'yes' is not allowed; allowed: true, 1, false, 0"),
        (f"{TOP}?mode=bonds", "mode 'bonds' is unknown; allowed: vn, crypto"),
        (f"{TOP}?limit=x&direction=y", "direction 'y' is not allowed; allowed: desc, asc; limit 'x' is not allowed; "),
        (f"{SECTORS}?date=x", f"date 'x' is not allowed; {DATE}"),
        (f"{SECTORS}?ma_period=30", "ma_period '30' is not allowed; allowed: 10, 20, 50, 100, 200"),
        (f"{SECTORS}?min_score=nan", "min_score 'nan' is not allowed; allowed: a number from -1000000 to 1000000"),
        (f"{SECTORS}?min_score=1e7", "min_score '1e7' is not allowed; allowed: a number from -1000000 to 1000000"),
        (f"{SECTORS}?min_score=1_0", "min_score '1_0' is not allowed; allowed: a number from -1000000 to 1000000"),
        (f"{SECTORS}?above_threshold_only=2", "above_threshold_only '2' is not allowed; allowed: true, 1, false, 0"),
        (f"{SECTORS}?period=20", "parameter 'period' is unknown; ma_period was meant? allowed: date, "),
        (f"{TOP}?sort=volume", "parameter 'sort' is unknown; sort_by was meant? allowed: date, sort_by, direction,"),
        (f"{PROFILE}?symbols=VCB", "parameter 'symbols' is unknown; symbol was meant? allowed: symbol, date,"),
        (f"{PROFILE}?date=2024-01-05", "symbol is missing; allowed: one symbol, 1 to 20 of A-Z 0-9 . _ -"),
        (f"{PROFILE}?symbol=VCB,ACB&date=2024-01-05", "symbol 'VCB,ACB' is not allowed; a symbol is 1 to 20 of"),
        (f"{PROFILE}?symbol=VCB&symbol=ACB&date=2024-01-05", "symbol is given 2 times; allowed: once"),
        (f"{PROFILE}?symbol=../x&date=2024-01-05", "symbol '../x' is not allowed; a symbol is 1 to 20 of"),
        (f"{PROFILE}?symbol=VCB", f"date is missing; {DAYS}"),
        (f"{PROFILE}?symbol=VCB&end_date=2024-01-05", f"start_date is missing; {DAYS}"),
        (
            f"{PROFILE}?symbol=VCB&date=2024-01-05&start_date=2024-01-05",
            f"date is given together with start_date or end_date; {DAYS}",
        ),
        (
            f"{PROFILE}?symbol=VCB&date=2024-01-05&end_date=2024-01-05",
            f"date is given together with start_date or end_date; {DAYS}",
        ),
        (f"{PROFILE}?symbol=VCB&start_date=9", f"start_date '9' is not allowed; {ONE_DATE}"),
        (
            f"{PROFILE}?symbol=VCB&start_date=2024-01-05&end_date=x",
            f"end_date 'x' is not allowed; {ONE_DATE}",
        ),
        (
            f"{PROFILE}?symbol=VCB&date=2024-01-05&bins=many",
            "bins 'many' is not allowed; allowed: a whole number; it is clamped to 2 to 200",
        ),
        (
            f"{PROFILE}?symbol=VCB&date=2024-01-05&bins=2.5",
            "bins '2.5' is not allowed; allowed: a whole number; it is clamped to 2 to 200",
        ),
        (
            f"{PROFILE}?symbol=VCB&date=2024-01-05&value_area_pct=inf",
            "value_area_pct 'inf' is not allowed; allowed: a number; it is clamped to 60 to 90",
        ),
        (f"{PROFILE}?symbol=VCB&date=2024-01-05&mode=us", "mode 'us' is unknown; allowed: vn, crypto"),
    ],
)
def test_a_wrong_parameter_is_400(client: FlaskClient, path: str, text: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.json is not None
    assert list(answer.json) == ["error"]
    assert answer.json["error"].startswith(text)


def test_a_bar_that_cannot_be_counted_is_413(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    stores = Stores.of(settings)
    damaged = [FRIDAY + 2 * HOUR, FRIDAY + 2 * HOUR + MINUTE]
    stores.save("VCB", bars(damaged, [10_000.0, 1e12], 100), Interval.MINUTE)
    stores.db_manager.close()
    answer = client_of(tmp_path).get(f"{PROFILE}?symbol=VCB&date=2024-01-05")
    assert answer.status_code == 413
    assert answer.json is not None
    assert "without the damaged bar" in answer.json["error"]


# Headers, stores


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("now", "max_age"), [(TRADING, 30), (CLOSED, 120)])
def test_an_answer_may_be_kept_as_long_as_bars(directory: Path, path: str, now: datetime, max_age: int) -> None:
    client = create_app(settings_in(directory), clock=lambda: now).test_client()
    assert client.get(path).headers["Cache-Control"] == f"max-age={max_age}"


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_has_it_gets_304(client: FlaskClient, path: str) -> None:
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Cache-Control", "X-Data-Source"):
        assert again.headers[name] == first.headers[name]


@pytest.mark.parametrize("path", [*PATHS, f"{TOP}?with_hour=1&mode=crypto", f"{TOP}?with_hour=1"])
@pytest.mark.parametrize("content", [None, b"", b"garbage " * 1_000])
def test_without_the_database_csv_gives_the_same_answer(
    client: FlaskClient, tmp_path: Path, path: str, content: bytes | None
) -> None:
    filled(tmp_path)
    for name in ("vn_data.db", "crypto_data.db"):
        for file in tmp_path.glob(f"{name}*"):
            file.unlink()
        if content is not None:
            (tmp_path / name).write_bytes(content)
    answer = client_of(tmp_path).get(path)
    assert answer.headers["X-Data-Source"] == "csv"
    assert ok(answer) == ok(client.get(path))
    refused = client_of(tmp_path, FALLBACK_TO_CSV="false").get(path)
    assert refused.status_code == 503
    assert refused.json == {"error": "the market data cannot be read right now; try again shortly"}


def test_days_from_one_store_and_hours_from_the_other_are_mixed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    stores = Stores.of(settings)
    stores.save("VCB", bars(weekdays(3), rising(3, 10.0), 50_000))
    stores.csv_store.write(SeriesKey(Mode.VN, "VCB", Interval.HOURLY), bars([FRIDAY + 2 * HOUR], [10_000.0], 5))
    stores.db_manager.close()
    client = client_of(tmp_path)
    assert client.get(TOP).headers["X-Data-Source"] == "sqlite"
    answer = client.get(f"{TOP}?with_hour=1")
    assert len(ok(answer)["data"]["hourly"]) == 1
    assert answer.headers["X-Data-Source"] == "mixed"


@pytest.mark.parametrize("path", [TOP, SECTORS])
def test_a_market_without_bars_is_an_empty_answer(tmp_path: Path, path: str) -> None:
    (tmp_path / "market_data").mkdir()
    settings = settings_in(tmp_path)
    db_manager = DatabaseManager(settings)
    db_manager.upgrade(Mode.VN)
    db_manager.close()
    body = ok(client_of(tmp_path).get(path))
    assert body["total_analyzed"] == 0
    assert all(not body["data"][name] for name in ("performers", "worst_performers", "sectors") if name in body["data"])
