"""The records of `examples.v1`: what the learner hears of, score by score and event by event.

Owns their two forms, their bytes and their ids, and the recorder that the [patient] stage hands to its pipeline. Must
not know who learns from them. A score's inputs and what happened later come apart in time: the learner joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import nan

import msgspec

from connectors.kafka.headers import cloud_headers
from connectors.kafka.record import Record
from connectors.kafka.topics import EXAMPLES, TOPICS
from events import Correction, Demographics, Envelope, Event, Millis, Observation, content_id
from events.encoding import misfit
from events.times import INSTANT_MAX, INSTANT_MIN
from features.catalogue import Catalogue
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS, schema_hash_of
from stream.feed_values import values_of
from stream.live.canary import FEED as CANARY

EXAMPLE_BYTES_MAX = 1024 * 1024
"""A row is some 3 KB, an envelope without its observations less; a longer record is none of ours."""

SCHEMA_DIGITS = 12
ROW_SCHEMA = schema_hash_of(LEARNING_INPUTS).removeprefix("sha256:")[:SCHEMA_DIGITS]
"""Names what the numbers of a row mean, in each record."""

_SCHEMA = TOPICS[EXAMPLES].schema
_TYPE = TOPICS[EXAMPLES].event_type


class UndecodableExampleError(ValueError):
    """A record of `examples.v1` that is none: counted by the learner, which goes on. The text quotes nothing of it."""


class OtherSchemaError(ValueError):
    """A row whose numbers mean what this release does not know: refused by name, never read as something else."""


class Scored(msgspec.Struct, frozen=True, tag="scored", gc=False):
    """A patient was scored: the row of inputs, None where nothing was known, and what was said of it."""

    example_id: str
    patient: str
    at: Millis
    vector: tuple[float | None, ...]
    schema: str = ""
    """`ROW_SCHEMA` of whoever wrote it; empty from releases that wrote the shipped version's short row."""
    probability: float | None = None
    """What the version in force said; None where none was, or it said nothing."""
    version: str = ""
    """The version in force."""
    feed: str = ""
    """From where the message came that the score followed."""
    values: tuple[tuple[str, float], ...] = ()
    """The numbers in that message: feature, and value in the feature's own unit."""


class Happened(msgspec.Struct, frozen=True, tag="happened", gc=False):
    """What a message said of a patient beside observations; of who somebody is, what outcomes and subgroups ask for."""

    example_id: str
    envelope: Envelope


class Told(msgspec.Struct, frozen=True, tag="told", gc=False):
    """What a fold beside the learner has to know from outside of the scores, written down where it was heard.

    So each such fold is a function of this topic alone, though signals, versions and limits come by others.
    """

    example_id: str
    to: str
    """The fold's name."""
    content: msgspec.Raw
    """JSON of the fold's own form."""


ExampleRecord = Scored | Happened | Told

_encoder = msgspec.json.Encoder(order="sorted")
_decoder: msgspec.json.Decoder[ExampleRecord] = msgspec.json.Decoder(ExampleRecord)


def scored(
    patient: str,
    at: Millis,
    vector: Sequence[float],
    probability: float | None = None,
    version: str = "",
    feed: str = "",
    values: tuple[tuple[str, float], ...] = (),
) -> Scored:
    """Make the record of a score's inputs; its id follows from them, so work done twice gives it twice.

    >>> first = scored("p", 0, [1.0, float("nan")])
    >>> first.vector, first == scored("p", 0, [1.0, float("nan")])
    ((1.0, None), True)
    """
    known = tuple(None if value != value else value for value in vector)  # noqa: PLR0124 - NaN is no JSON
    example_id = content_id("scored", patient, str(at), _encoder.encode(known))
    return Scored(example_id, patient, at, known, ROW_SCHEMA, probability, version, feed, values)


def told(to: str, content: bytes, place: int) -> Told:
    """Make the record of a word to a fold; `place` is the record before which it was missed, and part of the id.

    >>> encode_example(told("monitors", b'{"a":1}', 7))[:18]
    b'{"content":{"a":1}'
    """
    return Told(content_id("told", to, str(place), content), to, msgspec.Raw(content))


