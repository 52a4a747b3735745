"""Claims about Bundles: one result an entry, resolved among themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.fhir.codec import decode, decode_each
from connectors.fhir.settings import FhirSettings
from events import Admission, Location

SETTINGS = FhirSettings(server="ehr")


def patient(**fields: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p1", **fields}


def observation(reference: str = "Patient/p1", **fields: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": reference},
        "issued": "2020-01-01T12:00:00Z",
        "valueInteger": 72,
        **fields,
    }


def decode_bundle(*entries: Any, settings: FhirSettings = SETTINGS, **fields: Any) -> list[Decoded | Refusal]:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": list(entries), **fields}
    return decode(msgspec.json.encode(bundle), settings)


def test_fragment_of_the_same_bundle() -> None:
    """A urn:uuid is resolved through fullUrl to the id, and to every identifier, of that Patient."""
    _, result = decode_bundle(
        {"fullUrl": "urn:uuid:u1", "resource": patient(identifier=[{"system": "urn:mrn", "value": "7"}])},
        {"resource": observation("urn:uuid:u1")},
    )
    assert isinstance(result, Decoded)
    assert result.subject == (Identifier("urn:mrn", "7"), Identifier("ehr/Patient", "p1"))


def test_order_of_entries_is_free() -> None:
    """An entry may refer to one that comes after it."""
    first, _ = decode_bundle(
        {"resource": observation("urn:uuid:u1")}, {"fullUrl": "urn:uuid:u1", "resource": patient(id=None)}
    )
    assert isinstance(first, Decoded)
    assert first.subject == (Identifier("ehr/Patient", "u1"),)


def test_urn_of_no_patient() -> None:
    """A urn that resolves to another type is no subject."""
    _, result = decode_bundle(
        {"fullUrl": "urn:uuid:g", "resource": {"resourceType": "Group", "id": "g1"}},
        {"resource": observation("urn:uuid:g")},
    )
    assert isinstance(result, Refusal)
    assert (result.reason, result.position) == (
        RefusalReason.UNSUPPORTED_TYPE,
        "$.entry[1].resource.subject.reference",
    )


@pytest.mark.parametrize(
    "bad",
    [
        7,
        None,
        {"fullUrl": 3},
        {"resource": 3},
        {"resource": {"resourceType": "Nonsense"}},
        {"resource": observation(valueInteger="x")},
        {"resource": observation(status=None)},
    ],
)
def test_one_bad_entry_spoils_no_other(bad: Any) -> None:
    """Whatever one entry is, the entries around it are decoded, and its refusal says where it stood."""
    before, result, after = decode_bundle({"resource": observation()}, bad, {"resource": patient()})
    assert isinstance(before, Decoded)
    assert isinstance(after, Decoded)
    assert isinstance(result, Refusal)
    assert result.position.startswith("$.entry[1]")
    assert result.feed == "ehr"


def test_position_within_an_entry() -> None:
    """A fault within an entry is named by its whole path."""
    [result] = decode_bundle({"resource": observation(valueInteger=None, valueQuantity={"value": "72"})})
    assert isinstance(result, Refusal)
    assert result.position == "$.entry[0].resource.valueQuantity.value"


def test_empty_bundle() -> None:
    """A Bundle without entries is understood, and nothing in it is for us."""
    for fields in ({}, {"entry": None}):
        [result] = decode_bundle(**fields)
        assert isinstance(result, Decoded)
        assert (result.kind, result.events) == ("Bundle", ())


def test_other_types_hold_nothing_for_us() -> None:
    """Types of R4 that we do not read are understood; their unreadable times are no reason to refuse."""
    [one, two] = decode_bundle(
        {"resource": {"resourceType": "OperationOutcome"}},
        {"resource": {"resourceType": "Claim", "id": "c", "meta": {"lastUpdated": "never"}}},
    )
    assert isinstance(one, Decoded)
    assert isinstance(two, Decoded)
    assert (one.kind, two.kind, one.events, two.events) == ("OperationOutcome", "Claim", (), ())


def test_deletions_are_counted() -> None:
    """A deleted entry of a history carries no event and says that it was a deletion."""
    request = {"method": "DELETE", "url": "Observation/o1"}
    [result] = decode_bundle({"request": request}, type="history")
    assert isinstance(result, Decoded)
    assert (result.events, result.notes, result.message_id) == ((), ("history_delete",), "Bundle.entry/Observation/o1")


def test_history_is_told_oldest_first() -> None:
    """A history lists the newest first; what it corrects is handed on before the correction."""
    newer, older = observation(meta={"versionId": "2"}), observation(meta={"versionId": "1"})
    results = decode_bundle({"resource": newer}, {"resource": older}, type="history")
    assert [one.message_id[-1] for one in results] == ["1", "2"]


def test_notification_keeps_its_order() -> None:
    """A subscription notification is no list of versions: its status comes first."""
    status = {"resource": {"resourceType": "Parameters"}}
    results = decode_bundle(status, {"resource": observation()}, type="history")
    assert [one.kind for one in results if isinstance(one, Decoded)] == ["Parameters", "Observation"]


def test_time_of_the_bundle_stands_in() -> None:
    """An entry that does not say when it was sent was sent with its Bundle."""
    [result] = decode_bundle({"resource": patient()}, timestamp="1970-01-01T00:00:01Z")
    assert result.sent_time == 1000
    [result] = decode_bundle({"resource": patient()}, timestamp="soon")
    assert result.sent_time is None


def test_bundle_in_bundle() -> None:
    """Bundles within Bundles are opened, down to a bound."""
    inner: dict[str, Any] = {"resource": observation()}
    for depth in range(1, 6):
        [result] = decode_bundle(inner)
        assert isinstance(result, Decoded if depth <= 4 else Refusal)
        inner = {"resource": {"resourceType": "Bundle", "type": "collection", "entry": [inner]}}


def test_two_servers_one_id() -> None:
    """Two Patients of one id under two bases are refused, until the operator says which base is the feed's own."""
    entries = [
        {"fullUrl": f"http://{host}/Patient/p1", "resource": patient(identifier=[{"system": "urn:mrn", "value": host}])}
        for host in ("a", "b")
    ]
    [refusal] = decode_bundle(*entries)
    assert isinstance(refusal, Refusal)
    own, foreign, result = decode_bundle(
        *entries,
        {"fullUrl": "http://b/Observation/o1", "resource": observation()},
        settings=FhirSettings(server="ehr", bases=("http://a",)),
    )
    assert isinstance(own, Decoded)
    assert isinstance(foreign, Decoded)
    assert isinstance(result, Decoded)
    assert own.subject == (Identifier("urn:mrn", "a"), Identifier("ehr/Patient", "p1"))
    assert foreign.subject == result.subject == (Identifier("urn:mrn", "b"), Identifier("http://b/Patient", "p1"))


