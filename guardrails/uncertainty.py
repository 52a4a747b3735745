"""Filter 5, uncertainty: where the interval lies on both sides of the threshold, "indeterminate" is the answer.

Owns the comparison. Must not know how the interval is made: the version carries it (models/venn.py: a Venn predictor
with Clopper-Pearson intervals on held-back patients). The threshold is the one that the decision at hand turns on: the
raising one, and once an alert is open the lower one that lets it go. Where the whole interval is on one side there is
nothing to abstain from.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.threshold import Threshold
from guardrails.verdict import Verdict


class Uncertainty:
    """Abstain where the interval straddles the threshold; annotate where the version has no intervals."""

    name = "uncertainty"
    REASONS = ("determinate", "no_summary", "indeterminate")
    METHOD = (
        "Venn predictor: the interval (95 %) of the share of held-back patients with the outcome among those given "
        "about the same probability, on effective rows; abstain where it straddles the threshold",
        "Vovk, Gammerman and Shafer 2005; Clopper and Pearson 1934; Korn and Graubard 1998",
    )
    KEYS = Threshold.KEYS

    _PASS = Verdict(name, "pass", "determinate")
    _NO_SUMMARY = Verdict(name, "annotate", "no_summary")
    _INDETERMINATE = Verdict(name, "abstain", "indeterminate")

    def check(self, candidate: Candidate) -> Verdict | None:
        """Ask whether all of the interval is on one side. Without a probability nothing is said."""
        prediction = candidate.prediction
        if prediction is None or prediction.probability is None:
            return None
        low, high = prediction.low, prediction.high
        if low is None or high is None:
            return self._NO_SUMMARY
        raise_at, clear_at = candidate.settings.thresholds_of(candidate.ward, prediction.version)
        level = clear_at if candidate.model_alert_open else raise_at
        return self._INDETERMINATE if low < level <= high else self._PASS
