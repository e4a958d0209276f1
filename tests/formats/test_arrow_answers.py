"""Streams of Arrow, as the reference implementation reads them: every value, every absence, every byte."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.formats.arrow_answers import arrow_stream, kinds_of
from stockapi.formats.arrow_stream import Kind
from stockapi.formats.csv_answers import Named, columns
from stockapi.formats.json_format import BAR_FIELDS, BARE_FIELDS, DEFAULT_FIELDS
from stockapi.models import Bars
from stockapi.models.fields import INDICATOR_FIELDS
from tests.formats.some_bars import some_bars

FIELDS = [DEFAULT_FIELDS, BAR_FIELDS, BARE_FIELDS, ("time", "close"), ("ma10", "ma20"), ("symbol",), ("volume", "mode")]
names = st.fixed_dictionaries(
    {"symbol": st.sampled_from(["A", "VCB", "A.B-C_9", "BTC"]), "mode": st.sampled_from(["vn", "crypto"])}
)


def stream(series: list[Named], fields: tuple[str, ...], **kinds: Kind) -> bytes:
    is_whole = all(bars.has_whole_volume for _, bars in series)
    return b"".join(arrow_stream(series, columns(fields), kinds_of(has_whole_volume=is_whole) | kinds))


def read(data: bytes) -> pa.Table:
    table = pa.ipc.open_stream(data).read_all()
    table.validate(full=True)
    return table


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(names, some_bars()), max_size=2), st.sampled_from(FIELDS))
def test_every_value_comes_back(series: list[Named], fields: tuple[str, ...]) -> None:
    table = read(stream(series, fields))
    assert table.column_names == list(columns(fields))
    for name in table.column_names:
        found = table[name].to_pylist()
        if name in ("symbol", "mode"):
            assert found == [named[name] for named, bars in series for _ in range(len(bars))]
        elif name == "time":
            found = table[name].cast(pa.int64()).to_pylist()
            assert found == [each for _, bars in series for each in bars.time.tolist()]
        else:
            values = [each for _, bars in series for each in bars.column(name).tolist()]
            if table.schema.field(name).type == pa.float64():  # also whole volumes beside others
                values = list(map(float, values))
            assert found == [None if value != value else value for value in values]


@settings(max_examples=10, deadline=None)
@given(some_bars())
def test_equal_bars_give_equal_bytes(bars: Bars) -> None:
    """Also if the NaN of an absent value has other bits, and if the columns lie in memory in another way."""
    signed = np.where(np.isnan(bars.indicators), -bars.indicators, bars.indicators)
    other = Bars(bars.time, np.asfortranarray(bars.prices), bars.volume, np.asfortranarray(signed))
    named = {"symbol": "VCB", "mode": "vn"}
    assert stream([(named, bars)], BAR_FIELDS) == stream([(named, other)], BAR_FIELDS)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 1000])
def test_absent_values_of_any_count(count: int) -> None:
    indicators = np.full((len(INDICATOR_FIELDS), count), np.nan)
    indicators[1] = np.arange(count)
    indicators[2, ::3] = 1.5
    bars = Bars.of(np.arange(count), np.ones((4, count)), np.arange(count), indicators)
    table = read(stream([({"symbol": "X", "mode": "vn"}, bars)], DEFAULT_FIELDS))
    assert [table[name].null_count for name in INDICATOR_FIELDS[:3]] == [count, 0, count - len(range(0, count, 3))]


def test_times_in_milliseconds() -> None:
    bars = Bars.of(np.array([1_790_820_900]), np.ones((4, 1)), np.array([1]))
    table = read(stream([({"symbol": "X", "mode": "vn"}, bars)], ("time",), time=Kind.MILLISECONDS))
    assert table.schema.field("time").type == pa.timestamp("ms", "UTC")
    assert table["time"].cast(pa.int64()).to_pylist() == [1_790_820_900_000]


def test_every_buffer_begins_at_a_multiple_of_eight() -> None:
    bars = Bars.of(np.arange(3), np.ones((4, 3)), np.arange(3))
    data = stream([({"symbol": "ABC", "mode": "vn"}, bars)] * 2, BAR_FIELDS)
    assert len(data) % 8 == 0
    batch = pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()
    begins = [each.address for column in batch.columns for each in column.buffers() if each is not None]
    assert {begin % 8 for begin in begins} == {0}
