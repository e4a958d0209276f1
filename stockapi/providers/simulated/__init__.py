"""A market that needs no network: the same bars for the same seed, wherever and whenever they are asked for."""

from stockapi.providers.simulated.provider import SimulatedProvider

__all__ = ["SimulatedProvider"]
