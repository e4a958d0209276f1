"""`flask data delete` and `flask data rename`, and what the API answers after them."""

from collections.abc import Callable

import pytest
from click.testing import Result
from flask import Flask

from stockapi import create_app
from stockapi.errors import ProviderError, UnknownSymbolError
from stockapi.models import Bars, Interval, Mode
from stockapi.services.ingest.named_source import NamedSource
from stockapi.services.renames import Names
from tests.support.stores import FIRST_DAY, NOW, Stores, make_bars

DAY = 86_400
Run = Callable[..., Result]


@pytest.fixture
def app(stores: Stores) -> Flask:
    for interval in Interval:
        stores.save("VCB", make_bars(30, interval), interval)
    stores.save("FPT", make_bars(20, seed=2))
    stores.close()
    return create_app(stores.settings, clock=lambda: NOW)


@pytest.fixture
def run(app: Flask) -> Run:
    def invoke(*arguments: str, answer: str | None = None) -> Result:
        return app.test_cli_runner().invoke(args=["data", *arguments], input=answer)

    return invoke


def restored(run: Run, result: Result) -> None:
    """What a deletion has kept is taken back by an import."""
    (line,) = [line for line in result.output.splitlines() if "kept in" in line]
    assert run("import", line.partition("kept in ")[2]).exit_code == 0


def test_what_is_deleted_can_be_taken_back(stores: Stores, run: Run) -> None:
    before = {interval: stores.in_csv("VCB", interval) for interval in Interval}
    result = run("delete", "--ticker", "vcb", "--yes")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[:3] == [
        "  vn VCB 1D: 30 bars, 2015-01-05 to 2015-02-03",
        "  vn VCB 1H: 30 bars, 2015-01-05T00:00:00 to 2015-01-06T05:00:00",
        "  vn VCB 1m: 30 bars, 2015-01-05T00:00:00 to 2015-01-05T00:29:00",
    ]
    assert result.output.splitlines()[-1] == "VCB: 90 bars deleted from both stores"
    assert stores.csv_store.tickers(Mode.VN) == ["FPT"]
    assert not (stores.settings.data_dir(Mode.VN) / "VCB").exists()
    assert run("verify", "--mode", "vn").exit_code == 0
    restored(run, result)
    assert all(stores.in_csv("VCB", interval).equals(bars) for interval, bars in before.items())
    assert run("verify", "--mode", "vn").exit_code == 0


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--from", "2015-01-10", "--to", "2015-01-12"], [*range(5), *range(8, 30)]),
        (["--to", "2015-01-05"], [*range(1, 30)]),
        (["--from", "2015-01-06T00:00:01Z"], [0, 1]),
    ],
)
def test_only_the_days_that_are_named(stores: Stores, run: Run, options: list[str], left: list[int]) -> None:
    result = run("delete", "--ticker", "VCB", "--interval", "1D", *options, "--yes")
    assert result.exit_code == 0, result.output
    assert [(time - FIRST_DAY) // DAY for time in stores.in_csv("VCB").time.tolist()] == left
    assert stores.in_sqlite("VCB").equals(stores.in_csv("VCB"))
    assert len(stores.in_csv("VCB", Interval.HOURLY)) == 30


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--ticker", "NONE"], "vn has no such bars of NONE; nothing is deleted"),
        (["--ticker", "VCB", "--from", "2020-01-01"], "vn has no such bars of VCB; nothing is deleted"),
        (["--ticker", "VCB", "--from", "2015-02-01", "--to", "2015-01-01"], "--from is after --to"),
        (["--ticker", "VCB", "--from", "yesterday"], "'yesterday' is not allowed; allowed: 2024-01-31"),
        (["--ticker", "../x"], "symbol '../x' is not allowed"),
        ([], "Missing option '--ticker'"),
    ],
)
def test_what_is_refused_deletes_nothing(stores: Stores, run: Run, options: list[str], error: str) -> None:
    result = run("delete", *options, "--yes")
    assert result.exit_code != 0
    assert error in result.output
    assert len(stores.in_csv("VCB")) == 30


@pytest.mark.parametrize(("answer", "left"), [("n\n", 30), ("", 30), ("y\n", 0)])
def test_it_asks(stores: Stores, run: Run, answer: str, left: int) -> None:
    run("delete", "--ticker", "VCB", answer=answer)
    assert len(stores.in_csv("VCB")) == left


