"""Tables in CSV: one text for each kind of value, texts that are read back as they were, and no formula."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.formats.csv_tables import Table, csv_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (3_079_603_369, "3079603369"),
        (79_300.0, "79300"),
        (-0.8366, "-0.8366"),
        (1.28e-9, "0.00000000128"),
        (1e22, "10000000000000000000000"),
        ("VCB", "VCB"),
        ("", ""),
        ("a,b", '"a,b"'),
        ('a "b"', '"a ""b"""'),
        ("a\nb", '"a\nb"'),
        ("Đồ uống", "Đồ uống"),
        ("=1+1", "'=1+1"),
        ("+84", "'+84"),
        ("-VCB", "'-VCB"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", '"\'\r=1"'),
        ('=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'),
    ],
)
def test_the_text_of_a_value(value: object, text: str) -> None:
    assert csv_table(Table(["a", "b"], [(value, 1)])).decode() == f"a,b\n{text},1\n"


def test_without_rows_there_is_the_header() -> None:
    assert csv_table(Table(["a", "b"], [])) == b"a,b\n"


texts = st.text(st.sampled_from(',"\r\n=+-@\t aĐ'), max_size=6)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60)
@given(st.lists(st.tuples(texts, st.integers(), numbers), max_size=3))
def test_values_are_read_back(rows: list[tuple[str, int, float]]) -> None:
    text = csv_table(Table(["text", "whole", "number"], rows)).decode()
    found = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert [(each[0].removeprefix("'"), int(each[1]), float(each[2])) for each in found] == [
        (row[0].removeprefix("'"), *row[1:]) for row in rows
    ]
