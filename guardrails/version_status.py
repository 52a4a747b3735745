"""Filter 7, version status: whether there is a version that may speak and did.

Owns the check of the version's standing and output. Must not know how versions are promoted, or who held one back: both
arrive in the settings, put there by control events. A model that returns NaN, or raises, is the same to the ward as one
that returns nothing (pains 13). What a held version says goes on through the chain, so that what is held is exactly
what would have been told.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict
from models.scorer import FAILED


class VersionStatus:
    """Abstain without a version, one in good standing or a probability; annotate a version held or in shadow."""

    name = "version_status"
    REASONS = (
        "enabled",
        "shadow",
        "held",
        "demoted",
        "no_version",
        "no_probability",
        "not_finite",
        "model_failed",
    )
    METHOD = (
        "control events: a promotion enables, drift, calibration and subgroup monitors or a person hold or demote; "
        "the probability is checked to be a number within 0 and 1",
        "design section 5",
    )
    KEYS = ("shadow", "versions")

    _PASS = Verdict(name, "pass", "enabled")
    _SHADOW = Verdict(name, "annotate", "shadow")
    _HELD = Verdict(name, "annotate", "held")
    _DEMOTED = Verdict(name, "abstain", "demoted")
    _NO_VERSION = Verdict(name, "abstain", "no_version")
    _NOT_FINITE = Verdict(name, "abstain", "not_finite")

    def check(self, candidate: Candidate) -> Verdict:
        """Check that there is a probability within [0, 1]; a NaN fails every comparison."""
        prediction = candidate.prediction
        if prediction is None or not prediction.version:
            return self._NO_VERSION
        settings = candidate.settings
        standing = settings.standing_of(prediction.version)
        if standing == "demoted":
            return self._DEMOTED
        probability = prediction.probability
        if probability is None:
            failed = prediction.reason.startswith(FAILED)
            detail = prediction.reason.removeprefix(FAILED).strip()
            return Verdict(self.name, "abstain", "model_failed" if failed else "no_probability", detail)
        if not 0.0 <= probability <= 1.0:
            return self._NOT_FINITE
        if standing == "held":
            return self._HELD
        return self._SHADOW if settings.shadow else self._PASS
