"""Filter 2, missing and stale: too little fresh evidence means abstain, visibly.

Owns the count of fresh NEWS2 parameters. Must not know the catalogue's maximum ages: an input past its own has no
sub-score already. The model imputes what it does not see, so a score on little evidence is mostly a prior.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict
from models.news2 import PARAMETERS


class Freshness:
    """Abstain below `min_fresh` fresh parameters; annotate where some of the seven are not fresh."""

    name = "freshness"
    REASONS = ("fresh", "some_missing", "too_little_fresh_evidence")
    METHOD = ("count of NEWS2 parameters within their maximum age (catalogue)", "RCP 2017; Metitiri et al. 2023")
    KEYS = ("min_fresh",)

    _PASS = Verdict(name, "pass", "fresh")
    _SOME = Verdict(name, "annotate", "some_missing")
    _TOO_LITTLE = Verdict(name, "abstain", "too_little_fresh_evidence")

    def check(self, candidate: Candidate) -> Verdict:
        """Count the parameters that have a sub-score, each from a reading within its feature's maximum age."""
        missing = candidate.news2.missing
        if not missing:
            return self._PASS
        if len(PARAMETERS) - len(missing) < candidate.settings.min_fresh:
            return self._TOO_LITTLE
        return self._SOME
