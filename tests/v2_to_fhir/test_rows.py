"""Our events as FHIR R4B beside the HL7 v2-to-FHIR guide: each of its rows is what the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.v2_rendition import render_message, resources_of
from connectors.hl7v2.codec import decode
from tests.v2_to_fhir.cases import MARK, MARK_FORMS, SETTINGS, agrees, case_of, marked, message_of, rendered
from tests.v2_to_fhir.concepts import PLACES, Place, compare
from tests.v2_to_fhir.guide import SEGMENT_MAPS, Guide, Row
from tests.v2_to_fhir.page import FOLDER, PAGE, page
from tests.v2_to_fhir.review import REVIEWED, Judged, all_judged, judged

UNSHOWN = frozenset({"message", "guide"})
"""Reasons for which no field of a message that we read can be filled."""


@pytest.fixture(scope="module")
def guide(shared_data: Path) -> Guide:
    return Guide(shared_data / FOLDER)


def untrue(one: Judged, guide: Guide) -> str | None:
    """Name a row whose word is not true; None where it is."""
    if one.verdict == "not kept":
        return None if one.why in UNSHOWN or not stands_anywhere(one.row) else f"{one.row.key}: it is kept"
    case = case_of(one.row, guide)
    found = agrees(rendered(case.message), one.row, case.expected)
    if one.verdict == "differs":
        return f"{one.row.key}: it agrees" if found else None
    if not found:
        return f"{one.row.key}: {case.expected!r} does not stand there"
    # A code of a concept map may be what is written without it too: `test_concepts` sends every code.
    if not one.row.vocabulary and agrees(rendered(case.without), one.row, case.expected):
        return f"{one.row.key}: it stands there without the field"
    return None


def stands_anywhere(row: Row) -> bool:
    message = marked(row)
    decoded = decode(message, SETTINGS)
    assert isinstance(decoded, Decoded), (row.key, decoded)
    text = msgspec.json.encode(decoded) + render_message(decoded)
    return any(mark.encode() in text for mark in (MARK, *MARK_FORMS))


@pytest.mark.parametrize("name", SEGMENT_MAPS)
def test_rows(name: str, guide: Guide) -> None:
    """Every row of the map is what the reviewed list says: a message with the field filled shows it."""
    rows = list(judged(guide, name))
    assert rows
    assert list(filter(None, (untrue(one, guide) for one in rows))) == []


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.map)
def test_concepts(place: Place, guide: Guide) -> None:
    """Every code of the map gives the guide's target, or differs for a reviewed reason; no reason is left over."""
    found = compare(place, guide)
    assert [one for one in found if one.guide and not one.agrees and not one.why] == []
    reasons = set(REVIEWED.concepts.get(place.map, {})) - {"*"}
    assert reasons == {one.code for one in found if one.guide and not one.agrees and one.code in reasons}


def test_the_page_is_written_from_the_comparison(guide: Guide) -> None:
    """Edited by hand it would drift: `python -m tests.v2_to_fhir.page > docs/v2-to-fhir.md`."""
    assert PAGE.read_text() == page(guide)


def test_no_reviewed_line_is_left_over(guide: Guide) -> None:
    """A key that fits no row, and a reason that none names, would say what nobody checks."""
    used: dict[str, set[str]] = {}
    for one in all_judged(guide):
        used.setdefault(one.row.map.replace("-Component", ""), set()).add(one.key)
    for table in (REVIEWED.not_kept, REVIEWED.differs, REVIEWED.partly):
        assert {name: sorted(set(keys) - used[name]) for name, keys in table.items() if set(keys) - used[name]} == {}
    assert set(REVIEWED.reasons) == {why for keys in REVIEWED.not_kept.values() for why in keys.values()}


@pytest.mark.parametrize(
    ("verdict", "row"),
    [
        ("agrees", Row("PID[Patient]", "PID-5", "", "name[1].text", type="string")),
        ("differs", Row("PID[Patient]", "PID-7", "", "birthDate", type="date")),
        ("not kept", Row("PID[Patient]", "PID-7", "", "birthDate", type="date", v2_type="DTM")),
        ("partly", Row("PV1[Encounter]", "PV1-19", "", "identifier[1].period.start", type="string")),
    ],
)
def test_an_untrue_word_is_found(verdict: Any, row: Row, guide: Guide) -> None:
    """The check can fail, for each word."""
    assert untrue(Judged(row, verdict, "name"), guide) is not None


@pytest.mark.parametrize("kind", ["SIU^S12", "MDM^T02"])
def test_messages_that_other_maps_are_for_are_refused(kind: str) -> None:
    """What the page calls refused is: an appointment's PID and a document's OBX reach nobody."""
    message = message_of({}, "OBX").replace(b"ORU^R01", kind.encode())
    refusal = decode(message, SETTINGS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.UNSUPPORTED_TYPE


def test_what_is_rendered_is_valid(guide: Guide) -> None:
    """Every resource of every case is R4B by fhir.resources."""
    cases = {case_of(one.row, guide).message for one in all_judged(guide) if one.verdict != "not kept"}
    distinct = {msgspec.json.encode(resource) for message in sorted(cases) for resource in rendered(message)}
    assert len(distinct) > 50
    for data in sorted(distinct):
        get_fhir_model_class(msgspec.json.decode(data)["resourceType"]).model_validate_json(data)


def test_a_correction_is_the_result_it_corrects() -> None:
    """A result and its correction are one Observation: the same id, another status."""
    first, corrected = (rendered(message_of({"OBX": {5: "72", 11: status}}, "OBX"))[-1] for status in "FC")
    assert first["id"] == corrected["id"]
    assert [first["status"], corrected["status"]] == ["final", "corrected"]


def test_each_repetition_is_an_observation() -> None:
    """OBX-5 repeats: the guide asks for components, ours are Observations of their own, told apart by id."""
    found = [one for one in rendered(message_of({"OBX": {5: "72~74"}}, "OBX")) if one["resourceType"] == "Observation"]
    assert [one["valueQuantity"]["value"] for one in found] == [72, 74]
    assert len({one["id"] for one in found}) == 2


def test_a_merge_names_who_is_replaced() -> None:
    """A40 is Patient.link: this one replaces the one of MRG-1."""
    merge = message_of({}, "PID").replace(b"ADT^A01", b"ADT^A40") + b"\rMRG|0815^^^HOSP^MR"
    [patient, *_] = rendered(merge)
    assert [link["type"] for link in patient["link"]] == ["replaces"]
    assert patient["link"][0]["other"]["identifier"]["value"] == "0815"


def test_who_changes_beds_with_whom_is_rendered_twice() -> None:
    """A17 gives both patients, each with the place he goes to."""
    lines = message_of({"PV1": {2: "I", 3: "W1^R1^B2"}}, "PV1").replace(b"ADT^A01", b"ADT^A17").split(b"\r")
    second = [lines[2].replace(b"4711", b"4712"), lines[3].replace(b"B2", b"B1")]
    found = rendered(b"\r".join([*lines, *second]))
    assert [one["resourceType"] for one in found].count("Patient") == 2
    beds = [
        one["identifier"][0]["value"]
        for one in found
        if one.get("physicalType", {}).get("coding", [{}])[0].get("code") == "bd"
    ]
    assert beds == ["B2", "B1"]


def test_results_without_a_result_say_who() -> None:
    """A message without events for us still is a Patient with his number."""
    decoded = decode(message_of({"OBX": {3: ""}}, "OBX"), SETTINGS)
    assert isinstance(decoded, Decoded)
    assert [resource["resourceType"] for resource in resources_of(decoded)] == ["Patient"]
