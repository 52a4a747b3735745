"""Bedside monitors and a record's decisions through the whole embedded service: bytes in, alerts out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.decoded import RefusalReason
from connectors.fhir.codec import decode as decode_fhir
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.routes import Route
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from events import Envelope, to_iso
from stream.parse import DeadLetter
from stream.settings import Settings, configuration_text
from tests.stream.conftest import Ward

PROFILE = "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"
ROWS = {
    "rr": "151562^MDC_RESP_RATE^MDC|1.2.2.151562|{}|264928^MDC_DIM_RESP_PER_MIN^MDC",
    "spo2": "150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3.1.150456|{}|262688^MDC_DIM_PERCENT^MDC",
    "hr": "149530^MDC_PULS_OXIM_PULS_RATE^MDC|1.3.1.149530|{}|264864^MDC_DIM_BEAT_PER_MIN^MDC",
}
SECOND = 1 / 60
SCALE_2 = "http://snomed.info/sct|1101000175101"


def second(ward: Any, minute: float, **values: float) -> None:
    """One second of a bedside monitor of patient 1."""
    at = to_iso(ward.at(minute)).replace("-", "").replace(":", "").replace("T", "").replace("Z", "+0000")
    rows = [f"OBX|{n}|NM|{ROWS[name].format(value)}|||||R" for n, (name, value) in enumerate(values.items(), 1)]
    lines = [
        f"MSH|^~\\&|MON|BED12|||{at}||ORU^R01^ORU_R01|M{len(ward.sent)}|P|2.6|||AL|NE||UNICODE UTF-8|||{PROFILE}",
        "PID|||1^^^MRN^MR",
        f"OBR|1|{len(ward.sent)}^MON|{len(ward.sent)}^MON|182777000^monitoring of patient^SCT|||{at}",
        *rows,
    ]
    assert type(ward.send("\r".join(lines).encode(), minute)) is Envelope


def told(ward: Any) -> list[tuple[str, str]]:
    return [(alert["state"], alert["reason"]) for alert in ward.alerts("1", "news2_floor")]


def test_a_monitor_does_not_drown_a_nurse(ward: Any) -> None:
    """A red rate that a nurse counted stays told while the monitor tells a normal one each second."""
    ward.admit("1")
    ward.chart("1", 10, {"rr": 26.0}, observed=10)
    for n in range(1, 120):
        second(ward, 10 + n * SECOND, rr=15, spo2=97, hr=74)
    ward.pass_time(20)
    assert told(ward) == [("raised", "new_red")]
    assert ward.tally().intakes["thinned"] > 300


def test_a_monitors_emergency_is_told_in_its_own_second(ward: Any) -> None:
    """Amid a flood of normal seconds, and beside a nurse's normal entry, the first second of an emergency is told."""
    ward.admit("1")
    for n in range(30):
        second(ward, 10 + n * SECOND, rr=15, spo2=97, hr=74)
    ward.chart("1", 10.5, {"rr": 16.0}, observed=10.5)
    assert told(ward) == []
    second(ward, 10 + 31 * SECOND, rr=31, spo2=82, hr=139)
    [alert] = ward.alerts("1", "news2_floor")
    assert (alert["state"], alert["priority"], alert["received_time"]) == (
        "raised",
        "interrupt",
        to_iso(ward.at(10 + 31 * SECOND)),
    )


@pytest.fixture
def charting(tmp_path: Path) -> Any:
    """Give a ward whose site lets one practitioner's Flags set SpO2 scale 2."""
    fhir = FhirSettings(
        server="ehr", limits={SCALE_2: "scale_2"}, limit_authors=("Practitioner/17",), authorities={"urn:mrn": "MRN"}
    )
    return Ward(tmp_path, settings=Settings(fhir=fhir))


def flag(ward: Any, minute: float, **changes: Any) -> Any:
    system, _, code = SCALE_2.partition("|")
    resource = {
        "resourceType": "Flag",
        "id": "f1",
        "meta": {"lastUpdated": to_iso(ward.at(minute))},
        "status": "active",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"identifier": {"system": "urn:mrn", "value": "1"}},
        "period": {"end": to_iso(ward.at(minute + 600))},
        "author": {"reference": "Practitioner/17"},
        **changes,
    }
    data = msgspec.json.encode(resource)
    [decoded] = decode_fhir(data, ward.release.settings.fhir)
    return ward.service.accept([Arrival(f"flag#{minute}", ward.at(minute), data, "fhir", decoded)])[0]


def test_a_named_authors_flag_changes_the_scale(charting: Any) -> None:
    """SpO2 90 on air is red until the Flag, is none on scale 2, and is again when the Flag is inactive."""
    ward = charting
    ward.admit("1")
    ward.chart("1", 10, {"spo2": 90.0, "fio2": 21.0}, observed=10)
    assert told(ward) == [("raised", "new_red")]
    assert type(flag(ward, 11)) is Envelope
    ward.chart("1", 12, {"spo2": 90.0, "fio2": 21.0}, observed=12)
    assert ward.score("1")["news2"]["spo2"] == 0
    assert type(flag(ward, 13, status="inactive", author={"reference": "Practitioner/99"})) is Envelope
    assert ward.score("1")["news2"]["spo2"] == 3


def test_anothers_flag_is_a_dead_letter(charting: Any) -> None:
    """A Flag of somebody whom the site has not named changes nothing, and is seen."""
    ward = charting
    ward.admit("1")
    refused = flag(ward, 11, author={"reference": "Practitioner/18"})
    assert type(refused) is DeadLetter
    assert refused.reason is RefusalReason.NOT_ENTITLED
    ward.chart("1", 12, {"spo2": 90.0, "fio2": 21.0}, observed=12)
    assert ward.score("1")["news2"]["spo2"] == 3


def test_configurations_of_before_keep_their_names() -> None:
    """A site that chose none of it has the configuration text that it had."""
    for name in ("limits", "limit_authors", "pregnancy_conditions"):
        assert f'"{name}"' not in configuration_text(Settings())
    routes = [Hl7Settings(routes=(Route("monitors", port=2576, devices=on),)) for on in (False, True)]
    assert ['"devices"' in configuration_text(Settings(hl7=one)) for one in routes] == [False, True]
    chosen = FhirSettings(pregnancy_conditions=("http://snomed.info/sct|77386006",))
    assert '"pregnancy_conditions"' in configuration_text(Settings(fhir=chosen))


def test_doctor_asks_who_may_write_a_flag(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Flags set limits and anybody may send FHIR, doctor finds that wrong."""
    config = tmp_path / "wardstream.toml"
    config.write_text(f'[fhir]\nlimit_authors = ["Practitioner/17"]\n[fhir.limits]\n"{SCALE_2}" = "scale_2"\n')
    monkeypatch.delenv("WARDSTREAM_HTTP_TOKEN", raising=False)
    done = cli("doctor", "--config", config)
    assert done.code == 1
    assert "whoever reaches POST /fhir can set them" in done.out.replace("\n", " ")
    monkeypatch.setenv("WARDSTREAM_HTTP_TOKEN", "x" * 40)
    assert "whoever reaches POST /fhir" not in cli("doctor", "--config", config).out.replace("\n", " ")
