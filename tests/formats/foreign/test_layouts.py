"""Files of other programs: recognised by their content, and read into the bars that they were written from."""

import io
from dataclasses import replace
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.errors import LayoutError
from stockapi.formats.foreign.dialect import PassedOverError
from stockapi.formats.foreign.layouts import BY_NAME
from stockapi.formats.foreign.reader import FileOfBars, Reading, read_bars
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.ingest.import_tree import ImportFile
from tests.support.layouts import SAMPLES, Sample

LATEST = 1_800_000_000
FIRST = 1_704_160_800
"""2024-01-02T02:00:00Z, the open of a Tuesday in Ho Chi Minh City."""


def bars_of(interval: Interval, mode: Mode, count: int = 12) -> Bars:
    first = FIRST - FIRST % interval.seconds
    close = 60.25 + np.arange(count) % 7
    prices = np.vstack([close, close + 1.5, close - 0.75, close + 0.5])
    volume = np.arange(count, dtype=np.int64) * 1_000 + 1_234
    whole = market_of(mode).has_whole_volume
    return Bars.of(first + interval.seconds * np.arange(count), prices, volume if whole else volume / 8)


def read(path: str, content: bytes | str, mode: Mode = Mode.VN, layout: str = "", zone: str = "") -> FileOfBars:
    """As the importer does, plain files only."""
    data = content.encode() if isinstance(content, str) else content
    name = ImportFile(None, PurePosixPath(path).parts).name  # type: ignore[arg-type]
    how = Reading(mode, LATEST, BY_NAME.get(layout), ZoneInfo(zone) if zone else None)
    return read_bars(io.BufferedReader(io.BytesIO(data)), name, how)  # type: ignore[type-var]


def text_of(sample: Sample, bars: Bars) -> bytes:
    return replace(sample, pack=lambda _, data: data).content(bars)


def only(found: FileOfBars) -> Bars:
    (regular,) = found.series.values()
    return regular.bars


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_file_of_each_layout_gives_the_bars_it_was_written_from(sample: Sample) -> None:
    bars = bars_of(sample.interval, sample.mode)
    found = read(sample.path, text_of(sample, bars), sample.mode)
    assert found.layout.name == sample.layout
    assert list(found.series) == [SeriesKey(sample.mode, sample.ticker, sample.interval)]
    assert found.damaged == ()
    assert only(found).equals(bars)


PRICES = st.floats(1e-8, 1e9).map(lambda price: float(f"{price:.10f}"))


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_bars_come_back_from_any_layout(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES))
    slots = data.draw(st.lists(st.integers(0, 3_000), min_size=12, max_size=20, unique=True))
    count = len(slots)
    interval = sample.interval
    first = FIRST - FIRST % interval.seconds - 3_000 * interval.seconds
    time = first + interval.seconds * np.array([*sorted(slots), 3_001, 3_002], dtype=np.int64)
    count = len(time)
    prices = np.sort(
        np.array(data.draw(st.lists(PRICES, min_size=4 * count, max_size=4 * count))).reshape(4, -1), axis=0
    )
    whole = market_of(sample.mode).has_whole_volume
    volume = np.array(data.draw(st.lists(st.integers(1, 10**12), min_size=count, max_size=count)))
    bars = Bars.of(time, prices[[1, 3, 0, 2]], volume if whole else volume / 8)
    assert only(read(sample.path, text_of(sample, bars), sample.mode)).equals(bars)


# What is taken, and how


