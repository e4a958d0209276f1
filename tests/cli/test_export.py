"""`flask data export`: files that DuckDB, polars and pandas read by a pattern, with every value of both stores."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.services import export
from tests.support.commands import Run, failed_with, snapshot, succeeded
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, environment, make_bars

TABLE = ["symbol", "time", "open", "high", "low", "close", "volume", *INDICATOR_FIELDS]
DAYS = {"VCB": 400, "FPT": 30, "A.B-C_9": 3}

Row = dict[str, Any]


def odd_coin() -> Bars:
    """Prices far below a cent, a volume of nothing and a huge one."""
    close = np.array([1.28e-9, 0.00000000129, 1.3e-9])
    bars = Bars.of(FIRST_DAY + np.arange(3) * 86_400, np.tile(close, (4, 1)), np.array([0.0, 0.125, 3e18]))
    return enhance(bars, Mode.CRYPTO, is_index=False)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Both markets; not to be changed."""
    stores = Stores.of(Settings.from_mapping(environment(tmp_path_factory.mktemp("market"))))
    for seed, (ticker, count) in enumerate(DAYS.items()):
        stores.save(ticker, make_bars(count, seed=seed))
    stores.save("VCB", make_bars(200, Interval.MINUTE), Interval.MINUTE)
    stores.save("DUST", odd_coin(), mode=Mode.CRYPTO)
    yield stores
    stores.db_manager.close()


@pytest.fixture
def export_market(runner: Callable[[Stores], Run], market: Stores) -> Run:
    """Run `flask data export` on it."""
    run = runner(market)
    return lambda *args: run("data", "export", *args)


@pytest.fixture
def filled(stores: Stores) -> Stores:
    """A small market, in the directory of the test."""
    for ticker in ("FPT", "VCB"):
        stores.save(ticker, make_bars(3))
    return stores


def rows_of_json(stores: Stores, query: str) -> list[Row]:
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    text = client.get(f"/tickers?limit=0&format=ndjson&time=unix&{query}").text
    return [{name: bar.get(name) for name in TABLE} for bar in map(json.loads, text.splitlines())]


def in_seconds(row: Row) -> Row:
    return row | {"time": int(row["time"].timestamp())}


def by_polars(pattern: str) -> list[Row]:
    return [in_seconds(row) for row in pl.scan_parquet(pattern).sort("symbol", "time").collect().to_dicts()]


def by_pandas(pattern: str) -> list[Row]:
    frame = pd.read_parquet(pattern.partition("*")[0]).sort_values(["symbol", "time"])
    return [in_seconds(row) for row in frame.astype(object).where(frame.notna(), None).to_dict("records")]


