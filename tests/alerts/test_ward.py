"""The fold of [ward]: repeats, its own count, the gate, states that come and go, and its stored form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import ward_memory
from alerts.contract import NO_WARD, AlertEvent, from_json, name_event, to_json
from alerts.waiting import MOVED
from alerts.ward import CandidateError, UnreadableWardStateError, WardFold, WardOutput, routes, state_key
from alerts.ward_memory import ENDED_REMEMBERED_MS, SWEEP_MS, UNHEARD_REMEMBERED_MS, WARD_REMEMBERED_MS
from alerts.ward_state import FOLD_KEY, Known, seal, unseal
from events import Location
from tests.alerts.conftest import Bed

HOUR = 3_600_000
Sent = tuple[str, bytes]
"""A record: key and value."""


def candidate(alert: str, seq: int, state: str = "updated", ward: str = "W1", at: int = 1_000, **changes: Any) -> bytes:
    """Give an alert event as [patient] writes it, with every field of the contract."""
    event = AlertEvent(
        event_id=name_event(alert, seq),
        alert_id=alert,
        episode_id="e",
        seq=seq,
        state=state,  # type: ignore[arg-type]
        reason=changes.pop("reason", "band_rise"),
        trigger=changes.pop("trigger", "news2_floor"),
        priority="interrupt",
        disposition=changes.pop("disposition", "told"),
        shadow=False,
        patient="p",
        encounter="s",
        facility="F",
        ward=ward,
        room="",
        bed="4",
        observed_time=at,
        received_time=at,
        expires_at=at + HOUR,
        late=False,
        age_ms=0,
        news2=None,
        probability=changes.pop("probability", 1e-7),
        probability_low=None,
        probability_high=1.0,
        indeterminate=False,
        horizon_h=24,
        contributions=(),
        parameters=(),
        verdicts=(),
        evidence=(),
        model_version="v",
        configuration_hash="c",
    )
    return to_json(event)


def fold(records: Iterable[Sent], folded: WardFold | None = None) -> list[WardOutput[bytes]]:
    folded = folded or WardFold()
    return [output for key, content in records for output in folded.take(key, content)]


def told(outputs: Iterable[WardOutput[bytes]]) -> list[tuple[str, int, str]]:
    return [(output.ward, output.ward_seq, output.event_id) for output in outputs if output.alert is not None]


def last_states(outputs: Iterable[WardOutput[bytes]]) -> dict[str, bytes]:
    """Give what a compacted topic holds in the end."""
    states = {output.state_key: output.state for output in outputs}
    return {key: state for key, state in states.items() if state is not None}


LIVES: list[Sent] = [
    (ward, candidate(f"{ward}-{number}", seq, state, ward, at=1_000 * (10 * seq + number)))
    for ward in ("W1", "W2")
    for number in range(3)
    for seq, state in enumerate(("raised", "updated", "acknowledged", "resolved"), start=1)
]


@st.composite
def with_repeats(draw: st.DrawFn) -> list[Sent]:
    """Give the lives above as at-least-once writers put them: any of it done again, from any earlier place."""
    order = draw(st.permutations(range(6)))
    records = [LIVES[4 * life + step] for step in range(4) for life in order]
    said: list[Sent] = []
    for number, record in enumerate(records):
        said.append(record)
        if draw(st.booleans()):
            back = draw(st.integers(0, number))
            said.extend(records[back : number + 1])
    return said


@given(with_repeats())
def test_a_candidate_done_again_is_told_once(records: list[Sent]) -> None:
    """Whatever is repeated, each event goes out once, in order of seq, and the ward's count has no gap."""
    outputs = told(fold(records))
    assert sorted(event for _ward, _seq, event in outputs) == sorted(
        json.loads(data)["event_id"] for _key, data in LIVES
    )
    for ward in ("W1", "W2"):
        assert [seq for name, seq, _event in outputs if name == ward] == list(range(1, 13))
    assert told(fold(records)) == told(fold(dict.fromkeys(records)))


@given(with_repeats(), st.lists(st.integers(0, 200), max_size=8), st.lists(st.integers(0, 200), max_size=4))
def test_a_restart_anywhere_changes_no_byte(records: list[Sent], cuts: list[int], moves: list[int]) -> None:
    """Stored and restored at any record, under a gate at recorded positions, the fold puts out the same bytes."""

    def run(*, restarts: bool) -> list[WardOutput[bytes]]:
        folded, stored, outputs = WardFold(), dict[str, bytes](), list[WardOutput[bytes]]()
        for number, (key, content) in enumerate(records):
            folded.gate(sum(move <= number for move in moves) % 2 == 1)
            outputs += folded.take(key, content)
            if restarts and number in cuts:
                for name, data in folded.encode_changes().items():
                    stored.pop(name, None) if data is None else stored.update({name: data})
                folded = WardFold()
                folded.restore(stored.items())
        return outputs

    assert run(restarts=True) == run(restarts=False)


