"""The monitors as a fold of `examples.v1`: what they are told stands there, and cut anywhere they know the same."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR, Demographics, Envelope, Outcome, content_id
from models.drift.summary import Reference, summary_of
from models.inputs import LEARNING_INPUTS
from stream.live.example_fold import ExampleFold
from stream.live.examples import encode_example, happened, scored, told
from stream.live.learner_snapshots import head_of, packed, unpacked
from stream.live.monitor_fold import (
    NAME,
    VERSIONS_MAX,
    MonitorFold,
    ToldUpstream,
    ToldUsual,
    ToldVersion,
    encode_word,
)
from stream.outcomes import OutcomeDefinition

DEFINITION = OutcomeDefinition(kinds=("death",))
NAMES = LEARNING_INPUTS.names
CHAMPION, FORMER = "4f1c02aa91be", "0123456789ab"
START = 1_767_225_600_000


def reference() -> Reference:
    """Give what a version may bring: one input, the heart rate."""
    matrix = np.random.default_rng(0).normal(80.0, 10.0, (2_000, 1))
    inputs = summary_of(("heart_rate.last",), matrix, np.arange(2_000))
    return Reference(inputs, base_rate=0.05, auroc=0.8, risk_cuts=(0.02, 0.1))


def word(one, place: int) -> bytes:
    """Give the record of a word."""
    return encode_example(told(NAME, encode_word(one), place))


def stay(number: int, generator: np.random.Generator, version: str, rate: float, begin: int = START) -> list[bytes]:
    """Give one patient's records: who they are, three scores with their values, and how it ended."""
    at, patient = begin + number * MILLIS_PER_HOUR // 2, content_id("patient", str(number), str(begin))
    records = []
    who = happened(Envelope(content_id("who", patient), patient, at, at, (Demographics(at, sex="female"),)))
    assert who is not None
    records.append(encode_example(who))
    for hour in range(3):
        vector = [float("nan")] * len(NAMES)
        rate_now = float(generator.normal(80.0, 10.0))
        vector[NAMES.index("heart_rate.last")] = rate_now
        vector[NAMES.index("age_years")] = 60.0
        said = float(generator.choice([0.02, 0.05, 0.3], p=[0.7, 0.25, 0.05]))
        values = (("heart_rate", round(rate_now)),)
        then = at + hour * MILLIS_PER_HOUR
        records.append(encode_example(scored(patient, then, vector, said, version, "WARD", values)))
    if generator.random() < rate:
        died = at + 5 * MILLIS_PER_HOUR
        end = happened(Envelope(content_id("end", patient), patient, died, died, (Outcome(died, "death"),)))
        assert end is not None
        records.append(encode_example(end))
    return records


@pytest.fixture(scope="module")
def values() -> list[bytes]:
    """Give ten days under two versions, each told of, signals among them; the second version says far too little."""
    generator = np.random.default_rng(1)
    records = [word(ToldVersion(FORMER, 0.2), 0)]
    for number in range(150):
        records += stay(number, generator, FORMER, 0.05)
    records.append(word(ToldUpstream("unit_changed", "feed|LAB|K", "raised", START, START, "potassium"), 1))
    for number in range(150, 170):
        records += stay(number, generator, CHAMPION, 0.6)
    records.append(word(ToldVersion(CHAMPION, 0.25, reference()), 2))
    for number in range(170, 480):
        records += stay(number, generator, CHAMPION, 0.6)
        if number == 400:
            records.append(word(ToldVersion(CHAMPION, 0.1, reference()), 3))
    return records


def folded(values: list[bytes]) -> ExampleFold:
    """Fold them, the monitors beside the learner."""
    fold = ExampleFold(DEFINITION, "river-logistic", beside={NAME: lambda: MonitorFold(DEFINITION)})
    for offset, value in enumerate(values):
        fold.take(offset, value)
    return fold


def monitors(fold: ExampleFold) -> MonitorFold:
    """Give the monitors of a fold."""
    found = fold.beside.folds[NAME]
    assert isinstance(found, MonitorFold)
    return found


@pytest.fixture(scope="module")
def whole(values: list[bytes]) -> ExampleFold:
    """Give the fold that was never stopped."""
    return folded(values)


@settings(max_examples=10, deadline=None)
@given(cut=st.floats(0.0, 1.0))
def test_gone_on_from_any_record_it_knows_the_same(values: list[bytes], whole: ExampleFold, cut: float) -> None:
    """Cut anywhere, through a snapshot's bytes: the same findings, and the same state bit for bit."""
    at, head = round(cut * len(values)), head_of("r", "river-logistic", DEFINITION)
    state = unpacked(packed(head, folded(values[:at]).state()), head, 0, at)
    fold = ExampleFold.restored(DEFINITION, state, beside={NAME: lambda: MonitorFold(DEFINITION)})
    for offset, value in enumerate(values[at:], at):
        fold.take(offset, value)
    assert monitors(fold).now() == monitors(whole).now()
    assert fold.state().beside == whole.state().beside
    assert fold.beside.faults == whole.beside.faults == {}


def test_what_was_heard_is_found(whole: ExampleFold) -> None:
    """The example above is one of something: what stands upstream, and a calibration that demotes the version."""
    found = {(one.monitor, one.response, one.version) for one in monitors(whole).now().findings}
    assert ("upstream", "hold_promotion", CHAMPION) in found
    assert ("calibration", "demote", CHAMPION) in found


