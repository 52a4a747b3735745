"""The alert book: raise, update, answer, end; for the floor and for the model."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.book import AlertBook, UnreadableBookError
from alerts.contract import AlertEvent, Evidence
from alerts.model_channel import HISTORY_WHOLE_MS
from events import Acknowledgement, Location
from features.intake import Intake
from guardrails.verdict import Verdict
from models.news2 import PARAMETERS

HOUR, MINUTE = 3_600_000, 60_000
ALL = frozenset(range(1, 8))
"""Every reading of the bed: ids are places among the parameters."""


def spoken(events: list[AlertEvent]) -> list[tuple[str, str, str, str]]:
    return [(event.trigger, event.state, event.reason, event.disposition) for event in events]


def test_an_emergency_is_raised_with_all_a_ward_needs(bed: Any) -> None:
    """The raised event carries place, score, evidence, times and its ids."""
    (event,) = bed.score(HOUR, bed.HIGH)
    assert spoken([event]) == [("news2_floor", "raised", "band_rise", "told")]
    assert (event.priority, event.seq, event.ward, event.bed) == ("interrupt", 1, "W1", "4")
    assert event.news2 is not None
    assert (event.news2.total, event.news2.respiration_rate) == (7, 3)
    assert {"respiration_rate", "spo2", "heart_rate"} <= {item.feature for item in event.evidence}
    assert all(item.unit and item.message_id == "m1" for item in event.evidence)
    assert event.expires_at == HOUR + bed.alerts.expire_ms
    assert event.probability is None


def test_a_steady_emergency_is_told_once(bed: Any) -> None:
    """Ten unchanged scorings after an emergency say nothing."""
    bed.score(0, bed.HIGH)
    assert [bed.score(minute * MINUTE, bed.HIGH) for minute in range(1, 11)] == [[]] * 10


def test_a_band_told_again_after_resolution_is_a_new_alert_of_the_same_episode(bed: Any) -> None:
    """Resolve, then rise again soon: another alert id, the same episode id; much later: another episode."""
    (first,) = bed.score(0, bed.HIGH)
    bed.score(HOUR, bed.WELL)
    assert spoken(bed.score(2 * HOUR, bed.WELL)) == [("news2_floor", "resolved", "calm", "told")]
    (second,) = bed.score(3 * HOUR, bed.HIGH)
    assert second.alert_id != first.alert_id
    assert second.episode_id == first.episode_id
    bed.score(4 * HOUR, bed.WELL)
    bed.score(5 * HOUR, bed.WELL)
    (third,) = bed.score(48 * HOUR, bed.HIGH)
    assert third.episode_id != first.episode_id


def test_an_expired_input_updates_and_does_not_resolve(bed: Any) -> None:
    """The input that made the alert goes missing: told, not lowered, never resolved by silence."""
    bed.score(0, bed.HIGH)
    gone = (None, 2, 2, 0, 0, 0, 0)
    (event,) = bed.score(HOUR, gone)
    assert (event.state, event.reason, event.parameters) == ("updated", "input_expired", ("respiration_rate",))
    assert event.news2 is not None
    assert event.news2.missing == ("respiration_rate",)
    nothing_left = (None, 0, 0, 0, 0, 0, 0)
    later = [event for hour in range(2, 10) for event in bed.score(hour * HOUR, nothing_left)]
    assert "resolved" not in {event.state for event in later}
    assert bed.book.floor.open is not None


def test_an_alert_that_rests_on_nothing_fresh_expires(bed: Any) -> None:
    """Carried points keep an alert open only until its expiry; then it says so and is over."""
    bed.score(0, bed.HIGH)
    for hour in range(1, 14):
        bed.score(hour * HOUR, (None, 0, 0, 0, 0, 0, 0))
    assert spoken(bed.said)[-1] == ("news2_floor", "expired", "no_fresh_evidence", "told")
    assert bed.book.idle


def test_an_unanswered_alert_escalates_at_its_priority_time(bed: Any) -> None:
    """An interrupt escalates after a quarter of an hour, once; an answered one does not."""
    bed.score(0, bed.HIGH)
    assert bed.book.next_deadline == 15 * MINUTE
    assert bed.keep(bed.book.tick(15 * MINUTE - 1)) == []
    assert spoken(bed.keep(bed.book.tick(15 * MINUTE))) == [("news2_floor", "escalated", "unanswered", "told")]
    assert bed.keep(bed.book.tick(30 * MINUTE)) == []


def test_an_acknowledged_alert_waits_no_more_until_it_rises(bed: Any) -> None:
    """An acknowledgement stops the clock; a rise to the next band starts it again."""
    (raised,) = bed.score(0, bed.MEDIUM)
    answer = Acknowledgement(MINUTE, raised.alert_id, "nurse")
    (taken,) = bed.keep(bed.book.acknowledge(answer, MINUTE))
    assert (taken.state, taken.actor, taken.seq) == ("acknowledged", "nurse", 2)
    assert bed.keep(bed.book.acknowledge(answer, 2 * MINUTE)) == []
    assert bed.keep(bed.book.tick(2 * HOUR)) == []
    bed.score(2 * HOUR, bed.HIGH)
    assert spoken(bed.keep(bed.book.tick(2 * HOUR + 15 * MINUTE)))[0][1] == "escalated"


def test_a_rise_must_be_taken_anew(bed: Any) -> None:
    """Having taken the old band is not having taken the new: the risen alert can be acknowledged again."""
    (raised,) = bed.score(0, bed.MEDIUM)
    answer = Acknowledgement(MINUTE, raised.alert_id)
    bed.keep(bed.book.acknowledge(answer, MINUTE))
    bed.score(HOUR, bed.HIGH)
    (taken,) = bed.keep(bed.book.acknowledge(answer, HOUR))
    assert (taken.state, taken.seq) == ("acknowledged", 4)


def test_two_alerts_of_one_message_have_two_names(bed: Any) -> None:
    """Raised, retracted and raised again by one and the same envelope: two alert ids in one episode."""
    (first,) = bed.score(0, bed.HIGH, envelope_id="e")
    bed.keep(bed.book.correct_floor(0, now=bed.news2(bed.HIGH), then=bed.news2(bed.WELL), changed=ALL))
    (second,) = bed.score(0, bed.HIGH, envelope_id="e")
    assert first.alert_id != second.alert_id
    assert first.episode_id == second.episode_id


def test_an_unknown_acknowledgement_says_nothing(bed: Any) -> None:
    """An acknowledgement of another alert changes nothing."""
    bed.score(0, bed.HIGH)
    assert bed.book.acknowledge(Acknowledgement(1, "another"), 1) == []


def test_a_correction_that_removes_the_ground_retracts(bed: Any) -> None:
    """NEWS2 as of the raising, by today's knowledge, is low: the alert is retracted and nothing stays carried."""
    bed.score(0, bed.HIGH)
    assert bed.book.floor_raised_at == 0
    then, now = bed.news2((0, 2, 2, 0, 0, 0, 0)), bed.news2((0, 2, 2, 0, 0, 0, 0))
    (event,) = bed.keep(bed.book.correct_floor(HOUR, now=now, then=then, changed=frozenset({1})))
    assert (event.state, event.reason, event.disposition) == ("retracted", "correction", "told")
    assert event.news2 is not None
    assert event.news2.total == 4
    assert bed.score(HOUR, (0, 2, 2, 0, 0, 0, 0)) == []


