"""The ward's heartbeat: of one partition of [ward], the newest number that each of its wards was told.

Owns the beat (the record without a key on `candidates.v1` that asks for one), and the signals that answer it. Must not
know who enters a beat, nor the fold that the numbers are of: a beat changes nothing there, not even its clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from alerts.monitoring.signal import Signal, make_signal
from events import Millis, content_id, from_iso, to_iso

WARDS_NAMED_MAX = 500
"""Wards that one signal names: some 50 KB with long names. A partition that has more says so in several signals."""


class WardBeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole minute has come, and whoever works this partition of `candidates.v1` entered it."""

    beat: str
    """An instant, as ISO 8601."""


_beats = msgspec.json.Decoder(WardBeat)


def read_beat(content: bytes) -> Millis | None:
    """Read the instant of a beat from a record without a key; None where it is none.

    >>> read_beat(write_beat(60_000)), read_beat(b'{"tick":"1970-01-01T00:01:00Z"}')
    (60000, None)
    """
    try:
        return from_iso(_beats.decode(content).beat)
    except (ValueError, RecursionError):
        return None


def write_beat(at: Millis) -> bytes:
    """Write a beat."""
    return msgspec.json.encode(WardBeat(to_iso(at)))


def name_beat(at: Millis) -> str:
    """Derive a beat's id from its minute.

    >>> name_beat(0) == name_beat(0) != name_beat(60_000)
    True
    """
    return content_id("ward_beat", str(at))


def heartbeats(partition: int, at: Millis, newest: Sequence[tuple[str, int]]) -> list[Signal]:
    """Say which numbers are the newest of a partition's wards, as of a beat; also where no ward was told anything.

    All of it follows from the log up to the beat, so work that is repeated gives the same ids.

    >>> [(one.subject, one.newest) for one in heartbeats(3, 60_000, [("W1", 7), ("W2", 1)])]
    [('ward_partition|3', (('W1', 7), ('W2', 1)))]
    >>> [one.detail for one in heartbeats(0, 0, [(f"W{number}", 1) for number in range(501)])]
    ['part 1 of 2', 'part 2 of 2']
    """
    parts = [tuple(newest[begin : begin + WARDS_NAMED_MAX]) for begin in range(0, len(newest), WARDS_NAMED_MAX)] or [()]
    return [
        make_signal(
            "heartbeat",
            f"ward_partition|{partition}",
            "alive",
            0,
            at,
            at,
            partition,
            newest=part,
            detail=f"part {number} of {len(parts)}" if len(parts) > 1 else "",
        )
        for number, part in enumerate(parts, 1)
    ]
