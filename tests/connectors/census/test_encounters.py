"""A census as FHIR: what is taken of a search's answer, and what belongs together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.census.encounters import bundles_of, read_answers
from connectors.census.rows import CensusError
from connectors.decoded import Decoded
from connectors.fhir.codec import decode
from connectors.fhir.settings import FhirSettings
from events import Admission, Location

BASE = "http://ehr.example/fhir"


def entry(kind: str, key: str, /, **fields: Any) -> dict[str, Any]:
    return {"fullUrl": f"{BASE}/{kind}/{key}", "resource": {"resourceType": kind, "id": key, **fields}}


def encounter(name: str, patient: str, status: str = "in-progress") -> dict[str, Any]:
    return entry(
        "Encounter", name, status=status, meta={"lastUpdated": "2026-03-03T06:00:00Z"},
        subject={"reference": f"Patient/{patient}"}, period={"start": "2026-03-02T22:30:00Z"},
        location=[{"location": {"reference": "Location/b12"}, "status": "active"}],
    )  # fmt: skip


PAGE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "searchset",
    "entry": [
        encounter("e1", "p1"),
        encounter("e2", "p2"),
        encounter("e3", "p1", "finished"),
        entry("Patient", "p1", gender="female", birthDate="1942-09-02"),
        entry("Location", "b12", name="12", partOf={"reference": "Location/w1"},
              physicalType={"coding": [{"code": "bd"}]}),
        entry("Location", "w1", name="Ward A", physicalType={"coding": [{"code": "wa"}]}),
        entry("Observation", "o1", status="final"),
        {"resource": {"resourceType": "OperationOutcome", "issue": []}},
    ],
}  # fmt: skip


def test_each_encounter_under_way_is_a_bundle_with_what_it_names() -> None:
    """Finished stays and resources of other kinds are left out and counted; places come with those around them."""
    found = read_answers([json.dumps(PAGE).encode()])
    assert (len(found.encounters), found.not_under_way, found.left_out) == (2, 1, 2)
    first, second = [json.loads(data) for data in bundles_of(found)]
    names = [[one["fullUrl"].removeprefix(BASE) for one in bundle["entry"]] for bundle in (first, second)]
    assert names == [
        ["/Patient/p1", "/Location/w1", "/Location/b12", "/Encounter/e1"],
        ["/Location/w1", "/Location/b12", "/Encounter/e2"],
    ]
    decoded = decode(json.dumps(first).encode(), FhirSettings(server="ehr"))
    events = [event for one in decoded if isinstance(one, Decoded) for event in one.events]
    [admission] = [event for event in events if isinstance(event, Admission)]
    assert admission.location == Location(ward="Ward A", bed="12")


def test_resources_a_line_are_an_answer_too() -> None:
    """A Bulk Data export has a resource in each line, without full URLs."""
    lines = b"\n".join(json.dumps(one["resource"]).encode() for one in PAGE["entry"][:6])
    assert [len(json.loads(data)["entry"]) for data in bundles_of(read_answers([lines]))] == [4, 3]


def test_pages_are_one_answer() -> None:
    """What an Encounter names may stand on another page."""
    pages = [json.dumps({**PAGE, "entry": PAGE["entry"][at]}).encode() for at in (slice(0, 3), slice(3, None))]
    assert len(json.loads(next(bundles_of(read_answers(pages))))["entry"]) == 4


def test_places_that_lie_in_one_another_end() -> None:
    """Two Locations that are part of each other are both taken, once."""
    others = [one for one in PAGE["entry"] if one["resource"].get("id") != "w1"]
    ring = entry("Location", "w1", partOf={"reference": "Location/b12"})
    [first, _] = bundles_of(read_answers([json.dumps({**PAGE, "entry": [ring, *others]}).encode()]))
    assert len(json.loads(first)["entry"]) == 4


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"hello", "file 1, line 1: no JSON"),
        (b'{"resourceType": "Patient"}\n{"a', "file 1, line 2: no JSON"),
        (b'{"a": 1}', "file 1: has something that is no resource"),
        (b'{"resourceType": "Bundle", "entry": [{}]}', "file 1: has something that is no resource"),
        (b'{"resourceType": "Bundle", "entry": ' + b"[" * 100_000, "file 1, line 1: no JSON"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, said: str) -> None:
    """A file that is no FHIR is named by its number and line."""
    with pytest.raises(CensusError) as caught:
        list(bundles_of(read_answers([data])))
    assert caught.value.faults == (said,)


NAMES = ("resourceType", "id", "status", "subject", "reference", "location", "partOf", "entry", "resource")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["Encounter", "in-progress"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(JSON, st.sampled_from(["Bundle", "Encounter", "Location"]))
def test_whatever_json_it_is_it_is_read_or_refused(document: Any, kind: str) -> None:
    """Any JSON is an answer or a `CensusError`; what is given on is Bundles of resources."""
    data = json.dumps({**document, "resourceType": kind} if isinstance(document, dict) else document).encode()
    try:
        bundles = list(bundles_of(read_answers([data])))
    except CensusError:
        return
    assert all(json.loads(bundle)["resourceType"] == "Bundle" for bundle in bundles)


def test_pages_that_are_missing_are_seen() -> None:
    """By the total of the search, and where no page is the last one; Encounters that stand twice count once."""
    entries = [{"resource": {"resourceType": "Encounter", "id": f"e{n}", "status": "in-progress"}} for n in range(3)]
    page: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    more = [{"relation": "self", "url": "a"}, {"relation": "next", "url": "b"}]
    pages: dict[str, list[dict[str, Any]]] = {
        "the search found 4 Encounters, and the files have 3": [page | {"total": 4}, page | {"total": 4}],
        "each page names a next one": [page | {"link": more}],
        "": [page | {"link": more, "total": 3}, page | {"link": more[:1], "total": 3}],
    }
    for said, files in pages.items():
        assert read_answers([json.dumps(one).encode() for one in files]).missing == said