def test_a_correction_that_leaves_a_lesser_ground_says_so(bed: Any) -> None:
    """High becomes medium: one alert, updated at the lower priority, without a second word for the fall."""
    bed.score(0, bed.HIGH)
    medium = bed.news2(bed.MEDIUM)
    (event,) = bed.keep(bed.book.correct_floor(HOUR, now=medium, then=medium, changed=frozenset({1, 3})))
    assert (event.state, event.reason, event.priority) == ("updated", "correction", "notify")
    assert bed.score(HOUR, bed.MEDIUM) == []


def test_a_correction_of_something_else_says_nothing(bed: Any) -> None:
    """With the ground unchanged, then and now, a correction is silent."""
    bed.score(0, bed.HIGH)
    high = bed.news2(bed.HIGH)
    assert bed.book.correct_floor(HOUR, now=high, then=high, changed=ALL) == []


def test_after_a_retraction_what_stands_now_is_raised_anew(bed: Any) -> None:
    """The first emergency was false, the present one is true: retracted, then raised."""
    (first,) = bed.score(0, bed.HIGH)
    bed.keep(bed.book.correct_floor(HOUR, now=bed.news2(bed.HIGH), then=bed.news2(bed.WELL), changed=ALL))
    (second,) = bed.score(HOUR, bed.HIGH)
    assert second.state == "raised"
    assert second.alert_id != first.alert_id


