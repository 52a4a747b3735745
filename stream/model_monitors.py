"""The monitors of the version in force, as a fold beside the learner: what they hear, and what is to be done.

Owns which monitor hears what, the queue of labels that are not due yet, and turning what stands into findings by the
table. Must not know how a reference is kept, who carries out a response (stream/promotion.py `demotion`), or alerts
beyond their being raised. It changes no score: nobody who scores hears of it but by a control event in the log.

It is a `stream.scoring.Learner` and hears the same calls in the same order: so embedded, replayed and live it says the
same of the same records. All monitors begin anew with each version: another one is held against its own reference.
What upstream changed (`signals.v1`) and what comes of feeds concerns whatever version is in force, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Protocol

import msgspec
import numpy as np

from alerts.monitoring.signal import Signal, SignalKind
from events import MILLIS_PER_HOUR, Envelope, Millis
from features.catalogue import Catalogue
from models.change_control import MonitorFinding
from models.drift.alert_rate import AlertLimits, AlertRate, AlertState
from models.drift.feeds import FeedValues, SubjectState
from models.drift.inputs import InputLimits, InputMonitor, InputState
from models.drift.labels import LabelFigures, LabelLimits, LabelMonitor, LabelState, Level
from models.drift.responses import RULES, Monitor, Rule, response_to
from models.drift.standing import Standing, of_alerts, of_feeds, of_gaps, of_inputs, of_labels, of_upstream
from models.drift.subgroups import Counts, Gap, GapLimits, GroupFigures, SubgroupTally, figures_of, gaps_of
from models.drift.summary import Reference, summary_of
from models.drift.thinning import Thinned, ThinnedState
from models.groups import Group
from stream.feed_values import values_of

WAITING_MAX = 100_000
"""Labels that are known before their window has passed: positives of a horizon. Past it the earliest is counted."""
OWN_ROWS = 1_000
"""Thinned rows that make a reference of a version that brings none; two or three days of a hundred beds."""
UPSTREAM: frozenset[SignalKind] = frozenset({"code_remapped", "unit_changed", "scale_changed", "feed_frozen"})
"""What of issue 6's signals says that values come otherwise; that they do not come at all is the chain's to see."""


class Facts(Protocol):
    """What is known of patients that nothing is predicted from (stream/facts.py)."""

    def groups_of(self, patient: str, at: Millis) -> Sequence[Group]:
        """Give a patient's groups as of a moment: attribute and name."""
        ...


class MonitorLimits(msgspec.Struct, frozen=True):
    """The limits of all monitors."""

    inputs: InputLimits = InputLimits()
    labels: LabelLimits = LabelLimits()
    alerts: AlertLimits = AlertLimits()
    gaps: GapLimits = GapLimits()


