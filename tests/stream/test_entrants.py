"""Who takes part in the contest: from the decisions alone, the eldest kept until it is judged, nobody coming back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events import ChangeStep, Event, Promotion, Standing
from stream.contest_rows import SLOTS
from stream.decisions import Decision, Decisions, encode_decision
from stream.entrants import MADE, NAMED, Entrant, entering, entrants, refusal
from stream.promotion import AUTOMATIC, MONITOR, review
from stream.settings import Settings

A, B, C, D, E, F = (letter * 12 for letter in "abcdef")
DAY = 86_400_000


def enter(decisions: Decisions, one: Decision | Event) -> None:
    """Let one more stand."""
    decision = one if isinstance(one, Decision) else Decision(one, "safety-officer")  # type: ignore[arg-type]
    decisions.take(decisions.newest, encode_decision(decision), 0)


def decided(*each: Decision | Event | str) -> Decisions:
    """Give decisions; a name is a candidate that enters."""
    found = Decisions()
    for place, one in enumerate(each):
        enter(found, entering(found, one, place, by=MADE, reason="made") if isinstance(one, str) else one)
    return found


def named(version: str) -> Decision:
    """Give a person's word."""
    return entering(Decisions(), version, 0, by=NAMED, who="data-scientist", reason="worth a look")


def judged(version: str, **gates: str) -> Decision:
    """Give what the gates said of a candidate."""
    figures = {"contest": MADE, **{f"gate.{name}": words for name, words in gates.items()}}
    return Decision(ChangeStep(0, version, "failed"), AUTOMATIC, "stopped", figures=figures)


def names(decisions: Decisions) -> list[str]:
    """Name those who take part."""
    return [one.version for one in entrants(decisions, lambda _version: True)]


def test_the_eldest_keeps_its_place_while_candidates_are_made_every_day() -> None:
    """Of the others the newest changes."""
    assert names(decided(A, B, C, D, E)) == [A, B, E]


def test_a_newcomer_takes_the_place_of_one_that_was_stopped() -> None:
    """By a gate; what monitors held back alone keeps its place."""
    held = judged(A, monitors="failed: in alarm", burden="passed: 1")
    assert names(decided(A, B, C, held, D)) == [A, B, D]
    assert names(decided(A, B, C, judged(A, burden="failed: 9"), D)) == [B, C, D]


def test_whom_a_person_named_no_candidate_displaces() -> None:
    """A person's word displaces the newest candidate; where all are named, the next has no place."""
    assert names(decided(A, B, C, named(D))) == [A, B, D]
    assert names(decided(named(A), named(B), named(C), D, named(E))) == [A, B, C]
    assert entrants(decided(named(A)), lambda _version: True) == (Entrant(A, NAMED),)


def test_who_is_in_force_held_demoted_or_refused_is_out_and_does_not_come_back_by_itself() -> None:
    """Nor by a rollback or a restored standing; a person may name it anew."""
    leaves: list[Event | Decision] = [
        Promotion(0, A, enabled=True), Standing(0, A, "held"), Standing(0, A, "demoted"),
        refusal(Decisions(), A, 0, "it is of another schema"),
    ]  # fmt: skip
    for one in leaves:
        assert names(decided(A, B, one)) == [B]
    back = Decision(Promotion(0, "", enabled=False), "safety-officer", "worse", undoes=3)
    rolled_back = decided(A, B, Promotion(0, A, enabled=True), back, Standing(0, B, "held"), Standing(0, B, "good"))
    assert names(rolled_back) == []
    enter(rolled_back, named(B))
    assert names(rolled_back) == [B]
    assert names(decided(A, Promotion(0, A, enabled=False))) == [A]


def test_one_that_is_not_at_hand_takes_no_place() -> None:
    """A candidate that was not published, or was withdrawn, keeps nobody out."""
    found = entrants(decided(A, B, C, D), lambda version: version != B)
    assert [one.version for one in found] == [A, C, D]


def test_entering_and_being_refused_stand_in_a_review() -> None:
    """Beside whom, and what is missing."""
    decisions = decided(Promotion(0, F, enabled=True), A, B)
    enter(decisions, refusal(decisions, B, 5, "it takes other inputs"))
    shown = {one.version: one for one in review(decisions, Settings().change_control).challengers}
    assert (shown[A].step, shown[A].champion) == ("proposed", F)
    assert shown[A].lacking == ("it was proposed, and not judged yet",)
    assert (shown[B].step, shown[B].outside) == ("failed", ("it takes other inputs",))


steps = st.sampled_from([A, B, C, D, E, F]).flatmap(
    lambda name: st.sampled_from(
        [
            name,
            named(name),
            judged(name, burden="failed: 9"),
            Promotion(0, name, enabled=True),
            Standing(0, name, "held"),
            Decision(Standing(0, name, "demoted"), MONITOR),
        ]
    )
)


@given(each=st.lists(steps, max_size=30))
def test_there_are_never_more_than_places_and_never_one_that_left(each: list[Decision | Event | str]) -> None:
    """Whatever is decided; and who takes part is the same for whoever reads it again."""
    decisions = decided(*each)
    found = names(decisions)
    assert len(found) == len(set(found)) <= SLOTS
    for name in found:
        last = [one.decision.event for one in decisions.kept() if _speaks_of(one.decision, name)][-1]
        assert isinstance(last, ChangeStep)
    assert names(decided(*each)) == found


def _speaks_of(decision: Decision, name: str) -> bool:
    return getattr(decision.event, "version", "") == name