def test_dropped_history_retracts_nothing(bed: Any) -> None:
    """A corrected temperature 39 h into an alert, of whose beginning nothing is kept any more: nothing is said."""
    bed.score(0, bed.HIGH)
    forgotten = bed.news2((None, None, None, None, None, None, 0))
    assert bed.book.correct_floor(39 * HOUR, now=bed.news2(bed.HIGH), then=forgotten, changed=frozenset({99})) == []
    # The same where the temperature was a ground: the other parameters keep the points they were raised on.
    assert bed.book.correct_floor(39 * HOUR, now=bed.news2(bed.HIGH), then=forgotten, changed=frozenset({7})) == []


def test_a_corrected_value_speaks_for_itself(bed: Any) -> None:
    """Where only hourly extremes are left of its neighbours, a corrected red value that is still red stands."""
    red: Any = (3, 0, 0, 0, 0, 0, 0)
    bed.score(0, red)
    then, ids = bed.news2(bed.WELL), frozenset({1})
    still_red = [Intake("corrected", "respiration_rate", "updated", 1, 0, 39.0)]
    assert bed.book.correct_floor(HOUR, now=bed.news2(red), then=then, changed=ids, intakes=still_red) == []
    well = [Intake("corrected", "respiration_rate", "updated", 1, 0, 16.0)]
    (event,) = bed.book.correct_floor(HOUR, now=bed.news2(red), then=then, changed=ids, intakes=well)
    assert event.state == "retracted"


def test_another_device_s_corrected_value_is_not_this_one_s(bed: Any) -> None:
    """Of two saturations of one moment the good one is corrected: the alert rests on the other, and stands."""
    red: Any = (0, 3, 0, 0, 0, 0, 0)
    bed.score(0, red)
    other = [Intake("corrected", "spo2", "updated", 50, 0, 97.0)]
    changed = bed.book.changed_by(other)
    assert bed.book.correct_floor(HOUR, now=bed.news2(red), then=bed.news2(red), changed=changed, intakes=other) == []


def test_a_correction_that_changed_nothing_says_nothing(bed: Any) -> None:
    """Without a changed id, as at a merge, the book does not look back at all."""
    bed.score(0, bed.HIGH)
    well = bed.news2(bed.WELL)
    assert bed.book.correct_floor(HOUR, now=well, then=well, changed=frozenset()) == []


def test_grounds_corrected_one_by_one_retract_in_the_end(bed: Any) -> None:
    """Two corrections, each of another reading, count together."""
    bed.score(0, bed.MEDIUM)
    partly, well = bed.news2((0, 2, 1, 0, 0, 0, 0)), bed.news2(bed.WELL)
    red = bed.news2((2, 3, 1, 0, 0, 0, 0))
    assert bed.book.correct_floor(HOUR, now=red, then=red, changed=frozenset({2})) == []
    told = bed.keep(bed.book.correct_floor(HOUR, now=well, then=well, changed=frozenset({2})))
    assert [event.state for event in told] == ["retracted"]
    assert partly.total == 3


