from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from stockapi.api.queries import schemas
from stockapi.api.queries.parameters import EVERY_MARKET
from stockapi.api.queries.schemas import MAX_LIMIT, Format, Shape, TickersQuery, parse_group_query, parse_tickers_query
from stockapi.errors import QueryError
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import AggregatedInterval, Interval
from stockapi.models.mode import Mode
from stockapi.models.query import Indicators, QueryParameters


def arguments(query_string: str) -> MultiDict[str, str]:
    return MultiDict(parse_qsl(query_string, keep_blank_values=True))


def parse(query_string: str) -> TickersQuery:
    return parse_tickers_query(arguments(query_string))


def parameters(query_string: str) -> QueryParameters:
    return parse(query_string).parameters


def refusal(query_string: str) -> str:
    with pytest.raises(QueryError) as caught:
        parse(query_string)
    return str(caught.value)


def test_defaults() -> None:
    assert parse("") == TickersQuery(
        QueryParameters(
            mode=Mode.VN,
            interval=Interval.DAILY,
            symbols=None,
            start=None,
            end=None,
            limit=252,
            legacy=False,
            use_sqlite=True,
        ),
        Format.JSON,
        Shape.ROWS,
        ("time", "open", "high", "low", "close", "volume", "symbol", *INDICATOR_FIELDS),
        every_market=(),
    )


def test_everything_at_once() -> None:
    query = parse(
        "symbol=btc&mode=Cryptos&interval=4h&start_date=2024-01-02&end_date=2024-01-03T09:15:00Z&format=CSV&cache=0"
    )
    assert query.format is Format.CSV
    assert query.parameters == QueryParameters(
        mode=Mode.CRYPTO,
        interval=AggregatedInterval.HOUR_4,
        symbols=("BTC",),
        start=1_704_153_600,
        end=1_704_273_300,
        limit=None,
        use_sqlite=False,
    )


@pytest.mark.parametrize(
    "query",
    ["symbol=VIC&symbol=vcb", "symbol=VCB,VIC", "symbol=vic,VCB&symbol=VIC", "symbol=%20VIC%20,%20VCB"],
)
def test_symbols_in_any_form_order_and_number_are_the_same_query(query: str) -> None:
    assert parameters(query).symbols == ("VCB", "VIC")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("symbol=VCB,", "''"),
        ("symbol=VCB,,VIC", "''"),
        ("symbol=../etc", "'../etc'"),
        ("symbol=VCB%0A", r"'VCB\n'"),
        ("symbol=VCB%00", r"'VCB\x00'"),
        ("symbol=%EF%BC%B6CB", "'\uff36CB'"),
        ("symbol=%C4%B1", "'\u0131'"),
        ("symbol=ABCDEFGHIJKLMNOPQRSTU", "'ABCDEFGHIJKLMNOPQRSTU'"),
        ("symbol=%27%20OR%201%3D1", '"\' OR 1=1"'),
        ("symbol=%2e%2e%5c", r"'..\\'"),
    ],
)
def test_a_symbol_that_could_not_be_one_is_refused(query: str, shown: str) -> None:
    text = refusal(query)
    assert text.startswith(f"symbol {shown} is not allowed; a symbol is 1 to 20 of A-Z 0-9")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-31", 1_706_659_200),
        ("1970-01-01", 0),
        ("1969-12-31", -86_400),
        ("0001-01-01", -62_135_596_800),
        ("2026-11-5", 1_793_836_800),
        ("2026-1-5", 1_767_571_200),
        ("2024-1-31T09:15:00", 1_706_692_500),
    ],
)
def test_start_date_is_the_beginning_of_its_day(text: str, seconds: int) -> None:
    assert parameters(f"start_date={text}").start == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-31", 1_706_745_599),
        ("1970-01-01", 86_399),
        ("1969-12-31", -1),
        ("2026-11-5", 1_793_923_199),
        ("9999-12-31", 253_402_300_799),
        ("2024-01-31T07:00:00%2B07:00", 1_706_659_200),
        ("2024-01-31%2009:15:00", 1_706_692_500),
    ],
)
def test_end_date_covers_its_whole_day_and_a_timestamp_itself(text: str, seconds: int) -> None:
    assert parameters(f"end_date={text}").end == seconds


