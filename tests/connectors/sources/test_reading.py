"""From a file's bytes to its arrivals."""

from __future__ import annotations

import gzip
import io
import json

import pytest

from connectors.decoded import MESSAGE_BYTES_MAX, Decoded, Refusal, RefusalReason
from connectors.sources import SourceSettings, reading
from connectors.sources.files import Kind
from connectors.sources.reading import read_messages
from connectors.sources.unpacking import Unpacking


def adt(number: int, time: str) -> bytes:
    return b"MSH|^~\\&|A|B|||%s||ADT^A01|%d|P|2.5\rEVN|A01|%s\rPID|1||7^^^H^MR\rPV1|1|I|W\r" % (
        time.encode(), number, time.encode(),
    )  # fmt: skip


def patient(number: int) -> dict[str, object]:
    return {"resourceType": "Patient", "id": f"p{number}", "meta": {"lastUpdated": f"1970-01-01T00:00:0{number}Z"}}


def read(kind: Kind, data: bytes) -> list[tuple[str, int | None, type[Decoded | Refusal]]]:
    found = read_messages("f", kind, io.BytesIO(data), SourceSettings())
    return [(a.position, a.received_time, type(a.decoded)) for a in found]


def test_what_names_no_time_keeps_its_place() -> None:
    """A refusal has the time of the message before it; at the head of a file that of the first that names one."""
    data = b"garbage\n" + adt(1, "19700101000001+0000") + adt(2, "never") + adt(3, "19700101000003+0000")
    assert read("hl7", data) == [
        ("f#1", 1_000, Refusal),
        ("f#2", 1_000, Decoded),
        ("f#3", 1_000, Refusal),
        ("f#4", 3_000, Decoded),
    ]
    assert read("hl7", b"garbage") == [("f#1", 0, Refusal)]


def test_a_file_that_names_no_time_of_sending_is_read_by_what_it_tells() -> None:
    """Monitors that leave MSH-7 empty: each message came when it was measured, and is not of the future."""
    rows = "PID|||42\rOBR|||||||1970010100000{}+0000\rOBX||NM|8867-4^^LN||7{}|/min|||||F\r"
    first, last = (f"MSH|^~\\&|||||||ORU^R01|{n}|P|2.2\r" + rows.format(n, n) for n in (2, 5))
    assert [time for _, time, _ in read("hl7", f"{first}{last}".encode())] == [2_000, 5_000]
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "effectiveDateTime": "1970-01-01T00:00:07Z",
        "valueQuantity": {"value": 70, "unit": "/min"},
    }
    lines = f"[]\n{json.dumps(observation)}\n[]\n".encode()
    assert [time for _, time, _ in read("ndjson", lines)] == [0, 7_000, 7_000]


