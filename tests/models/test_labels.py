"""Late labels: when an example matures, with which label, and from what knowledge."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR as H
from events import Outcome
from models.labels import FORGET_MS, JoinerState, LabelJoiner

HORIZON = 12 * H


def joiner(**settings):
    return LabelJoiner(HORIZON, **{"settle_ms": 0, "thinning_ms": 0, **settings})


def labels(examples):
    return [(example.at // H, example.label, example.matured_at // H) for example in examples]


def test_positive_matures_when_known():
    """A score with an outcome in its horizon matures as positive when the outcome is received, not before."""
    join = joiner()
    join.scored("p", 0, (1.0,))
    assert join.advance(4 * H) == []
    join.outcome("p", Outcome(3 * H, "death"), 5 * H)
    assert labels(join.advance(5 * H)) == [(0, True, 5)]
    assert join.pending == 0


def test_negative_matures_at_the_horizon():
    """A score without an outcome matures as negative when its horizon has passed under observation, not before."""
    join = joiner()
    join.scored("p", 0, (1.0,))
    assert join.advance(HORIZON - 1) == []
    assert labels(join.advance(HORIZON)) == [(0, False, 12)]


def test_settling_waits_for_late_outcomes():
    """Within the settling time an outcome charted late still makes the score positive."""
    join = joiner(settle_ms=2 * H)
    join.scored("p", 0, ())
    assert join.advance(HORIZON + H) == []
    join.outcome("p", Outcome(HORIZON, "death"), HORIZON + H)
    assert labels(join.advance(HORIZON + H)) == [(0, True, 13)]


def test_horizon_is_open_then_closed():
    """An outcome at the score's own time is after onset; one exactly at the horizon's end is positive."""
    join = joiner(settle_ms=H)
    for at in (0, HORIZON):
        join.scored("p", at, ())
    join.outcome("p", Outcome(HORIZON, "death"), HORIZON)
    assert labels(join.advance(HORIZON)) == [(0, True, 12)]
    assert join.counts.after_onset == 1


def test_scores_after_onset_are_dropped_until_a_new_stay():
    """After the outcome nothing is learned of the stay; a new admission begins anew."""
    join = joiner()
    join.outcome("p", Outcome(H, "critical_care"), H)
    join.advance(H)
    assert not join.scored("p", 2 * H, ())
    join.admitted("p", 3 * H)
    assert join.scored("p", 4 * H, ())
    assert join.counts.after_onset == 1


def test_discharge_censors():
    """A score whose horizon reaches past the end of observation has no label; one within it is negative."""
    join = joiner()
    join.scored("p", 0, ())
    join.scored("p", 3 * H, ())
    join.discharged("p", 13 * H)
    assert labels(join.advance(100 * H)) == [(0, False, 12)]
    assert (join.counts.censored, join.pending) == (1, 0)


def test_end_of_observation_as_an_outcome():
    """An outcome record with `onset` false censors as a discharge does."""
    join = joiner(kinds=("sepsis",))
    join.scored("p", 0, ())
    join.outcome("p", Outcome(H, "sepsis", onset=False), H)
    assert join.advance(100 * H) == []
    assert join.counts.censored == 1


def test_death_at_discharge_counts():
    """A death that follows its own discharge in the log makes positives, not censored scores."""
    join = joiner(settle_ms=H)
    join.scored("p", 0, ())
    join.discharged("p", 2 * H)
    join.outcome("p", Outcome(2 * H, "death"), 2 * H)
    assert labels(join.advance(3 * H)) == [(0, True, 2)]


def test_other_kinds_do_not_count():
    """An outcome of a kind that is not configured changes no label and is counted."""
    join = joiner(kinds=("death",))
    join.scored("p", 0, ())
    join.outcome("p", Outcome(H, "sepsis"), H)
    assert labels(join.advance(HORIZON)) == [(0, False, 12)]
    assert join.counts.other_outcomes == 1


def test_an_outcome_too_late_is_counted():
    """An outcome that comes after its score has matured as negative does not unsay the label, and is counted."""
    join = joiner()
    join.scored("p", 0, ())
    join.scored("p", 11 * H, ())
    join.advance(HORIZON)
    join.outcome("p", Outcome(10 * H, "death"), 20 * H)
    assert join.counts.late_outcomes == 1


def test_thinning_keeps_one_score_in_a_while():
    """Scores closer together than the thinning time do not wait."""
    join = joiner(thinning_ms=H)
    assert [join.scored("p", at, ()) for at in (0, H - 1, H, H + 1)] == [True, False, True, False]
    assert join.counts.thinned == 2


def test_waiting_is_bounded():
    """Past the limit scores are refused and counted; what waits is unharmed."""
    join = joiner(pending_max=2)
    assert [join.scored(patient, 0, ()) for patient in "abc"] == [True, True, False]
    assert (join.counts.overflow, join.pending) == (1, 2)
    assert len(join.advance(HORIZON)) == 2


def test_acted_on_alerts_mark_their_windows():
    """A score in whose window somebody acted on an alert is marked; one a day earlier is not."""
    join = joiner()
    join.scored("p", 0, ())
    join.scored("p", 24 * H, ())
    join.acted("p", 25 * H)
    marks = {example.at: example.after_action for example in join.advance(100 * H)}
    assert marks == {0: False, 24 * H: True}


def test_an_outcome_told_twice_labels_once_and_is_counted():
    """Told again with the same time it changes nothing; with another, the earlier counts and the other contradicts."""
    join = joiner()
    join.scored("p", 0, ())
    for event_time, received in ((3 * H, 4 * H), (3 * H, 5 * H), (2 * H, 6 * H), (8 * H, 9 * H)):
        join.outcome("p", Outcome(event_time, "death"), received)
    assert labels(join.advance(9 * H)) == [(0, True, 4)]
    assert (join.counts.repeated_outcomes, join.counts.contradicting_outcomes, join.counts.positives) == (1, 2, 1)
    assert not join.scored("p", 2 * H, ())


def test_an_outcome_of_nobody_is_counted_and_drops_later_scores_only():
    """Of a patient who was never scored nothing is labelled; what is scored after the onset predicts nothing."""
    join = joiner()
    join.outcome("p", Outcome(H, "death"), H)
    assert join.counts.unheard_outcomes == 1
    assert not join.scored("p", 2 * H, ())
    assert join.scored("q", 2 * H, ())


def test_an_outcome_of_nobody_is_forgotten_in_time():
    """A stray outcome does not hold its patient's place for ever."""
    join = joiner(patients_max=1)
    join.outcome("p", Outcome(H, "death"), H)
    assert not join.scored("q", 2 * H, ())
    assert join.scored("q", H + FORGET_MS, ())


