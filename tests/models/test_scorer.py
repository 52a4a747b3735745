"""The frozen scorer: its probability, its reasons, its refusals."""

from __future__ import annotations

from math import nan

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR, Observation
from features.state import PatientState
from models.checks import INPUTS, PARITY_TOLERANCE, rows
from models.inputs import CLINICAL_INPUTS, clinical_vector
from models.learning import Learner
from models.likeness import Likeness, Shape
from models.news2 import score_news2
from models.scorer import CONTRIBUTIONS_TOLD, FAILED, Scorer
from models.training import freeze
from models.venn import Category, VennTable
from models.version import Lineage, ModelVersion

LEARNER = Learner(INPUTS)
for _vector, _label in rows(11):
    LEARNER.learn_one(_vector, _label)
SCORER = Scorer(freeze(LEARNER, Lineage("test rows", 0, 0), schema_hash="s"))

value = st.one_of(st.just(nan), st.floats(-1e9, 1e9, allow_nan=False))


@given(st.lists(value, min_size=6, max_size=6))
def test_parity_with_river_on_any_row(vector):
    """On any row of numbers and gaps the frozen probability is River's own within 1e-12."""
    theirs = LEARNER.predict_proba_one(vector)
    prediction = SCORER.score(vector)
    if theirs is None:
        assert prediction.probability is None
        assert prediction.reason == LEARNER.inputs.refusal(vector)
    else:
        assert abs(SCORER.probability(vector) - theirs) <= PARITY_TOLERANCE
        assert prediction.probability == round(SCORER.probability(vector), 6)


@given(st.lists(value, min_size=6, max_size=6))
def test_reasons_are_the_largest_contributions(vector):
    """The told contributions are the largest by size, largest first, and none that is nothing."""
    told = SCORER.score(vector).contributions
    sizes = [abs(logits) for _, logits in told]
    every = sorted((abs(part) for part in SCORER.logits(vector) if part), reverse=True)
    assert sizes == sorted(sizes, reverse=True)
    if SCORER.score(vector).probability is not None:
        assert sizes == [round(size, 6) for size in every[:CONTRIBUTIONS_TOLD]]
    assert len({name for name, _ in told}) == len(told)


def test_equal_contributions_keep_the_order_of_inputs():
    """Contributions of equal size are told in the order of the inputs."""
    names = tuple("abcdefg")
    flat = ModelVersion(
        inputs=msgspec.structs.replace(INPUTS, names=names, indicators=()),
        schema_hash="", means=(0.0,) * 7, deviations=(1.0,) * 7, weights=(1.0,) * 7, intercept=0.0, clip_sd=6.0,
        horizon_h=12, threshold=0.1, threshold_release=0.05, cost_of_miss=9.0, lineage=Lineage("x", 0, 0),
        river_version="",
    )  # fmt: skip
    told = Scorer(flat).score([1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 2.0]).contributions
    assert [name for name, _ in told] == ["g", "a", "b", "c", "d"]


def clinical_scorer():
    learner = Learner(CLINICAL_INPUTS)
    for number in range(40):
        learner.learn_one([float((number * place) % 7) for place in range(len(CLINICAL_INPUTS.names))], number % 4 == 0)
    return Scorer(freeze(learner, Lineage("test rows", 0, 0)))


def test_nothing_measured_is_no_probability():
    """A patient of whom nothing was measured has no probability, and the reason says so."""
    prediction = clinical_scorer().predict(PatientState(), 0)
    assert (prediction.probability, prediction.reason) == (None, "no_usable_input")


def test_a_given_news2_changes_nothing():
    """Handing over the NEWS2 of the same instant gives the same prediction as leaving it to be computed."""
    state, now = PatientState(), 100 * MILLIS_PER_HOUR
    for number, (code, seen) in enumerate((("8867-4", 120.0), ("9279-1", 26.0), ("59408-5", 91.0))):
        state.observe(Observation(number, (("loinc", code),), seen, "", event_time=now), now, "m")
    scorer = clinical_scorer()
    given_it = scorer.predict(state, now, score_news2(state, now))
    assert given_it == scorer.predict(state, now)
    assert given_it.probability is not None
    assert given_it.version == scorer.version
    assert scorer.score(clinical_vector(state, now)) == given_it


SUMMARISED = Scorer(
    msgspec.structs.replace(
        freeze(LEARNER, Lineage("test rows", 0, 0), schema_hash="s"),
        likeness=Likeness(
            ("steady", "trend"), (Shape(False, 200, (80.0, 0.5), ((0.1,), (0.0, 1.0)), 16.0, 0.005, 400),)
        ),
        venn=VennTable((0.3,), (Category(0.0, 0.2, 900, 9, 90), Category(0.4, 0.6, 90, 45, 30)), 0.95),
    )
)


@given(st.lists(value, min_size=6, max_size=6))
def test_summaries_change_no_probability(vector):
    """A version that also speaks of its limits gives the same probability and reasons as one that does not."""
    plain, full = SCORER.score(vector), SUMMARISED.score(vector)
    assert (full.probability, full.contributions, full.reason) == (plain.probability, plain.contributions, plain.reason)
    assert (plain.low, plain.high, plain.unlikeness) == (None, None, None)
    if full.probability is not None:
        assert full.low <= full.probability <= full.high
        assert full.unlikeness >= 0.0
        assert bool(full.unlike_in) == (full.unlikeness > 1.0)


@given(st.lists(value, min_size=6, max_size=6))
def test_explaining_adds_the_contributions_and_nothing_else(vector):
    """A prediction without its contributions is else the same, and they can be had afterwards of the same row."""
    bare, whole = SUMMARISED.score(vector, explain=False), SUMMARISED.score(vector)
    assert bare == msgspec.structs.replace(whole, contributions=())
    if whole.probability is not None:
        assert SUMMARISED.largest(SUMMARISED.logits(vector)) == whole.contributions


class Broken(Scorer):
    """A scorer with a bug in its arithmetic."""

    def logits(self, vector):
        """Fail as a bug fails."""
        raise ZeroDivisionError(str(vector))


def test_a_model_that_raises_is_a_prediction_that_says_so():
    """A bug gives no probability and the kind of error, never the data and never an exception."""
    broken = Broken(SCORER.model)
    row = [80.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    failed = broken.score(row)
    assert (failed.probability, failed.reason) == (None, f"{FAILED} ZeroDivisionError")
    assert broken.predict(None, 0).reason.startswith(FAILED)  # type: ignore[arg-type]
