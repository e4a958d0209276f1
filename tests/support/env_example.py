"""`python -m tests.support.env_example`: writes .env.example anew from the table of settings in config.py."""

from collections.abc import Sequence

from stockapi.config import SettingHelp, settings_help
from tests.support.server import ROOT

PATH = ROOT / ".env.example"
_HEAD = """\
# All settings with their defaults. Copy this file to .env in the working directory, and uncomment what you change.
# Variables of the environment win over those of .env. Made from stockapi/config.py by `make env-example`.
"""


def env_example(settings: Sequence[SettingHelp]) -> str:
    """Of each setting: what it is for, what is allowed, and a line with its default, as a comment."""
    parts = (
        f"\n# {each.description}\n# allowed: {each.allowed}\n#{each.variable}={each.default}\n" for each in settings
    )
    return _HEAD + "".join(parts)


if __name__ == "__main__":
    PATH.write_text(env_example(settings_help()), encoding="utf-8")
