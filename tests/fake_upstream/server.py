"""The HTTP server of the fake upstream."""

import contextlib
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from stockapi.models import Interval, Mode

from .faults import Fault, Plan, Plans
from .formats import API_KEY, BadRequestError, Query, Reply, limit_exceeded, parse_query, reply_to, unauthorized
from .market import FakeMarket


@dataclass
class Seen:
    """One request that came in. `at_s` is monotonic; `connection` differs from connection to connection.

    `status`: None until it is known.
    """

    source: str
    ticker: str
    interval: Interval
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    connection: int
    at_s: float
    status: int | None = None


class FakeUpstream:
    """Serves from `with` to its end. Everything may be changed in between, also while requests are on their way.

    `requests`: those answered or refused so far, in the order in which they came. `most_at_once`: how many of them were
    in hand at the same time at most. `latency_s`: how long every answer takes beside the work.
    """

    def __init__(
        self,
        now: int | None = None,
        tickers: Mapping[Mode, Sequence[str]] | None = None,
        listed: Mapping[str, int] | None = None,
        port: int = 0,
    ) -> None:
        self.market = FakeMarket(now, tickers, listed)
        self.latency_s = 0.0
        self.used_weight: int | None = None
        self.most_at_once = 0
        self._plans = Plans()
        self._requests: list[Seen] = []
        self._at_once = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def now(self) -> int:
        """Unix seconds: nothing later is known to the market."""
        return self.market.clock()

    @now.setter
    def now(self, seconds: int) -> None:
        self.market.now = seconds

    @property
    def requests(self) -> list[Seen]:
        with self._lock:
            return list(self._requests)

    def forget_requests(self) -> None:
        with self._lock:
            self._requests.clear()
            self.most_at_once = 0

    def variables(self) -> dict[str, str]:
        """Settings that lead the live sources here."""
        return {
            "DATA_PROVIDER": "live",
            "VCI_BASE_URL": f"{self.url}/vci",
            "VPS_BASE_URL": f"{self.url}/vps",
            "VNDIRECT_BASE_URL": f"{self.url}/vndirect",
            "DNSE_BASE_URL": f"{self.url}/dnse",
            "BINANCE_BASE_URL": f"{self.url}/binance",
            "CRYPTOCOMPARE_BASE_URL": f"{self.url}/cryptocompare",
            "CRYPTOCOMPARE_API_KEY": API_KEY,
        }

    def adjust(self, ticker: str, effective: int, ratio: float) -> None:
        """As `FakeMarket.adjust`."""
        self.market.adjust(ticker, effective, ratio)

    def fail(
        self,
        fault: Fault,
        *,
        source: str | None = None,
        ticker: str | None = None,
        times: int | None = 1,
        skip: int = 0,
        retry_after: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Plan a fault, behind those planned before; see `Plan`."""
        self._plans.add(Plan(fault, source, ticker, times, skip, retry_after, seconds))

    def repair(self) -> None:
        """Everything works again: forget all plans."""
        self._plans.clear()

    # For the handler

    def begin(self, query: Query, connection: int) -> tuple[Seen, Plan | None]:
        """A request came in: its record, and the fault it meets."""
        seen = Seen(
            query.source, query.ticker, query.interval, query.params, query.headers, connection, time.monotonic()
        )
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._requests.append(seen)
        return seen, self._plans.next(query.source, query.ticker)

    def end(self) -> None:
        with self._lock:
            self._at_once -= 1

    def sleep(self, seconds: float) -> None:
        """Ends early when the server closes."""
        self._closing.wait(seconds)

    def reply(self, query: Query, plan: Plan | None) -> Reply:
        fault = None if plan is None else plan.fault
        refusal = None if plan is None else _refusal(plan, query)
        reply = refusal or reply_to(query, self.market, fault)
        if query.source == "binance" and self.used_weight is not None:
            reply = replace(reply, headers={**reply.headers, "X-MBX-USED-WEIGHT-1M": str(self.used_weight)})
        return reply


def _refusal(plan: Plan, query: Query) -> Reply | None:
    """The answer of a fault that leaves no room for bars."""
    if plan.fault is Fault.UNAUTHORIZED:
        return unauthorized(query.headers.get("Authorization", "").removeprefix("Apikey "))
    reply = _REFUSALS.get(plan.fault)
    if reply is None or plan.retry_after is None:
        return reply
    return replace(reply, headers={"Retry-After": plan.retry_after})


_REFUSALS = {
    Fault.TOO_MANY_REQUESTS: Reply({"code": -1003, "msg": "Too many requests."}, HTTPStatus.TOO_MANY_REQUESTS),
    Fault.BANNED: Reply({"code": -1003, "msg": "IP banned."}, HTTPStatus.IM_A_TEAPOT),
    Fault.FORBIDDEN: Reply(b"<html>Access denied</html>", HTTPStatus.FORBIDDEN),
    Fault.ERROR_WITH_200: limit_exceeded(),
    Fault.UNAVAILABLE: Reply(b"<html>Down for maintenance</html>", HTTPStatus.SERVICE_UNAVAILABLE),
    Fault.NOT_FOUND: Reply({"error": "not found"}, HTTPStatus.NOT_FOUND),
    Fault.REDIRECT: Reply(b"", HTTPStatus.FOUND, {"Location": "http://127.0.0.2:9/elsewhere"}),
    Fault.NO_JSON: Reply(b"<html>Please enable JavaScript</html>"),
    Fault.DEEP_JSON: Reply(b"[" * 100_000),
    Fault.HUGE: Reply(b"[" + b" " * 40_000_000 + b"]"),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], upstream: FakeUpstream) -> None:
        super().__init__(address, _Handler)
        self.upstream = upstream
        self.connections: set[socket.socket] = set()
        self.numbers = itertools.count(1)

    def close_connections(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # An answer leaves in one piece: in several, each would wait for the other side's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.number = next(self.server.numbers)
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        # The other side may be gone, and there may be something left to flush.
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def do_GET(self) -> None:
        self._answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the base class's)
        """Nothing: what came in stands in `requests`."""

    def _answer(self, params: Mapping[str, Any]) -> None:
        upstream = self.server.upstream
        try:
            query = parse_query(self.command, urlsplit(self.path).path, params, dict(self.headers.items()))
        except BadRequestError as exc:
            self._send(Reply({"error": str(exc)}, HTTPStatus.BAD_REQUEST))
            return
        seen, plan = upstream.begin(query, self.number)
        try:
            upstream.sleep(upstream.latency_s)
            reply = upstream.reply(query, plan)
            # Before it leaves: whoever has the answer may look at the record at once.
            seen.status = int(reply.status)
        finally:
            upstream.end()
        self._deliver(reply, plan)

    def _deliver(self, reply: Reply, plan: Plan | None) -> None:
        match plan and plan.fault:
            case Fault.RESET:
                # Zero seconds to linger: closing sends a reset at once.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                raise ConnectionResetError
            case Fault.SLOW:
                self.server.upstream.sleep(plan.seconds)
                self._send(reply)
            case Fault.TRICKLE:
                self._send(reply, trickle_s=plan.seconds)
            case Fault.CUT_OFF:
                self._send(reply, share=0.5)
                self.close_connection = True
            case Fault.HALF_JSON:
                self._send(Reply(reply.body()[: len(reply.body()) // 2], reply.status, reply.headers))
            case _:
                self._send(reply)

    def _send(self, reply: Reply, *, share: float = 1.0, trickle_s: float | None = None) -> None:
        body = reply.body()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if trickle_s is None:
            self.wfile.write(body[: int(len(body) * share)])
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            self.server.upstream.sleep(trickle_s)
