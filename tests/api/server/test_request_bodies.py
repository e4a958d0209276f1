import pytest

from stockapi.api.server.request_bodies import MAX_BODY_BYTES, has_come

HEAD = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def with_length(length: int | bytes, body: bytes = b"", head: bytes = HEAD) -> bytes:
    return head + b"content-length: %s\r\n\r\n" % str(length).encode() + body


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (with_length(5), False),
        (with_length(5, b"hell"), False),
        (with_length(5, b"hello"), True),
        (with_length(5, b"hello and more"), True),
        (with_length(0), True),
        (with_length(MAX_BODY_BYTES), False),
        (with_length(MAX_BODY_BYTES + 1), True),  # refused for its length
        (with_length(5, head=HEAD.replace(b"/mcp", b"/markets/mcp?x=1")), False),
        (with_length(5, head=HEAD.replace(b"/mcp", b"/mcp/")), False),
        (HEAD + b"\r\n", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", True),  # refused for its form
        (HEAD + b"X-Content-Length: 5\r\n\r\n", True),
        (with_length(5, head=HEAD.replace(b"POST", b"GET")), True),  # nobody reads it
        (with_length(5, head=HEAD.replace(b"/mcp", b"/tickers")), True),
        (with_length(5, head=HEAD.replace(b"/mcp", b"/tickers?path=/mcp")), True),
        (with_length(5, head=HEAD.replace(b"/mcp", b"/mcpx")), True),
    ],
)
def test_only_a_body_that_will_be_read_is_waited_for(request_: bytes, expected: bool) -> None:
    assert has_come(request_) is expected
