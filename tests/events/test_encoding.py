"""The canonical encoding: one envelope, one string of bytes, and nothing but an envelope comes back."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import (
    Acknowledgement,
    Admission,
    Availability,
    Cancellation,
    Carried,
    CodeVersion,
    Configuration,
    Correction,
    Demographics,
    Discharge,
    Envelope,
    Event,
    Feedback,
    Handover,
    KillSwitch,
    Location,
    Merge,
    Observation,
    Outcome,
    Promotion,
    Retirement,
    Tick,
    Transfer,
    Unmerge,
    decode_envelope,
    encode_envelope,
    envelope_digest,
)
from events.control import ChangeStep, Limit, Review, Standing
from events.encoding import ENVELOPE_BYTES_MAX, READ_BYTES_MAX, UndecodableEnvelopeError

WORDS = st.text(max_size=12)
TIMES = st.integers(-(2**52), 2**52)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
SEQUENCES = st.integers(0, 2**53)
CODINGS = st.lists(st.tuples(WORDS, WORDS), max_size=3).map(tuple)
LOCATIONS = st.builds(Location, ward=WORDS, room=WORDS, bed=WORDS, facility=WORDS)
OBSERVATIONS = st.builds(
    Observation,
    observation_id=st.integers(0, 2**63 - 1),
    codings=CODINGS,
    value=NUMBERS,
    unit=WORDS,
    event_time=TIMES,
    status=st.sampled_from(["preliminary", "final", "corrected", "withdrawn"]),
    comparator=st.sampled_from(["", "<", "<=", ">", ">="]),
    answers=CODINGS,
    text=WORDS,
    absent_reason=WORDS,
    qualifiers=CODINGS,
)
EVENTS: dict[type, st.SearchStrategy[Any]] = {
    Observation: OBSERVATIONS,
    Correction: st.builds(Correction, observation=OBSERVATIONS, withdrawn=st.booleans()),
    Admission: st.builds(Admission, event_time=TIMES, location=LOCATIONS, patient_class=WORDS),
    Transfer: st.builds(Transfer, event_time=TIMES, location=LOCATIONS),
    Discharge: st.builds(Discharge, event_time=TIMES, disposition=WORDS, deceased=st.booleans()),
    Cancellation: st.builds(
        Cancellation,
        event_time=TIMES,
        cancelled=st.sampled_from(["admission", "transfer", "discharge"]),
        location=LOCATIONS,
    ),
    Demographics: st.builds(
        Demographics,
        event_time=TIMES,
        birth_date=st.none() | WORDS,
        sex=st.sampled_from([None, "male", "female", "other", "unknown"]),
        deceased=st.none() | st.booleans(),
    ),
    Merge: st.builds(Merge, event_time=TIMES, retired=WORDS, provisional=st.booleans()),
    Unmerge: st.builds(Unmerge, event_time=TIMES, restored=WORDS, apart=st.booleans()),
    Retirement: st.builds(Retirement, event_time=TIMES, survivor=WORDS, provisional=st.booleans()),
    Handover: st.builds(
        Handover,
        event_time=TIMES,
        retired=WORDS,
        record=st.binary(max_size=40),
        home=st.booleans(),
        provisional=st.booleans(),
    ),
    Carried: st.builds(
        Carried,
        event_time=TIMES,
        record=st.binary(max_size=40),
        alerts=st.lists(WORDS, max_size=3).map(tuple),
    ),
    Outcome: st.builds(Outcome, event_time=TIMES, kind=WORDS, onset=st.booleans()),
    Acknowledgement: st.builds(Acknowledgement, event_time=TIMES, alert_id=WORDS, actor=WORDS),
    Feedback: st.builds(
        Feedback,
        event_time=TIMES,
        alert_id=WORDS,
        verdict=st.sampled_from(["agree", "disagree", "dismissed"]),
        reason=WORDS,
    ),
    Review: st.builds(
        Review,
        event_time=TIMES,
        score_id=WORDS,
        decision=st.sampled_from(["tell", "withhold"]),
        actor=WORDS,
        reason=WORDS,
    ),
    Limit: st.builds(
        Limit,
        event_time=TIMES,
        limit_id=WORDS,
        kind=st.sampled_from(["thresholds", "scale_2", "end_of_life", "not_for_escalation", "pregnancy"]),
        expires_at=TIMES,
        actor=WORDS,
        reason=WORDS,
        notify_at=st.integers(0, 20),
        interrupt_at=st.integers(0, 20),
        tell_red=st.booleans(),
        withdrawn=st.booleans(),
    ),
    Standing: st.builds(
        Standing,
        event_time=TIMES,
        version=WORDS,
        standing=st.sampled_from(["good", "held", "demoted"]),
        reason=WORDS,
        sequence=SEQUENCES,
    ),
    ChangeStep: st.builds(
        ChangeStep,
        event_time=TIMES,
        version=WORDS,
        step=st.sampled_from(["proposed", "passed", "lacking", "failed"]),
        evidence=WORDS,
        sequence=SEQUENCES,
    ),
    Promotion: st.builds(Promotion, event_time=TIMES, version=WORDS, enabled=st.booleans(), sequence=SEQUENCES),
    Configuration: st.builds(
        Configuration, event_time=TIMES, configuration_hash=WORDS, content=WORDS, sequence=SEQUENCES
    ),
    KillSwitch: st.builds(KillSwitch, event_time=TIMES, engaged=st.booleans(), reason=WORDS, sequence=SEQUENCES),
    Availability: st.builds(Availability, event_time=TIMES, version=WORDS, available=st.booleans()),
    CodeVersion: st.builds(CodeVersion, event_time=TIMES, version=WORDS),
    Tick: st.builds(Tick, event_time=TIMES),
}
ENVELOPES = st.builds(
    Envelope,
    envelope_id=WORDS,
    patient=WORDS,
    event_time=TIMES,
    received_time=TIMES,
    events=st.lists(st.one_of(*EVENTS.values()), max_size=4).map(tuple),
    feed=WORDS,
    message_id=WORDS,
    position=WORDS,
    encounter=WORDS,
    named=st.lists(WORDS, max_size=3).map(tuple),
    hops=st.integers(0, 9),
)
SAMPLE = Envelope(
    envelope_id="id",
    patient="p",
    event_time=0,
    received_time=1,
    events=(
        Observation(observation_id=7, codings=(("loinc", "8867-4"),), value=72.0, unit="/min", event_time=0),
        Admission(event_time=3, location=Location(ward="4A")),
    ),
)
PRIVATE = "DOE-JANE-1942"


def shuffled(value: Any, rng: Any) -> Any:
    """Give the same JSON value with the keys of each object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


