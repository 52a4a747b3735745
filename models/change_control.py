"""Whether a challenger may speak: the envelope of what may change, the gates, and what they come to together.

Owns the gates as pure functions over evidence, and the envelope over two versions' pedigrees. Must not know where
evidence is kept, who decides, or how a promotion is written (stream/promotion.py). In the manner of FDA's guidance on
predetermined change control plans (December 2024): what may change, how it is tested, what stops it, declared before.

A gate has one of three states. `lacking`: too little was seen to say; more of the same may mend it. `failed`: enough
was seen, and it speaks against the challenger. A gate that is handed nothing never passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from events import Millis
from models.change_plan import ChangePlan
from models.evidence import Evidence, Stretch, evidence_digest

GateState = Literal["passed", "lacking", "failed"]
Verdict = Literal["automatic", "awaits_signature", "lacking", "stopped"]
"""In force without a person; a person's to decide; to be gone on with; not to be put in force."""
Response = Literal["annotate", "hold_promotion", "demote"]

CHANCE_MAX = 1e-5
"""Of a stretch with so few positives by chance: patients come in clusters, so this is less sure than it looks."""
ERRORS_MIN = 4.0
"""Standard errors by which stretches must be ranked worse: among some hundreds of runs, and some are harder anyway."""
NAMED_MAX = 5
"""Subgroups or stretches that a gate names; it counts the rest."""


class Pedigree(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is, as far as the envelope asks: what it means, and what it was made of."""

    version: str
    inputs: tuple[str, ...]
    schema_hash: str
    horizon_h: int
    outcome: str
    kind: str
    """The form of its weights: `logistic`, `crossed+trees`."""
    cost_of_miss: float
    learned_until: Millis | None = None
    """When the last label that it learned was known."""
    data_digest: str = ""
    code_commit: str = ""
    lock_digest: str = ""
    configuration_hash: str = ""
    parent: str = ""


class MonitorFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor found of a version (models/drift.py and its like), with its figures."""

    monitor: str
    version: str
    """Empty: of the data, whatever the version."""
    response: Response
    at: Millis
    figures: dict[str, float | int | str | None] = {}


class Gate(msgspec.Struct, frozen=True):
    """One gate's result, in words with its numbers and its bounds."""

    name: str
    state: GateState
    words: str


class Judgement(msgspec.Struct, frozen=True):
    """What the plan says of one challenger, from one piece of evidence."""

    champion: str
    challenger: str
    evidence: str
    """The digest of what it was judged on."""
    verdict: Verdict
    outside: tuple[str, ...]
    """What lies outside the envelope: a person's to decide, whatever the gates say."""
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.state == "passed" for gate in self.gates)


def outside_envelope(champion: Pedigree | None, challenger: Pedigree) -> tuple[str, ...]:
    """Say what differs besides the weights, and what of its making is not known; nothing: inside the envelope.

    `champion` is None where NEWS2 is alone: a first version is always a person's to decide.
    """
    unknown = [
        f"its {words} is not recorded"
        for words, value in (
            ("outcome definition", challenger.outcome),
            ("data's digest", challenger.data_digest),
            ("code commit", challenger.code_commit),
            ("lock file's digest", challenger.lock_digest),
            ("configuration", challenger.configuration_hash),
            ("newest label's time", challenger.learned_until),
        )
        if value in ("", None)
    ]
    if champion is None:
        return ("no version is in force that it could be held against", *unknown)
    compared = (
        ("inputs", champion.inputs == challenger.inputs and champion.schema_hash == challenger.schema_hash),
        ("horizon", champion.horizon_h == challenger.horizon_h),
        ("outcome definition", champion.outcome == challenger.outcome),
        ("form of the model", champion.kind == challenger.kind),
        ("cost of a miss", champion.cost_of_miss == challenger.cost_of_miss),
        ("code", champion.code_commit == challenger.code_commit),
        ("lock file", champion.lock_digest == challenger.lock_digest),
        ("configuration", champion.configuration_hash == challenger.configuration_hash),
    )
    # Weights that were learned less far are going back, which is a person's word or a broken limit's, never the gates'.
    newer = None not in (champion.learned_until, challenger.learned_until) and (
        (challenger.learned_until or 0) >= (champion.learned_until or 0)
    )
    return (
        *(f"another {words} than the champion's" for words, same in compared if not same),
        *(() if newer else ("it did not surely learn on from where the champion had got to",)),
        *unknown,
    )


