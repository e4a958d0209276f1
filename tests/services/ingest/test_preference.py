"""When another source of a market is asked, and when the preferred one again. Times are seconds from the beginning."""

import json

import pytest

from stockapi.services.ingest.preference import Preference

NAMES = ("vci", "vps", "dnse")
HOUR, DAY = 3_600, 86_400
BACK_S = 1_800

Event = tuple[int, str, str | bool | None]
"""When; a worker and how its cycle ended (None: well), or a source and how its probe ended (True: well)."""


def begin(*names: str) -> Preference:
    return Preference.known(names or NAMES, BACK_S, {})


def after(known: Preference, *events: Event) -> Preference:
    for now, name, outcome in events:
        is_probe = isinstance(outcome, bool)
        known = known.after_probe(name, bool(outcome), now) if is_probe else known.after_cycle(name, outcome, now)  # type: ignore[arg-type]
        # What is written down is what the next process knows.
        known = Preference.known(known.sources, BACK_S, json.loads(json.dumps(known.as_json())))
    return known


def bad(worker: str, *times: int, error: str = "answered 503") -> list[Event]:
    return [(now, worker, error) for now in times]


def well(worker: str, *times: int) -> list[Event]:
    return [(now, worker, None) for now in times]


def probes(source: str, first: int, last: int, outcome: bool = True) -> list[Event]:
    return [(now, source, outcome) for now in range(first, last + 1, 600)]


GONE = bad("daily", 0, 15, 30)
"""vci is given up at 30."""

CASES: list[tuple[str, list[Event], str]] = [
    ("nothing happened", [], "vci"),
    ("two bad cycles", bad("daily", 0, 15), "vci"),
    ("three", GONE, "vps"),
    ("three of different workers", [*bad("daily", 0), *bad("hourly", 1), *bad("minute", 2)], "vps"),
    ("not in a row", [*bad("daily", 0, 15), *well("daily", 30), *bad("daily", 45, 60)], "vci"),
    ("one worker is well", [*bad("minute", 0, 300), *well("daily", 310), *bad("hourly", 320)], "vci"),
    (
        "one worker is never well",
        [e for n in range(3) for e in (*bad("minute", n * 300), *well("daily", n * 300 + 1))],
        "vps",
    ),
    ("the next one fails, too", [*GONE, *bad("daily", 45, 60, 75)], "dnse"),
    ("all fail: the last one is asked on", [*GONE, *bad("daily", 45, 60, 75, 90, 105, 120, 135)], "dnse"),
    ("and the best again after a while", [*GONE, *bad("daily", 45, 60, 75, *range(90, 1_900, 300))], "vci"),
    ("and again later", [*GONE, *bad("daily", 45, 60, 75, *range(90, 1_800, 300), 1_829)], "dnse"),
    ("one good answer", [*GONE, *probes("vci", 630, 630)], "vps"),
    ("good answers for less than half an hour", [*GONE, *probes("vci", 630, 630 + 1_200)], "vps"),
    ("for half an hour", [*GONE, *probes("vci", 630, 630 + 1_800)], "vci"),
    (
        "with a bad one between",
        [*GONE, *probes("vci", 630, 1_830), (1_900, "vci", False), *probes("vci", 2_430, 3_630)],
        "vps",
    ),
    (
        "the other fails when the best answers again",
        [*GONE, *probes("vci", 630, 630), *bad("daily", 700, 715, 730)],
        "vci",
    ),
    ("but not when it does not", [*GONE, (630, "vci", False), *bad("daily", 700, 715, 730)], "dnse"),
    ("the second returns before the first", [*GONE, *bad("daily", 45, 60, 75), *probes("vps", 700, 2_500)], "vps"),
    (
        "and then the first",
        [*GONE, *bad("daily", 45, 60, 75), *probes("vps", 700, 2_500), *probes("vci", 3_000, 4_800)],
        "vci",
    ),
]


@pytest.mark.parametrize(("why", "events", "source"), CASES, ids=[case[0] for case in CASES])
def test_which_source_is_asked(why: str, events: list[Event], source: str) -> None:
    assert after(begin(), *events).source == source, why


def test_it_says_since_when_and_why() -> None:
    known = begin()
    assert (known.since, known.why) == (None, None)
    known = after(known, *GONE)
    assert (known.since, known.why) == (30, "vci failed: answered 503")
    known = after(known, *probes("vci", 630, 2_430))
    assert (known.since, known.why) == (2_430, "vci answers again")


def test_a_source_that_fails_soon_after_its_return_has_to_answer_well_for_longer() -> None:
    """Each return takes twice as long as the one before, up to a day; after a quiet day half an hour again."""
    known, now, waits = after(begin(), *GONE), 30, []
    for _ in range(8):
        left = now
        while known.source != "vci":
            now += 600
            known = after(known, (now, "vci", True))
        waits.append(now - left)
        known = after(known, *bad("daily", now + 15, now + 30, now + 45))
        now += 45
    assert waits[:4] == [2_400, 4_200, 7_800, 15_000]
    assert waits[-1] == DAY + 600
    while known.source != "vci":
        now += 600
        known = after(known, (now, "vci", True))
    now += DAY + 1
    known = after(known, *bad("daily", now, now + 15, now + 30))
    assert (known.source, known.wait_s("vci")) == ("vps", BACK_S)


def test_when_a_probe_is_due() -> None:
    assert not begin().is_probe_due(10_000), "nothing is better than the best"
    known = after(begin(), *GONE)
    assert [known.is_probe_due(now) for now in (31, 629, 630)] == [False, False, True]
    assert not known.probed(630).is_probe_due(1_229)
    assert known.probed(630).is_probe_due(29), "that time was recorded by a clock that was ahead"
    assert known.better == ("vci",)


def test_a_market_with_one_source_asks_it_whatever_happens() -> None:
    known = after(begin("vci"), *bad("daily", *range(0, 3_000, 15)))
    assert (known.source, known.since) == ("vci", None)


@pytest.mark.parametrize(
    "value",
    [
        {"source": "ssi"},
        {"source": 5},
        {"bad": []},
        {"since": "today"},
        {"probed_at": True},
        {"waits": None},
        {"bad": {"daily": "three"}},
    ],
)
def test_what_was_not_written_so_is_not_believed(value: dict[str, object]) -> None:
    known = after(begin(), *GONE).as_json()
    assert Preference.known(NAMES, BACK_S, known).source == "vps"
    assert Preference.known(NAMES, BACK_S, known | value) == begin()
    assert Preference.known(NAMES, BACK_S, {}) == begin()


def test_a_source_that_was_named_first_and_is_not_any_more_is_left_at_once() -> None:
    known = after(begin(), *bad("daily", 0, 15)).as_json()
    assert Preference.known(("vps", "vci"), BACK_S, known).source == "vps"
    assert Preference.known(("vci", "vps"), BACK_S, known).bad == {"daily": 2}


def test_a_source_that_the_settings_no_longer_name_is_not_asked() -> None:
    known = after(begin(), *GONE).as_json()
    assert Preference.known(("vci", "dnse"), BACK_S, known).source == "vci"
    assert Preference.known(("dnse", "vps"), BACK_S, known).source == "vps"
