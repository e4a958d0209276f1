"""Which source the settings choose."""

import threading

import pytest

from stockapi.config import Settings
from stockapi.errors import (
    ProviderStoppedError,
)
from stockapi.models import Mode
from stockapi.providers.registry import provider_for
from tests.fake_upstream import FakeUpstream
from tests.support.live_sources import fetch

# The registry


@pytest.mark.parametrize(
    ("mode", "variables", "name"),
    [
        (Mode.VN, {"DATA_PROVIDER": "live"}, "vci"),
        (Mode.CRYPTO, {"DATA_PROVIDER": "live"}, "binance"),
        (Mode.CRYPTO, {"DATA_PROVIDER": "live", "CRYPTO_PROVIDER": "cryptocompare"}, "cryptocompare"),
        (Mode.VN, {"DATA_PROVIDER": "simulated"}, "simulated"),
        (Mode.CRYPTO, {"DATA_PROVIDER": "simulated", "CRYPTO_PROVIDER": "cryptocompare"}, "simulated"),
    ],
)
def test_the_settings_choose_the_source(mode: Mode, variables: dict[str, str], name: str) -> None:
    provider = provider_for(mode, Settings.from_mapping(variables))
    assert (provider.name, provider.mode) == (name, mode)
    assert isinstance(provider.is_back_adjusted, bool)


def test_the_stop_of_the_process_reaches_the_source(upstream: FakeUpstream) -> None:
    stop = threading.Event()
    provider = provider_for(Mode.VN, Settings.from_mapping(upstream.variables()), stop)
    stop.set()
    with pytest.raises(ProviderStoppedError, match=r"^VCI VCB 1D: given up, the process stops$"):
        fetch(provider)
    assert upstream.requests == []
