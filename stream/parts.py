"""What merges leave on a patient's record: the parts it was joined of, by source key, and where a retired key leads.

Owns the parts, how an event is filed with the one it is of, and their stored form. Must not know effects, nor when two
records are joined or parted: `stream.merging` does.

A record that was never merged has none of this. A merged one keeps beside the joined view, from which it is scored, the
state of each source for itself, and files every later event twice: so an unmerge can give to each what is its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from events import Admission, Cancellation, Correction, Demographics, Discharge, Envelope, Observation, Transfer
from features.catalogue import Catalogue
from features.encoding import decode as take_apart
from features.series import FIRST_ID, R, W
from features.state import PatientState
from features.thinning import public_id

PARTS_MAX = 8
"""Sources kept apart in one record. A patient with more was registered anew at every door; the longest joined is then
joined for good, and can be unmerged no more."""
CHANGES_MAX = 2 * PARTS_MAX
"""Merges and unmerges remembered, for what was still on its way when they came: for seconds."""
MERGED, RESTORED = "+", "-"
"""Before a key among the changes: it was merged into this one; it was taken out again."""
MOVES = (Demographics, Transfer, Admission, Discharge, Cancellation)


class Part:
    """The state of one source, and the key it was merged into (empty: the record's own)."""

    __slots__ = ("into", "scale_2", "state")

    def __init__(self, state: PatientState, into: str = "", *, scale_2: bool = False) -> None:
        self.state = state
        self.into = into
        self.scale_2 = scale_2


class StoredPart(msgspec.Struct, frozen=True, array_like=True):
    """The stored form of a part."""

    key: str
    into: str
    state: bytes
    scale_2: bool


class StoredMerges(msgspec.Struct, frozen=True, array_like=True):
    """The stored form of what merges left."""

    away: str
    own: bytes
    own_scale_2: bool
    others: tuple[StoredPart, ...]
    changes: tuple[str, ...]


class Merges:
    """What merges left on one record. Mutable: it belongs to its record."""

    __slots__ = ("away", "changes", "others", "own", "own_scale_2")

    def __init__(self, away: str = "") -> None:
        self.away = away
        """The key that this one is retired into; empty for a patient of its own."""
        self.own: PatientState | None = None
        """What is the record's own; None where nothing was merged into it."""
        self.own_scale_2 = False
        self.others: dict[str, Part] = {}
        """The sources that were merged into it, the longest joined first."""
        self.changes: tuple[str, ...] = ()
        """The keys last restored from here, and those merged into it since, each once, in order."""

    def begin(self, state: PatientState, *, scale_2: bool) -> PatientState:
        """Keep the record's own state apart from here on, if it is not yet; give it."""
        if self.own is None:
            self.own, self.own_scale_2 = copied(state), scale_2
        return self.own

    def note(self, mark: str, key: str) -> None:
        """Remember that a key was merged into this one, or restored from it."""
        changes = [*(one for one in self.changes if one[1:] != key), mark + key][-CHANGES_MAX:]
        # A merge matters only beside an unmerge before it.
        first = next((at for at, one in enumerate(changes) if one[0] == RESTORED), len(changes))
        self.changes = tuple(changes[first:])

    def inherit(self, changes: tuple[str, ...], own: str) -> None:
        """Remember the changes of a record that was merged into this one, of key `own`, and is no more."""
        for one in changes:
            if one[1:] != own:
                self.note(one[0], one[1:])

    def home_of(self, path: tuple[str, ...]) -> str:
        """Give the key that what came along a path belongs to; empty where that is this one.

        The path is of keys each of which was merged into the next, and the last into this one. What was still on its
        way when one of them was restored from here is that one's; unless it, or one after it, was merged again since.
        """
        at = {change: number for number, change in enumerate(self.changes)}
        for place, key in enumerate(path):
            restored = at.get(RESTORED + key, -1)
            if restored >= 0 and all(at.get(MERGED + later, -1) < restored for later in path[place:]):
                return key
        return ""

    def add(self, key: str, part: Part) -> tuple[str, str] | None:
        """Keep a source apart; one that is here already takes in what is new of it.

        Where there are too many, give the key that is kept apart no more, and the one it was joined with.
        """
        assert self.own is not None, "begin first"
        known = self.others.get(key)
        if known is not None:
            known.state.absorb(part.state)
            known.scale_2 = known.scale_2 or part.scale_2
            return None
        self.others[key] = part
        return self._settle(next(iter(self.others))) if len(self.others) > PARTS_MAX else None

    def _settle(self, key: str) -> tuple[str, str]:
        """Join a part for good with the one it was merged into; give the two keys."""
        assert self.own is not None, "a record with parts has its own"
        part = self.others.pop(key)
        for other in self.others.values():
            if other.into == key:
                other.into = part.into
        into = self.others.get(part.into)
        if into is None:
            self.own.absorb(part.state)
            self.own_scale_2 = self.own_scale_2 or part.scale_2
        else:
            into.state.absorb(part.state)
            into.scale_2 = into.scale_2 or part.scale_2
        return key, part.into if into is not None else ""

    def source_of(self, named: Iterable[str]) -> str:
        """Give the part that what names these keys is of; empty for the record's own.

        >>> Merges().source_of(["a"])
        ''
        """
        return next((key for key in named if key in self.others), "")

    def take_out(self, key: str) -> dict[str, Part]:
        """Take out a source with all that had been merged into it; empty where it is not here."""
        taken = {name: self.others[name] for name in self.others if key in self.path(name)}
        for name in taken:
            del self.others[name]
        return taken

    def path(self, key: str) -> tuple[str, ...]:
        """Give the key of a part, then those it was merged into, one after the other, up to this record's own."""
        path: list[str] = []
        while (part := self.others.get(key)) is not None and key not in path:
            path.append(key)
            key = part.into
        return tuple(path)

    def view(self) -> PatientState:
        """Join own state and parts anew."""
        assert self.own is not None, "begin first"
        joined = copied(self.own)
        for part in self.others.values():
            joined.absorb(copied(part.state))
        return joined

    def file(self, envelope: Envelope) -> None:
        """Fold an envelope's events into the state of the source that it names, beside the view."""
        if self.own is None:
            return
        part = self.others.get(self.source_of(envelope.named))
        state = self.own if part is None else part.state
        events, received = envelope.events, envelope.received_time
        at = 0
        while at < len(events):
            event = events[at]
            if type(event) is Observation:
                at, _ = state.observe_run(events, at, received, envelope.message_id)
                continue
            at += 1
            if type(event) is Correction:
                # Told under the number that stands now, it may be of a result that came under the other.
                held = self._holder(event, received) or state
                held.correct(event, received, event.observation.resource or envelope.message_id)
            elif isinstance(event, MOVES):
                state.apply(event, received, envelope.encounter)

    def _holder(self, correction: Correction, received: int) -> PatientState | None:
        """Find the source whose result is corrected."""
        assert self.own is not None, "only asked of a record with parts"
        obs = correction.observation
        resolution = self.own.catalogue.resolutions[obs.codings, obs.unit, obs.qualifiers]
        if resolution is None:
            return None
        time = min(obs.event_time, received)
        for state in (self.own, *(part.state for part in self.others.values())):
            if any(one == obs.observation_id for _, _, one in state.held_at(resolution.index, time)):
                return state
        return None

    @property
    def empty(self) -> bool:
        """Whether merges left nothing."""
        return not (self.away or self.changes or self.others or self.own is not None)

    def encode(self) -> bytes:
        """Encode it for the store."""
        own = b"" if self.own is None else self.own.encode()
        others = tuple(
            StoredPart(key, part.into, part.state.encode(), part.scale_2) for key, part in self.others.items()
        )
        return msgspec.msgpack.encode(StoredMerges(self.away, own, self.own_scale_2, others, self.changes))

    @classmethod
    def decode(cls, data: bytes, catalogue: Catalogue) -> Merges:
        """Decode what `encode` wrote; raises `msgspec.DecodeError` or what `PatientState.decode` raises."""
        stored = msgspec.msgpack.decode(data, type=StoredMerges)
        merges = cls(stored.away)
        merges.changes = stored.changes
        merges.own_scale_2 = stored.own_scale_2
        if stored.own:
            merges.own = PatientState.decode(stored.own, catalogue)
        for one in stored.others:
            merges.others[one.key] = Part(PatientState.decode(one.state, catalogue), one.into, scale_2=one.scale_2)
        return merges


def copied(state: PatientState) -> PatientState:
    """Give a state that changes by itself."""
    return PatientState.decode(state.encode(), state.catalogue)


def result_ids(state: PatientState) -> set[int]:
    """Give the ids of all results that a state still knows one by one or as an hour's extremes.

    >>> result_ids(PatientState())
    set()
    """
    ids: set[int] = set()
    for _, _, series in take_apart(state.encode()).series:
        ids.update(map(public_id, series.raw[W - 1 :: W]))
        for column in range(FIRST_ID, R):
            ids.update(map(public_id, (series.rows or ())[column::R]))
    return ids
