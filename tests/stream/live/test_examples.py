"""The rows of `examples.v1`: what the learner hears, of this release and of earlier ones."""

from __future__ import annotations

import json
from math import isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Demographics, Discharge, Envelope, Location, Observation, Transfer
from features.catalogue import default_catalogue
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS
from stream.facts import Facts
from stream.live.beside import Beside
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


def heart_rate(value=88.0, unit="/min", **more):
    """Give one charted value."""
    return Observation(
        event_time=0, observation_id=1, codings=(("loinc", "8867-4"),), value=value, unit=unit, **more
    )  # fmt: skip


def test_the_values_of_a_message_go_with_the_score_that_follows_it():
    """By feature and in its own unit, once, with the feed that they came from; those of nobody's message with none."""
    recorder = ExampleRecorder("/test", default_catalogue)
    fahrenheit = Observation(event_time=0, observation_id=2, codings=(("loinc", "8310-5"),), value=98.6, unit="[degF]")
    unknown = Observation(event_time=0, observation_id=3, codings=(("local", "?"),), value=1.0, unit="")
    events = (heart_rate(), fahrenheit, unknown, heart_rate(value=None), heart_rate(comparator="<"))
    recorder.happened(Envelope("e", "p", 0, 0, events, feed="WARD"))
    recorder.scored("p", 0, [1.0] * WIDTH, 0.5, "4f1c")
    recorder.scored("p", 1, [2.0] * WIDTH, 0.5, "4f1c")
    recorder.happened(Envelope("f", "p", 2, 2, (heart_rate(),), feed="WARD"))
    recorder.scored("q", 2, [3.0] * WIDTH, 0.5, "4f1c")
    found = [decode_example(record.value or b"") for record in recorder.take_records()]
    heard = [(one.feed, one.values) for one in found if isinstance(one, Scored)]
    assert heard == [("WARD", (("heart_rate", 88.0), ("temperature", 37.0))), ("", ()), ("", ())]


def test_values_change_no_name_of_a_record():
    """A score is named by its inputs: written again by a release that does not know of values, it is the same one."""
    assert scored("p", 0, [1.0]).example_id == scored("p", 0, [1.0], None, "", "F", (("x", 1.0),)).example_id


def test_who_somebody_is_is_told_where_it_costs_no_record():
    """Sex and ethnicity, for subgroups, and nothing else of them; of results alone no record is made for it."""
    who = Demographics(0, birth_date="1950-01-01", sex="female", pregnant=True, ethnicity="white")
    told = happened(Envelope("e", "p", 0, 0, (who,)))
    assert told is not None
    assert told.envelope.events == (Demographics(0, sex="female", ethnicity="white"),)
    assert happened(Envelope("e", "p", 0, 0, (who, heart_rate()))) is None
    dead = Demographics(0, sex="female", deceased=True)
    told = happened(Envelope("e", "p", 0, 0, (dead, heart_rate())))
    assert told is not None
    assert told.envelope.events == (Demographics(0, sex="female", deceased=True),)


def test_of_a_feed_of_results_alone_the_groups_are_known():
    """An ORU^R01 with PID and PV1, of a patient whom no ADT announced: live as training rows have it."""
    who = Demographics(0, sex="female", ethnicity="white")
    envelope = Envelope("e", "p", 0, 0, (who, Transfer(0, Location("W1")), heart_rate()))
    told = happened(envelope)
    assert told is not None
    offline, live = Facts(), Facts()
    offline.hear(envelope)
    live.hear(told.envelope)
    assert live.groups_of("p", 0) == offline.groups_of("p", 0)
    assert ("sex", "female") in live.groups_of("p", 0)


def test_the_monitors_hear_values_before_their_score():
    """In the order of the message: its values, then what was said of it."""
    heard = []

    class Ear(Beside):
        def scored(self, patient, at, vector, probability=None, version=""):
            heard.append((patient, at, probability, version, len(vector)))

        def measured(self, patient, at, feed, values):
            heard.append((patient, at, feed, values))

    fold = ExampleFold(OutcomeDefinition(), beside={"ear": Ear})
    fold.take(0, encode_example(scored("p", 5, [1.0] * WIDTH, 0.5, "4f1c", "WARD", (("heart_rate", 88.0),))))
    assert heard == [("p", 5, "WARD", (("heart_rate", 88.0),)), ("p", 5, 0.5, "4f1c", WIDTH)]
