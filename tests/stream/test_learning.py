"""The learner's fold: what is evaluated was said before anything of its outcome was known."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from events import (
    MILLIS_PER_HOUR,
    Acknowledgement,
    Admission,
    Demographics,
    Discharge,
    Envelope,
    Feedback,
    Location,
    Merge,
    Outcome,
    Promotion,
    Transfer,
)
from models.drift.served import counts_of, served_of
from models.inputs import LEARNING_INPUTS
from models.learners.crossed_logistic import CrossedLogistic
from models.rows import Inputs
from models.version import Lineage, dump, load
from stream.candidates import frozen
from stream.control import Control
from stream.learning import NOTES, FoldState, LearnerFold
from stream.live.examples import Happened, decode_example, encode_example, happened
from stream.outcomes import OutcomeDefinition
from stream.training import train_on_hospital

WIDTH = len(LEARNING_INPUTS.names)
HOUR = MILLIS_PER_HOUR
ICU = OutcomeDefinition(critical_care_wards=frozenset({"ICU"}))


def record(patient: str, at: int, *events: object) -> Envelope:
    return Envelope(f"{patient}{at}", patient, at, at, tuple(events))  # type: ignore[arg-type]


def noise(seed: int, rows: int, patients: int) -> LearnerFold:
    """Feed vectors of pure noise; a tenth of the patients die."""
    random = np.random.default_rng(seed)
    fold = LearnerFold(OutcomeDefinition())
    for number in range(patients):
        start = number * 40 * HOUR
        offset = 3 * random.normal(size=WIDTH)
        for row in range(rows):
            fold.scored(f"p{number}", start + row * HOUR, list(offset + random.normal(size=WIDTH)))
        end = start + rows * HOUR
        if number % 10 == 0:
            fold.happened(record(f"p{number}", end, Outcome(end, "death")))
        fold.happened(record(f"p{number}", end + 20 * HOUR, Discharge(end + 20 * HOUR)))
    fold.finish()
    return fold


def test_noise_is_not_learned_from_its_own_outcome():
    """Rows of one patient mature together; none of them is predicted by what the others taught: noise stays noise."""
    fold = noise(seed=3, rows=10, patients=600)
    figures = fold.prequential.accumulator.figures()
    assert figures.positives > 400
    assert abs(figures.auroc - 0.5) < 0.1


def labels_of(fold: LearnerFold) -> tuple[int, int]:
    fold.finish()
    counts = fold.joiner.counts
    return counts.positives, counts.negatives


def test_a_transfer_to_critical_care_is_an_outcome_and_a_ward_told_in_passing_is_none():
    """An A02 to a critical-care ward labels the scores before it; a result's PV1-3 does not."""
    for incidental, positives in ((False, 1), (True, 0)):
        fold = LearnerFold(ICU)
        fold.scored("p", 0, [1.0] * WIDTH)
        fold.happened(record("p", HOUR, Transfer(HOUR, Location("ICU"), incidental)))
        assert labels_of(fold)[0] == positives


def test_an_admission_straight_to_critical_care_is_no_outcome():
    """Whoever comes to critical care from outside did not deteriorate here."""
    fold = LearnerFold(ICU)
    fold.happened(record("p", 0, Admission(0, Location("ICU"))))
    fold.scored("p", HOUR, [1.0] * WIDTH)
    assert labels_of(fold) == (0, 1)


def test_a_death_told_by_demographics_is_an_outcome():
    """A08 with PID-30 counts as the discharge of the deceased does."""
    fold = LearnerFold(OutcomeDefinition())
    fold.scored("p", 0, [1.0] * WIDTH)
    fold.happened(record("p", HOUR, Demographics(HOUR, deceased=True)))
    assert labels_of(fold)[0] == 1


def test_an_outcome_after_a_merge_labels_the_scores_of_the_retired_record():
    """What was scored under a retired number belongs to the person whose outcome came under the surviving one."""
    fold = LearnerFold(OutcomeDefinition())
    fold.scored("retired", 0, [1.0] * WIDTH)
    fold.happened(record("survivor", HOUR, Merge(HOUR, "retired")))
    fold.happened(record("survivor", 5 * HOUR, Outcome(5 * HOUR, "death")))
    assert labels_of(fold) == (1, 0)


