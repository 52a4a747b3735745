"""The shipped learner: the mixture, the calibration it learns from what was said, and its weights."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from models.learners.boosting import Boosting, BoostingSettings
from models.learners.crossed_logistic import CrossedLogistic
from models.learners.ensemble import MIX, CrossedBoosted
from models.learners.factory import LEARNERS, SHIPPED, UnreadableStateError, from_bytes, to_bytes
from models.rows import Inputs
from models.weights import Crossed, Ensemble, Tree, Trees, problem_of

XY = Inputs(("x", "y"))
QUICK = BoostingSettings(
    every_labels=100, negatives=800, positives=400, ring=40, shrinkage=1.0, rate=0.2, fade=0.99,
    memory_labels=2_000.0, inputs_share=1.0, schedule=(200,), bins=16,
)  # fmt: skip


def stream(seed, count=3_000):
    matrix = np.random.default_rng(seed).uniform(size=(count, 2))
    return matrix, np.random.default_rng(seed + 1).random(count) < matrix[:, 0] * 0.6


def test_the_mixture_is_of_its_parts():
    """Before calibration the log-odds are mixed from a logistic and a boosting that learned the same rows."""
    matrix, labels = stream(1)
    both = CrossedBoosted(XY, QUICK, pairs=((0, 1),))
    parts = CrossedLogistic(XY, pairs=((0, 1),), schedule=(200,)), Boosting(XY, QUICK)
    both.learn_many(matrix, labels, np.zeros(len(matrix)))
    for part in parts:
        part.learn_many(matrix, labels)
    expected = MIX[0] * parts[0].logits_many(matrix) + MIX[1] * parts[1].logits_many(matrix)
    assert np.allclose(both.raw_logits(matrix), expected, atol=1e-12)


def test_calibration_learns_from_what_was_said():
    """What was said too high for long is mended, whatever the parts would say now."""
    matrix, labels = stream(3)
    told_high, told_right = (CrossedBoosted(XY, QUICK, pairs=()) for _ in range(2))
    rate = np.log(0.3 / 0.7)
    told_high.learn_many(matrix, labels, np.full(len(matrix), rate + 1.5))
    told_right.learn_many(matrix, labels, np.full(len(matrix), rate))
    assert np.array_equal(told_high.raw_logits(matrix), told_right.raw_logits(matrix))
    assert told_high.logits_many(matrix).mean() < told_right.logits_many(matrix).mean() - 0.3


def test_said_may_be_partly_unknown():
    """Where what was said was not kept, what would be said now stands in for it; the row is learned all the same."""
    matrix, labels = stream(5, 400)
    said = np.full(400, np.nan)
    said[::2] = -1.0
    learner = CrossedBoosted(XY, QUICK, pairs=())
    assert learner.learn_many(matrix, labels, said) == [""] * 400
    assert learner.rows == learner.calibrator.rows == 400


def test_learners_are_there_by_name():
    """The names a command may ask for make learners, the shipped one among them."""
    assert SHIPPED in LEARNERS
    for make in LEARNERS.values():
        learner = make(XY)
        learner.learn_many(*stream(7, 50))
        assert learner.rows == 50
        assert np.isfinite(learner.predict_proba_many(np.ones((2, 2)))).all()


def test_bytes_that_are_no_state_are_refused():
    """An unknown learner, a state cut short, one of another learner: each is refused with a reason."""
    data = to_bytes(CrossedBoosted(XY, QUICK, pairs=()))
    other = to_bytes(CrossedLogistic(XY, pairs=()))
    for spoiled in (data[:-1], data.replace(b"crossed-boosted", b"crossed-bcosted"), b"", other[:30] + data[30:]):
        with pytest.raises(UnreadableStateError):
            from_bytes(spoiled)


def test_a_state_and_a_version_are_small():
    """With the inputs of a hospital and full reservoirs a state is under 20 MB and the weights are under 5 MB."""
    generator = np.random.default_rng(11)
    inputs = Inputs(tuple(f"x{number}" for number in range(260)))
    settings = BoostingSettings(every_labels=4_000, schedule=(512,), negatives_a_tree=500, positives_a_tree=500)
    learner = CrossedBoosted(inputs, settings, pairs=tuple((number, number + 1) for number in range(250)))
    matrix = generator.normal(size=(600, 260))
    learner.learn_many(matrix, matrix[:, 0] > 1.0, np.zeros(600))
    for kept in learner.boosting._kept:
        kept.size = kept.capacity
    tree = Tree(
        tuple(range(14)), (12,) * 14, (True,) * 14, (*range(1, 14), -1), tuple(range(-2, -16, -1)), (1 / 3,) * 15
    )
    for _ in range(settings.ring):
        learner.boosting._forest.add(tree, 1.0)
    assert len(to_bytes(learner)) < 20_000_000
    assert len(msgspec.json.encode(learner.weights())) < 5_000_000


SOUND = Ensemble(
    Crossed(((1.0, 2.0), ()), ((0.0, 0.1, 0.2), (0.3,)), ((0, 1),), ((1.0,), ()), ((0.0,) * 6,), -3.0),
    Trees(((1.0, 2.0), ()), (Tree((0, 1), (2, 1), (True, False), (1, -1), (-2, -3), (0.1, 0.2, 0.3)),), -3.0),
    (0.5, 0.5),
)


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("crossed", {"bias": float("inf")}, "finite"),
        ("crossed", {"knots": ((2.0, 1.0), ())}, "ascend"),
        ("crossed", {"pairs": ((0, 2),)}, "names no input"),
        ("crossed", {"cells": ((0.0,) * 5,)}, "cells do not fit"),
        ("crossed", {"additive": ((0.0, 0.1), (0.3,))}, "additive"),
        ("trees", {"bias": float("nan")}, "finite"),
        ("trees", {"cuts": ((1.0,),)}, "for 2 inputs"),
        ("trees", {"trees": (Tree((2,), (1,), (True,), (-1,), (-2,), (0.0, 0.0)),)}, "no input"),
        ("trees", {"trees": (Tree((1,), (2,), (True,), (-1,), (-2,), (0.0, 0.0)),)}, "no code"),
        ("trees", {"trees": (Tree((0,), (1,), (True,), (-1,), (-1,), (0.0, 0.0)),)}, "no tree"),
        ("trees", {"trees": (Tree((0, 0), (1, 1), (True,) * 2, (-1, 1), (-2, -3), (0.0,) * 3),)}, "no tree"),
        ("trees", {"trees": (Tree((0,), (1,), (True,), (-1,), (-2,), (0.0,)),)}, "leaves"),
        ("trees", {"trees": (Tree((0,), (1,), (), (-1,), (-2,), (0.0, 0.0)),)}, "unequal"),
    ],
)
def test_unsound_weights_are_refused(part, changes, words):
    """Each way in which weights may be spoiled has its reason; unspoiled ones have none."""
    assert problem_of(SOUND, 2) == ""
    spoiled = msgspec.structs.replace(getattr(SOUND, part), **changes)
    assert words in problem_of(msgspec.structs.replace(SOUND, **{part: spoiled}), 2)
