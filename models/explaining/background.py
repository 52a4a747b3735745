"""What a version's scores are explained against: how the rows of a reference population spread over its weights.

Owns the counts, how they are made from rows, and their check. Must not know how a contribution follows from them
(models/explaining/shapley.py).

"Raises the risk" needs a "than what": it is these rows. `covers` say how many of them ended in each leaf of each tree,
`additive` what each input's line came to on average, `codes` how often each input had each code of a pair. All are
counts and means; no patient's row is kept.
"""

from __future__ import annotations

import msgspec
import numpy as np

from models.weights import WEIGHT_MAX, Ensemble, Matrix, codes_of, leaf_of

ROWS_MAX = 2**31 - 1
"""More rows than a version is ever explained against: past this the counts are not ours."""


class Background(msgspec.Struct, frozen=True):
    """Counts of reference rows, in the order of the weights they belong to."""

    rows: int
    additive: tuple[float, ...]
    """For each input the mean of its line, in the crossed logistic's log-odds; empty where there is no such part."""
    codes: tuple[tuple[int, ...], ...]
    """For each input the rows with each of the codes that pairs go by; empty as above."""
    covers: tuple[tuple[int, ...], ...]
    """For each tree the rows in each of its leaves, in the order of `Tree.leaves`."""


def background_of(weights: Ensemble, matrix: Matrix) -> Background:
    """Count reference rows of shape (rows, inputs), NaN where unknown; there must be one at least.

    >>> from models.weights import Crossed, Tree, Trees
    >>> line = Crossed(((0.0, 2.0),), ((0.5, 0.0, 1.0),), (), ((),), (), 0.0)
    >>> stump = Tree((0,), (1,), (True,), (-1,), (-2,), (-1.0, 1.0))
    >>> rows = np.array([[1.0], [2.0], [np.nan], [9.0]])
    >>> background_of(Ensemble(line, Trees(((1.0,),), (stump,), 0.0), (0.5, 0.5)), rows)
    Background(rows=4, additive=(0.75,), codes=((1, 3),), covers=((2, 2),))
    """
    assert len(matrix), "nothing can be explained against no row"
    additive: tuple[float, ...] = ()
    counts: tuple[tuple[int, ...], ...] = ()
    covers: tuple[tuple[int, ...], ...] = ()
    if (crossed := weights.crossed) is not None:
        unknown = np.isnan(matrix)
        filled = np.where(unknown, 0.0, matrix)
        means = []
        for place, (knots, values) in enumerate(zip(crossed.knots, crossed.additive, strict=True)):
            known = np.interp(filled[:, place], knots, values[1:]) if knots else np.zeros(len(matrix))
            means.append(float(np.where(unknown[:, place], values[0], known).mean()))
        additive = tuple(means)
        codes = codes_of(crossed.cuts, matrix)
        counts = tuple(
            tuple(np.bincount(codes[:, place], minlength=len(own) + 2).tolist())
            for place, own in enumerate(crossed.cuts)
        )
    if (trees := weights.trees) is not None:
        codes = codes_of(trees.cuts, matrix)
        covers = tuple(
            tuple(np.bincount(leaf_of(tree, codes), minlength=len(tree.leaves)).tolist()) for tree in trees.trees
        )
    return Background(len(matrix), additive, counts, covers)


def without_rows(weights: Ensemble) -> Background:
    """Stand in where no reference rows were kept: each leaf and each code is as likely as the next.

    What follows from it still adds up to the log-odds, from a base that no patients stand behind.

    >>> without_rows(Ensemble(None, None, (0.0, 0.0)))
    Background(rows=0, additive=(), codes=(), covers=())
    """
    crossed, trees = weights.crossed, weights.trees
    return Background(
        0,
        () if crossed is None else (0.0,) * len(crossed.knots),
        () if crossed is None else tuple((0,) * (len(own) + 2) for own in crossed.cuts),
        () if trees is None else tuple((0,) * len(tree.leaves) for tree in trees.trees),
    )


def problem_of(background: Background, weights: Ensemble) -> str:
    """Say why a background that was read does not belong to the weights, or nothing. The weights must be sound.

    >>> problem_of(Background(3, (), (), ()), Ensemble(None, None, (0.0, 0.0)))
    ''
    >>> problem_of(Background(0, (), (), ()), Ensemble(None, None, (0.0, 0.0)))
    'background: no rows, or more than there are'
    """
    if not 0 < background.rows <= ROWS_MAX:
        return "background: no rows, or more than there are"
    shape = without_rows(weights)
    if len(background.additive) != len(shape.additive) or not all(
        abs(one) <= WEIGHT_MAX for one in background.additive
    ):
        return "background: means do not fit the lines, or are not finite"
    for counts, own, what in (
        (background.codes, shape.codes, "codes"),
        (background.covers, shape.covers, "leaves"),
    ):
        if [len(one) for one in counts] != [len(one) for one in own]:
            return f"background: counts do not fit the {what}"
        if any(min(one) < 0 or sum(one) != background.rows for one in counts):
            return f"background: counts of {what} are not those of its rows"
    return ""
