"""A stay as HL7 v2 and as FHIR says what the importer says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from connectors.datasets import physionet2012, physionet2019
from connectors.datasets.rendering import render_all
from connectors.decoded import Decoded, Refusal
from connectors.fhir import codec as fhir
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2 import codec as hl7v2
from connectors.hl7v2.settings import Hl7Settings
from events import Admission, Demographics, Discharge, Event, Observation, Transfer
from features.state import PatientState
from models.news2 import News2, score_news2


def plain(event: Event) -> object:
    """What an event says, without the id that each way gives it."""
    if isinstance(event, Observation):
        return event.codings, event.value, event.unit, event.event_time, event.status
    return event


@cache
def sample(shared_data: Path, importer: ModuleType) -> list[Decoded]:
    """Some fifty stays of a set; read once for all tests, for unpacking takes longest."""
    every = {physionet2019.FEED: 400, physionet2012.FEED: 80}[importer.FEED]
    return [m for m in importer.read(shared_data / importer.FEED, every) if isinstance(m, Decoded)]


def told(message: Decoded, *kinds: type[Event]) -> list[object]:
    return [plain(event) for event in message.events if isinstance(event, kinds)]


@pytest.mark.parametrize("importer", [physionet2019, physionet2012])
def test_hl7_says_the_same(shared_data: Path, importer: ModuleType) -> None:
    """Decoding the HL7 rendering gives the same patient, encounter, times and events, in the same order of values."""
    count = 0
    stream = sample(shared_data, importer)
    for message, data in render_all(stream, "hl7v2"):
        back = hl7v2.decode(data, Hl7Settings())
        assert isinstance(back, Decoded), back
        assert (back.subject, back.encounter, back.message_id) == (
            message.subject,
            message.encounter,
            message.message_id,
        )
        assert (back.sent_time, back.event_time) == (message.sent_time, message.event_time)
        for kind in (Observation, Admission, Discharge):
            assert told(back, kind) == told(message, kind)
        assert told(message, Demographics) == [] or told(back, Demographics) == told(message, Demographics)
        assert told(back, Transfer) == []
        count += 1
    assert count > 1_500


@pytest.mark.parametrize("importer", [physionet2019, physionet2012])
def test_fhir_says_the_same(shared_data: Path, importer: ModuleType) -> None:
    """Decoding the FHIR rendering gives the same encounter, times and events; the subject is tied by the Patient."""
    count = 0
    settings = FhirSettings(server=importer.FEED)
    stream = sample(shared_data, importer)
    people = {}
    for message, data in render_all(stream, "fhir"):
        back: list[Decoded] = []
        for result in fhir.decode(data, settings):
            assert not isinstance(result, Refusal), result
            back.append(result)
            if result.kind == "Patient":
                people.update(dict.fromkeys(result.subject, result.subject[0]))
            assert people[result.subject[0]] == message.subject[0]
            assert result.encounter in ("", message.encounter)
            assert result.sent_time == message.sent_time
        for kind in (Observation, Demographics, Discharge):
            assert [event for result in back for event in told(result, kind)] == told(message, kind)
        if told(message, Admission):
            assert [event for result in back for event in told(result, Admission)] == told(message, Admission)
        count += 1
    assert count > 1_500


@pytest.mark.parametrize("importer", [physionet2019, physionet2012])
def test_all_three_ways_give_the_same_scores(shared_data: Path, importer: ModuleType) -> None:
    """Folded one patient at a time, the rows, their HL7 and their FHIR give the same NEWS2 at the same times."""
    settings = FhirSettings(server=importer.FEED)
    stream = sample(shared_data, importer)
    in_hl7 = [hl7v2.decode(data, Hl7Settings()) for _, data in render_all(stream, "hl7v2")]
    in_fhir = [result for _, data in render_all(stream, "fhir") for result in fhir.decode(data, settings)]
    scored = fold(stream)
    assert len(scored) > 800
    assert scored == fold(in_hl7) == fold(in_fhir)


def fold(messages: Sequence[Decoded | Refusal]) -> list[tuple[str, int, News2]]:
    """Score each message that holds observations: (patient, time, NEWS2)."""
    states: dict[str, PatientState] = {}
    scored: list[tuple[str, int, News2]] = []
    for message in messages:
        assert isinstance(message, Decoded)
        assert message.sent_time is not None
        patient = message.subject[0].value
        state = states.setdefault(patient, PatientState())
        observations = [event for event in message.events if isinstance(event, Observation)]
        for event in observations:
            state.observe(event, message.sent_time, message.message_id)
        if observations:
            scored.append((patient, message.sent_time, score_news2(state, message.sent_time)))
    return scored
