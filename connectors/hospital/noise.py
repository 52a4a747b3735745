"""Normal noise by table, several values from one draw.

Owns the table. Must not know what is noisy. `random.gauss` costs more than all else of a round together; a look-up by
twelve random bits is as seeded and as repeatable, and its 4,096 quantiles are finer than any chart.
"""

from __future__ import annotations

from statistics import NormalDist

BITS = 12
MASK = (1 << BITS) - 1

NORMAL: tuple[float, ...] = tuple(NormalDist().inv_cdf((place + 0.5) / (1 << BITS)) for place in range(1 << BITS))
"""The standard normal law at the middles of 4,096 equal shares: mean 0, deviation 1, at most 3.7 either way."""
