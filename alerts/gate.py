"""Where the delivery gate stood, and which ward settings were in force, by position of a partition of `candidates.v1`.

Owns the list of changes and its stored form. Must not know who moved the gate or decided the settings, nor how the list
is published. Both follow what people decide at once, also past a backlog, so they are no part of the partition's log:
their positions are recorded before anything is put out under them, and a redo and a replay read them from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from alerts.ward_settings import WardSettings, read_wards

CHANGES_KEPT_MAX = 1_000
"""Of one partition, newest: a redo reaches back some batches; a replay reads `gates.v1`, which keeps all."""


class GateChange(msgspec.Struct, frozen=True):
    """From `position` (an offset of the partition) on, the gate is closed or open, or other settings are in force."""

    partition: int
    position: int
    closed: bool
    sequence: int = 0
    """Of the decision that moved it (its offset on `control.v1` + 1); 0 where it is not known."""
    wards: str | None = None
    """The ward settings (`[wards]`, as JSON) from here on; null: those of before. Before the first there was no budget
    at all, as in releases that had none."""


class GatePositions:
    """The changes of one partition, in order of position.

    >>> positions = GatePositions(0)
    >>> positions.change(7, closed=True, sequence=1)
    GateChange(partition=0, position=7, closed=True, sequence=1, wards=None)
    >>> positions.closed_at(6), positions.closed_at(7)
    (False, True)
    """

    def __init__(self, partition: int, changes: tuple[GateChange, ...] = ()) -> None:
        """Begin with the changes known so far; before the first of them the gate was open, and no budget stood."""
        self.partition = partition
        self.changes: list[GateChange] = sorted(changes, key=lambda change: (change.position, change.sequence))

    @property
    def closed(self) -> bool:
        """Where the gate stands after the newest change."""
        return bool(self.changes) and self.changes[-1].closed

    @property
    def wards(self) -> str | None:
        """The ward settings after the newest change, as text; None before any."""
        return next((change.wards for change in reversed(self.changes) if change.wards is not None), None)

    def closed_at(self, position: int) -> bool:
        """Whether the gate is closed for the record at `position`."""
        for change in reversed(self.changes):
            if change.position <= position:
                return change.closed
        return False

    def wards_at(self, position: int) -> WardSettings | None:
        """Give the ward settings for the record at `position`; those that this release cannot read are passed by."""
        for change in reversed(self.changes):
            if change.wards is not None and change.position <= position:
                with suppress(ValueError):
                    return read_wards(change.wards)
        return None

    def change(self, position: int, *, closed: bool, sequence: int = 0, wards: str | None = None) -> GateChange | None:
        """Move the gate, or put settings into force, from `position` on; give the change to record, or None.

        None is for what stands so already. `position` must be past everything that may have been put out (a redo
        included); it is never set before an earlier change.
        """
        wards = None if wards == self.wards else wards
        if closed == self.closed and wards is None:
            return None
        if self.changes:
            last = self.changes[-1]
            # In order of both, so that the order outlives being read back from anywhere.
            position, sequence = max(position, last.position), max(sequence, last.sequence)
        change = GateChange(self.partition, position, closed, sequence, wards)
        self.changes.append(change)
        self._trim()
        return change

    def _trim(self) -> None:
        """Forget the oldest; what was in force with them stays known."""
        gone = self.changes[:-CHANGES_KEPT_MAX]
        if not gone:
            return
        text = next((change.wards for change in reversed(gone) if change.wards is not None), None)
        del self.changes[:-CHANGES_KEPT_MAX]
        if self.changes[0].wards is None and text is not None:
            self.changes[0] = msgspec.structs.replace(self.changes[0], wards=text)

    def encode(self) -> bytes:
        """Encode the changes for the store."""
        return msgspec.json.encode(self.changes)

    @classmethod
    def decode(cls, partition: int, data: bytes | None) -> GatePositions:
        """Read what `encode` wrote, or begin anew; raises `msgspec.DecodeError` where it is none of it."""
        return cls(partition, () if data is None else msgspec.json.decode(data, type=tuple[GateChange, ...]))


def encode_change(change: GateChange) -> bytes:
    """Encode one change as it stands on `gates.v1`."""
    return msgspec.json.encode(change)


def decode_change(data: bytes) -> GateChange:
    """Read one change; raises `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=GateChange)


def read_changes(values: Iterable[bytes | None]) -> dict[int, list[GateChange]]:
    """Read the changes on `gates.v1` by partition; a record that is none is passed by.

    >>> list(read_changes([encode_change(GateChange(3, 17, closed=True)), b"none", None]))
    [3]
    """
    found: dict[int, list[GateChange]] = {}
    for value in values:
        with suppress(msgspec.DecodeError):
            change = decode_change(value or b"")
            found.setdefault(change.partition, []).append(change)
    return found
