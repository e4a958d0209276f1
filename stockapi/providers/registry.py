"""Choose the source of a market."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from stockapi.config import SIMULATED, Settings
from stockapi.models.mode import Mode
from stockapi.providers.base import Provider
from stockapi.providers.live.binance import BinanceProvider
from stockapi.providers.live.cryptocompare import CryptoCompareProvider
from stockapi.providers.live.timing import Timing
from stockapi.providers.live.udf import BROKERS, UdfProvider
from stockapi.providers.live.vci import VciProvider
from stockapi.providers.simulated.provider import SimulatedProvider

_LIVE: Final[Mapping[str, Callable[[Settings, Timing], Provider]]] = {
    **{source.name: source for source in (VciProvider, BinanceProvider, CryptoCompareProvider)},
    **{broker.name: partial(UdfProvider, broker) for broker in BROKERS},
}


def provider_for(
    mode: Mode, settings: Settings, stop: threading.Event | None = None, name: str | None = None
) -> Provider:
    """Make a provider for the market. The threads of a process must share it, because the rate limit is inside it.

    `stop`: when it is set, a live source stops waiting, and sends no more requests.
    `name`: one of the sources that the settings name; None: the preferred one.
    """
    source = name or settings.source(mode)
    if source == SIMULATED:
        return SimulatedProvider(mode, settings.simulated_seed)
    return _LIVE[source](settings, Timing(wait=(stop or threading.Event()).wait))