def test_an_outcome_taken_back_before_it_labels_labels_nothing():
    """A death charted for later and cancelled leaves a negative, as if it had never been told."""
    join = joiner()
    join.scored("p", 0, ())
    join.outcome("p", Outcome(6 * H, "death"), 2 * H)
    join.withdrawn("p", "death", 3 * H)
    assert labels(join.advance(HORIZON)) == [(0, False, 12)]
    assert (join.counts.withdrawn_outcomes, join.counts.withdrawn_labels) == (1, 0)


def test_an_outcome_taken_back_after_it_labelled_is_counted_and_the_patient_is_scored_again():
    """What was learned cannot be unlearned: it is counted, and scores from then on wait again."""
    join = joiner()
    join.scored("p", 0, ())
    join.outcome("p", Outcome(H, "death"), H)
    join.scored("p", 2 * H, ())
    join.withdrawn("p", "death", 3 * H)
    assert join.scored("p", 4 * H, ())
    assert labels(join.advance(100 * H)) == [(0, True, 1), (4, False, 16)]
    assert (join.counts.withdrawn_labels, join.counts.after_onset) == (1, 1)


def test_taking_back_one_kind_leaves_the_other():
    """A cancelled death does not take back the transfer to critical care before it."""
    join = joiner()
    join.scored("p", 0, ())
    join.outcome("p", Outcome(8 * H, "critical_care"), 2 * H)
    join.outcome("p", Outcome(6 * H, "death"), 2 * H)
    join.withdrawn("p", "death", 3 * H)
    assert labels(join.advance(9 * H)) == [(0, True, 8)]


