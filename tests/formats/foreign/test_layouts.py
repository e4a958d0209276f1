"""Files of other programs: recognised by their content, and read into the bars that they were written from."""

import io
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from stockapi.formats.foreign.layouts import BY_NAME
from stockapi.formats.foreign.reader import FileOfBars, Reading, read_bars
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.ingest.import_tree import ImportFile
from tests.support.layouts import SAMPLES, Sample

LATEST = 1_800_000_000
FIRST = 1_704_160_800
"""2024-01-02T02:00:00Z, the open of a Tuesday in Ho Chi Minh City."""


def bars_of(interval: Interval, mode: Mode, count: int = 12) -> Bars:
    first = FIRST - FIRST % interval.seconds
    close = 60.25 + np.arange(count) % 7
    prices = np.vstack([close, close + 1.5, close - 0.75, close + 0.5])
    volume = np.arange(count, dtype=np.int64) * 1_000 + 1_234
    whole = market_of(mode).has_whole_volume
    return Bars.of(first + interval.seconds * np.arange(count), prices, volume if whole else volume / 8)


def read(path: str, content: bytes | str, mode: Mode = Mode.VN, layout: str = "", zone: str = "") -> FileOfBars:
    """As the importer does, plain files only."""
    data = content.encode() if isinstance(content, str) else content
    name = ImportFile(None, PurePosixPath(path).parts).name  # type: ignore[arg-type]
    how = Reading(mode, LATEST, BY_NAME.get(layout), ZoneInfo(zone) if zone else None)
    return read_bars(io.BufferedReader(io.BytesIO(data)), name, how)  # type: ignore[type-var]


def text_of(sample: Sample, bars: Bars) -> bytes:
    from dataclasses import replace

    return replace(sample, pack=lambda _, data: data).content(bars)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_file_of_each_layout_gives_the_bars_it_was_written_from(sample: Sample) -> None:
    bars = bars_of(sample.interval, sample.mode)
    found = read(sample.path, text_of(sample, bars), sample.mode)
    assert found.layout.name == sample.layout
    assert list(found.series) == [SeriesKey(sample.mode, sample.ticker, sample.interval)]
    assert found.damaged == ()
    (regular,) = found.series.values()
    assert regular.bars.equals(bars)