def judge(
    plan: ChangePlan,
    evidence: Evidence,
    champion: Pedigree | None,
    challenger: Pedigree,
    findings: Sequence[MonitorFinding] = (),
) -> Judgement:
    """Judge a challenger. `findings` are those of monitors that are in alarm now.

    Evidence on other versions than these is a failed gate, as is evidence that the challenger had learned.
    """
    gates = (
        _unlearned(evidence, champion, challenger),
        *(gate(plan, evidence) for gate in _GATES),
        _monitors(evidence, findings),
    )
    outside = outside_envelope(champion, challenger)
    states = {gate.state for gate in gates}
    verdict: Verdict = (
        "stopped"
        if "failed" in states
        else "lacking"
        if "lacking" in states
        else "automatic"
        if plan.automatic and not outside
        else "awaits_signature"
    )
    return Judgement(evidence.champion, challenger.version, evidence_digest(evidence), verdict, outside, gates)


def _unlearned(evidence: Evidence, champion: Pedigree | None, challenger: Pedigree) -> Gate:
    """Refuse evidence that the challenger had learned, or that is on other versions."""
    name, known = "unlearned", challenger.learned_until
    wanted = ("news2" if champion is None else champion.version, challenger.version)
    if (evidence.champion, evidence.challenger) != wanted:
        about = f"{evidence.challenger} beside {evidence.champion}"
        return Gate(name, "failed", f"the evidence is on {about}, not on {wanted[1]} beside {wanted[0]}")
    if not evidence.data_digest or evidence.data_digest == challenger.data_digest:
        return Gate(name, "failed", "the evidence names no data, or the very data that it learned")
    if known is None:
        return Gate(
            name, "failed", "the version does not say up to when it learned: nothing shows what it had not seen"
        )
    hours = (evidence.first_matured - known) / 3_600_000
    words = (
        f"the first label of the evidence was known {abs(hours):.1f} h {'after' if hours > 0 else 'before'} the last"
    )
    return Gate(name, "passed" if hours > 0 else "failed", f"{words} that it learned")


def _enough(plan: ChangePlan, evidence: Evidence) -> Gate:
    """Ask for rows, patients with and without the outcome, and days."""
    counts = (
        ("rows", evidence.rows, plan.rows_min),
        ("patients", evidence.patients, plan.patients_min),
        ("patients with the outcome", evidence.positive_patients, plan.positive_patients_min),
        ("days", round(evidence.days, 1), plan.days_min),
    )
    short = [f"{found:,} of {wanted:,} {words}" for words, found, wanted in counts if found < wanted]
    seen = ", ".join(f"{found:,} {words}" for words, found, _wanted in counts)
    return Gate("enough", "lacking" if short else "passed", ", ".join(short) if short else seen)


def _labels(plan: ChangePlan, evidence: Evidence) -> Gate:
    """Stop where a stretch's labels are too many, too few, or do not belong to its rows (a poisoned stretch)."""
    name = "labels"
    if not evidence.stretches:
        return Gate(name, "failed", "the evidence does not show its labels by stretch")
    if not evidence.usual_rate:
        return Gate(name, "failed", "no usual share of positives is known")
    wrong, judged = [], 0
    for number, one in enumerate(evidence.stretches, 1):
        strange, expected = _is_strange_rate(plan, evidence, one)
        judged += max(expected, one.positive_patients) >= plan.stretch_positive_patients_min
        if strange:
            share = one.positives / max(one.rows, 1)
            wrong.append(f"stretch {number}: {share:.1%} positive, {share / evidence.usual_rate:.2g} times the usual")
    if worst := _worst_ranked(plan, evidence):
        wrong.append(worst)
    if wrong:
        return Gate(name, "failed", _first(wrong))
    if judged * 2 < len(evidence.stretches):
        return Gate(name, "lacking", f"{judged} of {len(evidence.stretches)} stretches have enough to be judged")
    return Gate(name, "passed", f"{judged} of {len(evidence.stretches)} stretches judged, all as usual")