def test_both_names_answer_and_the_old_one_says_so(stores: Stores, app: Flask, run: Run) -> None:
    client = app.test_client()
    before = client.get("/tickers?symbol=VCB&limit=2").json
    result = run("rename", "vcb", "xyz")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "VCB is XYZ now: 90 bars")
    old, new = client.get("/tickers?symbol=VCB&limit=2"), client.get("/tickers?symbol=XYZ&limit=2")
    assert (old.json, old.headers["X-Renamed"]) == (before, "VCB=XYZ")
    assert "X-Renamed" not in new.headers
    assert [bar["close"] for bar in new.json["XYZ"]] == [bar["close"] for bar in before["VCB"]]  # type: ignore[index]
    both = client.get("/tickers?symbol=VCB,XYZ,FPT&interval=1W&format=csv")
    assert {line.partition(",")[0] for line in both.text.splitlines()[1:]} == {"VCB", "XYZ", "FPT"}
    assert list(client.get("/tickers").json) == ["FPT", "XYZ"]  # type: ignore[arg-type]
    assert client.get("/tickers/coverage?symbol=VCB").json["VCB"]["count"] == 30  # type: ignore[index]
    profile = client.get("/analysis/volume-profile?symbol=VCB&date=2015-01-05")
    assert (profile.json["data"]["symbol"], profile.headers["X-Renamed"]) == ("VCB", "VCB=XYZ")  # type: ignore[index]
    assert "XYZ" in client.get("/tickers/group").json["NGAN_HANG"]  # type: ignore[index]
    assert client.get("/tickers?symbol=VCB&cache=false&limit=2").json == before
    assert stores.csv_store.tickers(Mode.VN) == ["FPT", "XYZ"]
    assert run("verify", "--mode", "vn").exit_code == 0
    assert "XYZ now; name that" in run("delete", "--ticker", "VCB", "--yes").output


def test_a_name_that_has_bars_is_asked_about_and_keeps_its_own(stores: Stores, run: Run) -> None:
    own = stores.in_csv("FPT")
    assert run("rename", "VCB", "FPT", answer="n\n").exit_code != 0
    assert stores.csv_store.tickers(Mode.VN) == ["FPT", "VCB"]
    result = run("rename", "VCB", "FPT", "--yes")
    assert result.exit_code == 0
    merged = stores.in_csv("FPT")
    assert len(merged) == 30
    assert (merged.close[:20] == own.close).all()
    assert "VCB: kept in" in result.output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("VCB", "VCB"), "OLD and NEW are both VCB"),
        (("NONE", "XYZ"), "vn has no bars of NONE; nothing is renamed"),
        (("VCB", "x/y"), "symbol 'x/y' is not allowed"),
    ],
)
def test_a_rename_that_is_refused(run: Run, arguments: tuple[str, str], error: str) -> None:
    result = run("rename", *arguments)
    assert result.exit_code != 0
    assert error in result.output


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (Names().with_renamed("A", "B"), {"A": "B"}),
        (Names().with_renamed("A", "B").with_renamed("B", "C"), {"A": "C", "B": "C"}),
        (Names().with_renamed("A", "B").with_renamed("B", "A"), {"B": "A"}),
        (Names().with_renamed("A", "B").with_renamed("C", "A"), {"C": "A"}),
        (Names().with_renamed("A", "B").without("B"), {}),
    ],
)
def test_names_after_several_renames(names: Names, expected: dict[str, str]) -> None:
    assert dict(names.renamed) == expected


class Source:
    """One that knows these names only, and tells which it was asked for."""

    name, mode, is_back_adjusted = "binance", Mode.CRYPTO, False

    def __init__(self, *known: str) -> None:
        self.known, self.asked = known, list[str]()

    def tickers(self) -> list[str]:
        return ["MATIC", "POL", "TON"]

    def history_start(self, interval: Interval, now: int) -> int:
        return now

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        self.asked.append(ticker)
        if ticker not in self.known:
            raise UnknownSymbolError(ticker)
        return make_bars(1, mode=Mode.CRYPTO)


@pytest.mark.parametrize(
    ("known", "at_source", "asked"),
    [
        (["POL"], {}, ["POL", "POL"]),
        (["MATIC"], {}, ["POL", "MATIC", "MATIC"]),
        (["POL", "MATIC"], {"POL": "MATIC"}, ["MATIC", "MATIC"]),
        ([], {}, ["POL", "MATIC", "POL", "MATIC"]),
    ],
)
def test_a_source_is_asked_by_the_name_it_has(
    stores: Stores, known: list[str], at_source: dict[str, str], asked: list[str]
) -> None:
    stores.renames.record(Mode.CRYPTO, Names({"MATIC": "POL"}, {"binance": at_source}))
    inner = Source(*known)
    source = NamedSource(inner, stores.renames)
    assert source.tickers() == ["POL", "TON"]
    for _ in range(2):
        try:
            source.fetch("POL", Interval.DAILY, 0, 1)
        except ProviderError:
            assert not known
    assert inner.asked == asked


@pytest.mark.parametrize(
    "text", ["", "[]", '{"renamed": []}', '{"renamed": {"A": 5}}', '{"at_source": {"x": {"a": "B"}}}']
)
def test_a_list_of_names_that_is_none_is_an_error(stores: Stores, app: Flask, text: str) -> None:
    (stores.settings.data_dir(Mode.VN) / "names.json").write_text(text)
    assert app.test_client().get("/tickers?symbol=VCB").status_code == 503
