"""Alert burden and warning: the whole service beside NEWS2 alone and beside its own model without filters.

Owns the runs and the page `docs/burden.md`. Must not know how anything is decided: it replays, reads the output files
as anybody could, and measures all rules by one yardstick (`alerts.burden`). Run: `make burden`.

Two sources. The simulated hospital is a rehearsal: this project made it, and it proves plumbing only. The ICU data
(PhysioNet 2019, hospital A) are real: the learner that ships (`--learner` names another) trains the version on the
earlier stays, its threshold is set there by what was said before it was learned, and all is measured on the later
stays, which neither has seen. NEWS2 from these data is partial (no consciousness), for every rule alike.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from burden_outputs import Run, measure

from alerts.burden import Burden, RuleAlone, measure_burden
from connectors.decoded import Decoded
from connectors.hospital.wards import CRITICAL_CARE_WARD
from connectors.sources import open_source
from connectors.sources.arrival import Arrival, SourceSettings
from events import Admission, Envelope, Merge, Millis
from guardrails.limits import NOTIFY_AT
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS
from models.learners.factory import LEARNERS, SHIPPED
from models.training import RELEASE_SHARE
from models.version import Lineage, ModelVersion
from stream.candidates import frozen
from stream.cli.options import make_release
from stream.learning import NEWS2_TOTAL_AT, LearnerFold
from stream.outcomes import OutcomeDefinition, outcome_of
from stream.release import Release
from stream.replay import Replay
from stream.settings import RAISE_AT_DEFAULT, Settings
from stream.simulation import arrivals_of, hospital_stream

PAGE = Path(__file__).resolve().parents[1] / "docs" / "burden.md"
SEEDS, BEDS, DAYS = (11, 12, 13), 100, 30
EVERY = 1
"""Of the ICU stays: all 20,336 take some five minutes."""
TRAINED_SHARE = 0.6
"""Of the ICU stays in order of admission: the rest is measured."""


class Outcomes:
    """Hears what happened, as a learner would: each patient's deteriorations, one a stay."""

    def __init__(self, definition: OutcomeDefinition) -> None:
        self.onsets: dict[str, list[Millis]] = {}
        self._definition = definition
        self._over: set[str] = set()
        """Patients whose deterioration of this stay is known."""

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Scores are read from the output."""

    def happened(self, envelope: Envelope) -> None:
        """Note outcomes; a new stay may have its own, and a merged record's are the survivor's."""
        patient = envelope.patient
        for event in envelope.events:
            if type(event) is Admission:
                self._over.discard(patient)
            elif type(event) is Merge:
                self.onsets.setdefault(patient, []).extend(self.onsets.pop(event.retired, []))
            outcome = outcome_of(event, self._definition)
            counts = outcome is not None and outcome.onset and outcome.kind in self._definition.kinds
            if outcome is not None and counts and patient not in self._over:
                self._over.add(patient)
                self.onsets.setdefault(patient, []).append(outcome.event_time)


def replay(
    arrivals: Iterable[Arrival],
    release: Release,
    versions: Mapping[str, ModelVersion],
    definition: OutcomeDefinition,
    raise_at: float,
) -> Run:
    """Replay arrivals through the whole core into a folder that is thrown away, and measure it."""
    outcomes = Outcomes(definition)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        run = Replay(folder, release, versions, learner=outcomes)
        run.messages(arrivals)
        result = run.finish(0.0)
        return measure(folder, outcomes.onsets, float(str(result.summary["patient_days"])), raise_at)


def of_hospital(seed: int, beds: int, days: int) -> Run:
    """Measure one simulated month with the shipped version enabled."""
    settings = Settings()
    release, versions = make_release(settings, None, None)
    enabled = msgspec.structs.replace(release, enabled=True)
    arrivals = arrivals_of(hospital_stream(seed=seed, beds=beds, hours=days * 24), settings)
    definition = OutcomeDefinition(critical_care_wards=frozenset({CRITICAL_CARE_WARD}))
    return replay(arrivals, enabled, versions, definition, RAISE_AT_DEFAULT)


class Heard(LearnerFold):
    """A learner that also keeps what it said of each score before it learned, and NEWS2's total then."""

    def __init__(self, definition: OutcomeDefinition, learner: str) -> None:
        inputs = CLINICAL_INPUTS if learner == "river-logistic" else LEARNING_INPUTS
        super().__init__(definition, learner=LEARNERS[learner](inputs))
        self.outcomes = Outcomes(definition)
        self.rows: list[tuple[str, Millis, float | None, float]] = []

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score, and keep what is said of it."""
        super().scored(patient, at, vector, probability, version)
        self.rows.append((patient, at, self.said, vector[NEWS2_TOTAL_AT]))

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened."""
        super().happened(envelope)
        self.outcomes.happened(envelope)


