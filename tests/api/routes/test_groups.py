"""GET /tickers/names over HTTP."""

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.config import Settings
from stockapi.markets.tickers import names_for
from stockapi.models import Mode
from tests.support.stores import environment


def client_with(directory: Path, **variables: str) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory, **variables))).test_client()


@pytest.mark.parametrize(
    ("query", "mode"),
    [("", Mode.VN), ("?mode=Stocks", Mode.VN), ("?mode=crypto", Mode.CRYPTO), ("?nobody=knows", Mode.VN)],
)
def test_the_names_of_a_market_need_no_store(tmp_path: Path, query: str, mode: Mode) -> None:
    answer = client_with(tmp_path).get(f"/tickers/names{query}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "max-age=300"
    assert list(json.loads(answer.data).items()) == list(names_for(mode, Settings.from_mapping({})).items())


def test_names_follow_the_file_of_groups(tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text('{"MINE": ["VIC", "XYZ", "FPT"]}')
    client = client_with(tmp_path, TICKER_GROUPS_FILE=str(file))
    answer = client.get("/tickers/names")
    assert answer.json == {"FPT": "FPT Corporation", "VIC": "Vingroup"}
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert client.get("/tickers/names", headers=tag).status_code == 304
    file.write_text('{"MINE": ["FPT"]}')
    assert client.get("/tickers/names", headers=tag).json == {"FPT": "FPT Corporation"}


@pytest.mark.parametrize(
    ("query", "text"), [("mode=bonds", "mode 'bonds' is not allowed"), ("mode=vn&mode=vn", "mode is given 2 times")]
)
def test_a_wrong_parameter_is_400(tmp_path: Path, query: str, text: str) -> None:
    answer = client_with(tmp_path).get(f"/tickers/names?{query}")
    assert answer.status_code == 400
    assert text in answer.json["error"]  # type: ignore[index]
