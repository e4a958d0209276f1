import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.models import Mode
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from tests.support.stores import NOW, Stores

MARCH_2 = 1_772_409_600  # 2026-03-02
HOUR = 3_600


@pytest.fixture
def client(stores: Stores) -> FlaskClient:
    """VCB was adjusted and is served; FPT was seen an hour later and is not served yet; BTC is another market's."""
    for mode in Mode:
        stores.db_manager.upgrade(mode)
    bookkeeping = Bookkeeping(stores.db_manager)
    bookkeeping.record_adjustment(Mode.VN, "VCB", MARCH_2, 1.25, now=MARCH_2 + 2 * HOUR)
    bookkeeping.apply_adjustment(Mode.VN, "VCB", MARCH_2, now=MARCH_2 + 2 * HOUR + 90)
    bookkeeping.record_adjustment(Mode.VN, "FPT", MARCH_2, 1.1, now=MARCH_2 + 3 * HOUR)
    bookkeeping.record_adjustment(Mode.CRYPTO, "BTC", MARCH_2, 2.0, now=MARCH_2)
    return create_app(stores.settings, clock=lambda: NOW).test_client()


def symbols(client: FlaskClient, path: str) -> list[str]:
    answer = client.get(path)
    assert answer.status_code == 200
    return [each["symbol"] for each in answer.json["adjustments"]]  # type: ignore[index]


def test_every_adjustment_with_its_dates(client: FlaskClient) -> None:
    answer = client.get("/adjustments")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "max-age=30"
    assert answer.json == {
        "adjustments": [
            {
                "symbol": "FPT",
                "ex_date": "2026-03-02",
                "ratio": 1.1,
                "seen_at": "2026-03-02T03:00:00Z",
                "applied_at": None,
            },
            {
                "symbol": "VCB",
                "ex_date": "2026-03-02",
                "ratio": 1.25,
                "seen_at": "2026-03-02T02:00:00Z",
                "applied_at": "2026-03-02T02:01:30Z",
            },
        ]
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("mode=VN", ["FPT", "VCB"]),
        ("mode=stocks", ["FPT", "VCB"]),
        ("mode=crypto", ["BTC"]),
        ("since=2026-03-02", ["FPT", "VCB"]),
        ("since=2026-03-03", []),
        ("since=2026-03-02T02:01:30Z", ["FPT", "VCB"]),
        ("since=2026-03-02T02:01:31", ["FPT"]),
        ("since=2026-03-02T09:01:31%2B07:00", ["FPT"]),
        ("since=2026-03-02%2003:00:01", []),
        ("since=2030-01-01&mode=crypto", []),
        ("nobody=knows", ["FPT", "VCB"]),
    ],
)
def test_by_market_and_from_a_moment_on(client: FlaskClient, query: str, expected: list[str]) -> None:
    assert symbols(client, f"/adjustments?{query}") == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("mode=bonds", "mode 'bonds' is unknown; allowed: vn, crypto"),
        ("since=yesterday", "since 'yesterday' is not allowed; allowed: a date such as 2024-01-31"),
        ("since=2026-02-30", "since '2026-02-30' is not allowed"),
        ("since=1772409600", "since '1772409600' is not allowed"),
        ("since=2026-03-02&since=2026-03-03", "since is given 2 times; allowed: once"),
        (f"since={'1' * 65}", "is 65 characters long; allowed: at most 64"),
    ],
)
def test_a_wrong_parameter_is_400(client: FlaskClient, query: str, text: str) -> None:
    answer = client.get(f"/adjustments?{query}")
    assert answer.status_code == 400
    assert list(answer.json) == ["error"]  # type: ignore[arg-type]
    assert text in answer.json["error"]  # type: ignore[index]


def test_a_client_that_has_them_gets_304_until_something_changes(client: FlaskClient, stores: Stores) -> None:
    tag = client.get("/adjustments").headers["ETag"]
    again = client.get("/adjustments", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    Bookkeeping(stores.db_manager).apply_adjustment(Mode.VN, "FPT", MARCH_2, now=MARCH_2 + 4 * HOUR)
    assert client.get("/adjustments", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("content", [None, b"", b"garbage " * 1_000])
def test_without_the_database_it_is_503_never_an_empty_list(
    client: FlaskClient, stores: Stores, content: bytes | None
) -> None:
    stores.db_manager.close()
    stores.settings.vn_database_path.unlink()
    if content is not None:
        stores.settings.vn_database_path.write_bytes(content)
    answer = client.get("/adjustments")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json == {"error": "the market data cannot be read right now; try again shortly"}
    assert symbols(client, "/adjustments?mode=crypto") == ["BTC"]
