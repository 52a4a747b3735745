"""Seeded draws that need no memory: each is a function of a seed and of how many rows there were.

Owns the two kinds of draw that learners make. Must not know what is drawn for. A generator's own state would have to be
stored and carried between versions of numpy; a count that is stored anyway does as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1


def mixed(seed: int, count: int) -> int:
    """Give 64 well mixed bits of a seed and a count (SplitMix64, Steele, Lea and Flood 2014).

    >>> mixed(0, 1), mixed(0, 1) == mixed(0, 1), mixed(1, 1) == mixed(0, 1)
    (16294208416658607535, True, False)
    """
    bits = (seed * 0xD1342543DE82EF95 + count * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


def place(seed: int, count: int, below: int) -> int:
    """Draw a whole number from 0 to `below - 1`.

    >>> sorted({place(7, count, 3) for count in range(50)})
    [0, 1, 2]
    """
    return (mixed(seed, count) * below) >> 64


def some_of(seed: int, count: int, many: int, wanted: int) -> NDArray[np.intp]:
    """Draw `wanted` of `many` places without repetition, ascending; all of them where there are no more.

    >>> some_of(1, 2, 3, 5).tolist(), len(set(some_of(1, 2, 100, 10).tolist()))
    ([0, 1, 2], 10)
    """
    if wanted >= many:
        return np.arange(many)
    generator = np.random.default_rng([seed, count])
    return np.sort(generator.choice(many, wanted, replace=False)).astype(np.intp)
