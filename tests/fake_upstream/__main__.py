"""`python -m tests.fake_upstream`: the fake upstream in real time, until Ctrl-C."""

import argparse
import contextlib
import signal

from stockapi.config import Settings
from stockapi.markets.tickers import tickers_for
from stockapi.models import Mode

from .server import FakeUpstream


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--latency-ms", type=int, default=0, help="of every answer")
    arguments = parser.parse_args()

    settings = Settings.load()
    tickers = {mode: tickers_for(mode, settings) for mode in Mode}
    with FakeUpstream(tickers=tickers, port=arguments.port) as upstream, contextlib.suppress(KeyboardInterrupt):
        upstream.latency_s = arguments.latency_ms / 1000
        for name, value in upstream.variables().items():
            print(f"export {name}={value}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
