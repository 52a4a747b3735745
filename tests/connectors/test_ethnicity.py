"""Ethnicity is read where a site asks for it, by the table it names, and by nobody else."""

from __future__ import annotations

import gzip
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded
from connectors.ethnicity import CDC, NHS, of_cdc, of_nhs
from connectors.fhir import codec as fhir
from connectors.fhir.ethnicity import CDC_SYSTEM, ENGLAND_SYSTEM, UK_CATEGORY, US_ETHNICITY, US_RACE
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from events import Demographics, encode_envelope
from events.envelope import Envelope

HEADER = "MSH|^~\\&|EPIC|MAIN|||20260419121500||ADT^A08^ADT_A01|77|P|2.5\rEVN|A08|20260419121000\r"


def told(race: str = "", ethnic_group: str = "", table: str = "cdc") -> Any:
    """Give what an A08 says of ethnicity under a table."""
    pid = f"PID|1||42^^^HOSP^MR||Doe^J|||F||{race}||||||||||||{ethnic_group}"
    decoded = decode((HEADER + pid).encode(), Hl7Settings(ethnicity=table))
    assert isinstance(decoded, Decoded), decoded
    return next(event.ethnicity for event in decoded.events if type(event) is Demographics)


@pytest.mark.parametrize(
    ("race", "ethnic_group", "expected"),
    [
        ("2106-3^White^HL70005", "", "white"),
        ("2106-3^White^HL70005", "N^Not Hispanic^HL70189", "white"),
        ("2106-3", "H", "hispanic_or_latino"),
        ("", "2135-2^Hispanic or Latino^CDCREC", "hispanic_or_latino"),
        ("2106-3~2028-9", "U", "multiple"),
        ("2106-3~2106-3", "", "white"),
        ("W^White", "", None),
        ("", "", None),
        ('""', '""', None),
    ],
)
def test_the_american_tables(race: str, ethnic_group: str, expected: Any) -> None:
    """PID-10 by table 0005, PID-22 by 0189; a code that neither has says nothing, a name is never read."""
    assert told(race, ethnic_group) == expected


@pytest.mark.parametrize(
    ("race", "ethnic_group", "expected"),
    [
        ("A^White - British", "", "white"),
        ("", "N1^Black", "black"),
        ("A", "R", "asian"),
        ("A", "Z", "white"),
        ("Z", "", None),
        ("99", "", None),
        ("2106-3", "", None),
    ],
)
def test_the_nhs_table(race: str, ethnic_group: str, expected: Any) -> None:
    """In PID-22 first, else in PID-10, where British systems put it; not stated and not known say nothing."""
    assert told(race, ethnic_group, "nhs") == expected


def test_by_default_nothing_is_read() -> None:
    """Not even where the code is in the message: a site must ask for it, or a message of that alone says nothing."""
    assert told("2106-3", "H", "") is None
    pid = "PID|1||42^^^HOSP^MR||Doe^J|||||2106-3"
    header = HEADER.replace("A08", "A01")
    for table, found in (("", 0), ("cdc", 1)):
        decoded = decode((header + pid).encode(), Hl7Settings(ethnicity=table))
        assert isinstance(decoded, Decoded)
        assert sum(type(event) is Demographics for event in decoded.events) == found


@given(st.lists(st.text(max_size=6)), st.lists(st.text(max_size=6)))
def test_no_code_makes_it_fail(races: list[str], groups: list[str]) -> None:
    """Whatever senders write, the answer is a group of the list or nothing."""
    assert of_cdc(races, groups) in {*CDC.values(), "hispanic_or_latino", "multiple", None}
    assert of_nhs(races + groups) in {*NHS.values(), None}