@pytest.mark.parametrize(
    ("path", "content", "closes"),
    [
        pytest.param(
            "VCB.csv",
            "Title of the table\n\n# 2024\ndate,open,high,low,close,volume\n2024-01-02,1,3,0,2,5\n",
            [2],
            id="title",
        ),
        pytest.param(
            "VCB.csv", "sep=;\ndate;open;high;low;close;volume\n2024-01-02;1,5;3;0,5;2,25;5\n", [2.25], id="sep"
        ),
        pytest.param("VCB.csv", "date,close,open,high,low,volume\n2024-01-02,2,1,3,0,5\n", [2], id="by name"),
        pytest.param(
            "VCB.csv",
            "date,open,high,low,close,volume\n2024-01-02,1,3,0,2,5\ndate,close,open,high,low,volume\n2024-01-03,2.5,1,3,0,5\n",
            [2, 2.5],
            id="another header below",
        ),
        pytest.param(
            "VCB.csv",
            "date;open;high;low;close;volume\n2024-01-02;60,300;61,000;60,000;60,500;1.234\n",
            [60.5],
            id="three decimals",
        ),
        pytest.param(
            "VCB.csv",
            'date,open,high,low,close,volume\n2024-01-02,"60,300","61,000","60,000","60,500","1,234,567"\n',
            [60500],
            id="thousands",
        ),
        pytest.param(
            "VCB.csv",
            "date,open,high,low,close,volume,\n2024-01-02,1,3,0,2,5,\n2024-01-03,1,3,0,2,5,,\n",
            [2, 2],
            id="commas at the end",
        ),
        pytest.param(
            "VCB.csv",
            "Date,Open,High,Low,Close,Volume\n11/27/2023,1,3,0,2,5\n12/01/2023,1,3,0,2,5\n",
            [2, 2],
            id="month first",
        ),
        pytest.param(
            "VCB.csv",
            "Date,Open,High,Low,Close,Volume\n27.11.2023,1,3,0,2,5\n01.12.2023,1,3,0,2,5\n",
            [2, 2],
            id="dots",
        ),
        pytest.param(
            "VCB.csv",
            'Date,Open,High,Low,Close,Volume\n"Nov 27, 2023",1,3,0,2,5\n"Dec 01, 2023",1,3,0,2,5\n',
            [2, 2],
            id="names of months",
        ),
        pytest.param(
            "VCB.csv", "date,open,high,low,close,volume\n2024-01-02,1,3,0,2,5.5\n", [2], id="a fraction of a share"
        ),
    ],
)
def test_tables_are_taken_as_they_are_meant(path: str, content: str, closes: list[float]) -> None:
    found = read(path, content)
    assert found.damaged == ()
    assert only(found).close.tolist() == closes


def test_fractions_of_shares_are_rounded_half_to_even() -> None:
    rows = [f"2024-01-{day:02},1,1,1,1,{volume}" for day, volume in enumerate(("1.5", "2.5", "7.4999"), start=2)]
    assert only(read("VCB.csv", "\n".join(["date,open,high,low,close,volume", *rows]))).volume.tolist() == [2, 2, 7]


def test_a_file_of_many_tickers_gives_a_series_of_each() -> None:
    header = "<Ticker>,<DTYYYYMMDD>,<Open>,<High>,<Low>,<Close>,<Volume>"
    rows = [
        f"{ticker},202401{day:02},1,3,0,{close},5"
        for day in (3, 2)
        for close, ticker in enumerate(("VCB", "FPT", "ACB"))
    ]
    found = read("all.csv", "\n".join([header, *rows]))
    assert {key.ticker: regular.bars.close.tolist() for key, regular in found.series.items()} == {
        "VCB": [0, 0],
        "FPT": [1, 1],
        "ACB": [2, 2],
    }


def test_of_an_answer_of_all_markets_only_the_one_that_is_wanted_is_taken() -> None:
    rows = [
        f"{ticker},2024-01-02,1,3,0,{close},5,{mode}"
        for ticker, close, mode in (("VCB", 1, "vn"), ("BTC", 2, "crypto"))
    ]
    content = "\n".join(["symbol,time,open,high,low,close,volume,mode", *rows])
    for mode, ticker, close in ((Mode.VN, "VCB", 1), (Mode.CRYPTO, "BTC", 2)):
        found = read("tickers_1D.csv", content, mode)
        assert [(key.ticker, regular.bars.close.tolist()) for key, regular in found.series.items()] == [
            (ticker, [close])
        ]


@pytest.mark.parametrize(
    ("path", "symbol", "ticker"),
    [
        ("BTC-USD.csv", "", "BTC"),
        ("BTCUSDT.csv", "", "BTC"),
        ("x.csv", "BTC/USDT", "BTC"),
        ("x.csv", "BINANCE:BTCUSDT", "BTC"),
        ("x.csv", "btc", "BTC"),
        ("PYUSD.csv", "", "PYUSD"),
    ],
)
def test_pairs_are_coins(path: str, symbol: str, ticker: str) -> None:
    column = ("symbol,", f"{symbol},") if symbol else ("", "")
    content = f"{column[0]}date,open,high,low,close,volume\n{column[1]}2024-01-02,1,3,0,2,5\n"
    assert [key.ticker for key in read(path, content, Mode.CRYPTO).series] == [ticker]


