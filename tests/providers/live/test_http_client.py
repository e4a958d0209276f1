"""HTTP to a source: what is retried, how long is waited, and which error every failure becomes. Over real HTTP."""

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import (
    BadPayloadError,
    ProviderBannedError,
    ProviderError,
    ProviderStoppedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from stockapi.providers.live.http_client import LONGEST_WAIT_S, MOST_AT_ONCE, Answer, Endpoint, HttpClient, one_line
from stockapi.providers.live.timing import Timing
from tests.fake_upstream import FakeTime, FakeUpstream, Fault

NOW = 1_772_427_600
"""2026-03-02T05:00:00Z."""
ABOUT = "Binance BTC 1D"
PARAMS = {"symbol": "BTCUSDT", "interval": "1d", "startTime": (NOW - 86_400) * 1000, "endTime": NOW * 1000}

MakeClient = Callable[..., HttpClient]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(NOW) as upstream:
        yield upstream


@pytest.fixture
def upstream(server: FakeUpstream) -> FakeUpstream:
    server.repair()
    server.forget_requests()
    server.latency_s = 0.0
    return server


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime(NOW)


@pytest.fixture
def make_client(upstream: FakeUpstream, clock: FakeTime) -> MakeClient:
    """A client of the fake upstream; settings by name, and what else the class takes."""

    def make(
        requests_per_minute: int = 1_000,
        timing: Timing | None = None,
        base_url: str | None = None,
        headers: dict[str, str] | None = None,
        **variables: str,
    ) -> HttpClient:
        settings = Settings.from_mapping({"PROVIDER_READ_TIMEOUT_MS": "2000"} | variables)
        url = base_url or f"{upstream.url}/binance"
        return HttpClient(
            Endpoint("Binance", url, requests_per_minute, headers or {}), settings, timing or clock.timing()
        )

    return make


def get(client: HttpClient) -> Answer:
    return client.get("/api/v3/klines", PARAMS, ABOUT)


def failure(client: HttpClient) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        get(client).require_ok()
    message = str(caught.value)
    assert message.startswith(f"{ABOUT}: "), message
    assert message.isprintable()
    return caught.value


# An answer


def test_an_answer_has_status_headers_and_json(make_client: MakeClient, upstream: FakeUpstream) -> None:
    upstream.used_weight = 7
    answer = get(make_client())
    upstream.used_weight = None
    assert (answer.status, answer.about, answer.headers["x-mbx-used-weight-1m"]) == (200, ABOUT, "7")
    assert len(answer.json()) == 1
    answer.require_ok()


def test_a_body_is_sent_as_json(make_client: MakeClient, upstream: FakeUpstream) -> None:
    client = make_client(base_url=f"{upstream.url}/vci")
    body = {"timeFrame": "ONE_DAY", "symbols": ["VCB"], "to": NOW, "countBack": 3}
    assert len(client.post("/chart/OHLCChart/gap-chart", body, ABOUT).json()[0]["t"]) == 3
    assert upstream.requests[0].params == body
    assert upstream.requests[0].headers["Content-Type"] == "application/json"


# Failures

TOO_MANY = "too many requests (429)"
SLOW = {"PROVIDER_READ_TIMEOUT_MS": "20"}

# fault, its details, settings, error, what the message says, requests made
FAILURES = [
    (Fault.TOO_MANY_REQUESTS, {}, {}, RateLimitedError, TOO_MANY, 4),
    (Fault.TOO_MANY_REQUESTS, {"retry_after": "2"}, {}, RateLimitedError, f"{TOO_MANY}, Retry-After 2 s", 4),
    (Fault.TOO_MANY_REQUESTS, {"retry_after": "61"}, {}, RateLimitedError, f"{TOO_MANY}, Retry-After 61 s", 1),
    (Fault.BANNED, {}, {}, ProviderBannedError, "turned away (418)", 1),
    (Fault.FORBIDDEN, {}, {}, ProviderBannedError, "turned away (403)", 1),
    (Fault.UNAVAILABLE, {}, {}, ProviderUnavailableError, "answered 503", 4),
    (Fault.UNAVAILABLE, {"retry_after": "3600"}, {}, ProviderUnavailableError, "answered 503", 1),
    (Fault.NOT_FOUND, {}, {}, BadPayloadError, "answered 404, not 200", 1),
    (Fault.REDIRECT, {}, {}, BadPayloadError, "answered 302, a redirect; check Binance's base URL", 1),
    (Fault.RESET, {}, {}, ProviderUnavailableError, "Connection reset by peer", 4),
    (Fault.SLOW, {"seconds": 0.5}, SLOW, ProviderTimeoutError, "no answer in time (connect 3 s, read 0.02 s)", 4),
    (Fault.HUGE, {}, {}, BadPayloadError, "the answer is longer than 33,554,432 bytes", 1),
]


@pytest.mark.parametrize(
    ("fault", "details", "variables", "error", "text", "requests"), FAILURES, ids=[row[0].name for row in FAILURES]
)
def test_each_failure_has_its_error_and_its_number_of_attempts(
    fault: Fault,
    details: dict[str, object],
    variables: dict[str, str],
    error: type[ProviderError],
    text: str,
    requests: int,
    make_client: MakeClient,
    upstream: FakeUpstream,
) -> None:
    upstream.fail(fault, times=None, **details)
    caught = failure(make_client(**variables))
    assert type(caught) is error
    assert str(caught) == f"{ABOUT}: {text}"
    assert len(upstream.requests) == requests


def test_an_answer_cut_off_in_the_middle_is_not_whole(make_client: MakeClient, upstream: FakeUpstream) -> None:
    upstream.fail(Fault.CUT_OFF, times=None)
    caught = failure(make_client())
    assert type(caught) is ProviderUnavailableError
    assert "IncompleteRead" in str(caught)
    assert len(upstream.requests) == 4


def test_an_answer_that_trickles_in_must_end_in_time(make_client: MakeClient, upstream: FakeUpstream) -> None:
    # Every byte comes well within the read timeout of 100 ms, the last of them after more than 1 s.
    upstream.fail(Fault.TRICKLE, times=None, seconds=0.008)
    timing = Timing(wait=lambda _: False)
    variables = {"PROVIDER_READ_TIMEOUT_MS": "100", "PROVIDER_CONNECT_TIMEOUT_MS": "100", "PROVIDER_RETRIES": "0"}
    begun = time.monotonic()
    assert type(failure(make_client(timing=timing, **variables))) is ProviderTimeoutError
    assert 0.4 < time.monotonic() - begun < 1.0


@pytest.mark.parametrize("fault", [Fault.HALF_JSON, Fault.NO_JSON, Fault.DEEP_JSON])
def test_what_is_no_json_is_a_bad_payload(fault: Fault, make_client: MakeClient, upstream: FakeUpstream) -> None:
    upstream.fail(fault)
    answer = get(make_client())
    with pytest.raises(BadPayloadError, match=rf"^{ABOUT}: answered 200 with [0-9]+ bytes, no JSON$"):
        answer.json()


def test_a_source_that_nobody_serves_is_unavailable(make_client: MakeClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = make_client(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert str(failure(client)) == f"{ABOUT}: Connection refused"


def test_a_host_that_does_not_exist_is_unavailable(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert str(failure(make_client(base_url="http://source.invalid"))) == f"{ABOUT}: Name or service not known"


@pytest.mark.parametrize(
    "fault", [Fault.TOO_MANY_REQUESTS, Fault.UNAVAILABLE, Fault.RESET, Fault.CUT_OFF], ids=lambda fault: fault.name
)
def test_a_source_that_recovers_is_asked_until_it_answers(
    fault: Fault, make_client: MakeClient, upstream: FakeUpstream
) -> None:
    upstream.fail(fault, times=3)
    assert get(make_client()).status == 200
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("retries", [0, 1, 10])
def test_how_often_is_a_setting(retries: int, make_client: MakeClient, upstream: FakeUpstream) -> None:
    upstream.fail(Fault.UNAVAILABLE, times=None)
    failure(make_client(PROVIDER_RETRIES=str(retries)))
    assert len(upstream.requests) == retries + 1


# Waiting


@pytest.mark.parametrize(
    ("chance", "waits"),
    [
        (0.0, [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15, 15]),
        (0.5, [0.375, 0.75, 1.5, 3, 6, 12, 22.5, 22.5, 22.5, 22.5]),
        (1.0, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]),
    ],
)
def test_waits_double_up_to_a_limit_and_half_of_each_is_chance(
    chance: float, waits: list[float], make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime
) -> None:
    clock.chance = chance
    upstream.fail(Fault.UNAVAILABLE, times=None)
    failure(make_client(PROVIDER_RETRIES="10"))
    assert clock.waits == waits


def http_date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


@pytest.mark.parametrize("fault", [Fault.TOO_MANY_REQUESTS, Fault.UNAVAILABLE])
@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("7", 7.0),
        ("60", 60.0),
        (" 7 ", 7.0),
        (http_date(NOW + 30), 30.0),
        # Less than the backoff: the backoff it is.
        ("0", 0.5),
        (http_date(NOW - 30), 0.5),
    ],
)
def test_a_source_that_says_how_long_gets_it(
    header: str, wait_s: float, fault: Fault, make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime
) -> None:
    upstream.fail(fault, retry_after=header)
    assert get(make_client()).status == 200
    assert clock.waits == [wait_s]


@pytest.mark.parametrize("header", [None, "soon", "-5", "1.5", "", "Mon, 99 Foo 2026", "７"])
def test_a_429_that_does_not_say_how_long_pauses_everybody_for_5_seconds(
    header: str | None, make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime
) -> None:
    upstream.fail(Fault.TOO_MANY_REQUESTS, retry_after=header and header.encode().decode("latin-1"))
    assert get(make_client()).status == 200
    assert sum(clock.waits) == 5.0


@pytest.mark.parametrize("seconds_ago", [1, 30, 10**9])
def test_a_moment_that_is_past_means_no_wait(seconds_ago: int, make_client: MakeClient, upstream: FakeUpstream) -> None:
    upstream.fail(Fault.TOO_MANY_REQUESTS, retry_after=http_date(NOW - seconds_ago))
    assert failure(make_client(PROVIDER_RETRIES="0")).retry_after_s == 0.0


def test_a_429_holds_the_other_threads_too(make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime) -> None:
    upstream.fail(Fault.TOO_MANY_REQUESTS, retry_after="40")
    client = make_client(PROVIDER_RETRIES="0")
    assert failure(client).retry_after_s == 40.0
    get(client)
    assert clock.waits == [40.0]


# A long wait, and a ban


@pytest.mark.parametrize(
    ("fault", "header", "error", "away_s"),
    [
        (Fault.TOO_MANY_REQUESTS, "90", RateLimitedError, 90),
        (Fault.BANNED, "120", ProviderBannedError, 120),
        (Fault.BANNED, None, ProviderBannedError, 300),
        (Fault.FORBIDDEN, None, ProviderBannedError, 300),
        (Fault.BANNED, "259200", ProviderBannedError, 3_600),
        (Fault.BANNED, "9" * 400, ProviderBannedError, 3_600),
    ],
)
def test_who_turns_us_away_is_left_alone_until_then(
    fault: Fault,
    header: str | None,
    error: type[ProviderError],
    away_s: int,
    make_client: MakeClient,
    upstream: FakeUpstream,
    clock: FakeTime,
) -> None:
    upstream.fail(fault, retry_after=header)
    # One request a minute: to be refused takes no turn.
    client = make_client(1)
    assert type(failure(client)) is error
    for passed_s, left_s in ((0, away_s), (20, away_s - 20)):
        clock.now = NOW + passed_s
        refusal = failure(client)
        assert type(refusal) is error
        assert str(refusal) == f"{ABOUT}: not asked; the source turned us away for another {left_s} s"
        assert refusal.retry_after_s == left_s
    assert (len(upstream.requests), clock.waits) == (1, [])
    clock.now = NOW + away_s
    assert get(client).status == 200


def test_a_ban_also_ends_the_requests_that_were_waiting_for_their_turn(
    make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime
) -> None:
    first_turn = threading.Event()

    def wait(seconds: float) -> bool:
        if seconds > 0 and not first_turn.is_set():
            # While this one waits for its turn, another is turned away.
            first_turn.set()
            clock.now += seconds
            upstream.fail(Fault.BANNED)
            assert type(failure(client)) is ProviderBannedError
        return clock.wait(seconds)

    client = make_client(1, Timing(wait=wait, monotonic_s=lambda: clock.now, unix_s=lambda: clock.now))
    get(client)
    assert type(failure(client)) is ProviderBannedError
    assert [seen.status for seen in upstream.requests] == [200, 418]


# Turns


def test_every_attempt_takes_a_turn(make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime) -> None:
    upstream.fail(Fault.UNAVAILABLE, times=4)
    client = make_client(2)
    failure(client)
    get(client)
    # Five requests at two a minute: the fifth goes in the third minute.
    assert clock.now - NOW >= 120
    assert len(upstream.requests) == 5


def test_a_pause_asked_for_by_the_provider_holds(make_client: MakeClient, clock: FakeTime) -> None:
    client = make_client()
    client.pause(12.0)
    get(client)
    assert clock.waits == [12.0]


def test_threads_share_limit_and_places(make_client: MakeClient, upstream: FakeUpstream) -> None:
    client = make_client(24, timing=Timing(wait=lambda _: time.sleep(0.001) or False, monotonic_s=fast_clock()))
    upstream.latency_s = 0.005
    with ThreadPoolExecutor(16) as pool:
        for future in [pool.submit(get, client) for _ in range(48)]:
            assert future.result().status == 200
    assert 2 <= upstream.most_at_once <= MOST_AT_ONCE
    moments = sorted(seen.at_s for seen in upstream.requests)
    # A minute takes 0.2 s here, so the second 24 go 0.2 s after the first 24. A turn never comes early.
    assert moments[24] - moments[0] >= 0.18


def fast_clock() -> Callable[[], float]:
    begun = time.monotonic()
    return lambda: (time.monotonic() - begun) * 300


# Stopping


def test_a_process_that_stops_asks_for_nothing_more(
    make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime
) -> None:
    clock.stopped = True
    assert type(failure(make_client())) is ProviderStoppedError
    assert upstream.requests == []


def test_a_stop_ends_the_retries(make_client: MakeClient, upstream: FakeUpstream, clock: FakeTime) -> None:
    upstream.fail(Fault.UNAVAILABLE, times=None)
    waits: list[float] = []
    timing = Timing(wait=lambda seconds: bool(seconds) and not waits.append(seconds), monotonic_s=lambda: clock.now)
    assert type(failure(make_client(timing=timing))) is ProviderStoppedError
    assert (len(upstream.requests), len(waits)) == (1, 1)


@pytest.mark.parametrize("fault", [Fault.TOO_MANY_REQUESTS, Fault.UNAVAILABLE, Fault.TRICKLE])
def test_a_stop_is_noticed_at_once_in_whatever_wait(
    fault: Fault, make_client: MakeClient, upstream: FakeUpstream
) -> None:
    stop = threading.Event()
    upstream.fail(fault, times=None, retry_after="50", seconds=0.02)
    client = make_client(timing=Timing(wait=stop.wait))
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(failure, client) for _ in range(2)]
        time.sleep(0.05)
        begun = time.monotonic()
        stop.set()
        assert {type(each.result()) for each in waiting} == {ProviderStoppedError}
    assert time.monotonic() - begun < 1.0


