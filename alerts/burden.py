"""What alerting costs a ward and what it is worth: burden and warning, from what was told and what then happened.

Owns the figures: alerts a patient-day, deteriorations told in advance and by how long, PPV, repeats within an episode.
Must not know where tellings or outcomes come from, nor what any rule rests on: a rule is the list of what it told. So
the service, NEWS2 alone and a model without filters are measured by one and the same yardstick.

- A deterioration is *told in advance* if an alert of its patient stood at any time within the horizon before it: raised
  and told then, or told earlier and not yet ended (the convention of the studies that ask whether a score was above its
  level within the window). The lead is from when that alert was told, at most the horizon.
- An alert is *true* if its patient deteriorated within the horizon after it was raised (PPV counts alerts, not
  patients). What is raised at or after a patient's deterioration is counted as burden and left out of PPV.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import quantiles

import msgspec

from events import MILLIS_PER_DAY, MILLIS_PER_HOUR, Millis

HORIZON_MS = 12 * MILLIS_PER_HOUR
"""The default outcome window (clinical.md, "Outcomes")."""
QUARTILES_MIN = 2
"""With fewer leads there are no quartiles."""


class Telling(msgspec.Struct, frozen=True, gc=False):
    """One alert as a ward heard it: when it was first told aloud, and until when it stood."""

    patient: str
    at: Millis
    kind: str
    """What it is counted by, such as `news2_floor interrupt`."""
    until: Millis
    """When it ended; the end of the record where it did not."""
    times: int = 1
    """How often something was told of it aloud: once, and each time it grew worse, persisted or went unanswered."""
    episode: str = ""


class Burden(msgspec.Struct, frozen=True):
    """The figures of one rule. Shares are None where there is nothing to take them of; leads are in hours."""

    alerts: int
    told: int
    """Alerts, and what was told of them again."""
    alerts_per_patient_day: float | None
    standing_share: float | None
    """Of the patients' time, how much an alert stood: one that always stands warns of everything and says nothing."""
    by_kind: dict[str, int]
    deteriorations: int
    told_in_advance: int
    sensitivity: float | None
    lead_h_quartiles: tuple[float, float, float] | None
    """Lower quartile, median, upper quartile."""
    ppv: float | None
    alerts_per_episode: float | None


def measure_burden(
    tellings: Iterable[Telling],
    onsets: Mapping[str, Sequence[Millis]],
    patient_days: float,
    horizon_ms: Millis = HORIZON_MS,
) -> Burden:
    """Measure a rule by what it told. `onsets` gives each patient's deteriorations.

    >>> hour = 3_600_000
    >>> told = [Telling("a", 5 * hour, "floor", 5 * hour), Telling("b", 5 * hour, "floor", 5 * hour)]
    >>> burden = measure_burden(told, {"a": [8 * hour], "c": [8 * hour]}, patient_days=4.0)
    >>> burden.sensitivity, burden.ppv, burden.alerts_per_patient_day
    (0.5, 0.5, 0.5)
    """
    alerts = sorted(tellings, key=lambda one: (one.patient, one.at))
    by_patient: dict[str, list[Telling]] = {}
    for one in alerts:
        by_patient.setdefault(one.patient, []).append(one)
    leads = [
        lead
        for patient in sorted(onsets)
        for onset in onsets[patient]
        if (lead := _lead(by_patient.get(patient, ()), onset, horizon_ms)) is not None
    ]
    judged = [true for one in alerts if (true := _is_true(one.at, onsets.get(one.patient, ()), horizon_ms)) is not None]
    episodes = {one.episode for one in alerts if one.episode}
    deteriorations = sum(len(of_patient) for of_patient in onsets.values())
    return Burden(
        alerts=len(alerts),
        told=sum(one.times for one in alerts),
        alerts_per_patient_day=len(alerts) / patient_days if patient_days else None,
        standing_share=sum(one.until - one.at for one in alerts) / (patient_days * MILLIS_PER_DAY)
        if patient_days
        else None,
        by_kind=dict(sorted(Counter(one.kind for one in alerts).items())),
        deteriorations=deteriorations,
        told_in_advance=len(leads),
        sensitivity=len(leads) / deteriorations if deteriorations else None,
        lead_h_quartiles=_quartiles(leads),
        ppv=sum(judged) / len(judged) if judged else None,
        alerts_per_episode=len(alerts) / len(episodes) if episodes else None,
    )


def _lead(told: Sequence[Telling], onset: Millis, horizon_ms: Millis) -> Millis | None:
    """Give how long before a deterioration it was told, at most the horizon; None where nothing stood then."""
    stood = [one.at for one in told if one.at < onset and one.until >= onset - horizon_ms]
    return onset - max(min(stood), onset - horizon_ms) if stood else None


def _is_true(at: Millis, onsets: Sequence[Millis], horizon_ms: Millis) -> bool | None:
    """Whether what was raised came true; None where the patient had deteriorated already."""
    later = [onset for onset in onsets if onset > at]
    if any(onset <= at for onset in onsets) and not later:
        return None
    return any(onset <= at + horizon_ms for onset in later)


def _quartiles(leads: list[Millis]) -> tuple[float, float, float] | None:
    if len(leads) < QUARTILES_MIN:
        return None
    low, median, high = quantiles((lead / MILLIS_PER_HOUR for lead in leads), n=4, method="inclusive")
    return low, median, high


class RuleAlone:
    """A rule without filters: it speaks as its score reaches a level, and again only after that fell below it.

    `hold_at` is the level below which it has fallen (hysteresis); the same as `raise_at` for a rule that has none.

    >>> rule = RuleAlone("news2 5", raise_at=5)
    >>> for at, score in enumerate((4, 5, 7, 4, 6)):
    ...     rule.scored("a", at, score)
    >>> [(one.at, one.until) for one in rule.tellings()]
    [(1, 3), (4, 4)]
    """

    def __init__(self, kind: str, raise_at: float, hold_at: float | None = None) -> None:
        """Begin with nobody above."""
        self.kind = kind
        self._raise_at = raise_at
        self._hold_at = raise_at if hold_at is None else hold_at
        self._above: dict[str, Millis] = {}
        self._newest: dict[str, Millis] = {}
        self._ended: list[Telling] = []

    def scored(self, patient: str, at: Millis, score: float | None) -> None:
        """Hear a score. No score changes nothing."""
        if score is None:
            return
        since = self._above.get(patient)
        if since is None and score >= self._raise_at:
            self._above[patient] = at
        elif since is not None and score < self._hold_at:
            self._ended.append(self._telling(patient, since, at))
            del self._above[patient]
        self._newest[patient] = at

    def tellings(self) -> list[Telling]:
        """Give what was told; what still stands, stands until its patient's last score."""
        standing = [self._telling(name, since, self._newest[name]) for name, since in sorted(self._above.items())]
        return self._ended + standing

    def _telling(self, patient: str, since: Millis, until: Millis) -> Telling:
        return Telling(patient, since, self.kind, until, episode=f"{patient}/{since}")