def patient(*extensions: Any, on: bool = True) -> Any:
    """Give what a Patient's extensions say, and the notes."""
    resource = {"resourceType": "Patient", "id": "p1", "gender": "female", "extension": list(extensions)}
    [result] = fhir.decode(msgspec.json.encode(resource), FhirSettings(server="ehr", ethnicity=on))
    assert isinstance(result, Decoded), result
    [event] = [event for event in result.events if type(event) is Demographics]
    return event.ethnicity, result.notes


def us(url: str, *codes: str, system: str = CDC_SYSTEM) -> dict[str, Any]:
    parts = [{"url": "ombCategory", "valueCoding": {"system": system, "code": code}} for code in codes]
    return {"url": url, "extension": [*parts, {"url": "text", "valueString": "words"}]}


def uk(code: str, system: str = ENGLAND_SYSTEM) -> dict[str, Any]:
    return {"url": UK_CATEGORY, "valueCodeableConcept": {"coding": [{"system": system, "code": code}]}}


def test_us_core_and_uk_core() -> None:
    """The extensions of both are read by their URLs and systems; those of others are passed over."""
    assert patient(us(US_RACE, "2054-5"), us(US_ETHNICITY, "2186-5"))[0] == "black"
    assert patient(us(US_RACE, "2106-3", "2054-5"))[0] == "multiple"
    assert patient(us(US_RACE, "2106-3"), us(US_ETHNICITY, "2135-2"))[0] == "hispanic_or_latino"
    assert patient(uk("H"))[0] == "asian"
    assert patient({"url": "http://example.org/other", "valueString": "black"}) == (None, ())
    assert patient(us(US_RACE, "2054-5", system="urn:other"), uk("A", "urn:wales"))[0] is None


def test_an_extension_that_cannot_be_read_costs_only_itself() -> None:
    """Who this is must not be lost with it; off, it is not even looked at."""
    wrong = {"url": 7}
    assert patient(wrong) == (None, ("ethnicity_unreadable",))
    assert patient(wrong, on=False) == (None, ())
    assert patient(us(US_RACE, "2054-5"), on=False) == (None, ())


def test_an_event_without_it_has_the_bytes_it_always_had() -> None:
    """A log of before, and one of a site that does not record it, keeps its digests."""
    event = Demographics(0, "1950", "female", deceased=False)
    assert b"ethnicity" not in encode_envelope(Envelope("e", "p", 0, 0, (event,)))


def test_the_simulated_hospital_of_google(shared_data: Path) -> None:
    """Its PID-10 holds the NHS's categories: of each of its patients a group, but of those that are not stated."""
    packed = (shared_data / "hl7v2" / "simhospital" / "default_pathways.hl7.gz").read_bytes()
    found: Counter[str | None] = Counter()
    for message in gzip.decompress(packed).replace(b"\n", b"\r").split(b"\r\r"):
        decoded = decode(message.strip(b"\r"), Hl7Settings(ethnicity="nhs")) if message.strip() else None
        for event in decoded.events if isinstance(decoded, Decoded) else ():
            if type(event) is Demographics:
                found[event.ethnicity] += 1
    assert set(found) == {"white", "asian", "black", "multiple", "other", None}
    assert sum(found.values()) == 6_882
    assert (found["white"], found[None]) == (4_178, 27)


def test_synthea(shared_data: Path) -> None:
    """All sixty have both extensions; of three the race is the code of an ethnicity, and that says nothing."""
    found: Counter[str | None] = Counter()
    with tarfile.open(shared_data / "fhir" / "synthea" / "bundles.tar.xz") as packed:
        for member in packed:
            file = packed.extractfile(member)
            if file is None:
                continue
            for entry in msgspec.json.decode(file.read())["entry"]:
                if entry["resource"]["resourceType"] == "Patient":
                    data = msgspec.json.encode(entry["resource"])
                    [result] = fhir.decode(data, FhirSettings(ethnicity=True))
                    assert isinstance(result, Decoded)
                    found[next(event.ethnicity for event in result.events if type(event) is Demographics)] += 1
    assert found == {"white": 50, "black": 6, "asian": 1, None: 3}
