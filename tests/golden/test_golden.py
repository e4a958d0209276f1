"""The HTTP API answers as is recorded in answers.txt. Where a change is wanted: `make golden`, and read the diff."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from stockapi import create_app
from tests.golden import comparison, market
from tests.golden.asking import Answer, Answers, ask, ask_all
from tests.golden.comparison import Record, differences, from_text, record, records, to_text
from tests.golden.table import Request, Section, all_sections, read_sections

SECTIONS = {section.name: section for section in all_sections()}
BOTH_STORES = SECTIONS["both stores"]
GONE = (("VN_DATABASE_PATH", "{stores}/nowhere/vn.db"), ("CRYPTO_DATABASE_PATH", "{stores}/nowhere/crypto.db"))
RENEW = "renew the recorded answers if this is meant: make golden"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the market is, which no request changes."""
    directory = tmp_path_factory.mktemp("golden")
    market.build(directory)
    return directory


def assert_same(recorded: dict[str, Record], found: dict[str, Record]) -> None:
    lines = differences(recorded, found)
    assert not lines, "\n".join([f"{len(lines)} differences", *lines, RENEW])


# The API


def test_every_answer_is_the_one_recorded(stores: Path) -> None:
    assert_same(comparison.read(), records(ask_all(stores, SECTIONS.values())))


@pytest.mark.parametrize(
    "csv_alone",
    [
        pytest.param(replace(BOTH_STORES, settings=GONE), id="the databases are gone"),
        pytest.param(
            replace(BOTH_STORES, settings=(("SQLITE_READS", "false"),)), id="reads are off", marks=pytest.mark.long
        ),
    ],
)
def test_csv_alone_gives_the_same_bytes(stores: Path, csv_alone: Section) -> None:
    expected = {name: parts for name, parts in comparison.read().items() if name.startswith("[both stores] ")}
    found = ask(stores, csv_alone)
    sources = {answer.headers["X-Data-Source"] for answer in found.values() if "X-Data-Source" in answer.headers}
    assert sources == {"csv"}
    assert_same(without_source(expected), without_source(records(found)))


def test_cache_false_gives_the_same_bytes(stores: Path) -> None:
    queries = [each for each in BOTH_STORES.requests if is_query_of_bars(each)]
    asked = ask(stores, replace(BOTH_STORES, requests=tuple(each.with_parameter("cache=false") for each in queries)))
    sources = {answer.headers["X-Data-Source"] for answer in asked.values() if answer.status == 200}
    assert sources == {"csv"}
    found = dict(zip([f"[both stores] {each}" for each in queries], records(asked).values(), strict=True))
    recorded = comparison.read()
    assert_same(without_source({name: recorded[name] for name in found}), without_source(found))


def is_query_of_bars(request: Request) -> bool:
    url = urlsplit(request.url)
    return url.path == "/tickers" and "cache" not in parse_qs(url.query)


def without_source(recorded: dict[str, Record]) -> dict[str, Record]:
    return {
        request: {name: value for name, value in parts.items() if name != "X-Data-Source"}
        for request, parts in recorded.items()
    }


def test_every_path_and_parameter_of_the_api_is_asked(stores: Path) -> None:
    paths = create_app(market.settings(stores)).test_client().get("/openapi.json").json["paths"]
    promised = {
        (path, parameter["name"])
        for path, operations in paths.items()
        for operation in operations.values()
        for parameter in [*operation.get("parameters", []), {"name": "", "in": "query"}]
        if parameter["in"] == "query"
    }
    urls = [urlsplit(request.url) for section in SECTIONS.values() for request in section.requests]
    asked = {(url.path, name) for url in urls for name in ["", *parse_qs(url.query, keep_blank_values=True)]}
    missing = {(path, name) for path, name in promised - asked if "{" not in path}
    assert missing == set(), f"to be added to {comparison.ANSWERS.with_name('requests.txt').name}"


# That it would be noticed if they were others


def test_other_answers_of_an_application_are_found(stores: Path, tmp_path: Path) -> None:
    request = Request("GET", "/tickers?symbol=VCB&limit=1&columns=time,close&cache=false")
    asked = replace(BOTH_STORES, requests=(request,))
    recorded = records(ask(stores, asked))
    where = f"[both stores] {request}"
    assert differences(recorded, records(ask(stores, asked))) == []

    saturday = replace(asked, now=SECTIONS["on a Saturday"].now)
    assert differences(recorded, records(ask(stores, saturday))) == [
        f"{where}: Cache-Control: was 'max-age=30', is 'max-age=120'"
    ]

    file = Path(shutil.copytree(stores / "market_data" / "VCB", tmp_path / "VCB")) / "1D.csv"
    file.write_bytes(file.read_bytes().replace(b"109900.0", b"109900.1"))
    others = replace(asked, settings=(("MARKET_DATA_DIR", str(tmp_path)),))
    tag, body = differences(recorded, records(ask(stores, others)))
    assert tag.startswith(f"{where}: ETag: was ")
    assert body.startswith(f"{where}: body (from character 45 on): was ")
    assert body.endswith(', is \'":"2026-11-20","close":109900.1}]}\'')


