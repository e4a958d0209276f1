"""What the companies and coins are called.

`vn_names.json` and `crypto_names.json` come with the project: objects, symbol to name, with a name for every symbol of
the lists that come with it. Names are those in common use, in English where there is one, of 60 characters at most.
"""

from typing import Final

from stockapi.config import Settings
from stockapi.models.mode import Mode
from stockapi.services.ticker_groups import built_in, groups_for, read_json, sector_of

_FILES: Final = {Mode.VN: "vn_names.json", Mode.CRYPTO: "crypto_names.json"}


def names_for(mode: Mode, settings: Settings) -> dict[str, str]:
    """The name of each symbol of the market's groups, in alphabetical order of the symbols.

    A symbol that a list of one's own has, and the project has no name for, is left out.

    :raises ConfigError: as `groups_for`.
    """
    names = read_json(built_in(_FILES[mode]))
    return {symbol: names[symbol] for symbol in sorted(sector_of(groups_for(mode, settings))) if symbol in names}
