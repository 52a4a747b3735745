"""Results that have been replaced or taken back: the original may still come, or come again, and must not win.

Owns the marks and their bound. Must not know values: a mark is an id, a time and what was done.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from events import Millis

SUPERSEDED_MAX = 128
"""Marks kept of one patient: corrections are some in a hundred results, and a resent message follows within hours, so
this is days of them; 15 kB at the most, and nothing for a patient without one."""

Deed = Literal["corrected", "withdrawn"]
Mark = tuple[int, Millis, Deed]
"""(observation id, event time up to which the id is superseded, what was done)."""


class Superseded(dict[int, tuple[Millis, Deed]]):
    """Marks by observation id, the oldest made first.

    A value under a marked id counts as the original unless it is later than the mark: some monitors number every value
    alike, and one correction must not silence them.

    >>> marks = Superseded()
    >>> marks.mark(7, 1_000, "corrected")
    >>> marks.deed(7, 1_000), marks.deed(7, 1_001), marks.deed(8, 1_000)
    ('corrected', '', '')
    """

    __slots__ = ()

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> Superseded:
        """Make it of marks, the oldest first."""
        made = cls()
        for identity, time, deed in marks:
            made.mark(identity, time, deed)
        return made

    def mark(self, identity: int, time: Millis, deed: Deed) -> None:
        """Mark a result as replaced or taken back; the oldest mark gives way where there are too many."""
        before = self.pop(identity, None)
        self[identity] = (time if before is None else max(time, before[0]), deed)
        if len(self) > SUPERSEDED_MAX:
            del self[next(iter(self))]

    def deed(self, identity: int, time: Millis) -> Deed | Literal[""]:
        """Say what was done to the result that a value of this id and event time (ms) is the original of, or ""."""
        held = self.get(identity)
        return held[1] if held is not None and time <= held[0] else ""

    def marks(self) -> tuple[Mark, ...]:
        """Give all marks, the oldest first."""
        return tuple((identity, time, deed) for identity, (time, deed) in self.items())

    def absorb(self, other: Superseded) -> None:
        """Take in the marks of a record that was merged into this one."""
        for mark in other.marks():
            self.mark(*mark)
