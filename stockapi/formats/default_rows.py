"""The rows of an answer in its default form, one by one, as SQLite keeps them."""

from enum import Enum

from stockapi.formats.csv_answers import columns, csv_rows
from stockapi.formats.json_format import DEFAULT_FIELDS, json_objects
from stockapi.models.bars import Bars
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import TimeStyle

_COLUMNS = columns(DEFAULT_FIELDS)


class TextForm(Enum):
    """The form of a text. The value is the name of its column in SQLite."""

    JSON = "json"
    CSV = "csv"

    @property
    def separator(self) -> str:
        """What stands between two rows."""
        return "," if self is TextForm.JSON else ""

    def is_ascending(self, text: bytes) -> bool:
        """Whether the first row of such a text is not later than the last one. Times are of one length."""
        if self is TextForm.JSON:
            begin = text.rfind(b'{"time":')
            length = text.find(b",")
        else:
            begin = text.rfind(b"\n", 0, -1) + 1
            length = text.find(b",", text.find(b",") + 1)
        return text[:length] <= text[begin : begin + length]


def default_rows(form: TextForm, key: SeriesKey, bars: Bars) -> list[str]:
    """One text for each bar, with all fields of DEFAULT_FIELDS. Joined they are what the writers of answers make of the
    bars, byte for byte.
    """
    names, times = {"symbol": key.ticker}, TimeStyle.of(key.interval)
    if form is TextForm.JSON:
        return json_objects(names, bars, times, DEFAULT_FIELDS)
    return b"".join(csv_rows([(names, bars)], times, _COLUMNS)).decode().splitlines(keepends=True)
