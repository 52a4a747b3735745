"""Change control over one service: who is champion, how far each challenger is, and the decisions that a step makes.

Owns those steps as pure functions over the decisions that stand: proposing, judging, promoting by itself, and going
back when a monitor breaks a limit. Must not know how a gate judges (models/change_control.py), where evidence lies, nor
how a decision is stored. What it gives are decisions like a person's: in the same log, the same chain, the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from events import ChangeStep, Millis, Promotion, Standing
from models.change_control import GATE_NAMES, Gate, GateState, Judgement, MonitorFinding, Pedigree, Verdict
from models.change_plan import ChangePlan
from models.evidence import Evidence, evidence_digest
from models.version import ModelVersion
from stream.decisions import FIGURES_MAX, Decided, Decision, Decisions
from stream.loudness import CHANGE_CONTROL

AUTOMATIC = CHANGE_CONTROL
"""Who promotes where nobody does."""
MONITOR = "wardstream:monitor"
"""Who demotes where nobody does."""
NEWS2_ALONE = "news2"
"""The champion of evidence where no version is in force."""
GATE = "gate."
"""Begins the name of a gate among a decision's figures."""
OUTSIDE = "outside."
"""Begins the name of what lies outside the envelope."""
CHALLENGERS_MAX = 20
"""Shown, newest first: a learner that makes one a day has half of them replaced by the week's end."""
SHOWN = ("rows", "positives", "patients", "days", "auroc")
"""Of a challenger's figures: what a reviewer sees beside the gates."""
WORDS_MAX = 400
"""Of one figure: a gate's words, or a monitor's value."""


class Challenger(msgspec.Struct, frozen=True):
    """How far a version is that was proposed and is not in force."""

    version: str
    step: str
    at: Millis
    evidence: str
    champion: str
    """The version that it was held against."""
    verdict: Verdict | None
    outside: tuple[str, ...]
    gates: tuple[Gate, ...]
    lacking: tuple[str, ...]
    """What is missing before it may speak, in words."""
    figures: dict[str, str] = {}
    """What it was judged on, as far as the decision says: rows, patients, days, AUROC."""


class Review(msgspec.Struct, frozen=True):
    """What a reviewer sees: who is in force, since when and by whom, and who would like to be."""

    champion: str
    """Empty: NEWS2 alone."""
    promoted_at: Millis | None
    promoted_by: str
    reason: str
    standing: str
    shadow: str
    """The version that runs in shadow, in the champion's place."""
    automatic: bool
    challengers: tuple[Challenger, ...]


def champion_of(decisions: Decisions) -> str:
    """Give the version that speaks; empty where NEWS2 is alone."""
    asked = _asked(decisions)
    return asked.version if asked is not None and asked.enabled else ""


def asked_version(decisions: Decisions) -> str:
    """Give the version that is asked: the champion, or the one in shadow in its place; empty where NEWS2 is alone."""
    asked = _asked(decisions)
    return "" if asked is None else asked.version


def _asked(decisions: Decisions) -> Promotion | None:
    """Give the promotion that stands, of a version that is not demoted."""
    last = _last_promotion(decisions)
    event = None if last is None else last.decision.event
    if not isinstance(event, Promotion):
        return None
    stands = decisions.standings.get(event.version)
    return None if stands is not None and stands.standing == "demoted" else event


def pedigree_of(version: ModelVersion) -> Pedigree:
    """Say what the envelope asks of a version."""
    lineage = version.lineage
    return Pedigree(
        version=version.version,
        inputs=tuple(version.inputs.all_names()),
        schema_hash=version.schema_hash,
        horizon_h=version.horizon_h,
        outcome=lineage.outcome,
        kind=kind_of_model(version),
        cost_of_miss=version.cost_of_miss,
        learned_until=lineage.learned_until,
        data_digest=lineage.data_digest,
        code_commit=lineage.code_commit,
        lock_digest=lineage.lock_digest,
        configuration_hash=lineage.configuration_hash,
        parent=lineage.parent,
    )


def kind_of_model(version: ModelVersion) -> str:
    """Name the form of a version's weights."""
    if version.ensemble is None:
        return "logistic"
    parts = (("crossed", version.ensemble.crossed), ("trees", version.ensemble.trees))
    return "+".join(name for name, part in parts if part is not None)


