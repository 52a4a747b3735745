"""Mutated messages: whole ones of every kind that we read, damaged as wires, engines and people damage them.

Owns the seeds, and the ways of damage, which know segments, fields, JSON and delimiters. Must not know what a codec
makes of a mutant. The n-th mutant of a seed is a function of the two numbers alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_adt, render_oru
from events import Location

CANARY = "4242424242"
"""Every patient's number: it must stand in no refusal."""
BIG_EVERY = 2_500
"""One mutant in so many is grown to nearly a megabyte: what is slow on long input shows there."""
BIG_BYTES = 1_000_000
DAMAGES_MAX = 4
DEEP = "@deep@"
"""Stands in a tree for what is nested too deep for Python's own encoder."""

_PATIENT = Identifier("HOSP", CANARY)
_MARKS = "|^~\\&"


class Mutant(NamedTuple):
    """One mutated message: for which reader, and its bytes."""

    reader: str
    data: bytes


def _oru() -> bytes:
    return render_oru(
        control_id="1", sent_time=0, feed="A|B", patient=_PATIENT, encounter="V", location=Location("W", "1", "2"),
        observed_time=0, order="1",
        results=[Result("8867-4", value=72.0, unit="/min"), Result("67775-7", value=("loinc", "LA9340-6")),
                 Result("8310-5", value="<36.1"), Result("x", value="words")],
    )  # fmt: skip


HL7_SEEDS: tuple[bytes, ...] = (
    _oru(),
    *(
        render_adt(trigger, control_id="1", sent_time=0, feed="A|B", patient=_PATIENT, event_time=0,
                   location=Location("W"), retired=_PATIENT)
        for trigger in ("A01", "A02", "A03", "A08", "A40")
    ),
    b"MSH|^~\\&|L|M|||202604191200||ADT^A17|1|P|2.5.1\rEVN|A17|202604191200\r"
    b"PID|1||4242424242^^^HOSP^MR\rPV1|1|I|W^1^2\rPID|2||43^^^HOSP^MR\rPV1|2|I|W^1^1",
    b"MSH|^~\\&|L|M|||20260419120000+0200||ADT^A37|1|P|2.5.1\rEVN|A37|202604191200\rPID|1||4242424242^^^HOSP^MR\r"
    b"PID|2||43^^^HOSP^MR",
    b"MSH|^~\\&|L|M|||202604191200||ORU^R01|1|P|2.3||||||8859/1\nPID||4242424242^^^H|2~3\nORC|RE|P1|F1\n"
    b"OBR||||^X|||202604191155\nOBX||SN|A^B^MDC~&|1|>^1^-^2~\\X41\\|mg/dL|||||C|||20260419\nSPM||||Z\nNTE|1||n\nZAB|x",
    b"MSH|^~\\&|PCD|ICU|||20260419120000.123+0000||ORU^R01^ORU_R01|9|P|2.6|||AL|NE||UNICODE UTF-8\r"
    b"PID|||4242424242^^^H^PI\rPV1||I|ICU^1^9\rOBR|1|a|b|69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|||20260419120000\r"
    b"OBX|1||69965^MDC_DEV_MON^MDC|1.0.0.0|||||||X\rOBX|2|NM|147842^MDC_ECG_HEART_RATE^MDC|1.1.1.1|72|264864^MDC_DIM^MDC|"
    b"||||R|||20260419120000||||dev",
)  # fmt: skip

_OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation", "id": "o1", "meta": {"versionId": "2", "lastUpdated": "2026-01-01T12:00:00Z"},
    "status": "final", "subject": {"reference": f"Patient/{CANARY}"}, "encounter": {"reference": "Encounter/e1"},
    "effectiveDateTime": "2026-01-01T12:00:00+01:00", "issued": "2026-01-01T12:00:00.123Z",
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "display": "BP"}], "text": "BP"},
    "bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": "368209003"}]},
    "component": [
        {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
         "valueQuantity": {"value": 120, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}},
        {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]},
         "dataAbsentReason": {"coding": [{"code": "unknown"}]}},
    ],
}  # fmt: skip
_PATIENT_FORM: dict[str, Any] = {
    "resourceType": "Patient", "id": CANARY, "identifier": [{"use": "usual", "system": "urn:x", "value": CANARY}],
    "gender": "female", "birthDate": "1942-09-02", "deceasedBoolean": False,
    "link": [{"other": {"reference": "Patient/old"}, "type": "replaces"}],
}  # fmt: skip
_ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter", "id": "e1", "status": "in-progress", "class": {"code": "IMP"},
    "subject": {"reference": f"Patient/{CANARY}"}, "period": {"start": "2026-01-01T10:00:00Z"},
    "location": [{"location": {"reference": "Location/w", "display": "W"}, "status": "active"}],
    "hospitalization": {"dischargeDisposition": {"coding": [{"code": "exp"}]}},
}  # fmt: skip
FHIR_SEEDS: tuple[dict[str, Any], ...] = (
    _OBSERVATION,
    {key: value for key, value in _OBSERVATION.items() if key != "component"}
    | {"valueQuantity": {"value": 36.8, "unit": "C", "comparator": "<"}},
    _PATIENT_FORM,
    _ENCOUNTER,
    {"resourceType": "Bundle", "type": "history", "timestamp": "2026-01-01T12:00:00Z", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": _PATIENT_FORM, "request": {"method": "PUT", "url": "Patient/1"}},
        {"fullUrl": "urn:uuid:2", "resource": _OBSERVATION},
        {"resource": {"resourceType": "Location", "id": "w", "name": "Ward", "partOf": {"reference": "Location/h"}}},
        {"resource": _ENCOUNTER}, {"request": {"method": "DELETE", "url": "Observation/9"}},
    ]},
    {"resourceType": "Basic", "id": "b"},
)  # fmt: skip
ACT_SEEDS: tuple[dict[str, Any], ...] = (
    {"act_id": "5f1c4cf9-0000-4000-8000-000000000001", "patient": "0" * 32, "at": "2026-01-01T12:00:00Z",
     "alert_id": "a-1", "kind": "acknowledge"},
    {"act_id": "5f1c4cf9-0000-4000-8000-000000000002", "patient": "0" * 32, "at": "2026-01-01T12:00:00Z",
     "kind": "limit", "limit_id": "l-1", "limit": "thresholds", "expires_at": "2026-01-03T12:00:00Z",
     "reason": "known_baseline", "thresholds": {"notify_at": 7, "interrupt_at": 9, "tell_red": False}},
)  # fmt: skip

SCRAPS: tuple[str, ...] = (
    "", "|", "^", "~", "\\", "&", "\r", "\n", '""', "\x00", "\x0b", "\x1c", "\ufeff", "MSH|^~\\&|", "\rOBX|",
    "\rPID|", "\\X", "\\X4", "\\X41\\", "\\F\\", "\\.br\\", "\\Zxx\\", "9" * 40, "1e308", "-0", "NaN", "1.2.3",
    "٣٦", "µmol/L", "°C", "20260230", "20261399250000", "20260419120000+9999", "202604191200-0000", "0000",
    "20261025013000", "ADT^A01", "ORU^R01", "ORU^R01^ORU_R01", "ACK", "2.5.1", "2.99", "UNICODE UTF-8", "8859/15",
    "EBCDIC", "MR", "NM", "CWE", "ED", "C", "D", "W", "Z" * 300, "\\" * 9, "^" * 50, "~" * 50, "&" * 50, "|" * 50,
    "<0.1", ">=", "1:128", "7,2", "\ud800", "😀",
)  # fmt: skip
JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**30, 1e308, 5e-324, "", "x", "null", [], {}, [[]], [None], {"a": {}},
    "2026-02-30", "2026-01-01T25:00:00Z", "2026-01-01T12:00:00", "Patient/", "#c", "urn:uuid:", "Patient/1/_history/2",
    "http://h/fhir/Patient/1", "final", "entered-in-error", "Observation", "Bundle", "\u0000", "😀", "Z" * 300,
)  # fmt: skip
_RESOURCES = ("Observation", "Patient", "Encounter", "Bundle", "Location", "Basic", "", "X")


def mutant(seed: int, number: int) -> Mutant:
    """Make a mutant.

    >>> mutant(1, 7) == mutant(1, 7), mutant(1, 7) == mutant(2, 7)
    (True, False)
    """
    random = Random(f"{seed}:{number}")  # noqa: S311 - seeded on purpose, guards nothing
    kind = random.choices(("hl7v2", "fhir", "framed", "wire", "lines", "act"), (52, 34, 5, 4, 3, 2))[0]
    big = number % BIG_EVERY == 0
    if kind in ("hl7v2", "framed", "wire"):
        data = _hl7(random, big=big)
        if kind != "hl7v2":
            data = _framed(random, data)
        return Mutant(kind, data)
    seeds = ACT_SEEDS if kind == "act" else FHIR_SEEDS
    data = _json(random, seeds, big=big and kind != "act")
    if kind == "lines":
        parts = [data.replace(b"\n", b" "), *(_json(random, seeds, big=False) for _ in range(random.randrange(3)))]
        data = random.choice((b"\n", b"\r\n", b"\n\n", b" ")).join(parts)
    return Mutant(kind, data)