def test_what_a_withdrawn_later_reading_added_falls_away(bed: Any) -> None:
    """A rise that rested on a reading of after the raising is taken back as an update; the alert itself stands."""
    bed.score(0, (2, 2, 1, 0, 0, 0, None))
    bed.score(HOUR, (2, 2, 1, 0, 0, 0, 2))
    without = bed.news2((2, 2, 1, 0, 0, 0, None))
    (event,) = bed.keep(bed.book.correct_floor(2 * HOUR, now=without, then=without, changed=frozenset({7})))
    assert (event.state, event.reason, event.priority) == ("updated", "correction", "notify")


def test_only_what_was_replaced_or_taken_away_counts_as_changed(bed: Any) -> None:
    """An accepted value changes no ground, nor does a replacement that was itself unusable."""
    bed.score(HOUR, bed.HIGH)
    assert bed.book.changed_by([Intake("accepted", "spo2", "", 2, HOUR, 98.0)]) == frozenset()
    assert bed.book.changed_by([Intake("quarantined", "spo2", "impossible_value", 2, HOUR, 820.0)]) == frozenset()
    assert bed.book.changed_by([Intake("withdrawn", "spo2", "", 2, HOUR, 90.0)]) == {2}
    assert bed.book.changed_by([Intake("corrected", "spo2", "", 2, HOUR, 98.0)]) == {2}


def test_after_the_patient_left_nothing_new_is_raised(bed: Any) -> None:
    """A late result that is true of the stay raises neither floor nor model for a patient who is gone."""
    assert bed.score(0, bed.HIGH, 0.9, departed=True) == []
    assert bed.score(0, bed.WELL, quarantined=PARAMETERS, departed=True) == []
    assert bed.book.idle
    assert bed.book.next_deadline is None


def test_what_is_open_goes_on_though_a_late_result_comes(bed: Any) -> None:
    """An alert raised on readings of after the discharge is updated as any other."""
    bed.score(0, bed.MEDIUM)
    assert spoken(bed.score(HOUR, bed.HIGH, departed=True)) == [("news2_floor", "updated", "band_rise", "told")]


def test_a_quarantined_input_is_told_on_the_board(bed: Any) -> None:
    """With four parameters usable a quarantined one is the board's: once, without a clock; good again, it is over."""
    (event,) = bed.score(0, (None, 0, 0, 0, 0, 0, None), quarantined=("respiration_rate",))
    assert spoken([event]) == [("news2_floor", "raised", "input_quarantined", "board")]
    assert (event.priority, event.parameters, event.probability) == ("board", ("respiration_rate",), None)
    for minute in range(1, 5):
        assert bed.score(minute * MINUTE, (None, 0, 0, 0, 0, 0, None), quarantined=("respiration_rate",)) == []
    assert bed.keep(bed.book.tick(3 * HOUR)) == []
    assert spoken(bed.score(3 * HOUR, bed.WELL)) == [("news2_floor", "resolved", "inputs_usable", "board")]
    assert bed.book.idle


def test_when_most_inputs_are_quarantined_somebody_must_look(bed: Any) -> None:
    """With fewer than four usable the ward is told, and unanswered it is escalated."""
    (event,) = bed.score(0, (0, 0, 0, 0, 0, 0, 0), quarantined=PARAMETERS[:4])
    assert spoken([event]) == [("news2_floor", "raised", "input_quarantined", "told")]
    assert event.priority == "notify"
    assert spoken(bed.keep(bed.book.tick(HOUR))) == [("news2_floor", "escalated", "unanswered", "told")]
    assert spoken(bed.score(2 * HOUR, bed.WELL)) == [("news2_floor", "resolved", "inputs_usable", "told")]


def test_further_quarantined_inputs_may_turn_the_board_s_matter_into_the_ward_s(bed: Any) -> None:
    """One parameter after another goes: each is named once, and below four usable it is told aloud."""
    said = [
        spoken(bed.score(number * MINUTE, bed.WELL, quarantined=PARAMETERS[:number])) for number in (1, 2, 3, 4, 5, 5)
    ]
    update = ("news2_floor", "updated", "input_quarantined")
    assert said == [
        [("news2_floor", "raised", "input_quarantined", "board")],
        [(*update, "board")],
        [(*update, "board")],
        [(*update, "told")],
        [(*update, "board")],
        [],
    ]


