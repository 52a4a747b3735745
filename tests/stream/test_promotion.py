"""Change control over one service, as decisions: proposing, judging, promoting by itself, going back by itself."""

from __future__ import annotations

import msgspec
import pytest

from events import ChangeStep, Event, KillSwitch, Promotion, Standing
from models.change_control import GATE_NAMES, Judgement, MonitorFinding, Pedigree, judge
from models.change_plan import ChangePlan
from models.evidence import Evidence
from stream.decisions import Decision, Decisions, decode_decision, encode_decision
from stream.promotion import (
    AUTOMATIC,
    MONITOR,
    alarms,
    champion_of,
    demotion,
    grounds,
    judged,
    pedigree_of,
    promotion,
    proposed,
    review,
)
from stream.versions import load_versions
from tests.models.change_cases import CHALLENGER, CHAMPION, START, cohort, pedigree, weighed

FORMER, FIRST = "c" * 12, "d" * 12
PLAN = ChangePlan(automatic=True)
DAY = 86_400_000


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Give the evidence on a challenger that is a little better."""
    return weighed(cohort(patients=900))


def decided(*each: Event | Decision) -> Decisions:
    """Give decisions as they stand on a log, with a chain."""
    found = Decisions()
    for one in each:
        decision = one if isinstance(one, Decision) else Decision(one, "safety-officer", "reviewed")  # type: ignore[arg-type]
        enter(found, decision)
    return found


def enter(decisions: Decisions, decision: Decision) -> None:
    """Write one more."""
    decision = msgspec.structs.replace(decision, previous=decisions.chain.tips)
    assert decisions.take(decisions.newest, encode_decision(decision), decision.at) is not None


def speaks(version: str, at: int = START) -> Promotion:
    """Give a promotion that lets a version speak."""
    return Promotion(at, version, enabled=True)


def broke(version: str, **figures: float) -> MonitorFinding:
    """Give what a monitor says of a version whose limit is broken."""
    return MonitorFinding(
        monitor="calibration", version=version, response="demote", at=START + DAY, figures=dict(figures)
    )


def judgement(evidence: Evidence, decisions: Decisions, plan: ChangePlan = PLAN, **changed: object) -> Judgement:
    """Judge the challenger as the command does."""
    made: Pedigree = pedigree(**changed)  # type: ignore[arg-type]
    found = alarms(decisions, plan, CHALLENGER, START + 30 * DAY)
    return judge(plan, evidence, pedigree(CHAMPION), made, found)


def test_what_a_monitor_breaks_goes_back_to_the_former_champion() -> None:
    """The version is demoted, the former champion speaks, and both records hold the monitor's figures."""
    decisions = decided(speaks(FORMER), speaks(CHAMPION))
    down, back = demotion(decisions, broke(CHAMPION, slope=0.5), lambda _version: True)
    assert down.event == Standing(START + DAY, CHAMPION, "demoted", "monitor calibration broke its limit")
    assert (down.who, down.figures) == (MONITOR, {"monitor": "calibration", "slope": "0.5"})
    enter(decisions, down)
    assert champion_of(decisions) == ""
    enter(decisions, back)
    assert champion_of(decisions) == FORMER
    assert back.figures == down.figures


@pytest.mark.parametrize(
    ("before", "usable"),
    [
        ((speaks(CHAMPION),), True),
        ((speaks(FORMER), speaks(CHAMPION)), False),
        ((speaks(FORMER), Standing(START, FORMER, "demoted"), speaks(CHAMPION)), True),
        ((speaks(FORMER), Standing(START, FORMER, "held"), speaks(CHAMPION)), True),
        ((Promotion(START, FORMER, enabled=False), speaks(CHAMPION)), True),
        ((speaks(CHAMPION), speaks(CHAMPION)), True),
    ],
)
def test_with_nothing_to_go_back_to_news2_is_alone(before: tuple[Event, ...], usable: bool) -> None:  # noqa: FBT001
    """None before it, not at hand, not in good standing, only in shadow, or itself: NEWS2 alone."""
    decisions = decided(*before)
    [down] = demotion(decisions, broke(CHAMPION), lambda _version: usable)
    enter(decisions, down)
    assert champion_of(decisions) == ""


def test_it_goes_past_one_that_may_not_return() -> None:
    """A held version in between is passed over; the next rollback of a person goes on from there."""
    decisions = decided(speaks(FIRST), speaks(FORMER), Standing(START, FORMER, "held"), speaks(CHAMPION))
    for one in demotion(decisions, broke(CHAMPION), lambda _version: True):
        enter(decisions, one)
    assert champion_of(decisions) == FIRST
    assert len(decisions.standing_promotions()) == 1


def test_a_version_is_taken_out_once_and_no_other_is_touched() -> None:
    """A second word of the same alarm decides nothing; one that is not in force is demoted, and the champion speaks."""
    decisions = decided(speaks(FORMER), speaks(CHAMPION))
    [down] = demotion(decisions, broke(CHALLENGER), lambda _version: True)
    enter(decisions, down)
    assert champion_of(decisions) == CHAMPION
    assert demotion(decisions, broke(CHALLENGER), lambda _version: True) == []
    mild = msgspec.structs.replace(broke(CHAMPION), response="hold_promotion")
    assert demotion(decisions, mild, lambda _version: True) == []


