"""The life of an alert, as a table.

Owns the states, the table of transitions, and the diagram drawn from it. Must not know what moves an alert (that is the
alert book's) or who is told.

The theory. An alert is one thing a ward was told, and everything said about it afterwards. It is born `raised` and dies
exactly once. While it is open its news is `updated`; someone may take it (`acknowledged`), or nobody does for too long
(`escalated`). Three deaths, which a ward must be able to tell apart:

- `resolved`: the patient got better, by fresh evidence that lasted.
- `retracted`: it should never have been said; the ground was corrected, withdrawn, merged away or its stay cancelled.
- `expired`: nobody can say any more; evidence dried up, or the patient left.

A dismissal and a disagreement are answers: they enter `acknowledged` and end nothing. A handover to another ward is
`updated`, for the alert goes on. An alert escalates once for each thing told of it: a rise starts the clock again, time
alone does not.

A new emergency within an acknowledged or escalated alert is `updated`, and from there may be acknowledged or escalated
again: taking the old news is not taking the new. The dead stay dead: what stands after a death is a new alert, of the
same episode if it follows soon. A state that is entered twice in a row is `updated` only; acknowledging twice changes
nothing and says nothing. A transition that is not in the table is our bug, never the sender's: it is an assertion.
"""

from __future__ import annotations

from typing import Literal

State = Literal["raised", "updated", "acknowledged", "escalated", "resolved", "retracted", "expired"]

_DEATHS: tuple[State, ...] = ("resolved", "retracted", "expired")

TRANSITIONS: dict[State | Literal["none"], tuple[State, ...]] = {
    "none": ("raised",),
    "raised": ("updated", "acknowledged", "escalated", *_DEATHS),
    "updated": ("updated", "acknowledged", "escalated", *_DEATHS),
    "acknowledged": ("updated", *_DEATHS),
    "escalated": ("updated", "acknowledged", *_DEATHS),
    "resolved": (),
    "retracted": (),
    "expired": (),
}
"""From each state, the states that may follow; `none` is before birth."""

TERMINAL: frozenset[State] = frozenset(_DEATHS)


def may_follow(before: State | Literal["none"], after: State) -> bool:
    """Whether the table lets `after` follow `before`.

    >>> may_follow("raised", "acknowledged"), may_follow("resolved", "updated")
    (True, False)
    """
    return after in TRANSITIONS[before]


def diagram() -> str:
    """Draw the table as a mermaid state diagram, for the documentation.

    >>> print(diagram().splitlines()[1])
        [*] --> raised
    """
    lines = ["stateDiagram-v2"]
    for before, afters in TRANSITIONS.items():
        source = "[*]" if before == "none" else before
        lines += [f"    {source} --> {after}" for after in afters]
        if not afters:
            lines.append(f"    {source} --> [*]")
    return "\n".join(lines) + "\n"
