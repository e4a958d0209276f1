"""Renames that are known from the start: both names answer, and none hides bars that are stored under an old one."""

import os

import pytest

from stockapi import create_app
from stockapi.errors import CsvError
from stockapi.models import Mode
from stockapi.services.renames import Names
from tests.support.stores import NOW, Stores, make_bars


def closes(stores: Stores, symbol: str) -> tuple[list[float], str | None]:
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    answer = client.get(f"/tickers?mode=crypto&symbol={symbol}&ma=false")
    assert list(answer.json) == [symbol]  # type: ignore[arg-type]
    return [bar["close"] for bar in answer.json[symbol]], answer.headers.get("X-Renamed")  # type: ignore[index]


@pytest.mark.parametrize(("old", "new"), [("TON", "GRAM"), ("MATIC", "POL")])
def test_an_old_name_has_the_bars_of_the_new_one(stores: Stores, old: str, new: str) -> None:
    stores.save(new, make_bars(3, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    stores.close()
    assert closes(stores, old) == (closes(stores, new)[0], f"{old}={new}")


def test_bars_of_an_old_name_answer_until_they_are_renamed(stores: Stores) -> None:
    stores.save("TON", make_bars(3, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    stores.close()
    assert (len(closes(stores, "TON")[0]), closes(stores, "TON")[1]) == (3, None)
    runner = create_app(stores.settings, clock=lambda: NOW).test_cli_runner()
    result = runner.invoke(args=["data", "rename", "TON", "GRAM", "--mode", "crypto"])
    assert result.exit_code == 0, result.output
    assert (len(closes(stores, "TON")[0]), closes(stores, "TON")[1]) == (3, "TON=GRAM")
    assert len(closes(stores, "GRAM")[0]) == 3
    assert stores.renames.of(Mode.CRYPTO).renamed == {"TON": "GRAM", "MATIC": "POL"}


def test_a_list_of_names_of_ones_own_has_the_say(stores: Stores) -> None:
    stores.renames.record(Mode.CRYPTO, Names({"MATIC": "POL"}))
    assert stores.renames.of(Mode.CRYPTO).current(["TON", "MATIC"]) == ["TON", "POL"]


def test_vn_knows_none(stores: Stores) -> None:
    assert stores.renames.of(Mode.VN) == Names()


def test_while_the_file_of_names_is_written_what_it_held_counts(stores: Stores) -> None:
    stores.save("POL", make_bars(10, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    path = stores.settings.crypto_data_dir / "names.json"
    path.write_text('{"renamed": {"OLD": "POL"}}')
    assert stores.renames.of(Mode.CRYPTO).renamed["OLD"] == "POL"
    path.write_text('{"renamed": {"OL')
    assert stores.renames.of(Mode.CRYPTO).renamed["OLD"] == "POL"
    with pytest.raises(CsvError, match=r"names\.json is not allowed"):
        Stores.of(stores.settings).renames.of(Mode.CRYPTO)


def test_a_pipe_in_the_place_of_the_file_of_names_stops_nothing(stores: Stores) -> None:
    stores.save("POL", make_bars(10, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    os.mkfifo(stores.settings.crypto_data_dir / "names.json")
    with pytest.raises(CsvError, match="Not a regular file"):
        stores.renames.of(Mode.CRYPTO)
