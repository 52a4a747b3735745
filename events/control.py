"""Control events: what people and the service itself decided, entered in the log like everything else.

Owns acknowledgement, feedback, promotion, configuration, kill switch, availability, code version and tick. Must not
know how any of them is signed, sent or applied. All are idempotent: the same one twice changes nothing.

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
    """What a clinician thought of an alert; a signal of its own for learning, never an outcome."""

    event_time: Millis
    alert_id: str
    verdict: Literal["agree", "disagree", "dismissed"]
    reason: str = ""


class Promotion(msgspec.Struct, frozen=True, omit_defaults=True, tag="promotion", gc=False):
    """A model version, named by content hash, becomes the champion (`enabled`) or runs in shadow."""

    event_time: Millis
    version: str
    enabled: bool
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


ControlEvent = Acknowledgement | Feedback | Promotion | Configuration | KillSwitch | Availability | CodeVersion | Tick
