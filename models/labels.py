"""Late labels: scores wait here until their outcome is known, and only then become examples to learn from.

Owns the join of scores with outcomes, as a pure fold: calls come in log order, time is what the caller says. Must not
know what a vector means, who learns from the examples, or what an alert is. Default outcomes: clinical.md, "Outcomes".

The rules, for a score at time `at` and a horizon `h`:

- positive: a counted outcome happened in (at, at + h]. It matures when the outcome is known, never before.
- negative: the patient was under observation until at + h and no outcome was known by at + h + settle. `settle` is the
  time we give a late-charted outcome to arrive; one that comes later still is counted (`late_outcomes`), not learned.
- censored: observation ended (discharge, or an outcome record with `onset` false) before at + h, with no outcome.
- of the whole stay (`whole_stay`): there is no horizon. A score is positive when a counted outcome comes after it,
  negative when the stay has ended, and the settling time passed, without one.
- after onset: a score at or after the outcome itself predicts nothing, and is dropped until a new stay begins.

An outcome that is told twice, late, or of nobody changes no label, and is counted. Of one kind told with two times the
earlier counts, and the contradiction is counted. One that is taken back labels nothing from then on; what it had
labelled is counted (`withdrawn_labels`), for it cannot be unlearned.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Literal

import msgspec

from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis, Outcome

PENDING_MAX = 500_000
"""Scores that may wait at once: 10,000 beds at one score in 30 minutes over 25 h; 8 bytes an input, so at 270 inputs
1.1 GB, and 6 MB for an intensive care of 200 beds at one an hour."""

PATIENTS_MAX = 200_000
"""Patients remembered at once: those who are scored, and those of whom all is settled for `KEPT_MS` more."""

THINNING_MS = 30 * MILLIS_PER_MINUTE
"""At most one waiting score a patient in this time: rows a minute apart teach the same thing sixty times."""

SETTLE_MS = MILLIS_PER_HOUR
"""Time for a late outcome to arrive: charting delay has a median of 42 min (Metitiri et al. 2023)."""

ACTIONS_MAX = 16
"""Acted-on alerts remembered a patient within two horizons: more change nothing, for their windows overlap."""

KEPT_MS = 7 * 24 * MILLIS_PER_HOUR
"""A stay of which all is settled is remembered so long, so that what is told of it late, or taken back, is counted."""

FORGET_MS = 30 * 24 * MILLIS_PER_HOUR
"""An onset of a patient whose end of stay nobody told is forgotten after it: nobody who is scored still is the same."""

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
    repeated_outcomes: int = 0
    """Outcomes that were told before, with the same time."""
    contradicting_outcomes: int = 0
    """Outcomes of a kind that was told before with another time; the earlier counts."""
    unheard_outcomes: int = 0
    """Outcomes of a patient of whom no score waits: never scored, or all is settled."""
    withdrawn_outcomes: int = 0
    """Outcomes that were taken back."""
    withdrawn_labels: int = 0
    """Positive labels that had been given by an outcome that was taken back later."""
    resumed: int = 0
    """Ends of observation that were taken back."""


Fate = Literal["positives", "negatives", "censored", "after_onset", "waits"]
"""What becomes of a waiting score: one of the counts, or nothing yet."""


class _Waiting(msgspec.Struct):
    at: Millis
    vector: bytes
    """As 64-bit floats: a tuple of Python's takes four times as much."""


class _Stay(msgspec.Struct):
    waiting: list[_Waiting]
    onsets: dict[str, tuple[Millis, Millis]] = {}
    """Of each kind: when it happened, and when that became known."""
    taught: int = 0
    """Positive labels given since the first of the onsets was told."""
    told: Millis = 0
    """When an outcome was last told."""
    ended: Millis | None = None
    over: bool = False
    """Whether it ended and all of it is settled: a score that comes now is of another stay."""
    leaves: Millis = 0
    """When it is looked at whether to forget it."""
    settled_until: Millis | None = None
    """The horizon's end of the newest score that matured as negative."""
    newest: Millis | None = None
    actions: tuple[Millis, ...] = ()

    @property
    def onset(self) -> Millis | None:
        """The earliest onset, of whichever kind."""
        return min(self.onsets.values())[0] if self.onsets else None

    def onset_by(self, now: Millis) -> Millis | None:
        """Give the earliest onset that is known by then."""
        return min((onset for onset, known in self.onsets.values() if known <= now), default=None)