def test_a_challenger_goes_from_proposed_to_champion_and_every_step_is_kept(evidence: Evidence) -> None:
    """Proposed, judged, promoted by itself: three records of one chain, with the numbers, and a review that follows."""
    decisions = decided(speaks(CHAMPION))
    enter(decisions, proposed(evidence, START + DAY, "data-scientist", "weekly"))
    waiting = review(decisions, PLAN).challengers[0]
    assert (waiting.step, waiting.lacking) == ("proposed", ("it was proposed, and not judged yet",))
    found = judgement(evidence, decisions)
    enter(decisions, judged(found, START + DAY))
    waiting = review(decisions, PLAN).challengers[0]
    assert (waiting.verdict, tuple(gate.name for gate in waiting.gates)) == ("automatic", GATE_NAMES)
    assert waiting.gates == found.gates
    enter(decisions, promotion(found, decisions, START + DAY))
    assert champion_of(decisions) == CHALLENGER
    assert review(decisions, PLAN).promoted_by == AUTOMATIC
    assert review(decisions, PLAN).challengers == ()
    steps = [one.decision.event.step for one in decisions.kept() if isinstance(one.decision.event, ChangeStep)]
    assert steps == ["proposed", "passed"]
    assert decisions.chain.faults == ()


def test_what_awaits_a_person_says_so(evidence: Evidence) -> None:
    """Outside the envelope, or where nothing goes by itself, the review names who is missing."""
    for plan, changed in ((ChangePlan(), {}), (PLAN, {"code_commit": "other"})):
        decisions = decided(speaks(CHAMPION))
        enter(decisions, judged(judgement(evidence, decisions, plan, **changed), START))
        waiting = review(decisions, plan).challengers[0]
        assert waiting.verdict == "awaits_signature"
        assert waiting.lacking[-1].startswith("a person")
        assert bool(waiting.outside) == bool(changed)


def test_nothing_is_promoted_by_itself_that_the_judgement_does_not_allow_now(evidence: Evidence) -> None:
    """Not what awaits a person, and not what was held against another champion than the one in force by now."""
    decisions = decided(speaks(CHAMPION))
    with pytest.raises(ValueError, match="does not let"):
        promotion(judgement(evidence, decisions, ChangePlan()), decisions, START)
    allowed = judgement(evidence, decisions)
    enter(decisions, Decision(speaks(FORMER), "safety-officer"))
    with pytest.raises(ValueError, match="another version"):
        promotion(allowed, decisions, START)


@pytest.mark.parametrize(
    "before",
    [
        (speaks(CHAMPION), KillSwitch(START, engaged=True)),
        (speaks(CHAMPION), Standing(START, CHALLENGER, "held")),
        (speaks(CHAMPION), Standing(START, CHALLENGER, "demoted")),
        (speaks(CHAMPION), speaks(CHALLENGER), Decision(speaks(CHAMPION), "duty-manager", "worse", undoes=2)),
        (Decision(speaks(CHAMPION, START + 25 * DAY), AUTOMATIC),),
    ],
)
def test_what_was_decided_holds_a_promotion(evidence: Evidence, before: tuple[Event | Decision, ...]) -> None:
    """Kill switch engaged, version held or demoted or rolled back before, or one promoted by itself days ago."""
    found = judgement(evidence, decided(*before))
    assert found.verdict == "stopped"
    assert [gate.name for gate in found.gates if gate.state == "failed"] == ["monitors"]
    lifting: dict[type, Event] = {
        KillSwitch: KillSwitch(START, engaged=False),
        Standing: Standing(START, CHALLENGER, "good"),
    }
    lifted = lifting.get(type(before[-1]))
    if lifted is not None:
        assert judgement(evidence, decided(*before, lifted)).verdict == "automatic"


def test_a_persons_promotion_says_what_the_gates_said(evidence: Evidence) -> None:
    """The record of a promotion names the last judgement, also where the gates stopped it or never saw it."""
    decisions = decided(speaks(CHAMPION))
    assert grounds(decisions, CHALLENGER) == {"gates": "never judged"}
    stopped = judgement(msgspec.structs.replace(evidence, flips=0.5), decisions)
    enter(decisions, judged(stopped, START))
    assert grounds(decisions, CHALLENGER[:4]) == {"gates": "failed", "evidence": stopped.evidence}


def test_decisions_with_figures_keep_the_bytes_of_those_without() -> None:
    """A decision of an earlier release is written as it was; figures and chain come beside."""
    old = b'{"event":{"enabled":true,"event_time":1,"type":"promotion","version":"v"},"who":"role:x"}'
    assert encode_decision(decode_decision(old)) == old


def test_the_pedigree_of_the_version_that_ships_is_unknown_in_part() -> None:
    """Its lineage names no digest of its data: it could be promoted by a person alone."""
    [shipped] = load_versions()[0].values()
    found = pedigree_of(shipped)
    assert (found.version, found.kind, found.horizon_h) == (shipped.version, "logistic", shipped.horizon_h)
    assert found.data_digest == ""


@pytest.mark.parametrize("how", ["taken back by a monitor", "followed by a person's"])
def test_days_between_count_from_the_last_unsigned_promotion_whatever_followed(evidence: Evidence, how: str) -> None:
    """One that a monitor took back the same day is no reason to try the next one at once."""
    unsigned = Decision(speaks(FIRST, START + 29 * DAY), AUTOMATIC, "every gate passed")
    decisions = decided(speaks(CHAMPION), unsigned)
    if how.startswith("taken"):
        for one in demotion(decisions, broke(FIRST), lambda _version: True):
            enter(decisions, one)
    else:
        enter(decisions, Decision(speaks(CHAMPION, START + 29 * DAY + 1), "safety-officer"))
    assert champion_of(decisions) == CHAMPION
    found = judgement(evidence, decisions)
    assert found.verdict == "stopped"
    assert "promoted by itself 1.0 days ago" in found.gates[-1].words
