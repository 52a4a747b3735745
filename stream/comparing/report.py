"""What a comparison comes to, as data: for a terminal and for programs.

Owns the report's shape and the order of reading: runs first, then matches, then the scores of what differs. Must not
know how it is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from events import to_iso
from stream.comparing.matching import Kind, Pair, pairs
from stream.comparing.runs import ALERTS, LETTERS, SCORES, Life, Run, RunError, read_run
from stream.comparing.why import known_of, moment_of, why

SCHEMA = "wardstream.comparison.v1"
FIGURES = ("messages", "accepted", "dead_letters", "patients", "scores", "alerts_per_patient_day")
DIFFERENT: tuple[Kind, ...] = ("vanished", "appeared", "moved", "changed")


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alert in one run; times as ISO 8601, `told` empty where no ward heard of it."""

    alert_id: str
    raised: str
    told: str
    ward: str
    bed: str
    priority: str
    end: str


class Difference(msgspec.Struct, frozen=True):
    """An alert that is not the same in both runs."""

    kind: Kind
    patient: str
    trigger: str
    first: Told | None
    second: Told | None
    moved_s: int | None
    """By how many seconds later the second run told it, where both did."""
    why: str


class Figure(msgspec.Struct, frozen=True):
    """One figure of the two summaries."""

    name: str
    first: float | None
    second: float | None


class Comparison(msgspec.Struct, frozen=True):
    """The report."""

    schema: str
    first: str
    second: str
    identical: bool
    """Whether all outputs are, by their digests."""
    versions: dict[str, tuple[object, object]]
    """What the runs were made with, where that differs."""
    figures: tuple[Figure, ...]
    counts: dict[str, int]
    """Alerts by what became of them."""
    differences: tuple[Difference, ...]
    """In order of time."""


def compare(first: Path, second: Path, progress: Callable[[int], None] = lambda _bytes: None) -> Comparison:
    """Compare two replays' folders; raises `RunError`. `progress` hears of bytes read."""
    a, b = read_run(first, progress), read_run(second, progress)
    if a.patients and b.patients and a.patients.isdisjoint(b.patients):
        raise RunError(
            f"{first} and {second} have no patient in common: replay the same source, with the same"
            " WARDSTREAM_PSEUDONYM_KEY"
        )
    found = pairs(a.alerts, b.alerts)
    differing = [pair for pair in found if pair.kind in DIFFERENT]
    moments = [moment_of(one) for pair in differing for one in pair if one is not None]
    known = known_of(a, moments, progress), known_of(b, moments, progress)
    return Comparison(
        SCHEMA,
        str(first),
        str(second),
        a.summary.digest == b.summary.digest,
        _versions(a, b),
        tuple(Figure(name, getattr(a.summary, name), getattr(b.summary, name)) for name in FIGURES),
        dict(Counter(pair.kind for pair in found)),
        tuple(_difference(pair, why(pair, *known)) for pair in differing),
    )


def bytes_of(folder: Path) -> int:
    """Say how much there is to read of a replay."""
    return sum(path.stat().st_size for name in (ALERTS, SCORES, LETTERS) if (path := folder / name).exists())


def _versions(a: Run, b: Run) -> dict[str, tuple[object, object]]:
    before, after = a.summary.versions, b.summary.versions
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _difference(pair: Pair, words: str) -> Difference:
    a, b = pair
    moved = None if a is None or b is None or a.told is None or b.told is None else (b.told - a.told) // 1000
    return Difference(pair.kind, pair.shown.patient, pair.shown.trigger, _told(a), _told(b), moved, words)


def _told(one: Life | None) -> Told | None:
    if one is None:
        return None
    told = "" if one.told is None else to_iso(one.told)
    return Told(one.alert_id, to_iso(one.raised), told, one.ward, one.bed, one.priority, one.end)