def test_a_flickering_input_is_told_aloud_once_an_episode(bed: Any) -> None:
    """Quarantined, good, quarantined again within the episode: the second time is the board's."""
    few: Any = (0, 0, None, None, None, None, None)
    for minute in (0, 2, 4):
        bed.score(minute * MINUTE, few, quarantined=("spo2",))
        bed.score((minute + 1) * MINUTE, few)
    raised = [event.disposition for event in bed.said if event.state == "raised"]
    assert raised == ["told", "board", "board"]
    assert len({event.episode_id for event in bed.said}) == 1


def test_an_emergency_among_quarantined_inputs_is_told_as_one(bed: Any) -> None:
    """A rank within a watch is news at its own priority, escalates, and is held against its own grounds."""
    watched = ("temperature",)
    bed.score(0, (0, 0, 0, 0, 0, 0, None), quarantined=watched)
    high = (3, 2, 2, 0, 0, 0, None)
    (event,) = bed.score(HOUR, high, quarantined=watched)
    assert spoken([event]) == [("news2_floor", "updated", "band_rise", "told")]
    assert event.priority == "interrupt"
    assert bed.book.floor_raised_at == HOUR
    assert spoken(bed.keep(bed.book.tick(HOUR + 15 * MINUTE)))[0][1] == "escalated"
    well = bed.news2((0, 0, 0, 0, 0, 0, None))
    (gone,) = bed.keep(bed.book.correct_floor(2 * HOUR, now=well, then=well, changed=frozenset({1, 2, 3})))
    assert gone.state == "retracted"


def test_a_quarantined_value_that_is_withdrawn_is_taken_back(bed: Any) -> None:
    """With the doubtful value withdrawn and no other in its place, the matter is retracted, not resolved."""
    bed.score(0, (None, 0, 0, 0, 0, 0, 0), quarantined=("respiration_rate",))
    without = bed.news2((None, 0, 0, 0, 0, 0, 0))
    (event,) = bed.keep(bed.book.correct_floor(HOUR, now=without, then=without, changed=frozenset({99})))
    assert (event.state, event.reason, event.disposition) == ("retracted", "correction", "board")


def test_a_lasting_quarantine_ends_by_time_and_is_told_anew_by_new_values_only(bed: Any) -> None:
    """After 13 h it expires; the same moment raises nothing, so that no timer runs for ever; the next envelope does."""
    bed.score(0, bed.WELL, quarantined=PARAMETERS)
    assert spoken(bed.score(13 * HOUR, bed.WELL, quarantined=PARAMETERS)) == [
        ("news2_floor", "expired", "no_fresh_evidence", "told")
    ]
    assert bed.book.next_deadline is None
    assert spoken(bed.score(14 * HOUR, bed.WELL, quarantined=PARAMETERS))[0][:3] == (
        "news2_floor",
        "raised",
        "input_quarantined",
    )


def test_an_input_that_expires_without_an_episode_raises_nothing(bed: Any) -> None:
    """Where nothing is open a value past its age is missing on the board, and no alert."""
    bed.score(0, bed.WELL)
    assert bed.score(13 * HOUR, (None, None, 0, 0, 0, 0, 0)) == []


def test_a_still_moment_knows_of_quarantined_inputs(bed: Any) -> None:
    """A moment with a quarantined input is not one in which there is nothing to say."""
    below = (Verdict("threshold", "suppress", "below_threshold"),)
    assert bed.book.is_still(bed.news2(bed.WELL), below)
    assert not bed.book.is_still(bed.news2(bed.WELL, ("spo2",)), below)


