"""Every learner obeys every law; the laws notice a learner that does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models.checks import BrokenLawError
from models.learners import checks
from models.learners.boosting import Boosting, BoostingSettings
from models.learners.classifier import Classifier
from models.learners.crossed_logistic import CrossedLogistic
from models.learners.ensemble import CrossedBoosted
from models.learners.factory import from_bytes, to_bytes
from models.learners.river_logistic import RiverLogistic
from models.rows import Inputs

SCHEDULE = (128, 512)
QUICK = BoostingSettings(
    every_labels=60, negatives=300, positives=200, negatives_a_tree=150, positives_a_tree=120, ring=8,
    shrinkage=2.0, rate=0.2, fade=0.98, memory_labels=2_000.0, inputs_share=0.7, schedule=SCHEDULE, seed=3,
)  # fmt: skip
"""Small enough that reservoirs overflow, the ring goes round and cuts move within the laws' rows."""

MAKERS: dict[str, Callable[[Inputs], Classifier]] = {
    "crossed-logistic": lambda inputs: CrossedLogistic(inputs, pairs=((0, 1), (2, 5)), rate=0.05, schedule=SCHEDULE),
    "boosting": lambda inputs: Boosting(inputs, QUICK),
    "crossed-boosted": lambda inputs: CrossedBoosted(inputs, QUICK, pairs=((0, 4),), rate=0.05),
    "river-logistic": lambda inputs: RiverLogistic(inputs, learning_rate=0.1),
}

# River's own ways: a running scaler sees an input that begins late as another one, and it has no weights of ours. It is
# measured beside ours, and not held to these.
NOT_RIVERS = {"newly_measured_is_learned", "one_class_is_survived"}


HELD = [
    pytest.param(learner, law, id=f"{learner}-{name}")
    for learner in MAKERS
    for name, law in checks.laws()
    if learner != "river-logistic" or name not in NOT_RIVERS
]


@pytest.mark.parametrize(("learner", "law"), HELD)
def test_law(learner, law):
    """The learner obeys the law."""
    law(MAKERS[learner])


@pytest.mark.parametrize("learner", MAKERS)
def test_a_state_as_bytes_goes_on_alike(learner):
    """What a snapshot holds is read back as the same kind of learner with the same state."""
    one = MAKERS[learner](checks.INPUTS)
    one.learn_many(*checks.examples(40, 300))
    other = from_bytes(to_bytes(one))
    assert type(other) is type(one)
    assert to_bytes(other) == to_bytes(one)


class Growing(Boosting):
    """Grows within `learn_one`."""

    def learn_one(self, vector, label, said=None):
        """Learn, and grow."""
        refusal = super().learn_one(vector, label, said)
        if self.rows > self.settings.every_labels:
            self._growths += 1
        return refusal


class Forgetful(CrossedLogistic):
    """Loses its average when it is restored."""

    @classmethod
    def restored(cls, state):
        """Restore most of it."""
        learner = super().restored(state)
        learner._averaged = learner._weights.copy()
        return learner


class Sloppy(CrossedLogistic):
    """Takes whatever comes."""

    def learn_one(self, vector, label, said=None):
        """Learn, and refuse nothing."""
        super().learn_one(vector, label, said)
        self.rows += 1
        return ""


def test_laws_have_teeth():
    """Learners that lose state, differ by the hundred or take anything each break the law that is meant for them."""
    with pytest.raises(BrokenLawError, match="many is one by one"):
        checks.many_is_one_by_one(lambda inputs: Growing(inputs, QUICK))
    with pytest.raises(BrokenLawError, match="restored"):
        checks.restored_goes_on_alike(lambda inputs: Forgetful(inputs, pairs=(), rate=0.1, schedule=SCHEDULE))
    with pytest.raises(BrokenLawError, match="refusal says why"):
        checks.unusable_teaches_nothing(lambda inputs: Sloppy(inputs, pairs=(), schedule=SCHEDULE))

    class Misweighted(CrossedLogistic):
        def crossed(self):
            found = super().crossed()
            return type(found)(found.knots, found.additive, found.pairs, found.cuts, found.cells, found.bias + 1e-6)

    with pytest.raises(BrokenLawError, match="weights say the same"):
        checks.weights_say_the_same(lambda inputs: Misweighted(inputs, pairs=(), schedule=SCHEDULE))

    class Blind(CrossedLogistic):
        def predict_proba_many(self, matrix):
            return np.full(len(matrix), 0.5) + np.arange(len(matrix)) * 1e-9

    with pytest.raises(BrokenLawError, match="signal"):
        checks.signal_is_found(lambda inputs: Blind(inputs, pairs=(), schedule=SCHEDULE))