def _is_strange_rate(plan: ChangePlan, evidence: Evidence, one: Stretch) -> tuple[bool, float]:
    """Say whether a stretch has far too many or too few positives; and how many positive patients were expected.

    Too many is said where enough came. Too few is said where so few patients would hardly be chance (Poisson).
    """
    from scipy.special import pdtr  # type: ignore[import-untyped]  # Read late: only judging needs it.

    factor = one.positives / max(one.rows, 1) / evidence.usual_rate
    expected = one.rows * evidence.usual_rate * evidence.positive_patients / evidence.positives
    many = factor > plan.label_rate_factor_max and one.positive_patients >= plan.stretch_positive_patients_min
    few = factor * plan.label_rate_factor_max < 1 and pdtr(one.positive_patients, expected) < CHANCE_MAX
    return bool(many or few), expected


def _worst_ranked(plan: ChangePlan, evidence: Evidence) -> str:
    """Name the run of stretches that the champion ranks worst, beside the others and beside what it used to do.

    Nothing where none is both far worse and beyond chance. Runs of every length up to half are looked at: one stretch
    may be too short to show by itself what several in a row show.
    """
    enough = plan.stretch_positive_patients_min
    judged = [
        (number, one.champion_auroc, one.positive_patients)
        for number, one in enumerate(evidence.stretches, 1)
        if one.champion_auroc is not None and one.positive_patients >= enough
    ]
    found, most = "", 0.0
    for length in range(1, max(len(judged) // 2, 1) + 1):
        for first in range(len(judged) - length + 1):
            run, others = judged[first : first + length], judged[:first] + judged[first + length :]
            usual = [_mean_auroc(others)] if others else []
            usual += [evidence.usual_auroc] if evidence.usual_auroc is not None else []
            if not usual:
                continue
            here = _mean_auroc(run)
            loss, error = max(usual) - here, _ranking_error(max(usual), sum(patients for *_, patients in run))
            if loss > plan.stretch_auroc_loss_max and loss > max(ERRORS_MIN, most) * error:
                most = loss / error if error else ERRORS_MIN
                named = f"stretch {run[0][0]}" if length == 1 else f"stretches {run[0][0]} to {run[-1][0]}"
                found = f"{named}: the champion ranks the rows {loss:.2f} worse than usual ({here:.2f})"
    return found


def _mean_auroc(stretches: Sequence[tuple[int, float, int]]) -> float:
    return sum(auroc * patients for _, auroc, patients in stretches) / sum(patients for *_, patients in stretches)


def _ranking_error(auroc: float, positive_patients: int) -> float:
    """Give the standard error of an AUROC over many negatives (Hanley and McNeil 1982), counting patients, not rows."""
    return math.sqrt(max(2 * auroc**2 / (1 + auroc) - auroc**2, 0.0) / positive_patients)


def _discrimination(plan: ChangePlan, evidence: Evidence) -> Gate:
    """Rule out a loss of ranking: AUROC and average precision against the champion, and AUROC by itself."""
    auroc, precision = evidence.auroc, evidence.average_precision
    allowed = -plan.average_precision_loss_max * precision.champion
    words = (
        f"AUROC {auroc.challenger:.3f}, {auroc.difference:+.3f} ({auroc.low:+.3f} to {auroc.high:+.3f}; "
        f"at least {-plan.auroc_loss_max:+.3f}, and {plan.auroc_min:.2f} in all); average precision "
        f"{precision.challenger:.3f}, {precision.difference:+.3f} ({precision.low:+.3f} to {precision.high:+.3f}; "
        f"at least {allowed:+.3f})"
    )
    if auroc.challenger < plan.auroc_min or auroc.high < -plan.auroc_loss_max or precision.high < allowed:
        return Gate("discrimination", "failed", words)
    ruled_out = auroc.low >= -plan.auroc_loss_max and precision.low >= allowed
    # Two that are as good as each other and too few rows to show it: more rows may.
    state: GateState = (
        "passed" if ruled_out else "lacking" if min(auroc.difference, precision.difference) >= 0 else "failed"
    )
    return Gate("discrimination", state, words)


def _calibration(plan: ChangePlan, evidence: Evidence) -> Gate:
    """Hold the probabilities against what happened."""
    found = evidence.calibration
    good = (
        plan.slope_min <= found.slope <= plan.slope_max
        and found.calibration_error <= plan.calibration_error_max
        and found.brier_skill > plan.brier_skill_min
    )
    words = (
        f"slope {found.slope:.2f} ({plan.slope_min} to {plan.slope_max}), expected calibration error "
        f"{found.calibration_error:.4f} (at most {plan.calibration_error_max}), Brier skill {found.brier_skill:+.3f} "
        f"(above {plan.brier_skill_min})"
    )
    return Gate("calibration", "passed" if good else "failed", words)


def _subgroups(plan: ChangePlan, evidence: Evidence) -> Gate:
    """Rule out a loss of sensitivity in every subgroup that is large enough to be judged; name the others."""
    enough = [one for one in evidence.subgroups if one.positive_patients >= plan.subgroup_patients_min]
    judged = [(one, one.sensitivity) for one in enough if one.sensitivity is not None]
    if not judged:
        return Gate("subgroups", "lacking", f"none of {len(evidence.subgroups)} subgroups has enough to be judged")
    lost = [
        f"{one.dimension} {one.group}: {pair.champion:.2f} to {pair.challenger:.2f}, at worst {pair.low:+.2f}"
        for one, pair in judged
        if pair.low < -plan.subgroup_loss_max
    ]
    if lost:
        return Gate("subgroups", "failed", f"sensitivity lost (at most {plan.subgroup_loss_max}): {_first(lost)}")
    small = [f"{one.dimension} {one.group}" for one in evidence.subgroups if (one, one.sensitivity) not in judged]
    said = f"; too few to be judged: {_first(small)}" if small else ""
    worst = min(pair.low for _one, pair in judged)
    return Gate("subgroups", "passed", f"{len(judged)} judged, at worst {worst:+.2f} sensitivity{said}")


def _burden(plan: ChangePlan, evidence: Evidence) -> Gate:
    """Bound what the wards are told."""
    found, former = evidence.alerts_per_patient_day, evidence.champion_alerts_per_patient_day
    declared = plan.alerts_per_patient_day_max
    allowed = former * plan.alerts_factor_max if declared is None else declared
    words = (
        f"{found:.3f} alerts per patient-day at {evidence.raise_at}, the champion {former:.3f} (at most {allowed:.3f})"
    )
    return Gate("burden", "passed" if found <= allowed else "failed", words)


def _agreement(plan: ChangePlan, evidence: Evidence) -> Gate:
    """Bound how much a ward would notice at once."""
    words = f"{evidence.flips:.2%} of rows would change side (at most {plan.flips_max:.2%})"
    return Gate("agreement", "passed" if evidence.flips <= plan.flips_max else "failed", words)


def _monitors(evidence: Evidence, findings: Sequence[MonitorFinding]) -> Gate:
    """Promote nothing while a monitor of the data or of either version is in alarm."""
    about = {"", evidence.champion, evidence.challenger}
    alarms = [one for one in findings if one.version in about and one.response != "annotate"]
    if not alarms:
        return Gate("monitors", "passed", "none in alarm")
    said = [f"{one.monitor} ({one.response}{f', {one.version}' if one.version else ''})" for one in alarms]
    return Gate("monitors", "failed", f"in alarm: {_first(said)}")


_GATES: tuple[Callable[[ChangePlan, Evidence], Gate], ...] = (
    _enough,
    _labels,
    _discrimination,
    _calibration,
    _subgroups,
    _burden,
    _agreement,
)
GATE_NAMES = ("unlearned", *(gate.__name__.removeprefix("_") for gate in _GATES), "monitors")
"""In the order in which they are shown."""


def _first(said: Sequence[str]) -> str:
    more = f" and {len(said) - NAMED_MAX} more" if len(said) > NAMED_MAX else ""
    return "; ".join(said[:NAMED_MAX]) + more
