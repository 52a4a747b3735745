"""One value as it was charted, made a whole number of its feature's steps, or the reason why it cannot be.

Owns the limits of the possible, coded answers, absence and times from the future. Must not know what is already kept of
the patient.
"""

from __future__ import annotations

from math import floor

from events import Millis, Observation
from events.clinical import UNRELIABLE, Comparator
from features.answers import answer_in
from features.catalogue import Resolution
from features.intake import Intake
from features.series import CLOCK_PLAY_MS

FUTURE_TOLERANCE_MS = CLOCK_PLAY_MS
"""A value from no further ahead is true of now, by a fast clock; one from further ahead is quarantined."""
STEPS_MAX = 2.0**62
"""Beyond this a value in steps is no int64; it is impossible anyhow."""


def in_steps(  # noqa: PLR0911 -- one return a reason, read from top to bottom
    obs: Observation, resolution: Resolution, received_time: Millis
) -> int | Intake:
    """Make a value a whole number of steps, or say what became of it.

    >>> from features.catalogue import default_catalogue
    >>> pulse = Observation(1, (("loinc", "8867-4"),), 72.0, "/min", event_time=0)
    >>> resolution = default_catalogue().resolution(pulse.codings, pulse.unit, ())
    >>> in_steps(pulse, resolution, 0) == 72 * resolution.steps
    True
    """
    feature, value = resolution.feature, obs.value
    if value is None and obs.absent_reason == UNRELIABLE:  # also of an answer: what was said of it stands in its text
        return _quarantined(obs, resolution, UNRELIABLE, None)
    if feature.kind == "coded":
        answer = answer_in(feature.answers, feature.words, obs.answers, obs.text)
        if answer is None:
            if value is None and not obs.answers and not obs.text:
                return Intake("absent", feature.name, obs.absent_reason, obs.observation_id, obs.event_time, None)
            return _quarantined(obs, resolution, "unknown_answer", value)
        value = float(answer)
    elif value is None:
        if obs.answers or obs.text:
            return _quarantined(obs, resolution, "not_a_number", None)
        return Intake("absent", feature.name, obs.absent_reason, obs.observation_id, obs.event_time, None)
    elif resolution.fault:
        return _quarantined(obs, resolution, resolution.fault, value)
    scaled = value * resolution.factor + resolution.offset
    if not -STEPS_MAX < scaled < STEPS_MAX:
        reason = "not_a_number" if value != value else "impossible_value"  # noqa: PLR0124 -- the test for NaN
        return _quarantined(obs, resolution, reason, None)
    steps = floor(scaled)
    if steps < resolution.low or steps > resolution.high:
        return _quarantined(obs, resolution, "impossible_value", steps / feature.steps)
    if obs.event_time > received_time + FUTURE_TOLERANCE_MS:
        return _quarantined(obs, resolution, "future_time", steps / feature.steps)
    return _outward(steps, obs.comparator, resolution) if obs.comparator else steps


def _outward(steps: int, comparator: Comparator, resolution: Resolution) -> int:
    """Make "above 24" the next value that is charted, 25: it is not 24. Within the possible; `>=` is the number."""
    charted: int = max(1, round(resolution.steps / 10**resolution.feature.charted_decimals))
    if comparator == ">":
        return min(steps + charted, resolution.high)
    if comparator == "<":
        return max(steps - charted, resolution.low)
    return steps


def _quarantined(obs: Observation, resolution: Resolution, reason: str, value: float | None) -> Intake:
    return Intake("quarantined", resolution.name, reason, obs.observation_id, obs.event_time, value)
