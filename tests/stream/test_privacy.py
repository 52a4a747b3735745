"""Nobody is named: no record number, visit, name or birth date in any file, on any screen, in any error."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from connectors.decoded import Identifier
from connectors.fhir.render import render_bundle, render_encounter, render_observation, render_patient
from connectors.hl7v2.render import Result, render_adt, render_oru
from events import MILLIS_PER_MINUTE, Location

START = 1_767_225_600_000
MRN, VISIT, NAME, BORN = "QX4711", "VISIT88", "Ofelia^Quixotte", "19521103"
NAMES = (MRN, VISIT, "Ofelia", "Quixotte", BORN, "1952-11-03")
OUTPUTS = ("scores.ndjson", "alerts.ndjson", "suppressed.ndjson", "dead_letters.ndjson", "summary.json", "digest.txt")


def adt(trigger: str, number: int, **fields) -> bytes:
    at = START + number * MILLIS_PER_MINUTE
    return render_adt(
        trigger,
        control_id=f"C{number}",
        sent_time=at,
        feed="PAS|MAIN",
        patient=Identifier("HOSP", MRN),
        event_time=at,
        encounter=VISIT,
        location=Location("Ward A", "1", "12"),
        birth_date="1952-11-03",
        sex="female",
        name=NAME,
        **fields,
    )


def oru(number: int, *results: Result) -> bytes:
    at = START + number * MILLIS_PER_MINUTE
    return render_oru(
        control_id=f"C{number}",
        sent_time=at,
        feed="MONITOR|WARD",
        patient=Identifier("HOSP", MRN),
        encounter=VISIT,
        location=Location("Ward A", "1", "12"),
        observed_time=at,
        order=f"O{number}",
        results=results,
        name=NAME,
        birth_date="1952-11-03",
    )


def traffic() -> bytes:
    """A stay with an emergency, and the same messages broken in every place they can break."""
    sick = (Result("9279-1", value=30.0, unit="/min"), Result("59408-5", value=80.0, unit="%"))
    said = Result("8867-4", value=f"as told by {NAME}", unit="/min")
    whole = [
        adt("A01", 1),
        oru(2, *sick),
        oru(3, *sick, said, Result("8310-5", value=6932.0, unit="Cel")),
        adt("A40", 4, retired=Identifier("HOSP", MRN + "0")),
        adt("A03", 9),
    ]
    broken = [
        whole[1][:-60],
        whole[0].replace(b"ADT^A01", b"ADT^A99").replace(b"C1|", b"C11|"),
        whole[1].replace(b"^^^HOSP", b"^^^HOSP~^^^OTHER"),
        whole[1].replace(b"PID|1||", b"PID|1|||"),
        whole[1].replace(b"|20260101000200+0000|", b"|yesterday|"),
        whole[1].replace(b"UNICODE UTF-8", b"MARTIAN"),
        whole[1].replace(b"|F\r", b"|F|||noon\r"),
        whole[1] + whole[0].split(b"\r")[2].replace(MRN.encode(), b"OTHER") + b"\r",
        f"{MRN} {NAME} {BORN}\r".encode(),
    ]
    return b"".join(whole + broken)


def fhir_traffic() -> bytes:
    """The same in FHIR, whole and broken."""
    at = START + MILLIS_PER_MINUTE
    who = render_patient(
        patient=Identifier("HOSP", MRN), patient_id=MRN, birth_date="1952-11-03", sex="female", deceased=None,
        last_updated=at,
    )  # fmt: skip
    stay = render_encounter(
        encounter_id=VISIT, patient_id=MRN, status="in-progress", location=Location(ward="Ward A"), start=at, end=None,
        patient_class="I", disposition="", last_updated=at,
    )  # fmt: skip
    pulse = render_observation(
        observation_id="o1", patient_id=MRN, encounter_id=VISIT, codings=[("loinc", "9279-1")], value=40.0,
        unit="/min", event_time=at, issued=at, status="final",
    )  # fmt: skip
    broken = [
        who.replace(b'"1952-11-03"', f'"{NAME}"'.encode()),
        who.replace(b'"female"', b'["female"]'),
        stay.replace(b'"in-progress"', f'"{NAME}"'.encode()),
        pulse.replace(b'"/min"', f'"{NAME}"'.encode()),
        pulse.replace(b"Patient/", b"Ofelia/"),
        pulse[:-20],
    ]
    return b"\n".join([render_bundle([who, stay]), pulse, *broken]) + b"\n"


def assert_nobody_named(folder: Path, done) -> None:
    for name in OUTPUTS:
        text = (folder / name).read_text()
        assert not [word for word in NAMES if word in text], name
    assert not [word for word in NAMES if word in done.out + done.err]


def test_a_replay_of_hl7_names_nobody(tmp_path, cli):
    """Every output file and both streams of a run over named, whole and broken messages hold no name or number."""
    (tmp_path / "feed.hl7").write_bytes(traffic())
    done = cli("replay", tmp_path / "feed.hl7", "--out", tmp_path / "out")
    assert done.code == 3
    assert (tmp_path / "out" / "dead_letters.ndjson").read_text().count("\n") >= 5
    assert (tmp_path / "out" / "alerts.ndjson").read_bytes()
    assert_nobody_named(tmp_path / "out", done)


def test_a_replay_of_fhir_names_nobody(tmp_path, cli):
    """A Patient's and an Encounter's own ids are identifiers too: no file and no stream shows them."""
    (tmp_path / "feed.ndjson").write_bytes(fhir_traffic())
    done = cli("replay", tmp_path / "feed.ndjson", "--out", tmp_path / "out")
    assert done.code == 3
    assert (tmp_path / "out" / "scores.ndjson").read_bytes()
    assert_nobody_named(tmp_path / "out", done)


def test_identified_output_is_asked_for(tmp_path, cli):
    """Only --identified puts the source's number in the place of the pseudonym."""
    (tmp_path / "feed.hl7").write_bytes(traffic())
    cli("replay", tmp_path / "feed.hl7", "--out", tmp_path / "out", "--identified", "--quiet")
    assert MRN in (tmp_path / "out" / "scores.ndjson").read_text()


