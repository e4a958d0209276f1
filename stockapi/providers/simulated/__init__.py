"""A simulated market without a network. The same seed always gives the same bars."""

from stockapi.providers.simulated.provider import SimulatedProvider

__all__ = ["SimulatedProvider"]
