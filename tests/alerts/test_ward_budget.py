"""A ward's queue, by example: who waits, in which order, what ends the wait, and what becomes of those who move."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from alerts.contract import from_json, name_event
from alerts.telling import name_telling
from alerts.waiting import places
from alerts.ward import CandidateError, EventWards, WardFold, WardOutput
from alerts.ward_records import write_tick
from alerts.ward_settings import WardSettings
from tests.alerts.test_ward import candidate, last_states
from tests.alerts.ward_traffic import MINUTE, START

HOUR = 60 * MINUTE
ONE = WardSettings(budget=1, flood_count=1, flood_minutes=10)


def said(alert: str, seq: int, reason: str, at: int, ward: str = "W1", **more: Any) -> bytes:
    """Give a word of the model, in the state that its reason comes with."""
    state = {"risk_threshold": "raised", "unanswered": "escalated", "acknowledged": "acknowledged"}.get(
        reason, "updated"
    )
    return candidate(alert, seq, more.pop("state", state), ward, START + at, trigger="model", reason=reason, **more)


class Ward:
    """A fold with a budget of one, and what it said."""

    def __init__(self, settings: WardSettings = ONE) -> None:
        self.fold = WardFold()
        self.fold.use(settings)
        self.outputs: list[WardOutput[bytes]] = []

    def take(self, content: bytes, ward: str = "") -> list[tuple[str, str, int | None]]:
        """Fold a candidate; give what goes out: alert, disposition, place."""
        return self._note(self.fold.take(ward or json.loads(content)["ward"], content))

    def tick(self, at: int) -> list[tuple[str, str, int | None]]:
        """Let time pass by a record."""
        return self._note(self.fold.take("", write_tick(START + at)))

    def restart(self) -> None:
        """Go on from the stored form."""
        stored, settings = self.fold.encode_whole(), self.fold._settings
        self.fold = WardFold()
        self.fold.restore(stored.items())
        self.fold.use(settings)

    def _note(self, outputs: list[WardOutput[bytes]]) -> list[tuple[str, str, int | None]]:
        self.outputs += outputs
        documents = [json.loads(output.alert) for output in outputs if output.alert is not None]
        return [(one["alert_id"], one["disposition"], one.get("waiting_place")) for one in documents]


def test_past_the_budget_the_riskiest_is_next() -> None:
    """What is told is told; of those that wait the riskiest has place one, whenever it came."""
    ward = Ward()
    assert ward.take(said("a", 1, "risk_threshold", 0, probability=0.2)) == [("a", "told", None)]
    assert ward.take(said("b", 1, "risk_threshold", 1, probability=0.3)) == [("b", "waiting", 1)]
    assert ward.take(said("c", 1, "risk_threshold", 2, probability=0.9)) == [("c", "waiting", 1)]
    assert ward.take(said("d", 1, "risk_threshold", 3, probability=0.3)) == [("d", "waiting", 3)]
    assert ward.fold.waiting("W1") == ["c", "b", "d"]


def test_a_new_shift_tells_what_waited() -> None:
    """At the first record of the next shift the riskiest is told under an id of its own, with how long it waited."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000, probability=0.4))
    due = ward.fold.due()
    assert due is not None
    assert ward.tick(due - 1 - START) == []
    assert ward.tick(due - START) == [("b", "told", None)]
    told = json.loads(ward.outputs[-1].alert or b"")
    assert (told["event_id"], told["seq"], told["reason"]) == (name_telling(name_event("b", 1)), 1, "risk_threshold")
    assert told["waited_ms"] == due - START - 1_000
    assert ward.fold.due() is None
    assert last_states(ward.outputs)["W1|b"] == ward.outputs[-1].alert


