"""A bounded memory of a pure function's results.

Owns the bound and the forgetting. Must not know what is remembered. A result is the same whether it was remembered or
computed anew, so no memo can change what a message decodes to; forgetting all at once when full keeps that plain and
the hot path at one dict lookup.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

KEY_CHARS_MAX = 1_024
"""A longer text is computed and not remembered, so that a memo's memory is bounded in bytes too (PID lines are
~350)."""


class Memo(dict[str, Value], Generic[Value]):
    """Look up a text's meaning by `memo[text]`; unknown ones are computed, and kept while there is room.

    >>> lengths = Memo(len, limit=2)
    >>> lengths["abc"], lengths["de"], lengths["f"], len(lengths)
    (3, 2, 1, 1)
    """

    def __init__(self, compute: Callable[[str], Value], *, limit: int) -> None:
        super().__init__()
        self._compute = compute
        self._limit = limit

    def __missing__(self, key: str) -> Value:
        value = self._compute(key)
        if len(key) <= KEY_CHARS_MAX:
            if len(self) >= self._limit:
                self.clear()
            self[key] = value
        return value
