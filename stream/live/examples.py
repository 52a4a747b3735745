"""The records of `examples.v1`: what the learner hears of, score by score and event by event.

Owns their two forms, their bytes and their ids, and the recorder that the [patient] stage hands to its pipeline. Must
not know who learns from them. A score's inputs and what happened later come apart in time: the learner joins them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.kafka.headers import cloud_headers
from connectors.kafka.record import Record
from connectors.kafka.topics import EXAMPLES, TOPICS
from events import Correction, Demographics, Envelope, Event, Millis, Observation, content_id
from events.encoding import misfit
from stream.live.canary import FEED as CANARY

EXAMPLE_BYTES_MAX = 1024 * 1024
"""A vector is some 2 KB, an envelope without its observations less; a longer record is none of ours."""

_SCHEMA = TOPICS[EXAMPLES].schema
_TYPE = TOPICS[EXAMPLES].event_type


class UndecodableExampleError(ValueError):
    """A record of `examples.v1` that is none: counted by the learner, which goes on. The text quotes nothing of it."""


class Scored(msgspec.Struct, frozen=True, tag="scored", gc=False):
    """A patient was scored: the inputs, in the order of `models.inputs`; None where nothing was known."""

    example_id: str
    patient: str
    at: Millis
    vector: tuple[float | None, ...]


class Happened(msgspec.Struct, frozen=True, tag="happened", gc=False):
    """What a message said of a patient beside observations."""

    example_id: str
    envelope: Envelope


ExampleRecord = Scored | Happened

_encoder = msgspec.json.Encoder(order="sorted")
_decoder: msgspec.json.Decoder[ExampleRecord] = msgspec.json.Decoder(ExampleRecord)


def scored(patient: str, at: Millis, vector: Sequence[float]) -> Scored:
    """Make the record of a score's inputs; its id follows from them, so work done twice gives it twice.

    >>> first = scored("p", 0, [1.0, float("nan")])
    >>> first.vector, first == scored("p", 0, [1.0, float("nan")])
    ((1.0, None), True)
    """
    known = tuple(None if value != value else value for value in vector)  # noqa: PLR0124 - NaN is no JSON
    return Scored(content_id("scored", patient, str(at), _encoder.encode(known)), patient, at, known)


def happened(envelope: Envelope) -> Happened | None:
    """Make the record of what happened, or None where the learner has nothing to hear.

    >>> happened(Envelope("0", "p", 0, 0, (Demographics(0, birth_date="1950-01-01"),))) is None
    True
    """
    events = tuple(event for event in envelope.events if _is_heard(event))
    if not events:
        return None
    kept = msgspec.structs.replace(envelope, events=events, position="")
    return Happened(content_id("happened", envelope.envelope_id), kept)


def _is_heard(event: Event) -> bool:
    """Values are in the vectors; of who somebody is, only a death is an outcome."""
    if type(event) is Demographics:
        return bool(event.deceased)
    return type(event) is not Observation and type(event) is not Correction


def encode_example(example: ExampleRecord) -> bytes:
    """Encode a record canonically: one content under one id."""
    return _encoder.encode(example)


def decode_example(data: bytes) -> ExampleRecord:
    """Decode what `encode_example` wrote; raises `UndecodableExampleError`.

    >>> decode_example(encode_example(scored("p", 5, [0.5]))).at
    5
    """
    if len(data) > EXAMPLE_BYTES_MAX:
        raise UndecodableExampleError(f"{len(data)} bytes, more than {EXAMPLE_BYTES_MAX}")
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise UndecodableExampleError("nested too deep") from None
    except msgspec.ValidationError as error:
        raise UndecodableExampleError(misfit(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UndecodableExampleError("no JSON") from None


class ExampleRecorder:
    """A `stream.scoring.Learner` that learns nothing: it keeps what it hears for the stage to produce.

    >>> recorder = ExampleRecorder("/wardstream/events.v1/0")
    >>> recorder.scored("p", 0, [1.0])
    >>> [record.key for record in recorder.take_records()], recorder.take_records()
    ([b'p'], [])
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._records: list[Record] = []
        self._nobody: set[str] = set()
        """The canaries: nothing is to be learned of them. One a gateway; each message of theirs says who they are."""

    def scored(self, patient: str, at: Millis, vector: list[float]) -> None:
        """Hear of a score's inputs."""
        if patient in self._nobody:
            return
        self._keep(scored(patient, at, vector), patient, at)

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient; of a message this is heard before its score."""
        if envelope.feed == CANARY:
            self._nobody.add(envelope.patient)
            return
        example = happened(envelope)
        if example is not None:
            self._keep(example, envelope.patient, envelope.received_time)

    def _keep(self, example: ExampleRecord, patient: str, at: Millis) -> None:
        headers = cloud_headers(example.example_id, _TYPE, self._source, at, schema=_SCHEMA, subject=patient)
        self._records.append(Record(EXAMPLES, patient.encode(), encode_example(example), headers))

    def take_records(self) -> list[Record]:
        """Give the records since the last call, in the order they were heard."""
        records, self._records = self._records, []
        return records