def test_times_without_an_offset_are_those_of_the_zone_and_others_stay() -> None:
    content = "time,open,high,low,close,volume\n2024-07-02 09:00:00,1,3,0,2,5\n2024-07-02T13:01:00+00:00,1,3,0,2,5\n"
    assert only(read("VCB/1m.csv", content, zone="America/New_York")).time.tolist() == [1_719_925_200, 1_719_925_260]
    days = "ticker,time,open,high,low,close,volume\nVCB,2024-07-02,1,3,0,2,5\n"
    assert only(read("VCB/1D.csv", days, zone="America/New_York")).time.tolist() == [1_719_878_400]
    stamps = days.replace("2024-07-02", "2024-07-02 09:00:00")
    assert only(read("VCB/1D.csv", stamps, zone="Asia/Ho_Chi_Minh")).time.tolist() == [1_719_878_400]


# What is refused


@pytest.mark.parametrize(
    ("path", "content", "error", "message"),
    [
        ("VCB.csv", "d,o,h,l,c,v\n05/11/2026,1,3,0,2,5\n", LayoutError, "its header (line 1: d,o,h,l,c,v) lacks time"),
        (
            "VCB.csv",
            "date,o,h,l,c,v\n05/11/2023,1,3,0,2,5\n",
            LayoutError,
            "has dates such as '05/11/2023', of which nothing",
        ),
        ("VCB.csv", "2024-01-02,1,2,3,0,5\n", LayoutError, "looks like rows of 6 columns without a header, such as"),
        (
            "VCB_5m.csv",
            "date,o,h,l,c,v\n2024-01-02 09:05,1,3,0,2,5\n",
            PassedOverError,
            "interval '5m' is not stored; stored are",
        ),
        ("FPT/1W.csv", "date,o,h,l,c,v\n2024-01-02,1,3,0,2,5\n", PassedOverError, "interval '1W' is not stored"),
        ("notes.csv", "date,o,h,l,c,v\n2024-01-02,1,3,0,2,5\n", PassedOverError, "nothing says which ticker it is of"),
        ("notes.csv", "buy low\n", PassedOverError, "looks like text that begins 'buy low'"),
        ("VCB.csv", "buy low\n", LayoutError, "looks like text that begins 'buy low'"),
        (
            "VCB.csv",
            "date,o,h,l,c,v\n1969-12-31,1,3,0,2,5\n",
            LayoutError,
            "none of its first 1 lines is a bar (line 2: time '1969",
        ),
        (
            "VCB.csv",
            "date,o,h,l,c,v\n2062-11-27,1,3,0,2,5\n",
            LayoutError,
            "none of its first 1 lines is a bar (line 2: time '2062-11-27' is in the future",
        ),
        (
            "VCB.csv",
            "date,o,h,l,c,v\n" + "".join(f"2024-01-02 09:{minute:02},1,3,0,2,5\n" for minute in range(0, 60, 5)),
            LayoutError,
            "its bars are 5 minutes apart; stored are 1D, 1H and 1m",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(path: str, content: str, error: type[LayoutError], message: str) -> None:
    with pytest.raises(LayoutError) as caught:
        read(path, content)
    assert type(caught.value) is error or error is LayoutError
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, PassedOverError) == (error is PassedOverError)


def test_a_pair_of_coins_is_not_priced_in_another_coin_and_is_no_stock() -> None:
    (sample,) = (each for each in SAMPLES if each.name == "Binance, ms")
    content = text_of(sample, bars_of(sample.interval, sample.mode))
    with pytest.raises(LayoutError, match="'ETHBTC' is no pair with USDT"):
        read("ETHBTC-1m-2024-01.csv", content, Mode.CRYPTO)
    with pytest.raises(LayoutError, match="'BTCUSDT' is a pair of coins, and vn has none; see --mode"):
        read("BTCUSDT-1m-2024-01.csv", content, Mode.VN)


@pytest.mark.parametrize("layout", sorted(BY_NAME))
def test_a_layout_that_is_forced_is_the_only_one(layout: str) -> None:
    wanted = BY_NAME[layout]
    for sample in SAMPLES:
        bars = bars_of(sample.interval, sample.mode)
        if sample.layout == wanted.name:
            assert only(read(sample.path, text_of(sample, bars), sample.mode, layout)).equals(bars)
    yahoo = "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,1,3,0,2,1.5,5\n"
    if layout in ("yahoo", "table"):
        assert only(read("VCB.csv", yahoo, layout=layout)).close.tolist() == [2]
    else:
        with pytest.raises(LayoutError, match="looks like Yahoo Finance; wanted: "):
            read("VCB.csv", yahoo, layout=layout)


def test_which_close_of_yahoo_was_taken_is_told() -> None:
    (sample,) = (each for each in SAMPLES if each.name == "Yahoo")
    (note,) = read(sample.path, text_of(sample, bars_of(sample.interval, sample.mode))).notes
    assert note.startswith("Close was taken")
