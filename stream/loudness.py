"""Which decisions need a signature where keys are declared: those that may make the model say more.

Owns that rule. Must not know signatures, nor where decisions are kept. What makes the model say less counts
unsigned, always: safety never waits for a key. What may do either (a configuration) needs one, and so does what people
decide by (a step of change control). The table in docs/change-control.md says it in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from events import ChangeStep, Configuration, KillSwitch, Promotion, Standing
from stream.decision_keys import EVIDENCE, DecisionKey

MACHINE = "wardstream:"
"""Begins the role of a part of the service. People have other roles."""
CHANGE_CONTROL = "wardstream:change-control"
"""Who promotes where nobody does."""

QUIET: Mapping[Literal["good", "held", "demoted"], int] = {"good": 0, "held": 1, "demoted": 2}
"""The higher, the less a version does."""


def is_louder(event: Promotion | Configuration | KillSwitch | Standing | ChangeStep, standing: Standing | None) -> bool:
    """Whether a decision may make the model say more; `standing` is how the version it names stands so far.

    >>> is_louder(KillSwitch(0, engaged=True), None), is_louder(KillSwitch(0, engaged=False), None)
    (False, True)
    >>> held, demoted = (Standing(0, "4f1c02aa91be", word) for word in ("held", "demoted"))
    >>> is_louder(demoted, held), is_louder(held, demoted)
    (False, True)
    >>> is_louder(Promotion(0, "", enabled=False), None), is_louder(Promotion(0, "4f1c02aa91be", enabled=True), None)
    (False, True)
    """
    if isinstance(event, KillSwitch):
        return not event.engaged
    if isinstance(event, Standing):
        return event.standing == "good" or QUIET[event.standing] < QUIET[standing.standing if standing else "good"]
    if isinstance(event, Promotion):
        return event.enabled and bool(event.version)
    return True


def machine_may(event: Promotion | Configuration | KillSwitch | Standing | ChangeStep) -> bool:
    """Whether a part of the service may decide that at all. What was taken back, only a person gives again.

    >>> machine_may(KillSwitch(0, engaged=False))
    False
    """
    return isinstance(event, Promotion | ChangeStep)


def may_configure(key: DecisionKey) -> bool:
    """Whether a key can sign a configuration in some role: one that is no part of the service.

    >>> may_configure(DecisionKey("a5" * 32, ("evidence", "wardstream:monitor")))
    False
    """
    return any(role != EVIDENCE and not role.startswith(MACHINE) for role in key.roles)
