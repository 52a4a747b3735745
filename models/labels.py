"""Late labels: scores wait here until their outcome is known, and only then become examples to learn from.

Owns the join of scores with outcomes, as a pure fold: calls come in log order, time is what the caller says. Must not
know what a vector means, who learns from the examples, or what an alert is. Default outcomes: clinical.md, "Outcomes".

The rules, for a score at time `at` and a horizon `h`:

- positive: a counted outcome happened in (at, at + h]. It matures when the outcome is known, never before.
- negative: the patient was under observation until at + h and no outcome was known by at + h + settle. `settle` is the
  time we give a late-charted outcome to arrive; one that comes later still is counted (`late_outcomes`), not learned.
- censored: observation ended (discharge, or an outcome record with `onset` false) before at + h, with no outcome.
- after onset: a score at or after the outcome itself predicts nothing, and is dropped until a new stay begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

import msgspec

from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis, Outcome

PENDING_MAX = 500_000
"""Scores that may wait at once: 10,000 beds at one score in 30 minutes over 25 h; about 700 bytes each, 350 MB."""

PATIENTS_MAX = 200_000
"""Patients remembered at once. Ended stays are forgotten once settled, so only open stays and their onsets count."""

THINNING_MS = 30 * MILLIS_PER_MINUTE
"""At most one waiting score a patient in this time: rows a minute apart teach the same thing sixty times."""

SETTLE_MS = MILLIS_PER_HOUR
"""Time for a late outcome to arrive: charting delay has a median of 42 min (Metitiri et al. 2023)."""

ACTIONS_MAX = 16
"""Acted-on alerts remembered a patient within two horizons: more change nothing, for their windows overlap."""

DEFAULT_KINDS = ("death", "critical_care", "cardiac_arrest")
"""The composite of clinical.md; the public sepsis data use ("sepsis",)."""


class Example(msgspec.Struct, frozen=True):
    """One labelled score: what was known at `at`, and whether the outcome came within the horizon.

    `matured_at` is when the label became knowable; nothing received after it has entered. `after_action` marks a
    window in which somebody acted on an alert, so that the learner may leave the example out or weigh it.
    """

    patient: str
    at: Millis
    vector: tuple[float, ...]
    label: bool
    matured_at: Millis
    after_action: bool = False


class JoinCounts(msgspec.Struct):
    """What became of the scores: every one ends in exactly one of the first eight, or still waits."""

    positives: int = 0
    negatives: int = 0
    censored: int = 0
    after_onset: int = 0
    thinned: int = 0
    out_of_order: int = 0
    after_end: int = 0
    """A score after the end of observation: what follows it is not seen."""
    overflow: int = 0
    """Refused because `PENDING_MAX` or `PATIENTS_MAX` was reached: our capacity, and to be alarmed on."""
    late_outcomes: int = 0
    """Outcomes that came after a score they concern had matured as negative."""
    other_outcomes: int = 0
    """Outcomes of a kind that is not configured."""


class _Waiting(msgspec.Struct):
    at: Millis
    vector: tuple[float, ...]


class _Stay(msgspec.Struct):
    waiting: list[_Waiting]
    onset: Millis | None = None
    onset_known: Millis = 0
    ended: Millis | None = None
    settled_until: Millis | None = None
    """The horizon's end of the newest score that matured as negative."""
    newest: Millis | None = None
    actions: tuple[Millis, ...] = ()


