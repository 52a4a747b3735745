"""The documents of an act, as JSON: one shape for each kind, with what each field may hold.

Owns the shapes; docs/schemas/act.v1.json is made of them. Must not know who hands one in: no act names its actor, for
that is whoever authenticated. The plain acknowledgement of earlier releases, which does, is still read.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from connectors.acts.reasons import Reason
from events.control import LimitKind

ActKind = Literal["acknowledge", "dismiss", "disagree", "agree", "review", "limit", "withdraw_limit"]

PatientKey = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
"""As the alert has it: a pseudonym."""
Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:-]{1,64}$")]
"""Of an alert or a score, as it was told: without blanks, so that nobody's name stands there, in the log for good."""
ActId = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:-]{16,64}$")]
"""Chosen by who acts, a new one for each act (a UUID will do): the same one twice is the same act, and counts once."""
LimitId = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:-]{1,64}$")]
"""Of one patient's limits: the same one again replaces what it said."""
Instant = Annotated[str, msgspec.Meta(max_length=40)]
"""ISO 8601 with its zone."""
Total = Annotated[int, msgspec.Meta(ge=1, le=20)]
"""Of NEWS2, whose highest is 20."""


class AcknowledgementRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plain acknowledgement: no kind, no id of its own."""

    patient: PatientKey
    alert_id: Name
    at: Instant
    actor: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """A role or a pseudonym, never a name. It counts only where nobody is asked who they are."""


class _Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every act has."""

    act_id: ActId
    patient: PatientKey
    at: Instant
    """When it was decided."""


class Acknowledge(_Act, frozen=True, tag="acknowledge"):
    """Somebody takes responsibility for an alert."""

    alert_id: Name


class Dismiss(_Act, frozen=True, tag="dismiss"):
    """An alert is answered: nothing is to be done, for a reason."""

    alert_id: Name
    reason: Reason


class Disagree(_Act, frozen=True, tag="disagree"):
    """Seen, but the alert is held to be wrong; it stays."""

    alert_id: Name
    reason: Reason | None = None


class Agree(_Act, frozen=True, tag="agree"):
    """The alert is held to be right."""

    alert_id: Name
    reason: Reason | None = None


class DecideReview(_Act, frozen=True, tag="review"):
    """A score that was deferred to a person is decided on."""

    score_id: Name
    decision: Literal["tell", "withhold"]
    reason: Reason | None = None


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which NEWS2 totals the ward is told of this patient."""

    notify_at: Total
    interrupt_at: Total
    """Not below `notify_at`."""
    tell_red: bool = True
    """Whether a single red parameter is told."""


class SetLimit(_Act, frozen=True, tag="limit"):
    """A limit for one patient, until `expires_at`; the same `limit_id` again replaces it."""

    limit_id: LimitId
    limit: LimitKind
    expires_at: Instant
    reason: Reason
    thresholds: Thresholds | None = None
    """Needed with `thresholds`; with `end_of_life` those from which the ward is told all the same."""


class WithdrawLimit(_Act, frozen=True, tag="withdraw_limit"):
    """A limit ends now."""

    limit_id: LimitId
    limit: LimitKind
    reason: Reason | None = None


Document = Acknowledge | Dismiss | Disagree | Agree | DecideReview | SetLimit | WithdrawLimit
"""An act, but for the plain acknowledgement."""
