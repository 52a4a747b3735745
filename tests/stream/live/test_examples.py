"""The rows of `examples.v1`: what the learner hears, of this release and of earlier ones."""

from __future__ import annotations

import json
from math import isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Demographics, Discharge, Envelope
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS
from stream.live.canary import FEED
from stream.live.example_fold import ExampleFold
from stream.live.examples import (
    ROW_SCHEMA,
    ExampleRecorder,
    OtherSchemaError,
    Scored,
    decode_example,
    encode_example,
    happened,
    learning_row,
    scored,
)
from stream.outcomes import OutcomeDefinition

WIDTH = len(LEARNING_INPUTS.names)
SHORT = len(CLINICAL_INPUTS.names)
charted = st.just(nan) | st.floats(-1e6, 1e6)


def old_record(vector, at=5):
    """Give the bytes that a release before the learner's row wrote."""
    fields = {"type": "scored", "example_id": f"e{at}", "patient": "p", "at": at, "vector": vector}
    return json.dumps(fields).encode()


@given(st.lists(charted, min_size=WIDTH, max_size=WIDTH))
def test_a_row_comes_back_as_it_was(vector):
    """Through its record, bit for bit, NaN as NaN, with what was said of it and by whom."""
    example = decode_example(encode_example(scored("p", 5, vector, 0.25, "4f1c")))
    assert isinstance(example, Scored)
    assert repr(learning_row(example)) == repr(vector)
    assert (example.probability, example.version, example.schema) == (0.25, "4f1c", ROW_SCHEMA)


def test_the_short_row_of_earlier_releases_is_read_by_name():
    """Each of its numbers goes to the input it was of; what it did not hold is unknown, never zero."""
    example = decode_example(old_record([float(place) for place in range(SHORT)]))
    assert isinstance(example, Scored)
    row = dict(zip(LEARNING_INPUTS.names, learning_row(example), strict=True))
    assert [row[name] for name in CLINICAL_INPUTS.names] == [float(place) for place in range(SHORT)]
    assert all(isnan(row[name]) for name in set(LEARNING_INPUTS.names) - set(CLINICAL_INPUTS.names))


@pytest.mark.parametrize(
    ("width", "schema"),
    [(SHORT + 1, ""), (0, ""), (WIDTH, ""), (WIDTH, "another"), (SHORT, ROW_SCHEMA), (SHORT, "another")],
)
def test_a_row_of_another_schema_is_refused_by_name(width, schema):
    """A number is never read as another input: neither by a strange name nor by a width that does not fit it."""
    with pytest.raises(OtherSchemaError, match=f"{width} inputs"):
        learning_row(Scored("e", "p", 0, (1.0,) * width, schema))


def test_the_learner_counts_what_it_refuses_and_goes_on():
    """Rows of another schema are counted under their own name, and what comes after them is learned."""
    fold = ExampleFold(OutcomeDefinition())
    fold.take(0, encode_example(Scored("e", "p", 0, (1.0,), "another")))
    fold.take(1, old_record([1.0] * SHORT))
    fold.take(2, encode_example(scored("p", 3_600_000, [1.0] * WIDTH)))
    assert (fold.other_schema, fold.failed, fold.undecodable) == (1, 0, 0)
    assert fold.learning.joiner.pending == 2


def test_the_recorder_keeps_what_was_said():
    """The stage's recorder writes the row, the probability and the version; of canaries nothing."""
    recorder = ExampleRecorder("/test")
    recorder.happened(Envelope("c", "canary", 0, 0, (Discharge(0),), feed=FEED))
    recorder.scored("p", 0, [1.0] * WIDTH, 0.5, "4f1c")
    (record,) = recorder.take_records()
    example = decode_example(record.value or b"")
    assert isinstance(example, Scored)
    assert (example.probability, example.version) == (0.5, "4f1c")


def test_a_death_taken_back_reaches_the_learner():
    """PID-30 Y, then N: the live learner hears both, and joins as one that hears every event does."""
    fold = ExampleFold(OutcomeDefinition())
    died, lives = Demographics(1, deceased=True), Demographics(2, deceased=False)
    for at, one in enumerate((died, lives), start=1):
        example = happened(Envelope(f"e{at}", "p", at, at, (one,)))
        assert example is not None
        fold.take(at, encode_example(example))
    assert fold.learning.joiner.counts.withdrawn_outcomes == 1