SMALL = Answer(200, {"Content-Type": "text/csv", "Vary": "Accept-Encoding"}, b"symbol,close\nVCB,1\n\n")
LARGE = Answer(200, {"Content-Type": "application/json"}, b"[" + b"1," * 5_000 + b"1]")


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        pytest.param(SMALL, lambda each: each, [], id="nothing"),
        pytest.param(SMALL, lambda each: replace(each, status=500), ["status: was '200', is '500'"], id="status"),
        pytest.param(
            SMALL,
            lambda each: replace(each, headers={**each.headers, "ETag": '"1"'}),
            ["ETag: was absent, is '\"1\"'"],
            id="one header more",
        ),
        pytest.param(
            SMALL,
            lambda each: each.without("Content-Type"),
            ["Content-Type: was 'text/csv', is absent"],
            id="one header less",
        ),
        pytest.param(
            SMALL,
            lambda each: each.without("Vary"),
            ["Vary: was absent, is '(absent)'"],
            id="a usual header less",
        ),
        pytest.param(
            SMALL,
            lambda each: replace(each, body=each.body.replace(b"1", b"2")),
            [r"body: was 'symbol,close\nVCB,1\n\n', is 'symbol,close\nVCB,2\n\n'"],
            id="one byte",
        ),
        pytest.param(
            SMALL,
            lambda each: replace(each, body=each.body[:-1]),
            [r"body: was 'symbol,close\nVCB,1\n\n', is 'symbol,close\nVCB,1\n'"],
            id="an empty line less",
        ),
        pytest.param(
            replace(SMALL, body=b"x" * 500 + b"1" + b"y" * 500),
            lambda each: replace(each, body=each.body.replace(b"1", b"2")),
            [f"body (from character 501 on): was '{'x' * 30}1{'y' * 69}...', is '{'x' * 30}2{'y' * 69}...'"],
            id="one byte in the middle",
        ),
    ],
)
def test_what_differs_is_said_in_a_line(
    before: Answer, change: Callable[[Answer], Answer], expected: list[str]
) -> None:
    lines = differences(records({"GET /": before}), records({"GET /": change(before)}))
    assert lines == [f"GET /: {line}" for line in expected]


def test_one_byte_of_a_large_body_is_found() -> None:
    changed = bytearray(LARGE.body)
    changed[5_000] ^= 1
    (line,) = differences({"GET /": record(LARGE)}, {"GET /": record(replace(LARGE, body=bytes(changed)))})
    assert line.startswith("GET /: sha256: was ")


def test_requests_that_only_one_side_has_are_found() -> None:
    assert differences({"GET /a": record(SMALL)}, {"GET /b": record(SMALL)}) == [
        "GET /a: is recorded, but not asked any more",
        "GET /b: is not recorded yet",
    ]


# The files


@pytest.mark.parametrize("body", [b"", b"\n", b"a\n\n>>> GET /\n|b: c\n", b"a: b\r\n\r\n", b"{}", LARGE.body])
def test_what_is_written_reads_back_the_same(body: bytes) -> None:
    answers: Answers = {"GET /a": replace(SMALL, body=body), "GET /b": LARGE}
    assert from_text(to_text(records(answers))) == records(answers)


def test_a_table_reads_as_it_is_meant() -> None:
    first = "[one] LIMIT=5 now=2026-11-21T05:00:00+00:00\n\nHEAD /a?b=c | If-None-Match: $etag | Origin: x\n"
    one, two = read_sections(f"# why\n{first}[two]\nGET /\n")
    assert (one.name, one.settings, one.now) == ("one", (("LIMIT", "5"),), SECTIONS["on a Saturday"].now)
    assert one.requests == (Request("HEAD", "/a?b=c", (("If-None-Match", "$etag"), ("Origin", "x"))),)
    assert (two.settings, two.now, two.requests) == ((), market.NOW, (Request("GET", "/"),))


@pytest.mark.parametrize(
    "text",
    ["GET /\n", "[one]\nget /\n", "[one]\nGET nowhere\n", "[one\n", "[one]\nGET /\nGET /\n", "[one]\nGET / | x\n"],
)
def test_a_line_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is (in no section|not a (section|request)|twice)"):
        read_sections(text)