@pytest.mark.parametrize(
    ("trigger", "disposition", "becomes"),
    [("model", "told", "held"), ("model", "shadow", "shadow"), ("news2_floor", "told", "told")],
)
def test_a_closed_gate_holds_what_the_model_would_tell(trigger: str, disposition: str, becomes: str) -> None:
    """Only a model's event that would be told is held, and nothing but that word changes; the floor's passes."""
    folded = WardFold()
    folded.gate(True)
    content = candidate("a", 1, "raised", trigger=trigger, disposition=disposition)
    (output,) = folded.take("W1", content)
    assert output.alert is not None
    assert output.alert == output.state == to_json(msgspec.structs.replace(from_json(content), disposition=becomes))
    folded.gate(False)
    later = candidate("a", 2, trigger=trigger, disposition=disposition)
    assert folded.take("W1", later)[0].alert == later


def test_a_field_of_a_later_release_passes_through() -> None:
    """What this release does not know of an event goes out as it came, held or not."""
    content = msgspec.json.encode(
        {**json.loads(candidate("a", 1, "raised", trigger="model")), "zeta": [1, 2.50, None]}, order="sorted"
    )
    assert WardFold().take("W1", content)[0].alert == content
    folded = WardFold()
    folded.gate(True)
    held = folded.take("W1", content)[0].alert
    assert held is not None
    assert held == content.replace(b'"disposition":"told"', b'"disposition":"held"')


def test_a_gap_is_passed_and_counted() -> None:
    """A missing seq stops nothing: what came is told, and the gap is counted."""
    folded = WardFold()
    outputs = fold([("W1", candidate("a", 1, "raised")), ("W1", candidate("a", 4))], folded)
    assert [output.ward_seq for output in outputs] == [1, 2]
    assert folded.counts.gaps == 1


def move(seq: int, ward: str, former: str, alert: str = "a") -> list[Sent]:
    """Give a transfer's event as it is sent: to the ward and to the one that was left."""
    content = candidate(alert, seq, "updated", ward, reason="transferred")
    return [(ward or NO_WARD, content), (former or NO_WARD, content)]


def test_an_alert_that_moves_leaves_one_board_and_stands_on_the_other() -> None:
    """A transferred alert has one state, in its new ward; it is told there only, and its seq is no gap."""
    folded = WardFold()
    records = [("W1", candidate("a", 1, "raised")), *move(2, "W2", "W1"), *move(2, "W2", "W1")]
    outputs = fold(records, folded)
    assert told(outputs) == [("W1", 1, name_event("a", 1)), ("W2", 1, name_event("a", 2))]
    assert list(last_states(outputs)) == [state_key("W2", "a")]
    assert (folded.counts.gaps, folded.counts.repeats, folded.counts.left) == (0, 2, 1)


def test_an_alert_may_come_back() -> None:
    """A patient who returns to a ward brings the alert back to its board, once."""
    folded = WardFold()
    records = [("W1", candidate("a", 1, "raised")), *move(2, "W2", "W1"), ("W2", candidate("a", 3, ward="W2"))]
    outputs = fold([*records, *move(4, "W1", "W2")], folded)
    outputs += fold(records, folded)
    assert list(last_states(outputs)) == [state_key("W1", "a")]
    assert folded.counts.gaps == 0


def test_a_patient_without_a_ward_has_a_board_too() -> None:
    """An alert of a patient who lies nowhere known stands under a key of its own, and leaves it as he is placed."""
    outputs = fold([(NO_WARD, candidate("a", 1, "raised", "")), *move(2, "W1", "")])
    assert list(last_states(outputs)) == [state_key("W1", "a")]
    assert told(outputs)[0][0] == NO_WARD


def test_an_ended_alert_is_remembered_a_day() -> None:
    """Its last state stands for a day and its repeats are dropped; then a tombstone follows."""
    folded = WardFold()
    life = [("W1", candidate("a", 1, "raised")), ("W1", candidate("a", 2, "resolved"))]
    outputs = fold(life, folded)
    outputs += fold([("W1", candidate("b", 1, "raised", at=ENDED_REMEMBERED_MS))], folded)
    assert fold(life, folded) == []
    assert state_key("W1", "a") in last_states(outputs)
    later = fold([("W1", candidate("b", 2, at=ENDED_REMEMBERED_MS + 2 * SWEEP_MS))], folded)
    assert (later[0].state_key, later[0].state, later[0].alert) == (state_key("W1", "a"), None, None)
    assert list(last_states([*outputs, *later])) == [state_key("W1", "b")]


