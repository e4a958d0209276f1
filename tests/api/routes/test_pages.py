"""`page_size`: the pages together are the one answer, whatever happens to the stores between two of them."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import numpy as np
import polars as pl
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from stockapi import create_app
from stockapi.config import Settings
from stockapi.models import Interval, Mode
from stockapi.services.upkeep.changes import Deletion, Renaming, make_change
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, environment, make_bars

DAY = 86_400
Row = dict[str, Any]


def fill(stores: Stores) -> None:
    for seed, (ticker, count) in enumerate((("AAA", 40), ("BBB", 7), ("CCC", 300), ("DDD", 1), ("VNINDEX", 25))):
        stores.save(ticker, make_bars(count, seed=seed))
        stores.save(ticker, make_bars(2 * count, Interval.MINUTE, seed=seed), Interval.MINUTE)
    stores.save("BTC", make_bars(30, mode=Mode.CRYPTO), mode=Mode.CRYPTO)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both markets are in both stores; not to be changed."""
    directory = tmp_path_factory.mktemp("stores")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    fill(stores)
    stores.db_manager.close()
    return directory


def client_of(directory: Path, **variables: str) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory, **variables)), clock=lambda: NOW).test_client()


@pytest.fixture(scope="module")
def client(directory: Path) -> FlaskClient:
    return client_of(directory)


def get(client: FlaskClient, path: str) -> TestResponse:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer


def next_path(answer: TestResponse) -> str | None:
    if "Link" not in answer.headers:
        return None
    address, relation = answer.headers["Link"].split("; ")
    assert relation == 'rel="next"'
    return address[1:-1]


def pages(client: FlaskClient, query: str, between: Sequence[Callable[[], object]] = ()) -> Iterator[TestResponse]:
    """`between`: what happens after the first page, after the second one, and so on."""
    path: str | None = f"/tickers?{query}"
    steps = iter(between)
    while path is not None:
        answer = get(client, path)
        yield answer
        next(steps, lambda: None)()
        path = next_path(answer)


def rows(answer: TestResponse) -> list[Row]:
    """The bars of an answer in any format, in the order of the answer."""
    match answer.mimetype:
        case "text/csv":
            return list(csv.DictReader(io.StringIO(answer.text)))
        case "application/x-ndjson":
            return [json.loads(line) for line in answer.text.splitlines()]
        case "application/vnd.apache.arrow.stream":
            return pl.read_ipc_stream(answer.data).to_dicts()
    assert answer.is_json
    return [row for bars in answer.get_json().values() for row in _rows_of(bars)]


def _rows_of(bars: Any) -> list[Row]:
    """Also of an object of columns."""
    if isinstance(bars, list):
        return bars
    return [dict(zip(bars, values, strict=True)) for values in zip(*bars.values(), strict=True)]