def test_an_acknowledged_alert_marks_the_labels_around_it():
    """Examples in whose window somebody acted on an alert are marked, so that learning may leave them out."""
    fold = LearnerFold(OutcomeDefinition())
    fold.scored("p", 0, [1.0] * WIDTH)
    fold.happened(record("p", HOUR, Acknowledgement(HOUR, "alert")))
    marked = fold.joiner.advance(40 * HOUR)
    assert [example.after_action for example in marked] == [True]


@pytest.mark.parametrize("verdict", ["agree", "disagree", "dismissed"])
@pytest.mark.parametrize("dies", [True, False])
def test_what_a_clinician_thinks_of_an_alert_changes_no_label(verdict, dies):
    """With feedback of any kind between score and outcome, an example has the label, time and vector it has without."""
    learned = []
    for said in ((), (Feedback(HOUR, "a", verdict, "known_baseline", "nurse"),)):
        fold = LearnerFold(OutcomeDefinition())
        fold.scored("p", 0, [1.0] * WIDTH)
        if said:
            fold.happened(record("p", HOUR, *said))
        if dies:
            fold.happened(record("p", 2 * HOUR, Outcome(2 * HOUR, "death")))
        matured = fold.joiner.advance(100 * HOUR)
        learned.append([(one.patient, one.at, one.label, one.matured_at, one.vector[:-NOTES]) for one in matured])
        fold.finish()
    assert learned[0] == learned[1]
    assert [label for _, _, label, _, _ in learned[0]] == [dies]


def test_feedback_is_kept_as_a_signal_of_its_own():
    """What was thought of which alert, and why, stands beside the examples; it is counted by verdict, once a record."""
    fold = LearnerFold(OutcomeDefinition())
    fold.happened(record("p", 0, Merge(0, "q")))
    fold.happened(record("p", HOUR, Feedback(HOUR, "a", "dismissed", "artefact", "nurse")))
    fold.happened(record("p", HOUR, Feedback(HOUR, "b", "agree")))
    assert [(one.alert_id, one.verdict, one.reason) for one in fold.feedback] == [
        ("a", "dismissed", "artefact"), ("b", "agree", ""),
    ]  # fmt: skip
    assert fold.judged == {"dismissed": 1, "agree": 1}
    assert (fold.joiner.counts.positives, fold.joiner.counts.other_outcomes) == (0, 0)


def test_an_alert_that_was_agreed_with_marks_the_labels_around_it():
    """To agree is to take it: the label is the outcome's, marked as one after an action; a dismissal marks none."""
    for verdict, marked in (("agree", True), ("dismissed", False)):
        fold = LearnerFold(OutcomeDefinition())
        fold.scored("p", 0, [1.0] * WIDTH)
        fold.happened(record("p", HOUR, Feedback(HOUR, "a", verdict)))
        (example,) = fold.joiner.advance(100 * HOUR)
        assert (example.label, example.after_action) == (False, marked)


def test_feedback_reaches_the_learner_through_the_topic():
    """The examples' topic carries it whole, under its own name."""
    event = Feedback(HOUR, "a", "dismissed", "artefact", "nurse")
    example = happened(record("p", HOUR, event))
    assert example is not None
    again = decode_example(encode_example(example))
    assert isinstance(again, Happened)
    assert again.envelope.events == (event,)


def test_hold_out_rows_are_of_patients_never_learned_from():
    """From the border on only patients first scored from then on are evaluated, and nothing more is learned."""
    fold = LearnerFold(OutcomeDefinition(), hold_out_from=20 * HOUR)
    fold.scored("old", 0, [1.0] * WIDTH)
    fold.scored("old", 21 * HOUR, [1.0] * WIDTH)
    fold.scored("new", 22 * HOUR, [2.0] * WIDTH)
    fold.finish()
    assert fold.hold_out.figures().rows == 1
    assert fold.prequential.learner.rows == 1


