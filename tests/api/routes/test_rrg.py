"""GET /analysis/rrg: which tickers, which sessions, and that an answer is computed from the bars that /tickers has."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.mode import Mode
from stockapi.services.data_store import DataStore
from tests.calc.test_rotation import by_definition
from tests.support.stores import Stores, environment

DAY = 86_400
FIRST, COUNT = 19_000, 200
LAST = FIRST + COUNT - 1
"""Days since 1970."""
RRG = "/analysis/rrg"


def day_text(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()


def bars(seed: int, days: list[int], volume: int = 50_000, mode: Mode = Mode.VN) -> Bars:
    """A walk; the same on the same days, whichever others there are."""
    walk = 30_000 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, COUNT)))
    close = walk[np.array(days) - FIRST]
    volumes = np.full(len(days), volume) if market_of(mode).has_whole_volume else np.full(len(days), float(volume))
    time = np.array(days, dtype=np.int64) * DAY
    return enhance(Bars.of(time, np.tile(close, (4, 1)), volumes), mode, is_index=False)


DAYS = list(range(FIRST, LAST + 1))


def fill(stores: Stores) -> None:
    stores.save("VNINDEX", bars(1, [day for day in DAYS if day != LAST - 5]))
    stores.save("VN30", bars(2, DAYS))
    stores.save("VCB", bars(3, DAYS))
    stores.save("ACB", bars(4, [day for day in DAYS if day % 3 or day == LAST]))
    stores.save("HPG", bars(5, [*DAYS[:150], LAST]))
    stores.save("FPT", bars(6, DAYS, volume=5_000))
    stores.save("NEW", bars(7, DAYS[-28:]))
    stores.save("ENDED", bars(8, DAYS[:-1]))
    for seed, coin in enumerate(("BTC", "ETH", "XRP")):
        stores.save(coin, bars(seed, DAYS, mode=Mode.CRYPTO), mode=Mode.CRYPTO)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("stores")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    fill(stores)
    stores.db_manager.close()
    return directory


def client_of(directory: Path, **changes: str) -> FlaskClient:
    now = datetime.fromtimestamp(LAST * DAY + 5 * 3_600, UTC)
    return create_app(Settings.from_mapping(environment(directory, **changes)), clock=lambda: now).test_client()


@pytest.fixture
def client(directory: Path) -> FlaskClient:
    return client_of(directory)


def data(client: FlaskClient, query: str = "") -> Any:
    answer = client.get(f"{RRG}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json["data"]  # type: ignore[index]


def symbols(found: Any) -> str:
    return " ".join(each["symbol"] for each in found["tickers"])


def closes(client: FlaskClient, symbol: str, mode: str = "vn") -> dict[str, float]:
    rows = client.get(f"/tickers?symbol={symbol}&mode={mode}&limit=0&columns=time,close").json[symbol]  # type: ignore[index]
    return {row["time"]: row["close"] for row in rows}


def test_the_whole_answer(client: FlaskClient) -> None:
    answer = client.get(RRG)
    body: Any = answer.json
    assert answer.headers["X-Data-Source"] == "sqlite"
    assert {name: body[name] for name in ("analysis_date", "analysis_type", "total_analyzed")} == {
        "analysis_date": "latest",
        "analysis_type": "rrg",
        "total_analyzed": 3,
    }
    found = body["data"]
    assert (found["algorithm"], found["benchmark"], found["period"]) == ("jdk", "VNINDEX", 10)
    # No index, no benchmark, nothing of little volume, nothing that is too short or did not trade today.
    assert symbols(found) == "ACB HPG VCB"
    first = found["tickers"][0]
    assert list(first) == [
        *("symbol", "time", "close", "volume", "rs_ratio", "rs_momentum", "raw_rs", "quadrant", "sector", "trails")
    ]
    assert first["sector"] == "NGAN_HANG"
    assert [len(each["trails"]) for each in found["tickers"]] == [10, 10, 10]
    newest = {name: first[name] for name in ("time", "rs_ratio", "rs_momentum")}
    assert first["trails"][-1] == newest


@pytest.mark.parametrize(("query", "period"), [("", 10), ("period=4&trails=120", 4), ("period=50&trails=3", 50)])
@pytest.mark.parametrize(("mode", "benchmark"), [("vn", "VNINDEX"), ("vn", "VN30"), ("vn", "ENDED"), ("crypto", "BTC")])
def test_points_are_those_of_the_definition_over_all_common_sessions(
    client: FlaskClient, query: str, period: int, mode: str, benchmark: str
) -> None:
    other = closes(client, benchmark, mode)
    found = data(client, f"mode={mode}&benchmark={benchmark}&{query}")
    assert found["tickers"]
    for each in found["tickers"]:
        own = closes(client, each["symbol"], mode)
        days = [day for day in own if day in other]
        points = by_definition([own[day] for day in days], [other[day] for day in days], period)
        expected = dict(zip(days[-len(points) :], points, strict=True))
        assert each["time"] == days[-1]
        assert each["raw_rs"] == own[days[-1]] / other[days[-1]]
        assert [point["time"] for point in each["trails"]] == list(expected)[-len(each["trails"]) :]
        for point in each["trails"]:
            assert (point["rs_ratio"], point["rs_momentum"]) == pytest.approx(expected[point["time"]], abs=1e-4)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("min_volume=0", "ACB FPT HPG VCB"),
        ("min_volume=50001", ""),
        ("sector=ngan_hang", "ACB VCB"),
        ("sector=NOBODY_KNOWS", ""),
        ("period=4&min_volume=0", "ACB FPT HPG NEW VCB"),
        ("period=0&min_volume=0", "ACB FPT HPG NEW VCB"),
        ("period=1000", "HPG VCB"),
        ("benchmark=VCB", "ACB HPG"),
        ("benchmark=vn30", "ACB HPG VCB"),
        ("mode=crypto", "ETH XRP"),
        ("mode=crypto&benchmark=ETH", "BTC XRP"),
        # the benchmark's newest session counts
        ("benchmark=ENDED", "ACB VCB"),
        (f"date={day_text(LAST - 1)}&min_volume=0", "ACB ENDED FPT VCB"),
        (f"date={day_text(FIRST + 20)}", ""),
        (f"date={day_text(FIRST + 30)}&trails=120", "ENDED HPG VCB"),
        ("date=2090-01-01", "ACB HPG VCB"),
        ("algorithm=mascore", "ACB HPG VCB"),
        ("algorithm=MASCORE&mode=crypto", "BTC ETH XRP"),
        ("algorithm=mascore&sector=NGAN_HANG&min_volume=0", "ACB VCB"),
        ("algorithm=mascore&benchmark=NOSUCH&period=7", "ACB HPG VCB"),
        (f"algorithm=mascore&date={day_text(LAST - 1)}", "ACB ENDED VCB"),
        ("algorithm=mascore&date=2000-01-01", ""),
    ],
)
def test_which_tickers(client: FlaskClient, query: str, expected: str) -> None:
    assert symbols(data(client, query)) == expected


def test_scores_are_those_of_the_bars(client: FlaskClient) -> None:
    found = data(client, "algorithm=mascore&trails=5")
    assert (found["algorithm"], found["benchmark"], found["period"]) == ("mascore", None, None)
    for each in found["tickers"]:
        rows = client.get(f"/tickers?symbol={each['symbol']}&limit=5").json[each["symbol"]]  # type: ignore[index]
        assert each["trails"] == [
            {"time": row["time"], "rs_ratio": row["ma20_score"], "rs_momentum": row["ma100_score"]} for row in rows
        ]
        assert (each["raw_rs"], each["close"], each["volume"]) == (None, rows[-1]["close"], rows[-1]["volume"])
        right, up = each["rs_ratio"] >= 0, each["rs_momentum"] >= 0
        names = {(True, True): "leading", (True, False): "weakening", (False, False): "lagging"}
        assert each["quadrant"] == names.get((right, up), "improving")


@pytest.mark.parametrize("algorithm", ["jdk", "mascore"])
def test_trails(client: FlaskClient, algorithm: str) -> None:
    """They do not change the point, nor each other."""
    longest = data(client, f"algorithm={algorithm}&trails=200")["tickers"]
    assert max(len(each["trails"]) for each in longest) <= 120
    for trails in (0, 1, 7):
        shown = data(client, f"algorithm={algorithm}&trails={trails}")["tickers"]
        for each, whole in zip(shown, longest, strict=True):
            assert each["trails"] == (whole["trails"][-trails:] if trails else None)
            assert {**each, "trails": None} == {**whole, "trails": None}


def test_a_past_day_is_answered_as_it_was_then(client: FlaskClient) -> None:
    """The point of a day is the one that the trail of a later day has there."""
    trail = next(each for each in data(client, "trails=20")["tickers"] if each["symbol"] == "VCB")["trails"]
    for point in trail[::6]:
        found = data(client, f"date={point['time']}&trails=1&min_volume=0")["tickers"]
        assert next(each for each in found if each["symbol"] == "VCB")["trails"] == [point]


def test_csv_answers_the_same(client: FlaskClient, directory: Path) -> None:
    from_csv = client_of(directory, SQLITE_READS="false")
    for query in ("trails=120&period=20&min_volume=0", "algorithm=mascore", "mode=crypto"):
        answer = from_csv.get(f"{RRG}?{query}")
        assert answer.headers["X-Data-Source"] == "csv"
        assert answer.data == client.get(f"{RRG}?{query}").data


def test_tickers_with_holes_are_read_further_back_and_others_only_once(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...] | None] = []
    read = DataStore.get_data_smart_sqlite

    def watched(self: DataStore, params: Any, limits: Any) -> Any:
        asked.append(params.symbols)
        return read(self, params, limits)

    monkeypatch.setattr(DataStore, "get_data_smart_sqlite", watched)
    assert symbols(data(client)) == "ACB HPG VCB"
    assert asked[:2] == [("VNINDEX",), None]
    assert asked[2:] == [("ACB", "ENDED", "HPG", "NEW"), ("NEW",)]


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        (
            "benchmark=NOSUCH",
            404,
            f"there are no daily bars of the benchmark NOSUCH up to {day_text(LAST)} (mode vn); "
            "allowed: a symbol, and days since its first bar",
        ),
        (
            "date=2000-01-01&mode=crypto",
            404,
            "there are no daily bars of the benchmark BTC up to 2000-01-01 (mode crypto); "
            "allowed: a symbol, and days since its first bar",
        ),
        (
            "tail=5",
            400,
            "parameter 'tail' is unknown; trails was meant? allowed: algorithm, benchmark, period, trails, "
            "date, sector, min_volume, format, time, mode",
        ),
        ("algorithm=zscore", 400, "algorithm 'zscore' is not allowed; allowed: jdk, mascore"),
    ],
)
def test_errors(client: FlaskClient, query: str, status: int, error: str) -> None:
    answer = client.get(f"{RRG}?{query}")
    assert (answer.status_code, answer.json) == (status, {"error": error})


@pytest.mark.parametrize("algorithm", ["jdk", "mascore"])
def test_row_budget_and_deadline_hold(directory: Path, algorithm: str) -> None:
    too_many = client_of(directory, MAX_RESPONSE_ROWS="20").get(f"{RRG}?algorithm={algorithm}")
    assert too_many.status_code == 413
    late = client_of(directory, QUERY_DEADLINE_MS="1").get(f"{RRG}?algorithm={algorithm}&trails=120&period=50")
    assert late.status_code == 503
    assert "took too long" in late.text


@pytest.mark.parametrize(
    ("time", "expected"), [("iso", day_text(LAST)), ("unix", LAST * DAY), ("ms", LAST * DAY * 1_000)]
)
def test_forms_of_times(client: FlaskClient, time: str, expected: object) -> None:
    first = data(client, f"time={time}")["tickers"][0]
    assert first["time"] == expected
    assert first["trails"][-1]["time"] == expected
