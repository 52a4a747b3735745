"""The straight path of an envelope's observations into a patient's series.

Owns the loop over what nearly every message holds: a final, possible number in a known unit, of a feature with nothing
held against it. Must not know any other kind of observation: each of those goes to `PatientState.observe`, which says
of the plain ones the same as this loop does, more slowly.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
from itertools import islice
from math import floor

from events import Event, Millis, Observation
from features.catalogue import Resolution, Resolutions
from features.intake import Intake, Outcome
from features.series import (
    DUPLICATE,
    GRID_MS,
    HOUR,
    ID_BYTES,
    ORDER,
    RAW_ENTRIES_MAX,
    RETENTION_MS,
    STORED,
    Put,
    Series,
    W,
)

_LENGTH_MAX = RAW_ENTRIES_MAX * W
_PLAIN_STATUSES = frozenset({"final", "preliminary"})

OUTCOMES: dict[Put, tuple[Outcome, str]] = {
    Put.STORED: ("accepted", ""),
    Put.DUPLICATE: ("duplicate", ""),
    Put.UPDATED: ("corrected", "updated"),
    Put.TOO_OLD: ("too_old", ""),
}

Observe = Callable[[Observation, Millis, str], Intake]
Odd = list[tuple[Intake, Observation]]
"""What was not simply accepted, with the observation it was."""
Kept = tuple[list[Series | None], "array[int]", list[str], Resolutions, Collection[int], Collection[int]]
"""A patient's series, receipts and message ids by feature index; the catalogue's resolutions; features with a
quarantined value; ids that were superseded."""


def intake_of(put: Put, resolution: Resolution, identity: int, event_time: Millis, steps: int) -> Intake:
    """Say what became of a value that was put into its series."""
    outcome, reason = OUTCOMES[put]
    return Intake(outcome, resolution.name, reason, identity, event_time, steps / resolution.steps)


def take_run(
    events: tuple[Event, ...], at: int, received_time: Millis, message_id: str, kept: Kept, observe: Observe
) -> tuple[int, Odd]:
    """Take in the observation at a place in `events` and those that follow it at once (hot path).

    Give the place after them, and every intake but the plain `accepted`.
    """
    every, received, message_ids, resolutions, barred, superseded = kept
    odd: Odd = []
    for event in islice(events, at, None):
        if type(event) is not Observation:
            break
        at += 1
        value, event_time = event.value, event.event_time
        if (
            value is not None
            and event_time <= received_time
            and event.status in _PLAIN_STATUSES
            and not event.comparator
            and not event.resource
            and not barred
            and not superseded
            and (resolution := resolutions[event.codings, event.unit, event.qualifiers]) is not None
            and resolution.plain
            and resolution.low <= (scaled := value * resolution.factor + resolution.offset) < resolution.high + 1
            and (series := every[resolution.index]) is not None
        ):
            index, raw, rows, identity = resolution.index, series.raw, series.rows, event.observation_id
            oldest_kept = event_time - RETENTION_MS
            if (
                raw
                and event_time > raw[-3]
                and len(raw) < _LENGTH_MAX
                and raw[0] >= oldest_kept
                and (rows is None or rows[HOUR] * GRID_MS >= oldest_kept)
                and identity.to_bytes(ID_BYTES, ORDER) not in raw.tobytes()
            ):
                # What `Series.put` comes to for a newer reading of a new id, with room and nothing to forget.
                raw.fromlist([event_time, floor(scaled), identity])
                received[index] = received_time
                message_ids[index] = message_id
                continue
            steps = floor(scaled)
            put = series.put(event_time, steps, identity)
            if put is not DUPLICATE and raw and raw[-1] == identity and raw[-3] == event_time:
                received[index] = received_time
                message_ids[index] = message_id
            if put is not STORED:
                odd.append((intake_of(put, resolution, identity, event_time, steps), event))
            continue
        intake = observe(event, received_time, event.resource or message_id)
        if intake.outcome != "accepted":
            odd.append((intake, event))
    return at, odd
