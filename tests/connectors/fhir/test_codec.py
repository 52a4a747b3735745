"""Claims about bad input: a reason and a position, never an exception."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import fhir.resources.R4B
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import MESSAGE_BYTES_MAX, Decoded, Refusal, RefusalReason
from connectors.fhir import codec
from connectors.fhir.codec import decode
from connectors.fhir.ndjson import iter_ndjson
from connectors.fhir.resource_types import RESOURCE_TYPES
from connectors.fhir.settings import FhirSettings

SETTINGS = FhirSettings(server="ehr", zone="Europe/London")

GOOD: list[dict[str, Any]] = [
    {
        "resourceType": "Observation",
        "id": "o1",
        "meta": {"versionId": "1", "lastUpdated": "2020-01-01T12:00:00Z"},
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}], "text": "BP"},
        "subject": {"reference": "Patient/p1", "type": "Patient", "identifier": {"system": "s", "value": "v"}},
        "encounter": {"reference": "Encounter/e1"},
        "effectivePeriod": {"start": "2020-01-01T11:00:00Z", "end": "2020-01-01"},
        "issued": "2020-01-01T12:00:00.123+01:00",
        "valueQuantity": {"value": 1.5, "comparator": "<", "unit": "x", "system": "http://unitsofmeasure.org"},
        "component": [
            {"code": {"coding": [{"code": "8480-6"}]}, "valueQuantity": {"value": 120}},
            {"code": {"coding": [{"code": "8462-4"}]}, "dataAbsentReason": {"coding": [{"code": "unknown"}]}},
        ],
    },
    {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": "urn:mrn", "value": "7", "type": {"coding": [{"code": "MR"}]}}],
        "gender": "male",
        "birthDate": "1942-09-02",
        "deceasedDateTime": "2020-01-01T12:00:00Z",
        "link": [{"type": "replaces", "other": {"reference": "Patient/p2"}}],
    },
    {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"code": "IMP"},
        "subject": {"reference": "urn:uuid:p"},
        "period": {"start": "2020-01-01T11:00:00Z", "end": "2020-01-01T12:00:00Z"},
        "hospitalization": {"dischargeDisposition": {"coding": [{"code": "exp"}]}},
        "location": [{"location": {"display": "W"}, "status": "active", "period": {"start": "2020-01-01"}}],
    },
]
BUNDLE = {
    "resourceType": "Bundle",
    "type": "batch",
    "timestamp": "2020-01-01T12:00:00Z",
    "entry": [
        {"fullUrl": f"urn:uuid:{name}", "resource": one, "request": {"method": "PUT", "url": "x"}}
        for name, one in zip("ope", GOOD, strict=True)
    ],
}
DATA = json.dumps(BUNDLE).encode()

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["Patient/1", "urn:uuid:p", "#x", "2020", "final", "http://a/Patient/p1", "Patient/", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def lawful(data: bytes) -> list[Decoded | Refusal]:
    results = decode(data, SETTINGS)
    assert results
    for result in results:
        assert result.feed == "ehr"
        if isinstance(result, Decoded):
            assert len(result.content_hash) == 16
            assert result.subject or not result.events
        else:
            assert result.reason in RefusalReason
            assert result.position.startswith(("$", "byte "))
    return results


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [prefix] if prefix else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths(inner, (*prefix, key))
    return found


PATHS = paths(BUNDLE)


def test_good_is_good() -> None:
    """The Bundle that the fuzzing starts from is decoded whole."""
    assert [type(result) for result in lawful(DATA)] == [Decoded] * 3


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes give results, never an exception."""
    lawful(data)