def test_a_new_alert_does_not_jump_the_queue() -> None:
    """The first record of a shift is a new alert: what waits is told if it is riskier, and the new one waits."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000, probability=0.9))
    assert ward.take(said("c", 1, "risk_threshold", 24 * HOUR, probability=0.1)) == [
        ("b", "told", None),
        ("c", "waiting", 1),
    ]
    assert ward.take(said("d", 1, "risk_threshold", 48 * HOUR, probability=0.5)) == [("d", "told", None)]


def test_a_flood_passes() -> None:
    """Within the budget a second one waits only until the flood's length is over."""
    ward = Ward(WardSettings(budget=9, flood_count=1, flood_minutes=10))
    ward.take(said("a", 1, "risk_threshold", 0))
    assert ward.take(said("b", 1, "risk_threshold", MINUTE)) == [("b", "waiting", 1)]
    assert ward.tick(9 * MINUTE) == []
    assert ward.tick(10 * MINUTE) == [("b", "told", None)]


@pytest.mark.parametrize(
    ("content", "becomes"),
    [
        (said("b", 2, "risk_risen", 2_000, probability=0.9), "told"),
        (said("b", 2, "unanswered", 2_000), "told"),
        (said("b", 2, "acknowledged", 2_000), "told"),
        (said("b", 2, "acknowledged", 2_000, disposition="held"), "held"),
        (said("b", 2, "abstained", 2_000, probability=None), "told"),
        (said("b", 2, "risk_persists", 2_000, disposition="shadow"), "shadow"),
    ],
)
def test_what_ends_a_wait(content: bytes, becomes: str) -> None:
    """Worse, escalated, answered or no longer allowed to speak: it passes as it is, and the wait is over."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000))
    assert ward.take(content) == [("b", becomes, None)]
    assert ward.outputs[-1].alert == content
    assert ward.tick(24 * HOUR) == []


ENDS = [("risk_below_threshold", "resolved"), ("correction", "retracted"), ("discharged", "expired")]


@pytest.mark.parametrize(("reason", "state"), ENDS)
def test_an_alert_that_only_waited_ends_on_the_board(reason: str, state: str) -> None:
    """Nobody was told of it, so nobody is told of its end; a restart between the two forgets nothing of that."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000))
    ward.take(said("b", 2, "risk_persists", 1_500))
    ward.restart()
    assert ward.take(said("b", 3, reason, 2_000, state=state)) == [("b", "board", None)]
    assert ward.tick(24 * HOUR) == []


@pytest.mark.parametrize(("reason", "state"), ENDS)
def test_an_alert_that_was_told_before_it_waited_ends_aloud(reason: str, state: str) -> None:
    """The ward has heard of it, so it hears its end, though the newest event of it still waits."""
    ward = Ward(WardSettings(budget=1, flood_count=1, flood_minutes=1))
    ward.take(said("b", 1, "risk_threshold", 0))
    assert ward.take(said("b", 2, "risk_persists", 1_500)) == [("b", "waiting", 1)]
    assert ward.take(said("b", 3, reason, 2_000, state=state)) == [("b", "told", None)]


@pytest.mark.parametrize("disposition", ["told", "board", "held"])
def test_the_newest_word_is_what_will_be_told(disposition: str) -> None:
    """An alert that persists while it waits goes on waiting; its newest event is told, with the whole wait."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000, probability=0.2))
    newer = said("b", 2, "risk_persists", HOUR, probability=0.4, disposition=disposition)
    becomes = ("waiting", 1) if disposition == "told" else (disposition, None)
    assert ward.take(newer) == [("b", *becomes)]
    assert ward.tick(24 * HOUR) == [("b", "told", None)]
    told = json.loads(ward.outputs[-1].alert or b"")
    assert (told["event_id"], told["probability"]) == (name_telling(name_event("b", 2)), 0.4)
    assert told["waited_ms"] == 24 * HOUR - 1_000


def test_a_restart_keeps_how_long_an_alert_has_waited() -> None:
    """Stored and restored, a queue has its order, its newest words and the times since when each waited."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000, probability=0.2))
    ward.take(said("b", 2, "risk_persists", HOUR, probability=None))
    ward.take(said("c", 1, "risk_threshold", HOUR, probability=0.9))
    again = Ward()
    again.fold.restore([(key, data) for key, data in ward.fold.encode_changes().items() if data is not None])
    assert again.fold.waiting("W1") == ward.fold.waiting("W1") == ["b", "c"]
    assert again.fold.due() == ward.fold.due()
    assert again.tick(24 * HOUR) == [("b", "told", None)]
    assert json.loads(again.outputs[-1].alert or b"")["waited_ms"] == 24 * HOUR - 1_000