@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "text",
    [
        "today",
        "2024-13-01",
        "2024-02-30",
        "2024-1-32",
        "2024-001-1",
        "01/02/2024",
        "20240102",
        "1706659200",
        "0000-01-01",
        "10000-01-01",
        "2024-01-01T25:00:00",
        "2024-01-01T00:00:00%2B07:00:00",
        "9999-12-31T23:59:59-01:00",
        "2024-01-01%00",
        "2024-01-01%0A",
        "%D9%A2%D9%A0%D9%A2%D9%A4-01-01",
    ],
)
def test_a_wrong_date_is_refused(name: str, text: str) -> None:
    message = refusal(f"{name}={text}")
    assert message.startswith(f"{name} '")
    assert "allowed: a date such as 2024-01-31 or a time such as 2024-01-31T09:15:00Z" in message


def test_a_plus_that_became_a_blank_is_explained() -> None:
    assert "the + of an offset is written %2B in a URL" in refusal("start_date=2024-01-31T07:00:00+07:00")


def test_start_after_end_is_a_range_of_nothing() -> None:
    query = parameters("start_date=2024-01-02&end_date=2024-01-01")
    assert (query.start, query.end) == (1_704_153_600, 1_704_153_599)


def test_a_range_of_one_day_is_allowed() -> None:
    query = parameters("start_date=2024-01-02&end_date=2024-01-02")
    assert (query.start, query.end) == (1_704_153_600, 1_704_239_999)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("1", 1), ("007", 7), (str(MAX_LIMIT), MAX_LIMIT), (str(MAX_LIMIT + 1), MAX_LIMIT), ("9" * 40, MAX_LIMIT)],
)
def test_limit(text: str, limit: int) -> None:
    assert parameters(f"limit={text}").limit == limit


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "%2B5",
        "+5",
        "5 ",
        "1.0",
        "1e3",
        "1_000",
        "0x10",
        "five",
        "%EF%BC%91%EF%BC%92",
        "\u0663",
    ],
)
def test_a_wrong_limit_is_refused(text: str) -> None:
    message = refusal(f"limit={text}")
    assert message.startswith("limit '")
    assert message.endswith(f"is not allowed; allowed: a whole number from 0 on, clamped to {MAX_LIMIT}")


def test_a_limit_of_nothing_means_all_bars_there_are() -> None:
    query = parameters("limit=0&end_date=2024-01-01")
    assert (query.start, query.end, query.limit) == (0, 1_704_153_599, None)
    assert parameters("limit=0&start_date=2024-01-02").start == 1_704_153_600


def test_limit_is_ignored_beside_a_start_date_but_still_checked() -> None:
    assert parameters("start_date=2024-01-02&limit=5").limit is None
    assert refusal("start_date=2024-01-02&limit=-1").startswith("limit '-1'")


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("TRUE", True), ("1", True), ("false", False), ("False", False), ("0", False)],
)
def test_booleans(text: str, value: bool) -> None:
    query = parameters(f"legacy={text}&cache={text}")
    assert (query.legacy, query.use_sqlite) == (value, value)
    assert parameters(f"ma={text}").indicators is (Indicators.SIMPLE if value else Indicators.NONE)
    assert parameters(f"ema={text}").indicators is (Indicators.EXPONENTIAL if value else Indicators.SIMPLE)


@pytest.mark.parametrize("name", ["legacy", "cache", "ma", "ema"])
@pytest.mark.parametrize("text", ["yes", "on", "2", "tru", "true,false"])
def test_a_wrong_boolean_is_refused(name: str, text: str) -> None:
    assert refusal(f"{name}={text}") == f"{name} {text!r} is not allowed; allowed: true, 1, false, 0"


