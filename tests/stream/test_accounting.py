"""Every message is accounted for, once, with its reason: messages = accepted + dead letters + duplicates."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.decoded import MESSAGE_BYTES_MAX, Identifier
from connectors.fhir.codec import decode as decode_fhir
from connectors.fhir.render import render_observation, render_patient
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival, open_source
from connectors.sources.grouping import group_arrivals
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Location
from stream.release import Release
from stream.replay import Replay
from stream.service import EmbeddedService
from stream.settings import Settings

START = 1_767_225_600_000
RELEASE = Release(Settings(), "test")
PULSE = (Result("8867-4", value=72.0, unit="/min"),)


def oru(number: int = 1, results: Sequence[Result] = PULSE, mrn: str = "4711", at: int = START) -> bytes:
    return render_oru(
        control_id=f"C{number}",
        sent_time=at + number * MILLIS_PER_MINUTE,
        feed="MONITOR|WARD",
        patient=Identifier("MRN", mrn),
        encounter="V1",
        location=Location("Ward A", "1", "12"),
        observed_time=at + (number - 1) * MILLIS_PER_MINUTE,
        order=f"O{number}",
        results=results,
    )


def adt(number: int) -> bytes:
    at = START + number * MILLIS_PER_MINUTE
    return render_adt(
        "A08", control_id=f"A{number}", sent_time=at, feed="PAS|MAIN", patient=Identifier("MRN", "4711"), event_time=at
    )


def fhir(number: int) -> bytes:
    at = START + number * MILLIS_PER_MINUTE
    return render_observation(
        observation_id=f"o{number}",
        patient_id="p1",
        encounter_id="e1",
        codings=[("loinc", "8867-4")],
        value=72.0,
        unit="/min",
        event_time=at,
        issued=at,
        status="final",
    )


LONG = oru(1, [Result("8867-4", value="x" * 100, system="LOCAL")] * (MESSAGE_BYTES_MAX // 100))
KINDS = {
    "oru": oru,
    "adt": adt,
    "fhir": fhir,
    "garbage": lambda number: b"\x00\xff hello %d" % number,
    "truncated": lambda number: oru(number)[: 20 + number % 10],
    "cut_anywhere": lambda number: oru(number)[: 60 + 7 * number],
    "oversized": lambda _number: LONG,
    "utf_16": lambda number: oru(number).decode().encode("utf-16"),
    "not_utf_8": lambda number: oru(number).replace(b"^^LN", b"^\xe9\xff^LN"),
    "unknown_type": lambda number: oru(number).replace(b"ORU^R01", b"MDM^T02"),
    "no_identifier": lambda number: oru(number).replace(b"4711^^^MRN^MR", b""),
    "fhir_garbage": lambda number: b'{"resourceType": "Observation", "id": %d' % number,
    "fhir_no_subject": lambda number: fhir(number).replace(b"Patient/p1", b""),
}


def arrivals(messages: Sequence[bytes]) -> list[Arrival]:
    found: list[Arrival] = []
    for number, data in enumerate(messages, 1):
        at = START + number * MILLIS_PER_MINUTE
        if data[:1] == b"{":
            decoded = decode_fhir(data, FhirSettings(server="fhir"))
            found += [Arrival(f"x#{number}", at, data, "fhir", one) for one in decoded]
        else:
            found.append(Arrival(f"x#{number}", at, data, "hl7v2", decode(data, Hl7Settings())))
    return found


def balances(counts: dict) -> bool:
    return counts["messages"] == counts["accepted"] + counts["dead_letters"] + counts["duplicates"]


MIXES = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 5)), max_size=20)


@settings(max_examples=60)
@given(mix=MIXES, batch=st.integers(1, 7))
def test_the_service_accounts_for_any_mix(mix, batch):
    """Any mix in any batches balances in SQLite; each message is told what became of it, each dead letter is kept."""
    messages = arrivals([KINDS[kind](number) for kind, number in mix])
    with tempfile.TemporaryDirectory() as folder:
        service = EmbeddedService(Path(folder), RELEASE, {})
        parsed = []
        for start in range(0, len(messages), batch):
            parsed += service.accept(messages[start : start + batch])
        counts = {"messages": 0, "accepted": 0, "dead_letters": 0, "duplicates": 0, **service.journal.counts()}
        assert balances(counts)
        assert counts["messages"] == len(messages) == len(parsed)
        assert counts["accepted"] == len([one for one in parsed if type(one).__name__ == "Envelope"])
        assert counts["dead_letters"] == len(list(service.journal.dead_letters()))
        reasons = [count for name, count in counts.items() if name.startswith("dead_letters:")]
        assert sum(reasons) == counts["dead_letters"]
        service.close()


@settings(max_examples=60)
@given(mix=MIXES)
def test_a_replay_accounts_for_any_mix(mix):
    """Any mix balances in a replay's summary, and dead_letters.ndjson has a line for each dead letter."""
    messages = arrivals([KINDS[kind](number) for kind, number in mix])
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay(Path(folder), RELEASE, {})
        replay.messages(group_arrivals(messages))
        summary = replay.finish(0.0).summary
        assert balances(summary)
        assert summary["messages"] == len(messages)
        assert sum(summary["dead_letters_by_reason"].values()) == summary["dead_letters"]
        lines = (Path(folder) / "dead_letters.ndjson").read_text().splitlines()
        assert len(lines) == summary["dead_letters"]