def test_a_model_alert_is_raised_updated_and_resolved(bed: Any) -> None:
    """A high risk is told once, told again when it rose, resolved when it stayed low on newer readings."""
    assert spoken(bed.score(0, probability=0.6)) == [("model", "raised", "risk_threshold", "told")]
    assert bed.score(MINUTE, probability=0.62) == []
    (risen,) = bed.score(2 * MINUTE, probability=0.75)
    assert (risen.reason, risen.probability, risen.contributions[0].feature) == ("risk_risen", 0.75, "lactate.last")
    assert bed.score(HOUR, probability=0.1) == []
    assert spoken(bed.score(2 * HOUR, probability=0.1)) == [("model", "resolved", "risk_below_threshold", "told")]
    assert bed.book.told is None


def test_old_readings_scored_again_resolve_no_model_alert(bed: Any) -> None:
    """A risk that fell only because its inputs aged does not count as calm."""
    bed.score(0, probability=0.6)
    for hour in range(1, 6):
        assert bed.score(hour * HOUR, probability=0.1, age=hour * HOUR) == []


def test_an_abstention_is_said_once_and_resolves_nothing(bed: Any) -> None:
    """With no probability the open alert turns indeterminate, visibly, and back when the risk is known again."""
    bed.score(0, probability=0.6)
    (event,) = bed.score(HOUR, probability=None)
    assert (event.reason, event.indeterminate, event.probability) == ("abstained", True, None)
    assert event.verdicts[-1].reason == "no_probability"
    assert bed.score(2 * HOUR, probability=None) == []
    (back,) = bed.score(2 * HOUR + MINUTE, probability=0.6)
    assert (back.indeterminate, back.disposition) == (False, "board")


def test_in_shadow_the_model_whispers(bed: Any) -> None:
    """A version in shadow is published as such, pages nobody, and never escalates."""
    bed.guardrails = bed.guardrails.with_shadow(shadow=True)
    (event,) = bed.score(0, probability=0.9)
    assert (event.shadow, event.disposition) == (True, "shadow")
    assert bed.keep(bed.book.tick(2 * HOUR)) == []


def test_the_kill_switch_holds_the_model_and_lets_it_go(bed: Any) -> None:
    """Under the switch the alert is published as held; released, it is told; the floor never noticed."""
    bed.guardrails = bed.guardrails.with_kill_switch(engaged=True)
    assert spoken(bed.score(0, bed.HIGH, 0.9)) == [
        ("news2_floor", "raised", "band_rise", "told"),
        ("model", "raised", "risk_threshold", "held"),
    ]
    bed.guardrails = bed.guardrails.with_kill_switch(engaged=False)
    assert spoken(bed.score(MINUTE, bed.HIGH, 0.9)) == [("model", "updated", "now_audible", "told")]


def test_what_was_only_held_ends_on_the_board(bed: Any) -> None:
    """The end of a model alert that was never told is not told aloud."""
    bed.guardrails = bed.guardrails.with_kill_switch(engaged=True)
    bed.score(0, probability=0.9)
    assert spoken(bed.keep(bed.book.discharged(HOUR))) == [("model", "expired", "discharged", "board")]


def test_a_model_alert_is_retracted_when_its_risk_then_was_low(bed: Any) -> None:
    """Only a known lower risk retracts: unknown and NaN take nothing back."""
    bed.score(0, probability=0.9)
    assert bed.book.correct_model(HOUR, probability_then=None, threshold=0.5, changed=ALL) == []
    assert bed.book.correct_model(HOUR, probability_then=float("nan"), threshold=0.5, changed=ALL) == []
    assert bed.book.correct_model(HOUR, probability_then=0.5, threshold=0.5, changed=ALL) == []
    (event,) = bed.book.correct_model(HOUR, probability_then=0.4, threshold=0.5, changed=ALL)
    assert (event.state, event.reason) == ("retracted", "correction")


def test_a_model_alert_stands_while_its_own_evidence_does(bed: Any) -> None:
    """A low risk then, after a correction of something it does not cite, takes nothing back."""
    bed.score(0, probability=0.9)
    assert bed.book.correct_model(HOUR, probability_then=0.1, threshold=0.5, changed=frozenset({99})) == []
    assert bed.book.correct_model(HOUR, probability_then=0.1, threshold=0.5, changed=frozenset()) == []