def test_training_is_repeatable():
    """The same seed, beds and days give the same version, byte for byte; another seed gives another."""
    versions = [train_on_hospital(seed=seed, beds=60, days=8, code_version="test")[0] for seed in (5, 5, 6)]
    assert versions[0] == versions[1]
    assert versions[0].version != versions[2].version


def test_what_is_held_back_was_not_learned():
    """With a border, the summaries rest on patients first scored from it on; what they are held against was learned."""
    fold = LearnerFold(OutcomeDefinition(), hold_out_from=20 * HOUR)
    fold.scored("old", 0, [1.0] * WIDTH)
    fold.scored("old", 21 * HOUR, [1.0] * WIDTH)
    fold.scored("new", 22 * HOUR, [2.0] * WIDTH)
    fold.finish()
    measured = fold.held_back.summaries(0.1).measured
    assert measured["held_back_rows"] == 1


def test_without_a_border_what_was_said_before_learning_is_held_back():
    """The live learner holds back its newest rows with what was said at the bedside; none is in its own summary."""
    fold = noise(seed=4, rows=5, patients=100)
    measured = fold.held_back.summaries(0.1).measured
    assert measured["held_back_rows"] == 500
    assert fold.held_back.summaries(0.1).likeness is None


def hospital_of_two(fold: LearnerFold, patients: int, first: int = 0) -> None:
    """Let patients of two sexes come, who lie on ward A, and of whom every third goes to the ICU."""
    for number in range(first, first + patients):
        random = np.random.default_rng(number)
        start = number * HOUR
        told = Demographics(start, sex="female" if number % 2 else "male", ethnicity="asian" if number % 4 else None)
        fold.happened(record(f"p{number}", start, Admission(start, Location("A")), told))
        fold.scored(f"p{number}", start, list(random.normal(size=WIDTH)))
        if number % 3 == 0:
            fold.happened(record(f"p{number}", start + 5 * HOUR, Transfer(start + 5 * HOUR, Location("ICU"))))


def test_each_group_is_counted_as_it_was_scored():
    """By what was said before it was learned, in the ward of the score: not the ICU's, to which the positives went."""
    fold = LearnerFold(ICU)
    hospital_of_two(fold, 120)
    fold.finish()
    counted = {(one.attribute, one.group): one for one in counts_of(fold.served.totals())}
    assert ("ward", "ICU") not in counted
    assert counted["ward", "A"].positives == 40
    assert counted["ward", "A"].rows == counted["unit_of_origin", "A"].rows == 120
    assert counted["sex", "female"].rows == counted["sex", "male"].rows == 60
    assert counted["ethnicity", "asian"].rows == 90
    assert counted["ethnicity", "not recorded"].rows == 30


def test_gone_on_from_a_state_it_counts_the_same():
    """Through bytes and back in the middle of a hospital."""
    whole, first = LearnerFold(ICU), LearnerFold(ICU)
    hospital_of_two(whole, 90)
    hospital_of_two(first, 30)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.state()), type=FoldState)
    second = LearnerFold.restored(ICU, state)
    hospital_of_two(second, 60, first=30)
    for fold in (second, whole):
        fold.finish()
    assert second.facts.state() == whole.facts.state()
    assert second.served.totals() == whole.served.totals() != {}


def test_a_version_of_the_learner_brings_its_counts_and_the_guardrail_reads_them():
    """What was counted by group is in the version's bytes, and what it comes to is what the chain is asked by."""
    inputs = Inputs(("age_years", "heart_rate.last"))
    fold = LearnerFold(ICU, learner=CrossedLogistic(inputs, pairs=(), schedule=(32,)))
    hospital_of_two(fold, 120)
    fold.finish()
    made = frozen(fold, Lineage("test", 0, 0))
    assert load(dump(made), version=made.version).groups == counts_of(fold.served.totals()) != ()
    control = Control({made.version: made})
    control.apply(Promotion(0, made.version, enabled=True))
    assert control.asks_of_groups
    assert control.served == served_of(made.groups)
    assert control.served.knows(("sex", "male"))
    assert not control.served.knows(("sex", "other"))