@given(st.integers(0, len(DATA) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_bytes(at: int, inserted: bytes, removed: int) -> None:
    """A Bundle damaged anywhere gives results, never an exception."""
    lawful(DATA[:at] + inserted + DATA[at + removed :])


@given(st.integers(0, len(DATA) - 1))
def test_cut_bytes(at: int) -> None:
    """A Bundle cut anywhere is one refusal, at the cut."""
    [result] = lawful(DATA[:at])
    assert isinstance(result, Refusal)
    assert result.reason in (RefusalReason.TRUNCATED, RefusalReason.GARBAGE)
    assert result.position == f"byte {at}"


@given(st.lists(st.tuples(st.sampled_from(PATHS), JSON_VALUES, st.booleans()), min_size=1, max_size=4))
def test_mutated_structure(changes: list[tuple[tuple[Any, ...], Any, bool]]) -> None:
    """A Bundle with any of its values replaced or removed gives results, never an exception."""
    bundle = json.loads(DATA)
    for path, value, remove in changes:
        target = bundle
        try:
            for key in path[:-1]:
                target = target[key]
            if remove:
                del target[path[-1]]
            else:
                target[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the ground away
    lawful(json.dumps(bundle).encode())


@pytest.mark.parametrize(
    ("data", "reason", "position"),
    [
        (b"", RefusalReason.GARBAGE, "byte 0"),
        (b"MSH|^~\\&|", RefusalReason.GARBAGE, "byte 0"),
        (b"<Bundle/>", RefusalReason.GARBAGE, "byte 0"),
        (b"[]", RefusalReason.GARBAGE, "$"),
        (b"{}", RefusalReason.MISSING_FIELD, "$.resourceType"),
        (b'{"resourceType":7}', RefusalReason.INVALID_VALUE, "$.resourceType"),
        (b'{"resourceType":"Patience"}', RefusalReason.UNSUPPORTED_TYPE, "$.resourceType"),
        (b'{"resourceType":"Patient","id":"1"', RefusalReason.TRUNCATED, "byte 34"),
        (b'{"resourceType":"Patient","id":"1"}x', RefusalReason.GARBAGE, "byte 36"),
        (b'{"resourceType":"Patient","id":"\xff"}', RefusalReason.WRONG_ENCODING, "$"),
        ('{"resourceType":"Patient"}'.encode("utf-16"), RefusalReason.WRONG_ENCODING, "byte 0"),
        (b'{"resourceType":"Observation","valueInteger":NaN}', RefusalReason.GARBAGE, "byte 45"),
        (
            b'{"resourceType":"Observation","valueQuantity":{"value":1e999}}',
            RefusalReason.INVALID_VALUE,
            "$.valueQuantity.value",
        ),
        (b'{"resourceType":"Patient","x":' + b"[" * 200_000, RefusalReason.GARBAGE, "$"),
        (b'{"resourceType":"Bundle","entry":7}', RefusalReason.INVALID_VALUE, "$.entry"),
    ],
)
def test_refusals(data: bytes, reason: RefusalReason, position: str) -> None:
    """Each way of being unreadable has its reason and its place."""
    [result] = lawful(data)
    assert isinstance(result, Refusal)
    assert (result.reason, result.position) == (reason, position)


def test_byte_order_mark() -> None:
    """A UTF-8 byte-order mark is no fault."""
    assert isinstance(decode(b'\xef\xbb\xbf{"resourceType":"Patient","id":"1"}', SETTINGS)[0], Decoded)


def test_last_of_a_repeated_key_counts() -> None:
    """A key that stands twice counts as it stands last."""
    [result] = decode(b'{"resourceType":"Patient","id":"1","id":"2"}', SETTINGS)
    assert [identifier.value for identifier in result.subject] == ["2"]


def test_oversized(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource, and a Bundle, past its limit is refused as oversized."""
    data = b'{"resourceType":"Patient","id":"1","x":"' + b"x" * MESSAGE_BYTES_MAX + b'"}'
    [result] = lawful(data)
    assert isinstance(result, Refusal)
    assert result.reason is RefusalReason.OVERSIZED
    monkeypatch.setattr(codec, "BUNDLE_BYTES_MAX", 10)
    [result] = lawful(b'{"resourceType":"Bundle"}')
    assert isinstance(result, Refusal)
    assert result.reason is RefusalReason.OVERSIZED


def test_gzip_is_the_callers() -> None:
    """Packed bytes are garbage here: unpacking is the caller's."""
    [result] = lawful(gzip.compress(DATA))
    assert isinstance(result, Refusal)


def test_resource_types() -> None:
    """The list of resource types has every one that fhir.resources.R4B knows."""
    folder = Path(fhir.resources.R4B.__file__).parent
    known = {path.stem for path in folder.glob("*.py")}
    ours = {name.lower() for name in RESOURCE_TYPES}
    assert len(RESOURCE_TYPES & {"Patient", "Parameters", "SubscriptionStatus", "MedicinalProduct"}) == 4
    assert sum(name in known for name in ours) == 141


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=8), st.integers(1, 40))
def test_ndjson_accounts_for_every_line(lines: list[bytes], limit: int) -> None:
    """Every line that is not blank is yielded once, in order: whole, or refused as too long."""
    found = list(iter_ndjson(BytesIO(b"\n".join(lines)), line_bytes_max=limit))
    expected = [number for number, line in enumerate(lines, 1) if line.strip() or len(line) > limit]
    assert [number for number, _ in found] == expected
    for number, line in found:
        whole = lines[number - 1]
        assert isinstance(line, Refusal) if len(whole) > limit else line == whole.strip()


def test_same_results_every_time() -> None:
    """Decoding twice gives equal results."""
    assert decode(DATA, SETTINGS) == decode(DATA, SETTINGS)
