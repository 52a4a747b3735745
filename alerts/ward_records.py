"""A record of `candidates.v1`: an alert event, or the passing of time.

Owns what [ward] reads of one, why it refuses one, and the keys that an event is sent under. Must not know what becomes
of it. A record under a ward's name is an alert event; one under no key is a tick, or a beat (`alerts.ward_beat`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from alerts.contract import NO_WARD, AlertEvent
from alerts.lifecycle import State
from events import Millis, content_id, from_iso, to_iso


class CandidateError(ValueError):
    """A record of `candidates.v1` that cannot be used: dead-lettered, and the partition goes on. `reason` says why."""

    def __init__(self, reason: Literal["undecodable", "misrouted", "no_key"]) -> None:
        """Name the reason; the text holds nothing of the record."""
        super().__init__(reason)
        self.reason = reason


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """What the fold reads of an alert event."""

    event_id: str
    alert_id: str
    seq: int
    state: State
    trigger: str
    disposition: str
    ward: str
    received_time: str
    reason: str
    probability: float | None = None
    age_ms: int = 0
    waited_ms: int | None = None
    """Of one that [ward] has told before, in another installation: it is carried over as it was told."""


class WardTick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The passing of time, on a partition of `candidates.v1` where something waits for it."""

    tick: str
    """An instant, as ISO 8601."""


_candidates = msgspec.json.Decoder(Candidate)
_ticks = msgspec.json.Decoder(WardTick)


def read_candidate(content: bytes) -> tuple[Candidate, Millis]:
    """Read an alert event's frame and received time; raises `CandidateError`."""
    try:
        candidate = _candidates.decode(content)
        return candidate, from_iso(candidate.received_time)
    except (ValueError, RecursionError):
        raise CandidateError("undecodable") from None


def read_tick(content: bytes) -> Millis:
    """Read the instant of a record without a key; raises `CandidateError`.

    >>> read_tick(write_tick(60_000))
    60000
    """
    try:
        return from_iso(_ticks.decode(content).tick)
    except (ValueError, RecursionError):
        raise CandidateError("no_key") from None


def write_tick(at: Millis) -> bytes:
    """Write a tick."""
    return msgspec.json.encode(WardTick(to_iso(at)))


def name_tick(at: Millis) -> str:
    """Derive a tick's id from its instant.

    >>> name_tick(0) == name_tick(0) != name_tick(60_000)
    True
    """
    return content_id("ward_tick", str(at))


def frame_of(event: AlertEvent) -> Candidate:
    """Give what the fold reads of an event that was never encoded."""
    return Candidate(
        event.event_id,
        event.alert_id,
        event.seq,
        event.state,
        event.trigger,
        event.disposition,
        event.ward,
        "",
        event.reason,
        event.probability,
        event.age_ms,
        event.waited_ms,
    )


def routes(event: AlertEvent) -> tuple[str, ...]:
    """Give the keys a candidate is sent under: its ward, and the ward that its patient has left with it.

    Under the second it is folded too, and says there only that the alert has left.
    """
    ward = event.ward or NO_WARD
    former = ward if event.former_ward is None else event.former_ward or NO_WARD
    return (ward,) if former == ward else (ward, former)


def state_key(ward: str, alert_id: str) -> str:
    """Name an alert's state in a ward.

    >>> state_key("W1", "a")
    'W1|a'
    """
    return f"{ward}|{alert_id}"