def test_an_endless_head_of_garbage_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit, messages before the first time are let go with time 0, in their order."""
    monkeypatch.setattr(reading, "UNTIMED_MAX", 2)
    lines = b"[]\n[]\n[]\n" + json.dumps(patient(1)).encode()
    assert [(position, time) for position, time, _ in read("ndjson", lines)] == [
        ("f#1", 0),
        ("f#2", 0),
        ("f#3", 1_000),
        ("f#4", 1_000),
    ]


def test_each_entry_of_a_bundle_is_a_message_with_its_own_bytes() -> None:
    """A Bundle's entries are numbered, and each arrival holds just its resource, a refused one too."""
    broken = {"resourceType": "Observation", "id": "o", "status": "fnial"}
    resources = [patient(1), broken, patient(2)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
    found = list(read_messages("f", "json", io.BytesIO(json.dumps(bundle).encode()), SourceSettings()))
    assert [a.position for a in found] == ["f#1", "f#2", "f#3"]
    assert [json.loads(a.data or b"") for a in found] == resources
    assert isinstance(found[1].decoded, Refusal)


def broken(name: str, **fields: object) -> dict[str, object]:
    return {"resourceType": "Observation", "id": name, "status": "fnial", **fields}


def bundle(*resources: object, kind: str = "collection") -> dict[str, object]:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": resource} for resource in resources]}


STATUS = {"resourceType": "Parameters", "id": 7}
"""Not to be read as a notification's status: its id is no text."""
PADDING = "x" * MESSAGE_BYTES_MAX
REFUSED: dict[str, tuple[dict[str, object], list[object]]] = {
    "history": (bundle(broken("b"), patient(1), broken("a"), kind="history"), [broken("a"), broken("b")]),
    "malformed status": (bundle(STATUS, patient(1), broken("a"), kind="history"), [broken("a"), STATUS]),
    "nested": (bundle(patient(1), bundle(patient(2), broken("a"), broken("b"))), [broken("a"), broken("b")]),
    "nested and large": (
        {**bundle(bundle(broken("a"), patient(2), broken("b"))), "x": PADDING},
        [broken("a"), broken("b")],
    ),
}
"""Bundles by what they are, each with those of its resources that cannot be used, in the order they are told."""


@pytest.mark.parametrize("kind", ["json", "ndjson"])
@pytest.mark.parametrize("what", REFUSED)
def test_each_refused_entry_of_a_file_has_its_own_bytes(kind: Kind, what: str) -> None:
    """Whatever the Bundle, each refused resource is an arrival with its own bytes, in the order they are told."""
    whole, expected = REFUSED[what]
    found = list(read_messages("f", kind, io.BytesIO(json.dumps(whole).encode()), SourceSettings()))
    refused = [a for a in found if isinstance(a.decoded, Refusal)]
    assert [json.loads(a.data or b"null") for a in refused] == expected


def test_ndjson_counts_lines_with_something_in_them() -> None:
    """Each line is a message; blank lines are none; a line past the limit is refused unread and the next one stands."""
    lines = json.dumps(patient(1)).encode() + b"\r\n\n" + b"{" + b"\n" + json.dumps(patient(2)).encode()
    assert [kind for _, _, kind in read("ndjson", lines)] == [Decoded, Refusal, Decoded]


def test_a_line_past_the_limit_is_refused_and_the_next_one_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overlong line is passed over in bounded chunks."""
    monkeypatch.setattr(reading, "LINE_BYTES_MAX", 200)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 64)
    lines = b"x" * 1_000 + b"\n" + json.dumps(patient(2)).encode() + b"\n"
    found = list(read_messages("f", "ndjson", io.BytesIO(lines), SourceSettings()))
    assert isinstance(found[0].decoded, Refusal)
    assert found[0].decoded.reason is RefusalReason.OVERSIZED
    assert isinstance(found[1].decoded, Decoded)


def test_a_gzip_stream_that_breaks_off_loses_nothing_before_the_break() -> None:
    """Every whole message before the break is read, and the break is one refusal more."""
    data = b"".join(adt(number, f"197001010000{number:02d}+0000") for number in range(50))
    packed = gzip.compress(data, mtime=0)
    stream = io.BufferedReader(Unpacking(io.BytesIO(packed[:-8])))
    found = list(read_messages("f", "hl7", stream, SourceSettings()))
    assert [type(a.decoded) for a in found] == [Decoded] * 50 + [Refusal]
    last = found[-1].decoded
    assert isinstance(last, Refusal)
    assert last.reason is RefusalReason.TRUNCATED


def test_an_arrival_shows_nothing_of_whom() -> None:
    """Printed, an arrival gives its format, its length and what became of it; no bytes, numbers, visit or file."""
    lines = adt(1, "19700101000001+0000").replace(b"PV1|1|I|W", b"PV1|1|I|W" + b"|" * 16 + b"VISIT9")
    for data in (lines.replace(b"7^^^H", b"4711^^^H"), lines.replace(b"7^^^H", b"^^^H4711")):
        [arrival] = read_messages("Doe_John", "hl7", io.BytesIO(data), SourceSettings())
        shown = repr(arrival) + str(arrival)
        assert not any(word in shown for word in ("4711", "VISIT9", "MSH", "Doe"))
        assert "hl7v2" in shown