def matched_threshold(heard: Heard) -> float:
    """Give the probability at which the unfiltered model warns of more deteriorations than NEWS2 5 or more does.

    Of what was said in the later half of the training stretch, before it was learned; the highest level that does so by
    a standard error of that share, so that it holds on other patients too.
    """
    middle = heard.rows[len(heard.rows) // 2][1]
    later = [one for one in heard.rows if one[1] >= middle]
    onsets = {name: [at for at in times if at >= middle] for name, times in heard.outcomes.onsets.items()}

    def sensitivity(rule: RuleAlone, *, of_model: bool) -> float:
        for patient, at, said, total in later:
            rule.scored(patient, at, said if of_model else total)
        return measure_burden(rule.tellings(), onsets, 1.0).sensitivity or 0.0

    share = sensitivity(RuleAlone("news2", NOTIFY_AT), of_model=False)
    wanted = min(share + math.sqrt(share * (1 - share) / max(sum(map(len, onsets.values())), 1)), 1.0)
    levels = sorted({round(one[2], 4) for one in later if one[2]}, reverse=True)
    low, high = 0, len(levels) - 1
    while low < high:
        middle_level = (low + high) // 2
        level = levels[middle_level]
        if sensitivity(RuleAlone("model", level, level * RELEASE_SHARE), of_model=True) >= wanted:
            high = middle_level
        else:
            low = middle_level + 1
    return levels[low]


def subject_of(arrival: Arrival) -> object:
    """Give whom a message of the ICU data is of; they hold nothing that is refused."""
    assert isinstance(arrival.decoded, Decoded), arrival.position
    return arrival.decoded.subject


def of_icu(data: Path, every: int, learner: str) -> tuple[Run, float]:
    """Train on the earlier ICU stays, set the threshold there, measure the later ones; give that and the threshold.

    The set is read once and held: some 800,000 messages of all stays, one or two GB.
    """
    definition = OutcomeDefinition(kinds=("sepsis",))
    arrivals = list(open_source(f"physionet2019:{data / 'physionet2019'}", SourceSettings(every=every)))
    starts: dict[object, Millis] = {}
    for arrival in arrivals:
        starts.setdefault(subject_of(arrival), arrival.received_time or 0)
    ordered = sorted(starts.values())
    border = ordered[int(len(ordered) * TRAINED_SHARE)]
    heard = Heard(definition, learner)
    began = time.perf_counter()
    release = make_release(Settings(), None, None)[0]
    with tempfile.TemporaryDirectory() as made:
        run = Replay(Path(made), msgspec.structs.replace(release, version=""), {}, learner=heard)
        run.messages(one for one in arrivals if (one.received_time or 0) < border)
    print(f"trained after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    threshold = matched_threshold(heard)
    version = frozen(heard, Lineage(source="physionet2019, the earlier stays", rows=0, positives=0))
    print(f"threshold {threshold} after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    guardrails = msgspec.structs.replace(Settings().guardrails, raise_at=threshold, clear_at=threshold * RELEASE_SHARE)
    chosen = Release(Settings(guardrails=guardrails), release.code_version, version.version, enabled=True)
    later = (one for one in arrivals if starts[subject_of(one)] >= border)
    return replay(later, chosen, {version.version: version}, definition, threshold), threshold


HEAD = """# Alert burden, measured

Written by `make burden`; do not edit. All rules are measured by one yardstick (`alerts/burden.py`): what was told
aloud, to whom, until when it stood, and what then happened. A deterioration is *told in advance* if an alert of its
patient stood at any time within 12 h before it; *PPV* is the share of alerts that a deterioration follows within 12 h;
*told* counts an alert and each time it was told again: nobody answers in a replay, so everything is told again and
escalated as on a ward that never does; *standing* is the share of the patients' time in which an alert stood. NEWS2
alone and the model without filters speak as their score reaches the level, and again after it fell below.
"""
COLUMNS = (
    "rule",
    "alerts",
    "a patient-day",
    "told",
    "standing",
    "told in advance",
    "lead h (quartiles)",
    "PPV",
    "alerts an episode",
)


def table(burdens: Mapping[str, Burden]) -> list[str]:
    """Write one run's burdens."""
    rows = [f"| {' | '.join(COLUMNS)} |", "| --- |" + " --: |" * (len(COLUMNS) - 1)]
    for name, one in burdens.items():
        share = "" if one.sensitivity is None else f" ({one.sensitivity:.1%})"
        lead = "" if one.lead_h_quartiles is None else " / ".join(f"{hours:.1f}" for hours in one.lead_h_quartiles)
        cells = (
            name,
            f"{one.alerts:,}",
            "" if one.alerts_per_patient_day is None else f"{one.alerts_per_patient_day:.3f}",
            f"{one.told:,}",
            "" if one.standing_share is None else f"{one.standing_share:.0%}",
            f"{one.told_in_advance} of {one.deteriorations}{share}",
            lead,
            "" if one.ppv is None else f"{one.ppv:.1%}",
            "" if one.alerts_per_episode is None else f"{one.alerts_per_episode:.2f}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def report(run: Run) -> list[str]:
    """Write one run."""
    kinds = run.burdens["the service (floor and model)"].by_kind
    by_kind = ", ".join(f"{name} {count / run.patient_days:.3f}" for name, count in kinds.items())
    withheld = ", ".join(f"{name} {share:.1%}" for name, share in run.withheld.items()) or "none"
    return [
        f"{run.scores:,} scores of {run.patient_days:,.0f} patient-days.",
        "",
        *table(run.burdens),
        "",
        f"- Alerts a patient-day, by trigger and priority: {by_kind}.",
        f"- Of all scores the model abstained or deferred: {withheld}.",
        f"- Told later for want of room in a ward's budget: {run.waits}.",
        f"- **Rises to a NEWS2 emergency: {run.rises:,}; untold: {run.untold}. Events twice, gaps in seq, or alerts "
        f"raised beside an open one: {run.duplicates}.**",
        "",
    ]


def together(runs: list[Run]) -> list[str]:
    """Say how the aim stands: the model channel beside NEWS2 5 or more."""
    lines = []
    for run in runs:
        model, news2 = run.burdens["its model channel alone"], run.burdens["NEWS2 5 or more alone"]
        if model.sensitivity is None or news2.sensitivity is None or not news2.alerts:
            continue
        ratio = model.alerts / news2.alerts
        reached = ratio <= ALERTS_SHARE_MAX and model.sensitivity >= news2.sensitivity
        lines.append(
            f"**Aim** (model channel alone, at the sensitivity of NEWS2 5 or more, at most half its alerts): "
            f"{model.sensitivity:.1%} beside {news2.sensitivity:.1%} with {ratio:.2f} of its alerts: "
            f"{'reached' if reached else 'not reached'}. By what is told in all, again and again, it is "
            f"{model.told / news2.told:.2f}."
        )
    return lines


ALERTS_SHARE_MAX = 0.5


def main() -> int:
    """Run all, write the page, print it; exit 1 where an emergency went untold or anything was said twice."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS), help="of the simulated hospital")
    arguments.add_argument("--beds", type=int, default=BEDS)
    arguments.add_argument("--days", type=int, default=DAYS)
    arguments.add_argument("--every", type=int, default=EVERY, help="of the ICU stays, each n-th; 0: none")
    arguments.add_argument("--learner", default=SHIPPED, choices=list(LEARNERS), help="what learns from the ICU stays")
    arguments.add_argument("--out", type=Path, default=PAGE)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = Path(os.environ.get("WARDSTREAM_DATA", default))
    page = [HEAD]
    runs: dict[str, Run] = {}
    if chosen.every:
        run, threshold = of_icu(data, chosen.every, chosen.learner)
        runs["icu"] = run
        page += [
            f"## ICU data: PhysioNet 2019, hospital A, one stay of {chosen.every}; sepsis",
            "",
            f"The version is trained by `{chosen.learner}` on the earlier {TRAINED_SHARE:.0%} of the stays; its "
            f"threshold, {threshold:.4f}, is where it warned of more deteriorations there than NEWS2 5 or more did, by "
            "a standard error. All stays lie on one ward of some 200 patients with the default budget of 6 a shift: "
            "most of what the model says waits, and what waits for an hour is told as an escalation.",
            "",
            *together([run]),
            "",
            *report(run),
        ]
    for seed in chosen.seeds:
        run = runs[f"hospital {seed}"] = of_hospital(seed, chosen.beds, chosen.days)
        page += [
            f"## Rehearsal: the simulated hospital, {chosen.beds} beds, {chosen.days} days, seed {seed}",
            "",
            "This project made these patients: the figures show that the parts work together, no real ward's burden.",
            "",
            *report(run),
        ]
    text = "\n".join(page)
    chosen.out.write_text(text.rstrip() + "\n")
    print(text)
    if chosen.json:
        chosen.json.write_text(json.dumps(msgspec.to_builtins(runs), indent=2) + "\n")
    return int(any(run.untold or run.duplicates for run in runs.values()))


if __name__ == "__main__":
    raise SystemExit(main())
