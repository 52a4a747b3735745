"""A ring of small trees: the newest replaces the oldest, and all fade as new ones come.

Owns the trees, what each weighs now, and looking rows up in all of them at once. Must not know how a tree is grown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.weights import LEAVES_MAX, Codes, Tree

PLACES_AT_ONCE = 65_536
"""Rows times trees looked up at a time: few enough to stay in the caches, enough for numpy's calls to be nothing."""

_END = -1


def said_by(tree: Tree, codes: Codes) -> NDArray[np.float64]:
    """Give one tree's leaf for many rows of codes: rows are parted node by node.

    >>> said_by(Tree((0,), (1,), (True,), (-1,), (-2,), (0.0, 1.0)), np.array([[0], [1], [2]], dtype=np.uint8)).tolist()
    [0.0, 0.0, 1.0]
    """
    if not tree.feature:
        return np.full(len(codes), tree.leaves[0])
    said = np.empty(len(codes))
    waiting = [(0, np.arange(len(codes)))]
    while waiting:
        node, rows = waiting.pop()
        value = codes[rows, tree.feature[node]]
        goes_left = value <= tree.code[node]
        if not tree.missing_left[node]:
            goes_left &= value != 0
        for child, part in ((tree.left[node], rows[goes_left]), (tree.right[node], rows[~goes_left])):
            if child < 0:
                said[part] = tree.leaves[-1 - child]
            else:
                waiting.append((child, part))
    return said


class Forest:
    """At most `capacity` trees with weights.

    >>> forest = Forest(2)
    >>> for leaf in (1.0, 2.0, 3.0):
    ...     forest.fade(0.5)
    ...     forest.add(Tree((), (), (), (), (), (leaf,)), 1.0)
    >>> forest.logits(np.zeros((1, 1), dtype=np.uint8)).tolist()
    [4.0]
    """

    def __init__(self, capacity: int, trees: Sequence[Tree] = (), weights: Sequence[float] = ()) -> None:
        """Begin with these trees, oldest first; their leaves are not multiplied by their weights."""
        self.capacity = capacity
        self.trees: list[Tree] = []
        self.weights: list[float] = []
        shape = (capacity, LEAVES_MAX)
        self._feature, self._code = np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.int16)
        self._missing_left = np.zeros(shape, dtype=bool)
        self._left, self._right = np.full(shape, _END, dtype=np.intp), np.full(shape, _END, dtype=np.intp)
        self._leaves = np.zeros(shape)
        for tree, weight in zip(trees, weights, strict=True):
            self.add(tree, weight)

    @property
    def full(self) -> bool:
        """Tell whether the next tree puts out the oldest."""
        return len(self.trees) == self.capacity

    def fade(self, share: float) -> None:
        """Multiply the weight of every tree."""
        self.weights = [weight * share for weight in self.weights]

    def add(self, tree: Tree, weight: float) -> None:
        """Take a tree in as the newest, in the place of the oldest where the ring is full."""
        if self.full:
            del self.trees[0], self.weights[0]
            for array in (self._feature, self._code, self._missing_left, self._left, self._right, self._leaves):
                array[:-1] = array[1:]
        self.trees.append(tree)
        self.weights.append(weight)
        self._lay(len(self.trees) - 1, tree)

    def _lay(self, at: int, tree: Tree) -> None:
        nodes = len(tree.feature)
        # A tree of one leaf is a node whose two sides are that leaf.
        self._feature[at, : max(nodes, 1)] = tree.feature or 0
        self._code[at, : max(nodes, 1)] = tree.code or 0
        self._missing_left[at, : max(nodes, 1)] = tree.missing_left or False
        self._left[at, : max(nodes, 1)] = tree.left or -1
        self._right[at, : max(nodes, 1)] = tree.right or -1
        self._leaves[at, : nodes + 1] = tree.leaves

    def carry(self, codes: Sequence[NDArray[np.intp] | None]) -> None:
        """Put new codes for old ones in every node: `codes[feature][old]`, or None where a feature's codes stand."""
        for at, tree in enumerate(self.trees):
            moved = tuple(
                code if (own := codes[feature]) is None else int(own[code])
                for feature, code in zip(tree.feature, tree.code, strict=True)
            )
            self.trees[at] = Tree(tree.feature, moved, tree.missing_left, tree.left, tree.right, tree.leaves)
            self._lay(at, self.trees[at])

    def logits(self, codes: Codes) -> NDArray[np.float64]:
        """Give the weighted sum over all trees for rows of codes."""
        count = len(self.trees)
        logits = np.zeros(len(codes))
        if count:
            leaves = self._leaves[:count] * np.array(self.weights)[:, None]
            at_once = max(1, PLACES_AT_ONCE // count)
            for start in range(0, len(codes), at_once):
                part = codes[start : start + at_once]
                logits[start : start + len(part)] = self._look_up(part, leaves).sum(axis=1)
        return logits

    def last_logits(self, codes: Codes) -> NDArray[np.float64]:
        """Give what the newest tree alone says, weighted, for many rows of codes."""
        return said_by(self.trees[-1], codes) * self.weights[-1]

    def first_logits(self, codes: Codes) -> NDArray[np.float64]:
        """Give what the oldest tree alone says, weighted, for many rows of codes."""
        return said_by(self.trees[0], codes) * self.weights[0]

    def _look_up(self, codes: Codes, leaves: NDArray[np.float64]) -> NDArray[np.float64]:
        count, width, rows = len(leaves), codes.shape[1], len(codes)
        flat = np.ascontiguousarray(codes).ravel()
        feature, code = self._feature[:count].ravel(), self._code[:count].ravel()
        missing_left = self._missing_left[:count].ravel()
        left, right = self._left[:count].ravel(), self._right[:count].ravel()
        tree = np.tile(np.arange(count) * LEAVES_MAX, rows)
        row = np.repeat(np.arange(rows) * width, count)
        found = np.empty(rows * count)
        leaf_values = leaves.ravel()
        active = np.arange(rows * count)
        node = tree
        while len(active):
            value = flat[row + feature[node]]
            goes_left = np.where(value == 0, missing_left[node], value <= code[node])
            child = np.where(goes_left, left[node], right[node])
            ended = child < 0
            found[active[ended]] = leaf_values[tree[ended] - 1 - child[ended]]
            on = ~ended
            active, row, tree = active[on], row[on], tree[on]
            node = tree + child[on]
        return found.reshape(rows, count)
