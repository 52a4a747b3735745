"""Filter 6, version status: whether there is a version that may speak and did.

Owns the check of the version's output. Must not know how versions are promoted: the status arrives in the settings, put
there by control events. A model that returns NaN is the same to the ward as one that returns nothing (pains 13).
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict


class VersionStatus:
    """Abstain without a version or a probability; annotate a version in shadow."""

    name = "version_status"
    REASONS = ("enabled", "shadow", "no_version", "no_probability", "not_finite")

    _PASS = Verdict(name, "pass", "enabled")
    _SHADOW = Verdict(name, "annotate", "shadow")
    _NO_VERSION = Verdict(name, "abstain", "no_version")
    _NOT_FINITE = Verdict(name, "abstain", "not_finite")

    def check(self, candidate: Candidate) -> Verdict:
        """Check that there is a probability within [0, 1]; a NaN fails every comparison."""
        prediction = candidate.prediction
        if prediction is None or not prediction.version:
            return self._NO_VERSION
        probability = prediction.probability
        if probability is None:
            return Verdict(self.name, "abstain", "no_probability", prediction.reason)
        if not 0.0 <= probability <= 1.0:
            return self._NOT_FINITE
        return self._SHADOW if candidate.settings.shadow else self._PASS
