"""What a broken limit comes to: once, of the version that is asked, and completed where a crash cut it off."""

from __future__ import annotations

import pytest

from events import Millis, Promotion, Standing
from models.change_control import MonitorFinding, Response
from stream.decisions import Decision, Decisions, encode_decision
from stream.live.responding import COMPLETED_WITHIN_MS, responses, restored_by
from stream.promotion import MONITOR, asked_version, champion_of
from tests.stream.signed_cases import MACHINE_KEY, OFFICER_KEY, Log

FORMER, CHAMPION = "0123456789ab", "4f1c02aa91be"
AT = 1_800_000_000_000


def take(decisions: Decisions, *made: Decision) -> Decisions:
    """Let decisions stand."""
    for one in made:
        decisions.take(decisions.newest, encode_decision(one), one.at)
    return decisions


@pytest.fixture
def decisions() -> Decisions:
    """Give a service with a former champion and one in force."""
    promoted = (Decision(Promotion(at, name, enabled=True), "chief") for at, name in ((1, FORMER), (2, CHAMPION)))
    return take(Decisions(), *promoted)


def finding(version: str = CHAMPION, response: Response = "demote", at: Millis = 100) -> MonitorFinding:
    """Give what a monitor found."""
    figures: dict[str, float | int | str | None] = {"subject": "all", "level": "serious", "observed": 40}
    return MonitorFinding(monitor="calibration", version=version, response=response, at=at, figures=figures)


def due(decisions: Decisions, *found: MonitorFinding, at: Millis = AT, usable: bool = True) -> list[Decision]:
    """Ask what is to be entered."""
    return responses(decisions, found, lambda _version: usable, at)


def test_it_is_demoted_and_the_former_one_comes_back(decisions: Decisions) -> None:
    """By the monitor, now, with its figures and since when it stood; and then there is nothing more to do."""
    made = due(decisions, finding())
    assert [type(one.event) for one in made] == [Standing, Promotion]
    assert {(one.who, one.at) for one in made} == {(MONITOR, AT)}
    assert made[0].figures == {
        "monitor": "calibration", "since": "1970-01-01T00:00:00.100Z", "subject": "all", "level": "serious",
        "observed": "40",
    }  # fmt: skip
    take(decisions, *made)
    assert champion_of(decisions) == FORMER
    assert due(decisions, finding(), at=AT + 1_000) == []


@pytest.mark.parametrize("at", [AT + 1_000, AT + COMPLETED_WITHIN_MS])
def test_what_a_crash_cut_off_is_completed(decisions: Decisions, at: Millis) -> None:
    """Demoted, and the process died: the next one brings the former champion back as that one would have."""
    first, second = due(decisions, finding())
    take(decisions, first)
    [completed] = due(decisions, finding(), at=at)
    assert completed.event == Promotion(at, FORMER, enabled=True)
    assert (completed.undoes, completed.figures, completed.who) == (second.undoes, second.figures, MONITOR)
    take(decisions, completed)
    assert champion_of(decisions) == FORMER
    assert due(decisions, finding(), at=at) == []


def test_what_is_older_or_was_answered_is_a_person_s(decisions: Decisions) -> None:
    """Nothing is completed long after, nor where somebody has decided since, nor of what a person demoted."""
    first, _ = due(decisions, finding())
    take(decisions, first)
    assert due(decisions, at=AT + COMPLETED_WITHIN_MS + 1) == []
    take(decisions, Decision(Promotion(AT, "", enabled=False), "chief"))
    assert due(decisions, at=AT) == []
    by_hand = take(Decisions(), Decision(Promotion(1, FORMER, enabled=True), "chief"))
    take(by_hand, Decision(Promotion(2, CHAMPION, enabled=True), "chief"))
    take(by_hand, Decision(Standing(AT, CHAMPION, "demoted", ""), "chief"))
    assert due(by_hand, at=AT) == []


def test_an_unsigned_demotion_in_the_monitor_s_name_brings_no_former_champion_back() -> None:
    """It silences, as anybody may; our key does not sign the promotion that would follow. Our own is completed."""
    for key, completed in ((None, []), (MACHINE_KEY, [FORMER])):
        log = Log()
        for name in (FORMER, CHAMPION):
            assert log.decide(Promotion(AT, name, enabled=True), OFFICER_KEY)
        assert log.put(log.made(due(log.decisions, finding())[0], key))
        assert champion_of(log.decisions) == ""
        made = due(log.decisions, at=AT + 1_000)
        assert [getattr(one.event, "version", "") for one in made] == completed


def test_where_no_former_one_is_at_hand_news2_is_alone(decisions: Decisions) -> None:
    """It is demoted all the same, and asked again there is nothing to do."""
    [only] = due(decisions, finding(), usable=False)
    take(decisions, only)
    assert asked_version(decisions) == champion_of(decisions) == ""
    assert due(decisions, finding(), usable=False) == []


@pytest.mark.parametrize(
    "found", [finding(FORMER), finding(""), finding(response="hold_promotion"), finding(response="annotate")]
)
def test_old_news_and_milder_ones_decide_nothing(decisions: Decisions, found: MonitorFinding) -> None:
    """A version that is not asked any more is not demoted for what it once said."""
    assert due(decisions, found) == []


def test_who_restores_a_version_has_seen_what_stood(decisions: Decisions) -> None:
    """A finding from before does not demote it again at once; one that began after does."""
    take(decisions, *due(decisions, finding()))
    take(decisions, Decision(Standing(AT + 5, CHAMPION, "good", "mended"), "chief"))
    take(decisions, Decision(Promotion(AT + 6, CHAMPION, enabled=True), "chief"))
    assert restored_by(decisions, CHAMPION) == 5
    assert restored_by(decisions, FORMER) == 0
    assert due(decisions, finding(at=AT + 5), at=AT + 9) == []
    assert [type(one.event) for one in due(decisions, finding(at=AT + 7), at=AT + 9)] == [Standing, Promotion]


def test_a_version_in_shadow_is_taken_out_too(decisions: Decisions) -> None:
    """It is asked in the champion's place, though nobody is told what it says."""
    shadow = "aaaaaaaaaaaa"
    take(decisions, Decision(Promotion(3, shadow, enabled=False), "chief"))
    assert asked_version(decisions) == shadow
    [only] = due(decisions, finding(shadow))
    assert only.event == Standing(AT, shadow, "demoted", "monitor calibration broke its limit")
