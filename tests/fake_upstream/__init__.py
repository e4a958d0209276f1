"""A local HTTP server that speaks the wire formats of the live sources, a simulated market behind it.

    with FakeUpstream(now=NOW) as upstream:
        settings = Settings.from_mapping(upstream.variables())
        upstream.fail(Fault.TOO_MANY_REQUESTS, source="vci", times=2, retry_after="1")
        ...
        assert [seen.status for seen in upstream.requests] == [429, 429, 200]

`python -m tests.fake_upstream` serves it for trying the application out by hand.
"""

from .fake_time import FakeTime
from .faults import Fault
from .formats import Reply
from .server import FakeUpstream, Seen

__all__ = ["FakeTime", "FakeUpstream", "Fault", "Reply", "Seen"]
