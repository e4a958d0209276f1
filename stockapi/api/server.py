"""What gunicorn itself answers and logs, in the shapes of everything else. Named in gunicorn.conf.py."""

import logging
import selectors
import socket
import struct
import sys
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from stockapi.logs import LineFormatter, key_values

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
"""The first that fits counts: the last is the base of all the others."""

_RECEIVE_TIMEOUT_S = 5
_SEND_TIMEOUT_S = 30
"""How long a thread waits for one client that has stopped half way through a request or an answer."""


class ApiWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no type hints
    """A gthread worker that speaks JSON where gunicorn sends HTML, and whose threads idle clients cannot take.

    gunicorn's own gives each new connection a thread to wait for its first byte in, for 5 seconds, and waits in it
    without end for the rest of a request: with 2 x 4 threads, 40 silent connections (browsers open them on
    suspicion) kept a request waiting for 45 seconds, and 8 half requests stopped the service for good.
    """

    def enqueue_req(self, conn: Any) -> None:
        """Called in the main thread: for a new connection, and when bytes have come on one."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(_RECEIVE_TIMEOUT_S))
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(_SEND_TIMEOUT_S))
        # As gunicorn does with a connection that kept a thread waiting in vain.
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle_error(self, _req: Any, client: socket.socket, addr: tuple[str, int], exc: Exception) -> None:
        """Called for a request that could not be parsed, and for what escaped the application."""
        status = next(
            (status for kind, status in _STATUS_OF_ERROR.items() if isinstance(exc, kind)),
            HTTPStatus.INTERNAL_SERVER_ERROR,
        )
        is_ours = status is HTTPStatus.INTERNAL_SERVER_ERROR
        logger.log(
            logging.ERROR if is_ours else logging.INFO,
            key_values(client=addr[0] if addr else "-", status=int(status), error=str(exc)),
            exc_info=exc if is_ours else None,
        )
        with suppress(OSError):  # the client has gone; there is nobody to tell
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
                    f"of {self.cfg.limit_request_field_size} bytes each"
                )
            case HTTPStatus.BAD_REQUEST:
                return "the request is not well-formed HTTP/1.1"
            case HTTPStatus.INTERNAL_SERVER_ERROR:
                return "something went wrong here; the operator can see what"
            case _:
                return status.phrase


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
    """gunicorn's own log, its lines like those of the application."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(LineFormatter())

    def exception(self, msg: str, *args: object, **kwargs: Any) -> None:
        """A client that was given up on, see `ApiWorker`, is no error of ours and needs no traceback."""
        if isinstance(sys.exception(), BlockingIOError):
            self.info("a client stopped half way; its connection is closed")
        else:
            super().exception(msg, *args, **kwargs)
