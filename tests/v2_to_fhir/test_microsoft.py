"""Our rendering of Microsoft's ADT messages beside the FHIR that its converter is expected to make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded
from connectors.fhir.v2_rendition import resources_of
from connectors.hl7v2.codec import decode
from tests.v2_to_fhir.cases import SETTINGS

NAMES = [f"ADT-A0{trigger}-0{number}" for trigger in range(1, 9) for number in (1, 2)]
STATUS_DIFFERS = {
    "ADT-A01": "PV1-2 is P: planned, by the guide's PatientClass[EncounterStatus]; theirs goes by the trigger",
    "ADT-A04": "the same",
    "ADT-A08": "theirs is guessed from PV1-45 and PV1-2; an update tells us of no status",
}
PARTS = {"si": "facility", "ro": "room", "bd": "bed"}


def resources(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in found if one["resourceType"] == kind]


def code_of(location: dict[str, Any]) -> str:
    return location.get("physicalType", {}).get("coding", [{}])[0].get("code", "")


@pytest.mark.parametrize("name", NAMES)
def test_what_we_keep_is_what_microsofts_converter_gives(name: str, shared_data: Path) -> None:
    """Sex, birth date, death, numbers, visit, class, disposition and place are the same; where not, it is named."""
    folder = shared_data / "hl7v2" / "microsoft"
    decoded = decode((folder / "messages" / f"{name}.hl7").read_bytes(), SETTINGS)
    assert isinstance(decoded, Decoded)
    ours = resources_of(decoded)
    written = (folder / "expected_fhir" / name[:7].replace("-", "_") / f"{name}-expected.json").read_text("utf-8-sig")
    theirs = [entry["resource"] for entry in msgspec.json.decode(written)["entry"]]
    patient, other = resources(ours, "Patient")[0], resources(theirs, "Patient")[0]
    assert (patient["gender"], patient["birthDate"]) == (other["gender"], other["birthDate"])
    assert patient["deceasedBoolean"] == ("deceasedDateTime" in other or other["deceasedBoolean"])
    assert {one["value"] for one in patient["identifier"]} <= {one["value"] for one in other["identifier"]}
    named = {(code_of(one), one.get("name")) for one in resources(theirs, "Location")}
    placed = [(code_of(one), one["identifier"][0]["value"]) for one in resources(ours, "Location")]
    assert {one for one in placed if one[0] in PARTS} <= named
    for encounter in resources(ours, "Encounter"):
        expected = resources(theirs, "Encounter")[0]
        assert encounter["identifier"][0]["value"] == expected["identifier"][0]["value"]
        assert encounter["class"]["code"] in {"UNK", expected["class"]["code"]}
        assert (encounter["status"] == expected["status"]) is (name[:7] not in STATUS_DIFFERS)
        left = encounter.get("hospitalization", {}).get("dischargeDisposition")
        if left is not None:
            assert left["coding"][0]["code"] == expected["hospitalization"]["dischargeDisposition"]["coding"][0]["code"]


def test_every_message_of_theirs_is_compared(shared_data: Path) -> None:
    """The list above is all of them."""
    there = sorted(path.stem for path in (shared_data / "hl7v2" / "microsoft" / "messages").glob("*.hl7"))
    assert there == NAMES
