"""How far each partition of a stage is, since when it stands still, and what keeps it.

Owns the clocks of that and the words for an operator. Must not know Faust, Kafka's clients, nor what is folded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from stream.live.stage import GapError, StarvedError

GAP_S_MAX = 10.0
"""How long the record that is next may fail to come while later ones do; far longer than a seek takes."""
TAIL_S = 3.0
"""A partition that stands still for so long before the log's end, and again after so long, is looked at: are there
records at all?"""

Place = tuple[str, int]
"""Topic and partition."""


class Standing(NamedTuple):
    """Where a partition stands, and where its log does."""

    folded: int
    end: int
    """The offset after the last one that readers of committed records are given."""
    held: int
    """Offsets beyond that, which a writer's open transaction holds back."""


class Progress(NamedTuple):
    """How far one partition is."""

    topic: str
    partition: int
    folded: int
    lag: int
    """Records that the log has beyond, and that can be folded."""
    still_s: float
    """For how long there have been records to fold without its having moved."""
    held: int = 0
    """Records that an open transaction holds back."""
    held_s: float = 0.0
    """For how long it has."""


class ProgressWatch:
    """Keeps the clocks of one stage's partitions; `look` is to be called about every second."""

    def __init__(self, stage: str, still_s_max: float) -> None:
        self._stage = stage
        self._still_s_max = still_s_max
        self._gaps: dict[Place, tuple[int, float]] = {}
        """Partitions of which later records came than the one that is next: which, and since when."""
        self._behind: dict[Place, tuple[int, float]] = {}
        """Partitions with records to fold: where they stand, and since when there are some and they stand there."""
        self._held: dict[Place, tuple[int, float]] = {}
        """Partitions with an open transaction: where it holds them, and since when."""
        self._empty: dict[Place, tuple[int, int]] = {}
        """Past which folded record nothing stands, as was proved, and up to where."""
        self._looked: dict[Place, float] = {}

    def forget(self, place: Place) -> None:
        """Let go of a partition."""
        for notes in (self._gaps, self._behind, self._held, self._empty, self._looked):
            notes.pop(place, None)

    # -- what came --------------------------------------------------------------------------------------------------

    def came(self, place: Place) -> None:
        """Note that the record that was next came."""
        self._gaps.pop(place, None)

    def missing(self, place: Place, offset: int) -> None:
        """Note that later records came than the one that is next, and that the hole is not proved."""
        self._gaps.setdefault(place, (offset, time.monotonic()))

    def emptied(self, place: Place, folded: int, end: int) -> None:
        """Note that no record stands between the last one folded and an offset, as was proved."""
        self._empty[place] = (folded, end)

    def unproved_from(self, place: Place, at: Standing) -> int | None:
        """Give from which offset to look whether there are records, where a partition stands still; None: not now."""
        now = time.monotonic()
        since = self._behind.get(place, (0, now))[1]
        if self._lag(place, at) <= 0 or now - max(since, self._looked.get(place, since)) < TAIL_S:
            return None
        self._looked[place] = now
        return self._next(place, at.folded)

    # -- how far ----------------------------------------------------------------------------------------------------

    def _next(self, place: Place, folded: int) -> int:
        known, end = self._empty.get(place, (folded, 0))
        return max(folded + 1, end if known == folded else 0)

    def _lag(self, place: Place, at: Standing) -> int:
        return max(at.end - self._next(place, at.folded), 0)

    def look(self, standings: Mapping[Place, Standing]) -> None:
        """Note since when each partition has had records to fold and stood still.

        Raises `GapError` where the log has later records than the one that is next, and that one does not come.
        """
        now = time.monotonic()
        for place, at in standings.items():
            offset, since = self._gaps.get(place, (0, now))
            if now - since > GAP_S_MAX:
                raise GapError(f"{place[0]}/{place[1]}: record {offset} does not come, later ones do")
            _note(self._behind, place, self._next(place, at.folded) if self._lag(place, at) else None, now)
            _note(self._held, place, at.end if at.held else None, now)

    def still_s(self, place: Place) -> float:
        """Give for how long a partition has had records to fold and stood still."""
        return time.monotonic() - self._behind[place][1] if place in self._behind else 0.0

    def progress(self, standings: Mapping[Place, Standing]) -> list[Progress]:
        """Give how far each partition is."""
        now = time.monotonic()
        found = []
        for place, at in sorted(standings.items()):
            still_s = self.still_s(place)
            held_s = now - self._held[place][1] if place in self._held else 0.0
            found.append(Progress(*place, at.folded, self._lag(place, at), still_s, at.held, held_s))
        return found

    def stuck(self, standings: Mapping[Place, Standing]) -> list[str]:
        """Say which partitions stand still though they have records to fold."""
        return [
            f"{self._stage}: {one.topic}/{one.partition} stands still since {one.still_s:.0f} s, "
            f"{one.lag} records behind"
            for one in self.progress(standings)
            if one.lag and one.still_s > self._still_s_max
        ]

    def held(self, standings: Mapping[Place, Standing]) -> list[str]:
        """Say which partitions a writer holds up, who has not ended his transaction."""
        return [
            f"{self._stage}: {one.topic}/{one.partition}: a writer's transaction is open since {one.held_s:.0f} s, "
            f"and what was written since ({one.held} offsets) waits for its end"
            for one in self.progress(standings)
            if one.held and one.held_s > self._still_s_max
        ]


class Starvation:
    """Since when records wait and nothing of a stage moves, though nothing is under way and nobody is at fault.

    >>> starvation = Starvation("ward", 30.0)
    >>> starvation.look(7, waits=True, now=100.0)
    >>> starvation.look(8, waits=True, now=129.0)  # something was folded meanwhile
    >>> starvation.look(8, waits=True, now=160.0)
    Traceback (most recent call last):
    stream.live.stage.StarvedError: ward: records wait, and for 31 s nothing is handed on
    """

    def __init__(self, stage: str, still_s_max: float) -> None:
        self._stage = stage
        self._still_s_max = still_s_max
        self._since: tuple[object, float] | None = None

    def look(self, mark: object, *, waits: bool, now: float) -> None:
        """Note that records wait, or do not; `mark` is another one whenever something was folded."""
        if not waits:
            self._since = None
            return
        if self._since is None or self._since[0] != mark:
            self._since = mark, now
        still_s = now - self._since[1]
        if still_s > self._still_s_max:
            raise StarvedError(f"{self._stage}: records wait, and for {still_s:.0f} s nothing is handed on")


def _note(notes: dict[Place, tuple[int, float]], place: Place, where: int | None, now: float) -> None:
    """Keep since when a partition has been where it is; None: it is nowhere to be noted."""
    if where is None:
        notes.pop(place, None)
    elif notes.get(place, (None,))[0] != where:
        notes[place] = (where, now)
