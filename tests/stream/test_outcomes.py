"""Outcomes by configuration: what counts, what was planned, what is taken back, and what survives any order."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR as H
from events import (
    Acknowledgement,
    Admission,
    Cancellation,
    Demographics,
    Discharge,
    Envelope,
    Feedback,
    Location,
    Merge,
    Outcome,
    Transfer,
    Unmerge,
)
from models.inputs import LEARNING_INPUTS
from stream.cli.outcome_options import chosen_definition
from stream.learning import LearnerFold
from stream.outcomes import JoinState, OutcomeDefinition, OutcomeJoin
from stream.settings import ConfigurationError, parse_site

TABLE = """[outcome]
kinds = ["death", "critical_care"]
horizon_h = 24
critical_care_wards = ["ICU", "HDU"]
planned_from_wards = ["Theatre"]
settle_min = 0
after_action = "leave_out"
"""
SITE = parse_site(TABLE)


def message(at, *events, patient="p"):
    return Envelope(f"{patient}{at}", patient, at, at, tuple(events), message_id=str(at))


def told(*messages, definition=SITE.outcome, scored=(0,)):
    """Score a patient at each of `scored`, hours; then let things happen; give the labels, and what was counted."""
    join = OutcomeJoin(definition)
    steps = [(hour * H, None) for hour in scored] + [(one.received_time, one) for one in messages]
    for at, one in sorted(steps, key=lambda step: (step[0], step[1] is not None)):
        if one is None:
            join.joiner.scored("p", at, (1.0,))
        else:
            join.happened(one)
    return [(example.at // H, example.label) for example in join.joiner.advance(1_000 * H)], join.joiner.counts


# -- configuration ----------------------------------------------------------------------------------------------------


def test_the_table_says_what_counts():
    """Kinds, horizon, wards and the rest come from [outcome]; without it, clinical.md's default composite."""
    assert SITE.outcome.kinds == ("death", "critical_care")
    assert SITE.outcome.critical_care_wards == {"ICU", "HDU"}
    plain = parse_site("").outcome
    assert plain.kinds == ("death", "critical_care", "cardiac_arrest")
    assert (plain.horizon_h, plain.settle_min, plain.whole_stay) == (12, 60, False)


def test_the_table_decides_nothing_about_alerts():
    """What is learned is no part of the recorded configuration: its hash, and every digest, stay."""
    assert SITE.settings == parse_site("").settings


def test_the_command_line_overrides_the_table():
    """An option that is given replaces its key; the other keys are the table's."""
    chosen = chosen_definition(SITE, ("sepsis",), (), 6)
    assert (chosen.kinds, chosen.horizon_h, chosen.critical_care_wards) == (("sepsis",), 6, {"ICU", "HDU"})
    assert chosen_definition(SITE, (), ("CCU",), None).critical_care_wards == {"CCU"}
    assert chosen_definition(SITE, (), (), None) == SITE.outcome


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("kinds = []", "outcome.kinds"),
        ("horizon_h = 0", "outcome.horizon_h"),
        ("horizon_h = 10_000", "outcome.horizon_h"),
        ('critical_care_ward = "ICU"', "did you mean critical_care_wards?"),
        ('after_action = "ignore"', "outcome.after_action"),
        ("settle_min = -1", "outcome.settle_min"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key_and_line(line, fault):
    """The error names the key, and the line it stands on."""
    with pytest.raises(ConfigurationError) as error:
        parse_site(f"[outcome]\n{line}\n")
    assert fault in str(error.value)
    assert "line 2" in str(error.value)


# -- transfers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wards", "counts"),
    [
        (("A", "ICU"), True),
        (("ICU", "HDU"), False),
        (("A", "Theatre", "ICU"), False),
        (("Theatre", "A", "ICU"), True),
        (("A", "B"), False),
    ],
)
def test_an_unplanned_transfer_is_an_outcome(wards, counts):
    """To critical care from a ward it counts; from theatre it was planned, and within critical care it is a move."""
    first, *others = wards
    moves = [message((2 + hour) * H, Transfer((2 + hour) * H, Location(ward))) for hour, ward in enumerate(others)]
    labels, _ = told(message(0, Admission(0, Location(first))), *moves, scored=(1,))
    assert labels == [(1, counts)]


