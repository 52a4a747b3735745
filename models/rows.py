"""A row of model input: a name for each number, what a missing one means, and which rows nobody must compute with.

Owns the shape of a row and its refusal. Must not know River, what the names mean clinically, or how they are computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

MAGNITUDE_MAX = 1e9
"""No clinical quantity in its canonical unit comes near; its square times a year of rows stays finite."""

Refusal = Literal["", "not_finite", "out_of_bounds", "no_usable_input", "wrong_length"]
"""Why a row was not used; empty where it was. All but `no_usable_input` are ours: features must not give such rows."""


class Inputs(msgspec.Struct, frozen=True):
    """What a vector holds: one name a position, and which of them also tell that they are missing.

    >>> Inputs(("a", "b"), ("b",)).dictionary([1.0, float("nan")])
    {'a': 1.0, 'missing:b': 1.0}
    """

    names: tuple[str, ...]
    indicators: tuple[str, ...] = ()
    """Names (of `names`) that get a 0/1 input `missing:<name>` beside them."""

    def dictionary(self, vector: Sequence[float | None]) -> dict[str, float]:
        """Give what River is fed: the known inputs by name, then every indicator."""
        known = {
            name: float(value)
            for name, value in zip(self.names, vector, strict=True)
            if value is not None and value == value  # noqa: PLR0124 - the quickest test for NaN
        }
        for name in self.indicators:
            known[f"missing:{name}"] = 0.0 if name in known else 1.0
        return known

    def all_names(self) -> tuple[str, ...]:
        """Give the names of everything with a weight: inputs, then indicators."""
        return self.names + tuple(f"missing:{name}" for name in self.indicators)

    def refusal(self, vector: Sequence[float | None]) -> Refusal:
        """Say why River must not see this row, or nothing.

        A row is usable when anything was measured: one of the indicated inputs is known (any input, where none is
        indicated). An age and a time of admission alone are no ground for a score.

        >>> Inputs(("a",)).refusal([float("inf")]), Inputs(("a",)).refusal([None]), Inputs(("a",)).refusal([1.0])
        ('not_finite', 'no_usable_input', '')
        """
        if len(vector) != len(self.names):
            return "wrong_length"
        for value in vector:
            if value is None or math.isnan(value):
                continue
            if math.isinf(value):
                return "not_finite"
            if abs(value) > MAGNITUDE_MAX:
                return "out_of_bounds"
        needed = [vector[self.names.index(name)] for name in self.indicators] or vector
        usable = any(value is not None and not math.isnan(value) for value in needed)
        return "" if usable else "no_usable_input"
