"""What was counted on the way: the figures of `summary.json`.

Owns the counters and their bounds. Must not know how they are shown.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from guardrails.verdict import Verdict

DISTINCT_CODES_MAX = 10_000
"""Unmapped codes told apart: more than any feed's whole vocabulary; the rest count as `(other)`."""
VERDICT_ROWS_MAX = 10_000
"""Rows of verdicts told apart by their details, which may name a ward, and that is whatever a feed wrote. Beyond, they
are counted without them; the figures need none."""


class Tally:
    """Counters of one run.

    >>> tally = Tally()
    >>> tally.count_unmapped((("LOCAL", "X1"),))
    >>> dict(tally.unmapped)
    {'LOCAL|X1': 1}
    """

    __slots__ = (
        "acts",
        "alerts",
        "events",
        "intakes",
        "observations",
        "patient_millis",
        "patients",
        "quarantined",
        "scores",
        "told",
        "told_later",
        "unexplained",
        "unfoldable",
        "unmapped",
        "verdicts",
        "waited",
    )

    def __init__(self) -> None:
        self.events = 0
        self.observations = 0
        self.scores = 0
        self.told = 0
        self.waited = 0
        """Alert events that waited for room in a ward's budget."""
        self.told_later = 0
        """Of those, told when there was room; the others' alerts ended, worsened or were answered before."""
        self.unfoldable = 0
        self.unexplained = 0
        """Model alert events that were said without their reasons in words, for our own code failed to find them."""
        self.patients = 0
        self.patient_millis = 0
        self.intakes: Counter[str] = Counter()
        self.quarantined: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()
        self.verdicts: Counter[tuple[Verdict, ...]] = Counter()
        """By all the verdicts of a score (`count_verdicts`): few rows, and one addition a score is the cheapest."""
        self.alerts: Counter[str] = Counter()
        self.acts: Counter[str] = Counter()
        """What became of what people decided of patients: `stream.acting` names them."""

    def count_verdicts(self, verdicts: tuple[Verdict, ...]) -> None:
        """Count a score by what the chain said of it.

        >>> tally = Tally()
        >>> tally.count_verdicts((Verdict("subgroups", "annotate", "too_few_seen", "ward 8A"),))
        >>> tally.verdict_counts()
        {'subgroups:annotate:too_few_seen': 1}
        """
        if len(self.verdicts) >= VERDICT_ROWS_MAX and verdicts not in self.verdicts:
            verdicts = tuple(Verdict(one.filter, one.verdict, one.reason) for one in verdicts)
        self.verdicts[verdicts] += 1

    def count_unmapped(self, codings: tuple[tuple[str, str], ...]) -> None:
        """Count an observation whose code is in no table, by its first coding."""
        system, code = codings[0] if codings else ("", "")
        name = f"{system}|{code}"
        if name not in self.unmapped and len(self.unmapped) >= DISTINCT_CODES_MAX:
            name = "(other)"
        self.unmapped[name] += 1

    def count_alert(self, trigger: str, state: str, disposition: str) -> None:
        """Count an alert event by its trigger and state; and how many the ward was told the beginning of."""
        self.alerts[f"{trigger}:{state}"] += 1
        self.told += state == "raised" and disposition == "told"

    def count_queue(self, queue: Literal["passes", "waits", "told"]) -> None:
        """Count what [ward] made of an alert event.

        >>> tally = Tally()
        >>> tally.count_queue("waits"); tally.count_queue("told"); tally.count_queue("passes")
        >>> tally.waited, tally.told_later
        (1, 1)
        """
        self.waited += queue == "waits"
        self.told_later += queue == "told"

    def verdict_counts(self) -> dict[str, int]:
        """Give the verdicts that were not plain passes, by filter, kind and reason."""
        counts: Counter[str] = Counter()
        for verdicts, count in self.verdicts.items():
            for verdict in verdicts:
                if verdict.verdict != "pass":
                    counts[f"{verdict.filter}:{verdict.verdict}:{verdict.reason}"] += count
        return dict(sorted(counts.items()))
