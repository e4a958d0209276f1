"""Bars of anything that can be stored, for both writers of answers."""

import numpy as np
from hypothesis import strategies as st

from stockapi.models import Bars
from stockapi.models.fields import INDICATOR_FIELDS

decimals = st.integers(0, 10)
numbers = st.one_of(
    st.builds(lambda units, places: units / 10**places, st.integers(-(10**7), 10**12), decimals),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [0.0, -0.0, 0.1 + 0.2, 2.0**53, 2.0**53 + 2, 1e15, 1e16, 1e17, 1e21, 1e22, 1e-4, 1e-5, 1.28e-9, 5e-324]
    ),
)
whole_volumes = st.one_of(st.integers(0, 10**9), st.sampled_from([0, 2**53, 2**53 + 1, 2**63 - 1]))
times = st.one_of(st.integers(0, 4_000_000_000), st.integers(-62_135_596_800, 253_402_300_799))


@st.composite
def some_bars(draw: st.DrawFn) -> Bars:
    """1 to 8 bars of anything that can be stored, and every pattern of absent indicators."""
    count = draw(st.integers(1, 8))
    time = np.array(sorted(draw(st.lists(times, min_size=count, max_size=count, unique=True))), dtype=np.int64)

    def table(rows: int, values: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=rows * count, max_size=rows * count)), dtype=np.float64).reshape(
            rows, count
        )

    indicators = table(len(INDICATOR_FIELDS), st.one_of(st.just(float("nan")), numbers))
    if draw(st.booleans()):
        volume = np.array(draw(st.lists(whole_volumes, min_size=count, max_size=count)), dtype=np.int64)
        return Bars(time, table(4, numbers), volume, indicators)
    return Bars(time, table(4, numbers), table(1, numbers)[0], indicators)
