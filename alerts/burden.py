"""What alerting costs a ward and what it is worth: burden and warning, from what was told and what then happened.

Owns the figures: alerts a patient-day, deteriorations told in advance and by how long, PPV, repeats within an episode.
Must not know where tellings or outcomes come from, nor what any rule rests on: a rule is the list of what it told. So
the service, NEWS2 alone and a model without filters are measured by one and the same yardstick.

- A deterioration is *told in advance* if anything was told of its patient within the horizon before it (Churpek's and
  the eCART studies' convention), not counting what came at or after it. The lead is from the earliest of those.
- An alert is *true* if its patient deteriorated within the horizon after it was raised (PPV counts alerts, not
  patients). What is raised at or after a patient's deterioration is counted as burden and left out of PPV.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import quantiles

import msgspec

from events import MILLIS_PER_HOUR, Millis

HORIZON_MS = 12 * MILLIS_PER_HOUR
"""The default outcome window (clinical.md, "Outcomes")."""
QUARTILES_MIN = 2
"""With fewer leads there are no quartiles."""


class Telling(msgspec.Struct, frozen=True, gc=False):
    """One thing told aloud of one patient. `first`: an alert was raised; else it was told again (worse, unanswered)."""

    patient: str
    at: Millis
    kind: str
    """What it is counted by, such as `news2_floor interrupt`."""
    first: bool = True
    episode: str = ""


class Burden(msgspec.Struct, frozen=True):
    """The figures of one rule. Shares are None where there is nothing to take them of; leads are in hours."""

    alerts: int
    told: int
    """Alerts, and what was told of them again."""
    alerts_per_patient_day: float | None
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
    >>> told = [Telling("a", 5 * hour, "floor"), Telling("b", 5 * hour, "floor")]
    >>> burden = measure_burden(told, {"a": [8 * hour], "c": [8 * hour]}, patient_days=4.0)
    >>> burden.sensitivity, burden.ppv, burden.alerts_per_patient_day
    (0.5, 0.5, 0.5)
    """
    spoken = list(tellings)
    times: dict[str, list[Millis]] = {}
    for one in spoken:
        times.setdefault(one.patient, []).append(one.at)
    for of_patient in times.values():
        of_patient.sort()
    leads = [lead for patient in sorted(onsets) for lead in _leads(times.get(patient, []), onsets[patient], horizon_ms)]
    alerts = [one for one in spoken if one.first]
    judged = [true for one in alerts if (true := _is_true(one.at, onsets.get(one.patient, ()), horizon_ms)) is not None]
    episodes = {one.episode for one in alerts if one.episode}
    deteriorations = sum(len(of_patient) for of_patient in onsets.values())
    return Burden(
        alerts=len(alerts),
        told=len(spoken),
        alerts_per_patient_day=len(alerts) / patient_days if patient_days else None,
        by_kind=dict(sorted(Counter(one.kind for one in alerts).items())),
        deteriorations=deteriorations,
        told_in_advance=len(leads),
        sensitivity=len(leads) / deteriorations if deteriorations else None,
        lead_h_quartiles=_quartiles(leads),
        ppv=sum(judged) / len(judged) if judged else None,
        alerts_per_episode=len(alerts) / len(episodes) if episodes else None,
    )


def _leads(told: list[Millis], onsets: Sequence[Millis], horizon_ms: Millis) -> list[Millis]:
    """Give how long before each deterioration it was first told, of those that were told in advance."""
    leads = []
    for onset in onsets:
        first = bisect_left(told, onset - horizon_ms)
        if first < len(told) and told[first] < onset:
            leads.append(onset - told[first])
    return leads


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
    >>> [len(rule.scored("a", at, score)) for at, score in enumerate((4, 5, 7, 4, 6))]
    [0, 1, 0, 0, 1]
    """

    def __init__(self, kind: str, raise_at: float, hold_at: float | None = None) -> None:
        """Begin with nobody above."""
        self.kind = kind
        self._raise_at = raise_at
        self._hold_at = raise_at if hold_at is None else hold_at
        self._above: set[str] = set()

    def scored(self, patient: str, at: Millis, score: float | None) -> list[Telling]:
        """Hear a score; give what the rule tells of it. No score changes nothing."""
        if score is None:
            return []
        if patient in self._above:
            if score < self._hold_at:
                self._above.discard(patient)
            return []
        if score < self._raise_at:
            return []
        self._above.add(patient)
        return [Telling(patient, at, self.kind, episode=f"{patient}/{at}")]
