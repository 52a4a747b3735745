"""Control events: what people and the service itself decided, entered in the log like everything else.

Owns acknowledgement, feedback, review, a patient's limit, promotion, standing, a step of change control, configuration,
kill switch, availability, code version and tick. Must not know how any of them is signed, sent or applied. All are
idempotent: the same one twice changes nothing.

In the live service a promotion, a configuration and the kill switch carry their `sequence`: their place in the order in
which people decided (1, 2, 3 ...). It is 0 where there is one log and the order is its own.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from events.times import Millis


class Acknowledgement(msgspec.Struct, frozen=True, omit_defaults=True, tag="acknowledgement", gc=False):
    """Somebody took responsibility for an alert. `actor` is a role or a pseudonym, never a name."""

    event_time: Millis
    alert_id: str
    actor: str = ""


class Feedback(msgspec.Struct, frozen=True, omit_defaults=True, tag="feedback", gc=False):
    """What a clinician thought of an alert; a signal of its own for learning, never an outcome.

    `disagree` is "seen but disagree": the alert is answered and stays. `dismissed` answers it with a coded `reason`.
    """

    event_time: Millis
    alert_id: str
    verdict: Literal["agree", "disagree", "dismissed"]
    reason: str = ""
    actor: str = ""
    """A role or a pseudonym, never a name."""


class Review(msgspec.Struct, frozen=True, omit_defaults=True, tag="review", gc=False):
    """A clinician decided on a score that was deferred to review: `tell` lets the patient's model scores be told."""

    event_time: Millis
    score_id: str
    decision: Literal["tell", "withhold"]
    actor: str = ""
    reason: str = ""


LimitKind = Literal["thresholds", "scale_2", "end_of_life", "not_for_escalation", "pregnancy"]


class Limit(msgspec.Struct, frozen=True, omit_defaults=True, tag="limit", gc=False):
    """What a clinician set for one patient until `expires_at`: the same `limit_id` replaces it, `withdrawn` ends it."""

    event_time: Millis
    limit_id: str
    kind: LimitKind
    expires_at: Millis
    actor: str = ""
    """A role or a pseudonym, never a name."""
    reason: str = ""
    """A code: `known_baseline`, `comfort_care`, ..."""
    notify_at: int = 0
    """Of `thresholds`: the NEWS2 total from which the ward is told."""
    interrupt_at: int = 0
    """Of `thresholds`: the total that interrupts."""
    tell_red: bool = True
    """Of `thresholds`: whether a single red parameter is told."""
    withdrawn: bool = False


class Promotion(msgspec.Struct, frozen=True, omit_defaults=True, tag="promotion", gc=False):
    """A model version, named by content hash, becomes the champion (`enabled`) or runs in shadow."""

    event_time: Millis
    version: str
    enabled: bool
    sequence: int = 0


class Standing(msgspec.Struct, frozen=True, omit_defaults=True, tag="standing", gc=False):
    """A monitor (drift, calibration, subgroups) or a person holds back a version, or lifts that. Never the floor."""

    event_time: Millis
    version: str
    standing: Literal["good", "held", "demoted"]
    """`held`: computed and published, not told. `demoted`: NEWS2 alone."""
    reason: str = ""
    sequence: int = 0


class ChangeStep(msgspec.Struct, frozen=True, omit_defaults=True, tag="change_step", gc=False):
    """A step of change control that changes nothing in force: a challenger is proposed, or judged by the gates."""

    event_time: Millis
    version: str
    step: Literal["proposed", "passed", "lacking", "failed"]
    evidence: str = ""
    """The digest of the evidence that it rests on."""
    sequence: int = 0


class Configuration(msgspec.Struct, frozen=True, omit_defaults=True, tag="configuration", gc=False):
    """The configuration in force from here on, as canonical JSON text, named by its hash."""

    event_time: Millis
    configuration_hash: str
    content: str
    sequence: int = 0


class KillSwitch(msgspec.Struct, frozen=True, omit_defaults=True, tag="kill_switch", gc=False):
    """The model's voice is cut (`engaged`) or given back. The NEWS2 floor is never touched by it."""

    event_time: Millis
    engaged: bool
    reason: str = ""
    sequence: int = 0


class Availability(msgspec.Struct, frozen=True, omit_defaults=True, tag="availability", gc=False):
    """Whether who folds this partition has a model version, from here on. Only what has a `sequence` waits for it."""

    event_time: Millis
    version: str
    available: bool


class CodeVersion(msgspec.Struct, frozen=True, omit_defaults=True, tag="code_version", gc=False):
    """The release that computes from here on; replay says where it changes."""

    event_time: Millis
    version: str


class Tick(msgspec.Struct, frozen=True, omit_defaults=True, tag="tick", gc=False):
    """Time passed. Timers fire on ticks, so that replay fires them where live did."""

    event_time: Millis
    behind: bool = False
    """Until now records may have waited before the log, or nobody listened: nobody's silence is told by it."""


ControlEvent = (
    Acknowledgement
    | Feedback
    | Review
    | Limit
    | Promotion
    | Standing
    | ChangeStep
    | Configuration
    | KillSwitch
    | Availability
    | CodeVersion
    | Tick
)
