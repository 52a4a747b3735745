"""Filter 1, plausibility: say which inputs were quarantined as impossible or unit-confused.

Owns the saying; the quarantine itself is `features`' (catalogue limits, unit table). Must not know any limit. It never
stops a score: what is quarantined is already left out of it, and "impossible is not extreme" is settled by the limits.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict


class Plausibility:
    """Annotate with the features whose values were quarantined, now or still (NEWS2's inputs)."""

    name = "plausibility"
    REASONS = ("plausible", "quarantined_input")
    METHOD = ("limits and units of the catalogue; quarantined values are left out and named", "docs/catalogue.md")
    KEYS: tuple[str, ...] = ()

    _PASS = Verdict(name, "pass", "plausible")

    def check(self, candidate: Candidate) -> Verdict:
        """Name the quarantined inputs, in alphabetical order."""
        if not candidate.intakes and not candidate.news2.quarantined:
            return self._PASS
        quarantined = set(candidate.news2.quarantined)
        for intake in candidate.intakes:
            if intake.outcome == "quarantined":
                quarantined.add(intake.feature or "unmapped")
        if not quarantined:
            return self._PASS
        return Verdict(self.name, "annotate", "quarantined_input", ",".join(sorted(quarantined)))
