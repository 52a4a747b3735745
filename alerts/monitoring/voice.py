"""What was said: the signals that stand, and the number of the last one of each subject.

Owns `seq`, and that nothing is raised twice or cleared unraised. Must not know why anything is said.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alerts.monitoring.signal import Signal, SignalKind, make_signal
from events import Millis

SUBJECTS_MAX = 5_000
"""Subjects whose last `seq` is remembered after their signal was cleared; of one that was forgotten it begins at 1."""
OPEN_MAX = 10_000
"""Signals that stand at once: every patient of a very large hospital, twice."""

Key = tuple[SignalKind, str]
"""Kind and subject."""


class Voice:
    """Says signals, each once.

    >>> voice, said = Voice(0), []
    >>> voice.tell("ward_silent", "ward|W3", 60_000, 0, said, ward="W3")
    >>> voice.tell("ward_silent", "ward|W3", 60_000, 0, said, ward="W3")
    >>> voice.clear("ward_silent", "ward|W3", 90_000, said, "heard again")
    >>> [(one.seq, one.state) for one in said]
    [(1, 'raised'), (2, 'cleared')]
    """

    __slots__ = ("changed", "partition", "standing", "told")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.standing: dict[Key, Signal] = {}
        self.told: dict[Key, int] = {}
        """The last `seq` of subjects of which nothing stands."""
        self.changed = False

    def tell(self, kind: SignalKind, subject: str, at: Millis, since: Millis, said: list[Any], **of: Any) -> None:
        """Raise a signal, unless it stands."""
        key = (kind, subject)
        if key in self.standing or len(self.standing) >= OPEN_MAX:
            return
        seq = self.told.pop(key, 0) + 1
        signal = make_signal(kind, subject, "raised", seq, at, since, self.partition, **of)
        self.standing[key] = signal
        self.changed = True
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
        if len(self.told) > SUBJECTS_MAX:
            del self.told[next(iter(self.told))]
        self.changed = True
