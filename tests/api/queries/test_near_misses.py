"""Names that are almost those of a parameter: which of them was meant, at every route, and what is left alone."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockapi.api.openapi.operations import OPERATIONS
from stockapi.api.queries.near_misses import meant_by, require_no_near_miss
from stockapi.api.queries.parameters import EVERY_MARKET
from stockapi.api.queries.schemas import TickersSchema
from stockapi.errors import QueryError

ROUTES = {each.path: list(each.query(EVERY_MARKET).fields) for each in OPERATIONS if each.query is not None}
TICKERS = ROUTES["/tickers"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(
            (name, "symbol")
            for name in ("symbol[]", "symbol[0]", "symbols", "Symbol", "SYMBOL", "symbols[]", " symbol")
        ),
        *((name, "symbol") for name in ("symbl", "simbol", "symobl", "ticker", "tickers", "code")),
        *((name, "interval") for name in ("intervall", "Interval", "intervals", "inteval", "intreval", "resolution")),
        *((name, "start_date") for name in ("start", "startDate", "start-date", "startdate", "start_dat", "from")),
        *((name, "end_date") for name in ("end", "endDate", "END_DATE", "end.date", "to", "until", "ende_date")),
        *((name, "start_date end_date") for name in ("date", "dates")),
        *((name, "limit") for name in ("limits", "Limit", "limt", "lmit", "count")),
        *((name, "columns") for name in ("column", "colums", "columns[]", "fields")),
        *((name, "format") for name in ("formats", "fromat", "Format", "fmt")),
        *((name, "legacy") for name in ("legcy", "Legacy")),
        *((name, "cache") for name in ("cahe", "caches", "chache")),
        *((name, "mode") for name in ("Mode", "modes", "mod", "market")),
        *((name, "time") for name in ("times", "Time", "tim", "time_format", "timeFormat", "timestamp", "timestamps")),
        *((name, "interval") for name in ("timeframe", "time_frame")),
        *((name, "symbol") for name in ("sym", "pair", "pairs")),
        *((name, "interval") for name in ("tf", "TF", "period", "granularity")),
        *((name, "start_date") for name in ("startTime", "start_time", "date_from", "fromDate")),
        *((name, "end_date") for name in ("endTime", "end_time", "date_to", "toDate")),
        *((name, "page_size") for name in ("pageSize", "page_sizes", "page", "pagesize", "PAGE_SIZE")),
        *((name, "cursor") for name in ("Cursor", "cursors", "curser")),
        *((name, "ma") for name in ("MA", "ma[]")),
        *(
            (name, "")
            for name in ("foo", "_", "v", "t", "utm_source", "apikey", "token", "nonce", "callback", "m", "am")
        ),
        *((name, "") for name in ("", "[]", "=", "__proto__", "\0", "x" * 500)),
    ],
)
def test_of_tickers(name: str, meant: str) -> None:
    found = " ".join(meant_by(name, TICKERS))
    assert found == meant or (meant == "" and found == "")


@pytest.mark.parametrize(
    ("route", "name", "meant"),
    [
        ("/analysis/top-performers", "sort", "sort_by"),
        ("/analysis/top-performers", "sectors", "sector"),
        ("/analysis/top-performers", "minVolume", "min_volume"),
        ("/analysis/top-performers", "hour", "with_hour"),
        ("/analysis/top-performers", "order", "direction"),
        ("/analysis/top-performers", "day", "date"),
        ("/analysis/ma-scores-by-sector", "period", "ma_period"),
        ("/analysis/ma-scores-by-sector", "maPeriod", "ma_period"),
        ("/analysis/ma-scores-by-sector", "top", "top_per_sector"),
        ("/analysis/ma-scores-by-sector", "above_threshold", "above_threshold_only"),
        ("/analysis/rrg", "trail_length", "trails"),
        ("/analysis/screener", "filter", "where"),
        ("/tickers/search", "query", "q"),
        ("/udf/search", "q", "query"),
        ("/analysis/screener", "sort", "sort_by"),
        ("/tickers", "indicator", "indicators"),
        ("/tickers", "studies", "indicators"),
        ("/analysis/rrg", "tails", "trails"),
        ("/analysis/rrg", "periods", "period"),
        ("/analysis/rrg", "reference", "benchmark"),
        ("/analysis/volume-profile", "bin", "bins"),
        ("/analysis/volume-profile", "value_area", "value_area_pct"),
        ("/analysis/volume-profile", "start", "start_date"),
        ("/tickers/coverage", "symbol[]", "symbol"),
        ("/tickers/group", "modes", "mode"),
        ("/adjustments", "sinc", "since"),
    ],
)
def test_of_other_routes(route: str, name: str, meant: str) -> None:
    assert meant_by(name, ROUTES[route]) == [meant]


def _misspelled(name: str) -> Iterator[str]:
    yield from (f"{name}[]", f"{name}[1]", name.upper(), name.title(), name.replace("_", "-"))
    yield name.removesuffix("s") if name.endswith("s") else f"{name}s"
    first, *others = name.split("_")
    yield first + "".join(other.title() for other in others)
    if len(name) > 4:
        yield from (name[:2] + name[1:], name[:-2] + name[-1], name[:2] + name[3] + name[2] + name[4:])


@pytest.mark.parametrize("route", ROUTES)
def test_every_parameter_of_every_route_misspelled(route: str) -> None:
    known = ROUTES[route]
    for name in known:
        for wrong in _misspelled(name):
            assert wrong in known or meant_by(wrong, known) == [name], wrong


@given(st.text(max_size=90))
def test_whatever_is_given_the_refusal_is_one_printable_line(name: str) -> None:
    message = ""
    try:
        require_no_near_miss([name], TICKERS)
    except QueryError as exc:
        message = str(exc)
    assert message.isprintable()
    assert len(message) < 400


def test_a_thousand_names_cost_little() -> None:
    """As many as a request line holds; the schemas themselves take as long."""
    require_no_near_miss([f"x{number}y" for number in range(1_600)], list(TickersSchema(EVERY_MARKET).fields))