def by_duckdb(pattern: str) -> list[Row]:
    shown = ", ".join(f"epoch({name})::BIGINT AS time" if name == "time" else f'"{name}"' for name in TABLE)
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT {shown} FROM '{pattern}' ORDER BY symbol, time").fetchall()
    return [dict(zip(TABLE, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(by_polars, id="polars"),
        pytest.param(by_pandas, id="pandas"),
        pytest.param(by_duckdb, id="DuckDB", marks=pytest.mark.long),
    ],
)
def test_parquet_has_every_value_of_json(
    market: Stores, export_market: Run, tmp_path: Path, read: Callable[[str], list[Row]]
) -> None:
    succeeded(export_market(tmp_path / "out", "--format", "parquet"))
    for path, query in (("vn/1D", "mode=vn"), ("vn/1m", "mode=vn&interval=1m"), ("crypto/1D", "mode=crypto")):
        expected = rows_of_json(market, query)
        assert expected
        assert read(f"{tmp_path}/out/{path}/*.parquet") == expected
    succeeded(export_market(tmp_path / "years", "--format", "parquet", "--yearly", "--mode", "vn"))
    assert read(f"{tmp_path}/years/vn/1D/*/*.parquet") == rows_of_json(market, "mode=vn")


def test_the_types_in_parquet(export_market: Run, tmp_path: Path) -> None:
    succeeded(export_market(tmp_path / "out", "--format", "parquet", "--interval", "1D"))
    for path, volume in (("vn/1D/VCB", pl.Int64()), ("crypto/1D/DUST", pl.Float64())):
        schema = pl.read_parquet_schema(tmp_path / "out" / f"{path}.parquet")
        expected = {name: pl.Float64() for name in TABLE} | {"volume": volume, "symbol": pl.String()}
        assert schema == expected | {"time": pl.Datetime("ms", "UTC")}


def test_csv_is_that_of_the_api(market: Stores, export_market: Run, tmp_path: Path) -> None:
    succeeded(export_market(tmp_path / "out", "--format", "csv", "--mode", "vn", "--interval", "1m"))
    client = create_app(market.settings, clock=lambda: NOW).test_client()
    expected = client.get("/tickers?interval=1m&limit=0&format=csv&symbol=VCB").data
    assert (tmp_path / "out" / "vn" / "1m" / "VCB.csv").read_bytes() == expected


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_what_is_written_and_said(market: Stores, export_market: Run, tmp_path: Path, form: str) -> None:
    before = snapshot(market.settings.market_data_dir.parent)
    out = tmp_path / "out"
    lines = succeeded(export_market(out, "--format", form, "--mode", "vn", "--yearly"))
    files = sorted(path for path in out.rglob("*") if path.is_file())
    names = ["1D/A.B-C_9/2015", "1D/FPT/2015", "1D/VCB/2015", "1D/VCB/2016", "1m/VCB/2015"]
    assert [str(path.relative_to(out)) for path in files] == [f"vn/{name}.{form}" for name in names]
    sizes = {name: sum(path.stat().st_size for path in files if f"/{name}/" in str(path)) for name in ("1D", "1m")}
    assert lines == [
        f"vn 1D: 3 tickers, 4 files, 433 bars, {sizes['1D']:,} bytes in {out}/vn/1D",
        f"vn 1H: 0 tickers, 0 files, 0 bars, 0 bytes in {out}/vn/1H",
        f"vn 1m: 1 tickers, 1 files, 200 bars, {sizes['1m']:,} bytes in {out}/vn/1m",
    ]
    assert snapshot(market.settings.market_data_dir.parent) == before
    if form == "csv":
        _, *rows = (out / "vn/1D/VCB/2016.csv").read_text().splitlines()
        assert {row.split(",")[1][:4] for row in rows} == {"2016"}


def test_a_new_export_replaces_the_files_and_names_what_is_left(filled: Stores, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("data", "export", out, "--format", "csv", "--mode", "vn", "--interval", "1D")
    succeeded(run(*arguments))
    first = (out / "vn/1D/FPT.csv").read_bytes()
    filled.save("FPT", make_bars(4))
    (out / "vn/1D/GONE.csv").write_text("symbol\n")
    outcome = run(*arguments)
    assert outcome.exit_code == 0
    assert outcome.stderr == f"left {out}/vn/1D/GONE.csv: it is of no series that was exported now\n"
    assert (out / "vn/1D/FPT.csv").read_bytes().count(b"\n") == first.count(b"\n") + 1
    assert (out / "vn/1D/GONE.csv").exists()
    assert [path.name for path in (out / "vn/1D").iterdir() if path.name.startswith(".")] == []


def test_csv_alone_is_exported_too(make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path) -> None:
    stores = make_stores()
    stores.save("VCB", make_bars(40))
    stores.db_manager.close()
    run = runner(stores)
    succeeded(run("data", "export", tmp_path / "both", "--format", "parquet", "--mode", "vn", "--interval", "1D"))
    (tmp_path / "vn_data.db").unlink()
    assert (
        run("data", "export", tmp_path / "csv", "--format", "parquet", "--mode", "vn", "--interval", "1D").exit_code
        == 0
    )
    name = "vn/1D/VCB.parquet"
    assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "csv" / name).read_bytes()


def test_a_link_to_itself_is_no_place(filled: Stores, run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "out")
    outcome = run("data", "export", tmp_path / "out" / "x", "--format", "csv", "--mode", "vn", "--interval", "1D")
    assert (outcome.exit_code, len(outcome.stderr.splitlines())) == (1, 2)
    assert outcome.stderr.startswith(f"failed vn FPT 1D: {tmp_path}/out/x/vn/1D/FPT.csv: ")


def test_a_series_that_fails_is_named_and_the_others_are_exported(
    filled: Stores, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (out / "vn" / "1D" / "FPT.csv").mkdir(parents=True)
    (out / "vn" / "1D" / "FPT.csv" / "something").touch()
    outcome = run("data", "export", out, "--format", "csv", "--mode", "vn", "--interval", "1D")
    assert outcome.exit_code == 1
    assert outcome.stderr.splitlines()[0].startswith(f"failed vn FPT 1D: {out}/vn/1D/FPT.csv: ")
    assert outcome.stdout.startswith("vn 1D: 1 tickers, 1 files, 3 bars, ")


@pytest.mark.parametrize("ticker", ["..", "../X", "a", "X/Y", "", ".X", "X" * 21])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, ticker: str) -> None:
    target = export.Target(tmp_path, export.FileFormat.CSV, is_yearly=True)
    with pytest.raises(export.StoreError, match="is no symbol, so there is no name of a file for it"):
        list(target.parts(export.SeriesKey(Mode.VN, ticker, Interval.DAILY), make_bars(3)))


# What is refused, before anything is written


def linked(tmp_path: Path, name: str, target: str) -> str:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).symlink_to(tmp_path / target)
    return name


