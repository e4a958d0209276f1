"""The prices that a share may have within a day: reference, ceiling and floor, by the trading rules of its exchange.

Source: the rules of the Ho Chi Minh City Stock Exchange (decision 352 of 2021, article 9) and those of the Hanoi Stock
Exchange for listed shares and for UPCOM.

Not known here, so not in these numbers: the first day of a new share, and the first after 25 days without trade, have a
wider limit (20, 30 or 40 percent). UPCOM's reference is the average price of the day before, weighted by volume; here
it is the last close, for all exchanges.
"""

from typing import NamedTuple

from stockapi.markets.market import Exchange


class PriceBand(NamedTuple):
    """The prices of a day, in whole units: floor <= reference <= ceiling, each a multiple of the tick at that price."""

    reference: int
    ceiling: int
    floor: int

    def allows(self, price: float) -> bool:
        """Whether a trade at that price is within the limits. If not, others than the usual ones were valid."""
        return self.floor <= price <= self.ceiling


def price_band(previous_close: float, exchange: Exchange) -> PriceBand:
    """The band of the day after a close.

    After a dividend the stored close is divided by it, and so need not be a multiple of the tick: the reference is the
    nearest one, halves upwards. The ceiling is rounded down and the floor up. If either is then equal to the reference,
    it is one tick away from it. If there is no price below, floor and reference are equal.

    :raises ValueError: when the close is not positive.
    """
    if not previous_close > 0:
        raise ValueError(f"a close of {previous_close} has no price band; allowed: a positive price")
    tick = exchange.tick(previous_close)
    reference = max(int(previous_close / tick + 0.5) * tick, tick)
    ceiling = _rounded_down(reference * (100 + exchange.limit_percent), exchange)
    floor = -_rounded_down(-reference * (100 - exchange.limit_percent), exchange)
    if ceiling <= reference:
        ceiling = reference + exchange.tick(reference)
    if floor >= reference:
        # The tick of the prices below: at 10,000 dong of HOSE the next price down is 9,990.
        floor = reference - exchange.tick(reference - 1)
    return PriceBand(reference, ceiling, floor if floor > 0 else reference)


def _rounded_down(hundredths: int, exchange: Exchange) -> int:
    """The largest multiple of the tick that is not larger. Whole numbers, as 1.07 times a price is not exact."""
    step = exchange.tick(abs(hundredths) / 100) * 100
    return hundredths // step * step // 100