# -- HL7 v2 ----------------------------------------------------------------------------------------------------------


def _hl7(random: Random, *, big: bool) -> bytes:
    text = random.choice(HL7_SEEDS).decode("latin-1")
    lines = text.replace("\n", "\r").split("\r")
    for _ in range(random.randint(1, DAMAGES_MAX)):
        random.choice(_HL7_DAMAGES)(random, lines)
    if big:
        _grow(random, lines)
    text = random.choice(("\r", "\r", "\r", "\n", "\r\n")).join(lines)
    return _damaged_bytes(random, _encoded(random, text))


def _encoded(random: Random, text: str) -> bytes:
    name = random.choices(("utf-8", "latin-1", "utf-16", "cp1252"), (90, 6, 2, 2))[0]
    return text.encode(name, "surrogatepass" if name.startswith("utf") else "replace")


def _at(random: Random, lines: list[str]) -> int:
    return random.randrange(len(lines)) if lines else 0


def _drop(random: Random, lines: list[str]) -> None:
    del lines[_at(random, lines) : _at(random, lines) + 1]


def _repeat(random: Random, lines: list[str]) -> None:
    if lines:
        at = _at(random, lines)
        lines[at:at] = [lines[at]] * random.randint(1, 5)


def _move(random: Random, lines: list[str]) -> None:
    if lines:
        lines.insert(_at(random, lines), lines.pop(_at(random, lines)))


def _borrow(random: Random, lines: list[str]) -> None:
    other = random.choice(HL7_SEEDS).decode("latin-1").replace("\n", "\r").split("\r")
    lines.insert(_at(random, lines), random.choice(other))


def _put(random: Random, lines: list[str]) -> None:
    """Put a scrap into a field, in its place or beside what is there."""
    if lines:
        at = _at(random, lines)
        fields = lines[at].split("|")
        place = random.randrange(1, len(fields) + 2)
        fields += [""] * (place + 1 - len(fields))
        scrap = random.choice(SCRAPS)
        fields[place] = scrap if random.random() < 0.6 else fields[place] + scrap
        lines[at] = "|".join(fields)


def _part(random: Random, lines: list[str]) -> None:
    """Put a scrap into one component of a field."""
    if lines:
        at = _at(random, lines)
        fields = lines[at].split("|")
        place = random.randrange(len(fields))
        mark = random.choice("^~&")
        parts = fields[place].split(mark)
        parts.insert(random.randrange(len(parts) + 1), random.choice(SCRAPS))
        fields[place] = mark.join(parts)
        lines[at] = "|".join(fields)


def _shorten(random: Random, lines: list[str]) -> None:
    if lines:
        at = _at(random, lines)
        fields = lines[at].split("|")
        del fields[random.randrange(len(fields)) :]
        lines[at] = "|".join(fields)


def _other_marks(random: Random, lines: list[str]) -> None:
    """Give the message other delimiters, all of it or MSH alone."""
    table = str.maketrans(dict(zip(_MARKS, random.sample("|^~\\&#$%!*@;,/?_=<>aA1 \t", 5), strict=True)))
    for at in range(len(lines) if random.random() < 0.7 else min(1, len(lines))):
        lines[at] = lines[at].translate(table)


_HL7_DAMAGES: tuple[Callable[[Random, list[str]], None], ...] = (
    _drop, _repeat, _move, _borrow, _put, _put, _put, _put, _part, _part, _part, _shorten, _other_marks,
)  # fmt: skip


