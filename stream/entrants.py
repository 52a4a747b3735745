"""Who takes part in the contest beside the champion: a function of what was decided, so every start gives the same.

Owns the decisions by which a version enters or is refused, and who has a place where more want one than there are. Must
not know what a challenger did, nor how it is asked (stream/live/contest.py). Entering changes nothing in force: it is
the step `proposed` of change control, without evidence yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from events import ChangeStep, Millis, Promotion, Standing
from models.weighing import NEWS2_ALONE
from stream.contest_rows import SLOTS
from stream.decisions import Decision, Decisions
from stream.promotion import AUTOMATIC, GATE, OUTSIDE, champion_of

CONTEST = "contest"
"""The figure of a step that says that its version takes part, and by whose word."""
NAMED, MADE, REFUSED = "named", "made", "refused"
"""By a person's; as the learner's own candidate; not at all."""


class Entrant(NamedTuple):
    """One that has a place."""

    version: str
    by: str
    """`NAMED` or `MADE`."""
    stopped: bool = False
    """Whether a gate spoke against it when it was judged last; what monitors held back may go by."""


def entering(decisions: Decisions, version: str, at: Millis, *, by: str, who: str = AUTOMATIC, reason: str) -> Decision:
    """Give the record that a version enters."""
    figures = {CONTEST: by, "champion": champion_of(decisions) or NEWS2_ALONE}
    return Decision(ChangeStep(at, version, "proposed"), who, reason, figures=figures)


def refusal(decisions: Decisions, version: str, at: Millis, why: str) -> Decision:
    """Give the record that a version cannot take part, and why."""
    figures = {CONTEST: REFUSED, "champion": champion_of(decisions) or NEWS2_ALONE, f"{OUTSIDE}01": why}
    return Decision(ChangeStep(at, version, "failed"), AUTOMATIC, f"refused: {why}", figures=figures)


def entrants(decisions: Decisions, at_hand: Callable[[str], bool]) -> tuple[Entrant, ...]:
    """Give those that take part, who came first first.

    Where no place is free, a newcomer takes that of one that the gates stopped, else that of the newest which nobody
    named; else it has none. So the eldest keeps its place until it is judged, though a candidate is made every day. One
    that is put in force leaves, and so does one that is held or demoted; neither comes back by itself.

    >>> entrants(Decisions(), lambda _version: True)
    ()
    """
    found: dict[str, Entrant] = {}
    for one in decisions.kept():
        event = one.decision.event
        in_force = isinstance(event, Promotion) and event.enabled
        held_back = isinstance(event, Standing) and event.standing != "good"
        if isinstance(event, Promotion | Standing) and (in_force or held_back):
            found.pop(event.version, None)
        elif isinstance(event, ChangeStep):
            by = one.decision.figures.get(CONTEST, "")
            if by == REFUSED:
                found.pop(event.version, None)
            elif by in (NAMED, MADE) and at_hand(event.version):
                _place(found, Entrant(event.version, by, _is_stopped(one.decision)))
    return tuple(found.values())


def _place(found: dict[str, Entrant], one: Entrant) -> None:
    if one.version not in found and len(found) >= SLOTS:
        stopped = [name for name, other in found.items() if other.stopped]
        unnamed = [name for name, other in reversed(found.items()) if other.by == MADE]
        leaves = next(iter((*stopped, *unnamed)), None)
        if leaves is None:
            return
        del found[leaves]
    found[one.version] = one


def _is_stopped(decision: Decision) -> bool:
    gates = {name: words for name, words in decision.figures.items() if name.startswith(GATE)}
    return any(words.startswith("failed") for name, words in gates.items() if name != f"{GATE}monitors")
