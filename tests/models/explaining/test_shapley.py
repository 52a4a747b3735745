"""Contributions: the Shapley values that Lundberg's and Shapley's own definitions give, by every coalition there is."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checks_ensemble import random_ensemble, random_rows
from models.explaining.background import background_of, without_rows
from models.explaining.shapley import Shapley
from models.weights import Crossed, Ensemble, Tree, Trees, codes_of, ensemble_logits

EXACT = 1e-12


def game_of_tree(tree, cover, codes, known):
    """Give what a tree expects of a row of which some inputs are known: Lundberg et al. 2020, algorithm 1."""
    below = {-1 - leaf: count for leaf, count in enumerate(cover)}
    for node in reversed(range(len(tree.feature))):
        below[node] = below[tree.left[node]] + below[tree.right[node]]

    def expect(child):
        if child < 0:
            return tree.leaves[-1 - child]
        feature, left, right = tree.feature[child], tree.left[child], tree.right[child]
        if feature in known:
            code = codes[feature]
            goes_left = tree.missing_left[child] if code == 0 else code <= tree.code[child]
            return expect(left if goes_left else right)
        total = below[left] + below[right]
        share = below[left] / total if total else 0.5
        return share * expect(left) + (1.0 - share) * expect(right)

    return expect(0 if tree.feature else -1)


def shares(counts):
    return np.array(counts) / sum(counts) if sum(counts) else np.full(len(counts), 1.0 / len(counts))


def game_of_crossed(crossed, background, row, codes, known):
    """Give what lines and cells expect: an input that is not known has its mean, and its codes' shares."""
    total = crossed.bias
    for place, (knots, values) in enumerate(zip(crossed.knots, crossed.additive, strict=True)):
        if place not in known:
            total += background.additive[place]
        elif math.isnan(row[place]):
            total += values[0]
        elif knots:
            total += float(np.interp(row[place], knots, values[1:]))
    for (a, b), cells in zip(crossed.pairs, crossed.cells, strict=True):
        matrix = np.array(cells).reshape(len(crossed.cuts[a]) + 2, -1)
        first = np.eye(len(matrix))[codes[a]] if a in known else shares(background.codes[a])
        second = np.eye(matrix.shape[1])[codes[b]] if b in known else shares(background.codes[b])
        total += float(first @ matrix @ second)
    return total


def game(weights, background, row, known):
    """Give the log-odds that are expected of a row of which the inputs in `known` are known."""
    mixed = 0.0
    matrix = np.array([row])
    if weights.crossed is not None:
        codes = codes_of(weights.crossed.cuts, matrix)[0]
        mixed += weights.mix[0] * game_of_crossed(weights.crossed, background, row, codes, known)
    if weights.trees is not None:
        codes = codes_of(weights.trees.cuts, matrix)[0]
        of_trees = [
            game_of_tree(tree, cover, codes, known)
            for tree, cover in zip(weights.trees.trees, background.covers, strict=True)
        ]
        mixed += weights.mix[1] * (weights.trees.bias + sum(of_trees))
    return weights.intercept + weights.slope * mixed


