"""Every message of the shared corpora: accounted for, and read as python-hl7 reads it."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import hl7
import pytest

from connectors.decoded import Decoded, Refusal
from connectors.hl7v2.codec import decode, decode_piece
from connectors.hl7v2.framing import Framed, split
from connectors.hl7v2.settings import Hl7Settings
from connectors.hl7v2.tolerated import TOLERATED_NOTE
from events import Correction, Observation

SETTINGS = Hl7Settings(location_from_results=False)
CORPORA = ["simhospital", "linuxforhealth", "microsoft", "cosyte"]
EXPECTED = {
    "simhospital": {"decoded": 6882, "unsupported_message_type": 3},
    "microsoft": {"decoded": 16},
}
"""Counts that were checked by hand against the files."""


def messages(folder: Path) -> Iterator[Framed]:
    """Give each piece of each file of a corpus."""
    for path in sorted(folder.rglob("*")):
        if path.name.endswith((".hl7", ".ndhl7", ".hl7.gz")):
            data = path.read_bytes()
            yield from split(gzip.decompress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_message_is_accounted_for(shared_data: Path, corpus: str) -> None:
    """Each piece of a corpus is decoded or refused with a reason and a place."""
    counts: Counter[str] = Counter()
    for piece in messages(shared_data / "hl7v2" / corpus):
        result = decode_piece(piece, SETTINGS)
        assert isinstance(result, Decoded | Refusal)
        counts["decoded" if isinstance(result, Decoded) else result.reason.value] += 1
    assert counts["decoded"] > 0
    assert counts == EXPECTED.get(corpus, counts)


@pytest.mark.parametrize("corpus", CORPORA)
def test_agrees_with_python_hl7(shared_data: Path, corpus: str) -> None:
    """What we decode python-hl7 reads alike: type, control id, identifiers, each OBX's code, number, time."""
    compared = 0
    for piece in messages(shared_data / "hl7v2" / corpus):
        decoded = decode(piece.data, SETTINGS)
        if not isinstance(decoded, Decoded) or {"msh2_escape_doubled", TOLERATED_NOTE} & {*decoded.notes}:
            continue
        text = piece.data.decode("utf-8", "replace").replace("\r\n", "\r").replace("\n", "\r")
        other = hl7.parse(text)
        compared += 1
        header = other.segment("MSH")
        assert first(header, 10) == decoded.message_id
        assert "^".join(str(part[0]) for part in header[9][0][:2]) == decoded.kind
        if any(str(segment[0][0]) == "PID" for segment in other):
            identifiers = {identifier.value for identifier in decoded.subject}
            assert identifiers == {str(at(repetition, 0)).strip() for repetition in pid_3(other)} - {"", '""'}
        compare_results(decoded, other)
    assert compared > 0


def pid_3(message: hl7.Message) -> list[object]:
    """Give the repetitions of PID-3, or of PID-2 where it is empty."""
    segment = message.segment("PID")
    field = segment[3] if first(segment, 3).strip() else segment[2]
    return list(field)


def at(part: object, index: int) -> object:
    """Give one component of what may be a list or a bare text."""
    return part[index] if isinstance(part, list) else part


def first(segment: hl7.Segment, index: int) -> str:
    """Give the first component of a field, or nothing where the segment is too short."""
    if len(segment) <= index:
        return ""
    field = segment[index]
    part = at(at(field, 0), 0) if len(field) else ""
    return str(at(part, 0))


def firsts_of(segment: hl7.Segment, index: int) -> list[str]:
    """Give the first component of each repetition of a field that has one."""
    repetitions = list(segment[index]) if len(segment) > index else []
    return [text for one in repetitions if (text := str(at(at(one, 0), 0)).strip())]


def compare_results(decoded: Decoded, other: hl7.Message) -> None:
    """Compare the OBX segments of a message, in order, with our observations."""
    ours = [event.observation if isinstance(event, Correction) else event for event in decoded.events]
    results = [event for event in ours if isinstance(event, Observation)]
    theirs: list[tuple[hl7.Segment, str]] = []
    observed = ""
    for segment in other:
        name = str(segment[0][0]).upper()
        observed = first(segment, 7) if name == "OBR" else observed
        if name == "OBX" and str(segment[3]).strip("^") and first(segment, 11) != "O":
            repeats = len(segment[5]) if len(segment) > 5 and first(segment, 2) in {"NM", "SN", "CE", "CWE"} else 1
            theirs += [(segment, observed)] * repeats
    if not decoded.kind.startswith("ORU"):
        assert not results
        return
    assert len(results) == len(theirs)
    for result, (segment, group_time) in zip(results, theirs, strict=True):
        if code := first(segment, 3).strip():
            assert result.codings[0][1] == code or "\\" in code or "&" in str(segment[3])
        if first(segment, 2) in {"NM", ""} and len(segment[5]) == 1:
            assert (str(result.value) == str(number(str(segment[5])))) or result.comparator
        if first(segment, 2) in {"DT", "TM", "TS", "DTM"}:
            assert result.value is None
        assert list(result.interpretation) == firsts_of(segment, 8)
        assert (result.producer[1] if result.producer else "") == first(segment, 15)
        assert [name for _, name in result.devices] == firsts_of(segment, 18)
        time = first(segment, 14) or group_time
        if len(time) == 14:
            moment = datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            assert result.event_time == int(moment.timestamp()) * 1000


def number(text: str) -> float | None:
    """Read a number as Python does."""
    try:
        return float(text)
    except ValueError:
        return None
