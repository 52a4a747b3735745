"""Traffic of wards for property tests: alerts that are raised, persist, worsen, move, are answered and end."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from alerts.checks import Sent
from alerts.contract import NO_WARD
from alerts.ward_records import write_tick
from alerts.ward_settings import WardSettings
from tests.alerts.test_ward import candidate

START = 1_792_800_000_000
"""October 2026: some traffic runs over the end of summer time."""
MINUTE = 60_000
WARDS = ("W1", "W2")

SAYINGS: dict[str, tuple[str, str, str]] = {
    "persists": ("updated", "risk_persists", "told"),
    "audible": ("updated", "now_audible", "told"),
    "risen": ("updated", "risk_risen", "told"),
    "quiet": ("updated", "risk_persists", "board"),
    "held": ("updated", "risk_persists", "held"),
    "shadow": ("updated", "risk_persists", "shadow"),
    "abstained": ("updated", "abstained", "told"),
    "escalated": ("escalated", "unanswered", "told"),
    "acknowledged": ("acknowledged", "acknowledged", "told"),
    "resolved": ("resolved", "risk_below_threshold", "told"),
    "retracted": ("retracted", "correction", "told"),
    "expired": ("expired", "discharged", "told"),
}
"""State, reason, disposition."""
ENDS = ("resolved", "retracted", "expired")

SETTINGS = st.builds(
    WardSettings,
    zone=st.sampled_from(["UTC", "Europe/London", "Pacific/Auckland"]),
    shift_starts=st.sampled_from([("07:00", "19:00"), ("06:00", "14:00", "22:00"), ("01:30",)]),
    budget=st.integers(1, 4),
    budgets=st.dictionaries(st.sampled_from(WARDS), st.integers(1, 4), max_size=1),
    flood_count=st.integers(1, 3),
    flood_minutes=st.sampled_from([1, 15, 120]),
)


@st.composite
def life(draw: st.DrawFn, number: int) -> list[tuple[int, Sent]]:
    """Give one alert's records with their times, a transfer's for both wards."""
    trigger = draw(st.sampled_from(["model", "model", "model", "news2_floor"]))
    at = START + draw(st.integers(0, 36 * 60)) * MINUTE
    ward, alert = draw(st.sampled_from(WARDS)), f"alert-{number}"
    said: list[tuple[int, Sent]] = []

    def say(seq: int, state: str, reason: str, disposition: str, former: str = "") -> None:
        more: dict[str, Any] = {"trigger": trigger, "reason": reason, "disposition": disposition}
        risk = draw(st.sampled_from([None, 0.1, 0.25, 0.5]))
        content = candidate(alert, seq, state, ward, at, probability=risk, **more)
        said.append((at, (ward or NO_WARD, content)))
        if former:
            said.append((at, (former, content)))

    say(1, "raised", "risk_threshold", draw(st.sampled_from(["told", "told", "told", "shadow"])))
    words = draw(st.lists(st.sampled_from([*sorted(SAYINGS), "moved", "moved"]), max_size=6))
    for seq, word in enumerate(words, start=2):
        at += draw(st.sampled_from([0, 1, 10, 60, 240])) * MINUTE
        if word == "moved":
            former, ward = ward, draw(st.sampled_from(WARDS))
            say(seq, "updated", "transferred", "told", former if former != ward else "")
        else:
            say(seq, *SAYINGS[word])
        if word in ENDS:
            break
    return said


@st.composite
def traffic(draw: st.DrawFn, lives_max: int = 8) -> list[Sent]:
    """Give records in order of time, with ticks between."""
    timed = [
        (at, number, step, sent)
        for number in range(draw(st.integers(1, lives_max)))
        for step, (at, sent) in enumerate(draw(life(number)))
    ]
    for number, minutes in enumerate(draw(st.lists(st.integers(0, 48 * 60), max_size=6))):
        at = START + minutes * MINUTE
        timed.append((at, -1 - number, 0, ("", write_tick(at))))
    return [sent for _at, _number, _step, sent in sorted(timed)]


def key_of_life(sent: Sent) -> tuple[str, str]:
    """Name what must stay in order whatever the interleaving: one alert's records on one ward's key."""
    key, content = sent
    return key, content.partition(b'"alert_id":"')[2].partition(b'"')[0].decode()


@st.composite
def interleaved(draw: st.DrawFn, records: list[Sent]) -> list[Sent]:
    """Give the same records as another number of partitions would have put them: each alert's own in order."""
    lives: dict[str, list[Sent]] = {}
    for sent in records:
        lives.setdefault(key_of_life(sent)[1], []).append(sent)
    order = draw(st.permutations([name for name, life_of in lives.items() for _ in life_of]))
    return [lives[name].pop(0) for name in order]