def test_the_floor_spends_nothing_and_never_waits() -> None:
    """However often the floor speaks, the model has its budget, and with none left the floor is told."""
    ward = Ward()
    for number in range(5):
        assert ward.take(candidate(f"f{number}", 1, "raised", at=START + number)) == [(f"f{number}", "told", None)]
    assert ward.take(said("a", 1, "risk_threshold", 10)) == [("a", "told", None)]
    assert ward.take(candidate("f9", 1, "raised", at=START + 20)) == [("f9", "told", None)]


def test_a_late_one_counts_in_its_own_shift() -> None:
    """What a partition that is behind brings is told under the budget of the shift it was received in."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 20 * HOUR))
    assert ward.take(said("b", 1, "risk_threshold", 0)) == [("b", "told", None)]
    assert ward.take(said("c", 1, "risk_threshold", HOUR)) == [("c", "waiting", 1)]


def test_a_closed_gate_lets_nothing_that_waits_be_told() -> None:
    """While the model's voice is cut, what waits goes on waiting; with an open gate and room it is told."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000))
    ward.fold.gate(True)
    assert ward.tick(24 * HOUR) == []
    assert ward.take(said("c", 1, "risk_threshold", 24 * HOUR + 1)) == [("c", "held", None)]
    ward.fold.gate(False)
    assert ward.tick(24 * HOUR + MINUTE) == [("b", "told", None)]


def test_more_budget_is_more_room_at_once() -> None:
    """Settings that give room tell what waits at the next record."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000))
    ward.fold.use(WardSettings())
    assert ward.fold.due() == START + 1_000
    assert ward.tick(MINUTE) == [("b", "told", None)]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"tick":"soon"}', b'{"tick":"2026-01-01T00:00:00"}', b"\xff"])
def test_what_is_under_no_key_and_no_tick_is_refused(content: bytes) -> None:
    """A record without a ward is a tick or a dead letter, and changes nothing."""
    fold = WardFold()
    with pytest.raises(CandidateError, match="no_key"):
        fold.take("", content)
    assert fold.encode_changes() == {}


def test_what_was_told_is_carried_over_as_it_was() -> None:
    """All that a ward was told of open alerts, given to another installation as candidates, is told there alike."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1_000))
    ward.take(said("c", 1, "risk_threshold", 2_000, probability=0.3))
    ward.tick(24 * HOUR)
    ward.take(said("b", 2, "risk_risen", 25 * HOUR))
    told = [output.alert for output in ward.outputs if output.alert is not None]
    assert [json.loads(content)["disposition"] for content in told] == ["told", "waiting", "waiting", "told", "told"]
    fold = WardFold()
    fold.use(ONE)
    assert [output.alert for content in told for output in fold.take("W1", content)] == told


# -- transfers --------------------------------------------------------------------------------------------------------


def move(ward: Ward, alert: str, seq: int, at: int, to: str, former: str) -> list[tuple[str, str, int | None]]:
    """Move an alert with its patient, as it is sent: to the ward he comes to and to the one he has left."""
    content = said(alert, seq, "transferred", at, to, probability=0.4)
    return ward.take(content, to) + (ward.take(content, former) if former else [])


