"""Why an alert that one run told was not told, or at another time, in the other: by the scores of that moment.

Owns the words. Must not know how alerts are paired or shown. The scores are read once more, and only those of the
moments that are asked for are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from events import to_iso
from guardrails.verdict import Verdict
from models.news2 import SOURCES
from stream.comparing.matching import Pair
from stream.comparing.runs import LETTERS, SCORES, LetterLine, Life, Run, ScoreLine, read_lines

SILENCES = {
    "shadow": "the version is in shadow",
    "held": "the kill switch holds it",
    "waiting": "it waits for room in its ward's budget",
    "board": "it is on the board, and pages nobody",
}

Moment = tuple[str, str]
"""(patient, received time as it is written)."""


class Known(NamedTuple):
    """What one run has of the moments that are asked for."""

    scores: Mapping[Moment, ScoreLine]
    letters: Mapping[str, LetterLine]
    """By source."""


def moment_of(life: Life) -> Moment:
    """Name the moment at which a ward heard of an alert, or at which it was raised."""
    return life.patient, to_iso(life.raised if life.told is None else life.told)


def known_of(run: Run, moments: Iterable[Moment], progress: Callable[[int], None] = lambda _bytes: None) -> Known:
    """Read what a run has of some moments; raises `RunError`."""
    wanted = frozenset(moments)
    if not wanted:
        return Known({}, {})
    scores: dict[Moment, ScoreLine] = {}
    for line in read_lines(run.folder / SCORES, ScoreLine, progress):
        if (moment := (line.patient, line.received_time)) in wanted:
            scores[moment] = line
    letters = {line.source: line for line in read_lines(run.folder / LETTERS, LetterLine, progress)}
    letters.pop("", None)  # Of records that our own code failed on, and of limits that changed nothing.
    return Known(scores, letters)


def why(pair: Pair, first: Known, second: Known) -> str:
    """Say why a pair is not the same, in the words of the earlier moment that a ward heard of."""
    a, b = pair
    if pair.kind == "changed":
        assert a is not None
        assert b is not None
        words = ", ".join(f"{name} {was} -> {now}" for name, was, now in _changes(a, b) if was != now)
        before, after = (known.scores.get(moment_of(a)) for known in (first, second))
        if before is None or after is None or before.news2 == after.news2:
            return words
        return f"{words}; {_by_news2(before, after, 'first', 'second')}"
    told = [one for one in pair if one is not None and one.told is not None]
    near = min(told, key=lambda one: one.told or 0)
    at_first = near is a
    other = b if at_first else a
    if other is not None and other.raised <= near.raised and other.silence:
        return f"{_run(not at_first)}: {SILENCES.get(other.silence, other.silence)}"
    here, there = (first, second) if at_first else (second, first)
    words = _by_scores(near, here, there, _run(at_first), _run(not at_first))
    if a is not None and b is not None and a.ward != b.ward:
        words = f"ward {a.ward or '(none)'} -> {b.ward or '(none)'}; {words}"
    return words


def _changes(a: Life, b: Life) -> list[tuple[str, str, str]]:
    return [("priority", a.priority, b.priority), ("ends", a.end, b.end)]


def _run(is_first: bool) -> str:  # noqa: FBT001 - one of two names
    return "first" if is_first else "second"


def _by_scores(near: Life, here: Known, there: Known, this: str, that: str) -> str:
    moment = moment_of(near)
    own, other = here.scores.get(moment), there.scores.get(moment)
    if other is None:
        letter = None if own is None else there.letters.get(own.source)
        if letter is not None:
            return f"{that}: the message was refused, {letter.reason} at {letter.fault or '$'}"
        return f"{that}: nothing was scored at that moment"
    if own is None:
        return f"{this}: by time, not by a score"
    if near.trigger == "news2_floor":
        return _by_news2(own, other, this, that)
    return _by_model(own, other, this, that)


def _by_news2(own: ScoreLine, other: ScoreLine, this: str, that: str) -> str:
    totals = own.news2.get("total"), other.news2.get("total")
    parts = [
        f"{name.replace('_', ' ')} {_points(own, name)} / {_points(other, name)}"
        for name in SOURCES
        if own.news2.get(name) != other.news2.get(name)
    ]
    if parts or totals[0] != totals[1]:
        return f"NEWS2 {totals[0]} in the {this}, {totals[1]} in the {that}: {', '.join(parts) or 'by its scale'}"
    return _by_verdicts(own, other, that) or f"{that}: the same score; an alert stood already, or a limit is in force"


def _points(score: ScoreLine, name: str) -> str:
    points = score.news2.get(name)
    if points is not None:
        return str(points)
    return next((word for word in ("quarantined", "stale") if name in _names(score, word)), "missing")


def _names(score: ScoreLine, word: str) -> Iterable[object]:
    names = score.news2.get(word)
    return names if isinstance(names, list) else ()


def _by_model(own: ScoreLine, other: ScoreLine, this: str, that: str) -> str:
    risks = [("none" if one.probability is None else f"{one.probability:.3f}") for one in (own, other)]
    said = f"risk {risks[0]} in the {this}, {risks[1]} in the {that}"
    verdict = _by_verdicts(own, other, that)
    return f"{said}; {verdict}" if verdict else said


def _by_verdicts(own: ScoreLine, other: ScoreLine, that: str) -> str:
    """Name the first filter of the other run that said something else."""
    known = {(one.filter, one.verdict, one.reason) for one in own.verdicts}
    for one in other.verdicts:
        if (one.filter, one.verdict, one.reason) not in known and one.verdict != "pass":
            return f"{that}: {_said(one)}"
    return ""


def _said(one: Verdict) -> str:
    detail = f" ({one.detail})" if one.detail else ""
    return f"{one.filter} {one.verdict}: {one.reason.replace('_', ' ')}{detail}"
