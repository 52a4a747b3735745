"""Claims about Philips' code numbers, in messages shaped as its monitors and information centres send them."""

from __future__ import annotations

import pytest

from connectors.decoded import Decoded
from connectors.hl7v2.codec import decode
from connectors.hl7v2.mdil import mdc_number
from connectors.hl7v2.routes import Route
from connectors.hl7v2.settings import Hl7Settings
from events import Correction, Observation, from_iso
from features.catalogue import default_catalogue
from features.state import PatientState
from models.news2 import score_news2

NOON = from_iso("2026-03-03T12:00:00Z")
ROUND = (
    "NM|0002-4bb8^SpO2^MDIL|0|95|0004-0220^%^MDIL|||||F",
    "NM|0002-5000^Resp^MDIL|0|21|0004-0ae0^rpm^MDIL|||||F",
    "NM|0002-4182^HR^MDIL|0|92|0004-0aa0^bpm^MDIL|50-120||||F",
    "NM|0002-4a05^NBPs^MDIL|0|108|0004-0f20^mmHg^MDIL|||||F",
    "NM|0002-4a06^NBPd^MDIL|0|61|0004-0f20^mmHg^MDIL|||||F",
    "NM|0002-4a07^NBPm^MDIL|0|77|0004-0f20^mmHg^MDIL|||||F",
    "NM|0002-4b60^Tcore^MDIL|0|99.5|0004-1140^F^MDIL|||||F",
)


def monitor(*rows: str) -> bytes:
    """Make a message of an information centre: no sender, no OBX-1, OBX-14 nor coding system of the order."""
    lines = ("MSH|^~\\&|||||||ORU^R01|HP1001|P|2.3||||||8859/1", "PID|||4711||^^^^^^L", "PV1||I|^^Bett1&5&1")
    return "\r".join((*lines, "OBR|||||||20260303120000", *(f"OBX||{row}" for row in rows))).encode()


def read(*rows: str) -> list[Observation | Correction]:
    decoded = decode(monitor(*rows), Hl7Settings())
    assert isinstance(decoded, Decoded), decoded
    return [event for event in decoded.events if isinstance(event, Observation | Correction)]


def test_a_round_of_a_monitor_is_scored() -> None:
    """Codes and units in hexadecimal halves are read as the standard's, and the fever of 99.5 degrees F is 37.5."""
    state = PatientState()
    for event in read(*ROUND):
        assert isinstance(event, Observation)
        assert state.observe(event, NOON, "m").outcome == "accepted", event
    found = {name: state.latest(name, NOON) for name in ("spo2", "respiration_rate", "heart_rate", "systolic_bp")}
    assert [value.value for value in found.values() if value is not None] == [95, 21, 92, 108]
    temperature = state.latest("temperature", NOON)
    assert temperature is not None
    assert temperature.value == pytest.approx(37.5)
    score = score_news2(state, NOON)
    assert (score.respiration_rate, score.spo2, score.systolic_bp, score.pulse, score.temperature) == (2, 1, 1, 1, 0)


def test_the_code_as_sent_stands_behind_the_standards() -> None:
    """Both are in the event, so that a site's own map of MDIL codes goes on, also under a name of its route."""
    [event] = read(ROUND[0])
    assert isinstance(event, Observation)
    assert event.codings == (("mdc", "150456"), ("MDIL", "0002-4bb8"))
    named = monitor(ROUND[0]).replace(b"&|||", b"&|PIC|MAIN|", 1)
    decoded = decode(named, Hl7Settings(routes=(Route("m", sender="PIC|*", codes="CENTRE"),)))
    assert isinstance(decoded, Decoded)
    renamed = decoded.events[-1]
    assert isinstance(renamed, Observation)
    assert renamed.codings == (("mdc", "150456"), ("CENTRE", "0002-4bb8"))


def test_what_the_monitor_cannot_measure_takes_nothing_back() -> None:
    """A question mark on the screen (no value, OBX-11 X) is a reading that is not available, and no withdrawal."""
    [event] = read("NM|0002-4bb8^SpO2^MDIL|||0004-0220^%^MDIL|||||X")
    assert isinstance(event, Observation)
    assert (event.value, event.status, event.absent_reason) == (None, "final", "unknown")


@pytest.mark.parametrize(
    "code",
    [
        "0002-f0c7",
        "0002-F0E5",
        "0401-0b54",
        "0402-f8f5",
        "0007-f0c7",
        "0002-4bb",
        "0002-4bb8 ",
        "00024bb8",
        "2-4bb8",
        "",
    ],
)
def test_a_vendors_own_term_is_no_number_of_the_standard(code: str) -> None:
    """Private terms (a temperature T1 of no said site), other partitions and other forms stay what they are."""
    assert mdc_number(code) == ""


@pytest.mark.parametrize("code", ["0002-4a47", "0002-4a1d", "0002-4261", "0002-4bb0"])
def test_what_is_no_vital_sign_stays_unmapped(code: str) -> None:
    """Central venous and pulmonary pressure, extrasystoles and perfusion are nothing that is asked for."""
    assert default_catalogue().resolve((("mdc", mdc_number(code)),)) is None


def test_another_system_is_not_read_so() -> None:
    """A code of that form under another system's name is that system's."""
    [event] = read(ROUND[0].replace("^MDIL|0", "^99LAB|0"))
    assert isinstance(event, Observation)
    assert event.codings == (("99LAB", "0002-4bb8"),)