def alarms(decisions: Decisions, plan: ChangePlan, challenger: str, at: Millis) -> tuple[MonitorFinding, ...]:
    """Give what the decisions themselves hold against promoting now, as a monitor would."""
    found = [
        MonitorFinding(monitor=f"standing {stands.standing}", version=name, response="hold_promotion", at=at)
        for name, stands in decisions.standings.items()
        if stands.standing != "good"
    ]
    if decisions.kill_switch:
        found.append(MonitorFinding(monitor="kill switch", version="", response="hold_promotion", at=at))
    standing = {one.sequence for one in decisions.standing_promotions()}
    for one in decisions.kept():
        event = one.decision.event
        undone = isinstance(event, Promotion) and not one.decision.undoes and one.sequence not in standing
        if undone and isinstance(event, Promotion) and event.version == challenger and event.enabled:
            found.append(
                MonitorFinding(monitor="rolled back before", version=challenger, response="hold_promotion", at=at)
            )
            break
    # The newest that nobody signed, even if it was taken back or a person's followed: it was seen no longer.
    automatic = [one for one in decisions.kept() if _is_automatic_promotion(one.decision)]
    if plan.automatic and automatic:
        days = (at - automatic[-1].decision.at) / 86_400_000
        if days < plan.days_between_min:
            name = f"promoted by itself {days:.1f} days ago"
            found.append(MonitorFinding(monitor=name, version="", response="hold_promotion", at=at))
    return tuple(found)


def _is_automatic_promotion(decision: Decision) -> bool:
    return isinstance(decision.event, Promotion) and decision.who == AUTOMATIC


def proposed(evidence: Evidence, at: Millis, who: str, reason: str, signed_by: str = "") -> Decision:
    """Give the record that a challenger was proposed, and on what; `signed_by` names the key on the evidence."""
    step = ChangeStep(at, evidence.challenger, "proposed", evidence_digest(evidence))
    figures = {
        "champion": evidence.champion,
        "source": evidence.source,
        "data": evidence.data_digest,
        "rows": str(evidence.rows),
        "positives": str(evidence.positives),
        "patients": str(evidence.patients),
        "days": f"{evidence.days:.1f}",
        **({"evidence signed by": signed_by} if signed_by else {}),
    }
    return Decision(step, who, reason, figures=_bounded(figures))


def judged(judgement: Judgement, at: Millis) -> Decision:
    """Give the record of what the gates said."""
    states = {gate.state for gate in judgement.gates}
    state: GateState = "failed" if "failed" in states else "lacking" if "lacking" in states else "passed"
    step = ChangeStep(at, judgement.challenger, state, judgement.evidence)
    return Decision(step, AUTOMATIC, judgement.verdict, figures=_figures(judgement))


def promotion(judgement: Judgement, decisions: Decisions, at: Millis) -> Decision:
    """Give the promotion that nobody needs to sign. Raises `ValueError` where the judgement does not allow it (now)."""
    if judgement.verdict != "automatic" or not judgement.passed or judgement.outside:
        raise ValueError("the plan does not let this version be promoted by itself")
    if (champion_of(decisions) or NEWS2_ALONE) != judgement.champion:
        raise ValueError("another version is in force than it was judged against")
    event = Promotion(at, judgement.challenger, enabled=True)
    return Decision(event, AUTOMATIC, "every gate passed, within the envelope", figures=_figures(judgement))


def grounds(decisions: Decisions, version: str) -> dict[str, str]:
    """Give what the gates last said of a version (its id, or the beginning), for the record of its promotion."""
    last = _last_step(decisions, version)
    if last is None or not isinstance(last.decision.event, ChangeStep):
        return {"gates": "never judged"}
    return {"gates": last.decision.event.step, "evidence": last.decision.event.evidence}


def demotion(decisions: Decisions, finding: MonitorFinding, usable: Callable[[str], bool]) -> list[Decision]:
    """Give what takes a version out of force because a monitor broke its limit; nothing where it is out already.

    It is demoted, so that NEWS2 is alone at once, whatever else fails. Where it was the one that speaks, and a former
    champion in good standing is at hand (`usable`), that one comes back. Enter them in this order. A person lifts it
    (`wardstream models restore`); nothing lifts it by itself.
    """
    stands = decisions.standings.get(finding.version)
    if finding.response != "demote" or not finding.version or (stands is not None and stands.standing == "demoted"):
        return []
    speaks = champion_of(decisions) == finding.version
    figures = {name: _words(value) for name, value in finding.figures.items()}
    figures = _bounded({"monitor": finding.monitor, **figures})
    reason = f"monitor {finding.monitor} broke its limit"
    found = [Decision(Standing(finding.at, finding.version, "demoted", reason), MONITOR, reason, figures=figures)]
    standing = decisions.standing_promotions()
    for place in range(len(standing) - 2, -1, -1) if speaks else ():
        event = standing[place].decision.event
        if isinstance(event, Promotion) and _may_return(decisions, event, finding.version, usable):
            back = Promotion(finding.at, event.version, enabled=True)
            undoes = standing[place + 1].sequence
            found.append(Decision(back, MONITOR, f"back from {finding.version}: {reason}", undoes, figures))
            break
    return found


