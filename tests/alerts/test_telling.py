"""The words [ward] adds, in both forms: JSON and event say the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from alerts.contract import from_json, to_json
from alerts.telling import EventForm, JsonForm, name_telling
from tests.alerts.test_ward import candidate

CONTENT = candidate("a", 3, "updated", at=5_000, trigger="model", reason="risk_persists", probability=0.25)
JSON, EVENT = JsonForm(), EventForm()


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 100))
def test_both_forms_say_the_same(since: int, later: int, place: int) -> None:
    """Held, on the board, waiting and told are the same bytes whether JSON was changed or the event was."""
    event = from_json(CONTENT)
    assert JSON.hold(CONTENT) == to_json(EVENT.hold(event))
    assert JSON.board(CONTENT) == to_json(EVENT.board(event))
    assert JSON.wait(CONTENT, place) == to_json(EVENT.wait(event, place))
    told = JSON.tell(CONTENT, since + later, since)
    assert told == to_json(EVENT.tell(event, since + later, since))
    assert to_json(from_json(told)) == told
    assert to_json(EVENT.decode(EVENT.encode(event))) == CONTENT


def test_a_telling_is_a_new_event_about_the_same_moment() -> None:
    """It has an id, a received time and an age of its own, and says how long it waited; all else is as it was."""
    told, was = json.loads(JSON.tell(CONTENT, 65_000, 15_000)), json.loads(CONTENT)
    changed = {name for name in told if told[name] != was.get(name)}
    assert changed == {"event_id", "received_time", "age_ms", "waited_ms"}
    assert (told["event_id"], told["age_ms"] - was["age_ms"], told["waited_ms"]) == (
        name_telling(was["event_id"]),
        60_000,
        50_000,
    )


def test_an_event_that_never_waits_has_the_bytes_it_had() -> None:
    """Neither field stands in the JSON of an event that waits for nothing."""
    assert {"waiting_place", "waited_ms"}.isdisjoint(json.loads(CONTENT))


def test_a_field_of_a_later_release_passes_through_a_wait() -> None:
    """What this release does not know of an event is told after waiting too."""
    document = {**json.loads(CONTENT), "zeta": [1, {"y": None}]}
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    for said in (JSON.wait(content, 1), JSON.tell(content, 9_000, 6_000)):
        assert json.loads(said)["zeta"] == [1, {"y": None}]