def test_of_a_whole_stay_every_score_gets_its_label():
    """Without a horizon, scores of a stay that ends well are negative at its end, of one that does not, positive."""
    join = joiner(whole_stay=True, settle_ms=H)
    for patient in "ab":
        for at in (0, 30 * H):
            join.scored(patient, at, ())
    join.discharged("a", 48 * H)
    join.discharged("b", 48 * H)
    join.outcome("b", Outcome(48 * H + 1, "death"), 48 * H + 2)
    said = {(one.patient, one.at // H): (one.label, one.matured_at // H) for one in join.advance(100 * H)}
    assert said == {("a", 0): (False, 49), ("a", 30): (False, 49), ("b", 0): (True, 48), ("b", 30): (True, 48)}
    assert (join.counts.censored, join.pending) == (0, 0)


def test_a_discharge_taken_back_goes_on_observing():
    """After a cancelled discharge later scores wait again, and the one before it is not censored."""
    join = joiner(settle_ms=H)
    join.scored("p", 0, ())
    join.discharged("p", 2 * H)
    join.resumed("p", 2 * H + 1)
    assert join.scored("p", 3 * H, ())
    assert labels(join.advance(100 * H)) == [(0, False, 13), (3, False, 16)]
    assert join.counts.resumed == 1


events = st.lists(
    st.tuples(
        st.sampled_from(
            ["score", "score", "score", "outcome", "other", "discharge", "admit", "withdraw", "resume", "act", "again"]
        ),
        st.sampled_from(["a", "b"]),
        st.integers(0, 3 * H),
        st.integers(-6 * H, 2 * H),
    ),
    max_size=60,
)


def step(join, sequence, number, now, outcomes):
    """Play one step (kind, patient, wait, event time relative to now); notes outcomes with their receipt."""
    kind, patient, _, offset = sequence[number]
    if kind == "score":
        join.scored(patient, now, (float(number),))
    elif kind in ("outcome", "other"):
        join.outcome(patient, Outcome(now + offset, "death" if kind == "outcome" else "critical_care"), now)
        outcomes.append((patient, now + offset, now))
    elif kind == "again" and outcomes:
        whose, onset, _ = outcomes[-1]
        join.outcome(whose, Outcome(onset, "death"), now)
        outcomes.append((whose, onset, now))
    elif kind == "withdraw":
        join.withdrawn(patient, "death", now)
    elif kind == "resume":
        join.resumed(patient, now)
    elif kind == "act":
        join.acted(patient, now + offset, now)
    elif kind == "discharge":
        join.discharged(patient, now + min(offset, 0), now)
    elif kind == "admit":
        join.admitted(patient, now, now)


def play(join, sequence, advancing, stop=None):
    """Play a whole sequence, restored from its own state before step `stop`; returns examples, outcomes and counts."""
    now, out, outcomes = 0, [], []
    for number, (_, _, wait, _) in enumerate(sequence):
        if number == stop:
            data = msgspec.msgpack.encode(join.state())
            join = joiner(settle_ms=H)
            join.restore(msgspec.msgpack.decode(data, type=JoinerState))
        now += wait
        step(join, sequence, number, now, outcomes)
        if advancing(number):
            out.extend((now, example) for example in join.advance(now))
    end = now + 10 * HORIZON
    out.extend((end, example) for example in join.advance(end))
    return out, outcomes, join.counts


@given(events, st.integers(0, 3 * H))
def test_no_example_before_its_maturity_and_no_label_from_the_future(sequence, settle):
    """Nothing is emitted before it matures, and each label follows from outcomes received by then."""
    out, outcomes, _ = play(joiner(settle_ms=settle), sequence, lambda _: True)
    for emitted_at, example in out:
        assert emitted_at >= example.matured_at > example.at
        known = [o for p, o, received in outcomes if p == example.patient and received <= example.matured_at]
        inside = [onset for onset in known if example.at < onset <= example.at + HORIZON]
        if example.label:
            assert inside
        else:
            assert example.matured_at >= example.at + HORIZON + settle


@given(events, st.integers(0, 3 * H), st.integers(1, 7))
def test_batches_change_nothing(sequence, settle, every):
    """How often time is advanced changes neither the examples nor their order in time."""
    one, _, _ = play(joiner(settle_ms=settle), sequence, lambda _: True)
    other, _, _ = play(joiner(settle_ms=settle), sequence, lambda number: number % every == 0)
    key = lambda example: (example.matured_at, example.at, example.patient, example.vector)  # noqa: E731
    assert sorted((e for _, e in one), key=key) == sorted((e for _, e in other), key=key)


@given(events)
def test_every_score_is_accounted_for(sequence):
    """Each score ends in exactly one count, and nothing waits after the end."""
    join = joiner(settle_ms=H, thinning_ms=H)
    play(join, sequence, lambda _: False)
    counts = join.counts
    ended = (
        counts.positives, counts.negatives, counts.censored, counts.after_onset, counts.thinned, counts.out_of_order,
        counts.after_end, counts.overflow,
    )  # fmt: skip
    assert sum(ended) == sum(kind == "score" for kind, *_ in sequence)
    assert join.pending == 0


@given(events)
def test_no_score_has_two_labels(sequence):
    """However outcomes are told, repeated, contradicted and taken back, each score gets one label at the most."""
    out, _, _ = play(joiner(), sequence, lambda _: True)
    numbers = [example.vector for _, example in out]
    assert len(set(numbers)) == len(numbers)


@given(events, st.integers(0, 60))
def test_a_joiner_restored_goes_on_alike(sequence, stop):
    """Encoded and restored after any call, it gives the same examples at the same times, and the same counts."""
    straight = play(joiner(settle_ms=H), sequence, lambda number: number % 3 == 0)
    assert play(joiner(settle_ms=H), sequence, lambda number: number % 3 == 0, stop) == straight
