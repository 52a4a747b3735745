"""Filter 5, uncertainty: where the interval lies on both sides of the threshold, "indeterminate" is the answer.

Owns the comparison. Must not know how the interval is made: the version carries its table (models/venn.py: a Venn
predictor with Clopper-Pearson intervals on held-back patients; models/belt.py: one line through all of them, told as
wide as the stream has shown that it must be). The threshold is the one that the decision at hand turns on: the raising
one, and once an alert is open the lower one that lets it go. Where the whole interval is on one side there is nothing
to abstain from; a bound that is no number is on neither.
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
        "the version's interval (95 %): of the share of held-back patients with the outcome among those given about "
        "the same probability (Venn predictor, on effective rows), or about one line through all of them (calibration "
        "belt, its width led by the stream); abstain where it straddles the threshold",
        "Vovk, Gammerman and Shafer 2005; Clopper and Pearson 1934; Korn and Graubard 1998; Nattino, Finazzi and "
        "Bertolini 2014; Gibbs and Candes 2021",
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
        return self._PASS if low >= level or high < level else self._INDETERMINATE
