"""Training: prediction before learning, the figures in the lineage, and the card."""

from __future__ import annotations

import pytest

from models.card import model_card
from models.checks import INPUTS, rows
from models.holding import HeldBack
from models.labels import Example
from models.learning import Learner
from models.scorer import Scorer
from models.training import Prequential, TooFewExamplesError, finish, threshold_of, train
from models.version import Lineage, dump

LINEAGE = Lineage("rows made by models.checks", 0, 0, seed=21, outcome_kinds=("death", "critical_care"))


def trained(**settings):
    settings = {"learning_rate": 0.05, **settings}
    return train(rows(21, 1500), LINEAGE, inputs=INPUTS, schema_hash="s", **settings)


def test_the_same_examples_give_the_same_version():
    """Training twice on the same examples gives the same bytes and the same id."""
    assert dump(trained()) == dump(trained())


def test_training_finds_the_signal():
    """On rows with a known signal the version ranks unseen rows far above chance."""
    version = trained()
    assert version.lineage.evaluation["prequential_auroc"] > 0.62
    scorer = Scorer(version)
    unseen = [(scorer.score(vector).probability, label) for vector, label in rows(22, 500)]
    mean = {
        kind: sum(p for p, label in unseen if label is kind) / sum(label is kind for _, label in unseen)
        for kind in (True, False)
    }
    assert mean[True] > mean[False] + 0.05


def test_prediction_comes_before_learning():
    """The probability noted for an example is that of the learner which has not seen it."""
    run, shadow = Prequential(Learner(INPUTS)), Learner(INPUTS)
    for number, (vector, label) in enumerate(rows(23, 50)):
        before = shadow.predict_proba_one(vector)
        assert run.learn(Example("p", number, tuple(vector), label, number)) == before
        shadow.learn_one(vector, label)


def test_examples_after_an_action_can_be_left_out():
    """A learner told so leaves out examples in whose window an alert was acted on, and counts them."""
    run = Prequential(Learner(INPUTS), learn_after_action=False)
    run.learn(Example("p", 0, (1.0,) * 6, True, 1, after_action=True))
    assert (run.learner.rows, run.refused) == (0, {"after_action": 1})


def test_refused_rows_are_counted():
    """A row the learner refuses is counted by its reason and teaches nothing."""
    run = Prequential(Learner(INPUTS))
    run.learn(Example("p", 0, (float("inf"),) * 6, True, 1))
    assert (run.learner.rows, run.refused) == (0, {"not_finite": 1})


def test_too_few_outcomes_make_no_version():
    """Without enough outcomes training ends in a named error, not in a version."""
    with pytest.raises(TooFewExamplesError):
        train([([1.0] * 6, False)] * 100, LINEAGE, inputs=INPUTS)
    with pytest.raises(TooFewExamplesError):
        finish(Prequential(Learner(INPUTS)), LINEAGE)


def test_threshold_follows_from_the_costs():
    """The recommended threshold is where a false alarm and the risk of a miss cost the same; release lies below it."""
    version = trained(cost_of_miss=19.0)
    assert version.threshold == pytest.approx(0.05) == threshold_of(19.0)
    assert 0 < version.threshold_release < version.threshold


def test_passes_learn_again_but_are_not_evaluated():
    """A second pass changes the weights and not the prequential figures."""
    one, two = trained(), trained(passes=2)
    assert one.weights != two.weights
    assert one.lineage.evaluation == two.lineage.evaluation
    assert two.lineage.rows == 2 * one.lineage.rows


def test_card_says_what_it_must():
    """The card says that the version is not for clinical use, what it was trained on, its id, figures and threshold."""
    version = trained()
    card = model_card(version)
    for words in (
        "Not for clinical use", LINEAGE.source, version.digest, version.schema_hash, "death or critical care",
        "AUROC", f"{version.threshold:.4f}", "stay in shadow",
    ):  # fmt: skip
        assert words in card
    assert model_card(version) == card


def test_card_says_what_the_version_knows_of_its_own_limits():
    """With rows held back the card has their table and what was measured; without, it says that there is none."""
    assert "No intervals" in model_card(trained())
    assert "No summary" in model_card(trained())
    held = HeldBack(INPUTS)
    run = Prequential(Learner(INPUTS))
    for number, (vector, label) in enumerate(rows(24, 1200)):
        said = run.learner.predict_proba_one(vector)
        if number < 600:
            run.learn(Example(str(number), number, tuple(vector), label, number))
        else:
            held.hold(vector, said, label=label, patient=str(number))
    version = finish(run, LINEAGE, held_back=held)
    card = model_card(version)
    assert version.venn is not None
    assert card.count(" to ") >= len(version.venn.categories)
    assert "| rows held back | 600 |" in card
    assert "rows whose interval agrees with what was found" in card
    assert version.lineage.evaluation["held_back_rows"] == 600
