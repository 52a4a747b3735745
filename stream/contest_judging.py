"""What follows from evidence that was gathered beside the champion: the decisions, and whether they are news.

Owns judging a challenger of the contest by the plan in force, as pure functions over the decisions that stand. Must
not know how a gate judges, how evidence is gathered, or how a decision is written. It gives what a person's
`models propose` would give of the same evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from events import MILLIS_PER_DAY, ChangeStep, Millis
from models.change_control import Judgement, MonitorFinding, judge
from models.evidence import Evidence
from models.version import ModelVersion
from models.weighing import NEWS2_ALONE, Levels
from stream.decisions import Decided, Decision, Decisions
from stream.entrants import CONTEST, Entrant
from stream.promotion import AUTOMATIC, alarms, champion_of, judged, pedigree_of, promotion
from stream.settings import Settings

SAID_AGAIN_MS = MILLIS_PER_DAY
"""A verdict that stays what it was is entered once in this time, with the figures of then."""


def settings_in_force(decisions: Decisions, begun_with: Settings) -> Settings:
    """Give the configuration decided last, or the one that the service was started with."""
    return begun_with if decisions.settings is None else decisions.settings


def levels_of(settings: Settings, version: str) -> Levels:
    """Give the levels at which wards would be told by a version."""
    return Levels(*settings.guardrails.thresholds_of("", version))


def verdicts(
    decisions: Decisions,
    evidence: Evidence,
    champion: ModelVersion | None,
    challenger: ModelVersion,
    settings: Settings,
    *,
    entrant: Entrant,
    findings: Sequence[MonitorFinding] = (),
    left_out: str = "",
    at: Millis,
) -> list[Decision]:
    """Give what is to be entered: what the gates say, where it is news, and a promotion where the plan lets it be.

    Nothing where the evidence is of another time: another champion is in force by now, other levels are declared, or
    the challenger is out of the contest. `left_out` says, in words, which rows are not in the evidence.
    """
    name = challenger.version
    beside = NEWS2_ALONE if champion is None else champion.version
    levels = levels_of(settings, name)
    fits = (evidence.raise_at, evidence.clear_at) == (levels.raise_at, levels.clear_at)
    if not fits or beside != (champion_of(decisions) or NEWS2_ALONE) or name == champion_of(decisions):
        return []
    plan = settings.change_control
    pedigree = None if champion is None else pedigree_of(champion)
    against = (*findings, *alarms(decisions, plan, name, at))
    judgement = judge(plan, evidence, pedigree, pedigree_of(challenger), against)
    figures = {CONTEST: entrant.by, **_figures(evidence), **({"left out": left_out} if left_out else {})}
    step = judged(judgement, at)
    step = msgspec.structs.replace(step, figures={**step.figures, **figures})
    found = [step] if _is_news(decisions, judgement, at) else []
    return [*found, promotion(judgement, decisions, at)] if judgement.verdict == "automatic" else found


def _is_news(decisions: Decisions, judgement: Judgement, at: Millis) -> bool:
    last = _last_verdict(decisions, judgement.challenger)
    if last is None or last.decision.reason != judgement.verdict:
        return True
    return last.decision.figures.get("champion") != judgement.champion or at - last.decision.at >= SAID_AGAIN_MS


def _last_verdict(decisions: Decisions, version: str) -> Decided | None:
    """Give what the gates said last of a version of the contest."""
    for one in reversed(decisions.kept()):
        event = one.decision.event
        if isinstance(event, ChangeStep) and event.version == version:
            judged_here = event.step != "proposed" and one.decision.who == AUTOMATIC and CONTEST in one.decision.figures
            return one if judged_here else None
    return None


def _figures(evidence: Evidence) -> dict[str, str]:
    """Give what a reviewer asks first: on how much it rests, and how the two compare."""
    auroc = evidence.auroc
    return {
        "rows": str(evidence.rows),
        "positives": str(evidence.positives),
        "patients": str(evidence.patients),
        "days": f"{evidence.days:.1f}",
        "auroc": f"{auroc.challenger:.3f}, {auroc.difference:+.3f} ({auroc.low:+.3f} to {auroc.high:+.3f})",
        "data": evidence.data_digest,
    }
