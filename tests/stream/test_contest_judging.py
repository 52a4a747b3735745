"""What follows from evidence gathered beside the champion: entered where it is news, promoted where the plan says."""

from __future__ import annotations

import msgspec
import pytest

from events import ChangeStep, Configuration, Promotion
from models.change_control import MonitorFinding, outside_envelope
from models.change_plan import ChangePlan
from models.evidence import Evidence, evidence_digest
from models.version import ModelVersion
from stream.contest_judging import SAID_AGAIN_MS, levels_of, settings_in_force, verdicts
from stream.decisions import Decision, Decisions
from stream.entrants import MADE, NAMED, Entrant, entering, entrants
from stream.libraries import libraries_digest
from stream.live.contest import Contest, evidence_on
from stream.live.example_fold import ExampleFold, Origin
from stream.live.examples import encode_example
from stream.promotion import AUTOMATIC, champion_of, pedigree_of, review
from stream.settings import Settings, configuration_hash, configuration_text
from tests.stream.live.contest_cases import CHALLENGER_AT, CHAMPION_AT, DEFINITION, calibrated, hospital, tell, version
from tests.stream.test_entrants import enter

AT = 1_790_000_000_000
CHAMPION, CLEAN = calibrated(CHAMPION_AT), calibrated(CHALLENGER_AT)
POISONED = calibrated(CHALLENGER_AT, flipped=True)
PLAN = ChangePlan(
    automatic=True, rows_min=2_000, patients_min=300, positive_patients_min=30, days_min=10, calibration_error_max=0.05,
    alerts_per_patient_day_max=3.0, flips_max=0.5, slope_min=0.6, slope_max=1.6, subgroup_loss_max=0.5,
)  # fmt: skip
SETTINGS = msgspec.structs.replace(Settings(), change_control=PLAN)
LEVELS = levels_of(SETTINGS, CLEAN.version)


@pytest.fixture(scope="module")
def found() -> dict[str, Evidence]:
    """Give the evidence of one contest on a clean and a poisoned challenger."""
    at_hand = {one.version: one for one in (CLEAN, POISONED)}
    fold = Contest(DEFINITION, at_hand.get)
    fold.told(msgspec.json.encode({"challengers": list(at_hand)}))
    tell(fold, list(hospital(600, champion=CHAMPION)))
    return {
        name: evidence_on(fold.heard(name, CHAMPION.version), CHAMPION, one, LEVELS) for name, one in at_hand.items()
    }


def in_force() -> Decisions:
    """Give decisions: the champion speaks, both challengers entered."""
    decisions = Decisions()
    enter(decisions, Promotion(AT - 30 * SAID_AGAIN_MS, CHAMPION.version, enabled=True))
    for one in (CLEAN, POISONED):
        enter(decisions, entering(decisions, one.version, AT - 20 * SAID_AGAIN_MS, by=MADE, reason="made"))
    return decisions


def judged(
    decisions: Decisions, evidence: Evidence, challenger: ModelVersion, at: int = AT, **named: object
) -> list[Decision]:
    """Judge, and let it stand."""
    settings = named.pop("settings", SETTINGS)
    one = Entrant(challenger.version, MADE)
    each = verdicts(decisions, evidence, CHAMPION, challenger, settings, entrant=one, at=at, **named)  # type: ignore[arg-type]
    for decision in each:
        enter(decisions, decision)
    return each


def test_a_clean_challenger_goes_into_force_by_itself(found: dict[str, Evidence]) -> None:
    """Judged, then promoted, both by change control, with what each gate said and the evidence's digest."""
    decisions = in_force()
    step, promotion = judged(decisions, found[CLEAN.version], CLEAN)
    assert isinstance(step.event, ChangeStep)
    assert (step.event.step, step.reason, step.who) == ("passed", "automatic", AUTOMATIC)
    assert step.event.evidence == evidence_digest(found[CLEAN.version])
    assert champion_of(decisions) == CLEAN.version
    assert promotion.figures["gate.unlearned"].startswith("passed")
    assert CLEAN.version not in [one.version for one in entrants(decisions, lambda _version: True)]


def test_a_poisoned_challenger_is_stopped(found: dict[str, Evidence]) -> None:
    """Nothing is promoted, and the review says by what it was stopped, on how many rows, and how the two compare."""
    decisions = in_force()
    [step] = judged(decisions, found[POISONED.version], POISONED, left_out="7 unanswered")
    assert (step.reason, step.figures["left out"]) == ("stopped", "7 unanswered")
    assert champion_of(decisions) == CHAMPION.version
    assert step.figures["rows"] == str(found[POISONED.version].rows)
    assert step.figures["auroc"].count("-") >= 3
    [shown] = [one for one in review(decisions, PLAN).challengers if one.version == POISONED.version]
    assert {gate.name for gate in shown.gates if gate.state == "failed"} >= {"discrimination", "calibration"}


def test_without_the_plan_it_awaits_a_person(found: dict[str, Evidence]) -> None:
    """Every gate passed, and nobody put it in force."""
    decisions = in_force()
    settings = msgspec.structs.replace(SETTINGS, change_control=msgspec.structs.replace(PLAN, automatic=False))
    [step] = judged(decisions, found[CLEAN.version], CLEAN, settings=settings)
    assert step.reason == "awaits_signature"
    assert champion_of(decisions) == CHAMPION.version