def decode_or_refuse(data: bytes) -> None:
    """Hold `decode_envelope` to its word: an envelope that encodes again, or the one error."""
    try:
        envelope = decode_envelope(data)
    except UndecodableEnvelopeError:
        return
    assert decode_envelope(encode_envelope(envelope)) == envelope


def test_every_event_type_has_a_strategy() -> None:
    """The properties below speak of every event type there is."""
    assert set(EVENTS) == set(get_args(Event))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_type_round_trips(kind: type) -> None:
    """An event of any type, in an envelope, comes back equal and of the same type."""

    @settings(max_examples=60)
    @given(EVENTS[kind])
    def round_trip(event: Any) -> None:
        envelope = Envelope("id", "p", 0, 1, (event,))
        (decoded,) = decode_envelope(encode_envelope(envelope)).events
        assert decoded == event
        assert type(decoded) is kind

    round_trip()


@given(ENVELOPES)
def test_envelopes_round_trip(envelope: Envelope) -> None:
    """An envelope comes back equal from its encoding, and encodes to the same bytes again."""
    data = encode_envelope(envelope)
    assert decode_envelope(data) == envelope
    assert encode_envelope(decode_envelope(data)) == data


@given(ENVELOPES, st.randoms(use_true_random=False))
def test_encoding_is_independent_of_construction_order(envelope: Envelope, rng: Any) -> None:
    """One envelope has one encoding, whatever the order in which its fields were given or its keys written."""
    fields = msgspec.structs.asdict(envelope)
    names = list(fields)
    rng.shuffle(names)
    assert encode_envelope(Envelope(**{name: fields[name] for name in names})) == encode_envelope(envelope)
    other_order = json.dumps(shuffled(json.loads(encode_envelope(envelope)), rng)).encode()
    assert encode_envelope(decode_envelope(other_order)) == encode_envelope(envelope)


def in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Assert that an object's keys stand in order."""
    assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)
    return dict(pairs)


@given(ENVELOPES)
def test_keys_are_sorted(envelope: Envelope) -> None:
    """The keys of every object in the encoding stand in order."""
    assert json.loads(encode_envelope(envelope), object_pairs_hook=in_order)["patient"] == envelope.patient


def test_yesterdays_bytes_are_read() -> None:
    """Bytes written by an earlier release decode to what they meant."""
    data = (
        b'{"encounter":"","envelope_id":"id","event_time":0,"events":[{"event_time":3,"location":{"bed":"","facility":"",'
        b'"room":"","ward":"4A"},"patient_class":"I","type":"admission"}],"feed":"","message_id":"","patient":"p",'
        b'"position":"x.hl7#1","received_time":1}'
    )
    event = Admission(event_time=3, location=Location(ward="4A"), patient_class="I")
    assert decode_envelope(data) == Envelope("id", "p", 0, 1, (event,), position="x.hl7#1")


def test_a_field_left_out_is_its_default() -> None:
    """A record that leaves a field out says the same as one that writes the field's default."""
    data = (
        b'{"envelope_id":"id","patient":"p","event_time":0,"received_time":1,"events":[{"type":"tick","event_time":3}]}'
    )
    assert decode_envelope(data) == Envelope("id", "p", 0, 1, (Tick(event_time=3),))


