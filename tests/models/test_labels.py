"""Late labels: when an example matures, with which label, and from what knowledge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR as H
from events import Outcome
from models.labels import LabelJoiner

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


events = st.lists(
    st.tuples(
        st.sampled_from(["score", "score", "score", "outcome", "discharge", "admit"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 3 * H),
        st.integers(-6 * H, 2 * H),
    ),
    max_size=60,
)


def play(join, sequence, advancing):
    """Play steps (kind, patient, wait, event time relative to now); returns examples, and outcomes with receipt."""
    now, out, outcomes = 0, [], []
    for number, (kind, patient, wait, offset) in enumerate(sequence):
        now += wait
        if kind == "score":
            join.scored(patient, now, (float(number),))
        elif kind == "outcome":
            join.outcome(patient, Outcome(now + offset, "death"), now)
            outcomes.append((patient, now + offset, now))
        elif kind == "discharge":
            join.discharged(patient, now + min(offset, 0), now)
        else:
            join.admitted(patient, now, now)
        if advancing(number):
            out.extend((now, example) for example in join.advance(now))
    end = now + 10 * HORIZON
    out.extend((end, example) for example in join.advance(end))
    return out, outcomes


@given(events, st.integers(0, 3 * H))
def test_no_example_before_its_maturity_and_no_label_from_the_future(sequence, settle):
    """Nothing is emitted before it matures, and each label follows from outcomes received by then."""
    out, outcomes = play(joiner(settle_ms=settle), sequence, lambda _: True)
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
    one, _ = play(joiner(settle_ms=settle), sequence, lambda _: True)
    other, _ = play(joiner(settle_ms=settle), sequence, lambda number: number % every == 0)
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