def test_a_verdict_that_stays_is_entered_once_a_day(found: dict[str, Evidence]) -> None:
    """And at once where it changes."""
    decisions, evidence = in_force(), found[POISONED.version]
    assert len(judged(decisions, evidence, POISONED)) == 1
    assert judged(decisions, evidence, POISONED, AT + 1) == []
    assert judged(decisions, evidence, POISONED, AT + SAID_AGAIN_MS - 1) == []
    assert len(judged(decisions, evidence, POISONED, AT + SAID_AGAIN_MS)) == 1
    more = msgspec.structs.replace(PLAN, rows_min=999_999)
    settings = msgspec.structs.replace(SETTINGS, change_control=more)
    lacking = in_force()
    assert [one.reason for one in judged(lacking, found[CLEAN.version], CLEAN, settings=settings)] == ["lacking"]
    assert judged(lacking, found[CLEAN.version], CLEAN, AT + 1)[0].reason == "automatic"


def test_a_promotion_that_did_not_come_to_stand_is_entered_later(found: dict[str, Evidence]) -> None:
    """A process that was killed between the two goes on with the second."""
    decisions, evidence = in_force(), found[CLEAN.version]
    one = Entrant(CLEAN.version, MADE)
    step, _promotion = verdicts(decisions, evidence, CHAMPION, CLEAN, SETTINGS, entrant=one, at=AT)
    enter(decisions, step)
    [promotion] = judged(decisions, evidence, CLEAN, AT + 1)
    assert isinstance(promotion.event, Promotion)


def test_a_rollback_is_not_undone(found: dict[str, Evidence]) -> None:
    """A person went back from it: with the same evidence it is stopped, however often it is judged."""
    decisions, evidence = in_force(), found[CLEAN.version]
    judged(decisions, evidence, CLEAN)
    back = Promotion(AT + 5, CHAMPION.version, enabled=True)
    enter(decisions, Decision(back, "safety-officer", "worse", undoes=decisions.newest))
    assert champion_of(decisions) == CHAMPION.version
    for days in (1, 8, 40):
        for one in judged(decisions, evidence, CLEAN, AT + days * SAID_AGAIN_MS):
            assert one.reason == "stopped"
            assert "rolled back before" in one.figures["gate.monitors"]
    assert champion_of(decisions) == CHAMPION.version


def test_an_alarm_holds_it_back(found: dict[str, Evidence]) -> None:
    """A monitor's finding on the data stops what would have passed; when it is over, it goes through."""
    decisions, evidence = in_force(), found[CLEAN.version]
    alarm = MonitorFinding(monitor="label rate", version="", response="hold_promotion", at=AT)
    [step] = judged(decisions, evidence, CLEAN, findings=(alarm,))
    assert step.reason == "stopped"
    assert len(judged(decisions, evidence, CLEAN, AT + 1)) == 2


def test_evidence_of_another_time_decides_nothing(found: dict[str, Evidence]) -> None:
    """Another champion by now, other levels by now, or it is in force by now: it is weighed anew instead."""
    evidence = found[CLEAN.version]
    other = in_force()
    enter(other, Promotion(AT, version(CHAMPION_AT).version, enabled=True))
    assert judged(other, evidence, CLEAN) == []
    elsewhere = msgspec.structs.replace(evidence, raise_at=0.9)
    assert judged(in_force(), elsewhere, CLEAN) == []
    there = in_force()
    enter(there, Promotion(AT, CLEAN.version, enabled=True))
    assert judged(there, evidence, CLEAN) == []


def test_the_plan_is_the_one_decided_last() -> None:
    """Not the one that the process was started with."""
    decisions = in_force()
    assert settings_in_force(decisions, SETTINGS) == SETTINGS
    enter(decisions, Configuration(AT, configuration_hash(Settings()), configuration_text(Settings())))
    assert settings_in_force(decisions, SETTINGS).change_control == ChangePlan()


def test_named_by_a_person_it_stays_so(found: dict[str, Evidence]) -> None:
    """A verdict carries by whose word it takes part, so that its place is kept."""
    decisions = in_force()
    one = Entrant(POISONED.version, NAMED)
    [step] = verdicts(decisions, found[POISONED.version], CHAMPION, POISONED, SETTINGS, entrant=one, at=AT)
    enter(decisions, step)
    assert entrants(decisions, lambda _version: True)[1] == Entrant(POISONED.version, NAMED, stopped=True)


def test_two_candidates_of_one_learner_differ_in_nothing_but_their_weights() -> None:
    """What the live learner freezes says all that the envelope asks, so one may follow the other by itself."""
    fold, made = ExampleFold(DEFINITION, "crossed-logistic"), []
    origin = Origin("0.test", "c0ffee", "sha256:0", libraries_digest())
    for offset, one in enumerate(hospital(300)):
        fold.take(offset, encode_example(one))
        if offset in (1_400, 2_300):
            made.append(fold.candidate(origin))
    older, newer = made
    assert older.version != newer.version
    assert outside_envelope(pedigree_of(older), pedigree_of(newer)) == ()
    assert outside_envelope(pedigree_of(newer), pedigree_of(older)) != ()