def _may_return(decisions: Decisions, event: Promotion, bad: str, usable: Callable[[str], bool]) -> bool:
    stands = decisions.standings.get(event.version)
    good = stands is None or stands.standing == "good"
    return event.enabled and event.version not in ("", bad) and good and usable(event.version)


def review(decisions: Decisions, plan: ChangePlan) -> Review:
    """Say how things stand."""
    champion, last = champion_of(decisions), _last_promotion(decisions)
    event = None if last is None else last.decision.event
    shadow = event.version if isinstance(event, Promotion) and event.version and not event.enabled else ""
    stands = decisions.standings.get(champion or shadow)
    steps = {one.decision.event.version: one for one in decisions.kept() if isinstance(one.decision.event, ChangeStep)}
    waiting = sorted((one for name, one in steps.items() if name != champion), key=lambda one: -one.sequence)
    return Review(
        champion,
        last.decision.at if last is not None else None,
        last.decision.who if last is not None else "",
        last.decision.reason if last is not None else "",
        stands.standing if stands is not None else "good",
        shadow,
        plan.automatic,
        tuple(_challenger(one, champion) for one in waiting[:CHALLENGERS_MAX]),
    )


def _challenger(decided: Decided, champion: str) -> Challenger:
    decision = decided.decision
    event = decision.event
    assert isinstance(event, ChangeStep), "the steps were chosen so"
    figures = decision.figures
    gates = tuple(_read_gate(name, figures[GATE + name]) for name in GATE_NAMES if GATE + name in figures)
    outside = tuple(text for name, text in sorted(figures.items()) if name.startswith(OUTSIDE))
    verdict = _VERDICTS.get(decision.reason) if event.step != "proposed" else None
    held_against = figures.get("champion", "")
    lacking = [f"{gate.name}: {gate.words}" for gate in gates if gate.state != "passed"]
    if event.step == "proposed":
        lacking.append("it was proposed, and not judged yet")
    if held_against != (champion or NEWS2_ALONE):
        lacking.append(f"it was held against {held_against}: propose it anew, with evidence beside the champion")
    elif verdict == "awaits_signature":
        lacking.append("a person: `wardstream models promote`")
    return Challenger(
        event.version,
        event.step,
        decision.at,
        event.evidence,
        held_against,
        verdict,
        outside,
        gates,
        tuple(lacking),
        {name: figures[name] for name in SHOWN if name in figures},
    )


_VERDICTS: Mapping[str, Verdict] = {
    "automatic": "automatic",
    "awaits_signature": "awaits_signature",
    "lacking": "lacking",
    "stopped": "stopped",
}
_STATES: Mapping[str, GateState] = {"passed": "passed", "lacking": "lacking", "failed": "failed"}


def _figures(judgement: Judgement) -> dict[str, str]:
    return _bounded(
        {
            "champion": judgement.champion,
            "evidence": judgement.evidence,
            **{GATE + gate.name: f"{gate.state}: {gate.words}" for gate in judgement.gates},
            **{f"{OUTSIDE}{number:02}": words for number, words in enumerate(judgement.outside, 1)},
        }
    )


def _read_gate(name: str, text: str) -> Gate:
    state, _, words = text.partition(": ")
    return Gate(name, _STATES.get(state, "failed"), words)


def _bounded(figures: Mapping[str, str]) -> dict[str, str]:
    return {name[:WORDS_MAX]: text[:WORDS_MAX] for name, text in list(figures.items())[:FIGURES_MAX]}


def _words(value: float | str | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _last_promotion(decisions: Decisions) -> Decided | None:
    standing: Sequence[Decided] = decisions.standing_promotions()
    return standing[-1] if standing else None


def _last_step(decisions: Decisions, version: str) -> Decided | None:
    for one in reversed(decisions.kept()):
        event = one.decision.event
        if isinstance(event, ChangeStep) and event.version.startswith(version) and event.step != "proposed":
            return one
    return None
