"""What was said before anything was learned of it, with its outcome: of a learner, and of each version in force.

Owns the run of a learner (its figures, what it refused), the figures of the versions that really scored, and the bounds
of both. Must not know how rows are joined with outcomes or what is learned of them.

Figures of a run without end rest on its newest rows: past a bound the older half of them is let go.
"""

from __future__ import annotations

from array import array

import msgspec

from models.evaluation import EVALUATED_MAX, Accumulator, AccumulatorState
from models.learners.classifier import Classifier
from models.rows import Refusal

VERSIONS_MAX = 8
"""Versions whose figures are kept: the one in force and those before it, of which scores still wait. The one that was
heard of longest ago goes."""
VERSION_ROWS_MAX = 100_000
"""Rows kept of each version, at 17 bytes: three weeks of 200 beds scored hourly."""
VERSION_NAME_MAX = 64
"""Characters of a version's id; ours have 16 or less."""


class NewestRows(Accumulator):
    """An accumulator of the newest rows.

    >>> run = NewestRows(4)
    >>> for number in range(5):
    ...     run.add(number / 10, label=number > 2, group=f"p{number}")
    >>> run.figures().rows, run.rows()[1].tolist(), run.state().names
    (3, [0.2, 0.3, 0.4], ('p2', 'p3', 'p4'))
    """

    def __init__(self, rows_max: int = EVALUATED_MAX) -> None:
        super().__init__()
        self._rows_max = rows_max

    def add(self, probability: float | None, *, label: bool, group: str) -> None:
        """Take one row in; where there are as many as may be, the older half is let go first."""
        if len(self._labels) >= self._rows_max:
            self._drop(self._rows_max // 2)
        super().add(probability, label=label, group=group)

    def _drop(self, rows: int) -> None:
        del self._probabilities[:rows], self._labels[:rows]
        names, numbers = tuple(self._group_numbers), dict[int, int]()
        self._groups = array("l", (numbers.setdefault(number, len(numbers)) for number in self._groups[rows:]))
        self._group_numbers = {names[old]: new for old, new in numbers.items()}


def newest_rows(state: AccumulatorState, rows_max: int) -> NewestRows:
    """Go on from a state. Raises `ValueError` for one that no accumulator gave."""
    run = NewestRows.restored(state)
    assert isinstance(run, NewestRows)
    run._rows_max = rows_max  # noqa: SLF001 - its own module's
    return run


class Run:
    """A learner that is asked before it learns: what it said with what came of it, and what it would not learn."""

    def __init__(self, learner: Classifier, rows_max: int = EVALUATED_MAX) -> None:
        self.learner = learner
        self.accumulator: Accumulator = NewestRows(rows_max)
        self.refused: dict[str, int] = {}
        """Examples that were not learned, by reason."""

    def refuse(self, reason: Refusal | str) -> None:
        """Count what was not learned; an empty reason is none."""
        if reason:
            self.refused[reason] = self.refused.get(reason, 0) + 1


class VersionRows(msgspec.Struct, frozen=True):
    """One version's rows, as plain values."""

    version: str
    number: int
    rows: AccumulatorState


class InForceState(msgspec.Struct, frozen=True):
    """All that is known of the versions in force, the one heard of longest ago first."""

    versions: tuple[VersionRows, ...]
    numbers: int


class InForce:
    """The figures of each version over the scores that it gave while it was in force.

    A score waits for its outcome with the number of its version; `number` gives it, `add` takes it back.

    >>> versions = InForce()
    >>> versions.add(versions.number("4f1c"), 0.3, label=True, group="p")
    >>> [(name, run.figures().rows) for name, run in versions.by_version().items()]
    [('4f1c', 1)]
    """

    def __init__(self, versions_max: int = VERSIONS_MAX, rows_max: int = VERSION_ROWS_MAX) -> None:
        self._versions_max, self._rows_max = versions_max, rows_max
        self._known: dict[str, int] = {}
        self._runs: dict[int, Accumulator] = {}
        self._numbers = 0

    def number(self, version: str) -> int:
        """Give the number of the version that gave a score; -1 where none did."""
        if not version:
            return -1
        name = version[:VERSION_NAME_MAX]
        number = self._known.pop(name, None)
        if number is None:
            number, self._numbers = self._numbers, self._numbers + 1
            self._runs[number] = NewestRows(self._rows_max)
        self._known[name] = number
        if len(self._known) > self._versions_max:
            del self._runs[self._known.pop(next(iter(self._known)))]
        return number

    def add(self, number: int, probability: float | None, *, label: bool, group: str) -> None:
        """Take what a version said with what came of it; of a version that is forgotten, nothing."""
        run = self._runs.get(number)
        if run is not None:
            run.add(probability, label=label, group=group)

    def by_version(self) -> dict[str, Accumulator]:
        """Give the rows of each version, the one heard of last at the end."""
        return {name: self._runs[number] for name, number in self._known.items()}

    def state(self) -> InForceState:
        """Give everything as plain values."""
        rows = (VersionRows(name, number, self._runs[number].state()) for name, number in self._known.items())
        return InForceState(tuple(rows), self._numbers)

    @classmethod
    def restored(cls, state: InForceState) -> InForce:
        """Go on from a state. Raises `ValueError` for one that nothing of ours gave."""
        made = cls()
        for one in state.versions[-VERSIONS_MAX:]:
            made._known[one.version] = one.number
            made._runs[one.number] = newest_rows(one.rows, VERSION_ROWS_MAX)
        made._numbers = state.numbers
        return made