def test_a_ward_told_in_passing_is_no_transfer():
    """A result that names the ICU moves nobody there."""
    labels, _ = told(message(2 * H, Transfer(2 * H, Location("ICU"), incidental=True)))
    assert labels == [(0, False)]


def test_a_transfer_taken_back_is_none():
    """A12: what it had labelled is counted, the patient is on the ward again, and a later transfer counts anew."""
    labels, counts = told(
        message(0, Admission(0, Location("A"))),
        message(2 * H, Transfer(2 * H, Location("ICU"))),
        message(3 * H, Cancellation(3 * H, "transfer")),
        message(50 * H, Transfer(50 * H, Location("ICU"))),
        scored=(1, 4, 40),
    )
    assert labels == [(1, True), (4, False), (40, True)]
    assert (counts.withdrawn_outcomes, counts.withdrawn_labels) == (1, 1)


# -- deaths -----------------------------------------------------------------------------------------------------------


def test_a_death_charted_and_cancelled_is_counted_and_he_is_observed_on():
    """A03 of the deceased, then A13: the label it gave is counted as withdrawn; later scores wait as before."""
    labels, counts = told(
        message(2 * H, Discharge(2 * H, deceased=True)),
        message(5 * H, Cancellation(5 * H, "discharge")),
        scored=(1, 6),
    )
    assert labels == [(1, True), (6, False)]
    assert (counts.withdrawn_outcomes, counts.withdrawn_labels, counts.resumed) == (1, 1, 1)


def test_a_death_flag_taken_back_is_no_death():
    """PID-30 said Y, then N."""
    labels, counts = told(
        message(2 * H, Demographics(2 * H, deceased=True)), message(3 * H, Demographics(3 * H, deceased=False)),
        scored=(1, 4),
    )  # fmt: skip
    assert labels == [(1, True), (4, False)]
    assert counts.withdrawn_outcomes == 1


def test_a_flag_that_nobody_ever_set_takes_nothing_back():
    """N in every message of the living is no withdrawal."""
    labels, counts = told(*[message(hour * H, Demographics(hour * H, deceased=False)) for hour in range(1, 9)])
    assert labels == [(0, False)]
    assert counts.withdrawn_outcomes == 0


def test_a_death_at_discharge_labels_before_the_discharge_censors():
    """In one message, whatever the settling time."""
    labels, counts = told(message(2 * H, Discharge(2 * H, deceased=True)))
    assert labels == [(0, True)]
    assert counts.censored == 0


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (Outcome(2 * H, "death"), "repeated_outcomes"),
        (Outcome(3 * H, "death"), "contradicting_outcomes"),
        (Outcome(3 * H, "sepsis"), "other_outcomes"),
    ],
)
def test_an_outcome_told_again_is_survived_with_a_named_reason(event, count):
    """Twice, with another time, of another kind: the first label stands, and the reason is counted."""
    labels, counts = told(message(2 * H, Outcome(2 * H, "death")), message(4 * H, event))
    assert labels == [(0, True)]
    assert getattr(counts, count) == 1


def test_an_outcome_too_late_or_of_nobody_is_survived_with_a_named_reason():
    """After the negative has matured it is late; of a patient never scored, unheard."""
    labels, counts = told(message(100 * H, Outcome(20 * H, "death")), scored=(0, 90))
    assert labels[0] == (0, False)
    assert counts.late_outcomes == 1
    _, counts = told(message(H, Outcome(H, "death"), patient="nobody"))
    assert counts.unheard_outcomes == 1


# -- merges and actions -----------------------------------------------------------------------------------------------


