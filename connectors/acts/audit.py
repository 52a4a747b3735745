"""What is told of each act that was handed in: who, what kind, what became of it. Nothing of any patient.

Owns the line's fields. Must not know where lines go. An act is named by the id of its record in the log, which is made
of its own id: what a sender chose freely, and may have made of a patient's number, is not repeated.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from connectors.acts.codec import Act, decoded_act
from connectors.acts.door import Who
from events import uuid_text

Outcome = Literal["accepted", "duplicate", "let_in", "refused", "not_stored"]
"""`let_in`: on its way into the log, which knows whether it is a repeat."""


class ActNote(msgspec.Struct, frozen=True):
    """One line. `record` is the envelope's id; `actor` is empty where nobody is known to stand behind it."""

    outcome: Outcome
    reason: str = ""
    kind: str = ""
    actor: str = ""
    role: str = ""
    record: str = ""


def note(outcome: Outcome, *, who: Who | None = None, act: Act | None = None, reason: str = "") -> ActNote:
    """Make the line.

    >>> note("refused", reason="unauthorised").actor
    ''
    """
    actor = "" if who is None else who.actor
    return ActNote(
        outcome,
        reason,
        "" if act is None else act.kind,
        actor,
        "" if who is None else who.person.role,
        "" if act is None else uuid_text(decoded_act(act, actor).content_hash),
    )
