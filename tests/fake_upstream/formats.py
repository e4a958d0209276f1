"""The wire formats: from a request to an answer."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Bars, Interval, Mode

from .faults import Fault, Row, spoil, version
from .market import FakeMarket

API_KEY = "a-key-of-the-fake-upstream"

_VCI_INTERVALS = {"ONE_DAY": Interval.DAILY, "ONE_HOUR": Interval.HOURLY, "ONE_MINUTE": Interval.MINUTE}
_BINANCE_INTERVALS = {"1d": Interval.DAILY, "1h": Interval.HOURLY, "1m": Interval.MINUTE}
_CRYPTOCOMPARE_INTERVALS = {"histoday": Interval.DAILY, "histohour": Interval.HOURLY, "histominute": Interval.MINUTE}
_UDF_INTERVALS = {
    "D": Interval.DAILY,
    "60": Interval.HOURLY,
    "1": Interval.MINUTE,
    "1D": Interval.DAILY,
    "1H": Interval.HOURLY,
}
_INDICES = ("VNINDEX", "VN30", "HNXINDEX", "UPCOMINDEX")
_OUR_NAMES = {"HNX": "HNXINDEX", "UPCOM": "UPCOMINDEX"}
_STAMPED_S = {"vps": 0, "vndirect": -7 * 3_600, "dnse": 2 * 3_600}
"""Which moment of a day its bar has, from 00:00 UTC: that, 00:00 and 09:00 in Ho Chi Minh City."""
_MINUTES_KEPT_S = 7 * SECONDS_PER_DAY


@dataclass(frozen=True)
class Query:
    """What was asked: the parts that all sources have, and everything else as it came."""

    source: str
    ticker: str
    interval: Interval
    params: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    content: Any
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class BadRequestError(Exception):
    """The request is not one that the source understands."""


def parse_query(method: str, path: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> Query:
    """:raises BadRequestError: for a path or parameter that no source has."""
    try:
        match method, path.strip("/").split("/"):
            case "POST", ["vci", "chart", "OHLCChart", "gap-chart"]:
                interval = _VCI_INTERVALS[params["timeFrame"]]
                return Query("vci", params["symbols"][0], interval, params, headers)
            case "GET", ["vps" as source, "tradingview", "history"] | ["vndirect" as source, "dchart", "history"]:
                return _udf_query(source, params, headers)
            case "GET", ["dnse", "chart-api", "v2", "ohlcs", "stock" | "index" | "derivative" as kind]:
                return _udf_query("dnse", {**params, "kind": kind}, headers)
            case "GET", ["binance", "api", "v3", "klines"]:
                interval = _BINANCE_INTERVALS[params["interval"]]
                return Query("binance", params["symbol"].removesuffix("USDT"), interval, params, headers)
            case "GET", ["cryptocompare", "data", "v2", kind]:
                return Query("cryptocompare", params["fsym"], _CRYPTOCOMPARE_INTERVALS[kind], params, headers)
    except (KeyError, IndexError) as exc:
        raise BadRequestError(f"missing or unknown: {exc}") from exc
    raise BadRequestError(f"{method} {path} is nothing that a source has")


def reply_to(query: Query, market: FakeMarket, fault: Fault | None) -> Reply:
    replies: dict[str, Callable[[Query, FakeMarket, Fault | None], Reply]] = {
        "vci": _vci,
        **dict.fromkeys(_STAMPED_S, _udf),
        "binance": _binance,
        "cryptocompare": _cryptocompare,
    }
    return replies[query.source](query, market, fault)


def _rows(bars: Bars) -> list[Row]:
    return [list(row) for row in zip(bars.time.tolist(), *bars.prices.tolist(), bars.volume.tolist(), strict=True)]


# VCI


def _vci(query: Query, market: FakeMarket, fault: Fault | None) -> Reply:
    """Each symbol its newest `countBack` bars before `to`; of several symbols, one bar each, and not of all of them."""
    symbols, count = query.params["symbols"], query.params["countBack"]
    if len(symbols) > 1:
        symbols, count = symbols[:1], 1
    entries = [
        _vci_entry(symbol, version(bars, fault, query.interval, market.clock()), fault)
        for symbol in symbols
        if symbol in market.tickers(Mode.VN)
        for bars in [market.last(Mode.VN, symbol, query.interval, query.params["to"], count)]
    ]
    if fault is Fault.EMPTY:
        entries = []
    if fault is Fault.MISSING_SYMBOL:
        entries = [entry | {"symbol": "ZZZ"} for entry in entries]
    if fault is Fault.WRONG_SYMBOL:
        entries = [entry | {"symbol": "ZZZ", "c": entry["o"]} for entry in entries] + entries
    if fault is Fault.NO_SERIES:
        return Reply(None)
    return Reply({"data": entries} if fault is Fault.ENVELOPE else entries)


def _vci_entry(symbol: str, bars: Bars, fault: Fault | None) -> dict[str, Any]:
    rows = [[*row[:5], float(row[5])] for row in _rows(bars)]
    rows = spoil(rows, fault) if rows else rows
    names = ("t", "o", "h", "l", "c", "v")
    entry: dict[str, Any] = {"symbol": symbol} | {
        name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=False)
    }
    entry |= {name: [] for name in names if name not in entry}
    entry["t"] = [None if time is None else str(time) for time in entry["t"]]
    if fault is Fault.LENGTHS:
        entry["v"] = entry["v"][:-1]
    return entry


# VPS, VNDirect and DNSE: the UDF protocol


def _udf_query(source: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> Query:
    ticker = _OUR_NAMES.get(params["symbol"], params["symbol"]) if source != "vps" else params["symbol"]
    return Query(source, ticker, _UDF_INTERVALS[params["resolution"]], params, headers)


def _udf(query: Query, market: FakeMarket, fault: Fault | None) -> Reply:
    """`to` is exclusive at VPS, inclusive at the others. DNSE has an address for each kind, and sends no status."""
    if fault is Fault.NO_SERIES:
        return Reply(None)
    first, last = int(query.params["from"]), int(query.params["to"]) - (query.source == "vps")
    bars = version(_stamped(query, market, last), fault, query.interval, market.clock())
    asked = bars.between(first, last)
    divisor = 1.0 if query.ticker in _INDICES else 1_000.0
    rows = _rows(Bars.of(asked.time, asked.prices / divisor, asked.volume))
    rows = spoil(rows, fault) if rows else rows
    names = ("t", "o", "h", "l", "c", "v")
    columns: dict[str, Any] = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    if fault is Fault.LENGTHS:
        columns["v"] = columns["v"][:-1]
    if query.source == "dnse":
        return Reply((columns if rows else dict.fromkeys(names)) | {"nextTime": 0})
    older = bars.between(None, first - 1).time if fault is not Fault.EMPTY else ()
    hint = {"nextTime": int(older[-1])} if query.source == "vndirect" and len(older) else {}
    return Reply({"symbol": query.ticker, "s": "ok", **columns} if rows else {"s": "no_data", **columns, **hint})


def _stamped(query: Query, market: FakeMarket, last: int) -> Bars:
    """The bars until then, with the times that the source gives them."""
    kind = "index" if query.ticker in _INDICES else "stock"
    is_known = query.ticker in market.tickers(Mode.VN) and query.params.get("kind", kind) == kind
    if not is_known:
        return Bars.empty(whole_volume=True)
    moved = _STAMPED_S[query.source] if query.interval is Interval.DAILY else 0
    begin = max(int(query.params["from"]) - 40 * SECONDS_PER_DAY, 0)
    bars = market.bars(Mode.VN, query.ticker, query.interval, begin, last - moved)
    return Bars.of(bars.time + moved, bars.prices, bars.volume)


# Binance


def _binance(query: Query, market: FakeMarket, fault: Fault | None) -> Reply:
    params = query.params
    if not params["symbol"].endswith("USDT") or query.ticker not in market.tickers(Mode.CRYPTO):
        return Reply({"code": -1121, "msg": "Invalid symbol."}, HTTPStatus.BAD_REQUEST)
    start, end = -(-int(params["startTime"]) // 1_000), int(params["endTime"]) // 1_000
    limit = min(int(params.get("limit", 500)), 1_000)
    step = query.interval.seconds
    # No more than a page is computed; a page may hold fewer bars than minutes, since minutes without trades have none.
    start = max(start, market.begin(Mode.CRYPTO, query.ticker))
    bars = market.bars(Mode.CRYPTO, query.ticker, query.interval, start, min(end, start + 2 * limit * step))
    rows = _rows(bars.take(slice(limit)))
    rows = spoil(rows, fault) if rows else rows
    if fault is Fault.NO_SERIES:
        return Reply(None)
    return Reply([_kline(row, step) for row in rows])


def _kline(row: Row, step: int) -> list[object]:
    time, *numbers = row
    # With Fault.STRINGS the times are text too, which the real source does not do.
    opened = time if time is None else int(time) * 1_000
    closed = 0 if opened is None else opened + step * 1_000 - 1
    texts = [str(number) if isinstance(number, int | float) and number is not True else number for number in numbers]
    return [str(opened) if isinstance(time, str) else opened, *texts, closed, "0.0", 7, "0.0", "0.0", "0"]


# CryptoCompare


def _cryptocompare(query: Query, market: FakeMarket, fault: Fault | None) -> Reply:
    if query.headers.get("Authorization") != f"Apikey {API_KEY}":
        return unauthorized(query.headers.get("Authorization", "").removeprefix("Apikey "))
    if query.ticker not in market.tickers(Mode.CRYPTO):
        pair = f"{query.ticker}-{query.params['tsym']}"
        return _error(2, f"cccagg_or_exchange market does not exist for this coin pair ({pair})")
    step, now = query.interval.seconds, market.clock()
    to = min(int(query.params.get("toTs", now)), now) // step * step
    if query.interval is Interval.MINUTE and to < now - _MINUTES_KEPT_S:
        return _error(1, "toTs is older than the 7 days for which minute data is available")
    if query.params.get("allData") == "true" and query.interval is Interval.DAILY:
        first = market.begin(Mode.CRYPTO, query.ticker)
    else:
        first = to - min(int(query.params.get("limit", 168)), 2_000) * step
    rows = _on_every_step(market.bars(Mode.CRYPTO, query.ticker, query.interval, first, to), first, to, step)
    rows = spoil(rows, fault)
    names = ("time", "open", "high", "low", "close", "volumefrom")
    candles = [dict(zip(names, row, strict=True)) | {"volumeto": 0.0, "conversionType": "direct"} for row in rows]
    data = {"Aggregated": False, "TimeFrom": first, "TimeTo": to, "Data": None if fault is Fault.NO_SERIES else candles}
    return Reply({"Response": "Success", "Message": "", "HasWarning": False, "Type": 100, "Data": data})


def _on_every_step(bars: Bars, first: int, to: int, step: int) -> list[Row]:
    """A row for every step: zeros before the first bar, the last close again where nothing was traded."""
    known = {row[0]: row for row in _rows(bars)}
    rows: list[Row] = []
    close: object = 0.0
    for time in range(first, to + 1, step):
        rows.append(known.get(time, [time, close, close, close, close, 0.0]))
        close = rows[-1][4]
    return rows


def unauthorized(key: str) -> Reply:
    """As for a wrong key, which it repeats."""
    return Reply({"Err": {"message": f"The API key {key} is not valid", "type": 1}}, HTTPStatus.UNAUTHORIZED)


def limit_exceeded() -> Reply:
    return _error(99, "You are over your rate limit please upgrade your account!")


def _error(kind: int, message: str) -> Reply:
    return Reply({"Response": "Error", "Message": message, "HasWarning": False, "Type": kind, "Data": {}})