@settings(max_examples=40)
@given(mix=MIXES, noise=st.binary(max_size=200))
def test_a_file_of_any_mix_balances(mix, noise):
    """Messages written one after the other into a file, with noise between, are all told apart or refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "feed.hl7"
        pieces = [KINDS[kind](number) for kind, number in mix if "fhir" not in kind]
        path.write_bytes(noise.join(piece + b"\r" for piece in pieces))
        replay = Replay(Path(folder) / "out", RELEASE, {})
        replay.messages(open_source(str(path)))
        summary = replay.finish(0.0).summary
        assert balances(summary)
        good = {(kind, number) for kind, number in mix if kind in ("oru", "adt")}
        if not noise and len(good) == len(set(mix)):
            # Garbage between unframed messages spoils the one before it: only among good ones is each sure to count.
            assert summary["accepted"] == len(good)


@settings(max_examples=30)
@given(mix=MIXES)
def test_service_and_replay_agree(mix):
    """The service and a replay of the same messages count the same and put out the same."""
    messages = arrivals([KINDS[kind](number) for kind, number in mix])
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay(Path(folder) / "replay", RELEASE, {})
        replay.messages(messages)
        result = replay.finish(0.0)
        service = EmbeddedService(Path(folder) / "service", RELEASE, {})
        service.accept(messages)
        for name in ("messages", "accepted", "dead_letters", "duplicates"):
            assert service.journal.counts().get(name, 0) == result.summary[name]
        assert service.digest() == result.digest
        service.close()


BAD = [
    ("garbage", b"\x01\xff hello", "dead_letters", "garbage"),
    ("truncated", oru()[:30], "dead_letters", "truncated"),
    ("oversized", LONG, "dead_letters", "oversized"),
    ("utf_16", oru().decode().encode("utf-16"), "dead_letters", "wrong_encoding"),
    ("not_as_declared", oru().replace(b"^^LN", b"^\xe9\xff^LN"), "dead_letters", "wrong_encoding"),
    ("unknown_type", oru().replace(b"ORU^R01", b"MDM^T02"), "dead_letters", "unsupported_message_type"),
    ("no_identifier", oru().replace(b"4711^^^MRN^MR", b""), "dead_letters", "missing_identifier"),
    ("no_patient", oru().replace(b"PID|1|", b"ZID|1|"), "dead_letters", "missing_segment"),
    ("unknown_code", oru(1, [Result("X-77", "LOCAL", value=1.0)]), "unmapped", "LOCAL|X-77"),
    ("impossible_value", oru(1, [Result("8310-5", value=6932.0, unit="Cel")]), "quarantined", "impossible_value"),
    ("unknown_unit", oru(1, [Result("8310-5", value=37.0, unit="furlong")]), "quarantined", "unknown_unit"),
    ("wrong_unit", oru(1, [Result("8310-5", value=37.0, unit="mm[Hg]")]), "quarantined", "unit_mismatch"),
    ("no_unit", oru(1, [Result("8310-5", value=37.0)]), "quarantined", "missing_unit"),
    ("not_a_number", oru(1, [Result("8867-4", value="fast", unit="/min")]), "quarantined", "not_a_number"),
    (
        "future_value",
        oru(1, [Result("8867-4", value=72.0, unit="/min", event_time=START + 24 * MILLIS_PER_HOUR)]),
        "quarantined",
        "future_time",
    ),
]


@pytest.mark.parametrize(("data", "place", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_lands_with_its_reason(tmp_path, data, place, reason):
    """Each kind of bad input is counted where it belongs, under its reason, and nothing raises."""
    replay = Replay(tmp_path, RELEASE, {})
    replay.messages(arrivals([data]))
    summary = replay.finish(0.0).summary
    found = {
        "dead_letters": summary["dead_letters_by_reason"],
        "unmapped": summary["unmapped_by_code"],
        "quarantined": summary["quarantined_by_reason"],
    }
    assert found[place] == {reason: 1}
    assert summary["messages"] == 1
    assert balances(summary)


FHIR_BAD = [
    ("garbage", b"{not json", "garbage"),
    ("no_subject", fhir(1).replace(b'"subject":{"reference":"Patient/p1"},', b""), "missing_identifier"),
    ("unknown_type", b'{"resourceType":"Zebra","id":"1"}', "unsupported_message_type"),
]


@pytest.mark.parametrize(("data", "reason"), [case[1:] for case in FHIR_BAD], ids=[case[0] for case in FHIR_BAD])
def test_bad_fhir_lands_with_its_reason(tmp_path, data, reason):
    """FHIR that cannot be used is a dead letter under its reason."""
    replay = Replay(tmp_path, RELEASE, {})
    replay.messages(arrivals([data]))
    summary = replay.finish(0.0).summary
    assert summary["dead_letters_by_reason"] == {reason: 1}


def test_a_dead_letter_names_its_place_and_quotes_nothing(tmp_path):
    """By default a line of dead_letters.ndjson says reason, fault, place, size and hash, and holds no bytes."""
    replay = Replay(tmp_path, RELEASE, {})
    replay.messages(arrivals([oru().replace(b"ORU^R01", b"MDM^T02")]))
    replay.finish(0.0)
    text = (tmp_path / "dead_letters.ndjson").read_text()
    line = json.loads(text)
    assert (line["reason"], line["fault"], line["source"]) == ("unsupported_message_type", "MSH-9", "x#1")
    assert line["bytes_total"] > 100
    assert "bytes" not in line
    assert "4711" not in text


def test_an_identified_dead_letter_holds_its_bytes(tmp_path):
    """With identifiers asked for, the original can be had back from the line, byte for byte."""
    data = oru().replace(b"ORU^R01", b"MDM^T02")
    replay = Replay(tmp_path, RELEASE, {}, identified=True)
    replay.messages(arrivals([data]))
    replay.finish(0.0)
    line = json.loads((tmp_path / "dead_letters.ndjson").read_text())
    assert base64.b64decode(line["bytes"]) == data


def test_identifying_changes_names_and_not_the_digest(tmp_path):
    """`--identified` puts the source's own numbers in the place of pseudonyms, under the same digest."""
    digests = []
    for identified in (False, True):
        replay = Replay(tmp_path / str(identified), RELEASE, {}, identified=identified)
        replay.messages(arrivals([oru()]))
        digests.append(replay.finish(0.0).digest)
    assert digests[0] == digests[1]
    line = json.loads((tmp_path / "True" / "scores.ndjson").read_text())
    assert (line["patient"], line["encounter"]) == ("4711", "V1")


def test_a_moment_of_fhir_counts_each_of_its_resources(tmp_path):
    """Observations joined into one moment are still one message each, also when they come again."""
    at = START + MILLIS_PER_MINUTE
    patient = render_patient(
        patient=Identifier("MRN", "4711"), patient_id="p1", birth_date="1950", sex=None, deceased=None, last_updated=at
    )
    moment = [fhir(1), fhir(1).replace(b'"o1"', b'"o2"').replace(b"8867-4", b"9279-1")]
    entries = [
        Arrival(f"x#{number}", at, data, "fhir", one)
        for number, data in enumerate([patient, *moment, *moment], 1)
        for one in decode_fhir(data, FhirSettings(server="fhir"))
    ]
    replay = Replay(tmp_path, RELEASE, {})
    replay.messages([*group_arrivals(entries[:3]), *group_arrivals(entries[3:])])
    summary = replay.finish(0.0).summary
    assert (summary["messages"], summary["accepted"], summary["duplicates"]) == (5, 3, 2)
    assert summary["scores"] == 1
