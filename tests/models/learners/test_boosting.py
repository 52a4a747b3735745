"""Incremental boosting: trees, the ring, the reservoirs, cuts that move, a stream that shifts, and bounds."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from models.learners import boosting
from models.learners.boosting import SAMPLE_BYTES_MAX, Boosting, BoostingSettings
from models.learners.forest import Forest
from models.learners.histogram_tree import ROWS_MAX, STEP_MAX, TreeLimits, grown_tree
from models.learners.reservoir import Reservoir
from models.rows import Inputs
from models.weights import Tree, leaf_of

XY = Inputs(("x", "y"))
QUICK = BoostingSettings(
    every_labels=50, negatives=800, positives=400, negatives_a_tree=400, positives_a_tree=400, ring=60, shrinkage=1.0,
    rate=0.2, fade=0.99, memory_labels=2_000.0, inputs_share=1.0, schedule=(200,), bins=16,
)  # fmt: skip


def stream(seed, count=5_000):
    matrix = np.random.default_rng(seed).uniform(size=(count, 2))
    return matrix, (matrix[:, 0] > 0.5) != (matrix[:, 1] > 0.5)


def cached_apart(learner):
    """How far the cached log-odds stand from the trees' own."""
    return max(
        float(np.abs(kept.logits - learner._forest.logits(kept.codes))[~kept.stale].max()) for kept in learner._kept
    )


def test_trees_find_a_pair_that_nobody_named():
    """Exclusive-or of two inputs is found."""
    learner = Boosting(XY, QUICK)
    learner.learn_many(*stream(1))
    high, low = learner.predict_proba_many(np.array([[0.2, 0.8], [0.2, 0.2]]))
    assert high > 0.85
    assert low < 0.15


def test_a_shift_is_followed():
    """When the outcome comes to mean the opposite, what was learned before fades."""
    learner = Boosting(XY, QUICK)
    matrix, labels = stream(2)
    learner.learn_many(matrix, labels)
    learner.learn_many(matrix, ~labels)
    learner.learn_many(matrix, ~labels)
    was_high, was_low = learner.predict_proba_many(np.array([[0.2, 0.8], [0.2, 0.2]]))
    assert was_high < 0.3
    assert was_low > 0.7


def test_a_rate_that_changes_is_followed():
    """The bias follows the rate of positives where the inputs say nothing."""
    learner = Boosting(XY, QUICK)
    generator = np.random.default_rng(3)
    for rate in (0.05, 0.3):
        learner.learn_many(generator.uniform(size=(6_000, 2)), generator.random(6_000) < rate)
        told = learner.predict_proba_many(generator.uniform(size=(500, 2)))
        assert told.mean() == pytest.approx(rate, rel=0.25)


def test_cached_log_odds_are_the_trees_own():
    """After the ring went round, rows were replaced and cuts moved, the cache is what the trees say."""
    learner = Boosting(XY, msgspec.structs.replace(QUICK, schedule=(200, 1_000), ring=12))
    matrix, labels = stream(4, 3_000)
    for end in (999, 1_000, 3_000):
        learner.learn_many(matrix[learner.rows : end], labels[learner.rows : end])
    learner.learn_many(matrix[:50], labels[:50])
    assert learner._forest.full
    assert cached_apart(learner) < 1e-9


def test_what_was_learned_outlives_new_cuts():
    """When cuts move, codes and trees go to the nearest new cut and predictions hardly change."""
    learner = Boosting(XY, msgspec.structs.replace(QUICK, schedule=(200, 3_010)))
    matrix, labels = stream(5)
    grid, _ = stream(6, 500)
    learner.learn_many(matrix[:3_009], labels[:3_009])
    told, cuts = learner.predict_proba_many(grid), learner.bins.cuts
    learner.learn_many(matrix[3_009:3_010], labels[3_009:3_010])
    assert learner.bins.cuts != cuts
    assert np.median(np.abs(learner.predict_proba_many(grid) - told)) < 0.02


def test_what_new_cuts_left_behind_is_caught_up_label_by_label():
    """When the growth after new cuts is due, no more waits for it than is allowed: none of them takes a second."""
    settings = msgspec.structs.replace(
        QUICK, negatives=4_000, positives=2_500, every_labels=400, schedule=(200, 6_000), least_share=0.5
    )
    learner = Boosting(XY, settings)
    matrix, labels = stream(7, 6_400)
    learner.learn_many(matrix[:6_000], labels[:6_000])
    assert sum(int(kept.stale.sum()) for kept in learner._kept) > 2 * boosting.STALE_MAX
    for row, label in zip(matrix[6_000:], labels[6_000:], strict=True):
        if learner.due():
            break
        learner.learn_one(row.tolist(), bool(label))
    assert learner.due()
    assert all(int(kept.stale.sum()) <= boosting.STALE_MAX + learner.until_due() for kept in learner._kept)
    learner.grow()
    assert cached_apart(learner) < 1e-9


def test_it_is_the_same_whether_caught_up_little_by_little_or_at_once(monkeypatch):
    """What is said anew of a row does not depend on when it is said: the same trees to the last bit."""
    settings = msgspec.structs.replace(QUICK, negatives=4_000, positives=2_500, schedule=(200, 4_000))
    little, at_once = Boosting(XY, settings), Boosting(XY, settings)
    rows = stream(8, 6_000)
    little.learn_many(*rows)
    monkeypatch.setattr(boosting, "STALE_MAX", 10**9)
    at_once.learn_many(*rows)
    assert little.state() == at_once.state()


def test_memory_is_bounded_whatever_the_width():
    """The reservoirs' bytes stay under the bound, however many inputs there are."""
    learner = Boosting(Inputs(tuple(f"x{number}" for number in range(700))))
    assert sum(kept.capacity for kept in learner._kept) * 700 <= SAMPLE_BYTES_MAX