@pytest.mark.parametrize(
    "place",
    [
        lambda _: "market_data",
        lambda _: "market_data/",
        lambda _: "market_data/export",
        lambda _: "market_data/../crypto_data/x",
        lambda tmp_path: linked(tmp_path, "link", "market_data"),
        lambda tmp_path: linked(tmp_path, "out/crypto", "crypto_data").partition("/")[0],
        lambda tmp_path: linked(tmp_path, "out/vn/1H", "market_data/VCB").partition("/")[0],
    ],
)
def test_a_data_directory_is_no_place(filled: Stores, run: Run, tmp_path: Path, place: Callable[[Path], str]) -> None:
    directory = place(tmp_path)
    before = snapshot(tmp_path)
    line = failed_with(run("data", "export", f"{tmp_path}/{directory}", "--format", "csv"), 1)
    assert line.startswith(f"Error: {tmp_path}/")
    assert line.endswith(" are one inside of the other; allowed: a directory apart from it")
    assert snapshot(tmp_path) == before


def test_a_directory_of_a_ticker_that_leads_into_the_data_is_no_place(filled: Stores, run: Run, tmp_path: Path) -> None:
    linked(tmp_path, "out/vn/1D/FPT", "market_data/FPT")
    before = snapshot(tmp_path / "market_data")
    outcome = run("data", "export", tmp_path / "out", "--format", "csv", "--yearly")
    assert outcome.exit_code == 1
    assert "are one inside of the other" in outcome.stderr
    assert snapshot(tmp_path / "market_data") == before


def test_a_data_directory_called_like_a_market(
    make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path
) -> None:
    stores = make_stores(MARKET_DATA_DIR=str(tmp_path / "out" / "vn"))
    stores.save("VCB", make_bars(3))
    line = failed_with(runner(stores)("data", "export", tmp_path / "out", "--format", "csv"), 1)
    assert line.endswith("allowed: a directory apart from it")


@pytest.mark.parametrize(("first", "then"), [(["--yearly"], []), ([], ["--yearly"])])
def test_two_layouts_in_one_directory(export_market: Run, tmp_path: Path, first: list[str], then: list[str]) -> None:
    arguments = (tmp_path / "out", "--format", "csv", "--mode", "vn", "--interval", "1m")
    succeeded(export_market(*arguments, *first))
    allowed = "with --yearly" if first else "without --yearly"
    line = failed_with(export_market(*arguments, *then), 1)
    assert line.endswith(f", from an export {allowed}; allowed: again {allowed}, or another directory")
    succeeded(export_market(tmp_path / "out", "--format", "parquet", "--mode", "vn", "--interval", "1m", *then))


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--format", "parquet"], 1, "Error: there are no such bars, so nothing is exported"),
        ([], 2, "Error: Missing option '--format'. Choose from:"),
        (["--format", "xlsx"], 2, "Error: Invalid value for '--format': 'xlsx' is not one of 'parquet', 'csv'."),
        (
            ["--format", "csv", "--interval", "1W"],
            2,
            "Error: Invalid value for '--interval': interval '1W' is computed",
        ),
        (["--format", "csv", "--mode", "x"], 2, "Error: Invalid value for '--mode': mode 'x' is unknown; allowed: vn"),
    ],
)
def test_wrong_options(run: Run, tmp_path: Path, arguments: list[str], status: int, line: str) -> None:
    outcome = run("data", "export", tmp_path / "out", *arguments)
    assert outcome.exit_code == status
    assert any(each.startswith(line) for each in outcome.stderr.splitlines())
    assert not (tmp_path / "out").exists()


def test_without_the_package_for_parquet(export_market: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arro3", None)
    line = failed_with(export_market(tmp_path / "out", "--format", "parquet"), 1)
    assert line == (
        "Error: Parquet is written by a package that is not installed; install it (pip install -r "
        "requirements-parquet.txt), or use --format csv"
    )
    assert not (tmp_path / "out").exists()
    succeeded(export_market(tmp_path / "out", "--format", "csv", "--mode", "vn", "--interval", "1m"))
