"""The newest reading of a feature, and what is looked at beside it.

Owns which readings count as those of now. Must not know what they score.

Readings of the newest time stand beside one another: several devices, several sub-ids. Beside a device's newest reading
stands the newest entry of a person too (of one time all of them), as long as it is not more than `BESIDE_MS` older: a
monitor tells a number every second, so that what a nurse counted would else be hidden a second later, and forgotten
before anybody saw it.
Which of the two is right is not ours to guess; whoever asks takes the worse one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from events import MILLIS_PER_HOUR, Millis
from features.series import Series, W
from features.thinning import public_id
from features.vector import latest_in

BESIDE_MS = MILLIS_PER_HOUR
"""NEWS2 asks for hourly observations of whoever has a red score (RCP 2017): until then the next entry is due."""

Held = tuple[float, Millis, int]
"""(value, event time, observation id) of a reading."""


def newest_held(series: Series | None, steps: int, at: Millis) -> Held | None:
    """Give the newest reading up to `at`, in the feature's unit."""
    found = None if series is None else latest_in(series, at)
    return None if found is None else (found[1] / steps, found[0], public_id(found[2]))


def fresh_of(
    every: Sequence[Series | None], steps_of: Sequence[int], wanted: Iterable[tuple[int, Millis]], at: Millis
) -> tuple[list[Held | None], list[int]]:
    """Give the newest reading of several features (index, maximum age in ms); None where it is older (hot path).

    With it come the places in `wanted` of those that have others beside it: see `beside`.
    """
    fresh: list[Held | None] = []
    tied: list[int] = []
    for index, max_age_ms in wanted:
        series = every[index]
        held: Held | None = None
        if series is not None:
            raw = series.raw
            if not raw or (time := raw[-3]) > at:
                held = newest_held(series, steps_of[index], at)
                if held is not None and at - held[1] > max_age_ms:
                    held = None
                if held is not None and len(_beside(series, held[1])) > 1:
                    tied.append(len(fresh))
            elif at - time <= max_age_ms:
                one = raw[-1]
                if one < 0:
                    held = raw[-2] / steps_of[index], time, ~one
                    if len(_beside(series, time)) > 1:
                        tied.append(len(fresh))
                else:
                    held = raw[-2] / steps_of[index], time, one
                    if len(raw) > W and raw[-6] == time:
                        tied.append(len(fresh))
        fresh.append(held)
    return fresh, tied


def held_at(series: Series | None, steps: int, time: Millis) -> list[Held]:
    """Give every reading that is held in full and of this very time, a person's last, by ascending id."""
    if series is None:
        return []
    return [(value / steps, when, public_id(one)) for when, value, one in series.held_at(time)]


def beside(series: Series | None, steps: int, time: Millis) -> list[Held]:
    """Give the readings of the newest time `time`, and a person's entry beside a device's."""
    if series is None:
        return []
    return [(value / steps, when, public_id(one)) for when, value, one in _beside(series, time)]


def _beside(series: Series, time: Millis) -> list[tuple[int, int, int]]:
    raw = series.raw
    at = len(raw) - W
    while at >= 0 and raw[at] > time:
        at -= W
    at_once: list[tuple[int, int, int]] = []
    while at >= 0 and raw[at] == time:
        at_once.append((raw[at], raw[at + 1], raw[at + 2]))
        at -= W
    at_once.reverse()
    if at_once and at_once[-1][2] < 0:  # a person's id is the greater one, so no entry of a person is of this time
        entries: list[tuple[int, int, int]] = []
        while at >= 0 and raw[at] >= (entries[0][0] if entries else time - BESIDE_MS):
            if raw[at + 2] >= 0:
                entries.append((raw[at], raw[at + 1], raw[at + 2]))
            at -= W
        return [*reversed(entries), *at_once]
    return at_once