def shapley_values(weights, background, row):
    """Give Shapley's values by their definition, over all coalitions."""
    width = len(row)
    values = []
    for own in range(width):
        others = [place for place in range(width) if place != own]
        total = 0.0
        for size in range(width):
            weight = math.factorial(size) * math.factorial(width - size - 1) / math.factorial(width)
            for coalition in combinations(others, size):
                with_it = game(weights, background, row, {*coalition, own})
                total += weight * (with_it - game(weights, background, row, set(coalition)))
        values.append(total)
    return values


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    parts=st.integers(1, 3),
    rows=st.sampled_from([0, 1, 30]),
    leaves_max=st.integers(1, 16),
)
def test_contributions_are_shapley_values(seed, parts, rows, leaves_max):
    """On any ensemble, of rows with gaps, each contribution is the Shapley value by its definition."""
    width = 5
    weights = random_ensemble(seed, width, parts=parts, trees=3, leaves_max=leaves_max, pairs=0, edges_max=3)
    if weights.crossed is not None:
        # Of an input with itself there is no pair: its cell would be two draws of one number.
        pairs = ((0, 1), (3, 1), (2, 4))
        cuts = weights.crossed.cuts
        draw = np.random.default_rng(seed)
        cells = tuple(tuple(draw.normal(size=(len(cuts[a]) + 2) * (len(cuts[b]) + 2)).tolist()) for a, b in pairs)
        crossed = Crossed(weights.crossed.knots, weights.crossed.additive, pairs, cuts, cells, weights.crossed.bias)
        weights = Ensemble(crossed, weights.trees, weights.mix, weights.slope, weights.intercept)
    background = background_of(weights, random_rows(seed + 1, width, rows)) if rows else without_rows(weights)
    shapley = Shapley(weights, background, width)
    for row in random_rows(seed + 2, width, 2).tolist():
        assert shapley.base == pytest.approx(game(weights, background, row, set()), abs=EXACT)
        expected = shapley_values(weights, background, row)
        assert shapley.contributions(row) == pytest.approx(expected, abs=EXACT)
        logit = float(ensemble_logits(weights, np.array([row]))[0])
        assert shapley.base + sum(shapley.contributions(row)) == pytest.approx(logit, abs=EXACT)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_alone_is_the_game_of_one(seed):
    """What an input does alone is the game with it known, less the game with nothing known."""
    width = 4
    weights = random_ensemble(seed, width, trees=4, pairs=0, edges_max=3)
    background = background_of(weights, random_rows(seed, width, 40))
    shapley = Shapley(weights, background, width)
    for row in random_rows(seed + 1, width, 2).tolist():
        for place in range(width):
            expected = game(weights, background, row, {place}) - game(weights, background, row, set())
            assert shapley.alone(place, [row[place]]) == [pytest.approx(expected, abs=EXACT)]


def test_a_leaf_fifteen_inputs_deep_is_exact():
    """The quadrature is exact at the greatest depth a tree can have: a chain over fifteen inputs."""
    width = 15
    chain = Tree(
        tuple(range(width)), (1,) * width, (True,) * width, tuple(-1 - leaf for leaf in range(width)),
        (*range(1, width), -1 - width), tuple(float(leaf * leaf) for leaf in range(width + 1)),
    )  # fmt: skip
    weights = Ensemble(None, Trees(((0.0,),) * width, (chain,), 0.0), (0.0, 1.0))
    background = background_of(weights, random_rows(5, width, 300))
    row = [1.0] * width
    # The value of the chain's end where all are known, by the recursion over the order's positions.
    contributions = Shapley(weights, background, width).contributions(row)
    expected = by_sampling_free_recursion(chain, background.covers[0])
    assert contributions == pytest.approx(expected, rel=1e-10)


def by_sampling_free_recursion(chain, cover):
    """Give the Shapley values of a chain whose row goes right at every node: for each leaf by sums over set sizes."""
    width = len(chain.feature)
    values = np.zeros(width)
    after = np.cumsum(cover[::-1])[::-1]
    right = [after[at + 1] / after[at] if after[at] else 0.5 for at in range(width)]
    for leaf in range(width + 1):
        passed = [1.0] * min(leaf, width) + ([0.0] if leaf < width else [])
        share = right[: min(leaf, width)] + ([1.0 - right[leaf]] if leaf < width else [])
        depth = len(passed)
        for own in range(depth):
            # Coefficients of the product over the others of (share + passed * t), by how many are known.
            sizes = np.array([1.0])
            for other in range(depth):
                if other != own:
                    sizes = np.convolve(sizes, [share[other], passed[other]])
            weights = [math.factorial(s) * math.factorial(depth - s - 1) / math.factorial(depth) for s in range(depth)]
            values[own] += chain.leaves[leaf] * (passed[own] - share[own]) * float(sizes @ weights)
    return values


def test_a_pair_is_shared_fairly():
    """Two inputs that matter only together share what they do: each half, from a background that splits evenly."""
    cells = (0.0,) * 3 + (0.0, 1.0, 0.0) + (0.0, 0.0, 1.0)
    crossed = Crossed(((), ()), ((0.0,), (0.0,)), ((0, 1),), ((0.0,), (0.0,)), (cells,), 0.0)
    weights = Ensemble(crossed, None, (1.0, 0.0))
    background = background_of(weights, np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]))
    shapley = Shapley(weights, background, 2)
    assert shapley.base == 0.5
    assert shapley.contributions([1.0, 1.0]) == [0.25, 0.25]
    assert shapley.contributions([1.0, -1.0]) == [-0.25, -0.25]
