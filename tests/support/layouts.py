"""The layouts that `flask data import` recognises, each as its program writes it: bars into the bytes of a file."""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from stockapi.models import Bars, Interval, Mode

Row = tuple[datetime, str, str, str, str, str]
"""Time in UTC; open, high, low, close and volume in their shortest form."""
Write = Callable[[Sequence[Row]], str]

VIETNAM = timedelta(hours=7)


@dataclass(frozen=True)
class Sample:
    """A file of one layout. `path`: below the directory of the import. `layout`: the name it is to be recognised as."""

    name: str
    layout: str
    path: str
    write: Write
    interval: Interval = Interval.DAILY
    mode: Mode = Mode.VN
    encoding: str = "utf-8"
    pack: Callable[[str, bytes], bytes] = lambda _, data: data

    @property
    def ticker(self) -> str:
        return "VCB" if self.mode is Mode.VN else "BTC"

    def content(self, bars: Bars) -> bytes:
        return self.pack(self.path, self.write(rows_of(bars)).encode(self.encoding))


def rows_of(bars: Bars) -> list[Row]:
    prices = [[plain(price) for price in column] for column in bars.prices.tolist()]
    times = [datetime.fromtimestamp(time, UTC) for time in bars.time.tolist()]
    return list(zip(times, *prices, map(plain, bars.volume.tolist()), strict=True))


def plain(number: float) -> str:
    return f"{number:.10f}".rstrip("0").rstrip(".") if isinstance(number, float) else str(number)


def lines(header: str, rows: Iterable[Sequence[str]], separator: str = ",") -> str:
    return "".join(f"{line}\n" for line in [*([header] if header else []), *map(separator.join, rows)])


def day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


def stamp(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}"


def unix(time: datetime, factor: int = 1) -> str:
    return str(int(time.timestamp()) * factor)


def columns(header: str, time: Callable[[datetime], str], *before: str) -> Write:
    return lambda rows: lines(header, ([*before, time(at), *rest] for at, *rest in rows))


def kline(factor: int) -> Write:
    """Open time, OHLCV, close time, quote volume, trades, two volumes of takers, and a 0."""
    return lambda rows: lines(
        "",
        (
            [unix(at, factor), *rest, unix(at + timedelta(minutes=1), factor), "1.5", "7", "0.1", "0.2", "0"]
            for at, *rest in rows
        ),
    )


def yahoo(rows: Sequence[Row]) -> str:
    return lines(
        "Date,Open,High,Low,Close,Adj Close,Volume", ([day(t), o, h, low, c, "1.25", v] for t, o, h, low, c, v in rows)
    )


def yfinance(rows: Sequence[Row]) -> str:
    head = "Price,Close,High,Low,Open,Volume\nTicker,VCB.VN,VCB.VN,VCB.VN,VCB.VN,VCB.VN\nDate,,,,,"
    return lines(head, ([day(t), c, h, low, o, v] for t, o, h, low, c, v in rows))


def cryptodatadownload(rows: Sequence[Row]) -> str:
    head = "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount"
    newest_first = reversed(rows)
    return lines(
        head,
        ([unix(t, 1000), f"{t:%Y-%m-%d %H:%M:%S}", "BTC/USDT", *rest, "12345.6", "77"] for t, *rest in newest_first),
    )


def metatrader(rows: Sequence[Row], *, with_clock: bool = True) -> str:
    clock, clock_format = ("<TIME>\t", "\t%H:%M:%S") if with_clock else ("", "")
    head = f"<DATE>\t{clock}<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    return lines(head, ([f"{t:%Y.%m.%d{clock_format}}", *prices, "9", v, "0"] for t, *prices, v in rows), "\t")


def stooq_bulk(rows: Sequence[Row]) -> str:
    head = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    return lines(head, (["VCB.VN", "D", f"{t:%Y%m%d}", "000000", *rest, "0"] for t, *rest in rows))


def decimal_commas(rows: Sequence[Row]) -> str:
    head = "Ngày;Mở cửa;Cao nhất;Thấp nhất;Đóng cửa;Khối lượng"
    return lines(head, ([f"{t:%d/%m/%Y}", *(text.replace(".", ",") for text in rest)] for t, *rest in rows), ";")


def quoted(rows: Sequence[Row]) -> str:
    head = '"Date" , "Open", "High", "Low", "Close", "Volume"'
    return lines(head, ([f'"{text}"' for text in (day(t), *rest)] for t, *rest in rows), ", ")