def test_places_of_the_same_bundle() -> None:
    """An Encounter's place is named by the Location entries it refers to, up the chain of partOf."""

    def place(name: str, code: str, above: str | None = None) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "resourceType": "Location",
            "id": name,
            "name": name.upper(),
            "physicalType": {"coding": [{"code": code}]},
        }
        if above:
            resource["partOf"] = {"reference": f"Location/{above}"}
        return {"fullUrl": f"urn:uuid:{name}", "resource": resource}

    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": {"code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "1970-01-01T00:00:00Z"},
        "location": [{"location": {"reference": "urn:uuid:b7"}, "status": "active"}],
    }
    *_, result = decode_bundle(
        place("b7", "bd", "r3"), place("r3", "ro", "w1"), place("w1", "wa", "b7"), {"resource": encounter}
    )
    assert isinstance(result, Decoded)
    assert result.events == (Admission(0, Location(ward="W1", room="R3", bed="B7"), "I"),)


def test_one_urn_for_two_people() -> None:
    """Equal bytes that mean another patient in another Bundle are another message."""
    hashes = set()
    for name in ("p1", "p2"):
        _, result = decode_bundle(
            {"fullUrl": "urn:uuid:patient", "resource": patient(id=name)},
            {"resource": observation("urn:uuid:patient", id=None)},
        )
        assert isinstance(result, Decoded)
        hashes.add(result.content_hash)
    assert len(hashes) == 2


def test_inner_bundles_share_one_budget_of_entries() -> None:
    """Bundles within a Bundle may together hold what one may: what is past that is refused, a result a Bundle."""
    count_max = 20
    inner = {"resource": {"resourceType": "Bundle", "type": "collection", "entry": [{}] * 9}}
    data = msgspec.json.encode({"resourceType": "Bundle", "type": "collection", "entry": [inner] * 10})
    results = [result for result, _ in decode_each(data, SETTINGS, count_max)]
    assert [type(result) for result in results] == [Decoded] * 18 + [Refusal] * 8
    assert {result.reason for result in results if isinstance(result, Refusal)} == {RefusalReason.TOO_MANY_EVENTS}


def test_deep_bundles_share_one_budget_of_entries() -> None:
    """Bundles within Bundles within a Bundle give a small multiple of the budget, not a product of their lengths."""
    count_max = 20
    inner: dict[str, Any] = {}
    for _ in range(3):
        inner = {"resource": {"resourceType": "Bundle", "type": "collection", "entry": [inner] * 20}}
    data = msgspec.json.encode(inner["resource"])
    assert len(decode_each(data, SETTINGS, count_max)) <= 3 * count_max


def test_each_result_has_its_own_bytes() -> None:
    """Each result comes with the bytes of its own resource, of its entry where there is none, in the results' order."""
    texts = [b'{"fullUrl": 3}', b'{"resourceType": "Observation", "id": "o1"}', b'{"resourceType":"Patient","id":"p"}']
    within = b'{"resourceType":"Bundle","entry":[{"resource":' + texts[1] + b'},{"resource": ' + texts[2] + b"}]}"
    bundle = b'{"resourceType":"Bundle","type":"history","entry":[%s,{"resource":%s}]}' % (texts[0], within)
    results = decode_each(bundle, SETTINGS)
    assert [data for _, data in results] == [texts[1], texts[2], texts[0]]
    assert [type(result) for result, _ in results] == [Refusal, Decoded, Refusal]