QUERIES = st.fixed_dictionaries(
    {
        "format": st.sampled_from(["json", "csv", "ndjson", "arrow"]),
        "interval": st.sampled_from(["1D", "1m", "5m", "30m", "1W", "2W", "1M"]),
        "symbol": st.sampled_from(["", "CCC", "CCC,AAA,NOSUCH", "AAA,BBB,VNINDEX"]),
    },
    optional={
        "limit": st.sampled_from(["0", "1", "3", "60"]),
        "start_date": st.sampled_from(["2015-01-01", "2015-01-20", "2015-03-02T00:00:30"]),
        "end_date": st.sampled_from(["2015-01-10", "2015-02-14", "2015-01-05T00:31:00"]),
        "ema": st.just("true"),
        "indicators": st.sampled_from(["rsi14", "macd(3,5,2)", "obv,atr5"]),
        "legacy": st.just("true"),
        "closed": st.just("true"),
        "columns": st.just("time,close,ma10"),
        "time": st.sampled_from(["iso", "ms"]),
        "cache": st.just("false"),
    },
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUERIES, size=st.one_of(st.integers(1, 12), st.integers(20, 400)), data=st.data())
def test_the_pages_are_the_one_answer(
    client: FlaskClient, query: dict[str, str], size: int, data: st.DataObject
) -> None:
    if query["format"] == "arrow":  # it has one form of times
        query.pop("time", None)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    if query["format"] == "json" and data.draw(st.booleans()):
        text += "&shape=columns"
    whole = rows(get(client, f"/tickers?{text}"))
    size = max(size, len(whole) // 12)  # a few pages show as much as hundreds
    parts = [rows(page) for page in pages(client, f"{text}&page_size={size}")]
    assert [row for part in parts for row in part] == whole
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert 0 < len(parts[-1]) <= size or whole == []


def test_the_order_is_that_of_symbols_and_then_of_time(client: FlaskClient) -> None:
    found = [(row["symbol"], row["time"]) for page in pages(client, "limit=9&page_size=4") for row in rows(page)]
    assert found == sorted(found)
    assert len(found) == 9 + 7 + 9 + 1 + 9


def test_of_a_crypto_market(client: FlaskClient) -> None:
    parts = [rows(page) for page in pages(client, "mode=crypto&page_size=13")]
    assert [len(part) for part in parts] == [13, 13, 4]


def test_who_asks_for_arrow_by_a_header_gets_a_link_to_arrow(client: FlaskClient) -> None:
    accept = {"Accept": "application/vnd.apache.arrow.stream"}
    answer = client.get("/tickers?symbol=BBB&page_size=3", headers=accept)
    path = next_path(answer)
    assert path is not None
    assert [row["time"] for row in rows(get(client, path))] == [
        row["time"] for row in rows(client.get("/tickers?symbol=BBB", headers=accept))[3:6]
    ]


def test_an_answer_that_fits_has_no_link(client: FlaskClient) -> None:
    for size in (7, 8, 10**9):
        assert "Link" not in get(client, f"/tickers?symbol=BBB&page_size={size}").headers
    assert "Link" not in get(client, "/tickers?symbol=NOSUCH&page_size=1").headers
    assert "Link" in get(client, "/tickers?symbol=BBB&page_size=6").headers


def test_the_link_is_the_request_with_a_cursor(client: FlaskClient) -> None:
    """Also where the client already had one, and with parameters that nobody knows."""
    first = next_path(get(client, "/tickers?symbol=AAA,BBB&symbol=CCC&limit=0&_=%26x%C3%A9&page_size=20"))
    assert first is not None
    second = next_path(get(client, first))
    assert second is not None
    for path in (first, second):
        parts = urlsplit(path)
        assert (parts.scheme, parts.netloc, parts.path) == ("", "", "/tickers")
        given = parse_qs(parts.query)
        assert len(given.pop("cursor")) == 1
        assert given == {"symbol": ["AAA,BBB", "CCC"], "limit": ["0"], "_": ["&x\xe9"], "page_size": ["20"]}
    assert first != second


@pytest.mark.parametrize(
    ("variables", "headers", "environ"),
    [
        ({"SCRIPT_NAME": "/markets"}, {}, {}),
        ({"TRUST_FORWARDED_PREFIX": "true"}, {"X-Forwarded-Prefix": "/markets"}, {}),
        ({}, {}, {"SCRIPT_NAME": "/markets"}),
    ],
)
def test_the_link_has_the_prefix_of_a_proxy(
    directory: Path, variables: dict[str, str], headers: dict[str, str], environ: dict[str, str]
) -> None:
    client = client_of(directory, **variables)
    answer = client.get("/tickers?page_size=3", headers=headers, environ_overrides=environ)
    address = urljoin("https://example.org/markets/tickers?page_size=3", answer.headers["Link"][1:].split(">")[0])
    assert address.startswith("https://example.org/markets/tickers?page_size=3&cursor=")


def test_pages_of_more_bars_than_an_answer_may_have(directory: Path) -> None:
    """The row budget is for each page: an answer that is refused as one comes in pages."""
    client = client_of(directory, MAX_RESPONSE_ROWS="50")
    assert client.get("/tickers?limit=0").status_code == 413
    parts = [rows(page) for page in pages(client, "limit=0&page_size=1000000")]
    assert [len(part) for part in parts] == [50] * 7 + [23]


def test_a_page_is_revalidated_with_its_link(client: FlaskClient) -> None:
    first = get(client, "/tickers?page_size=3")
    again = client.get("/tickers?page_size=3", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.headers["Link"]) == (304, first.headers["Link"])


# A cursor that is none


def tampered(cursor: str) -> Iterator[str]:
    for place in range(0, len(cursor), 3):
        other = "B" if cursor[place] == "A" else "A"
        yield cursor[:place] + other + cursor[place + 1 :]
    yield from (cursor[:-1], cursor + "A", cursor.lower(), cursor[::-1], cursor + "=", cursor * 2)


def refusal(cursor: str) -> str:
    allowed = "the one in the Link header of the page before, with the same other parameters"
    return f"cursor {cursor!r} is not allowed; allowed: {allowed}"


def test_a_cursor_that_was_changed_is_refused(client: FlaskClient) -> None:
    path = next_path(get(client, "/tickers?symbol=CCC&page_size=3"))
    assert path is not None
    cursor = parse_qs(urlsplit(path).query)["cursor"][0]
    for text in tampered(cursor):
        answer = client.get(f"/tickers?symbol=CCC&page_size=3&cursor={text}")
        assert (answer.status_code, answer.get_json()) == (400, {"error": refusal(text)})


@pytest.mark.parametrize("other", ["symbol=AAA", "symbol=CCC&limit=5", "symbol=CCC&interval=1m", "symbol=CCC&ma=0", ""])
def test_a_cursor_of_another_query_is_refused(client: FlaskClient, other: str) -> None:
    path = next_path(get(client, "/tickers?symbol=CCC&page_size=3"))
    assert path is not None
    cursor = parse_qs(urlsplit(path).query)["cursor"][0]
    answer = client.get(f"/tickers?{other}&page_size=3&cursor={cursor}")
    assert (answer.status_code, answer.get_json()) == (400, {"error": refusal(cursor)})


def test_a_cursor_of_another_version_is_refused(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next_path(get(client, "/tickers?symbol=CCC&page_size=3"))
    assert path is not None
    monkeypatch.setattr("stockapi.api.queries.cursors._VERSION", "2")
    assert client.get(f"{path}&x=1").status_code == 400


def test_the_size_may_change_and_the_spelling_too(client: FlaskClient) -> None:
    path = next_path(get(client, "/tickers?symbol=CCC,AAA&limit=9&page_size=3"))
    assert path is not None
    cursor = parse_qs(urlsplit(path).query)["cursor"][0]
    answer = get(client, f"/tickers?limit=09&symbol=aaa&symbol=ccc&interval=daily&page_size=20&cursor={cursor}")
    assert len(rows(answer)) == 18 - 3


# What happens between two pages


@pytest.fixture
def own(make_stores: MakeStores) -> Stores:
    stores = make_stores()
    fill(stores)
    return stores


def walk(stores: Stores, query: str, *between: Callable[[], object]) -> list[Row]:
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    return [row for page in pages(client, query, between) for row in rows(page)]


def keys(found: list[Row]) -> list[tuple[str, str]]:
    return [(row["symbol"], row["time"]) for row in found]


def test_bars_that_are_added_between_move_no_other(own: Stores) -> None:
    """Older and newer ones, to tickers before, at and after the place; a whole new ticker on each side."""
    before = keys(walk(own, "limit=0"))

    def add() -> None:
        for ticker, count in (("AAA", 45), ("CCC", 305), ("VNINDEX", 26)):
            own.save(ticker, make_bars(count, seed=1), rewrite_all=True)
        own.save("AA0", make_bars(3))
        own.save("ZZZ", make_bars(3))

    after = keys(walk(own, "limit=0&page_size=100", add))
    assert after == sorted(set(after))
    assert set(before) <= set(after)
    assert {key for key in after if key not in before} == {
        *(("CCC", text) for text in days(300, 305)),
        *(("VNINDEX", text) for text in days(25, 26)),
        *(("ZZZ", text) for text in days(0, 3)),
    }


def days(first: int, stop: int) -> list[str]:
    times = (FIRST_DAY + np.arange(first, stop) * DAY).astype("datetime64[s]")
    return np.datetime_as_string(times, unit="D").tolist()  # type: ignore[no-any-return]


def test_a_window_of_the_newest_bars_goes_on_where_it_was(own: Stores) -> None:
    """A ticker that is begun keeps its beginning, though five bars were added to it."""
    found = keys(walk(own, "symbol=CCC&limit=50&page_size=20", lambda: own.save("CCC", make_bars(305, seed=2))))
    assert found == [("CCC", text) for text in days(250, 305)]


def test_corrected_bars_stay_where_they_are(own: Stores) -> None:
    before = keys(walk(own, "limit=0"))
    assert keys(walk(own, "limit=0&page_size=60", lambda: own.save("CCC", make_bars(300, seed=9)))) == before


def test_deleted_bars_are_missing_and_no_others(own: Stores) -> None:
    before = keys(walk(own, "limit=0"))

    def delete() -> None:
        make_change(own, Mode.VN, Deletion("BBB", tuple(Interval)), NOW)
        part = Deletion("CCC", (Interval.DAILY,), FIRST_DAY + 10 * DAY, FIRST_DAY + 19 * DAY)
        make_change(own, Mode.VN, part, NOW)

    assert keys(walk(own, "limit=0&page_size=42", delete)) == [
        key for key in before if key not in {("BBB", text) for text in days(2, 7)} | {("CCC", t) for t in days(10, 20)}
    ]


@pytest.mark.parametrize("new", ["AA0", "BB0", "CC0", "ZZZ"])
@pytest.mark.parametrize("old", ["AAA", "BBB", "CCC", "VNINDEX"])
@pytest.mark.parametrize("size", [20, 44, 50])
def test_no_bar_of_a_renamed_ticker_is_lost_or_there_twice(
    make_stores: MakeStores, old: str, new: str, size: int
) -> None:
    """It is there under one name or both, whole under one of them. The place is inside AAA, of BBB or of CCC."""
    own = make_stores()
    fill(own)
    before = keys(walk(own, "limit=0"))
    after = keys(walk(own, f"limit=0&page_size={size}", lambda: make_change(own, Mode.VN, Renaming(old, new), NOW)))
    assert after == sorted(set(after))
    times = {name: [time for symbol, time in after if symbol == name] for name in (old, new)}
    assert [time for symbol, time in before if symbol == old] in times.values()
    assert [key for key in after if key[0] not in (old, new)] == [key for key in before if key[0] != old]


def test_the_next_page_may_come_from_the_other_store(own: Stores) -> None:
    before = walk(own, "limit=0")
    path = own.settings.database_path(Mode.VN)
    kept = path.with_suffix(".away")

    def away() -> None:
        own.db_manager.close()
        path.rename(kept)

    client = create_app(own.settings, clock=lambda: NOW).test_client()
    seen = list(pages(client, "limit=0&page_size=25", [away, lambda: None, lambda: kept.rename(path)]))
    assert [page.headers["X-Data-Source"] for page in seen][:5] == ["sqlite", "csv", "csv", "sqlite", "sqlite"]
    assert [row for page in seen for row in rows(page)] == before


def test_later_pages_read_as_little_as_the_first(own: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bars that are read for each page of a long series: no more than a few pages."""
    own.save("CCC", make_bars(4_000, seed=2))
    read = list[int]()
    original = type(own.sqlite_store).read_each

    def counting(*given: Any, **how: Any) -> Iterator[Any]:
        for ticker, bars in original(*given, **how):
            read.append(len(bars))
            yield ticker, bars

    monkeypatch.setattr("stockapi.services.sqlite_store.reader.SqliteReader.read_each", counting)
    assert len(walk(own, "symbol=CCC&limit=0&page_size=500&end_date=2036-01-01")) == 4_000
    assert max(read) <= 1_002
    assert sum(read) <= 3 * 4_000