def gzipped(_: str, data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zipped(path: str, data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.rpartition("/")[2].replace(".zip", ".csv"), data)
    return target.getvalue()


OHLCV = "open,high,low,close,volume"
MINUTE, HOURLY, CRYPTO = Interval.MINUTE, Interval.HOURLY, Mode.CRYPTO

_BINANCE = Sample("Binance, ms", "binance", "BTCUSDT-1m-2024-01.csv", kline(1_000), MINUTE, CRYPTO)
_PLAIN = Sample("our own file", "stockapi", "VCB/1D.csv", columns(f"ticker,time,{OHLCV}", day, "VCB"))

SAMPLES = (
    _PLAIN,
    Sample("our CSV answer", "stockapi", "tickers_1D.csv", columns(f"symbol,time,{OHLCV}", day, "VCB")),
    Sample("our answer of hours", "stockapi", "tickers_1H.csv", columns(f"symbol,time,{OHLCV}", stamp, "VCB"), HOURLY),
    Sample("our rows without a header", "stockapi", "VCB.csv", columns("", day, "VCB")),
    Sample("a frame without a ticker", "tradingview", "VCB/1D.csv", columns(f"time,{OHLCV}", day)),
    Sample("a frame with an unnamed index", "table", "VCB/1m.csv", columns(f",{OHLCV}", stamp), MINUTE),
    Sample("a frame, interval by its steps", "table", "VCB.csv", columns(f"Datetime,{OHLCV}", stamp), HOURLY),
    Sample("a frame, interval in its name", "table", "VCB_1m.csv", columns(f"Datetime,{OHLCV}", stamp), MINUTE),
    Sample(
        "CafeF",
        "metastock",
        "CafeF.HSX.Upto27.11.2026.csv",
        columns("<Ticker>,<DTYYYYMMDD>,<Open>,<High>,<Low>,<Close>,<Volume>", lambda t: f"{t:%Y%m%d}", "VCB"),
    ),
    Sample("MetaStock rows", "metastock", "all.txt", columns("", lambda t: f"{t:%Y%m%d}", "VCB", "D")),
    Sample(
        "AmiBroker",
        "metastock",
        "amibroker.csv",
        columns("<ticker>,<date>,<time>,<open>,<high>,<low>,<close>,<volume>", lambda t: f"{t:%Y%m%d,%H%M%S}", "VCB"),
        MINUTE,
    ),
    Sample("Yahoo", "yahoo", "VCB.VN.csv", yahoo),
    Sample("yfinance", "yahoo", "prices.csv", yfinance),
    Sample("Stooq", "stooq", "vcb_d.csv", columns("Date,Open,High,Low,Close,Volume", day)),
    Sample(
        "Stooq in Polish",
        "stooq",
        "vcb_d.csv",
        columns("Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", day),
    ),
    Sample("Stooq in bulk", "stooq", "vcb.vn.txt", stooq_bulk),
    _BINANCE,
    replace(_BINANCE, name="Binance, us", write=kline(1_000_000)),
    replace(_BINANCE, name="Binance, zip", path="BTCUSDT-1m-2024-01.zip", pack=zipped),
    replace(_BINANCE, name="Binance under our name", path="BTC/1m.csv"),
    Sample(
        "Binance with a header",
        "binance",
        "BTCUSDT-1h-2024-01.csv",
        lambda rows: (
            "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
            "taker_buy_quote_volume,ignore\n" + kline(1_000)(rows)
        ),
        HOURLY,
        CRYPTO,
    ),
    Sample(
        "TradingView",
        "tradingview",
        "BINANCE_BTCUSDT, 60.csv",
        columns("time,open,high,low,close,Volume", unix),
        HOURLY,
        CRYPTO,
    ),
    Sample(
        "TradingView, days stamped at the open",
        "tradingview",
        "HOSE_DLY_VCB, 1D_5f1c2.csv",
        columns("time,open,high,low,close,Volume", lambda t: unix(t + timedelta(hours=2))),
    ),
    Sample("MetaTrader", "metatrader", "VCB_M1_202401020000_202401030000.csv", metatrader, MINUTE),
    Sample("MetaTrader, days", "metatrader", "VCB_D1.csv", partial(metatrader, with_clock=False)),
    Sample("MetaTrader 4", "metatrader", "VCB60.csv", columns("", lambda t: f"{t:%Y.%m.%d,%H:%M}"), HOURLY),
    Sample("CryptoDataDownload", "cryptodatadownload", "Binance_BTCUSDT_1h.csv", cryptodatadownload, HOURLY, CRYPTO),
    Sample("decimal commas", "table", "VCB.csv", decimal_commas),
    Sample("quotes and blanks", "stooq", "VCB.csv", quoted),
    replace(_PLAIN, name="UTF-16", encoding="utf-16"),
    replace(_PLAIN, name="UTF-16 without a mark", encoding="utf-16-le"),
    replace(_PLAIN, name="BOM", encoding="utf-8-sig"),
    replace(_PLAIN, name="gzip", path="VCB/1D.csv.gz", pack=gzipped),
    replace(_PLAIN, name="gzip without saying so", pack=gzipped),
    replace(_PLAIN, name="upper case", path="VCB/1D.CSV"),
    replace(_PLAIN, name="a tree in a zip", path="VCB/1D.zip", pack=zipped),
    *(
        Sample(
            f"offset {offset!r}",
            "stockapi",
            "VCB/1m.csv",
            columns(
                f"ticker,time,{OHLCV}",
                lambda t, ahead=ahead, offset=offset: stamp(t + ahead) + offset,
                "VCB",  # type: ignore[misc]
            ),
            MINUTE,
        )
        for offset, ahead in (
            *(("+00", timedelta(0)), (" UTC", timedelta(0)), ("Z", timedelta(0)), ("+0700", VIETNAM)),
            *(("+07", VIETNAM), ("+07:00", VIETNAM), (" +0700", VIETNAM)),
        )
    ),
    Sample(
        "days at 09:00+07:00",
        "stockapi",
        "VCB/1D.csv",
        columns(f"ticker,time,{OHLCV}", lambda t: f"{t:%Y-%m-%d}T09:00+07:00", "VCB"),
    ),
    Sample(
        "days at 17:00Z",
        "stockapi",
        "VCB/1D.csv",
        columns(f"ticker,time,{OHLCV}", lambda t: f"{t - VIETNAM:%Y-%m-%dT%H:%M}Z", "VCB"),
    ),
)
"""Every one holds the same bars as its neighbours: those that are given."""
