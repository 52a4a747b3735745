"""The delivery gate's verdict: with the kill switch engaged the model's alerts are held, not told.

Owns that verdict. Must not know how the switch is thrown (a control event) or how alerts are sent. What it holds back
is still published, as `held`. It stands last, so that what is held is exactly what would have been told.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict


class Delivery:
    """Suppress while the kill switch is engaged."""

    name = "delivery"
    REASONS = ("open", "kill_switch")
    METHOD = ("a person's decision, at once; what is held is published as held", "design section 3")
    KEYS = ("kill_switch",)

    _PASS = Verdict(name, "pass", "open")
    _KILLED = Verdict(name, "suppress", "kill_switch")

    def check(self, candidate: Candidate) -> Verdict:
        """Look at the switch."""
        return self._KILLED if candidate.settings.kill_switch else self._PASS