def test_what_happens_to_a_survivor_happened_to_the_retired():
    """After a merge an outcome labels both records' scores, after an unmerge only its own."""
    for events, positives in (((), 1), ((Unmerge(2 * H, "p"),), 0)):
        labels, _ = told(
            message(H, Merge(H, "p"), patient="q"),
            *([message(2 * H, *events, patient="q")] if events else []),
            message(5 * H, Outcome(5 * H, "death"), patient="q"),
        )
        assert sum(label for _, label in labels) == positives


@pytest.mark.parametrize(("policy", "rows"), [("learn", 1), ("leave_out", 0)])
@pytest.mark.parametrize("act", [Acknowledgement(H, "a"), Feedback(H, "a", "agree")])
def test_labels_after_an_acted_on_alert_are_learned_or_left_out(policy, rows, act):
    """They are marked in either case; by configuration the learner leaves them out, and what was said is evaluated."""
    fold = LearnerFold(OutcomeDefinition(after_action=policy))
    fold.scored("p", 0, [1.0] * len(LEARNING_INPUTS.names))
    fold.happened(message(H, act))
    fold.finish()
    assert fold.prequential.accumulator.figures().rows == 1
    assert fold.prequential.learner.rows == rows


# -- any order --------------------------------------------------------------------------------------------------------

KEYS = ("p", "q")


def event_of(kind, at):
    return {
        "admit": Admission(at, Location("A")),
        "move": Transfer(at, Location("B")),
        "icu": Transfer(at, Location("ICU")),
        "leave": Discharge(at),
        "die": Discharge(at, deceased=True),
        "dead": Demographics(at, deceased=True),
        "alive": Demographics(at, deceased=False),
        "outcome": Outcome(at, "death"),
        "over": Outcome(at, "death", onset=False),
        "no_admission": Cancellation(at, "admission"),
        "no_transfer": Cancellation(at, "transfer"),
        "no_discharge": Cancellation(at, "discharge"),
        "act": Acknowledgement(at, "a"),
        "merge": Merge(at, "q"),
        "unmerge": Unmerge(at, "q"),
    }.get(kind)


KINDS = ("score", "score", "score", "score", "admit", "move", "icu", "leave", "die", "dead", "alive", "outcome", "over",
         "no_admission", "no_transfer", "no_discharge", "act", "merge", "unmerge")  # fmt: skip
orders = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(KEYS), st.integers(0, 5 * H), st.integers(-8 * H, 2 * H)),
    max_size=50,
)


def play(order, stop=None):
    """Play an order, restored from its own state before step `stop`; give examples with when they were given."""
    join, now, out = OutcomeJoin(SITE.outcome), 0, []
    for number, (kind, patient, wait, offset) in enumerate(order):
        if number == stop:
            data = msgspec.msgpack.encode(join.state())
            join = OutcomeJoin(SITE.outcome)
            join.restore(msgspec.msgpack.decode(data, type=JoinState))
        now += wait
        if kind == "score":
            join.joiner.scored(patient, now, (float(number),))
        else:
            join.happened(Envelope(str(number), patient, now, now, (event_of(kind, now + offset),)))
        out += [(now, example) for example in join.joiner.advance(now)]
    end = now + 100 * H
    return out + [(end, example) for example in join.joiner.advance(end)], join.joiner


@given(orders)
def test_any_order_is_survived_and_every_score_is_accounted_for(order):
    """However messages are ordered, repeated and contradicted: one fate a score, none given before it matures."""
    out, joiner = play(order)
    counts = joiner.counts
    fates = (
        counts.positives, counts.negatives, counts.censored, counts.after_onset, counts.thinned, counts.out_of_order,
        counts.after_end, counts.overflow,
    )  # fmt: skip
    assert sum(fates) + joiner.pending == sum(kind == "score" for kind, *_ in order)
    assert len({example.vector for _, example in out}) == len(out) == counts.positives + counts.negatives
    assert all(given_at >= example.matured_at >= example.at for given_at, example in out)


