"""The hospital's messages decode to what was told."""

from __future__ import annotations

from connectors.decoded import Decoded
from connectors.fhir import codec as fhir
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2 import codec as hl7v2
from connectors.hl7v2.settings import Hl7Settings
from connectors.hospital import Hospital, Story, as_fhir, as_hl7, as_outcome
from events import (
    Admission,
    Cancellation,
    Coding,
    Correction,
    Demographics,
    Discharge,
    Merge,
    Observation,
    Outcome,
    Transfer,
)

Told = tuple[tuple[Coding, ...], float | None, tuple[Coding, ...], str, int]


def stories() -> list[Story]:
    return list(Hospital(seed=2, beds=40, hours=24 * 8))


def moves() -> list[Story]:
    """Tell who comes, moves and goes in a larger hospital, without the charts."""
    return [story for story in Hospital(seed=2, beds=150, hours=24 * 21) if story.kind == "adt"]


def values_of(message: Decoded) -> list[Told]:
    found = [
        e.observation if isinstance(e, Correction) else e
        for e in message.events
        if isinstance(e, Observation | Correction)
    ]
    return [(o.codings, o.value, o.answers, o.unit, o.event_time) for o in found]


def values_told(story: Story) -> list[Told]:
    return [
        (
            (r.coding,),
            r.value if isinstance(r.value, float) else None,
            () if isinstance(r.value, float) else (r.value,),
            r.unit,
            story.event_time,
        )
        for r in story.results
    ]


def test_hl7_and_fhir_both_say_what_was_told() -> None:
    """Both renderings of every story decode to its values, codes, units and times, and none is refused."""
    settings = FhirSettings(server="wardsim")
    told_results = 0
    for story in stories():
        if story.kind == "outcome":
            assert as_hl7(story) is as_fhir(story) is None
            continue
        message = hl7v2.decode(as_hl7(story) or b"", Hl7Settings())
        assert isinstance(message, Decoded), message
        resources = fhir.decode(as_fhir(story) or b"", settings)
        assert all(isinstance(r, Decoded) for r in resources), resources
        in_fhir = [told for r in resources if isinstance(r, Decoded) for told in values_of(r)]
        assert message.sent_time == story.sent_time
        assert message.subject[0] == story.patient
        withdrawn = any(r.status == "W" for r in story.results)
        if not withdrawn:
            assert values_of(message) == in_fhir == values_told(story)
        told_results += len(in_fhir)
    assert told_results > 10_000


def test_moves_decode_to_the_same_events_both_ways() -> None:
    """Admission, transfer, discharge, demographics, merge and a cancelled admission say the same both ways, with the
    same times and places.
    """
    settings = FhirSettings(server="wardsim")
    expected = {
        "A01": Admission, "A02": Transfer, "A03": Discharge, "A08": Demographics, "A11": Cancellation, "A40": Merge,
    }  # fmt: skip
    seen: set[str] = set()
    for story in moves():
        if story.trigger not in expected:
            continue
        message = hl7v2.decode(as_hl7(story) or b"", Hl7Settings())
        assert isinstance(message, Decoded)
        resources = [r for r in fhir.decode(as_fhir(story) or b"", settings) if isinstance(r, Decoded)]
        kind = expected[story.trigger]
        [in_hl7] = [e for e in message.events if isinstance(e, kind)]
        in_fhir = [e for r in resources for e in r.events if isinstance(e, kind)]
        if isinstance(in_hl7, Merge):
            assert message.retired == (story.retired,)
            assert any(
                story.retired is not None and i.value == story.retired.value for r in resources for i in r.retired
            )
        elif isinstance(in_hl7, Cancellation):
            found = [(e.event_time, e.cancelled) for e in in_fhir if isinstance(e, Cancellation)]
            assert found == [(in_hl7.event_time, in_hl7.cancelled)]
        else:
            assert in_hl7 in in_fhir
        assert {r.encounter for r in resources if r.encounter} <= {message.encounter}
        seen.add(story.trigger)
    assert seen == set(expected)


def test_a_move_taken_back_ends_in_the_same_place_both_ways() -> None:
    """FHIR has no word for a cancelled transfer: it tells a move back, at the time of A12, to the place A12 names."""
    settings = FhirSettings(server="wardsim")
    cancelled = [story for story in moves() if story.trigger == "A12"]
    assert len(cancelled) > 3
    for story in cancelled:
        message = hl7v2.decode(as_hl7(story) or b"", Hl7Settings())
        assert isinstance(message, Decoded)
        [back] = [e for e in message.events if isinstance(e, Cancellation)]
        resources = [r for r in fhir.decode(as_fhir(story) or b"", settings) if isinstance(r, Decoded)]
        [moved] = [e for r in resources for e in r.events if isinstance(e, Transfer)]
        assert (moved.event_time, moved.location) == (back.event_time, back.location)


def test_a_discharge_taken_back_is_an_encounter_in_progress() -> None:
    """After A13 the Encounter has no end and no discharge any more; FHIR has no other word for it."""
    settings = FhirSettings(server="wardsim")
    cancelled = [story for story in moves() if story.trigger == "A13"]
    assert len(cancelled) > 3
    for story in cancelled:
        message = hl7v2.decode(as_hl7(story) or b"", Hl7Settings())
        assert isinstance(message, Decoded)
        assert any(isinstance(e, Cancellation) and e.cancelled == "discharge" for e in message.events)
        resources = [r for r in fhir.decode(as_fhir(story) or b"", settings) if isinstance(r, Decoded)]
        events = [e for r in resources for e in r.events]
        assert any(isinstance(e, Admission) for e in events)
        assert not any(isinstance(e, Discharge) for e in events)


def test_corrections_change_the_same_result_in_hl7() -> None:
    """A corrected or withdrawn result has the observation id of the one it changes."""
    known: set[int] = set()
    corrections = 0
    for story in stories():
        message = hl7v2.decode(as_hl7(story) or b"", Hl7Settings()) if story.results else None
        for event in message.events if isinstance(message, Decoded) else ():
            if isinstance(event, Observation):
                known.add(event.observation_id)
            elif isinstance(event, Correction):
                assert event.observation.observation_id in known
                corrections += 1
    assert corrections > 0


def test_outcomes_are_events_for_training() -> None:
    """An outcome story gives one Outcome of its kind and time; a message gives none."""
    told = [(story, as_outcome(story)) for story in stories()]
    outcomes = [(story, message) for story, message in told if message is not None]
    assert all(story.kind == "outcome" for story, _ in outcomes)
    assert all(message.events == (Outcome(story.event_time, story.outcome),) for story, message in outcomes)
    assert len(outcomes) > 3
    assert {story.outcome for story, _ in outcomes} <= {"critical_care", "cardiac_arrest", "death"}