def test_legacy_has_no_meaning_for_crypto() -> None:
    assert parameters("legacy=true&mode=crypto").legacy is False
    assert parameters("legacy=true&mode=all").legacy is True


@pytest.mark.parametrize(
    "query", ["columns=close&columns=TIME&columns=ma10", "columns=ma10,%20time,close,time", "columns=time,close,ma10"]
)
def test_columns_in_any_form_order_and_number_are_the_same_query(query: str) -> None:
    assert parse(query).fields == ("time", "close", "ma10")


ALL_BARE = "time, open, high, low, close, volume, symbol"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("columns=time,", "columns '' is not allowed; allowed: time, open,"),
        ("columns=time,ma11", "columns 'ma11' is not allowed; allowed: time, open, high, low, close, volume, symbol, "),
        ("columns=id", "columns 'id' is not allowed; allowed: time, open,"),
        ("columns=mode,time", "columns mode are not in this answer"),
        ("columns=ma10,time,ma20&ma=false", "columns ma10, ma20 are not in this answer"),
        ("ma=false&ema=true", "ma=false and ema=true do not go together; allowed: one of them"),
        ("shape=columns&format=csv", "shape=columns does not go with format=csv; allowed: format=json"),
        ("shape=columns&format=ndjson", "shape=columns does not go with format=ndjson; allowed: format=json"),
    ],
)
def test_options_that_make_no_answer_are_refused(query: str, message: str) -> None:
    assert refusal(query).startswith(message)


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("columns=mode&ma=false", ALL_BARE),
        ("columns=ma10&ma=false&mode=all", f"{ALL_BARE}, mode"),
        ("columns=mode", ", ".join((ALL_BARE, *INDICATOR_FIELDS))),
    ],
)
def test_a_refusal_names_the_columns_there_are(query: str, allowed: str) -> None:
    assert refusal(query).endswith(f"; allowed: {allowed}")


@pytest.mark.parametrize(
    ("query", "indicators"),
    [
        ("columns=time,close,volume", Indicators.NONE),
        ("columns=close&ema=true", Indicators.NONE),
        ("columns=close,mode,symbol&mode=all", Indicators.NONE),
        ("columns=ma10", Indicators.SIMPLE),
        ("columns=close_changed", Indicators.SIMPLE),
        ("columns=ma10&ema=1", Indicators.EXPONENTIAL),
        ("ma=true&ema=false", Indicators.SIMPLE),
    ],
)
def test_indicators_are_read_only_when_they_are_in_the_answer(query: str, indicators: Indicators) -> None:
    assert parameters(query).indicators is indicators


@pytest.mark.parametrize(
    ("query", "is_every_market", "has_mode"),
    [("mode=all", True, True), ("mode=ALL", True, True), ("mode=vn", False, False), ("mode=crypto", False, False)],
)
def test_both_markets_are_asked_with_all(query: str, is_every_market: bool, has_mode: bool) -> None:
    parsed = parse(query)
    assert (parsed.is_every_market, "mode" in parsed.fields) == (is_every_market, has_mode)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("format=xml", "format 'xml' is not allowed; allowed: json, csv, ndjson"),
        ("shape=wide", "shape 'wide' is not allowed; allowed: rows, columns"),
        ("mode=us", "mode 'us' is not allowed; allowed: vn, crypto, stock, stocks, cryptos, all"),
        ("interval=2m", "interval '2m' is unknown; allowed: 1D, 1H, 1m, 5m, 15m, 30m, 2h, 4h, 1W, 2W, 1M"),
    ],
)
def test_a_wrong_choice_names_those_there_are(query: str, message: str) -> None:
    assert refusal(query).startswith(message)