def test_too_few_positives_grow_no_tree():
    """Until there are a handful of positives no tree is grown, and the base rate is said."""
    learner = Boosting(XY, QUICK)
    matrix, _ = stream(7, 500)
    labels = np.zeros(500, dtype=bool)
    labels[:4] = True
    learner.learn_many(matrix, labels)
    assert learner.trees().trees == ()
    assert learner.predict_proba_one([0.5, 0.5]) == pytest.approx(0.02)


def test_a_tree_has_its_limits():
    """A tree has no more leaves than allowed, none with less curvature than asked, and refuses too many rows."""
    generator = np.random.default_rng(8)
    codes = generator.integers(0, 20, size=(2_000, 4)).astype(np.uint8)
    gradients, curvatures = generator.normal(size=2_000), np.full(2_000, 0.25)
    tree = grown_tree(codes, gradients, curvatures, np.arange(4), TreeLimits(9, 1.0, 20.0))
    counts = np.bincount(leaf_of(tree, codes))
    assert len(tree.leaves) == 9
    assert counts.min() * 0.25 >= 19.9
    with pytest.raises(ValueError, match="more than"):
        grown_tree(np.zeros((ROWS_MAX + 1, 1), np.uint8), np.zeros(ROWS_MAX + 1), np.ones(ROWS_MAX + 1),
                   np.arange(1), TreeLimits())  # fmt: skip


def test_the_first_split_is_the_best_one():
    """The root is the split of greatest gain over all inputs, codes and both ways for the unknown, by brute force."""
    generator = np.random.default_rng(9)
    codes = generator.integers(0, 6, size=(400, 3)).astype(np.uint8)
    gradients, curvatures = generator.normal(size=400) + (codes[:, 1] > 2) * 0.3, generator.uniform(0.1, 1.0, 400)
    tree = grown_tree(codes, gradients, curvatures, np.arange(3), TreeLimits(2, 3.0, 0.0))

    def gain(column, code, missing_left):
        left = np.where(codes[:, column] == 0, missing_left, codes[:, column] <= code)
        return sum(gradients[part].sum() ** 2 / (curvatures[part].sum() + 3.0) for part in (left, ~left))

    best = max(gain(column, code, flag) for column in range(3) for code in range(1, 6) for flag in (False, True))
    assert gain(tree.feature[0], tree.code[0], tree.missing_left[0]) == pytest.approx(best, rel=1e-3)


def test_a_forest_adds_what_its_trees_say():
    """Looking rows up in all trees at once gives what each tree gives alone, also trees without a split."""
    generator = np.random.default_rng(10)
    codes = generator.integers(0, 12, size=(900, 5)).astype(np.uint8)
    limits = TreeLimits(15, 1.0, 1.0)
    grown = [grown_tree(codes, generator.normal(size=900), np.ones(900), np.arange(5), limits) for _ in range(6)]
    trees = [Tree((), (), (), (), (), (0.25,)), *grown]
    weights = generator.uniform(size=7).tolist()
    expected = sum(w * np.array(tree.leaves)[leaf_of(tree, codes)] for tree, w in zip(trees, weights, strict=True))
    assert np.allclose(Forest(7, trees, weights).logits(codes), expected, atol=1e-12)
    assert np.allclose(Forest(5, trees, weights).logits(codes), Forest(5, trees[2:], weights[2:]).logits(codes))


def test_a_reservoir_is_uniform_at_first_and_recent_later():
    """Until the least share binds every row is as likely to be kept; afterwards the memory is a few times its size."""
    even = Reservoir(2_000, 1, least_share=1e-9, seed=1)
    recent = Reservoir(2_000, 1, least_share=0.25, seed=1)
    for number in range(20_000):
        for kept in (even, recent):
            kept.offer(np.array([number // 2_000], dtype=np.uint8))
    assert np.abs(np.bincount(even.codes[:, 0], minlength=10) / 200 - 1.0).max() < 0.25
    ages = 9 - recent.codes[:, 0].astype(int)
    assert ages.mean() == pytest.approx(3.1, abs=0.4)
    assert even.state() == Reservoir.restored(even.state()).state()


def test_a_leaf_has_no_boundless_step():
    """Where the trees are sure and wrong, curvature is nearly nothing and the step is bounded all the same."""
    codes = np.ones((100, 1), dtype=np.uint8)
    tree = grown_tree(codes, np.full(100, 5.0), np.full(100, 1e-9), np.arange(1), TreeLimits(shrinkage=1e-6))
    assert tree.leaves == (-STEP_MAX,)


@pytest.mark.parametrize(
    "changes",
    [
        {"ring": 0}, {"leaves": 17}, {"negatives": 10**9}, {"negatives_a_tree": 20_000}, {"fade": 1.5}, {"rate": 0.0},
        {"shrinkage": 0.0}, {"every_labels": 0}, {"memory_labels": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(changes):
    """Settings nothing can learn with, or that ask for boundless memory, are refused before memory is taken."""
    with pytest.raises(ValueError, match=r".+"):
        Boosting(XY, msgspec.structs.replace(QUICK, **changes))


def test_a_state_whose_parts_do_not_fit_is_refused():
    """A reservoir of another capacity, or more trees than the ring holds, is no state of this learner."""
    learner = Boosting(XY, QUICK)
    learner.learn_many(*stream(11, 400))
    state = learner.state()
    larger = msgspec.structs.replace(state.kept[0], capacity=10**12)
    for spoiled in (
        msgspec.structs.replace(state, kept=(larger, state.kept[1])),
        msgspec.structs.replace(state, trees=state.trees * 100, weights=state.weights * 100),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            Boosting.restored(spoiled)
