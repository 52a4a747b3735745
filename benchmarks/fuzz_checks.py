"""What must hold of any bytes, of each reader: the laws that the fuzzer holds the codecs to.

Owns the readers and their laws. Must not know how bytes were made. A breach is an exception: an `AssertionError` with
words, or whatever the codec raised.
"""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable

from fuzz_mutants import CANARY, Mutant

from connectors.acts.codec import read_act
from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir import codec as fhir
from connectors.fhir.ndjson import iter_ndjson
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2 import codec as hl7v2
from connectors.hl7v2.acknowledgement import Verdict, acknowledge, answers
from connectors.hl7v2.framing import Framed, MllpReader, split
from connectors.hl7v2.settings import Hl7Settings
from events import Envelope, encode_envelope

HL7 = Hl7Settings(zone="Europe/London", events_max=500)
FHIR = FhirSettings(server="ehr", zone_for_zoneless="Europe/London")
SLOW_S = 0.05
"""The most that any message of up to a megabyte may take of a core."""
MEGABYTE = 1_000_000
MESSAGES_AT_ONCE = 1_000
"""A Bundle of twenty thousand entries is as many messages: each thousand of them may take as long as one large one."""
LINE_S = 10e-6
"""Of a file that is cut into messages, for each of its lines: a megabyte of empty segments is half a million."""
TRIES = 3
"""A slow one is timed again: what is slow by the machine's fault is quick another time."""


def check(mutant: Mutant) -> float:
    """Hold a mutant to the laws of its reader; give the seconds of CPU that reading it took, for each megabyte or less.

    >>> check(Mutant("hl7v2", b"hello")) < 1
    True
    """
    read = READERS[mutant.reader]
    share = max(1.0, len(mutant.data) / MEGABYTE)
    took, allowed = float("inf"), SLOW_S
    for _ in range(TRIES):
        began = time.thread_time()
        results = read(mutant.data)
        took = min(took, (time.thread_time() - began) / share)
        allowed = max(SLOW_S, len(results) * SLOW_S / MESSAGES_AT_ONCE)
        if mutant.reader == "framed":
            allowed = max(allowed, mutant.data.count(b"\r") * LINE_S, mutant.data.count(b"\n") * LINE_S)
        if took < allowed:
            break
    assert took < allowed, f"slow: {took * 1e3:.0f} ms of CPU for {len(mutant.data)} bytes, {len(results)} results"
    for result in results:
        _hold(result)
    if mutant.reader == "hl7v2":
        _answer(mutant.data, results[0])
    return took


def _hold(result: Decoded | Refusal) -> None:
    """Hold a result to what is true of all."""
    if isinstance(result, Refusal):
        assert isinstance(result.reason, RefusalReason), "a refusal has a reason of the list"
        assert result.position, "a refusal has a place"
        assert CANARY not in result.detail + result.position, "a refusal quotes the message"
        return
    assert isinstance(result, Decoded), f"neither of the two: {type(result)}"
    assert result.subject or not result.events or result.patient, "events of nobody"
    assert len(result.content_hash) == 16, "a hash of another length"
    envelope = Envelope("id", "p", result.event_time or 0, 0, result.events, result.feed, result.message_id)
    assert encode_envelope(envelope), "an envelope that cannot be written"
    assert CANARY not in repr(result), "a repr names a patient"
    if result.beside is not None:
        _hold(result.beside)


def _answer(data: bytes, result: Decoded | Refusal) -> None:
    verdict: Verdict = result if isinstance(result, Refusal) else "stored"
    given = answers(data, verdict, now=0, control_id=lambda: "F1")
    assert len(given) <= 2, "more answers than there are modes"
    for answer in [acknowledge(data, verdict, now=0, control_id="F1"), *given]:
        assert answer.startswith(b"MSH"), "an answer that is no message"
        assert b"MSA" in answer, "an answer without MSA"
        assert not {0x0B, 0x1C} & set(answer), "an answer that breaks its frame"


def _read_hl7(data: bytes) -> list[Decoded | Refusal]:
    return [hl7v2.decode(data, HL7)]


def _read_fhir(data: bytes) -> list[Decoded | Refusal]:
    results = fhir.decode(data, FHIR)
    assert results, "bytes without a result"
    return list(results)


def _read_file(data: bytes) -> list[Decoded | Refusal]:
    return [hl7v2.decode_piece(piece, HL7) for piece in split(io.BytesIO(data))]


def _read_wire(data: bytes) -> list[Decoded | Refusal]:
    """Read it as a connection gives it, in pieces of any size, and hold that to reading it at once."""
    whole = MllpReader()
    at_once = [*whole.read(data), *whole.end()]
    parted = MllpReader()
    found: list[Framed] = []
    step = 1 + len(data) % 97 if len(data) < 20_000 else 65_536
    for start in range(0, len(data), step):
        found += parted.read(data[start : start + step])
    found += parted.end()
    told = [[(piece.kind, piece.data) for piece in pieces] for pieces in (at_once, found)]
    assert told[0] == told[1], "it depends on where the reads end"
    return [hl7v2.decode_piece(piece, HL7) for piece in found]


def _read_lines(data: bytes) -> list[Decoded | Refusal]:
    results: list[Decoded | Refusal] = []
    for _number, line in itertools.islice(iter_ndjson(io.BytesIO(data)), 100):
        results += [line] if isinstance(line, Refusal) else fhir.decode(line, FHIR)
    return results


def _read_act(data: bytes) -> list[Decoded | Refusal]:
    read = read_act(data)
    return [read] if isinstance(read, Refusal) else []


READERS: dict[str, Callable[[bytes], list[Decoded | Refusal]]] = {
    "hl7v2": _read_hl7,
    "fhir": _read_fhir,
    "framed": _read_file,
    "wire": _read_wire,
    "lines": _read_lines,
    "act": _read_act,
}
"""By name: the HL7 v2 codec, the FHIR codec, files of HL7, MLLP in pieces, NDJSON, acts."""
