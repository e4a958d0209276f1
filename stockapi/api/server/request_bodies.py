"""The bodies of requests. Only one route reads one, and it must have come before a thread works on the request."""

import re
from typing import Final

MAX_BODY_BYTES: Final = 32_768
"""The longest body that is read. A message with 500 symbols has 5,000 bytes."""

END_OF_HEAD: Final = b"\r\n\r\n"
_READ: Final = re.compile(rb"POST [^ ?]*/mcp/?(?:\?[^ ]*)? HTTP/", re.ASCII)
_LENGTH: Final = re.compile(rb"\r\nContent-Length:[ \t]*([0-9]{1,9})[ \t]*(?:\r\n|\Z)", re.ASCII | re.IGNORECASE)


def has_come(request: bytes) -> bool:
    """Whether the thread that gets this request need not wait for more of its body. `request`: with a complete head.

    A body that nobody reads, or that is refused for its length, is not waited for.
    """
    if not _READ.match(request):
        return True
    head, _, body = request.partition(END_OF_HEAD)
    announced = _LENGTH.search(head)
    length = int(announced[1]) if announced else 0
    return length > MAX_BODY_BYTES or len(body) >= length
