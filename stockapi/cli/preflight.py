"""`python -m stockapi.cli.preflight`: the Makefile runs it before it starts anything.

    provider    prints the setting DATA_PROVIDER
    address     prints "free", the address in a browser and the port; "running" when this application answers there

If something is not allowed or prevents the start, it prints one line on standard error, with exit status 1.
"""

import sys
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

import click

from stockapi.config import Settings
from stockapi.errors import AppError
from stockapi.services.listening import refuse_what_cannot_be_listened_on

_ANSWERS_WITHIN_S: Final = 2.0
_OF_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_ALIVE: Final = b'{"status":"ok"}'


def main() -> None:
    """:raises SystemExit: with the line, when the start is not possible."""
    try:
        settings = Settings.load()
        answer = settings.data_provider if sys.argv[1:] == ["provider"] else _address(settings)
    except AppError as exc:
        sys.exit(f"stockapi: {exc}")
    click.echo(answer)


def _address(settings: Settings) -> str:
    """:raises ConfigError: when the port is taken by another program."""
    host = _OF_ANY_ADDRESS.get(settings.host, settings.host)
    url = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    if _is_ours(host, settings.port):
        return f"running {url} {settings.port}"
    refuse_what_cannot_be_listened_on(settings.host, settings.port)
    return f"free {url} {settings.port}"


def _is_ours(host: str, port: int) -> bool:
    with suppress(OSError, HTTPException), closing(HTTPConnection(host, port, timeout=_ANSWERS_WITHIN_S)) as connection:
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        return (answer.status, answer.read(1_000)) == (HTTPStatus.OK, _ALIVE)
    return False


if __name__ == "__main__":
    main()
