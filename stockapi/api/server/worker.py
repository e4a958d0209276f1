"""gunicorn's worker and logger, with our form of errors and log lines. gunicorn.conf.py names them."""

import errno
import logging
import re
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from stockapi.api.server import stop_signals
from stockapi.api.server.abandoned import client_has_gone
from stockapi.api.server.connection_counts import ConnectionCounts
from stockapi.api.server.freed_memory import give_back
from stockapi.api.server.paced_socket import PacedSocket, SlowReaderError
from stockapi.api.server.request_bodies import END_OF_HEAD, MAX_BODY_BYTES, has_come
from stockapi.logs import LineFormatter, PatientHandler, key_values

logger = logging.getLogger(__name__)

_STATUS_OF_ERROR = {
    errors.InvalidResponseHeader: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidResponseHeaderName: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ConfigurationProblem: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
    errors.ParseException: HTTPStatus.BAD_REQUEST,
}
"""The first class that fits counts. The last one is the base of all others."""

MAX_HEAD_BYTES = 65_536
"""The limit of the request line and the headers together. gunicorn itself accepts 100 headers of 8,190 bytes."""
MAX_UNREAD_BYTES = 65_536
"""The bytes of an unread body that are received before the connection is closed."""
_SEND_TIMEOUT_S = 30
"""The seconds that a thread waits when it sends `100 Continue`. For answers see `PacedSocket`."""

_DRAIN_S = 0.05
"""The seconds that a thread receives an unread body, so that the connection can be used for the next request."""

_BODY_HEADERS = frozenset({"CONTENT-LENGTH", "TRANSFER-ENCODING"})

_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_ACCEPT_AGAIN_AFTER_S = 0.25
"""The seconds until the next try to accept. The listener stays readable, so trying at once would use a whole core."""
_TELL_AGAIN_AFTER_S = 60.0
_LEAVE_TO_OTHERS_S = 0.0005
"""The seconds that a process leaves a new connection to processes that have fewer connections."""

