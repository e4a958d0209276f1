"""A reverse proxy on a free port of the loopback, which serves a server under a path prefix as nginx would."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.support.server import Server

_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass(frozen=True)
class Proxied(Server):
    """The server, as it is seen through the proxy."""

    address: str

    @property
    def url(self) -> str:
        return self.address


@contextlib.contextmanager
def served_under(
    server: Server, prefix: str, *, strips: bool = True, headers: Mapping[str, str] | None = None
) -> Iterator[Proxied]:
    """Everything at other paths is 404. `strips`: the prefix is taken off. `headers`: what the proxy sets itself."""
    sent = headers or {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            own = {name.lower() for name in sent}
            kept = {name: value for name, value in self.headers.items() if name.lower() not in own}
            upstream = HTTPConnection("127.0.0.1", server.port, timeout=30)
            with contextlib.closing(upstream):
                upstream.request("GET", self.path[len(prefix) :] if strips else self.path, headers={**kept, **sent})
                answer = upstream.getresponse()
                body = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _OF_ONE_CONNECTION:
                        self.send_header(name, value)
                if answer.getheader("Content-Length") is None:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_address[1]}{prefix}"
        try:
            yield Proxied(server.process, server.port, server.log_file, address)
        finally:
            proxy.shutdown()