@given(orders, st.integers(0, 50))
def test_a_join_restored_goes_on_alike(order, stop):
    """Encoded and restored before any message, it gives the same examples, and counts the same."""
    straight, joiner = play(order)
    stopped, other = play(order, stop)
    assert straight == stopped
    assert joiner.counts == other.counts


# -- what is taken back, told again or merged -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "back"),
    [(("A", "ICU", "B"), "ICU"), (("A", "ICU", "HDU"), "ICU"), (("A", "ICU", "HDU"), ""), (("A", "ICU", "ICU"), "ICU")],
)
def test_only_the_transfer_that_was_the_outcome_takes_it_back(moves, back):
    """A12 of a move out of critical care, or within it, leaves the onset: what is scored there is no negative."""
    first, *others = moves
    told_moves = [message((2 + at) * H, Transfer((2 + at) * H, Location(ward))) for at, ward in enumerate(others)]
    undone = message(4 * H, Cancellation(4 * H, "transfer", Location(back)))
    labels, counts = told(message(0, Admission(0, Location(first))), *told_moves, undone, scored=(1, 5))
    assert labels == [(1, True)]
    assert (counts.after_onset, counts.withdrawn_outcomes) == (1, 0)


@pytest.mark.parametrize(("ward", "next_ward"), [("Theatre", "ICU"), ("ICU", "HDU")])
def test_a_discharge_taken_back_leaves_him_where_he_lay(ward, next_ward):
    """A13 says where he is: a planned transfer is still planned, a move within critical care still a move."""
    labels, _ = told(
        message(0, Admission(0, Location(ward))),
        message(2 * H, Discharge(2 * H)),
        message(2 * H + 1, Cancellation(2 * H + 1, "discharge", Location(ward))),
        message(4 * H, Transfer(4 * H, Location(next_ward))),
        scored=(3,),
    )
    assert labels == [(3, False)]


def test_a_merged_record_brings_its_ward():
    """Who lay in critical care under the retired number moves within it under the surviving one."""
    labels, _ = told(
        message(0, Admission(0, Location("ICU")), patient="r"),
        message(1 * H, Merge(1 * H, "r")),
        message(3 * H, Transfer(3 * H, Location("HDU"))),
        scored=(2,),
    )
    assert labels == [(2, False)]


def test_an_admission_told_again_begins_no_stay():
    """A01 after A04, or an Encounter's next version: after the onset nothing is predicted, as before."""
    first = msgspec.structs.replace(message(0, Admission(0, Location("A"))), encounter="v")
    again = msgspec.structs.replace(message(3 * H, Admission(0, Location("ICU"))), encounter="v")
    labels, counts = told(first, message(2 * H, Transfer(2 * H, Location("ICU"))), again, scored=(1, 4))
    assert labels == [(1, True)]
    assert counts.after_onset == 1


def test_a_visit_under_way_takes_no_death_back():
    """An Encounter in progress says each time that no discharge stands; the death that Patient told does."""
    labels, counts = told(
        message(2 * H, Demographics(2 * H, deceased=True)),
        message(2 * H + 1, Cancellation(2 * H + 1, "discharge")),
        scored=(1, 3),
    )
    assert labels == [(1, True)]
    assert (counts.after_onset, counts.withdrawn_outcomes) == (1, 0)


def test_what_is_remembered_of_wards_and_merges_is_bounded(monkeypatch):
    """Whatever comes for ever new patients."""
    monkeypatch.setattr("stream.outcomes.PATIENTS_MAX", 10)
    join = OutcomeJoin(SITE.outcome)
    events = (Unmerge(0, "x"), Cancellation(0, "transfer"), Cancellation(0, "discharge", Location("A")))
    for number in range(50):
        for event in (*events, Admission(0, Location("A")), Merge(0, f"r{number}")):
            join.happened(msgspec.structs.replace(message(number, event, patient=f"p{number}"), encounter=f"v{number}"))
    state = join.state()
    assert max(len(state.absorbed), len(state.wards), len(state.encounters)) <= 10