def learning_row(example: Scored) -> list[float]:
    """Give the row of `LEARNING_INPUTS` that a record holds, NaN where unknown; raises `OtherSchemaError`.

    The short row of earlier releases is read too: what it does not hold is unknown.

    >>> short = Scored("e", "p", 0, (80.0, *[None] * (len(CLINICAL_INPUTS.names) - 1)))
    >>> row = learning_row(short)
    >>> len(row) == len(LEARNING_INPUTS.names), row[LEARNING_INPUTS.names.index("heart_rate.last")]
    (True, 80.0)
    >>> learning_row(Scored("e", "p", 0, (80.0,), schema="another"))
    Traceback (most recent call last):
    stream.live.examples.OtherSchemaError: a row of 1 inputs of schema 'another'
    """
    vector = example.vector
    if example.schema == ROW_SCHEMA and len(vector) == len(LEARNING_INPUTS.names):
        return [nan if value is None else value for value in vector]
    if example.schema or len(vector) != len(_SHORT_PLACES):
        raise OtherSchemaError(f"a row of {len(vector)} inputs of schema {example.schema[:SCHEMA_DIGITS]!r}")
    row = [nan] * len(LEARNING_INPUTS.names)
    for place, value in zip(_SHORT_PLACES, vector, strict=True):
        if value is not None:
            row[place] = value
    return row


_SHORT_PLACES = tuple(LEARNING_INPUTS.names.index(name) for name in CLINICAL_INPUTS.names)


def happened(envelope: Envelope) -> Happened | None:
    """Make the record of what happened, or None where the learner has nothing to hear.

    >>> happened(Envelope("0", "p", 0, 0, (Demographics(0, birth_date="1950-01-01"),))) is None
    True
    """
    # A message with results says who somebody is each time: that alone is worth no record. Where one is made all the
    # same (PV1 says where he lies) it goes along, for a feed of results alone has no other message that says it.
    charted = any(type(event) is Observation for event in envelope.events) and not any(
        _heard(event, charted=True) for event in envelope.events
    )
    events = tuple(heard for event in envelope.events if (heard := _heard(event, charted=charted)) is not None)
    if not events:
        return None
    kept = msgspec.structs.replace(envelope, events=events, position="")
    return Happened(content_id("happened", envelope.envelope_id), kept)


def _heard(event: Event, *, charted: bool) -> Event | None:
    """Values are in the vectors; of who somebody is, a death is an outcome (or taken back), and subgroups are told."""
    if type(event) is Demographics:
        sex, ethnicity = (None, None) if charted else (event.sex, event.ethnicity)
        if event.deceased is None and sex is None and ethnicity is None:
            return None
        return Demographics(event.event_time, sex=sex, deceased=event.deceased, ethnicity=ethnicity)
    return None if type(event) is Observation or type(event) is Correction else event


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
        example = _decoder.decode(data)
    except RecursionError:
        raise UndecodableExampleError("nested too deep") from None
    except msgspec.ValidationError as error:
        raise UndecodableExampleError(misfit(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UndecodableExampleError("no JSON") from None
    # Folds keep these: one that no snapshot has room for would end the process, at each start anew.
    if not all(INSTANT_MIN <= time <= INSTANT_MAX for time in _times(example)):
        raise UndecodableExampleError("a time that was never meant")
    return example


def _times(example: ExampleRecord) -> Iterator[Millis]:
    if isinstance(example, Scored):
        yield example.at
    elif isinstance(example, Happened):
        yield example.envelope.received_time
        for event in example.envelope.events:
            yield event.observation.event_time if isinstance(event, Correction) else event.event_time


class ExampleRecorder:
    """A `stream.scoring.Learner` that learns nothing: it keeps what it hears for the stage to produce.

    >>> recorder = ExampleRecorder("/wardstream/events.v1/0")
    >>> recorder.scored("p", 0, [1.0] * 269)
    >>> [record.key for record in recorder.take_records()], recorder.take_records()
    ([b'p'], [])
    """

    def __init__(self, source: str, catalogue: Callable[[], Catalogue] | None = None) -> None:
        """`catalogue` gives the one in force, by which values are named; without it none are kept."""
        self._source, self._catalogue = source, catalogue
        self._newest: Envelope | None = None
        """The newest message: the score that follows it is of its values."""
        self._records: list[Record] = []
        self._nobody: set[str] = set()
        """The canaries: nothing is to be learned of them. One a gateway; each message of theirs says who they are."""

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score's inputs, and of what was said."""
        if patient in self._nobody:
            return
        feed, newest = "", self._newest
        values: tuple[tuple[str, float], ...] = ()
        if newest is not None and newest.patient == patient and self._catalogue is not None:
            feed, values, self._newest = newest.feed, values_of(newest, self._catalogue()), None
        self._keep(scored(patient, at, vector, probability, version, feed, values), patient, at)

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient; of a message this is heard before its score."""
        if envelope.feed == CANARY:
            self._nobody.add(envelope.patient)
            return
        self._newest = envelope
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