def test_a_corrected_laboratory_value_that_was_cited_retracts(bed: Any) -> None:
    """What else the caller cited counts as evidence too."""
    lactate = Evidence("lactate", 9.0, "mmol/L", 0, "m2", 41)
    bed.score(0, probability=0.9, further_evidence=lambda: (lactate,))
    (event,) = bed.book.correct_model(HOUR, probability_then=0.1, threshold=0.5, changed=frozenset({41}))
    assert (event.state, event.reason) == ("retracted", "correction")


def test_a_model_alert_older_than_its_history_is_not_retracted(bed: Any) -> None:
    """Past the time for which all the model saw is kept, a low risk then may be only forgetting."""
    bed.score(0, probability=0.9)
    late = HISTORY_WHOLE_MS + 1
    assert bed.book.correct_model(late, probability_then=0.1, threshold=0.5, changed=ALL) == []


def test_the_ward_of_the_raising_is_remembered(bed: Any) -> None:
    """A transfer does not change by whose threshold the alert was raised."""
    assert bed.book.model_raised_ward == ""
    bed.score(0, probability=0.9)
    bed.keep(bed.book.transferred(HOUR, Location(ward="W2", bed="1")))
    assert bed.book.model_raised_ward == "W1"


@pytest.mark.parametrize(
    ("method", "state", "reason"),
    [
        ("admission_cancelled", "retracted", "admission_cancelled"),
        ("merged", "retracted", "merge"),
        ("discharged", "expired", "discharged"),
    ],
)
def test_the_end_of_a_stay_ends_its_alerts(bed: Any, method: str, state: str, reason: str) -> None:
    """A cancelled admission and a merge retract, a discharge expires, both channels."""
    bed.score(0, bed.HIGH, 0.9)
    events = getattr(bed.book, method)(HOUR)
    assert spoken(events) == [("news2_floor", state, reason, "told"), ("model", state, reason, "told")]
    assert bed.book.idle
    assert getattr(bed.book, method)(HOUR) == []


def test_a_transfer_moves_the_open_alert(bed: Any) -> None:
    """The new ward is told at once, and a transfer to the same bed says nothing."""
    bed.score(0, bed.HIGH)
    (event,) = bed.keep(bed.book.transferred(HOUR, Location(ward="W2", bed="1")))
    assert (event.ward, event.reason) == ("W2", "transferred")
    assert bed.book.transferred(HOUR, Location(ward="W2", bed="1")) == []


def test_where_news2_does_not_apply_nothing_is_told_and_what_was_is_taken_back(bed: Any) -> None:
    """An alert on somebody who turns out to be a child is retracted, and none follows."""
    bed.score(0, bed.HIGH)
    assert spoken(bed.score(HOUR, bed.HIGH, applies="under_16")) == [
        ("news2_floor", "retracted", "not_applicable", "told")
    ]
    assert bed.score(2 * HOUR, bed.HIGH, applies="under_16") == []


def test_a_late_emergency_says_so(bed: Any) -> None:
    """An emergency charted three hours late says so, with its age, on the board and when it is told."""
    (event,) = bed.score(10 * HOUR, bed.HIGH, age=3 * HOUR)
    assert (event.late, event.age_ms, event.disposition) == (True, 3 * HOUR, "board")
    assert event.observed_time == 7 * HOUR
    (told,) = bed.score(10 * HOUR + MINUTE, bed.HIGH, age=3 * HOUR + MINUTE)
    assert (told.late, told.age_ms, told.priority) == (True, 3 * HOUR + MINUTE, "interrupt")


def test_the_book_stays_small(bed: Any) -> None:
    """With two open alerts and five contributions the stored form stays under a kilobyte."""
    bed.score(0, bed.HIGH, 0.9)
    assert len(bed.book.encode()) < 1024


def test_foreign_bytes_are_refused_without_being_quoted() -> None:
    """Another schema version and garbage raise; the message holds none of it."""
    for data in (b"", b"\x63abc", b"\x02patient-1"):
        with pytest.raises(UnreadableBookError) as caught:
            AlertBook.decode(data)
        assert "patient" not in str(caught.value)