def test_a_site_s_key_changes_every_pseudonym(tmp_path, cli, monkeypatch):
    """With a site's own key the pseudonyms are others than the public ones, and the same again with the same key."""
    (tmp_path / "feed.hl7").write_bytes(traffic())
    seen = []
    for name, key in (("none", ""), ("one", "k1"), ("two", "k2"), ("again", "k1")):
        monkeypatch.setenv("WARDSTREAM_PSEUDONYM_KEY", key)
        cli("replay", tmp_path / "feed.hl7", "--out", tmp_path / name, "--quiet")
        seen.append((tmp_path / name / "scores.ndjson").read_text())
    assert seen[1] == seen[3]
    assert len(set(seen)) == 3


@pytest.mark.parametrize("who", [f"HOSP|{MRN}", MRN, f"HOSP|{MRN}9"])
def test_the_feature_table_names_nobody(tmp_path, cli, who, new_ward):
    """Asked by number, known or not, `features` never prints the number back."""
    new_ward().service.close()
    done = cli("features", who, "--data-dir", tmp_path / "ward-1")
    assert done.code == 1
    assert not [word for word in NAMES if word in done.out + done.err]


RECORDED = """
[hl7]
ethnicity = "cdc"
[guardrails]
raise_at = 0.0001
clear_at = 0.0001
[guardrails.subgroups.groups.ethnicity]
black = "review"
"""


def of_ethnicity(message: bytes, code: str) -> bytes:
    """Put a code into PID-10."""
    lines = message.split(b"\r")
    place = next(number for number, line in enumerate(lines) if line.startswith(b"PID"))
    fields = lines[place].split(b"|")
    fields += [b""] * (11 - len(fields))
    fields[10] = code.encode()
    lines[place] = b"|".join(fields)
    return b"\r".join(lines)


def test_a_recorded_ethnicity_is_judged_by_and_in_no_output(tmp_path, cli):
    """Where a site records it, a score may say that it was asked by ethnicity; which it is stands nowhere."""
    worse = (Result("9279-1", value=22.0, unit="/min"), Result("59408-5", value=95.0, unit="%"))
    more = (Result("8480-6", value=105.0, unit="mm[Hg]"), Result("8867-4", value=100.0, unit="/min"))
    sent = [adt("A01", 1), oru(2, *worse, *more), oru(3, *worse, *more)]
    (tmp_path / "feed.hl7").write_bytes(b"".join(of_ethnicity(message, "2054-5") for message in sent))
    (tmp_path / "wardstream.toml").write_text(RECORDED)
    done = cli("replay", tmp_path / "feed.hl7", "--out", tmp_path / "out", "--config", tmp_path / "wardstream.toml")
    assert done.code == 0, done.err
    scores = map(msgspec.json.decode, (tmp_path / "out" / "scores.ndjson").read_bytes().splitlines())
    said = [one for score in scores for one in score["verdicts"] if one["filter"] == "subgroups"]
    assert said
    for one in said:
        assert (one["verdict"], one["reason"], one["detail"]) == ("defer", "declared", "ethnicity")
    for name in OUTPUTS:
        text = (tmp_path / "out" / name).read_text()
        assert not [word for word in ("2054-5", "black") if word in text], name
    assert "2054-5" not in done.out + done.err
    assert "black" not in done.out + done.err
