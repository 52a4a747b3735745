"""What was said: the signals that stand, and the number of the last one of each subject.

Owns `seq`, and that nothing is raised twice, cleared unraised or left out unsaid. Must not know why anything is said.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from alerts.monitoring.signal import Signal, SignalKind, make_signal
from events import Millis

Key = tuple[SignalKind, str]
"""Kind and subject."""

SUBJECTS_MAX = 5_000
"""Subjects whose last `seq` is remembered after their signal was cleared; of one that was forgotten it begins at 1."""
OPEN_MAX = 10_000
"""Signals that stand at once, beside the one that says that there are no more: every patient of a large hospital."""
ROOM_AGAIN = OPEN_MAX * 7 // 8
"""So few have to stand until that one is cleared: at the limit itself it would come and go with each."""
FULL: Key = ("monitor_full", "partition|signals")
VOICE_CHUNKS = 1_024
"""What is kept of the signals lies in so many parts."""


class Voice:
    """Says signals, each once.

    >>> voice, said = Voice(0), []
    >>> voice.tell("ward_silent", "ward|W3", 60_000, 0, said, ward="W3")
    >>> voice.tell("ward_silent", "ward|W3", 60_000, 0, said, ward="W3")
    >>> voice.clear("ward_silent", "ward|W3", 90_000, said, "heard again")
    >>> [(one.seq, one.state) for one in said]
    [(1, 'raised'), (2, 'cleared')]
    """

    __slots__ = ("changed", "members", "partition", "place", "standing", "told", "unsaid")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.standing: dict[Key, Signal] = {}
        self.told: dict[Key, int] = {}
        """The last `seq` of subjects of which nothing stands."""
        self.members: list[dict[Key, int]] = [{} for _ in range(VOICE_CHUNKS)]
        """The keys of both by the chunk that they are stored in, each with its place in their order."""
        self.changed: set[int] = set()
        """Chunks that are to be stored."""
        self.unsaid = 0
        """Signals for which there was no room since `FULL` was said."""
        self.place = 0
        """The last one given."""

    def restore(self, said: list[tuple[int, Key, int, Signal | None]], place: int, unsaid: int) -> None:
        """Take over what was kept, in its order."""
        self.place, self.unsaid = place, unsaid
        for at, key, seq, raised in said:
            if raised is None:
                self.told[key] = seq
            else:
                self.standing[key] = raised
            self.members[_chunk_of(key)][key] = at

    def _put(self, key: Key) -> None:
        """Put a key after all others."""
        self.place += 1
        number = _chunk_of(key)
        self.members[number][key] = self.place
        self.changed.add(number)

    def tell(self, kind: SignalKind, subject: str, at: Millis, since: Millis, said: list[Any], **of: Any) -> None:
        """Raise a signal, unless it stands."""
        key = (kind, subject)
        if key in self.standing:
            return
        if len(self.standing) >= OPEN_MAX and key != FULL:
            self.unsaid += 1
            self.tell(*FULL, at, at, said, detail=f"{OPEN_MAX} signals stand, further ones are counted and not told")
            return
        seq = self.told.pop(key, 0) + 1
        signal = make_signal(kind, subject, "raised", seq, at, since, self.partition, **of)
        self.standing[key] = signal
        self._put(key)
        said.append(signal)

    def clear(self, kind: SignalKind, subject: str, at: Millis, said: list[Any], detail: str) -> None:
        """Clear a signal, if it stands."""
        key = (kind, subject)
        raised = self.standing.pop(key, None)
        if raised is None:
            return
        of = msgspec.structs.asdict(raised)
        for name in ("signal_id", "kind", "subject", "state", "seq", "received_time", "since", "partition", "detail"):
            del of[name]
        seq = raised.seq + 1
        said.append(make_signal(kind, subject, "cleared", seq, at, raised.since, self.partition, detail=detail, **of))
        self.told[key] = seq
        self._put(key)
        if len(self.told) > SUBJECTS_MAX:
            self._forget(next(iter(self.told)))
        if key != FULL and FULL in self.standing and len(self.standing) <= ROOM_AGAIN:
            self.clear(*FULL, at, said, f"there is room again; {self.unsaid} were not told")
            self.unsaid = 0

    def _forget(self, key: Key) -> None:
        del self.told[key]
        number = _chunk_of(key)
        del self.members[number][key]
        self.changed.add(number)


def _chunk_of(key: Key) -> int:
    return crc32(key[1].encode()) % VOICE_CHUNKS