class JoinerState(msgspec.Struct, frozen=True):
    """All that a joiner knows, as plain values: what a snapshot of a learner keeps."""

    counts: JoinCounts
    stays: dict[str, _Stay]
    due: list[tuple[Millis, str]]
    matured: list[Example]


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
        whole_stay: bool = False,
        pending_max: int = PENDING_MAX,
        patients_max: int = PATIENTS_MAX,
    ) -> None:
        if horizon_ms <= 0 or settle_ms < 0 or thinning_ms < 0:
            raise ValueError("a horizon is positive; settling and thinning times are not negative")
        self.horizon_ms = horizon_ms
        self.kinds = tuple(kinds)
        self.settle_ms = settle_ms
        self.thinning_ms = thinning_ms
        self.whole_stay = whole_stay
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

    def state(self) -> JoinerState:
        """Give all it knows; it goes on, and what was given changes with it: encode it at once."""
        return JoinerState(self.counts, self._stays, self._due, self._matured)

    def restore(self, state: JoinerState) -> None:
        """Go on from a state of a joiner of the same settings: the two mature the same examples from here on."""
        self.counts, self._stays, self._matured = state.counts, state.stays, state.matured
        self._due = state.due
        heapify(self._due)
        self._pending = sum(len(stay.waiting) for stay in self._stays.values())

    def admitted(self, patient: str, at: Millis, received_time: Millis | None = None) -> None:
        """Begin a new stay: an onset or an end of the stay before it no longer speaks for later scores."""
        now = at if received_time is None else received_time
        self._reach(now)
        stay = self._stays.get(patient)
        if stay is None or (not stay.onsets and stay.ended is None):
            return
        if stay.ended is None:
            stay.ended = at
        self._resolve(patient, stay, now, final=True)
        del self._stays[patient]

    def scored(self, patient: str, at: Millis, vector: Iterable[float]) -> bool:
        """Let a score, received at `at`, wait for its label; False where it will not (the reason is counted)."""
        self._reach(at)
        stay = self._stays.get(patient)
        if stay is not None and stay.over:
            # Long gone and here again, and nobody told of an admission: another stay.
            del self._stays[patient]
            stay = None
        if stay is None:
            if len(self._stays) >= self._patients_max or self._pending >= self._pending_max:
                self.counts.overflow += 1
                return False
            stay = self._stays[patient] = _Stay([])
        elif not self._admissible(stay, at):
            return False
        stay.newest = at
        stay.waiting.append(_Waiting(at, array("d", vector).tobytes()))
        self._pending += 1
        if not self.whole_stay:
            heappush(self._due, (at + self.horizon_ms + self.settle_ms, patient))
        return True

    def _admissible(self, stay: _Stay, at: Millis) -> bool:
        counts = self.counts
        onset = stay.onset
        if onset is not None and at >= onset:
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
        counts, stay, onset = self.counts, self._stays.get(patient), outcome.event_time
        if stay is None:
            counts.unheard_outcomes += 1
            if len(self._stays) >= self._patients_max:
                counts.overflow += 1
                return
            stay = self._stays[patient] = _Stay([])
        if stay.settled_until is not None and onset <= stay.settled_until:
            counts.late_outcomes += 1
        stay.told = received_time
        former = stay.onsets.get(outcome.kind)
        if former is not None:
            if former[0] == onset:
                counts.repeated_outcomes += 1
            else:
                counts.contradicting_outcomes += 1
            if former[0] <= onset:
                return
        # An onset charted for the future is knowable only once it has come.
        known = max(received_time, onset)
        stay.onsets[outcome.kind] = onset, known
        heappush(self._due, (known, patient))

    def withdrawn(self, patient: str, kind: str, received_time: Millis) -> None:
        """Take an outcome back; nothing happens where none of that kind is known of the stay."""
        self._reach(received_time)
        stay = self._stays.get(patient)
        if stay is None or kind not in stay.onsets:
            return
        del stay.onsets[kind]
        self.counts.withdrawn_outcomes += 1
        self.counts.withdrawn_labels += stay.taught
        stay.taught = 0
        heappush(self._due, (received_time, patient))

    def resumed(self, patient: str, received_time: Millis) -> None:
        """Take an end of observation back: the patient is still under observation. What was censored stays so."""
        self._reach(received_time)
        stay = self._stays.get(patient)
        if stay is not None and stay.ended is not None:
            stay.ended, stay.over = None, False
            self.counts.resumed += 1

    def ended(self, patient: str) -> Millis | None:
        """Give when the observation of a patient ended, or None while it goes on or nothing is known of it."""
        return self._stays[patient].ended if patient in self._stays else None

    def discharged(self, patient: str, at: Millis, received_time: Millis | None = None) -> None:
        """End the observation of a patient at `at`, received at `received_time` (default: at once)."""
        now = at if received_time is None else received_time
        self._reach(now)
        stay = self._stays.get(patient)
        if stay is None:
            return
        stay.ended = at if stay.ended is None else min(at, stay.ended)
        # A death may follow its discharge in the log, so the end settles before it censors.
        heappush(self._due, (max(at, now) + self.settle_ms, patient))

    def acted(self, patient: str, at: Millis, received_time: Millis | None = None) -> None:
        """Note that somebody acted on an alert about the patient: labels whose window touches it are marked."""
        self._reach(at if received_time is None else received_time)
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
        kept: list[_Waiting] = []
        counts = self.counts
        onset = stay.onset_by(now)
        for score in stay.waiting:
            fate = self._fate(stay, score.at, onset, now, final=final)
            if fate == "waits":
                kept.append(score)
                continue
            setattr(counts, fate, getattr(counts, fate) + 1)
            if fate == "positives":
                stay.taught += 1
                self._matured.append(self._example(patient, stay, score, label=True, matured_at=now))
            elif fate == "negatives":
                stay.settled_until = now if self.whole_stay else score.at + self.horizon_ms
                self._matured.append(self._example(patient, stay, score, label=False, matured_at=now))
        self._pending -= len(stay.waiting) - len(kept)
        stay.waiting = kept

    def _fate(self, stay: _Stay, at: Millis, onset: Millis | None, now: Millis, *, final: bool) -> Fate:
        """Say what becomes of a score by what is known at `now`."""
        end, ended = at + self.horizon_ms, stay.ended
        over = ended is not None and (final or now >= ended + self.settle_ms)
        if onset is not None and at >= onset:
            return "after_onset"
        if onset is not None and (self.whole_stay or onset <= end):
            return "positives"
        if self.whole_stay:
            return "negatives" if over else "waits"
        if over and ended is not None and ended < end:
            return "censored"
        if now >= end + self.settle_ms:
            return "negatives"
        return "censored" if final else "waits"

    def _example(self, patient: str, stay: _Stay, score: _Waiting, *, label: bool, matured_at: Millis) -> Example:
        touched = any(score.at - self.horizon_ms <= action <= score.at + self.horizon_ms for action in stay.actions)
        return Example(patient, score.at, tuple(array("d", score.vector)), label, matured_at, touched)

    def _forget_if_over(self, patient: str, stay: _Stay, now: Millis) -> None:
        """Forget a stay of which nothing waits, some time after anything was last heard of it."""
        if stay.waiting:
            return
        stay.over = stay.ended is not None and now >= stay.ended + self.settle_ms
        kept_ms = FORGET_MS if stay.onsets and stay.ended is None else KEPT_MS
        leaves = max(stay.newest or 0, stay.told, stay.ended or 0) + kept_ms
        if now >= leaves:
            del self._stays[patient]
        elif leaves > stay.leaves:
            stay.leaves = leaves
            heappush(self._due, (leaves, patient))
