"""SOURCE arguments."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.decoded import Decoded
from connectors.hospital import Hospital, as_fhir, as_hl7
from connectors.sources import SourceError, SourceSettings, group_arrivals, open_source


def patient(second: int) -> bytes:
    updated = f"1970-01-01T00:00:{second:02d}Z"
    return json.dumps({"resourceType": "Patient", "id": f"p{second}", "meta": {"lastUpdated": updated}}).encode()


def test_every_file_of_a_folder_is_accounted_for(tmp_path: Path) -> None:
    """Files of known endings are read, packed or not, in folders or archives; all others are listed as skipped."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.json").write_bytes(patient(2))
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(patient(5) + b"\n" + patient(1), mtime=0))
    (tmp_path / "c.hl7").write_bytes(b"garbage")
    (tmp_path / "LICENSE").write_bytes(b"free")
    (tmp_path / "deep" / "notes.txt").write_bytes(b"nothing")
    with tarfile.open(tmp_path / "d.tar.gz", "w:gz") as archive:
        for name, data in (("x.json", patient(3)), ("README.md", b"no")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    source = open_source(str(tmp_path))
    arrivals = list(source)
    assert [(a.position, a.received_time) for a in arrivals] == [
        ("c.hl7#1", 0),
        ("a.ndjson.gz#2", 1_000),
        ("deep/b.json#1", 2_000),
        ("d.tar.gz/x.json#1", 3_000),
        ("a.ndjson.gz#1", 5_000),
    ]
    assert sorted(source.skipped) == ["LICENSE", "d.tar.gz/README.md", "deep/notes.txt"]
    assert source.bytes_read == source.bytes_total > 0
    assert list(source) == arrivals


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("absent.hl7", "no such file"),
        ("physionet2019:absent", "no such folder"),
        ("eicu:somewhere", "no such kind of SOURCE"),
        ("", "empty SOURCE"),
        (".", "no message file"),
        ("physionet2012:.", "Give the folder"),
        ("bad.tar.gz", "not a readable tar archive"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, words: str
) -> None:
    """Each SOURCE that is none raises the operator's error, by name."""
    monkeypatch.chdir(tmp_path)
    if spec == "bad.tar.gz":
        Path(spec).write_bytes(b"no archive")
    with pytest.raises(SourceError, match=words):
        list(open_source(spec))


@pytest.mark.parametrize("records_in_memory", [7, 20_000])
def test_a_shuffled_hospital_comes_back_in_order(tmp_path: Path, records_in_memory: int) -> None:
    """Messages written in reverse come in order of sent time, whether or not they fit in memory."""
    messages = [data for story in Hospital(seed=3, beds=8, hours=24) if (data := as_hl7(story))]
    (tmp_path / "a.hl7").write_bytes(b"\r".join(reversed(messages)))
    source = open_source(str(tmp_path / "a.hl7"), SourceSettings(records_in_memory=records_in_memory))
    arrivals = list(source)
    assert len(arrivals) == len(messages) > 30
    assert all(isinstance(a.decoded, Decoded) for a in arrivals)
    assert all((a.received_time or 0) <= (b.received_time or 0) for a, b in pairwise(arrivals))


def observation(number: int) -> bytes:
    return json.dumps(
        {
            "resourceType": "Observation",
            "id": f"o{number}",
            "status": "final",
            "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": "http://loinc.org", "code": f"{number}-1"}]},
            "issued": "2026-03-01T12:00:00Z",
            "valueQuantity": {"value": number},
        }
    ).encode()


@pytest.mark.parametrize("cut", range(4))
def test_one_moment_is_joined_however_it_is_cut_into_files(tmp_path: Path, cut: int) -> None:
    """Observations of one moment in two SOURCEs become one once those are merged; a SOURCE by itself joins nothing."""
    lines = [observation(number) + b"\n" for number in range(3)]
    for name, part in (("a", lines[:cut]), ("b", lines[cut:])):
        (tmp_path / f"{name}.ndjson").write_bytes(b"".join(part))
    sources = [open_source(str(tmp_path / f"{name}.ndjson")) for name in ("a", "b")]
    assert sum(len(list(source)) for source in sources) == 3
    [joined] = group_arrivals(arrival for source in sources for arrival in source)
    assert isinstance(joined.decoded, Decoded)
    assert (joined.decoded.parts, len(joined.decoded.events)) == (3, 3)
    assert joined.data == b"\n".join(line.strip() for line in lines)


def test_shared_messages_are_all_accounted_for(shared_data: Path) -> None:
    """Of the shared HL7 folder every file is read or listed as skipped, and simhospital gives its 6,885 messages."""
    source = open_source(str(shared_data / "hl7v2"))
    positions = [arrival.position for arrival in source]
    read = {position.rsplit("#", 1)[0] for position in positions}
    files = {f.relative_to(shared_data / "hl7v2").as_posix() for f in (shared_data / "hl7v2").rglob("*") if f.is_file()}
    empty = files - read - set(source.skipped)
    assert all((shared_data / "hl7v2" / name).read_bytes().strip() == b"" for name in empty), empty
    assert len(positions) == len(set(positions))
    assert sum(position.startswith("simhospital/") for position in positions) == 6_885


def test_icu_data_needs_no_sorting(shared_data: Path) -> None:
    """A data set comes in order of time, each row with a position and no bytes."""
    source = open_source(f"physionet2012:{shared_data / 'physionet2012'}", SourceSettings(every=80))
    arrivals = list(source)
    assert all((a.received_time or 0) <= (b.received_time or 0) for a, b in pairwise(arrivals))
    assert arrivals[0].position == "132539#admission"
    assert arrivals[0].data is None
    assert source.bytes_read == source.bytes_total > 0


def test_fhir_from_the_hospital_is_read_whole(tmp_path: Path) -> None:
    """The hospital's Bundles, one a line, give no refusal."""
    lines = [data for story in Hospital(seed=3, beds=8, hours=24) if (data := as_fhir(story))]
    (tmp_path / "a.ndjson").write_bytes(b"\n".join(lines))
    arrivals = list(open_source(str(tmp_path / "a.ndjson")))
    assert len(arrivals) > len(lines)
    assert [a.decoded for a in arrivals if not isinstance(a.decoded, Decoded)] == []