_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-fv:.]+\])(?::[0-9]*)?", re.ASCII)
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class ApiWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no type hints
    """A gthread worker that sends errors as JSON, and whose threads cannot be blocked by slow clients.

    It differs from gunicorn's own worker in these points:

    * gunicorn gives each new connection a thread. It waits for the first byte, and then without limit for the rest of
      the request. With 2 x 4 threads, 40 silent connections (browsers open such) delayed a request by 45 seconds, and 8
      incomplete requests stopped the service. Here a request gets a thread when its head is complete, and its body,
      too, if that is read. Until then it waits in the poller, at most `keepalive` seconds.
    * gunicorn's only accepting thread waits up to 2 seconds until a client closes a finished connection. 10 clients
      that did not close delayed all others by 20 seconds. Here the poller waits for that too.
    * gunicorn waits without limit for a client that reads a byte now and then. Here it must read at a minimum rate.
    * gunicorn accepts every connection at once. Of 8 connections opened together, one of two processes took 7 or 8 in
      half of all tries, and 255 requests a second were answered; with 4 and 4 it was 800. Here the process with fewer
      connections accepts first.
    * gunicorn forgets a stop that reaches a worker before it has handlers of its own: see `stop_signals`.
    * gunicorn ends, with all requests in progress, when there is no file descriptor for a new connection. Here that
      connection waits in the kernel until there is one.
    * gunicorn starts a thread when a request needs it, and ends with all requests when the system gives none. Here all
      threads are there from the start.
    * gunicorn works on requests whose clients have gone. 600 of 8,000 rows, reset at once, kept others waiting for 18
      seconds. Here they are dropped.
    """

    _accept_after = _tell_after = float("-inf")
    """The `time.monotonic()` before which no connection is accepted, and before which no line about that is logged."""

    connection_counts: ClassVar = ConnectionCounts()
    """The counts of all processes. They are made when the master imports this module."""

    # All of these run in the main thread, except `handle`, `handle_request` and `_keepalive_after`.

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """gunicorn calls it at the start of the process.

        :raises RuntimeError: when the system does not give a single thread.
        """
        pool, go = ThreadPoolExecutor(max_workers=self.cfg.threads), threading.Event()
        try:
            for _ in range(self.cfg.threads):
                pool.submit(go.wait)
        except RuntimeError as exc:
            started = sum(thread.is_alive() for thread in pool._threads)
            logger.error(key_values(event="too_few_threads", error=exc, started=started, wanted=self.cfg.threads))
            if not started:
                raise
            pool._max_workers = started  # else it would try again at each request, and fail it
        finally:
            go.set()
        return pool

    def init_signals(self) -> None:
        super().init_signals()
        stop_signals.receive()

    def accept(self, listener: socket.socket) -> None:
        if self.connection_counts.lowest() < self.nr_conns:
            time.sleep(_LEAVE_TO_OTHERS_S)  # if another process accepts it meanwhile, nothing is left to accept
        try:
            super().accept(listener)
        except OSError as exc:
            if exc.errno not in _OUT_OF_DESCRIPTORS:
                raise
            now = time.monotonic()
            self._accept_after = now + _ACCEPT_AGAIN_AFTER_S
            self.set_accept_enabled(False)
            if now >= self._tell_after:
                self._tell_after = now + _TELL_AGAIN_AFTER_S
                logger.error(key_values(event="accept_failed", error=exc.strerror, connections=self.nr_conns))
        self.connection_counts.publish(self.age, self.nr_conns)

    def set_accept_enabled(self, enabled: bool) -> None:
        """gunicorn calls it before each wait too."""
        super().set_accept_enabled(enabled and time.monotonic() >= self._accept_after)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, but not longer than until connections may be accepted again."""
        self.connection_counts.publish(self.age, self.nr_conns)
        pause = self._accept_after - time.monotonic()
        super().wait_for_and_dispatch_events(min(timeout, pause) if pause > 0.0 else timeout)

    def enqueue_req(self, conn: Any) -> None:
        """gunicorn calls it for a new connection, for new bytes on a connection, and for bytes after a request."""
        if self._is_ready(conn):
            super().enqueue_req(conn)
        else:
            self._wait_for(conn, self.on_pending_socket_readable)

    def on_pending_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Bytes have arrived on a waiting connection. If it must wait longer, it keeps its deadline."""
        if self._is_ready(conn):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        # One that has only closed its side is answered, unless others wait for this thread.
        if client_has_gone(conn.sock, when_half_closed=not self.tpool._work_queue.empty()):
            return False
        if conn.has_large_head:
            error = errors.LimitRequestHeaders(f"more than {MAX_HEAD_BYTES} bytes")
            self.handle_error(None, conn.sock, conn.client, error)
            return False
        if not isinstance(conn.sock, PacedSocket):
            conn.sock = PacedSocket(conn.sock)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """RFC 9112, 3.2: a request of HTTP/1.1 without a valid Host is answered with 400. (gunicorn refuses two.)"""
        hosts = [value for name, value in req.headers if name == "HOST"]
        if (req.version >= (1, 1) and not hosts) or not all(map(_HOST.fullmatch, hosts)):
            raise errors.InvalidHeader("Host")
        try:
            return super().handle_request(req, conn)
        finally:
            give_back()

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """gunicorn waits 5 seconds for an announced body: 8 requests that sent no body took 8 threads. It sends another
        answer for a malformed body, which belongs to no request.

        For a request without a body it must not ask at all: on a busy machine the thread may wait for longer than
        `_DRAIN_S`, and gunicorn would then close the connection without notice.
        """
        if not keepalive or all(name not in _BODY_HEADERS for name, _ in conn.parser.mesg.headers):
            return keepalive
        try:
            return bool(conn.parser.finish_body(deadline=time.monotonic() + _DRAIN_S))
        except (errors.ParseException, errors.NoMoreData):
            return False

    def finish_request(self, conn: Any, future: Future[Any]) -> None:
        """gunicorn calls it when a thread has finished a request. A false result means: close the connection."""
        if future.cancelled() or future.exception() is not None or future.result():
            super().finish_request(conn, future)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        # If it were closed with unread bytes, the kernel would discard what the client has not received yet.
        conn.bytes_left = MAX_UNREAD_BYTES
        self._wait_for(conn, self._on_leftover)

    def _on_leftover(self, conn: Any, client: socket.socket) -> None:
        """The client has closed the finished connection, or still sends."""
        with suppress(OSError):
            received = len(client.recv(conn.bytes_left))
            conn.bytes_left -= received
            if received and conn.bytes_left:
                return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def _wait_for(self, conn: Any, callback: Callable[[Any, socket.socket], None]) -> None:
        """Let the connection wait in the poller. `murder_pending` closes it when its time has passed."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(callback, conn))

    def _is_ready(self, conn: Any) -> bool:
        """Whether a thread can read the request, or find that it is invalid, without waiting for the client."""
        begun = conn.parser.unreader.buf.getvalue() if conn.parser else b""
        try:
            arrived = conn.sock.recv(MAX_HEAD_BYTES + MAX_BODY_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            # It is readable, but has no more bytes than at the last look: the client sends no more.
            has_ended = len(arrived) == getattr(conn, "bytes_seen", 0)
        except BlockingIOError:
            arrived, has_ended = b"", False
        except OSError:
            arrived, has_ended = b"", True
        request = begun + arrived
        head = request[:MAX_HEAD_BYTES]
        conn.has_large_head = len(head) >= MAX_HEAD_BYTES and b"\r\n" in head and END_OF_HEAD not in head
        if has_ended or (self._can_be_parsed(head) and (END_OF_HEAD not in head or has_come(request))):
            conn.data_ready = True
            _wake_at(conn.sock, 1)
            conn.bytes_seen = 0
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(_SEND_TIMEOUT_S))
            return True
        # The arrived bytes stay in the kernel. The poller must report when there are more.
        _wake_at(conn.sock, len(arrived) + 1)
        conn.bytes_seen = len(arrived)
        return False

    def _can_be_parsed(self, head: bytes) -> bool:
        """Whether the head is complete, or already invalid."""
        return (
            END_OF_HEAD in head
            or len(head) >= MAX_HEAD_BYTES
            or (len(head) > self.cfg.limit_request_line + 2 and b"\r\n" not in head[2:])
            or _BARE_LINE_FEED.search(head) is not None
        )

    def handle_error(self, _req: Any, client: socket.socket, addr: tuple[str, int], exc: Exception) -> None:
        """gunicorn calls it for a request that cannot be parsed, and for an exception of the application."""
        status = next(
            (status for kind, status in _STATUS_OF_ERROR.items() if isinstance(exc, kind)),
            HTTPStatus.INTERNAL_SERVER_ERROR,
        )
        is_ours = status is HTTPStatus.INTERNAL_SERVER_ERROR
        # gunicorn quotes the line that it cannot parse, and that line may have the key of a client.
        error = str(exc) if is_ours else type(exc).__name__
        logger.log(
            logging.ERROR if is_ours else logging.INFO,
            key_values(client=addr[0] if addr else "-", status=int(status), error=error),
            exc_info=exc if is_ours else None,
        )
        with suppress(OSError):  # the client has gone
            util.write_nonblock(client, _error_message(status, self._text_of(status)))

    def _text_of(self, status: HTTPStatus) -> str:
        match status:
            case HTTPStatus.REQUEST_URI_TOO_LONG:
                return (
                    f"the request line is too long; allowed: {self.cfg.limit_request_line} bytes; "
                    "ask for fewer symbols, in one list separated by commas"
                )
            case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                return (
                    f"the headers are too large; allowed: {self.cfg.limit_request_fields} headers "
                    f"of {self.cfg.limit_request_field_size} bytes each, {MAX_HEAD_BYTES} bytes in all"
                )
            case HTTPStatus.BAD_REQUEST:
                return "the request is not well-formed HTTP/1.1"
            case HTTPStatus.INTERNAL_SERVER_ERROR:
                return "something went wrong here; the operator can see what"
            case _:
                return status.phrase


def _wake_at(sock: socket.socket, count: int) -> None:
    """Let the poller report the socket when it has `count` bytes, or when the client has closed it."""
    with suppress(OSError):  # the next read finds a broken connection
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)


def _timeval(seconds: int) -> bytes:
    """C's struct timeval."""
    return struct.pack("ll", seconds, 0)


def _error_message(status: HTTPStatus, text: str) -> bytes:
    body = orjson.dumps({"error": text})
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "\r\n"
    )
    return head.encode("ascii") + body


class LineLogger(Logger):  # type: ignore[misc]
    """gunicorn's log, with lines in the form of the application's log."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for number, handler in enumerate(self.error_log.handlers):
            if type(handler) is logging.StreamHandler:
                self.error_log.handlers[number] = handler = PatientHandler()
                handler._gunicorn = True  # type: ignore[attr-defined]  # a reload replaces it
            handler.setFormatter(LineFormatter())

    def exception(self, msg: str, *args: object, **kwargs: Any) -> None:
        """A client that was given up (see `ApiWorker`) is not our error, so it needs no traceback."""
        exc = sys.exception()
        if isinstance(exc, SlowReaderError):
            self.info(str(exc))
        elif isinstance(exc, BlockingIOError):
            self.info("a client stopped half way; its connection is closed")
        else:
            super().exception(msg, *args, **kwargs)
