"""Where the delivery gate stood, by position of one partition of `candidates.v1`.

Owns the list of changes and its stored form. Must not know who moved the gate, nor how the list is published. The gate
follows what people decide at once, also past a backlog, so it is no part of the partition's log: its positions are
recorded before anything is put out under them, and a redo and a replay read them from there.
"""

from __future__ import annotations

import msgspec

CHANGES_KEPT_MAX = 1_000
"""Of one partition, newest: a redo reaches back some batches; a replay reads `gates.v1`, which keeps all."""


class GateChange(msgspec.Struct, frozen=True):
    """From `position` (an offset of the partition) on, the gate is closed or open."""

    partition: int
    position: int
    closed: bool
    sequence: int = 0
    """Of the decision that moved it (its offset on `control.v1` + 1); 0 where it is not known."""


class GatePositions:
    """The changes of one partition, in order of position.

    >>> positions = GatePositions(0)
    >>> positions.change(7, closed=True, sequence=1)
    GateChange(partition=0, position=7, closed=True, sequence=1)
    >>> positions.closed_at(6), positions.closed_at(7)
    (False, True)
    """

    def __init__(self, partition: int, changes: tuple[GateChange, ...] = ()) -> None:
        """Begin with the changes known so far; before the first of them the gate was open."""
        self.partition = partition
        self.changes: list[GateChange] = sorted(changes, key=lambda change: (change.position, change.sequence))

    @property
    def closed(self) -> bool:
        """Where the gate stands after the newest change."""
        return bool(self.changes) and self.changes[-1].closed

    def closed_at(self, position: int) -> bool:
        """Whether the gate is closed for the record at `position`."""
        for change in reversed(self.changes):
            if change.position <= position:
                return change.closed
        return False

    def change(self, position: int, *, closed: bool, sequence: int = 0) -> GateChange | None:
        """Move the gate from `position` on; give the change to record, or None where it stands so already.

        `position` must be past everything that may have been put out (a redo included); it is never set before an
        earlier change.
        """
        if closed == self.closed:
            return None
        last = self.changes[-1].position if self.changes else 0
        change = GateChange(self.partition, max(position, last), closed, sequence)
        self.changes.append(change)
        del self.changes[:-CHANGES_KEPT_MAX]
        return change

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
