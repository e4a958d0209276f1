"""`closed=true`: bars that are not known to be closed are left out, whatever else is asked for, from either store."""

from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.models import Bars, Interval, Mode
from stockapi.models.interval import ALLOWED_INTERVALS
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.closings import FILE_NAME
from stockapi.services.data_store import DataStore
from tests.support.stores import MakeStores, Stores, environment, make_bars

DAY, HOUR, MINUTE = Interval
NOW = datetime(2026, 11, 27, 5, 17, 20, tzinfo=UTC)
"""A Friday, 12:17:20 in Ho Chi Minh City."""
SECONDS = int(NOW.timestamp())
DAYS = {DAY: 60, HOUR: 12, MINUTE: 3}
TICKERS = {Mode.VN: ("VCB", "VNINDEX"), Mode.CRYPTO: ("BTC",)}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both markets as they were fetched at NOW, in both stores, and the record of it. Not to be changed."""
    directory = tmp_path_factory.mktemp("stores")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    for mode, tickers in TICKERS.items():
        for ticker, interval in product(tickers, Interval):
            bars = SimulatedProvider(mode, 1).fetch(ticker, interval, SECONDS - DAYS[interval] * 86_400, SECONDS)
            stores.save(ticker, enhance(bars, mode, is_index=ticker == "VNINDEX"), interval, mode, now=NOW)
    stores.db_manager.close()
    return directory


def client_of(directory: Path, now: int = SECONDS, **variables: str) -> FlaskClient:
    settings = Settings.from_mapping(environment(directory, **variables))
    return create_app(settings, clock=lambda: datetime.fromtimestamp(now, UTC)).test_client()


@pytest.fixture(scope="module")
def client(directory: Path) -> FlaskClient:
    return client_of(directory)


def get(client: FlaskClient, query: str) -> Any:
    answer = client.get(f"/tickers?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json


NEWEST_CLOSED = {
    ("crypto", "1m"): "2026-11-27T05:16:00",
    ("crypto", "5m"): "2026-11-27T05:10:00",
    ("crypto", "15m"): "2026-11-27T05:00:00",
    ("crypto", "30m"): "2026-11-27T04:30:00",
    ("crypto", "1H"): "2026-11-27T04:00:00",
    ("crypto", "2h"): "2026-11-27T02:00:00",
    ("crypto", "4h"): "2026-11-27T00:00:00",
    ("crypto", "1D"): "2026-11-26",
    ("crypto", "1W"): "2026-11-16",
    ("crypto", "2W"): "2026-11-09",
    ("crypto", "1M"): "2026-10-01",
    # At lunch no bar follows the newest ones, and no record says that they were fetched after their close.
    ("vn", "1H"): "2026-11-27T03:00:00",
    ("vn", "4h"): "2026-11-26T06:00:00",
    ("vn", "1D"): "2026-11-26",
    ("vn", "1W"): "2026-11-16",
    ("vn", "1M"): "2026-10-01",
}


@pytest.mark.parametrize(("mode", "interval"), NEWEST_CLOSED)
def test_the_newest_bar_is_one_that_is_closed(client: FlaskClient, mode: str, interval: str) -> None:
    """The answer is that of all bars, less those at its end; a limit counts what is left."""
    symbol = {"vn": "VCB", "crypto": "BTC"}[mode]
    query = f"mode={mode}&symbol={symbol}&interval={interval}"
    everything = get(client, f"{query}&limit=0")[symbol]
    times = [bar["time"] for bar in everything]
    closed = everything[: times.index(NEWEST_CLOSED[mode, interval]) + 1]
    assert len(closed) == len(everything) - 1
    for cache, limit in product(("true", "false"), (1, 3, 10_000)):
        assert get(client, f"{query}&closed=true&limit={limit}&cache={cache}") == {symbol: closed[-limit:]}
    assert get(client, f"{query}&closed=true&limit=0") == {symbol: closed}
    assert get(client, f"{query}&closed=true&start_date={times[-3]}") == {symbol: closed[-2:]}
    assert get(client, f"{query}&closed=false&limit=0") == {symbol: everything}
    exponential = get(client, f"{query}&limit=4&ema=true")[symbol]
    assert get(client, f"{query}&closed=true&limit=3&ema=true") == {symbol: exponential[:-1]}


@pytest.mark.parametrize("interval", ALLOWED_INTERVALS.split(", "))
@pytest.mark.parametrize("cache", ["true", "false"])
def test_nothing_is_known_beyond_the_moment_of_the_record(
    make_stores: MakeStores, directory: Path, interval: str, cache: str
) -> None:
    """Time alone closes nothing: what was fetched before the close is not complete a week later."""
    later = client_of(directory, SECONDS + 8 * 86_400)
    query = f"mode=crypto&symbol=BTC&interval={interval}&closed=true&limit=1&cache={cache}"
    assert get(later, query)["BTC"][0]["time"] == NEWEST_CLOSED["crypto", interval]


@pytest.mark.parametrize(
    ("interval", "fetched", "closed"),
    [
        ("1m", "2026-11-27T05:17:59", False),
        ("1m", "2026-11-27T05:18:00", True),
        ("5m", "2026-11-27T05:19:59", False),
        ("5m", "2026-11-27T05:20:00", True),
        ("1H", "2026-11-27T06:00:00", True),
        ("4h", "2026-11-27T07:59:59", False),
        ("4h", "2026-11-27T08:00:00", True),
        ("1D", "2026-11-27T23:59:59", False),
        ("1D", "2026-11-28T00:00:00", True),
        ("1W", "2026-11-29T23:59:59", False),
        ("1W", "2026-11-30T00:00:00", True),
        ("1M", "2026-12-01T00:00:00", True),
    ],
)
def test_a_fetch_after_the_close_makes_it_known(stores: Stores, interval: str, fetched: str, closed: bool) -> None:
    base = {"m": MINUTE, "H": HOUR, "h": HOUR}.get(interval[-1], DAY)
    bars = SimulatedProvider(Mode.CRYPTO, 1).fetch("BTC", base, SECONDS - 40 * base.seconds, SECONDS)
    stores.save("BTC", enhance(bars, Mode.CRYPTO, is_index=False), base, Mode.CRYPTO, now=NOW)
    stores.closings.record(SeriesKey(Mode.CRYPTO, "BTC", base), at(fetched), at(fetched))
    client = client_of(stores.settings.vn_database_path.parent, at(fetched) + 1)
    query = f"mode=crypto&symbol=BTC&interval={interval}&limit=1"
    for cache in ("true", "false"):
        newest = get(client, f"{query}&cache={cache}")
        assert (get(client, f"{query}&closed=true&cache={cache}") == newest) is closed


@pytest.mark.parametrize(
    ("mode", "interval", "end", "newest"),
    [
        ("crypto", "1m", "2026-11-26T10:00:00", "2026-11-26T10:00:00"),  # whole, as it is known today
        ("crypto", "1D", "2026-11-20", "2026-11-20"),
        ("crypto", "4h", "2026-11-26T09:59:59", "2026-11-26T04:00:00"),
        ("crypto", "4h", "2026-11-26T11:59:59", "2026-11-26T08:00:00"),
        ("crypto", "1W", "2026-11-21", "2026-11-09"),
        ("crypto", "1W", "2026-11-22", "2026-11-16"),
        ("vn", "1W", "2026-11-19", "2026-11-09"),
        ("vn", "1W", "2026-11-20", "2026-11-16"),  # Friday: its week has no session any more
        ("vn", "1D", "2026-11-28", "2026-11-26"),  # an end in the future
        ("crypto", "1m", "2031-01-01", "2026-11-27T05:16:00"),
    ],
)
def test_a_bar_that_the_end_cuts_is_not_closed(
    client: FlaskClient, mode: str, interval: str, end: str, newest: str
) -> None:
    symbol = {"vn": "VCB", "crypto": "BTC"}[mode]
    for cache in ("true", "false"):
        query = f"mode={mode}&symbol={symbol}&interval={interval}&end_date={end}&closed=true&limit=2&cache={cache}"
        assert [bar["time"] for bar in get(client, query)[symbol]][-1] == newest


def test_in_every_form_and_market(client: FlaskClient) -> None:
    model = get(client, "mode=all&limit=4")
    assert {key: len(bars) for key, bars in model.items()} == {"BTC": 4, "VCB": 4, "VNINDEX": 4}
    closed = {key: bars[:-1] for key, bars in model.items()}
    assert get(client, "mode=all&limit=3&closed=true") == closed
    rows = client.get("/tickers?mode=all&limit=3&closed=1&format=csv&columns=symbol,time").text.splitlines()
    assert rows == ["symbol,time", *(f"{key},{bar['time']}" for key, bars in closed.items() for bar in bars)]
    lines = client.get("/tickers?mode=all&limit=3&closed=true&format=ndjson").text.splitlines()
    assert len(lines) == 9
    columns = get(client, "mode=all&limit=3&closed=true&shape=columns&columns=time&ma=false")
    assert columns == {key: {"time": [bar["time"] for bar in bars]} for key, bars in closed.items()}
    legacy = get(client, "symbol=VCB&limit=4&legacy=true")["VCB"]
    assert get(client, "symbol=VCB&limit=3&legacy=true&closed=true") == {"VCB": legacy[:-1]}
    assert get(client, "symbol=NOSUCH&closed=true") == {}
    assert client.get("/tickers?closed=yes").status_code == 400


def test_the_row_budget_counts_what_is_answered(directory: Path) -> None:
    client = client_of(directory, MAX_RESPONSE_ROWS="6")
    assert len(get(client, "mode=vn&limit=3&closed=true")) == 2
    assert client.get("/tickers?mode=vn&limit=4&closed=true").status_code == 413
    assert client.get("/tickers?mode=vn&limit=4&closed=true&cache=false").status_code == 413


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b'{"1D": []}', b'{"1D": {"VCB": "soon", "ACB": null}}', b"\xff"]
)
def test_without_a_record_less_is_known_and_nothing_fails(stores: Stores, content: bytes | None) -> None:
    stores.save("VCB", make_bars(30))
    path = stores.settings.market_data_dir / FILE_NAME
    if content is not None:
        path.write_bytes(content)
    client = client_of(stores.settings.vn_database_path.parent)
    bars = get(client, "symbol=VCB&limit=0")["VCB"]
    assert get(client, "symbol=VCB&limit=0&closed=true") == {"VCB": bars[:-1]}
    stores.closings.record(SeriesKey(Mode.VN, "VCB", DAY), SECONDS, SECONDS - 1)
    assert get(client, "symbol=VCB&limit=0&closed=true") == {"VCB": bars}
    stores.closings.forget(SeriesKey(Mode.VN, "VCB", DAY))
    assert get(client, "symbol=VCB&limit=0&closed=true") == {"VCB": bars[:-1]}


def test_a_bar_of_a_time_to_come_closes_none(stores: Stores) -> None:
    """A day stamped a day ahead is stored; the day before it still has its session."""
    bars = make_bars(10)
    bars = Bars.of(bars.time + (at("2026-11-28") - int(bars.time[-1])), bars.prices, bars.volume)
    stores.save("VCB", enhance(bars, Mode.VN, is_index=False))
    client = client_of(stores.settings.vn_database_path.parent)
    for cache in ("true", "false"):
        answer = get(client, f"symbol=VCB&limit=1&closed=true&cache={cache}")
        assert answer["VCB"][0]["time"] == "2026-11-26"


def test_only_the_default_is_answered_from_texts(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    original = DataStore.get_prerendered
    monkeypatch.setattr(DataStore, "get_prerendered", lambda *args: asked.append(1) or original(*args))  # type: ignore[func-returns-value]
    get(client, "symbol=VCB")
    assert asked == [1]
    get(client, "symbol=VCB&closed=true")
    assert asked == [1]