def test_a_word_heard_twice_changes_nothing(values: list[bytes], whole: ExampleFold) -> None:
    """A second learner, or one that does not know whether its word was stored, writes it again elsewhere."""
    again = word(ToldVersion(CHAMPION, 0.1, reference()), 9)
    upstream = word(ToldUpstream("unit_changed", "feed|LAB|K", "raised", START, START, "potassium"), 9)
    fold = folded([*values, again, upstream])
    assert monitors(fold).now() == monitors(whole).now()
    assert monitors(fold).monitors.state() == monitors(whole).monitors.state()


def row(pulse: float = 80.0) -> list[float]:
    """Give a row that knows one value."""
    vector = [float("nan")] * len(NAMES)
    vector[NAMES.index("heart_rate.last")] = pulse
    return vector


def test_a_reference_told_late_is_taken_up_and_one_told_again_is_not() -> None:
    """What the version met before is let go, what it says of labels goes on from there; the same word is no news."""
    fold = MonitorFold(DEFINITION)
    fold.scored("p", START, row(), 0.1, CHAMPION)
    assert fold.monitors.state().reference is None
    fold.told(encode_word(ToldVersion(CHAMPION, 0.2, reference())))
    assert fold.monitors.state().reference == reference()
    fold.scored("q", START + 3 * 24 * MILLIS_PER_HOUR, row(), 0.1, CHAMPION)
    before = fold.state()
    fold.told(encode_word(ToldVersion(CHAMPION, 0.2, reference())))
    assert fold.state() == before


def test_a_reference_of_inputs_that_rows_do_not_have_is_not_held_against_anything() -> None:
    """A version of another release: what it meets first is its reference, and nothing fails."""
    strange = msgspec.structs.replace(reference().inputs, names=("of another release",))
    fold = MonitorFold(DEFINITION)
    fold.told(encode_word(ToldVersion(CHAMPION, 0.2, msgspec.structs.replace(reference(), inputs=strange))))
    fold.scored("p", START, row(), 0.1, CHAMPION)
    assert fold.monitors.state().reference is None
    assert fold.monitors.version == CHAMPION


def test_another_threshold_begins_the_habit_of_alerts_anew() -> None:
    """Wards that are told at half the risk have twice the alerts: a decision, and no flood."""
    fold = MonitorFold(DEFINITION)
    fold.told(encode_word(ToldVersion(CHAMPION, 0.2)))
    for hour in range(30):
        fold.scored(f"p{hour}", START + hour * MILLIS_PER_HOUR, row(), 0.3, CHAMPION)
    assert sum(fold.monitors.state().alerts.reference_alerts) == 29
    fold.told(encode_word(ToldVersion(CHAMPION, 0.1)))
    assert sum(fold.monitors.state().alerts.reference_alerts) == 0


def test_restored_by_a_person_its_monitors_begin_anew(values: list[bytes], whole: ExampleFold) -> None:
    """What took it out of force was seen; what stands upstream goes on, and told again it is no news."""
    again = word(ToldVersion(CHAMPION, 0.1, reference(), restored=7), 9)
    fold = folded([*values, again])
    before = {one.monitor for one in monitors(whole).now().findings}
    assert {one.monitor for one in monitors(fold).now().findings} == {"upstream"} < before
    assert monitors(fold).monitors.label_figures().rows == 0
    assert monitors(fold).monitors.state().reference == reference()
    state = monitors(fold).state()
    monitors(fold).told(encode_word(ToldVersion(CHAMPION, 0.1, reference(), restored=7)))
    assert monitors(fold).state() == state


def test_until_it_is_told_a_threshold_nothing_is_an_alert() -> None:
    """A version that nobody told of has no alerts that could become a habit."""
    fold = MonitorFold(DEFINITION)
    for hour in range(5):
        fold.scored(f"p{hour}", START + hour * MILLIS_PER_HOUR, row(), 0.99, CHAMPION)
    assert sum(fold.monitors.state().alerts.reference_alerts) == 0


def test_so_many_versions_are_kept_and_the_one_in_force_among_them() -> None:
    """However often another one is told."""
    fold = MonitorFold(DEFINITION)
    fold.told(encode_word(ToldVersion(CHAMPION, 0.2)))
    fold.scored("p", START, row(), 0.1, CHAMPION)
    for number in range(3 * VERSIONS_MAX):
        fold.told(encode_word(ToldVersion(f"{number:012x}", 0.2)))
    assert CHAMPION in fold.now().told
    assert len(fold.now().told) == VERSIONS_MAX


def test_a_person_s_word_makes_a_feed_s_values_the_usual_ones() -> None:
    """A new analyser stays: its shift is let go, and what comes from there on is the reference."""
    fold = MonitorFold(DEFINITION)
    for number in range(1_500):
        at = START + number * 300_000
        value = (1.0 + number % 7 / 4) * (1.0 if number < 800 else 3.0)
        fold.scored(f"p{number}", at, row(), 0.1, CHAMPION)
        fold.measured(f"p{number}", at, "LAB", (("lactate", value),))
    assert "feed_values" in {one.monitor for one in fold.now().findings}
    fold.told(encode_word(ToldUsual("LAB", "lactate")))
    assert "feed_values" not in {one.monitor for one in fold.now().findings}


def test_a_word_of_another_release_is_refused() -> None:
    """It is a fault that is counted, and what is known stays."""
    fold = MonitorFold(DEFINITION)
    before = fold.state()
    with pytest.raises(msgspec.ValidationError):
        fold.told(b'{"type":"later"}')
    assert fold.state() == before