def test_a_waiting_alert_waits_on_the_ward_it_comes_to() -> None:
    """It leaves the first queue for the second, with that one's budget, and is told there alone."""
    ward = Ward()
    for number, name in enumerate(("W1", "W2")):
        ward.take(said(f"first of {name}", 1, "risk_threshold", number, name))
    ward.take(said("a", 1, "risk_threshold", 5))
    assert move(ward, "a", 2, 6, "W2", "W1") == [("a", "waiting", 1)]
    assert (ward.fold.waiting("W1"), ward.fold.waiting("W2")) == ([], ["a"])
    assert ward.tick(24 * HOUR) == [("a", "told", None)]
    assert [key for key in last_states(ward.outputs) if key.endswith("|a")] == ["W2|a"]


def test_a_waiting_alert_is_told_where_there_is_room() -> None:
    """On a ward that has been told nothing yet it is told at once, as it came."""
    ward = Ward()
    ward.take(said("b", 1, "risk_threshold", 0))
    ward.take(said("a", 1, "risk_threshold", 5))
    assert move(ward, "a", 2, 6, "W2", "W1") == [("a", "told", None)]
    assert ward.tick(24 * HOUR) == []


def test_an_open_alert_is_the_other_wards_first_word() -> None:
    """An alert that was told moves with its patient: to the ward it comes to it is news, within that ward's budget."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    assert move(ward, "a", 2, 5, "W2", "W1") == [("a", "told", None)]
    assert ward.take(said("b", 1, "risk_threshold", 6, "W2")) == [("b", "waiting", 1)]
    assert ward.take(said("c", 1, "risk_threshold", 7, "W1")) == [("c", "waiting", 1)]


def test_two_patients_swap_their_beds() -> None:
    """Across wards, each alert has one state, in the ward its patient lies in now, and is told there."""
    ward = Ward()
    for number, (alert, name) in enumerate((("told 1", "W1"), ("a", "W1"), ("told 2", "W2"), ("b", "W2"))):
        ward.take(said(alert, 1, "risk_threshold", number, name))
    assert move(ward, "a", 2, 10, "W2", "W1") == [("a", "waiting", 1)]
    assert move(ward, "b", 2, 10, "W1", "W2") == [("b", "waiting", 1)]
    assert sorted(ward.tick(24 * HOUR)) == [("a", "told", None), ("b", "told", None)]
    states = last_states(ward.outputs)
    assert sorted(key for key in states if key[-1] in "ab") == ["W1|b", "W2|a"]


def test_a_bed_swap_within_a_ward_moves_nobody_in_the_queue() -> None:
    """Another bed of the same ward is told at once where the alert was told, and waits where it waits."""
    ward = Ward()
    ward.take(said("a", 1, "risk_threshold", 0))
    ward.take(said("b", 1, "risk_threshold", 1, probability=0.4))
    assert move(ward, "a", 2, 5, "W1", "") == [("a", "told", None)]
    assert move(ward, "b", 2, 5, "W1", "") == [("b", "waiting", 1)]


# -- events that were never encoded -----------------------------------------------------------------------------------


def test_an_event_that_passes_is_the_very_same() -> None:
    """The embedded ward hands a passing event on as it is; nothing is encoded or copied."""
    wards = EventWards()
    wards.use(ONE)
    event = from_json(said("a", 1, "risk_threshold", 0))
    (output,) = wards.take(event)
    assert output.alert is event


def test_a_place_is_told_as_it_is_now() -> None:
    """The newest events of a ward's open alerts say who is next, whatever place they went out with."""
    ward = Ward()
    for number, risk in enumerate((0.2, 0.3, 0.5, 0.4)):
        ward.take(said(f"{number}", 1, "risk_threshold", number, probability=risk))
    newest = [from_json(output.alert) for output in ward.outputs if output.alert is not None]
    assert places(newest) == {"2": 1, "3": 2, "1": 3}
    assert places(reversed(newest)) == places(newest)
    assert ward.fold.waiting("W1") == ["2", "3", "1"]
    elsewhere = msgspec.structs.replace(newest[1], ward="W2")
    assert places([*newest[2:], elsewhere])["1"] == 1