# Connections, headers, proxies


def test_a_thread_keeps_its_connection_and_has_its_own(make_client: MakeClient, upstream: FakeUpstream) -> None:
    client = make_client()
    for _ in range(3):
        get(client)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(get, client).result()
    get(client)
    connections = [seen.connection for seen in upstream.requests]
    assert len(set(connections)) == 2
    assert connections[0] == connections[1] == connections[2] == connections[4]


@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.UNAVAILABLE, Fault.TOO_MANY_REQUESTS])
def test_a_refusal_does_not_cost_the_connection(fault: Fault, make_client: MakeClient, upstream: FakeUpstream) -> None:
    upstream.fail(fault)
    client = make_client()
    get(client)
    get(client)
    assert len({seen.connection for seen in upstream.requests}) == 1


def test_a_child_process_opens_its_own_connection(
    make_client: MakeClient, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    get(client)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    get(client)
    get(client)
    connections = [seen.connection for seen in upstream.requests]
    assert connections[0] != connections[1] == connections[2]


def test_nothing_is_taken_from_the_environment(
    make_client: MakeClient, upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert get(make_client(headers={"Authorization": "Apikey 1"})).status == 200
    assert upstream.requests[0].headers["Authorization"] == "Apikey 1"


def test_a_proxy_is_a_setting(make_client: MakeClient, upstream: FakeUpstream) -> None:
    client = make_client(base_url="http://source.invalid/binance", PROVIDER_PROXY=upstream.url)
    assert get(client).status == 200
    assert upstream.requests[0].headers["Host"] == "source.invalid"


def test_a_key_is_in_no_log(make_client: MakeClient, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        get(make_client(headers={"Authorization": "Apikey 0123abc"}))
    assert caplog.records
    assert "0123abc" not in caplog.text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("two\nlines\tand  blanks ", "two lines and blanks"),
        ("key k3y in it", "key *** in it"),
        ("bell\x07 and \x1b[31m", "bell? and ?[31m"),
        ({"a": [1]}, "{'a': [1]}"),
        (None, "None"),
        ("x" * 1_000, "x" * 160),
    ],
)
def test_words_of_a_source_fit_into_a_line(text: object, line: str) -> None:
    assert one_line(text, secret="k3y") == line
    assert re.fullmatch(r"[^\n]*", one_line(text))


def test_the_longest_wait_leaves_time_for_a_minute_of_the_rate_limit() -> None:
    # A source that answers 429 means its current minute as a rule: that must not end a cycle.
    assert LONGEST_WAIT_S >= 60