class LabelJoiner:
    """The fold that joins scores with what happened later.

    `horizon_ms` is the prediction horizon; `kinds` the outcomes that count. Calls must come in log order: each first
    lets time reach its received time, so what matures, and when, does not depend on how often `advance` is called.
    Examples come out of `advance`, ordered by (matured_at, at, patient).

    >>> joiner = LabelJoiner(12 * MILLIS_PER_HOUR)
    >>> joiner.scored("p", 0, (1.0,))
    True
    >>> joiner.outcome("p", Outcome(event_time=MILLIS_PER_HOUR, kind="death"), 2 * MILLIS_PER_HOUR)
    >>> [(e.label, e.matured_at // MILLIS_PER_HOUR) for e in joiner.advance(2 * MILLIS_PER_HOUR)]
    [(True, 2)]
    """

    def __init__(
        self,
        horizon_ms: Millis,
        kinds: Iterable[str] = DEFAULT_KINDS,
        *,
        settle_ms: Millis = SETTLE_MS,
        thinning_ms: Millis = THINNING_MS,
        pending_max: int = PENDING_MAX,
        patients_max: int = PATIENTS_MAX,
    ) -> None:
        if horizon_ms <= 0 or settle_ms < 0 or thinning_ms < 0:
            raise ValueError("a horizon is positive; settling and thinning times are not negative")
        self.horizon_ms = horizon_ms
        self.kinds = tuple(kinds)
        self.settle_ms = settle_ms
        self.thinning_ms = thinning_ms
        self.counts = JoinCounts()
        self._pending_max = pending_max
        self._patients_max = patients_max
        self._stays: dict[str, _Stay] = {}
        self._due: list[tuple[Millis, str]] = []
        self._pending = 0
        self._matured: list[Example] = []

    @property
    def pending(self) -> int:
        """Give the number of scores that wait."""
        return self._pending

    def admitted(self, patient: str, at: Millis, received_time: Millis | None = None) -> None:
        """Begin a new stay: an onset or an end of the stay before it no longer speaks for later scores."""
        now = at if received_time is None else received_time
        self._reach(now)
        stay = self._stays.get(patient)
        if stay is None or (stay.onset is None and stay.ended is None):
            return
        if stay.ended is None:
            stay.ended = at
        self._resolve(patient, stay, now, final=True)
        del self._stays[patient]

    def scored(self, patient: str, at: Millis, vector: Iterable[float]) -> bool:
        """Let a score, received at `at`, wait for its label; False where it will not (the reason is counted)."""
        self._reach(at)
        stay = self._stays.get(patient)
        if stay is None:
            if len(self._stays) >= self._patients_max or self._pending >= self._pending_max:
                self.counts.overflow += 1
                return False
            stay = self._stays[patient] = _Stay([])
        elif not self._admissible(stay, at):
            return False
        stay.newest = at
        stay.waiting.append(_Waiting(at, tuple(vector)))
        self._pending += 1
        heappush(self._due, (at + self.horizon_ms + self.settle_ms, patient))
        return True

    def _admissible(self, stay: _Stay, at: Millis) -> bool:
        counts = self.counts
        if stay.onset is not None and at >= stay.onset:
            counts.after_onset += 1
        elif stay.ended is not None and at >= stay.ended:
            counts.after_end += 1
        elif stay.newest is not None and at < stay.newest:
            counts.out_of_order += 1
        elif stay.newest is not None and at - stay.newest < self.thinning_ms:
            counts.thinned += 1
        elif self._pending >= self._pending_max:
            counts.overflow += 1
        else:
            return True
        return False

    def outcome(self, patient: str, outcome: Outcome, received_time: Millis) -> None:
        """Take in an outcome as it is received; the earliest onset of a stay is the one that counts."""
        self._reach(received_time)
        if outcome.kind not in self.kinds:
            self.counts.other_outcomes += 1
            return
        if not outcome.onset:
            self.discharged(patient, outcome.event_time, received_time)
            return
        stay = self._stays.get(patient)
        if stay is None:
            if len(self._stays) >= self._patients_max:
                self.counts.overflow += 1
                return
            stay = self._stays[patient] = _Stay([])
        if stay.settled_until is not None and outcome.event_time <= stay.settled_until:
            self.counts.late_outcomes += 1
        if stay.onset is not None and stay.onset <= outcome.event_time:
            return
        stay.onset = outcome.event_time
        # An onset charted for the future is knowable only once it has come.
        stay.onset_known = max(received_time, outcome.event_time)
        heappush(self._due, (stay.onset_known, patient))

    def discharged(self, patient: str, at: Millis, received_time: Millis | None = None) -> None:
        """End the observation of a patient at `at`, received at `received_time` (default: at once)."""
        now = at if received_time is None else received_time
        self._reach(now)
        stay = self._stays.get(patient)
        if stay is None:
            return
        if stay.ended is None or at < stay.ended:
            stay.ended = at
        # A death may follow its discharge in the log, so the end settles before it censors.
        heappush(self._due, (max(at, now) + self.settle_ms, patient))

    def acted(self, patient: str, at: Millis) -> None:
        """Note that somebody acted on an alert about the patient: labels whose window touches it are marked."""
        stay = self._stays.get(patient)
        if stay is not None:
            kept = tuple(action for action in stay.actions if action > at - 2 * self.horizon_ms)
            stay.actions = (*kept[-ACTIONS_MAX + 1 :], at)

    def advance(self, now: Millis) -> list[Example]:
        """Let time reach `now` and give the examples that have matured since the last call."""
        self._reach(now)
        matured, self._matured = self._matured, []
        matured.sort(key=lambda example: (example.matured_at, example.at, example.patient))
        return matured

    def _reach(self, now: Millis) -> None:
        while self._due and self._due[0][0] <= now:
            due, patient = heappop(self._due)
            stay = self._stays.get(patient)
            if stay is not None:
                self._resolve(patient, stay, due, final=False)
                self._forget_if_over(patient, stay, due)

    def _resolve(self, patient: str, stay: _Stay, now: Millis, *, final: bool) -> None:
        """Decide every waiting score of one stay that can be decided at `now`; `final` censors the rest."""
        matured = self._matured
        kept: list[_Waiting] = []
        counts = self.counts
        onset = stay.onset if stay.onset is not None and stay.onset_known <= now else None
        for score in stay.waiting:
            end = score.at + self.horizon_ms
            if onset is not None and score.at >= onset:
                counts.after_onset += 1
            elif onset is not None and onset <= end:
                counts.positives += 1
                matured.append(self._example(patient, stay, score, label=True, matured_at=now))
            elif stay.ended is not None and stay.ended < end and (final or now >= stay.ended + self.settle_ms):
                counts.censored += 1
            elif now >= end + self.settle_ms:
                counts.negatives += 1
                stay.settled_until = end
                matured.append(self._example(patient, stay, score, label=False, matured_at=now))
            elif final:
                counts.censored += 1
            else:
                kept.append(score)
        self._pending -= len(stay.waiting) - len(kept)
        stay.waiting = kept

    def _example(self, patient: str, stay: _Stay, score: _Waiting, *, label: bool, matured_at: Millis) -> Example:
        touched = any(score.at - self.horizon_ms <= action <= score.at + self.horizon_ms for action in stay.actions)
        return Example(patient, score.at, score.vector, label, matured_at, touched)

    def _forget_if_over(self, patient: str, stay: _Stay, now: Millis) -> None:
        """Forget a settled stay: nothing waits, and it has ended or nothing has been scored for a whole horizon."""
        if stay.waiting:
            return
        over = stay.ended is not None and now >= stay.ended + self.settle_ms
        if over or (stay.onset is None and stay.ended is None):
            del self._stays[patient]
