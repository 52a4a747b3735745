"""Folds beside the learner: they hear of each example what the learner hears, in the same order.

Owns handing on what is heard, counting the faults of each by its name, and their states in the learner's snapshot. Must
not know what any of them does with it. One that fails neither stops learning nor the others: it is counted, told in
health, and hears the next record.

What comes from outside of the scores (signals, versions, limits) reaches a fold by a record of `examples.v1` of its
own (`stream.live.examples.Told`): so each fold is a function of that topic's records alone, the same from any one on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from events import Envelope, Millis

Given = TypeVar("Given")


class Beside:
    """One fold beside the learner; each of these hears nothing unless a subclass says otherwise.

    What it knows must follow from what it hears and how it was made: no clock, no files, no topics.

    >>> Beside().state()
    b''
    """

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score: the row of `LEARNING_INPUTS` (not to be altered), and what was said in force."""

    def happened(self, envelope: Envelope) -> None:
        """Hear of what a message said of a patient beside observations."""

    def measured(self, patient: str, at: Millis, feed: str, values: Sequence[tuple[str, float]]) -> None:
        """Hear the values behind the score that follows: feature and value, in the feature's own unit."""

    def told(self, content: bytes) -> None:
        """Hear what was written down for this fold: JSON of its own form."""

    def state(self) -> bytes:
        """Give all it knows."""
        return b""

    def restore(self, data: bytes) -> None:
        """Go on from a state, alike: of a fold made with the same arguments. Raises `ValueError`."""


MakeBeside = Callable[[], Beside]


class Besides:
    """All folds beside one learner, by name, in the order they were named.

    >>> beside = Besides({"quiet": Beside})
    >>> beside.told("quiet", b"{}"); beside.told("nobody", b"{}"); dict(beside.faults)
    {}
    """

    def __init__(self, make: Mapping[str, MakeBeside] | None = None) -> None:
        """Begin with one of each."""
        self._make = dict(make or {})
        self.folds = {name: one() for name, one in self._make.items()}
        self.faults: Counter[str] = Counter()
        """What failed, by the fold's name, since the first record."""
        self.newest_fault: dict[str, str] = {}
        """The kind of each one's newest fault in this process; never its words, which may quote data."""
        self.begun_anew: tuple[str, ...] = ()
        """Those that had no state to go on from where the learner had."""

    def scored(self, patient: str, at: Millis, vector: list[float], probability: float | None, version: str) -> None:
        """Hand on a score."""
        for name, fold in self.folds.items():
            self._guarded(name, fold.scored, patient, at, vector, probability, version)

    def happened(self, envelope: Envelope) -> None:
        """Hand on what happened."""
        for name, fold in self.folds.items():
            self._guarded(name, fold.happened, envelope)

    def measured(self, patient: str, at: Millis, feed: str, values: Sequence[tuple[str, float]]) -> None:
        """Hand on the values behind a score."""
        for name, fold in self.folds.items():
            self._guarded(name, fold.measured, patient, at, feed, values)

    def told(self, name: str, content: bytes) -> None:
        """Hand on what was written down for one of them; nobody hears what is for a fold that is not here."""
        if name in self.folds:
            self._guarded(name, self.folds[name].told, content)

    def state(self) -> dict[str, bytes]:
        """Give the state of each; of one whose state cannot be given none, and that is a fault."""
        found = {name: self._guarded(name, fold.state) for name, fold in self.folds.items()}
        return {name: data for name, data in found.items() if data is not None}

    def restore(self, states: Mapping[str, bytes], faults: Mapping[str, int]) -> None:
        """Go on from states. One without a state, or whose state does not fit, begins anew; the latter is a fault."""
        self.faults.update(faults)
        anew = []
        for name, fold in self.folds.items():
            before = self.faults[name]
            if name in states:
                self._guarded(name, fold.restore, states[name])
            if name not in states or self.faults[name] > before:
                anew.append(name)
        for name in anew:
            self.folds[name] = self._make[name]()
        self.begun_anew = tuple(anew)

    def problems(self) -> tuple[str, ...]:
        """Say which of them failed."""
        return tuple(
            f"{name}: failed {count} times ({self.newest_fault.get(name, 'before this process')}): a fault of ours"
            for name, count in sorted(dict(self.faults).items())
        )

    def _guarded(self, name: str, work: Callable[..., Given], *what: Any) -> Given | None:
        try:
            return work(*what)
        except Exception as fault:  # noqa: BLE001 - a bug in one fold must end neither learning nor the others
            self.faults[name] += 1
            self.newest_fault[name] = type(fault).__name__
            return None