def test_an_alert_without_an_end_is_given_up_at_last() -> None:
    """An open alert of which nothing is heard for a season is taken down and counted: nothing is kept for ever."""
    folded = WardFold()
    fold([("W1", candidate("a", 1, "raised"))], folded)
    outputs = fold([("W2", candidate("b", 1, "raised", "W2", at=UNHEARD_REMEMBERED_MS + 2 * SWEEP_MS))], folded)
    assert outputs[0].state_key == state_key("W1", "a")
    assert folded.counts.abandoned == 1
    assert folded.ward_seq("W1") == 1
    changes = folded.encode_changes()
    fold([("W2", candidate("b", 2, ward="W2", at=WARD_REMEMBERED_MS + 3 * SWEEP_MS))], folded)
    assert "w/W1" in changes
    assert folded.encode_changes()["w/W1"] is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound those that ended first are forgotten, with their tombstones; open ones stay."""
    monkeypatch.setattr(ward_memory, "ALERTS_REMEMBERED_MAX", 3)
    records: list[Sent] = [("W1", candidate("open", 1, "raised"))]
    for number in range(5):
        records += [("W1", candidate(f"{number}", 1, "raised")), ("W1", candidate(f"{number}", 2, "expired"))]
    outputs = fold([*records, ("W1", candidate("open", 2, at=2 * SWEEP_MS))])
    assert sorted(last_states(outputs)) == [state_key("W1", name) for name in ("3", "4", "open")]


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        ("W1", b"{}", "undecodable"),
        ("W1", b"\xff", "undecodable"),
        ("W1", b"", "undecodable"),
        ("W1", b"[" * 100_000, "undecodable"),
        ("W1", candidate("a", 1).replace(b'"received_time":"', b'"received_time":"x'), "undecodable"),
        ("W9", candidate("a", 1), "misrouted"),
        ("", candidate("a", 1), "no_key"),
    ],
)
def test_a_record_that_is_no_candidate_is_refused_and_changes_nothing(key: str, content: bytes, reason: str) -> None:
    """It is named for the dead letters, quotes nothing, and the next record is folded as if it had not been there."""
    folded = WardFold()
    with pytest.raises(CandidateError) as refusal:
        folded.take(key, content)
    assert (refusal.value.reason, str(refusal.value)) == (reason, reason)
    assert folded.encode_changes() == {}
    assert fold(LIVES, folded) == fold(LIVES)


def test_routes_name_the_ward_and_the_one_that_was_left() -> None:
    """A candidate goes to its ward; one that moved goes to the ward it left too, once each."""
    event = from_json(candidate("a", 1))

    pairs = (("W2", "W1"), ("W2", "W2"), ("W2", None), ("", None), ("W2", ""), ("", "W1"))
    assert routes(event) == ("W1",)
    assert [routes(msgspec.structs.replace(event, ward=ward, former_ward=former)) for ward, former in pairs] == [
        ("W2", "W1"),
        ("W2",),
        ("W2",),
        (NO_WARD,),
        ("W2", NO_WARD),
        (NO_WARD, "W1"),
    ]


@pytest.mark.parametrize(("former", "wards"), [("W1", ("W2", "W1")), ("", ("W2", NO_WARD))])
def test_an_open_alert_that_moves_names_the_ward_it_leaves(bed: Bed, former: str, wards: tuple[str, str]) -> None:
    """The alert book's own word on a transfer is one that is routed to both wards, and its content tells why."""
    bed.score(0, bed.HIGH)
    bed.book.transferred(1, Location(ward=former))
    (event,) = bed.book.transferred(2, Location(ward="W2"))
    assert routes(event) == wards
    assert event.reason == MOVED


@pytest.mark.parametrize("damage", [b"", b"\x93", b"\x93\x09\x00\xc4\x00", None])
def test_damaged_states_are_refused(damage: bytes | None) -> None:
    """Stored states that are damaged, or of another schema, are refused: the partition is folded anew."""
    folded = WardFold()
    fold(LIVES, folded)
    good = folded.encode_changes()[FOLD_KEY]
    assert good is not None
    data = good[:-1] + bytes([good[-1] ^ 1]) if damage is None else damage
    with pytest.raises(UnreadableWardStateError):
        WardFold().restore([(FOLD_KEY, data)])


class _WardBefore(msgspec.Struct, frozen=True, array_like=True):
    """A ward's record as the releases before budgets had it."""

    seq: int
    heard: int
    alerts: dict[str, Known]


def test_a_ward_of_before_there_were_budgets_is_read_and_reads_ours() -> None:
    """An upgrade folds nothing anew, nor does going back: either release reads the other's record of a ward."""
    before = _WardBefore(7, 1_000, {"a": Known(2, "open", 1_000)})
    folded = WardFold()
    folded.restore([("w/W1", seal(before))])  # type: ignore[arg-type]
    (output,) = folded.take("W1", candidate("a", 3, at=2_000))
    assert (output.ward_seq, folded.counts.gaps) == (8, 0)
    ours = folded.encode_changes()["w/W1"]
    assert ours is not None
    assert unseal(ours, _WardBefore) == _WardBefore(8, 2_000, {"a": Known(3, "open", 2_000)})  # type: ignore[type-var]