@given(ENVELOPES, WORDS)
def test_digest_ignores_the_position(envelope: Envelope, position: str) -> None:
    """Where a message stood in its source does not enter the digest."""
    assert envelope_digest(msgspec.structs.replace(envelope, position=position)) == envelope_digest(envelope)


@pytest.mark.parametrize("field", sorted(set(Envelope.__struct_fields__) - {"position"}))
def test_digest_covers_every_other_field(field: str) -> None:
    """A change of any field but the position changes the digest."""
    before = getattr(SAMPLE, field)
    after = (
        f"{before}x" if isinstance(before, str) else (before[:1] or ("x",)) if isinstance(before, tuple) else before + 1
    )
    assert envelope_digest(msgspec.structs.replace(SAMPLE, **{field: after})) != envelope_digest(SAMPLE)


@given(ENVELOPES, ENVELOPES)
def test_digest_tells_envelopes_apart(one: Envelope, other: Envelope) -> None:
    """Two envelopes have one digest exactly where they differ in nothing but their position."""
    same = msgspec.structs.replace(one, position="") == msgspec.structs.replace(other, position="")
    assert (envelope_digest(one) == envelope_digest(other)) == same


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    """Bytes that are no envelope raise `UndecodableEnvelopeError` and nothing else."""
    with pytest.raises(UndecodableEnvelopeError):
        decode_envelope(data)


@settings(max_examples=300)
@given(st.data())
def test_mutated_bytes_are_read_or_refused(data: st.DataObject) -> None:
    """An encoding with some bytes changed, cut out or put in is an envelope or raises the one error."""
    encoded = bytearray(encode_envelope(SAMPLE))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(encoded)))
        encoded[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    decode_or_refuse(bytes(encoded))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(Envelope.__struct_fields__), JSON_VALUES)
def test_a_field_of_the_wrong_shape_is_refused(field: str, value: Any) -> None:
    """A field that holds any other JSON value is read where it fits and raises the one error where it does not."""
    record = json.loads(encode_envelope(SAMPLE))
    decode_or_refuse(json.dumps({**record, field: value}).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe{}",
        b'{"envelope_id":"\xff"}',
        b'{"envelope_id":"\\ud800"}',
        b'{"envelope_id":1}',
        encode_envelope(SAMPLE) + b"x",
        encode_envelope(SAMPLE).replace(b'"admission"', b'"admitted"'),
        encode_envelope(SAMPLE).replace(b"72.0", b"NaN"),
        encode_envelope(SAMPLE).replace(b"72.0", b"1e999"),
        encode_envelope(SAMPLE).replace(b"72.0", b'"72"'),
    ],
    ids=range(13),
)
def test_a_near_envelope_is_refused(data: bytes) -> None:
    """What is almost an envelope, and is none, raises `UndecodableEnvelopeError`."""
    with pytest.raises(UndecodableEnvelopeError):
        decode_envelope(data)


@pytest.mark.parametrize("opening", [b"[", b'{"x":', b'{"events":['], ids=["lists", "objects", "events"])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    """Bytes nested a hundred thousand deep raise `UndecodableEnvelopeError`, like any others that are no envelope."""
    with pytest.raises(UndecodableEnvelopeError):
        decode_envelope(b'{"unknown":' + opening * 100_000)


def test_an_oversized_record_is_refused_unread() -> None:
    """A record above the reader's limit is refused, though it holds an envelope; one above the writer's is read."""
    data = encode_envelope(SAMPLE)
    assert decode_envelope(data.ljust(READ_BYTES_MAX)) == SAMPLE
    with pytest.raises(UndecodableEnvelopeError, match=str(READ_BYTES_MAX)):
        decode_envelope(data.ljust(READ_BYTES_MAX + 1))
    assert READ_BYTES_MAX > ENVELOPE_BYTES_MAX


@pytest.mark.parametrize(
    ("fair", "foul"),
    [
        (b'"unit":"/min"', b'"status":"DOE-JANE-1942","unit":"/min"'),
        (b'"admission"', b'"DOE-JANE-1942"'),
        (b"72.0", b'"DOE-JANE-1942"'),
    ],
    ids=["enumeration", "tag", "type"],
)
def test_a_refusal_does_not_quote_the_data(fair: bytes, foul: bytes) -> None:
    """The error's text names the place of the fault and holds nothing of what stood there."""
    data = encode_envelope(SAMPLE)
    assert fair in data
    with pytest.raises(UndecodableEnvelopeError, match=r"\$\.events\[") as refusal:
        decode_envelope(data.replace(fair, foul))
    assert PRIVATE not in str(refusal.value)


def test_events_are_frozen() -> None:
    """Neither an envelope nor an event in it can be changed."""
    with pytest.raises(AttributeError):
        SAMPLE.patient = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        SAMPLE.events[0].event_time = 9  # type: ignore[misc,union-attr]
