"""Which source a market's bars come from."""

import threading

from stockapi.config import Settings
from stockapi.models.mode import Mode
from stockapi.providers.base import Provider
from stockapi.providers.live.binance import BinanceProvider
from stockapi.providers.live.cryptocompare import CryptoCompareProvider
from stockapi.providers.live.timing import Timing
from stockapi.providers.live.vci import VciProvider
from stockapi.providers.simulated.provider import SimulatedProvider


def provider_for(mode: Mode, settings: Settings, stop: threading.Event | None = None) -> Provider:
    """A new source. Make one per market and process and share it among the threads: its rate limit is inside.

    `stop`: once set, a live source gives up waiting, and asks for nothing more.
    """
    if settings.data_provider == "simulated":
        return SimulatedProvider(mode, settings.simulated_seed)
    timing = Timing(wait=(stop or threading.Event()).wait)
    if mode is Mode.VN:
        return VciProvider(settings, timing)
    if settings.crypto_provider == "cryptocompare":
        return CryptoCompareProvider(settings, timing)
    return BinanceProvider(settings, timing)