@pytest.mark.parametrize(
    "name",
    [
        *("interval", "start_date", "end_date", "limit", "legacy", "ma", "ema", "format", "shape", "cache", "mode"),
        *("page_size", "cursor"),
    ],
)
def test_only_symbol_and_columns_may_be_repeated(name: str) -> None:
    assert refusal(f"{name}=1&{name}=1") == f"{name} is given 2 times; allowed: once"


@pytest.mark.parametrize("name", ["symbol", "interval", "start_date", "limit", "legacy", "format", "cache", "mode"])
def test_a_long_value_is_shown_shortened(name: str) -> None:
    message = refusal(f"{name}={'%0A' * 5_000}")
    assert message == f"{name} '{chr(92) + 'n'}" + r"\n" * 31 + "...' is 5000 characters long; allowed: at most 64"


def test_every_wrong_parameter_is_named_on_one_line() -> None:
    message = refusal("limit=-1&format=xml&mode=%0A")
    assert [part.split(" ")[0] for part in message.split("; ") if not part.startswith("allowed")] == [
        "limit",
        "format",
        "mode",
    ]
    assert message.isprintable()


def test_unknown_parameters_are_ignored() -> None:
    assert parse("foo=1&foo=2&Symbol=&_=17&utm_source=x&v=2&apikey=y&nonce=1") == parse("")


@pytest.mark.parametrize("name", list(schemas.TickersSchema(EVERY_MARKET).fields))
def test_an_empty_parameter_is_absent(name: str) -> None:
    assert parse(f"{name}=") == parse(name) == parse("")
    assert parse(f"{name}=&symbol=VCB&symbol=") == parse("symbol=VCB")


@pytest.mark.parametrize(
    ("query", "mode"), [("", Mode.VN), ("mode=stocks", Mode.VN), ("mode=CRYPTO&limit=0", Mode.CRYPTO)]
)
def test_group(query: str, mode: Mode) -> None:
    assert parse_group_query(arguments(query)) is mode


@pytest.mark.parametrize("query", ["mode=us", "mode=all", "mode=vn&mode=vn"])
def test_a_wrong_group_query_is_refused(query: str) -> None:
    with pytest.raises(QueryError, match=r"^mode "):
        parse_group_query(arguments(query))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["symbol", "interval", "start_date", "limit", "ma", "ema", "columns", "format", "shape", "mode"]
            ),
            st.text(max_size=80) | st.sampled_from(["1", "VCB", "1D", "2024-01-01", "true", "close,ma10", "all"]),
        ),
        max_size=6,
    )
)
def test_whatever_is_asked_is_parsed_or_refused_in_one_printable_line(pairs: list[tuple[str, str]]) -> None:
    message = ""
    try:
        parse_tickers_query(MultiDict(pairs))
    except QueryError as exc:
        message = str(exc)
    assert message.isprintable()
    assert len(message) < 2_000


# Queries that were parsed before


@pytest.mark.parametrize("length", [1, 100], ids=["short, remembered", "long, parsed anew"])
def test_a_query_is_the_same_each_time(length: int) -> None:
    symbols = ",".join(f"S{number}" for number in range(length))
    first, again = parse(f"symbol={symbols}&limit=5"), parse(f"symbol={symbols}&limit=5")
    assert first == again == parse(f"limit=5&symbol={symbols}")
    assert (first is again) == (length == 1)
    assert parse(f"symbol={symbols}&limit=6") != first


def test_what_is_wrong_is_wrong_each_time() -> None:
    assert (
        refusal("limit=-1")
        == refusal("limit=-1")
        == "limit '-1' is not allowed; allowed: a whole number from 0 on, clamped to 1000000"
    )
    assert refusal("limit=1&limit=2") == "limit is given 2 times; allowed: once"


def test_values_of_one_name_and_of_two_are_not_mixed_up() -> None:
    assert parameters("symbol=A&symbol=B").symbols == parameters("symbol=A,B").symbols == ("A", "B")
    assert parameters("symbol=A&x=B").symbols == ("A",)