def _grow(random: Random, lines: list[str]) -> None:
    """Make it nearly a megabyte: many segments, one long field, many repetitions, or many escapes."""
    unit = random.choice((lines[-1] if lines else "", "OBX|1|NM|8867-4^HR^LN||72|/min|||||F", "PID|1", "ZZZ"))
    way = random.randrange(5)
    if way == 0:
        lines += [unit] * (BIG_BYTES // (len(unit) + 1))
        return
    filler = ("x", "~1", "^a", "\\X41\\", "\\")[way - 1 if random.random() < 0.5 else random.randrange(5)]
    at = _at(random, lines)
    if lines:
        fields = lines[at].split("|")
        place = random.randrange(len(fields))
        fields[place] = filler * (BIG_BYTES // len(filler))
        lines[at] = "|".join(fields)


# -- JSON ------------------------------------------------------------------------------------------------------------


def _json(random: Random, seeds: tuple[dict[str, Any], ...], *, big: bool) -> bytes:
    document = json.loads(json.dumps(random.choice(seeds)))
    for _ in range(random.randint(1, DAMAGES_MAX)):
        document = _damaged(random, document)
    if big:
        document = _grown(random, document)
    text = json.dumps(document, ensure_ascii=random.random() < 0.5, separators=(",", ":"))
    levels = random.choice((50, 600, 40_000))
    text = text.replace(f'"{DEEP}"', '{"contained":[' * levels + "]}" * levels)
    if random.random() < 0.05:  # a key twice
        text = text.replace('"status":', '"status":1,"status":', 1)
    return _damaged_bytes(random, text.encode("utf-8", "surrogatepass"))


def _nodes(document: Any) -> list[tuple[Any, Any]]:
    """Give every (container, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    rest = [document]
    while rest:
        node = rest.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                rest.append(node[key])
    return found


def _junk(random: Random) -> Any:
    """Give a piece of its own: what is damaged next may be that very piece, and no other message must have it."""
    return deepcopy(random.choice(JUNK))


def _damaged(random: Random, document: Any) -> Any:
    nodes = _nodes(document)
    if not nodes:
        return _junk(random)
    container, key = random.choice(nodes)
    way = random.randrange(7)
    if way == 0:
        del container[key]
    elif way == 1:
        container[key] = _junk(random)
    elif way == 2:
        container[key] = [container[key]] if random.random() < 0.5 else {"value": container[key]}
    elif way == 3:
        other, place = random.choice(nodes)
        container[key] = json.loads(json.dumps(other[place])) if place in other or isinstance(place, int) else None
    elif way == 4 and isinstance(container, dict):
        container[random.choice(("resourceType", "id", "status", "value", "reference", "valueString", "x", ""))] = (
            _junk(random)
        )
    elif way == 5 and isinstance(document, dict):
        document["resourceType"] = random.choice(_RESOURCES)
    elif way == 6:
        return {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": document}] * random.randint(1, 3)}
    return document


def _grown(random: Random, document: Any) -> Any:
    """Make it nearly a megabyte: many entries or components, one long text, or deep nesting."""
    way = random.randrange(4)
    size = max(1, len(json.dumps(document)))
    if way == 0:
        entry = [{"resource": document}] * min(20_000, BIG_BYTES // (size + 14))
        return {"resourceType": "Bundle", "type": "collection", "entry": entry}
    if not isinstance(document, dict):
        return document
    if way == 1:
        document["component"] = [{"code": {"text": "x"}, "valueInteger": 1}] * (BIG_BYTES // 50)
    elif way == 2:
        document["valueString"] = random.choice(("x", "\\", "😀", "\u0000")) * (BIG_BYTES // 8)
    else:
        document["text"] = DEEP
    return document


# -- bytes -----------------------------------------------------------------------------------------------------------


def _damaged_bytes(random: Random, data: bytes) -> bytes:
    if random.random() < 0.65:
        return data
    for _ in range(random.randint(1, 2)):
        at = random.randrange(len(data) + 1)
        way = random.randrange(5)
        if way == 0:
            data = data[:at]
        elif way == 1:
            data = data[:at] + random.randbytes(random.randint(1, 3)) + data[at + 1 :]
        elif way == 2:
            data = data[:at] + data[at + random.randint(1, 40) :]
        elif way == 3:
            data = data[: at + 40] + data[at:]
        else:
            data = data[:at] + random.choice(SCRAPS).encode("utf-8", "surrogatepass") + data[at:]
    return data


def _framed(random: Random, data: bytes) -> bytes:
    """Put it among others as a file or a connection has them: framed, in a batch, one after another, cut."""
    other = random.choice(HL7_SEEDS)
    way = random.randrange(5)
    if way == 0:
        data = b"\x0b" + data + b"\x1c\r\x0b" + other + b"\x1c\r"
    elif way == 1:
        data = (
            b"FHS|^~\\&\rBHS|^~\\&\r"
            + data
            + b"\r"
            + other
            + b"\rBTS|"
            + str(random.randrange(4)).encode()
            + b"\rFTS|1\r"
        )
    elif way == 2:
        data = other + b"\r\r" + data + b"\r" + other
    elif way == 3:
        data = b"\x0b" + data + b"\x0b" + other + b"\x1c"
    else:
        data = b"\x0b" + data + random.choice((b"\x1c", b"\x1cX", b"\r", b"")) + other
    return _damaged_bytes(random, data)
