"""Which of a patient's deferred scores waits for a person, and what was decided of it.

Owns the wait, its two answers and how long each holds. Must not know any filter: it reads the verdict that deferred.

A score that the chain deferred waits if its risk would have been told otherwise: nobody is asked about what would be
silent anyway. The scores that follow and are deferred too are of the same wait. It ends with the first that is not,
with an answer, or when no score has renewed it for `WAIT_MS_MAX`.

- `tell`: the patient's scores pass the filter that defers, for `REVIEWED_MS`.
- `withhold`: nobody is asked again for as long, unless the risk rises by the step that makes news of it.
"""

from __future__ import annotations

import msgspec

from events import MILLIS_PER_HOUR, Millis
from guardrails.verdict import Verdict

REVIEWED_MS = 4 * MILLIS_PER_HOUR
"""How long a person's answer holds: the RCP's interval for a score of 1-4, in which the patient is seen again."""
WAIT_MS_MAX = 4 * MILLIS_PER_HOUR
"""A deferred score is asked about for so long: older, it speaks of another patient than the one in the bed."""
SCORES_KEPT_MAX = 8
"""Scores of one wait that may still be answered: with a monitor's one a minute, what a person saw some minutes ago."""


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """One wait: its scores, and the newest of them."""

    score_ids: tuple[str, ...]
    """The newest last."""
    since: Millis
    at: Millis
    """Received time of the newest."""
    probability: float
    filter: str
    reason: str
    detail: str = ""


class ReviewDesk(msgspec.Struct, array_like=True):
    """What waits of one patient. Mutable: it belongs to the book."""

    waiting: Waiting | None = None
    told_until: Millis = 0
    """Until when a person lets the patient's scores pass."""
    withheld_until: Millis = 0
    withheld_probability: float = 0.0

    def hear(self, score_id: str, at: Millis, probability: float | None, last: Verdict, rise_step: float) -> None:
        """Hear of a score, with the verdict that decided; of one that would not be told, `probability` is None.

        >>> desk = ReviewDesk()
        >>> desk.hear("s", 0, 0.6, Verdict("out_of_distribution", "defer", "unlike_training"), 0.1)
        >>> desk.waiting.score_ids
        ('s',)
        """
        if last.verdict != "defer" or probability is None:
            self.waiting = None
            return
        if at < self.withheld_until and probability < self.withheld_probability + rise_step:
            return
        before = self.waiting_at(at)
        ids = () if before is None else before.score_ids
        since = at if before is None else before.since
        self.waiting = Waiting(
            (*ids, score_id)[-SCORES_KEPT_MAX:], since, at, probability, last.filter, last.reason, last.detail
        )

    def waiting_at(self, now: Millis) -> Waiting | None:
        """Give what waits at a moment."""
        waiting = self.waiting
        return None if waiting is None or now - waiting.at > WAIT_MS_MAX else waiting

    def decide(self, score_id: str, at: Millis, *, tell: bool) -> bool:
        """Take a person's answer about a score; False where it does not wait (any more), and nothing changes."""
        waiting = self.waiting_at(at)
        if waiting is None or score_id not in waiting.score_ids:
            return False
        self.waiting = None
        if tell:
            self.told_until, self.withheld_until, self.withheld_probability = at + REVIEWED_MS, 0, 0.0
        else:
            self.told_until, self.withheld_until = 0, at + REVIEWED_MS
            self.withheld_probability = waiting.probability
        return True
