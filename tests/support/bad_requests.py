"""Every parameter of every route, with texts that are not valid values and their exact answers.

Written by hand from docs/api.md: nothing here is computed by the code that it is to judge.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

Answer = Callable[[str], str]
"""The text of the error for a value."""


@dataclass(frozen=True)
class BadRequest:
    route: str
    query: str
    """The text in the URL, percent-encoded."""
    status: int
    error: str

    @property
    def url(self) -> str:
        return f"{self.route}?{self.query}"

    @property
    def body(self) -> dict[str, str]:
        """UDF has an error form of its own."""
        is_udf = self.route.startswith("/udf/")
        return {"s": "error", "errmsg": self.error} if is_udf else {"error": self.error}


@dataclass(frozen=True)
class Kind:
    """Parameters with the same rules. `answer` takes the name, then the value."""

    answer: Callable[[str, str], str]
    bad: Sequence[str]
    is_list: bool = False
    longest: int = 64


# What is no value of anything: blanks, control characters, paths, code in a dozen languages, names of
# nothing, characters that look like others or are no characters at all.
NO_VALUE = [
    " ",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\x1b[31m",
    "\x7f",
    "..",
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "....//....//etc/passwd",
    "/etc/passwd",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
    "http://127.0.0.1/",
    "' OR 1=1 --",
    "1; DROP TABLE vn_daily",
    '" OR ""="',
    "*",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "$(id)",
    "`id`",
    "|id",
    "=cmd",
    "[]",
    "{}",
    '{"$gt":""}',
    "[object Object]",
    "\ufeff",
    "\u200b",
    "\u202eDB",
    "\xa0",
    "\xe9",
    "\u0131",  # a dotless i, whose capital is an ASCII I
    "\u212a",  # the Kelvin sign, whose small letter is an ASCII k
    "\U0001f4a5",
    "\ufffd",
]
WORDS = ["null", "None", "undefined", "NaN", "Infinity", "-Infinity", "nil"]
NO_NUMBER = [
    "five",
    "0x10",
    "0b1",
    "1_000",
    "\uff11\uff12",  # full-width digits
    "\u0665",  # an Arabic-Indic digit
    "\xb2",
    "\xbd",
    " 5",
    "5 ",
    "5\n",
    "5\0",
    "+5",
    "5;",
    "5%",
    "--5",
    "5-",
    "1.2.3",
    "$5",
]
NO_WHOLE = ["1.0", "1e3", ".5", "5.", "-0.0"]
NO_BOOLEAN = ["yes", "no", "on", "off", "t", "f", "y", "2", "-1", "01", "1.0", " true", "true ", "true\n", "tru\u0435"]
NO_DATE = [
    "2024-13-01",
    "2024-00-01",
    "2024-02-30",
    "2023-02-29",
    "1900-02-29",
    "2024-1-32",
    "2024-2-30",
    "2024-001-1",
    "2024-1-001",
    "24-01-01",
    "20240101",
    "2024/01/01",
    "2024.01.01",
    "01-01-2024",
    "2024-W01-1",
    "2024-001",
    "2024-01",
    "2024",
    "-2024-01-01",
    "+2024-01-01",
    "12024-01-01",
    "2024-01-01\n",
    "2024-01-01\0",
    "\uff12\uff10\uff12\uff14-01-01",
    "2024\u201301\u201301",
    "now",
    "today",
    "yesterday",
    "1704067200",
    "1e9",
    "-1",
]
TOO_EARLY = ["0000-01-01", "0000-12-31"]
NO_MOMENT = [
    "2024-01-01T",
    "2024-01-01T10",
    "2024-01-01T24:00:00",
    "2024-01-01T25:00:00",
    "2024-01-01T10:60:00",
    "2024-01-01T10:00:60",
    "2024-01-01T10:00:00.",
    "2024-01-01T10:00:00+25:00",
    "2024-01-01T10:00:00+05:99",
    "2024-01-01T10:00:00+0500",
    "2024-01-01T10:00:00+5",
    "2024-01-01T10:00:00ZZ",
    "2024-01-01_10:00:00",
    "2024-01-01T1000",
    "T10:00:00",
]
WITH_BLANKS = [" 2024-01-01", "2024-01-01 ", "2024-01-01T10:00:00 07:00", "2024-01-01  10:00:00"]

INTERVALS = "1D, 1H, 1m, 5m, 15m, 30m, 2h, 4h, 1W, 2W, 1M (1m is a minute, 1M a month)"
MARKETS = "vn, crypto (aliases stock, stocks, cryptos)"
SYMBOL = "a symbol is 1 to 20 of A-Z 0-9 . _ -, beginning with a letter or digit"
BAR_FIELDS = (
    "time, open, high, low, close, volume, symbol, mode, ma10, ma20, ma50, ma100, ma200, ma10_score, ma20_score, "
    "ma50_score, ma100_score, ma200_score, close_changed, volume_changed, total_money_changed"
)
SORT_KEYS = (
    "close_changed, volume, value, volume_changed, total_money_changed, "
    "ma10_score, ma20_score, ma50_score, ma100_score, ma200_score"
)
PLUS_HINT = "; the + of an offset is written %2B in a URL"


def one_of(allowed: str) -> Callable[[str, str], str]:
    return lambda name, value: f"{name} {value!r} is not allowed; allowed: {allowed}"


def of_moment(name: str, value: str) -> str:
    hint = PLUS_HINT if " " in value else ""
    return (
        f"{name} {value!r} is not allowed; allowed: a date such as 2024-01-31 or a time such as 2024-01-31T09:15:00Z, "
        f"in the years 1 to 9999{hint}"
    )


def whole(high: int, low: int = 0) -> Kind:
    bad = [*NO_VALUE, *WORDS, *NO_NUMBER, *NO_WHOLE, "-1", "-5", "-0", *map(str, range(low))]
    return Kind(one_of(f"a whole number from {low} on, clamped to {high}"), bad)


def choice(allowed: str, *more: str) -> Kind:
    return Kind(one_of(allowed), [*NO_VALUE, *WORDS, *more])


def of_symbol(_: str, value: str) -> str:
    return f"symbol {value!r} is not allowed; {SYMBOL}"


BAD_SYMBOLS = [
    *(value for value in NO_VALUE if value != " "),
    "A" * 21,
    "VCB\n",
    "VCB\0",
    "VCB/1D",
    "VCB\\1D",
    "VCB 1",
    "VCB;",
    "VCB'",
    "VCB:",
    "vn:VCB",
    "-VCB",
    ".VCB",
    "_VCB",
    "VC\u0412",  # a Cyrillic letter
    "\uff36\uff23\uff22",
    "v\u0131c",
]
MARKET = Kind(
    lambda _, value: f"mode {value!r} is unknown; allowed: {MARKETS}",
    [
        *NO_VALUE,
        *WORDS,
        "nyse",
        "vn ",
        " vn",
        "vn\n",
        "vn,crypto",
        "v",
        "vnn",
        "all",
        "stock market",
        "0",
        "\uff56\uff4e",
    ],
)
MARKET_OR_ALL = choice("vn, crypto, stock, stocks, cryptos, all", "nyse", "vn ", " vn", "vn\n", "vn,crypto", "any", "0")
INTERVAL = Kind(
    lambda _, value: f"interval {value!r} is unknown; allowed: {INTERVALS}",
    [
        *NO_VALUE,
        *WORDS,
        "5M",
        "2D",
        "1Y",
        "60",
        "1 D",
        "1D ",
        "1D\n",
        "1D,1H",
        "10m",
        "0m",
    ],
)
TIME_FORM = choice("plain, iso, unix, ms", "ISO8601", "seconds", "s", "1", "utc", "iso ", "unix,ms", "Asia/Ho_Chi_Minh")
STORED_INTERVAL = choice("1D, 1H, 1m", "5m", "15m", "30m", "2h", "4h", "1W", "2W", "1M", "1D ", "1D\n", "1D,1H")
BOOLEAN = choice("true, 1, false, 0", *NO_BOOLEAN)
TABLE = choice("json, csv", "ndjson", "arrow", "xml", "csv ", "text/csv", "json\n", "c\u015fv")
MOMENT = Kind(
    of_moment, [*NO_VALUE, *WORDS, *NO_DATE, *NO_MOMENT, *WITH_BLANKS, *TOO_EARLY, "9999-12-31T23:59:59-01:00"]
)
DAY = Kind(
    one_of("a date such as 2024-01-31, in the years 1 to 9999"),
    [*NO_VALUE, *WORDS, *NO_DATE, *NO_MOMENT, *WITH_BLANKS, *TOO_EARLY, "2024-01-01T00:00:00", "2024-01-01 00:00:00"],
)
DAY_OR_LATEST = Kind(
    one_of("a date such as 2024-01-31, in the years 1 to 9999, or latest"), [*DAY.bad, "newest", "latest ", "last"]
)
SYMBOLS = Kind(of_symbol, BAD_SYMBOLS, is_list=True)
ONE_SYMBOL = Kind(of_symbol, [*BAD_SYMBOLS, " ", " VCB", "VCB ", "VCB,FPT"])
COLUMNS = Kind(
    one_of(f"{BAR_FIELDS} (mode with mode=all only), and those of indicators"),
    [*(value for value in NO_VALUE if value != " "), *WORDS, "price", "ma20_scores", "time\n", "id", "created_at"],
    is_list=True,
)
REQUESTED = (
    "rsi14, macd(12,26,9), bb20 or bb(20,2.5), atr14, vwap, roc10, stoch14 or stoch(14,3,3), obv; periods from 2 to "
    "200, the first one of macd below its second; widths from 0.1 to 10"
)
INDICATORS = Kind(
    lambda name, value: f"{name} {value!r} is not allowed; allowed: {REQUESTED}",
    [
        *(value for value in NO_VALUE if value != " "),
        *WORDS,
        "sma20",
        "ma20",
        "14",
        "(14)",
        "rs\u013114",
    ],
    is_list=True,
)
EXCHANGE = choice("HOSE, HNX, UPCOM, CRYPTO", "NYSE", "HSX", "HOSE ", "HOSE,HNX", "vn", "H\u00d6SE")
INDEX = Kind(
    one_of(f"the symbol of an index, {SYMBOL.removeprefix('a symbol is ')}"),
    [*BAD_SYMBOLS, " ", " VN30", "VN30 ", "VN30,VNINDEX"],
)
UDF_NAME = one_of(f"a symbol, or EXCHANGE:SYMBOL; {SYMBOL}")
BAD_UDF_NAMES = [
    *(value for value in BAD_SYMBOLS if value != "vn:VCB"),
    *(":VCB", "HOSE:", "HOSE:VCB:X", "HO SE:VCB", "HOSE::VCB", f"{'X' * 21}:VCB", "H\u00d6SE:VCB", "HOSE: VCB"),
]
RESOLUTIONS = "1, 5, 15, 30, 60, 120, 240, 1D, 1W, 1M; numbers are minutes, M is a month"
MORE_NUMBERS = ["1_0", "1e", "e1", "1e1000", "0x1p3", "1,5", "1 5"]
UNIX_TIME = Kind(
    one_of("a time in Unix seconds, such as 1704067200"),
    [*NO_VALUE, *WORDS, *NO_NUMBER, *MORE_NUMBERS, "2024-01-31", "1704067200s"],
)

CURSOR = Kind(
    one_of("the one in the Link header of the page before, with the same other parameters"),
    [*NO_VALUE, *WORDS, *NO_NUMBER, "AAAA", "A" * 60, "A" * 61, "MQ==", "1732886400|VCB|1732886400"],
    longest=160,
)

UPDATED_SINCE = Kind(
    one_of("the X-Updated-Until of an answer of the same market, or a time such as 2024-01-31T09:15:00Z"),
    [*MOMENT.bad, "AAAA", "A" * 60],
    longest=160,
)

# route, parameters that must be there, and the kind of each parameter
ROUTES: list[tuple[str, str, dict[str, Kind]]] = [
    (
        "/tickers",
        "",
        {
            "symbol": SYMBOLS,
            "interval": INTERVAL,
            "start_date": MOMENT,
            "end_date": MOMENT,
            "limit": whole(1_000_000),
            "legacy": BOOLEAN,
            "format": choice("json, csv, ndjson, arrow", "xml", "json ", "text/csv", "json\n", "parquet", "c\u015fv"),
            "cache": BOOLEAN,
            "mode": MARKET_OR_ALL,
            "ma": BOOLEAN,
            "ema": BOOLEAN,
            "indicators": INDICATORS,
            "closed": BOOLEAN,
            "columns": COLUMNS,
            "shape": choice("rows, columns", "row", "column", "rows ", "table", "rows,columns"),
            "time": TIME_FORM,
            "page_size": whole(1_000_000, low=1),
        },
    ),
    ("/tickers", "page_size=5", {"cursor": CURSOR}),
    ("/tickers", "", {"updated_since": UPDATED_SINCE}),
    ("/tickers/group", "", {"mode": MARKET}),
    ("/tickers/names", "", {"mode": MARKET_OR_ALL}),
    ("/tickers/name", "", {"mode": MARKET_OR_ALL}),
    (
        "/tickers/coverage",
        "",
        {"symbol": SYMBOLS, "interval": STORED_INTERVAL, "format": TABLE, "time": TIME_FORM, "mode": MARKET},
    ),
    ("/adjustments", "", {"mode": MARKET, "since": MOMENT}),
    (
        "/tickers/search",
        "",
        {
            "mode": MARKET_OR_ALL,
            "exchange": EXCHANGE,
            "index": INDEX,
            "active": BOOLEAN,
            "has_bars": BOOLEAN,
            "limit": whole(10_000),
        },
    ),
    ("/tickers/snapshot", "", {"symbol": SYMBOLS, "time": TIME_FORM, "mode": MARKET}),
    ("/tickers/info", "symbol=VCB", {"symbol": ONE_SYMBOL, "mode": MARKET}),
    ("/calendar", "", {"start_date": DAY, "end_date": DAY, "mode": MARKET}),
    ("/clock", "", {"mode": MARKET}),
    (
        "/analysis/top-performers",
        "",
        {
            "date": DAY_OR_LATEST,
            "sort_by": choice(SORT_KEYS, "close", "ma20", "symbol", "close_changed ", "close_changed,volume", "1"),
            "direction": choice("desc, asc", "up", "descending", "desc ", "-1", "asc;desc"),
            "limit": whole(100),
            "min_volume": whole(1_000_000_000_000_000),
            "max_age_days": whole(36_500),
            "with_hour": BOOLEAN,
            "format": TABLE,
            "time": TIME_FORM,
            "mode": MARKET,
        },
    ),
    (
        "/analysis/ma-scores-by-sector",
        "",
        {
            "date": DAY_OR_LATEST,
            "max_age_days": whole(36_500),
            "ma_period": choice("10, 20, 50, 100, 200", "7", "0", "-20", "20.0", "020", "ma20", "20 ", "\uff12\uff10"),
            "min_score": Kind(
                one_of("a number from -1000000 to 1000000"),
                [*NO_VALUE, *WORDS, *NO_NUMBER, *MORE_NUMBERS, "1000000.1", "-1e7", "1e999", "9" * 40],
            ),
            "above_threshold_only": BOOLEAN,
            "top_per_sector": whole(50),
            "format": TABLE,
            "time": TIME_FORM,
            "mode": MARKET,
        },
    ),
    (
        "/analysis/rrg",
        "",
        {
            "algorithm": choice("jdk, mascore", "JdK ", "ma", "ma_score", "rs", "jdk,mascore", "1"),
            "benchmark": Kind(
                one_of(f"a symbol, {SYMBOL.removeprefix('a symbol is ')}"),
                [*BAD_SYMBOLS, " ", " VN30", "VN30 ", "VN30,VNINDEX"],
            ),
            "period": Kind(
                one_of("a whole number; it is clamped to 4 to 50"), [*NO_VALUE, *WORDS, *NO_NUMBER, *NO_WHOLE]
            ),
            "trails": whole(120),
            "format": TABLE,
            "date": DAY_OR_LATEST,
            "min_volume": whole(1_000_000_000_000_000),
            "time": TIME_FORM,
            "mode": MARKET,
        },
    ),
    (
        "/analysis/volume-profile",
        "symbol=VCB&date=2024-01-31",
        {
            "symbol": ONE_SYMBOL,
            "date": DAY_OR_LATEST,
            "bins": Kind(
                one_of("a whole number; it is clamped to 2 to 200"), [*NO_VALUE, *WORDS, *NO_NUMBER, *NO_WHOLE]
            ),
            "value_area_pct": Kind(
                one_of("a number; it is clamped to 60 to 90"), [*NO_VALUE, *WORDS, *NO_NUMBER, *MORE_NUMBERS]
            ),
            "format": TABLE,
            "mode": MARKET,
        },
    ),
    (
        "/analysis/screener",
        "where=close>1",
        {
            "direction": choice("desc, asc", "up", "descending", "desc ", "-1", "asc;desc"),
            "limit": whole(10_000),
            "indicators": INDICATORS,
            "interval": INTERVAL,
            "date": DAY_OR_LATEST,
            "max_age_days": whole(36_500),
            "exchange": EXCHANGE,
            "index": INDEX,
            "format": TABLE,
            "time": TIME_FORM,
            "mode": MARKET,
        },
    ),
    ("/analysis/volume-profile", "symbol=VCB&end_date=2024-01-31", {"start_date": DAY}),
    ("/udf/symbols", "", {"symbol": Kind(UDF_NAME, [*BAD_UDF_NAMES, " ", " VCB", "VCB ", "VCB,FPT"])}),
    (
        "/udf/history",
        "symbol=VCB&from=0",
        {
            "symbol": Kind(UDF_NAME, [*BAD_UDF_NAMES, " ", " VCB", "VCB ", "VCB,FPT"]),
            "resolution": choice(
                RESOLUTIONS, "m", "2", "45", "2D", "1Y", "3M", "2W", "1D ", "D,W", "-1", "0", "1S", "T"
            ),
            "from": UNIX_TIME,
            "to": UNIX_TIME,
            "countback": whole(1_000_000),
        },
    ),
    ("/udf/quotes", "", {"symbols": Kind(UDF_NAME, BAD_UDF_NAMES, is_list=True)}),
    ("/udf/search", "", {"limit": whole(1_000)}),
    ("/analysis/volume-profile", "symbol=VCB&start_date=2024-01-31", {"end_date": DAY}),
]
PASS = {("value_area_pct", "1e1000"), ("from", "1e1000"), ("to", "1e1000")}
"""A number that is too large for a float: it is clamped like any other."""
ANY_TEXT = {
    ("/analysis/top-performers", "sector"),
    ("/analysis/screener", "sector"),
    ("/analysis/rrg", "sector"),
    ("/tickers/search", "q"),
    ("/tickers/search", "sector"),
    ("/tickers/snapshot", "sector"),
    ("/udf/search", "query"),
    ("/udf/search", "type"),
    ("/udf/search", "exchange"),
}
"""Parameters that take any text."""
LANGUAGES = {("/analysis/screener", "where"), ("/analysis/screener", "sort_by")}
"""Parameters with a language of their own: what is wrong in it is in tests/api/queries/test_where.py."""

TICKERS = (
    "symbol, interval, start_date, end_date, limit, legacy, ma, ema, indicators, closed, columns, format, shape, time, "
    "cache, mode, updated_since, page_size, cursor"
)
_WHEN = "mode is with mode=all, indicators are not with ma=false, those on request are with indicators="
_TOGETHER = "allowed: either date, or start_date with or without end_date"
_CHANGES = (
    "allowed: one market, a stored interval (1D, 1H, 1m), start_date, end_date, page_size, and how the bars are written"
)
COMBINED = [
    *(
        ("/tickers", f"updated_since=2024-01-01&{other}", f"updated_since does not go with {other}; {_CHANGES}")
        for other in ("mode=all", "interval=5m", "interval=1W", "ema=true", "closed=true", "cache=false")
    ),
    ("/tickers", "updated_since=2024-01-01&indicators=rsi14", f"updated_since does not go with indicators; {_CHANGES}"),
    (
        "/tickers",
        "updated_since=x&interval=1M&limit=1&closed=1",
        f"updated_since does not go with interval=1M, closed=true; {_CHANGES}",
    ),
    ("/tickers", "page_size=5&mode=all", "page_size does not go with mode=all; allowed: one market"),
    (
        "/tickers",
        "cursor=AAAA",
        "cursor goes with page_size only; allowed: the address in the Link header, as it is",
    ),
    ("/tickers", "ma=false&ema=true", "ma=false and ema=true do not go together; allowed: one of them"),
    ("/tickers", "ema=1&ma=0&symbol=VCB", "ma=false and ema=true do not go together; allowed: one of them"),
    ("/tickers", "shape=columns&format=csv", "shape=columns does not go with format=csv; allowed: format=json"),
    ("/tickers", "shape=columns&format=ndjson", "shape=columns does not go with format=ndjson; allowed: format=json"),
    (
        "/tickers",
        "columns=time,mode",
        f"columns mode are not in this answer ({_WHEN}); allowed: {BAR_FIELDS.replace(', mode', '')}",
    ),
    (
        "/tickers",
        "columns=ma20,close,ma10&ma=false",
        f"columns ma10, ma20 are not in this answer ({_WHEN}); allowed: time, open, high, low, close, volume, symbol",
    ),
    *(
        (
            "/tickers",
            f"indicators={value}",
            f"indicators {value!r} is not allowed; {meant} was meant? allowed: {REQUESTED}",
        )
        for value, meant in (("rsi", "rsi14"), ("rsi_14", "rsi14"), ("macd(12,26)", "macd"), ("rsi1", "rsi14"))
    ),
    (
        "/tickers",
        "indicators=rsi14,,obv",
        f"indicators '' is not allowed; allowed: {REQUESTED}",
    ),
    (
        "/tickers",
        f"indicators={','.join(f'rsi{period}' for period in range(2, 19))}",
        "17 different indicators are asked for; allowed: at most 16",
    ),
    (
        "/tickers",
        "columns=rsi14,close&indicators=obv",
        f"columns rsi14 are not in this answer ({_WHEN}); allowed: {BAR_FIELDS.replace(', mode', '')}, obv",
    ),
    (
        "/tickers",
        "studies=rsi14",
        f"parameter 'studies' is unknown; indicators was meant? allowed: {TICKERS}",
    ),
    (
        "/tickers",
        "limit=-1&interval=x",
        f"interval 'x' is unknown; allowed: {INTERVALS}; "
        "limit '-1' is not allowed; allowed: a whole number from 0 on, clamped to 1000000",
    ),
    ("/tickers", "symbol=VCB,,FPT", of_symbol("", "")),
    ("/tickers", "symbol=VCB,", of_symbol("", "")),
    ("/tickers", "symbol=VCB&symbol=%2e%2e", of_symbol("", "..")),
    ("/tickers", "symbol=VCB%252f..", of_symbol("", "VCB%2f..")),
    ("/tickers", "symbol=%c0%ae%c0%ae", of_symbol("", "%C0%AE%C0%AE")),
    ("/tickers", "symbol=%ff", of_symbol("", "%FF")),
    ("/tickers", "symbol=%zz", of_symbol("", "%zz")),
    ("/tickers", "start_date=2024-01-01T10:00:00+07:00", of_moment("start_date", "2024-01-01T10:00:00 07:00")),
    ("/tickers/info", "", f"symbol is missing; allowed: one symbol, {SYMBOL.removeprefix('a symbol is ')}"),
    (
        "/analysis/volume-profile",
        "date=2024-01-31",
        f"symbol is missing; allowed: one symbol, {SYMBOL.removeprefix('a symbol is ')}",
    ),
    ("/analysis/volume-profile", "symbol=VCB", f"date is missing; {_TOGETHER}"),
    ("/analysis/volume-profile", "symbol=VCB&end_date=2024-01-31", f"start_date is missing; {_TOGETHER}"),
    (
        "/analysis/volume-profile",
        "symbol=VCB&date=2024-01-31&start_date=2024-01-31",
        f"date is given together with start_date or end_date; {_TOGETHER}",
    ),
    (
        "/analysis/screener",
        "sort_by=close",
        "where is missing; allowed: a condition such as close>ma200 and rsi14<30 and value>1e10",
    ),
    (
        "/analysis/screener",
        "where=close%3Erms",
        "where 'close>^rms' is not allowed from the ^ on, character 7: 'rms' is no field; allowed: open, high, low, "
        f"close, volume, value, {BAR_FIELDS.partition('mode, ')[2]}, and fields of indicators: {REQUESTED}",
    ),
    (
        "/analysis/screener",
        f"where={'x' * 501}",
        f"where '{'x' * 32}...' is 501 characters long; allowed: at most 500",
    ),
    (
        "/analysis/screener",
        "where=close%3E1&sort=close",
        "parameter 'sort' is unknown; sort_by was meant? allowed: where, sort_by, direction, limit, indicators, "
        "interval, date, max_age_days, exchange, sector, index, format, time, mode",
    ),
    ("/udf/history", "symbol=VCB", "from is missing; allowed: from, or countback, the last so many bars"),
    ("/udf/history", "symbol=VCB&countback=0", "from is missing; allowed: from, or countback, the last so many bars"),
    (
        "/udf/history",
        "from=0",
        f"symbol is missing; allowed: a symbol, or EXCHANGE:SYMBOL; {SYMBOL}",
    ),
    ("/udf/symbols", "", f"symbol is missing; allowed: a symbol, or EXCHANGE:SYMBOL; {SYMBOL}"),
    (
        "/udf/quotes",
        "",
        f"symbols is missing; allowed: symbols separated by commas, each a symbol, or EXCHANGE:SYMBOL; {SYMBOL}",
    ),
    (
        "/udf/history",
        "ticker=VCB&from=0",
        "parameter 'ticker' is unknown; symbol was meant? allowed: symbol, resolution, to, countback, from",
    ),
    (
        "/calendar",
        "start_date=1969-12-31&end_date=1970-01-05",
        "1969-12-31 to 1970-01-05 is outside of the calendar; allowed: days from 1970-01-01 to 2100-12-31",
    ),
    (
        "/calendar",
        "start_date=2026-01-01&end_date=9999-12-31",
        "2026-01-01 to 9999-12-31 is outside of the calendar; allowed: days from 1970-01-01 to 2100-12-31",
    ),
    (
        "/calendar",
        "start_date=0001-01-01",
        "0001-01-01 to 0001-01-30 is outside of the calendar; allowed: days from 1970-01-01 to 2100-12-31",
    ),
    (
        "/calendar",
        "start_date=2016-01-01&end_date=2026-01-08",
        "2016-01-01 to 2026-01-08 has 3661 days; allowed: at most 3660",
    ),
    (
        "/tickers",
        "symbols=VCB&start=2024-01-01&limit=5",
        "parameter 'symbols' is unknown; symbol was meant? parameter 'start' is unknown; start_date was meant? "
        f"allowed: {TICKERS}",
    ),
    ("/tickers", "symbol%5B%5D=VCB", f"parameter 'symbol[]' is unknown; symbol was meant? allowed: {TICKERS}"),
    (
        "/tickers",
        "date=2024-01-01",
        f"parameter 'date' is unknown; start_date or end_date was meant? allowed: {TICKERS}",
    ),
]


def of_parameter(route: str, base: str, name: str, kind: Kind) -> Iterator[BadRequest]:
    """All wrong values of a parameter: also a value that is too long, and two right values unless it is a list."""
    others = "&".join(each for each in base.split("&") if each and not each.startswith(f"{name}="))

    def request(value: str, error: str) -> BadRequest:
        query = f"{name}={quote(value, safe='')}"
        return BadRequest(route, f"{others}&{query}" if others else query, 400, error)

    for value in kind.bad:
        if (name, value) not in PASS and not (kind.is_list and "," in value):
            yield request(value, kind.answer(name, value))
    for length in (kind.longest + 1, 4_000):
        error = f"{name} '{'x' * 32}...' is {length} characters long; allowed: at most {kind.longest}"
        yield request("x" * length, error)
    if not kind.is_list:
        for times in (2, 50):
            query = "&".join([*filter(None, [others]), *[f"{name}=1"] * times])
            yield BadRequest(route, query, 400, f"{name} is given {times} times; allowed: once")


def all_requests() -> list[BadRequest]:
    table = [
        request
        for route, base, kinds in ROUTES
        for name, kind in kinds.items()
        for request in of_parameter(route, base, name, kind)
    ]
    return table + [BadRequest(route, query, 400, error) for route, query, error in COMBINED]
