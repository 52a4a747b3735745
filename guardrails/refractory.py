"""Filter 9, refractory and change gate: one episode is told once, then updated when it worsens.

Owns the gate. Must not know what an alert is: it sees what was last told (`Told`), which the alert book forgets when it
resolves an alert, because after "resolved" silence would mislead. What was only held or in shadow was not told to the
ward, so the first chance to say it aloud passes.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict


class Refractory:
    """Suppress what the ward already knows: told within `refractory_ms`, and not risen by `rise_step` since."""

    name = "refractory"
    REASONS = ("first", "first_audible", "risen", "refractory_over", "same_episode")
    METHOD = ("one episode is told once, again after the refractory time or a rise of its probability", "RCP 2017")
    KEYS = ("refractory_ms", "rise_step", "shadow", "kill_switch", "versions")

    _FIRST = Verdict(name, "pass", "first")
    _AUDIBLE = Verdict(name, "pass", "first_audible")
    _RISEN = Verdict(name, "pass", "risen")
    _OVER = Verdict(name, "pass", "refractory_over")
    _SAME = Verdict(name, "suppress", "same_episode")

    def check(self, candidate: Candidate) -> Verdict:
        """Compare with what was last told in this episode."""
        told = candidate.told
        if told is None:
            return self._FIRST
        settings = candidate.settings
        prediction = candidate.prediction
        version = "" if prediction is None else prediction.version
        if told.silent and not (settings.shadow or settings.silences(version)):
            return self._AUDIBLE
        probability = None if prediction is None else prediction.probability
        if probability is not None and probability >= told.probability + settings.rise_step:
            return self._RISEN
        if candidate.at - told.at >= settings.refractory_ms:
            return self._OVER
        return self._SAME