class _Waiting(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A label whose row's window has not passed."""

    due: Millis
    at: Millis
    patient: str
    probability: float
    label: bool


class MonitorsState(msgspec.Struct, frozen=True):
    """All that the fold knows, as plain numbers and names."""

    version: str
    clock: Millis
    began: Millis
    """When the version was first heard of."""
    labels: LabelState
    alerts: AlertState
    feeds: tuple[SubjectState, ...]
    tally: tuple[tuple[int, str, str, Counts], ...]
    thinned: ThinnedState
    heard: tuple[tuple[str, int], ...]
    waiting: tuple[_Waiting, ...]
    upstream: tuple[tuple[str, str, str, Millis], ...]
    since: tuple[tuple[Monitor, str, Level, Millis], ...]
    reference: Reference | None = None
    inputs: InputState | None = None
    own_rows: tuple[tuple[int, tuple[float, ...]], ...] = ()
    own_patients: tuple[str, ...] = ()
    own_thinned: ThinnedState = ()


class ModelMonitors:
    """The monitors of one fold. `names` are those of the rows it hears.

    >>> monitors = ModelMonitors(("x",))
    >>> monitors.scored("p", 0, [1.0], 0.1, "4f1c02aa91be")
    >>> monitors.version, monitors.findings()
    ('4f1c02aa91be', ())
    """

    def __init__(
        self,
        names: Sequence[str],
        reference_of: Callable[[str], Reference | None] = lambda _version: None,
        *,
        thresholds: Callable[[str], float] = lambda _version: 1.0,
        label_after_ms: Millis = 13 * MILLIS_PER_HOUR,
        limits: MonitorLimits | None = None,
        rules: tuple[Rule, ...] = RULES,
        facts: Facts | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        """`reference_of` and `thresholds` are asked by a version's id; `label_after_ms` is horizon and settling time.

        Without `catalogue` no values of feeds are read, without `facts` no subgroups are told apart.
        """
        self.names = tuple(names)
        self.version = ""
        self.limits = limits or MonitorLimits()
        self._reference_of, self._thresholds = reference_of, thresholds
        self._label_after_ms, self._rules = label_after_ms, rules
        self._facts, self._catalogue = facts, catalogue
        self._clock: Millis = 0
        self._feeds = FeedValues()
        self._upstream: dict[tuple[str, str], tuple[str, Millis]] = {}
        """By kind and subject: the feature, and since when."""
        self._since: dict[tuple[Monitor, str, Level], Millis] = {}
        self._begin("")

    def _begin(self, version: str) -> None:
        self.version = version
        self._use(self._reference_of(version) if version else None)
        self._alerts = AlertRate(self.limits.alerts)
        self._tally = SubgroupTally()
        self._thinned = Thinned()
        self._heard: dict[str, int] = {}
        """The hour in which each patient was last counted as heard."""
        self._waiting: list[_Waiting] = []
        self._began = self._clock
        # What concerns whatever version is in force goes on; the rest is of the version before.
        self._since = {key: at for key, at in self._since.items() if key[0] in ("feed_values", "upstream")}
        self._own: list[tuple[int, tuple[float, ...]]] = []
        self._own_patients: dict[str, int] = {}
        self._own_thinned = Thinned()

    def begin_anew(self) -> None:
        """Let all monitors of the version in force begin anew: a person has restored it."""
        self._begin(self.version)

    def refer_anew(self) -> None:
        """Take up the reference of the version in force, which was not known when it began, or is another."""
        reference = self._reference_of(self.version)
        if reference is not None:
            self._use(reference)
            self._own, self._own_patients, self._own_thinned = [], {}, Thinned()

    def count_alerts_anew(self) -> None:
        """Let the habit of alerts begin anew: wards are told at another threshold from here on."""
        self._alerts = AlertRate(self.limits.alerts)

    def forget_feed(self, feed: str, feature: str) -> None:
        """Let what comes from here on be what is usual of a feed's feature."""
        self._feeds.forget(feed, feature)

    @property
    def upstream(self) -> frozenset[tuple[str, str]]:
        """What stands of upstream: kind and subject of the signals."""
        return frozenset(self._upstream)

    def _use(self, reference: Reference | None) -> None:
        self._reference = reference
        self._inputs = InputMonitor(reference.inputs, self.limits.inputs) if reference is not None else None
        self._places = [self.names.index(name) for name in reference.inputs.names] if reference is not None else []
        self._labels = LabelMonitor(reference, self.limits.labels)

    # -- what is heard ------------------------------------------------------------------------------------------------

    def scored(
        self, patient: str, at: Millis, vector: Sequence[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score, what was said of it and by which version."""
        self.advance(at)
        if version != self.version:
            self._begin(version)
        if not version:
            return
        if self._inputs is not None:
            if self._inputs.wants(patient, at):
                self._inputs.hear(patient, at, [vector[place] for place in self._places])
        else:
            self._learn_own(patient, at, vector)
        if probability is not None:
            self._alerts.scored(patient, at)
            hour = at // MILLIS_PER_HOUR
            if self._facts is not None and self._heard.get(patient) != hour:
                self._heard[patient] = hour
                self._tally.heard(at, self._facts.groups_of(patient, at))

    def happened(self, envelope: Envelope) -> None:
        """Hear of a message: of its observations the values, by feed and feature, in the feature's own unit."""
        if self._catalogue is not None:
            at = envelope.received_time
            self.measured(envelope.patient, at, envelope.feed, values_of(envelope, self._catalogue))

    def measured(self, patient: str, at: Millis, feed: str, values: Sequence[tuple[str, float]]) -> None:
        """Hear the values of a message: feature, and value in the feature's own unit."""
        for feature, value in values:
            self._feeds.hear(feed, feature, patient, at, value)

    def alerted(self, patient: str, at: Millis) -> None:
        """Hear that the version in force raised an alert."""
        self.advance(at)
        self._alerts.alerted(patient, at)
        if self._facts is not None:
            self._tally.alert(at, self._facts.groups_of(patient, at))

    def matured(
        self, patient: str, at: Millis, probability: float | None, version: str, now: Millis, *, label: bool
    ) -> None:
        """Hear of a label: of the row of `at`, of which `version` had said `probability`, known as of `now`."""
        self.advance(now)
        if probability is None or version != self.version:
            return
        # Kept until the row's whole window has passed: positives are known before the negatives of their time.
        heappush(self._waiting, _Waiting(at + self._label_after_ms, at, patient, probability, label))
        if len(self._waiting) > WAITING_MAX:
            self._count(heappop(self._waiting))
        self._count_due(now)

    def signalled(self, signal: Signal) -> None:
        """Hear what the monitoring of absence says of upstream."""
        if signal.kind not in UPSTREAM:
            return
        key = (signal.kind, signal.subject)
        if signal.state == "raised":
            self._upstream[key] = (signal.feature, signal.received_time)
        else:
            self._upstream.pop(key, None)

    def advance(self, at: Millis) -> None:
        """Let time reach `at`."""
        if at <= self._clock:
            return
        hour_ended = at // MILLIS_PER_HOUR > self._clock // MILLIS_PER_HOUR
        self._clock = at
        self._count_due(at)
        if not hour_ended:
            return
        self._alerts.advance(at)
        self._feeds.advance(at)
        if self._inputs is not None:
            self._inputs.advance(at)
        self._thinned.forget(at - self._label_after_ms)
        hour = at // MILLIS_PER_HOUR
        self._heard = {patient: last for patient, last in self._heard.items() if last == hour}
        self._since = {one.key: one.since for one in self.standing()}

    def _count_due(self, now: Millis) -> None:
        while self._waiting and self._waiting[0].due <= now:
            self._count(heappop(self._waiting))

    def _count(self, one: _Waiting) -> None:
        if not self._thinned.take(one.patient, one.at):
            return
        self._labels.hear(one.probability, happened=one.label)
        if self._facts is not None:
            flagged = one.probability >= self.threshold
            groups = self._facts.groups_of(one.patient, one.at)
            self._tally.label(self._clock, groups, one.probability, label=one.label, flagged=flagged)

    def _learn_own(self, patient: str, at: Millis, vector: Sequence[float]) -> None:
        """Make the reference of what the version meets first, where it brings none."""
        settled = self._began + self.limits.inputs.settling_ms
        if not self._own_thinned.take(patient, at) or at < settled:
            return
        number = self._own_patients.setdefault(patient, len(self._own_patients))
        self._own.append((number, tuple(vector)))
        if len(self._own) >= OWN_ROWS:
            matrix = np.array([row for _, row in self._own], dtype=np.float64)
            patients = np.array([number for number, _ in self._own])
            labels = self._labels
            self._use(Reference(summary_of(self.names, matrix, patients)))
            self._labels = labels
            self._own, self._own_patients, self._own_thinned = [], {}, Thinned()

    # -- what is found ------------------------------------------------------------------------------------------------

    def standing(self) -> tuple[Standing, ...]:
        """Give what stands beyond its limit now, by monitor; since when it does is known to the hour."""
        found = [] if self._inputs is None else of_inputs(self._inputs)
        found += of_feeds(self._feeds)
        found += [of_upstream(*key, feature, self.names) for key, (feature, _) in self._upstream.items()]
        found += of_labels(self._labels) + of_alerts(self._alerts) + of_gaps(self.gaps())
        return tuple(
            msgspec.structs.replace(one, since=self._since.get(one.key, self._clock))
            for one in {one.key: one for one in found}.values()
        )

    @property
    def threshold(self) -> float:
        """The probability from which on the version in force tells."""
        return self._thresholds(self.version)

    def findings(self) -> tuple[MonitorFinding, ...]:
        """Give what stands as the gates and the responses read it: with what the table says is to be done."""
        return tuple(
            MonitorFinding(
                monitor=one.monitor,
                version=self.version,
                response=response_to(one.monitor, one.level, self._rules),
                at=one.since,
                figures={"subject": one.subject, "level": one.level, **one.figures},
            )
            for one in self.standing()
        )

    def gaps(self) -> tuple[Gap, ...]:
        """Give the gaps between groups: for people, and for the gate by way of the findings."""
        return gaps_of(self._tally.totals(), self.limits.gaps)

    def subgroups(self) -> tuple[GroupFigures, ...]:
        """Give the newest figures by subgroup."""
        return figures_of(self._tally.totals(), self.limits.gaps)

    def label_figures(self) -> LabelFigures:
        """Give the newest figures of calibration and discrimination with their intervals."""
        return self._labels.figures()

    # -- its state ----------------------------------------------------------------------------------------------------

    def state(self) -> MonitorsState:
        """Give everything as plain numbers and names."""
        return MonitorsState(
            version=self.version,
            clock=self._clock,
            began=self._began,
            labels=self._labels.state(),
            alerts=self._alerts.state(),
            feeds=self._feeds.state(),
            tally=self._tally.state(),
            thinned=self._thinned.state(),
            heard=tuple(self._heard.items()),
            waiting=tuple(sorted(self._waiting)),
            upstream=tuple((*key, *value) for key, value in self._upstream.items()),
            since=tuple((*key, at) for key, at in self._since.items()),
            reference=self._reference,
            inputs=self._inputs.state() if self._inputs is not None else None,
            own_rows=tuple(self._own),
            own_patients=tuple(self._own_patients),
            own_thinned=self._own_thinned.state(),
        )

    def restore(self, state: MonitorsState) -> None:
        """Go on from a state, alike: of a fold made with the same arguments."""
        self.version, self._clock, self._began = state.version, state.clock, state.began
        self._use(state.reference)
        if state.reference is not None and state.inputs is not None:
            self._inputs = InputMonitor.restored(state.reference.inputs, state.inputs, self.limits.inputs)
        self._labels = LabelMonitor.restored(state.reference, state.labels, self.limits.labels)
        self._alerts = AlertRate.restored(state.alerts, self.limits.alerts)
        self._feeds = FeedValues.restored(state.feeds)
        self._tally = SubgroupTally.restored(state.tally)
        self._thinned.restore(state.thinned)
        self._heard = dict(state.heard)
        self._waiting = list(state.waiting)
        self._upstream = {(kind, subject): (feature, at) for kind, subject, feature, at in state.upstream}
        self._since = {(monitor, subject, level): at for monitor, subject, level, at in state.since}
        self._own = list(state.own_rows)
        self._own_patients = {patient: number for number, patient in enumerate(state.own_patients)}
        self._own_thinned.restore(state.own_thinned)
