"""The online calibrator: it obeys the laws, the laws notice a breach, and how long it remembers is chosen."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from models.calibration import INTERCEPT_MAX, Calibrator, CalibratorState, problem_of
from models.checks import BrokenLawError
from models.checks_calibration import keeps_the_order, laws, recovers_from_a_shift, told, unusable_teaches_nothing
from models.evaluation import auroc


@pytest.mark.parametrize(("name", "law"), list(laws()))
def test_law(name, law):
    """The calibrator that ships obeys the law."""
    law(Calibrator)


def test_laws_notice_a_slope_that_turns():
    """A calibrator that may turn the order breaks a law, so the laws have teeth."""

    class Turning(Calibrator):
        def transform(self, logit):
            return self.intercept - self.slope * logit

    with pytest.raises(BrokenLawError):
        keeps_the_order(Turning)


def test_laws_notice_one_that_never_learns_or_learns_anything():
    """One that mends nothing is found out by the shift, one that learns from NaN by its state."""

    class Still(Calibrator):
        def learn_one(self, logit, label):
            return "" if math.isfinite(logit) and label in (False, True) else "not_finite"

    class Careless(Calibrator):
        def learn_one(self, logit, label):
            super().learn_one(0.0 if math.isnan(logit) else logit, label)
            return ""

    with pytest.raises(BrokenLawError):
        recovers_from_a_shift(Still)
    with pytest.raises(BrokenLawError):
        unusable_teaches_nothing(Careless)


def test_the_auroc_of_a_frozen_line_is_the_same():
    """What stands still has the same order, so the AUROC is the same to the last bit."""
    calibrator = Calibrator()
    logits, labels = told(1, 20_000, slope=0.6, shift=-1.0)
    for logit, label in zip(logits.tolist(), labels.tolist(), strict=True):
        calibrator.learn_one(logit, label)
    assert calibrator.slope != 1.0
    assert auroc(labels, calibrator.transform_many(logits)) == auroc(labels, logits)


def test_an_array_is_mended_as_each_of_it():
    """The array's form gives what the one-by-one form gives, beyond the bound too."""
    calibrator = Calibrator()
    logits, labels = told(2, 2000, shift=1.0)
    for logit, label in zip(logits.tolist(), labels.tolist(), strict=True):
        calibrator.learn_one(logit, label)
    values = np.array([-1e9, -30.0, -4.0, 0.0, 1e9])
    assert calibrator.transform_many(values).tolist() == [calibrator.transform(value) for value in values.tolist()]


def test_what_is_said_is_the_stored_line():
    """Intercept and slope, as a version stores them, give what `transform` gives."""
    calibrator = Calibrator()
    for number in range(500):
        calibrator.learn_one(-2.0 + number % 3, number % 4 == 0)
    assert calibrator.transform(-1.5) == calibrator.intercept + calibrator.slope * -1.5


def test_a_calm_stream_is_left_to_the_long_memories_and_a_shift_to_the_short():
    """The shortest memory leads soon after a shift of the rate, and not before."""
    calibrator = Calibrator()
    for seed, shift in ((3, 0.0), (4, 0.0), (5, 1.2)):
        logits, labels = told(seed, 30_000 if seed < 5 else 10_000, shift=shift)
        for logit, label in zip(logits.tolist(), labels.tolist(), strict=True):
            calibrator.learn_one(logit, label)
        if seed == 4:
            calm = calibrator.shares()[1]
    assert calm < 0.4
    assert calibrator.shares()[1] > 0.6


def test_poisoned_labels_are_bounded():
    """However long every label is wrong, the line stays within its bounds, and right labels bring it back."""
    calibrator = Calibrator()
    for logit in told(6, 20_000)[0].tolist():
        calibrator.learn_one(logit, True)
    assert all(abs(memory.shift) <= INTERCEPT_MAX for memory in calibrator.state().memories)
    logits, labels = told(7, 60_000)
    for logit, label in zip(logits.tolist(), labels.tolist(), strict=True):
        calibrator.learn_one(logit, label)
    assert calibrator.transform(-4.0) == pytest.approx(-4.0, abs=0.2)


def test_the_state_survives_json():
    """Written as JSON and read again, it is the same state to the last bit."""
    calibrator = Calibrator((1000.0,))
    for number in range(700):
        calibrator.learn_one(math.sin(number) - 3.0, number % 9 == 0)
    state = calibrator.state()
    assert msgspec.json.decode(msgspec.json.encode(state), type=CalibratorState) == state


STATE = Calibrator((1000.0,)).state()
MEMORY = STATE.memories[0]


@pytest.mark.parametrize(
    "broken",
    [
        replace(STATE, memories=()),
        replace(STATE, memories=(MEMORY,) * 9, log_weights=(0.0,) * 10),
        replace(STATE, log_weights=(0.0,)),
        replace(STATE, log_weights=(0.0, math.nan)),
        replace(STATE, centre=math.inf),
        replace(STATE, positives=1),
        replace(STATE, memories=(replace(MEMORY, labels=0.0),)),
        replace(STATE, memories=(replace(MEMORY, shift=math.nan),)),
        replace(STATE, memories=(replace(MEMORY, slope=-1.0),)),
        replace(STATE, memories=(replace(MEMORY, precision=(1.0, 2.0, 1.0)),)),
    ],
)
def test_a_state_that_does_not_fit_is_refused(broken):
    """Each kind of state that no calibrator could have had is named, and not gone on from."""
    assert problem_of(STATE) == ""
    assert problem_of(broken)
    with pytest.raises(ValueError, match="calibration"):
        Calibrator.restored(broken)
