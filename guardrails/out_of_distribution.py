"""Filter 4, out of distribution: a patient unlike those the version was made on is for a person to review.

Owns the reading of that distance. Must not know how it is measured: the version carries its own summary and its limit
(models/likeness.py: label-conditional conformal limits of a Mahalanobis distance). A version that cannot say is not
passed in silence. A clinician's decision on a deferred score lets the patient's scores through while it lasts.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict


class OutOfDistribution:
    """Defer what is beyond the version's limit; annotate what cannot be measured, or was reviewed."""

    name = "out_of_distribution"
    REASONS = ("alike", "no_summary", "reviewed", "unlike")
    METHOD = (
        "squared Mahalanobis distance from the nearest of the version's two training summaries (with and without the "
        "outcome), beyond the conformal quantile of held-back rows of that label, at a false rate of 0.5 %",
        "Mahalanobis 1936; Vovk, Gammerman and Shafer 2005; Lee et al. 2018; Shashikumar et al. 2021 (COMPOSER)",
    )
    KEYS: tuple[str, ...] = ()

    _PASS = Verdict(name, "pass", "alike")
    _NO_SUMMARY = Verdict(name, "annotate", "no_summary")

    def check(self, candidate: Candidate) -> Verdict | None:
        """Compare with the limit; a distance that is no number is beyond it. Without a probability nothing is said."""
        prediction = candidate.prediction
        if prediction is None or prediction.probability is None:
            return None
        unlikeness = prediction.unlikeness
        if unlikeness is None:
            return self._NO_SUMMARY
        if unlikeness <= 1.0:
            return self._PASS
        reviewed_until = candidate.reviewed_until
        if reviewed_until is not None and candidate.at < reviewed_until:
            return Verdict(self.name, "annotate", "reviewed", prediction.unlike_in)
        return Verdict(self.name, "defer", "unlike", prediction.unlike_in)
