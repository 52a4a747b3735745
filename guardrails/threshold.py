"""Filter 8, threshold with hysteresis: a risk is raised at one level and let go at a lower one.

Owns the comparison, per ward and version. Must not know where the levels come from. Without the second level a risk
that hovers at the first would raise and resolve at every reading.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict


class Threshold:
    """Pass at `raise_at` and above; hold an open alert down to `clear_at`; suppress below."""

    name = "threshold"
    REASONS = ("at_or_above", "held_open", "below_threshold")
    METHOD = (
        "two levels with hysteresis, declared or from declared costs: false alarm / (false alarm + miss)",
        "Elkan 2001",
    )
    KEYS = ("raise_at", "clear_at", "cost_of_miss", "cost_of_false_alarm", "wards", "versions")

    _PASS = Verdict(name, "pass", "at_or_above")
    _HELD = Verdict(name, "pass", "held_open")
    _BELOW = Verdict(name, "suppress", "below_threshold")

    def check(self, candidate: Candidate) -> Verdict:
        """Compare; what is no number is never at or above anything."""
        prediction = candidate.prediction
        probability = None if prediction is None else prediction.probability
        if prediction is None or probability is None:
            return self._BELOW
        raise_at, clear_at = candidate.settings.thresholds_of(candidate.ward, prediction.version)
        if probability >= raise_at:
            return self._PASS
        if candidate.model_alert_open and probability >= clear_at:
            return self._HELD
        return self._BELOW
